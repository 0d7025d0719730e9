"""What all pictures share: sizes, colours that colour-blind readers tell apart, and writing without pyplot."""

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure

from genwgp.io.folder import write_whole

DPI = 130
# Okabe and Ito's palette.
BLUE, ORANGE, GREEN, RED, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
GREY, INK = "#8A8A8A", "#222222"
FRAMES = 8  # times that are shown of a path
SETTINGS: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.facecolor": "white",
}


def figure(width: float, height: float) -> Figure:
    """An empty figure, inches, laid out so that nothing overlaps. To be made and filled inside `styled()`."""
    return Figure(figsize=(width, height), layout="constrained")


def styled():
    """The settings of these pictures, as a context: the reader's own matplotlib settings stay as they are."""
    return mpl.rc_context(SETTINGS)


def write(picture: Figure, file: Path) -> Path:
    """Write a figure as PNG; the file appears whole or not at all."""
    content = io.BytesIO()
    picture.savefig(content, dpi=DPI, format="png")
    write_whole(file, content.getvalue())
    return file


def sequence(count: int) -> np.ndarray:
    """`count` colours from early (dark blue) to late (yellow, not too pale on white)."""
    return colours("viridis")(np.linspace(0.0, 0.92, count))


def colours(name: str) -> Colormap:
    """A colour map by name."""
    return mpl.colormaps[name]


def heat() -> Colormap:
    """A colour map for densities: magma reversed, whose pale end is led to white, so that nothing prints as nothing."""
    table = colours("magma_r")(np.linspace(0.0, 1.0, 256))
    share = np.clip(1.0 - np.arange(256) / 64, 0.0, 1.0)[:, None]
    return ListedColormap(share * np.ones(4) + (1.0 - share) * table)


def number(value: float) -> str:
    """A number for a title, in mathematics: three digits."""
    if np.isinf(value):
        return r"\infty"
    mantissa, _, exponent = f"{value:.3g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def when(time: float, arclength: float) -> str:
    """The title of a frame: physical time and arclength."""
    return f"$t = {number(time)}$,  $s = {number(arclength)}$"


def light_grid(axes: Axes) -> None:
    """A grid that stays behind the data."""
    axes.grid(True, color="#E3E3E3", linewidth=0.6)
    axes.set_axisbelow(True)
