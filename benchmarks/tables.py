"""What the benchmarks' result files share: a table in Markdown, and where it was measured."""

import platform
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


def earlier(table: Path) -> dict[str, list[str]]:
    """The rows of the table that is there, by their label: a run of some problems keeps the others."""
    if not table.exists():
        return {}
    cells = [line.strip("| ").split(" | ") for line in table.read_text(encoding="utf-8").splitlines() if "|" in line]
    return {row[0]: row for row in cells[2:]}


def machine() -> str:
    """The device and the versions."""
    versions = f"genwgp {gw.__version__}, jax {jax.__version__}, numpy {np.__version__}"
    return f"{jax.devices()[0].device_kind} ({platform.machine()}), {versions}, Python {platform.python_version()}"
