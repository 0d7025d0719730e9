"""Plain values for JSON: what settings, diagnostics and stats may hold, kept exactly, infinities and NaN included."""

import math
from enum import Enum
from typing import Any

import numpy as np

from genwgp.errors import InputError

SPECIAL = "$float"  # JSON has no infinity and no NaN: {"$float": "inf"}


def encode(field: str, value: Any) -> Any:
    """`value` with nothing in it but what JSON can hold; InputError naming the entry that is anything else."""
    match value:
        case Enum():
            return encode(field, value.value)
        case None | bool() | str():
            return value
        case np.generic() | np.ndarray():
            return encode(field, value.tolist())
        case int():
            return value
        case float():
            return value if math.isfinite(value) else {SPECIAL: repr(value)}
        case list() | tuple():
            return [encode(f"{field}[{i}]", entry) for i, entry in enumerate(value)]
        case dict() if all(isinstance(key, str) for key in value):
            return {str(key): encode(f"{field}.{key}", entry) for key, entry in value.items()}
    raise InputError(field, f"{type(value).__name__} {value}", "numbers, text, None, and lists and dicts of them")


def decode(value: Any) -> Any:
    """The inverse of `encode`; tuples come back as lists."""
    match value:
        case {"$float": "inf" | "-inf" | "nan" as text}:
            return float(text)
        case dict():
            return {key: decode(entry) for key, entry in value.items()}
        case list():
            return [decode(entry) for entry in value]
    return value
