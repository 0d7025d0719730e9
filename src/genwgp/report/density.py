"""The density of a path at eight times, equidistant in arclength."""

from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from genwgp.report import style
from genwgp.report.sampling import Frame, equilibrium_shape, frames, grid, log_density, window

SAMPLES = 2048
LINE_POINTS, SIDE = 400, 64  # 64^2 points are one batch of the path's
TARGET = {False: r"equilibrium $e^{-V/D} / Z$", True: r"equilibrium $e^{-(V + W * \rho)/D} / Z$"}  # interacting
MARGINALS = 4  # coordinates that are shown of a density in more than two dimensions
BINS = 45
PANEL, HEADING, FEET = 2.35, 0.36, 0.5  # inches: a panel, its title, and what is below the panels
CAP = 5.0


def density_picture(path: Any) -> Figure:
    """Curves in one dimension, heat maps in two, histograms of up to four coordinates in more."""
    shown = frames(path, style.FRAMES, SAMPLES)
    if path.dim == 1:
        return _curves(path, shown)
    return _heat_maps(shown) if path.dim == 2 else _marginals(shown, path.dim)


def _curves(path: Any, shown: list[Frame]) -> Figure:
    box = window([frame.samples for frame in shown])
    x = np.linspace(box[0, 0], box[0, 1], LINE_POINTS)
    picture = style.figure(9.0, 4.6)
    axes = picture.subplots()
    for frame, colour in zip(shown, style.sequence(len(shown)), strict=True):
        axes.plot(x, np.exp(log_density(frame.density, x[:, None])), color=colour, label=_label(frame))
    shape = equilibrium_shape(path, x[:, None])
    if shape is not None:
        shape, label = shape / np.trapezoid(shape, x), TARGET[path.energy.interacting]
        axes.plot(x, shape, color=style.INK, linewidth=1.1, linestyle=(0, (4, 3)), label=label)
    axes.set(xlabel="$x$", ylabel=r"density $\rho(x)$", xlim=box[0], title="Density along the path")
    axes.set_ylim(bottom=0)
    style.light_grid(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="time and arclength")
    return picture


def _heat_maps(shown: list[Frame]) -> Figure:
    box = window([frame.samples for frame in shown])
    values = densities(shown, box)
    picture = style.figure(11.0, FEET + 2 * (PANEL * tallness(box) + HEADING))
    axes = picture.subplots(2, len(shown) // 2, sharex=True, sharey=True)
    image = None
    for panel, frame, value in zip(axes.ravel(), shown, values, strict=True):
        image = heat_map(panel, value, box, values)
        panel.set_title(style.when(frame.time, frame.arclength))
    for panel in axes[-1]:
        panel.set_xlabel("$x_0$")
    for panel in axes[:, 0]:
        panel.set_ylabel("$x_1$")
    assert image is not None
    bar = picture.colorbar(image, ax=axes, shrink=0.85, pad=0.015, extend=_extend(image, values))
    bar.set_label(r"density $\rho$ (square-root scale)")
    return picture


def _extend(image: Any, values: np.ndarray) -> str:
    return "max" if values.max() > image.norm.vmax else "neither"


def densities(shown: list[Frame], box: np.ndarray, side: int = SIDE) -> np.ndarray:
    """(frames, side, side): the density of each frame on a grid over the window."""
    _, _, points = grid(box, side)
    return np.stack([np.exp(log_density(frame.density, points)).reshape(side, side) for frame in shown])


def heat_map(axes: Any, value: np.ndarray, box: np.ndarray, all_values: np.ndarray) -> Any:
    """A density on one colour scale for all frames, which goes by the square root up to CAP times the lowest peak.

    So the widest density still has a shape; what is above is as dark as it gets.
    """
    norm = PowerNorm(0.5, vmin=0, vmax=min(float(all_values.max()), CAP * float(all_values.max(axis=(1, 2)).min())))
    return axes.imshow(
        value, origin="lower", extent=box.ravel(), cmap=style.heat(), norm=norm, interpolation="bilinear"
    )


def _marginals(shown: list[Frame], dim: int) -> Figure:
    count = min(dim, MARGINALS)
    box = window([frame.samples for frame in shown])
    rows, columns = (2, 2) if count == MARGINALS else (1, count)
    picture = style.figure(11.0, 0.4 + 3.2 * rows)
    axes = picture.subplots(rows, columns)
    for i, panel in enumerate(axes.ravel()[:count]):
        edges = np.linspace(box[i, 0], box[i, 1], BINS + 1)
        for frame, colour in zip(shown, style.sequence(len(shown)), strict=True):
            height, _ = np.histogram(frame.samples[:, i], bins=edges, density=True)
            panel.stairs(height, edges, color=colour, label=_label(frame), linewidth=1.3)
        panel.set(xlabel=f"$x_{{{i}}}$", ylabel="marginal density", xlim=box[i])
        style.light_grid(panel)
    of = f"all {dim}" if count == dim else f"the first {count} of {dim}"
    handles, labels = axes.ravel()[0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside right center", title="time and arclength")
    picture.suptitle(f"Marginals of {of} coordinates, {SAMPLES} samples each")
    return picture


def _label(frame: Frame) -> str:
    return style.when(frame.time, frame.arclength)


def tallness(box: np.ndarray) -> float:
    """Height over width of the window, kept where a figure is still a figure."""
    width, height = box[:, 1] - box[:, 0]
    return float(np.clip(height / width, 0.6, 1.5))
