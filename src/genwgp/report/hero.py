"""One picture of a two-dimensional path: eight densities with particles, and the free energy."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genwgp.errors import InputError
from genwgp.report import style
from genwgp.report.density import FEET, HEADING, densities, heat_map, tallness
from genwgp.report.sampling import Frame, frames, window

PANEL = 2.12  # inches
DOTS, SAMPLES, SIDE = 150, 2048, 96


def hero(solution: Any, file: str | Path) -> Path:
    """Draw a two-dimensional solution into one PNG. InputError in other dimensions."""
    if solution.path.dim != 2:
        raise InputError("solution", f"a path in {solution.path.dim} dimensions", "a path in 2 dimensions")
    with style.styled():
        return style.write(hero_picture(solution.path), Path(file))


def hero_picture(path: Any) -> Figure:
    """Eight panels in two rows, the free energy against arclength to the right."""
    shown = frames(path, style.FRAMES, SAMPLES)
    box = window([frame.samples for frame in shown])
    values = densities(shown, box, SIDE)
    picture = style.figure(13.0, FEET + 2 * (PANEL * tallness(box) + HEADING))
    parts: Any = picture.subfigures(1, 2, width_ratios=(2.9, 1.0), wspace=0.02)
    left, right = parts
    panels = left.subplots(2, style.FRAMES // 2, sharex=True, sharey=True)
    for panel, frame, value in zip(panels.ravel(), shown, values, strict=True):
        heat_map(panel, value, box, values)
        _dots(panel, frame, box)
        panel.set_title(f"$t = {style.number(frame.time)}$", fontsize=11)
    for panel in panels[-1]:
        panel.set_xlabel("$x_0$")
    for panel in panels[:, 0]:
        panel.set_ylabel("$x_1$")
    _energy(right.subplots(), path, shown)
    return picture


def _dots(axes: Axes, frame: Frame, box: np.ndarray) -> None:
    axes.scatter(*frame.samples[:DOTS].T, s=5, color=style.SKY, edgecolors="white", linewidths=0.3, zorder=3)
    axes.set(xlim=box[0], ylim=box[1])


def _energy(axes: Axes, path: Any, shown: list[Frame]) -> None:
    s, F = np.asarray(path.arclength), np.asarray(path.free_energy)
    axes.plot(s, F, color=style.BLUE)
    axes.plot(s, F, "o", color=style.BLUE, markersize=4, label="nodes")
    at = np.array([frame.arclength for frame in shown])
    axes.plot(at, np.interp(at, s, F), "D", color=style.RED, markersize=6, markerfacecolor="none", label="panels")
    axes.set(xlabel="arclength s (Wasserstein)", ylabel="free energy F", title="towards the equilibrium")
    style.light_grid(axes)
    axes.legend(loc="upper right")
