"""What the benchmarks' result files share: a table in Markdown, and where it was measured."""

import os
import platform
import re
from itertools import groupby
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
    return {row[0]: row for row in earlier_rows(file)}


def earlier_rows(file: Path, number: int = 0) -> list[list[str]]:
    """The rows of one of the tables of a result file, without its header; none where there is no such table."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    tables = [list(part) for inside, part in groupby(lines, lambda line: line.startswith("| ")) if inside]
    rows = tables[number][2:] if number < len(tables) else []
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip()[1:-1])] for row in rows]


def machine() -> str:
    """The device, the cores that the process may use, and the versions."""
    versions = f"genwgp {gw.__version__}, jax {jax.__version__}, numpy {np.__version__}"
    device, cores = jax.devices()[0].device_kind, len(os.sched_getaffinity(0))
    on = f"{device} ({platform.machine()}, {cores} core{'s' * (cores > 1)})"
    return f"{on}, {versions}, Python {platform.python_version()}"
