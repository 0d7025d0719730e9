"""A path and a reference in one picture: free energy, distances over their floors, densities where they are known."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from genwgp.diagnostics.compare import Comparison, places
from genwgp.io.folder import writing
from genwgp.report import style
from genwgp.report.curves import against_time
from genwgp.report.density import HEADING, LINE_POINTS, SAMPLES, SIDE, heat_map, tallness
from genwgp.report.sampling import SEED, grid, log_density, window

COLUMNS = 4  # places whose densities are shown
TOP, PANEL, LOW_PANEL = 3.6, 2.2, 1.5  # inches: the curves, a panel of densities, one of differences on a line
DISTANCES = {
    "wasserstein": ("$W_2$", style.BLUE, "o-"),
    "sliced": ("sliced $W_2$", style.SKY, "s-"),
    "mean_error": ("mean", style.GREEN, "^-"),
    "covariance_error": ("covariance", style.PURPLE, "v-"),
}
TALLEST = 1.25  # a panel of the plane over its width
SHARE = 0.998  # of the points of a panel whose differences are within the colours: single ones must not set them
LOGARITHMIC = 6.0  # a ratio above which the axis of ratios is logarithmic


class Pair(NamedTuple):
    """Where and when, the densities of path and reference on the same points, and int |p - q|."""

    title: str
    path: np.ndarray
    reference: np.ndarray
    l1: float

    @property
    def difference(self) -> np.ndarray:
        """In per cent of the reference's peak."""
        return 100 * (self.path - self.reference) / self.reference.max()


def draw_comparison(comparison: Comparison, path: Any, reference: Any, file: str | Path) -> Path:
    """Draw `comparison_picture` into a PNG file; its folder is made. RunFolderError if it cannot be written."""
    with style.styled():
        picture = comparison_picture(comparison, path, reference)
        with writing(file):
            return style.write(picture, Path(file))


def comparison_picture(comparison: Comparison, path: Any, reference: Any) -> Figure:
    """Curves, and below them the densities of both and their difference at four places, in one and two dimensions."""
    shown = _frames(comparison, path, reference)
    if shown is None:
        picture = style.figure(11.0, TOP)
        _curves(picture, comparison, path)
        return picture
    box, pairs = shown
    height = PANEL + LOW_PANEL + 2 * HEADING if path.dim == 1 else 3 * PANEL * min(tallness(box), TALLEST) + 2 * HEADING
    picture = style.figure(11.0, TOP + height)
    top, bottom = picture.subfigures(2, 1, height_ratios=(TOP, height), hspace=0.02)  # pyright: ignore
    _curves(top, comparison, path)
    (_on_a_line if path.dim == 1 else _in_the_plane)(bottom, box, pairs)
    return picture


def _curves(picture: Any, comparison: Comparison, path: Any) -> None:
    left, right = picture.subplots(1, 2)
    against_time(left, path)
    F, finite = comparison.reference_free_energy, np.isfinite(comparison.times)
    if np.any(np.isfinite(F[finite])):
        left.plot(comparison.times[finite], F[finite], "o", color=style.ORANGE, markersize=9, markerfacecolor="none")
        left.lines[-1].set_label("reference")
        left.set_title(f"Free energy: error at most {_percent(100 * np.nanmax(comparison.energy_error))} of the drop")
    else:
        left.set_title("Free energy (the reference does not know it)")
    left.lines[0].set_label("path, at its nodes")
    left.set_ylabel("free energy F (energy)")
    left.legend()
    _ratios(right, comparison, path.dim)


def _ratios(axes: Axes, comparison: Comparison, dim: int) -> None:
    """Each distance over its floor against arclength; around 1 there is nothing to see."""
    distances = {name: look for name, look in DISTANCES.items() if dim > 1 or name != "sliced"}  # on a line: the same
    axes.axhline(1, color=style.INK, linewidth=0.9, linestyle=(0, (4, 3)), label="floor: sampling alone")
    largest = 0.0
    for name, (label, colour, line) in distances.items():
        ratio = comparison.ratio(name)
        axes.plot(comparison.arclength, ratio, line, color=colour, markersize=4.5, linewidth=1.2, label=label)
        largest = max(largest, float(np.max(ratio)))
    if largest > LOGARITHMIC:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_ylim(0, 1.3 * max(largest, 1.5))
    axes.set(xlabel="arclength s (length)", ylabel="distance / its floor")
    axes.set_title(f"Distances of {comparison.samples} samples over their noise floors")
    style.light_grid(axes)
    axes.legend(ncols=3, loc="upper left")


