"""Figures as text: a column of names and one of values, wide enough and aligned, the same in a terminal and a file."""

import math
from typing import Any

from genwgp.io.figures import known


def summary_table(summary: dict[str, Any], folder: object = None) -> str:
    """The lines of a summary; figures that do not exist have none."""
    rows = [(figure.label, figure.line(value)) for figure, value in known(summary)]
    return aligned([*rows, *([("folder", str(folder))] if folder else [])])


def aligned(rows: list[tuple[str, str]]) -> str:
    """Lines of a name and a value."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


def columns(header: list[str], rows: list[list[str]]) -> str:
    """Lines of a table, every column as wide as its widest cell, aligned to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in [header, *rows]]
    return "\n".join(map("  ".join, lines))


def figure(value: float) -> str:
    """A number in a table of nodes."""
    return "inf" if math.isinf(value) else f"{value:.5g}"
