"""A path in motion as a GIF or an MP4 file: density, particles, and the free energy with a cursor."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from genwgp.errors import InputError
from genwgp.io.folder import replace_file, writing
from genwgp.report import style
from genwgp.report.density import heat_map, tallness
from genwgp.report.scene import Scene

RATE, HOLD = 12, 10  # frames a second; how often the last one is repeated before a GIF starts anew
DPI = 100
WRITERS: dict[str, Any] = {".gif": PillowWriter, ".mp4": FFMpegWriter}


def check_writer(option: str, file: str) -> None:
    """InputError unless the name ends in .gif or .mp4, as the option says, and the film can be written here."""
    ending = f".{option.lstrip('-')}"
    if Path(file).suffix.lower() != ending:
        raise InputError(option, file, f"a file that ends in {ending}")
    if not WRITERS[ending].isAvailable():
        raise InputError(option, file, "a film only where the program ffmpeg is installed; --gif needs no program")


def animate(path: Any, shown: Scene, file: str | Path) -> Path:
    """Write a film; the name's ending says which. It appears whole or not at all. RunFolderError if it cannot be."""
    target = Path(file)
    writer = WRITERS[target.suffix.lower()](fps=RATE, metadata={"comment": "made by genwgp"})
    with writing(target), style.styled(), tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / target.name
        picture = style.figure(10.0, 4.6)
        FigureCanvasAgg(picture)
        move = _film(picture, path, shown)
        move(0)
        picture.draw_without_rendering()
        picture.set_layout_engine("none")  # laid out once: quicker, and nothing jumps
        with writer.saving(picture, str(film), DPI):
            for place in [*range(len(shown.times)), *[len(shown.times) - 1] * HOLD]:
                move(place)
                writer.grab_frame()
        replace_file(target, film.read_bytes())
    return target


def _film(picture: Figure, path: Any, shown: Scene) -> Any:
    """Draw the first frame; the function that comes back moves it to a place."""
    left, right = picture.subplots(1, 2, width_ratios=(1.25, 1.0))
    move = (_line if len(shown.coordinates) == 1 else _plane)(left, shown)
    s, F = np.asarray(path.arclength), np.asarray(path.free_energy)
    right.plot(s, F, "o-", color=style.BLUE, markersize=4)
    cursor: Line2D = right.axvline(0.0, color=style.RED, linewidth=1.6)
    right.set(xlabel="arclength s (length)", ylabel="free energy F (energy)", title="Free energy")
    style.light_grid(right)

    def to(place: int) -> None:
        move(place)
        cursor.set_xdata([shown.arclength[place]] * 2)
        left.set_title(style.when(shown.times[place], shown.arclength[place]))

    return to


def _plane(axes: Any, shown: Scene) -> Any:
    """Heat map, where a density is known, and particles; in more dimensions in the pair that changes most."""
    a, b = shown.pair
    box, image = shown.box[[a, b]], None
    if shown.densities is not None:
        image = heat_map(axes, shown.densities[0], box, shown.densities)
    dots = axes.scatter(*shown.particles[0][:, [a, b]].T, s=8, color=style.SKY, edgecolors="white", linewidths=0.3)
    names = [f"$x_{{{shown.coordinates[i]}}}$" for i in (a, b)]
    axes.set(xlim=box[0], ylim=box[1], xlabel=names[0], ylabel=names[1])
    axes.set_aspect("equal" if 0.6 < tallness(box) < 1.5 else "auto", adjustable="box")

    def move(place: int) -> None:
        if image is not None and shown.densities is not None:
            image.set_data(shown.densities[place])
        dots.set_offsets(shown.particles[place][:, [a, b]])

    return move


def _line(axes: Any, shown: Scene) -> Any:
    """The curve, where a density is known, over the faint start and end; the particles below."""
    curve, low = None, -1.0
    if shown.densities is not None and shown.target is not None:
        x, top = np.linspace(shown.box[0, 0], shown.box[0, 1], shown.densities.shape[1]), float(shown.densities.max())
        axes.plot(x, shown.densities[0], color=style.GREY, linewidth=1, linestyle=":", label="start")
        axes.plot(x, shown.target, color=style.GREY, linewidth=1, linestyle="--", label=shown.target_name)
        (curve,) = axes.plot(x, shown.densities[0], color=style.BLUE)
        low = -0.16 * top
        axes.set(ylim=(1.1 * low, 1.05 * top), ylabel=r"density $\rho(x)$")
        axes.legend(loc="upper right")
    heights = low * (0.2 + 0.8 * np.random.default_rng(0).random(shown.particles.shape[1]))
    dots = axes.scatter(shown.particles[0][:, 0], heights, s=5, color=style.SKY)
    axes.set(xlim=shown.box[0], xlabel="$x$")

    def move(place: int) -> None:
        if curve is not None and shown.densities is not None:
            curve.set_ydata(shown.densities[place])
        dots.set_offsets(np.column_stack([shown.particles[place][:, 0], heights]))

    return move
