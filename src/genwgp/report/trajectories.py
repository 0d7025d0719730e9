"""Particles on their way: the same particles at every node and in between."""

from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter

from genwgp.report import style
from genwgp.report.density import tallness
from genwgp.report.sampling import SEED, equilibrium_shape, frames, grid, window

PARTICLES, BETWEEN = 200, 8  # BETWEEN: places shown per layer
SIDE, EQUILIBRIUM_SAMPLES = 140, 20_000
LEVELS = (0.02, 0.1, 0.3, 0.6, 0.9)  # of the equilibrium's largest value


def trajectories(path: Any, particles: int = PARTICLES) -> tuple[np.ndarray, np.ndarray]:
    """Arclengths (m,) and where particles from the start are at them, (m, particles, d)."""
    x0 = path.initial.sample(jax.random.key(SEED), particles)
    nodes = np.asarray(path.arclength, dtype=np.float64)
    places = np.interp(np.arange(BETWEEN * (len(nodes) - 1) + 1) / BETWEEN, np.arange(len(nodes)), nodes)
    return places, path.trajectories(x0, arclength=places)


def trajectory_picture(path: Any) -> Figure:
    """x against arclength in one dimension; in more, the first two coordinates over the equilibrium's contours."""
    arclength, x = trajectories(path)
    if path.dim == 1:
        picture = style.figure(9.0, 5.0)
        _against_arclength(picture.subplots(), path, arclength, x[..., 0])
        return picture
    x = x[..., :2]
    box = window([x.reshape(-1, 2), frames(path, 2, 2000)[1].samples[:, :2]])
    picture = style.figure(7.6, 1.0 + 6.4 * tallness(box))
    axes = picture.subplots()
    _in_the_plane(axes, path, x, box)
    seconds = "" if path.dim == 2 else f" (first two of {path.dim} coordinates)"
    axes.set(xlabel="$x_0$", ylabel="$x_1$", title=f"{x.shape[1]} particles from start to equilibrium{seconds}")
    return picture


def _against_arclength(axes: Axes, path: Any, arclength: np.ndarray, x: np.ndarray) -> None:
    lines = LineCollection([np.column_stack([arclength, way]) for way in x.T], linewidths=0.7, alpha=0.7)
    lines.set_array(x[0])
    lines.set_cmap("viridis")
    axes.add_collection(lines)
    for node in np.asarray(path.arclength):
        axes.axvline(node, color="#D0D0D0", linewidth=0.6, zorder=0)
    axes.autoscale()
    axes.set(xlabel="arclength s (length); grey: nodes", ylabel="$x$", xlim=(arclength[0], arclength[-1]))
    axes.set_title(f"{x.shape[1]} particles from start to equilibrium")
    axes.figure.colorbar(lines, ax=axes, pad=0.01).set_label("$x$ at the start")


def _in_the_plane(axes: Axes, path: Any, x: np.ndarray, box: np.ndarray) -> None:
    contours(axes, path, box)
    axes.add_collection(LineCollection(list(x.swapaxes(0, 1)), colors=style.BLUE, linewidths=0.6, alpha=0.5))
    axes.scatter(*x[0].T, s=9, color=style.ORANGE, edgecolors="white", linewidths=0.3, label="start", zorder=3)
    axes.scatter(*x[-1].T, s=9, color=style.BLUE, edgecolors="white", linewidths=0.3, label="end", zorder=3)
    axes.plot([], [], color=style.GREY, linewidth=0.9, label="equilibrium, contours")
    axes.set(xlim=box[0], ylim=box[1])
    if 0.5 <= tallness(box) <= 1.4:
        axes.set_aspect("equal", adjustable="box")
    axes.legend(loc="best", frameon=True, framealpha=0.9, edgecolor="none", markerscale=1.8)


def contours(axes: Axes, path: Any, box: np.ndarray) -> None:
    """Contours of the equilibrium at 2 to 90 % of its largest value: exp(-V/D) in the plane, else samples' marginal."""
    a, b, points = grid(box, SIDE)
    values = equilibrium_shape(path, points) if path.dim == 2 else _marginal(path, box)
    if values is not None:
        levels = [level * values.max() for level in LEVELS]
        axes.contour(a, b, values.reshape(SIDE, SIDE), levels=levels, colors=style.GREY, linewidths=0.8, zorder=1)


def _marginal(path: Any, box: np.ndarray) -> np.ndarray:
    """The equilibrium's density in the first two coordinates, from samples, smoothed by two cells of the grid."""
    x = np.asarray(path.equilibrium.sample(jax.random.key(SEED + 1), EQUILIBRIUM_SAMPLES))[:, :2]
    edges = [np.linspace(low, high, SIDE + 1) for low, high in box]
    counts, _, _ = np.histogram2d(x[:, 0], x[:, 1], bins=edges)
    return gaussian_filter(counts.T, sigma=SIDE / 28).ravel()
