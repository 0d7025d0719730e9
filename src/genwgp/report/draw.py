"""All pictures of a solution."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from genwgp.io.folder import writing
from genwgp.report import style
from genwgp.report.curves import direction_picture, free_energy_picture, layers_picture
from genwgp.report.density import density_picture
from genwgp.report.trajectories import trajectory_picture

PICTURES: dict[str, Callable[[Any], Figure]] = {
    "density": density_picture,
    "trajectories": trajectory_picture,
    "free-energy": free_energy_picture,
    "layers": layers_picture,
    "direction-residual": direction_picture,
}


def draw_all(solution: Any, folder: str | os.PathLike, wanted: Callable[[], bool] = lambda: True) -> list[Path]:
    """Draw densities, trajectories, free energy, layers and direction residual as PNG files, while they are `wanted`.

    The folder is made where it is missing; files of the same name are replaced. RunFolderError if it cannot be written.
    """
    target, drawn = Path(folder), []
    with writing(target, "pictures "), style.styled():
        for name, draw in PICTURES.items():
            if wanted():
                drawn.append(style.write(draw(solution.path), target / f"{name}.png"))
    return drawn
