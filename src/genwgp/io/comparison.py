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
        raise RunFolderError(f"{file}: damaged; it lacks {', '.join(missing)}: run `genwgp compare` again")
    return record
