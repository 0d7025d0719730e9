"""Cells of equal size in a box, in one or two dimensions."""

from typing import NamedTuple

import numpy as np


class Mesh(NamedTuple):
    """`box` (d, 2): lower and upper ends; `cells`: their number along each axis."""

    box: np.ndarray
    cells: tuple[int, ...]

    @property
    def dim(self) -> int:
        return len(self.cells)

    @property
    def spacing(self) -> np.ndarray:
        """h (d,)."""
        return (self.box[:, 1] - self.box[:, 0]) / np.array(self.cells)

    @property
    def volume(self) -> float:
        """Of one cell."""
        return float(np.prod(self.spacing))

    @property
    def axes(self) -> list[np.ndarray]:
        """The cells' centres along each axis."""
        return [
            low + h * (np.arange(n) + 0.5) for (low, _), h, n in zip(self.box, self.spacing, self.cells, strict=True)
        ]

    @property
    def centres(self) -> np.ndarray:
        """The cells' centres (*cells, d)."""
        return np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1)

    def offsets(self) -> np.ndarray:
        """All differences of two centres (2 n_1 - 1, ..., d), zero in the middle."""
        axes = [h * np.arange(1 - n, n) for h, n in zip(self.spacing, self.cells, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def left(a: np.ndarray, axis: int) -> np.ndarray:
    """The values of the cells to the left of the inner faces of an axis."""
    return a[(slice(None),) * axis + (slice(None, -1),)]


def right(a: np.ndarray, axis: int) -> np.ndarray:
    """The values of the cells to the right of the inner faces of an axis."""
    return a[(slice(None),) * axis + (slice(1, None),)]


def divergence(fluxes: list[np.ndarray], mesh: Mesh) -> np.ndarray:
    """div of fluxes through the inner faces of each axis; nothing goes through the walls."""
    result = np.zeros(mesh.cells)
    for axis, (flux, h) in enumerate(zip(fluxes, mesh.spacing, strict=True)):
        left(result, axis)[...] += flux / h
        right(result, axis)[...] -= flux / h
    return result
