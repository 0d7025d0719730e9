"""Figures as text: a column of names and one of values, wide enough and aligned, the same in a terminal and a file."""

import math
from collections.abc import Callable
from typing import Any

from genwgp.cli.progress import clock
from genwgp.diagnostics.pareto import TRUSTED
from genwgp.diagnostics.verdict import DIRECTION
from genwgp.initial import FitQuality

ROWS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("problem", "problem", str),
    ("dim", "dimensions", str),
    ("start", "start", lambda v: str(FitQuality(**v))),
    ("layers", "layers", str),
    ("result", "result", str),
    ("message", "", str),
    ("free_energy_start", "F at the start", lambda v: f"{_real(v)} energy"),
    ("free_energy_end", "F at the end", lambda v: f"{_real(v)} energy, estimate over particles"),
    ("equilibrium_free_energy", "F* = -D log Z", lambda v: f"{_real(v)} energy, by importance weights"),
    ("reference_free_energy", "F* of the reference", lambda v: f"{_real(v)} energy"),
    ("log_normaliser", "log Z", lambda v: f"{_real(v)}"),
    ("effective_sample_size", "effective samples", lambda v: f"{100 * v:.2f} %"),
    ("pareto_k", "Pareto k", lambda v: f"{v:.2f} of the importance weights (to be trusted: below {TRUSTED})"),
    ("action", "action", lambda v: f"{v:.4g} energy"),
    ("action_second_form", "action, second form", lambda v: f"{v:.4g} energy"),
    ("length", "path length", lambda v: f"{v:.5g} length"),
    ("speed_spread", "speed spread", lambda v: f"{100 * v:.2f} %, adjacent layers at most"),
    (
        "direction_residual",
        "direction residual",
        lambda v: f"{v:.3g}, largest before 99 % of the drop of F (converged: below {DIRECTION})",
    ),
    ("seconds", "time", lambda v: f"{v:.1f} s ({clock(v)})"),
)


def summary_table(summary: dict[str, Any], folder: object = None) -> str:
    """The lines of a summary; figures that do not exist have none."""
    rows = [
        (label, show(summary[key])) for key, label, show in ROWS if summary.get(key) is not None and summary[key] != ""
    ]
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


def _real(value: float) -> str:
    return f"{value:.5f}" if abs(value) < 1e4 else f"{value:.6g}"
