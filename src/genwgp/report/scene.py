"""A path as it is shown in motion: the same particles, and densities, at equal steps of arclength."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from genwgp.errors import InputError
from genwgp.report.sampling import SEED, equilibrium_shape, grid, log_density, window

STEPS = 36  # a multiple of the usual 12 layers: the nodes are among the places
FEW, MANY = 400, 1500  # particles beside a known density, and particles that stand for one
LINE_POINTS, SIDE = 300, 48
COORDINATES = 8  # that can be looked at in more than two dimensions


class Scene(NamedTuple):
    """Places of a path, m of them, from its start to its end.

    arclength, times (m,); the last time is infinite where the end stands for the equilibrium. particles (m, n, c): the
    same n particles, in the c `coordinates` that are shown. box (c, 2): a window that holds them. densities
    (m, points) on a line and (m, side, side) in the plane, the first coordinate along the rows' entries; None in more
    dimensions, and where the energy knows no density. target: the equilibrium on the same points, or the end.
    """

    arclength: np.ndarray
    times: np.ndarray
    particles: np.ndarray
    coordinates: np.ndarray
    box: np.ndarray
    densities: np.ndarray | None
    target: np.ndarray | None

    @property
    def pair(self) -> tuple[int, int]:
        """The two of the coordinates whose variance changes most, by their places, in order."""
        first, last = self.particles[0].var(axis=0), self.particles[-1].var(axis=0)
        low, high = sorted(np.argsort(-np.abs(last - first), kind="stable")[:2].tolist())
        return low, high


def scene(
    path: Any,
    steps: int = STEPS,
    side: int = SIDE,
    line_points: int = LINE_POINTS,
    tell: Callable[[int], Any] = lambda done: None,
) -> Scene:
    """The path at `steps` + 1 places; `tell` is called with the number of those that are done.

    InputError where no particle stays finite.
    """
    shown = path.dim <= 2 and path.energy.internal is not None  # without one the density is carried, but means nothing
    places = list(_places(path, steps))
    x0 = path.initial.sample(jax.random.key(SEED), FEW if shown else MANY)
    moved = np.stack([np.asarray(path.transport(x0, **place), dtype=np.float64) for place in places])
    moved = moved[:, np.isfinite(moved).all(axis=(0, 2))]
    if not moved.size:
        raise InputError("solution", "particles that are not finite", "a path whose particles are finite")
    chosen = _changing(moved)
    moved, densities, points = moved[..., chosen], [], np.empty((0, path.dim))
    box = window(list(moved))
    if shown:
        points = grid(box, side)[2] if path.dim == 2 else np.linspace(box[0, 0], box[0, 1], line_points)[:, None]
    whens = []
    for i, place in enumerate(places):
        rho = path.at(**place)
        whens.append((float(rho.arclength), float(rho.time)))
        if shown:
            densities.append(np.exp(log_density(rho, points)))
        tell(i + 1)
    arclength, times = np.array(whens).T
    shape = (len(places), side, side) if path.dim == 2 else (len(places), len(points))
    known = np.stack(densities).reshape(shape) if shown else None
    return Scene(arclength, times, moved, chosen, box, known, None if known is None else _target(path, points, known))


def _places(path: Any, steps: int):
    """What `path.at` takes; nodes at both ends: rounding must not leave the path."""
    length = float(path.arclength[-1])
    yield {"node": 0}
    for k in range(1, steps):
        yield {"arclength": length * k / steps}
    yield {"node": len(path.arclength) - 1}


def _changing(particles: np.ndarray) -> np.ndarray:
    """The coordinates that can be shown: all, or those whose variance changes most."""
    change = np.abs(particles[-1].var(axis=0) - particles[0].var(axis=0))
    return np.sort(np.argsort(-change, kind="stable")[:COORDINATES])


def _target(path: Any, points: np.ndarray, densities: np.ndarray) -> np.ndarray:
    """exp(-V/D)/Z on the points, normalised there as the end is; the end itself where there is none, or a horizon."""
    end = densities[-1]
    if np.isinf(path.times[-1]):
        shape = equilibrium_shape(path, points)
        if shape is not None and shape.sum() > 0:
            return shape.reshape(end.shape) * (end.sum() / shape.sum())
    return end