def _frames(comparison: Comparison, path: Any, reference: Any) -> tuple[np.ndarray, list[Pair]] | None:
    """The window and the densities at four places; None in more than two dimensions or without log-densities."""
    count = len(comparison.times)
    chosen = np.unique(np.ceil(np.arange(1, COLUMNS + 1) * count / COLUMNS).astype(int)) - 1
    arguments = places(path, count)
    densities = [path.at(**arguments[i]) for i in chosen]
    others = [reference.density(rho.time) for rho in densities]
    if path.dim > 2 or not all(hasattr(other, "log_prob") for other in others):
        return None
    samples = [np.asarray(rho.sample(jax.random.key(SEED), SAMPLES)) for rho in [*densities, *others]]
    box = window(samples)
    points = np.linspace(box[0, 0], box[0, 1], LINE_POINTS)[:, None] if path.dim == 1 else grid(box, SIDE)[2]
    pairs = []
    for i, rho, other in zip(chosen, densities, others, strict=True):
        p, q = (np.exp(log_density(density, points)) for density in (rho, other))
        pairs.append(Pair(style.when(rho.time, rho.arclength), p, q, float(comparison.l1[i])))
    return box, pairs


def _on_a_line(picture: Any, box: np.ndarray, pairs: list[Pair]) -> None:
    """Both curves over each other, and their difference below."""
    x = np.linspace(box[0, 0], box[0, 1], LINE_POINTS)
    axes = picture.subplots(2, len(pairs), sharex=True, sharey="row", squeeze=False, height_ratios=(PANEL, LOW_PANEL))
    for (upper, lower), pair in zip(axes.T, pairs, strict=True):
        upper.plot(x, pair.path, color=style.BLUE, label="path")
        upper.plot(x, pair.reference, color=style.ORANGE, linestyle=(0, (4, 3)), label="reference")
        upper.set(title=pair.title, xlim=box[0])
        upper.set_ylim(bottom=0)
        lower.plot(x, pair.difference, color=style.RED)
        lower.axhline(0, color=style.INK, linewidth=0.8)
        lower.set(xlabel="$x$")
        lower.set_title(_distance(pair))
        style.light_grid(upper)
        style.light_grid(lower)
    axes[0, 0].set_ylabel(r"density $\rho(x)$")
    axes[1, 0].set_ylabel("difference\n(% of the peak)")
    axes[0, 0].legend(loc="upper right")


def _in_the_plane(picture: Any, box: np.ndarray, pairs: list[Pair]) -> None:
    """Heat maps of both and of their difference, one column for each place."""
    axes = picture.subplots(3, len(pairs), sharex=True, sharey=True, squeeze=False)
    shape = (SIDE, SIDE)
    everything = np.stack([pair.path.reshape(shape) for pair in pairs])
    differences = np.abs([pair.difference for pair in pairs])
    limit = float(np.quantile(differences, SHARE, axis=1).max()) or 1.0
    image = change = None
    for column, pair in zip(axes.T, pairs, strict=True):
        image = heat_map(column[0], pair.path.reshape(shape), box, everything)
        heat_map(column[1], pair.reference.reshape(shape), box, everything)
        change = column[2].imshow(
            pair.difference.reshape(shape),
            origin="lower",
            extent=box.ravel(),
            cmap=style.colours("RdBu_r"),
            vmin=-limit,
            vmax=limit,
            interpolation="bilinear",
        )
        column[0].set_title(pair.title)
        column[2].set_title(_distance(pair))
        column[2].set_xlabel("$x_0$")
    for panel, name in zip(axes[:, 0], ("path", "reference", "difference"), strict=True):
        panel.set_ylabel(f"{name}\n$x_1$")
    picture.colorbar(image, ax=axes[:2], shrink=0.8, pad=0.015).set_label(r"density $\rho$ (square-root scale)")
    beyond = "both" if differences.max() > limit else "neither"
    bar = picture.colorbar(change, ax=axes[2], shrink=0.9, pad=0.015, extend=beyond)
    bar.set_label("difference (% of the peak)")


def _distance(pair: Pair) -> str:
    return rf"$\int |\rho - \rho_{{\mathrm{{ref}}}}| = {style.number(pair.l1)}$"


def _percent(value: float) -> str:
    return f"{value:.2g} %"
