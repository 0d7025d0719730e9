"""The box and the cells of a finite-volume solution, from the energy and the start."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genwgp.energies.internal import AbstractInternal, Entropy
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity
from genwgp.references.box import SIZE, find_box, tensor_grid
from genwgp.references.evaluate import on_points

NEGLIGIBLE = {1: 36.0, 2: 20.0}  # exp(-20) = 2e-9: what lies deeper does not matter beside the errors of a mesh
START_SAMPLES = 4096
CELLS = {1: 4096, 2: 288}  # per axis, with an entropy
MOST_CELLS = {1: 16384, 2: 448}
CELLS_UPWIND = {1: 400, 2: 128}  # per axis, else
WIDTHS = 0.3  # largest cell, in standard deviations of the narrowest part of the start
CURVATURE_SAMPLES = 256
RIM = 0.1  # share of the region of a compact support that is added on each side
POTENTIAL_FIELD, INITIAL_FIELD = "FiniteVolume.potential", "FiniteVolume.initial"
LOG_DENSITY = "a density whose log_prob of one point, shape (d,), returns one number"

Values = Callable[[np.ndarray], np.ndarray]


def automatic_box(
    initial: AbstractDensity, V: Values | None, internal: AbstractInternal | None, interacting: bool
) -> np.ndarray:
    """The box (d, 2) that holds the start and whatever the flow makes of it, but for what is NEGLIGIBLE.

    With an entropy: where (V - min V) / D < 36 in one dimension, 20 in two. Without, and without interaction:
    mu = V + D U'(rho) does not exceed its largest value at the start, so neither does V on the support. InputError
    where the energy does not bound the path.
    """
    depth = NEGLIGIBLE[initial.dim]
    minus_log = on_points(INITIAL_FIELD, lambda x: -initial.log_prob(x), LOG_DENSITY)
    x = initial.quasi_sample(0, START_SAMPLES)
    around = np.stack([x.min(axis=0), x.max(axis=0)], axis=1)
    wide = np.ptp(around, axis=1, keepdims=True) * np.array([-0.5, 0.5]) + around
    start = find_box(minus_log, initial.dim, depth, wide, INITIAL_FIELD)
    if V is None or (interacting and not isinstance(internal, Entropy)):
        allowed = "(d, 2) finite numbers: only a potential, without interaction or with an entropy, bounds the path"
        raise InputError("FiniteVolume.box", None, allowed)
    if isinstance(internal, Entropy):
        return _union(start, find_box(V, initial.dim, depth * internal.D, None, POTENTIAL_FIELD))
    level, lowest = _level(start, minus_log, V, internal)
    region = find_box(V, initial.dim, max(level - lowest, 1e-12 * abs(level)), start, POTENTIAL_FIELD)
    region = _union(start, region)
    return region + RIM * np.ptp(region, axis=1, keepdims=True) * np.array([-1.0, 1.0])


def automatic_cells(initial: AbstractDensity, entropy: bool, box: np.ndarray) -> tuple[int, ...]:
    """Cells along each axis: more of them where the start is narrow, -d^2 log rho_0 / dx_i^2 = 1 / width^2."""
    dim = initial.dim
    if not entropy:
        return (CELLS_UPWIND[dim],) * dim
    x = jnp.asarray(initial.quasi_sample(1, CURVATURE_SAMPLES), dtype=float)
    curvature = jax.jit(jax.vmap(lambda p: -jnp.diagonal(jax.jacfwd(initial.score)(p))))(x)
    narrow = 1 / np.sqrt(np.maximum(np.asarray(curvature, dtype=np.float64).max(axis=0), 1e-12))
    wanted = np.nan_to_num(np.ptp(box, axis=1) / (WIDTHS * narrow))
    return tuple(int(n) for n in np.clip(np.ceil(wanted), CELLS[dim], MOST_CELLS[dim]))


def _level(start: np.ndarray, minus_log: Values, V: Values, internal: AbstractInternal | None) -> tuple[float, float]:
    """The largest mu at the start, and the least V there."""
    points = tensor_grid(start, SIZE[len(start)])
    log_rho, height = -minus_log(points), V(points)
    supported = log_rho > log_rho.max() - NEGLIGIBLE[len(start)]
    inner = 0.0 if internal is None else np.asarray(internal.derivative(jnp.exp(jnp.asarray(log_rho, dtype=float))))
    return float(np.max((height + inner)[supported])), float(height[supported].min())


def _union(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([np.minimum(a[:, 0], b[:, 0]), np.maximum(a[:, 1], b[:, 1])], axis=1)
