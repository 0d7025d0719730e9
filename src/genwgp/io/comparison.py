"""A comparison as a JSON file, beside a run or elsewhere."""

import datetime
from pathlib import Path
from typing import Any

import genwgp
from genwgp.diagnostics.compare import Comparison
from genwgp.errors import RunFolderError
from genwgp.io.derived import COMPARISON
from genwgp.io.folder import json_text, read_json, replace_file, writing
from genwgp.io.plain import decode, encode

AGAIN = "run `genwgp compare` again"
SINGLE = ("samples", "gap", "effective_sample_size", "log_normaliser", "reference_log_normaliser")


def comparison_record(comparison: Comparison, **about: Any) -> dict[str, Any]:
    """The figures of a comparison by name, what it was made with, and `about`, as JSON can hold them."""
    figures = {**comparison._asdict(), "ratio": comparison.ratio(), "time_ratio": comparison.time_ratio}
    origin = {"date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "genwgp": genwgp.__version__}
    return encode("comparison", {**origin, **about, **figures})


def write_comparison(record: dict[str, Any], folder: str | Path) -> Path:
    """Write a record as `comparison.json`, whole or not at all, in the place of an earlier one. RunFolderError."""
    file = Path(folder) / COMPARISON
    with writing(file):
        replace_file(file, json_text(record).encode())
    return file


def read_comparison(folder: str | Path) -> dict[str, Any] | None:
    """The record of a folder's `comparison.json`, None where there is none. RunFolderError if it is not one of ours."""
    file = Path(folder) / COMPARISON
    if not file.is_file():
        return None
    record = decode(read_json(file))
    missing = [name for name in Comparison._fields if name not in record]
    if missing:
        raise RunFolderError(f"{file}: damaged; it lacks {', '.join(missing)}: {AGAIN}")
    columns = [name for name in Comparison._fields if name not in (*SINGLE, "missing")]
    places = len(record["times"]) if isinstance(record["times"], list) else 0
    right = {name: _is_number(record[name]) for name in SINGLE}
    right |= {name: places > 0 and _are_numbers(record[name], places) for name in columns}
    right |= {"missing": _are_texts(record["missing"]), "certificate": _is_certificate(record.get("certificate"))}
    if wrong := [name for name, fits in right.items() if not fits]:
        raise RunFolderError(f"{file}: damaged; {wrong[0]} is not what a comparison has: {AGAIN}")
    return record


def _is_number(value: Any) -> bool:
    if isinstance(value, int):  # JSON has whole numbers that no float holds
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float)


def _are_numbers(values: Any, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(map(_is_number, values))


def _are_texts(values: Any) -> bool:
    return isinstance(values, dict) and all(isinstance(text, str) for text in values.values())


def _is_certificate(value: Any) -> bool:
    """Whether it is the record of a `Certificate`, or none: comparisons of some paths have none."""
    if not isinstance(value, dict):
        return value is None
    times, known = value.get("times"), _is_number(value.get("convexity")) and isinstance(value.get("estimated"), bool)
    return known and isinstance(times, list) and _are_numbers(value.get("bound"), len(times))
