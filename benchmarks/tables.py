"""What the benchmarks' result files share: a table in Markdown, and where it was measured."""

import platform
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np

import genwgp as gw


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def labelled(name: str, parameters: dict[str, Any]) -> str:
    """What a row is called."""
    return name + "".join(f", {key} = {value}" for key, value in parameters.items())


def earlier(file: Path) -> dict[str, list[str]]:
    """The rows of the table that is there, by their label: a run of some problems keeps the others."""
    return {row[0]: row for row in (earlier_tables(file) or [[]])[0]}


def earlier_tables(file: Path) -> list[list[list[str]]]:
    """The rows of all tables of a result file, without their headers; none where there is no file."""
    if not file.exists():
        return []
    tables, inside = [], False
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            if not inside:
                tables.append([])
            tables[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])])
        inside = line.startswith("| ")
    return [rows[2:] for rows in tables]


def machine() -> str:
    """The device and the versions."""
    versions = f"genwgp {gw.__version__}, jax {jax.__version__}, numpy {np.__version__}"
    return f"{jax.devices()[0].device_kind} ({platform.machine()}), {versions}, Python {platform.python_version()}"
