"""Checks of what users give: each returns the value in its final form or raises InputError naming the field.

Values that jax is tracing have shapes but no numbers: their shapes are checked, their numbers are not.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from genwgp.errors import InputError

ASYMMETRY = 1e-6  # relative; allows matrices that were computed in float32


def is_traced(*values: object) -> bool:
    """Whether jax is tracing any of the values."""
    return any(isinstance(value, Tracer) for value in values)


def finite_number(field: str, value: object) -> float:
    """`value` as a float; InputError unless it is one finite real number."""
    array = _real(field, value, "a finite number")
    if array.ndim or not np.isfinite(array):
        raise InputError(field, value, "a finite number")
    return float(array)


def positive_number(field: str, value: object) -> float:
    """`value` as a float; InputError unless it is one finite number above zero."""
    array = _real(field, value, "a finite number above 0")
    if array.ndim or not np.isfinite(array) or array <= 0:
        raise InputError(field, value, "a finite number above 0")
    return float(array)


def integer(field: str, value: object, least: int = 1, most: int | None = None) -> int:
    """`value` as an int; InputError unless it is a whole number (a float such as 3.0 is not one) in these limits."""
    limits = f", at least {least}" if most is None else f" from {least} to {most}"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(field, value, f"a whole number{limits}")
    if value < least or (most is not None and value > most):
        raise InputError(field, value, f"a whole number{limits}")
    return int(value)


def truth(field: str, value: object) -> bool:
    """`value` itself; InputError unless it is True or False."""
    if not isinstance(value, bool):
        raise InputError(field, value, "true or false")
    return value


def one_of(field: str, value: object, allowed: Sequence[str]) -> str:
    """`value` itself; InputError unless it is one of these texts."""
    if not isinstance(value, str) or value not in allowed:
        raise InputError(field, value, ", ".join(allowed))
    return value


def finite_array(field: str, value: Any, shape: tuple[int | None, ...]) -> Any:
    """`value` as a float array of `shape` (None: any size but 0); numpy float64, or jax while it is traced."""
    allowed = f"finite numbers of shape {shape_text(shape)}" if shape else "a finite number"
    if is_traced(value):
        array = jnp.asarray(value, dtype=float)
    else:
        array = _real(field, value, allowed)
    fits = len(array.shape) == len(shape) and all(
        size == wanted or (wanted is None and size > 0) for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        hint = ", a list even where it has one element" if shape and not array.shape else ""
        raise InputError(field, f"shape {shape_text(array.shape)}", allowed + hint)
    if not is_traced(array) and not np.all(np.isfinite(array)):
        raise InputError(field, value, allowed)
    return array


def axes_of(field: str, value: Any) -> int:
    """How many axes an array has, 0 for a number; InputError for lists that are no array."""
    return value.ndim if is_traced(value) else _real(field, value, "numbers, in lists of one length").ndim


def positive_definite(field: str, value: Any, size: int) -> Any:
    """`value` as a (size, size) matrix, exactly symmetric; InputError unless symmetric positive definite.

    Asymmetry up to 1e-6 of the largest entry counts as rounding and is averaged away.
    """
    matrix = finite_array(field, value, (size, size))
    half = 0.5 * matrix  # whose sums and differences are finite, however large the entries are
    symmetric = half + half.T
    if is_traced(matrix):
        return symmetric
    if np.max(np.abs(half - half.T)) > ASYMMETRY * np.max(np.abs(half)):
        raise InputError(field, matrix.tolist(), "a symmetric positive definite matrix; this one is not symmetric")
    smallest, largest = np.linalg.eigvalsh(symmetric)[[0, -1]]
    # Below the rounding of the eigenvalues themselves nothing tells a small eigenvalue from zero.
    if smallest <= 4 * size * np.finfo(float).eps * abs(largest):
        text = f"a symmetric positive definite matrix; the smallest eigenvalue of this one is {smallest:.3g}"
        raise InputError(field, matrix.tolist(), text)
    return symmetric


def function(field: str, value: object, allowed: str) -> Any:
    """`value` itself; InputError unless it can be called."""
    if not callable(value):
        raise InputError(field, value, allowed)
    return value


@contextmanager
def installed(field: str, package: str, extra: str) -> Iterator[None]:
    """For imports of a package that only some need; InputError naming what to install where it is missing."""
    try:
        yield
    except ImportError:
        raise InputError(
            field, f"no package {package}", f"an environment with {package}: pip install 'genwgp[{extra}]'"
        ) from None


def shape_text(shape: tuple[int | None, ...]) -> str:
    """The shape as it is written in messages: (n, 2), with `n` for a free size."""
    inside = ", ".join("n" if size is None else str(size) for size in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


def reason(error: BaseException) -> str:
    """An exception of foreign code as one short piece of a message; jax's own tracing errors in plain words."""
    if isinstance(error, jax.errors.JAXTypeError):
        return "a function that needs concrete numbers, which jax cannot trace or differentiate"
    text = " ".join(str(error).split()).removesuffix(" (normalize_indices=True)")  # an argument inside jax
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _real(field: str, value: object, allowed: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except Exception:  # ragged lists, objects whose conversion fails: whatever the cause, it is not an array
        raise InputError(field, value, allowed) from None
    if array.dtype.kind not in "iuf" and not jnp.issubdtype(array.dtype, jnp.floating):
        raise InputError(field, value, allowed)
    return array.astype(np.float64)
