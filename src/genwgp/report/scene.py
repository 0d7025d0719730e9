"""A path as it is shown in motion: the same particles, and densities, at equal steps of arclength."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from genwgp.diagnostics.compare import places
from genwgp.errors import InputError
from genwgp.report.sampling import SEED, equilibrium_shape, grid, log_density, window

STEPS = 36  # a multiple of the usual 12 layers: the nodes are among the places
FEW, MANY = 400, 1500  # particles beside a known density, and particles that stand for one
LINE_POINTS, SIDE = 300, 48
END = "end of the path"
COORDINATES = 8  # that can be looked at in more than two dimensions


class Scene(NamedTuple):
    """Places of a path, m of them, from its start to its end.

    arclength, times (m,); the last time is infinite where the end stands for the equilibrium. particles (m, n, c): the
    same n particles, in the c `coordinates` that are shown. box (c, 2): a window that holds them. densities
    (m, points) on a line and (m, side, side) in the plane, the first coordinate along the rows' entries; None in more
    dimensions, and where the energy knows no density. target: on the same points what `target_name` says, the
    equilibrium or the end of the path.
    """

    arclength: np.ndarray
    times: np.ndarray
    particles: np.ndarray
    coordinates: np.ndarray
    box: np.ndarray
    densities: np.ndarray | None
    target: np.ndarray | None
    target_name: str

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
    known = path.dim <= 2 and path.energy.internal is not None  # without one the density is carried, but means nothing
    shown = [path.at(**place) for place in [{"node": 0}, *places(path, steps)]]
    arclength, times = (np.array([float(getattr(rho, name)) for rho in shown]) for name in ("arclength", "time"))
    moved = _particles(path, arclength, FEW if known else MANY)
    chosen = _changing(moved)
    moved = moved[..., chosen]
    box = window(list(moved))
    points = _points(box, side, line_points) if known else None
    densities = []
    for i, rho in enumerate(shown):
        if points is not None:
            densities.append(np.exp(log_density(rho, points)))
        tell(i + 1)
    if points is None:
        return Scene(arclength, times, moved, chosen, box, None, None, END)
    target, name = _target(path, points, densities[-1])
    shape = (side, side) if path.dim == 2 else (line_points,)
    shaped = np.stack(densities).reshape(len(shown), *shape)
    return Scene(arclength, times, moved, chosen, box, shaped, target.reshape(shape), name)


def _particles(path: Any, arclength: np.ndarray, count: int) -> np.ndarray:
    """The same particles at all places, (m, n, d), without those that are carried to infinity."""
    x0 = path.initial.sample(jax.random.key(SEED), count)
    moved = np.asarray(path.trajectories(x0, arclength=arclength), dtype=np.float64)
    moved = moved[:, np.isfinite(moved).all(axis=(0, 2))]
    if not moved.size:
        raise InputError("solution", "particles that are not finite", "a path whose particles are finite")
    return moved


def _points(box: np.ndarray, side: int, line_points: int) -> np.ndarray:
    """Where densities are looked at, (points, d)."""
    if len(box) == 2:
        return grid(box, side)[2]
    return np.linspace(box[0, 0], box[0, 1], line_points)[:, None]


def _changing(particles: np.ndarray) -> np.ndarray:
    """The coordinates that can be shown: all, or those whose variance changes most."""
    change = np.abs(particles[-1].var(axis=0) - particles[0].var(axis=0))
    return np.sort(np.argsort(-change, kind="stable")[:COORDINATES])


def _target(path: Any, points: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, str]:
    """exp(-V/D)/Z on the points, normalised there as the end is; the end itself where there is none, or a horizon."""
    if np.isinf(path.times[-1]):
        shape = equilibrium_shape(path, points)
        if shape is not None and shape.sum() > 0:
            return shape * (end.sum() / shape.sum()), "equilibrium"
    return end, END
