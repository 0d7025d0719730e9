"""Curves of a path: free energy against time and arclength, layers, direction residual."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from genwgp.diagnostics.measure import SPENT
from genwgp.diagnostics.verdict import DIRECTION
from genwgp.report import style

BAND = 0.05  # neighbouring layers may differ by this share
UNRELATED = np.sqrt(2.0)  # the direction residual of velocities that have nothing to do with the force


def free_energy_picture(path: Any) -> Figure:
    """F against physical time and against arclength; there dF/ds = -||grad mu||, the square root of the dissipation."""
    picture = style.figure(11.0, 4.2)
    left, right = picture.subplots(1, 2, sharey=True)
    against_time(left, path)
    against_arclength(right, path)
    left.set_ylabel("free energy F (energy)")
    picture.suptitle("Free energy along the path")
    return picture


def against_time(axes: Axes, path: Any) -> None:
    """F against time; time is linear up to the first step and logarithmic beyond."""
    times, F = np.asarray(path.times, dtype=np.float64), np.asarray(path.free_energy)
    finite = np.isfinite(times)
    axes.plot(times[finite], F[finite], "o-", color=style.BLUE, markersize=4.5, label="nodes")
    positive = times[finite & (times > 0)]
    if len(positive):
        axes.set_xscale("asinh", linear_width=float(positive.min()))
        axes.xaxis.set_major_locator(FixedLocator(time_ticks(float(positive.min()), float(positive.max()))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    label = "end of the path (t = ∞)" if not finite[-1] else "end of the path"
    axes.axhline(F[-1], color=style.INK, linewidth=0.9, linestyle=(0, (4, 3)), label=label)
    axes.set_xlabel("physical time t (length²/energy), logarithmic beyond the first step")
    style.light_grid(axes)
    axes.legend()


def against_arclength(axes: Axes, path: Any) -> None:
    """F against arclength, with the slope -||grad mu|| at the nodes as short tangents."""
    s, F = np.asarray(path.arclength, dtype=np.float64), np.asarray(path.free_energy)
    slope = -np.sqrt(np.maximum(np.asarray(path.dissipation), 0))
    axes.plot(s, F, "o-", color=style.BLUE, linewidth=1.2, markersize=4, label="nodes")
    half = 0.35 * np.median(np.diff(s))
    for k in range(len(s)):
        ends = np.array([-half, half])
        label = r"slope $-\Vert\nabla\mu\Vert = -\sqrt{\mathrm{dissipation}}$" if k == 0 else None
        axes.plot(
            s[k] + ends, F[k] + slope[k] * ends, color=style.ORANGE, linewidth=5, alpha=0.5, zorder=1, label=label
        )
    axes.set_xlabel("arclength s (length)")
    style.light_grid(axes)
    axes.legend()


def layers_picture(path: Any) -> Figure:
    """Length of each layer with a band of 5 % around their mean, and the speed in physical time at the nodes."""
    lengths, speed = np.asarray(path.layer_lengths), np.asarray(path.speed)
    mean = float(lengths.mean())
    picture = style.figure(9.6, 4.0)
    left, right = picture.subplots(1, 2)
    left.axhspan((1 - BAND) * mean, (1 + BAND) * mean, color=style.ORANGE, alpha=0.25, linewidth=0, label="mean ± 5 %")
    left.bar(np.arange(1, len(lengths) + 1), lengths, color=style.BLUE, width=0.7, label="layers")
    left.axhline(mean, color=style.ORANGE, linewidth=1.2)
    left.set(xlabel="layer", ylabel="length (Wasserstein)", title="Length of the layers")
    left.set_ylim(0, 1.3 * max(float(lengths.max()), mean) or 1.0)  # no length at all: a path that stands still
    left.legend(loc="upper right", ncols=2)
    right.plot(np.arange(len(speed)), speed, "o-", color=style.GREEN, markersize=4.5)
    right.set(xlabel="node", ylabel="‖v‖ (energy/length)", title="Speed in physical time")
    _logarithmic(right, speed)
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        style.light_grid(axes)
    return picture


def direction_picture(path: Any) -> Figure:
    """The direction residual at the nodes, by node and by the share of the free energy that is spent there.

    Nodes that do not count for the verdict, since hardly any force is left there, are hollow.
    """
    residual, spent = np.asarray(path.direction_residual, dtype=np.float64), spent_energy(path)
    picture = style.figure(9.6, 4.0)
    left, right = picture.subplots(1, 2, sharey=True)
    nodes, judged = np.arange(len(residual)), spent < SPENT
    for axes, x, label in ((left, nodes, "node"), (right, 100 * spent, "drop of F so far (%)")):
        for height, colour, meaning in (
            (UNRELATED, style.INK, "√2: unrelated to the force"),
            (DIRECTION, style.ORANGE, f"{DIRECTION}: limit of a converged path"),
        ):
            axes.axhline(height, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), label=meaning)
        axes.plot(x, residual, "-", color=style.RED, linewidth=1.2)
        axes.plot(x[judged], residual[judged], "o", color=style.RED, markersize=4.5, label="nodes")
        hollow = f"beyond {100 * SPENT:.0f} % of the drop of F: not judged"
        axes.plot(x[~judged], residual[~judged], "o", color=style.RED, markersize=4.5, mfc="white", label=hollow)
        axes.set_xlabel(label)
        style.light_grid(axes)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    _logarithmic(left, residual)
    left.set_ylabel("‖ v/‖v‖ + ∇μ/‖∇μ‖ ‖")
    left.legend(loc="best")
    picture.suptitle("Direction residual: 0 on the gradient flow")
    return picture


def spent_energy(path: Any) -> np.ndarray:
    """The share of the drop of F that is spent at each node; NaN where there is nothing to go down."""
    F = np.asarray(path.free_energy)
    return (F[0] - F) / (float(F[0] - F[-1]) or np.nan)


def _logarithmic(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic axis where all values allow one."""
    if positive(values):
        axes.set_yscale("log")


def positive(values: np.ndarray) -> bool:
    """Whether all finite values are above zero."""
    return bool(np.all(values[np.isfinite(values)] > 0))


def time_ticks(first: float, last: float) -> list[float]:
    """Zero and the decades between the first and the last time, with 2 and 5 between them where there are few."""
    decades = 10.0 ** np.arange(np.floor(np.log10(first)), np.ceil(np.log10(last)) + 1)
    inside = [tick for tick in decades if first <= tick <= last]
    if len(inside) < 4:
        inside = [tick for tick in np.outer(decades, [1, 2, 5]).ravel() if first <= tick <= last]
    return [0.0, *map(float, inside)]
