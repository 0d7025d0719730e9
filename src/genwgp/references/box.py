"""Where exp(-V/D) matters: the smallest box, on a grid, around the region V - min V < depth D."""

from collections.abc import Callable

import numpy as np

from genwgp.errors import InputError

DEPTH = 45.0  # exp(-45) = 3e-20, below the rounding of float64
HALF_WIDTH = 32.0
SIZE = {1: 4097, 2: 257}  # points per axis of the search
GROWTHS, SHRINKS = 20, 12


def find_box(
    values: Callable[[np.ndarray], np.ndarray],
    dim: int,
    energy: float,
    start: np.ndarray | None,
    field: str = "QuadratureReference.potential",
) -> np.ndarray:
    """The box (d, 2) of V - min V < `energy`; `values` maps points (n, d) to V (n,); the search begins at `start`.

    InputError naming `field` if the region does not end.
    """
    box = np.array([[-HALF_WIDTH, HALF_WIDTH]] * dim) if start is None else start
    for _ in range(GROWTHS):
        low, high, _ = _region(values, box, energy, field)
        touched_low, touched_high = low <= box[:, 0], high >= box[:, 1]
        if not np.any(touched_low | touched_high):
            return _shrink(values, box, energy, field)
        width = box[:, 1] - box[:, 0]
        box = np.stack([box[:, 0] - width * touched_low, box[:, 1] + width * touched_high], axis=1)
    allowed = "a function that grows in all directions, so that exp(-V/D) has an integral"
    raise InputError(field, f"V < min V + {energy:g} out to {box.tolist()}", allowed)


def _shrink(values: Callable[[np.ndarray], np.ndarray], box: np.ndarray, energy: float, field: str) -> np.ndarray:
    """Cut to the region and a rim of two cells, again and again, as finer grids see it better, until it stays."""
    for _ in range(SHRINKS):
        low, high, spacing = _region(values, box, energy, field)
        low, high = np.maximum(low - 2 * spacing, box[:, 0]), np.minimum(high + 2 * spacing, box[:, 1])
        tighter = np.stack([low, high], axis=1)
        if np.all(tighter[:, 1] - tighter[:, 0] > 0.9 * (box[:, 1] - box[:, 0])):
            return tighter
        box = tighter
    return box


def _region(
    values: Callable[[np.ndarray], np.ndarray], box: np.ndarray, energy: float, field: str
) -> tuple[np.ndarray, ...]:
    """The lowest and highest corner of the region on the grid of this box, and its spacing."""
    points = tensor_grid(box, SIZE[len(box)])
    height = values(points)
    if not np.any(np.isfinite(height)):
        raise InputError(field, f"no finite value in {box.tolist()}", "finite somewhere")
    inside = points[height <= height.min() + energy]
    return inside.min(axis=0), inside.max(axis=0), (box[:, 1] - box[:, 0]) / (SIZE[len(box)] - 1)


def tensor_grid(box: np.ndarray, size: int) -> np.ndarray:
    """The points (size^d, d) of a tensor grid, ends included."""
    axes = np.meshgrid(*(np.linspace(low, high, size) for low, high in box), indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=-1)
