"""The collocation equations by a simplified Newton method: one small matrix a segment instead of a Jacobian a step.

Where hardly anything moves within a segment, a change dc of the coefficients of features f moves particles by
h A grad f dc, A the Radau matrix, and changes the equations (r_1, r_2) at both Radau points by nearly

    J dc = (I (x) B + h A (x) E) dc,   B = (grad f, f),
    E = ((grad v + Hess V) grad f - D (grad lap f + Hess f u), (v + grad V) . grad f - D lap f),

all at particles that stand at the start of the segment: steps -(J^T J)^-1 J^T r need no derivative of the motion.
Particles that cross a feature within the segment are not seen by J; combining the steps for the least residual
(Anderson's acceleration) makes up for it. Where that does not settle, the whole Jacobian must (`collocation`).
Source: H. F. Walker and P. Ni, SIAM J. Numer. Anal. 49 (2011) 1715.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.linalg import cho_solve

from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.layers.fields import Field
from genwgp.mesh import Tall
from genwgp.parts import Rows, over_rows, over_wide
from genwgp.solvers.collocation import Penalty, Stages, cholesky, collocate, size_of_most
from genwgp.solvers.directed import Directed, is_directed, linearised, products
from genwgp.solvers.mean_field import MeanField
from genwgp.solvers.segment import Segment

RADAU = np.array([[5, -1], [9, 3]]) / 12
STEPS = 9  # more would cost as much as a Jacobian
MEMORY = 5  # steps that the acceleration looks back on
KEPT = 2  # matrices: those of velocities as the force stands and of none
SETTLED = 0.03  # relative change of the residual over two steps that tells that it is as small as it gets


class Found(NamedTuple):
    """The best segment, its stages, the sizes on the way, and whether the residual settled or was small enough."""

    segment: Segment
    stages: Stages
    history: list[float]
    settled: bool


class Linear(NamedTuple):
    """B and E (n, e, p) of the equations of particles that stand, and their products B^T B, B^T E, E^T E."""

    still: Rows | Tall | Directed
    moved: Rows | Tall | Directed
    products: tuple[np.ndarray, np.ndarray, np.ndarray]


class Linearised:
    """The `Linear` of the present particles, kept while only the duration changes from one attempt to the next."""

    def __init__(self):
        self._kept: dict[bytes, Linear] = {}

    def at(self, energy: FreeEnergy, field: Field, c, state: State, root_weight) -> Linear:
        """Of velocities with coefficients c; the same particles and field each time, but for their weights."""
        key = np.asarray(c).tobytes() + np.asarray(root_weight).tobytes()
        if key not in self._kept:
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = _linear(energy, field, c, state, root_weight)
        return self._kept[key]


def _linear(energy: FreeEnergy, field: Field, c, state: State, root_weight) -> Linear:
    if is_directed(field, state.x.shape[1]):
        b, e = linearised(energy, field, c, state, root_weight)
        bb, be, ee = products([(b, b), (b, e), (e, e)])
        return Linear(b, e, (bb, be, ee))
    b, e = _columns(energy, field, c, (state, root_weight))
    return Linear(b, e, (b.inner(b), b.inner(e), e.inner(e)))


def simplified_newton(
    linear: Linear,
    mean_field: MeanField,
    segment: Segment,
    now: Stages,
    state: State,
    root_weight,
    penalty: Penalty,
    floor: float,
) -> Found:
    """Newton steps with the matrix of `linear` until the residual settles or, of most particles, is below `floor`.

    Other arguments as in `collocation.solve_segment`.
    """
    factor = _factor(linear, segment, penalty)
    best, least, history = (segment, now), size_of_most(now.squares), [now.size]
    residuals, moves = [_rows(now)], []
    for _ in range(STEPS if factor else 0):
        moves.append(_move(linear, factor, segment, penalty, residuals, moves))
        segment = segment.changed(moves[-1])
        now = collocate(mean_field, segment, state, root_weight, penalty)
        residuals.append(_rows(now))
        history.append(now.size)
        if not np.isfinite(now.size):
            break
        most = size_of_most(now.squares)
        if most < least:
            best, least = (segment, now), most
        if least <= floor or (len(history) > 3 and abs(now.size / history[-3] - 1) < SETTLED):
            return Found(*best, history, True)
    return Found(*best, history, False)


def implicit_start(linear: Linear, rest: Segment, now: Stages, penalty: Penalty) -> Segment | None:
    """One step of the method from a segment in which nothing moves: the linearly implicit step of Radau.

    Where forces are steep a velocity that stays as it is throws particles past where they would come to rest; this one
    is damped there. None where the matrix cannot be factorised.
    """
    factor = _factor(linear, rest, penalty)
    return rest.changed(_move(linear, factor, rest, penalty, [_rows(now)], [])) if factor else None


def _rows(stages: Stages) -> Float[np.ndarray, "2 n e"]:
    return stages.residuals.swapaxes(0, 1)


def _factor(linear: Linear, segment: Segment, penalty: Penalty) -> Any:
    """The factor of J^T J with the penalty; None where there is none: it is not finite, or singular to rounding."""
    h = float(segment.duration)
    still, cross, moved = linear.products
    cross = h * np.kron(RADAU, cross)
    gram = np.kron(np.eye(2), still) + cross + cross.T + h**2 * np.kron(RADAU.T @ RADAU, moved)
    return cholesky(gram, np.tile(penalty.weight, 2), segment.field)


def _move(
    linear: Linear,
    factor: Any,
    segment: Segment,
    penalty: Penalty,
    residuals: list[np.ndarray],
    moves: list[np.ndarray],
) -> np.ndarray:
    """The step from where the combination of earlier moves would leave least."""
    rest, back = residuals[-1], np.zeros((2, segment.field.size))
    if moves:
        changes = [after - before for before, after in pairwise(residuals)][-MEMORY:]
        shares = np.linalg.lstsq(np.stack([a.ravel() for a in changes], 1), rest.ravel(), rcond=1e-10)[0]
        rest = rest - sum(a * change for a, change in zip(shares, changes, strict=True))
        back = sum((a * move for a, move in zip(shares, moves[-MEMORY:], strict=True)), back)
    pull = penalty.pull(segment._replace(first=segment.first - back[0], second=segment.second - back[1]))
    by = lambda matrix: np.stack([matrix.transposed(a) for a in rest])
    slope = by(linear.still) + float(segment.duration) * RADAU.T @ by(linear.moved) + pull
    return -cho_solve(factor, slope.ravel(), check_finite=False).reshape(2, -1) - back


@over_rows
def _columns(energy: FreeEnergy, field: Field, c, particles) -> tuple[Float[Array, "n e p"], Float[Array, "n e p"]]:
    """B and E, weighted."""
    slope = jnp.zeros_like if energy.internal is None else energy.internal.slope

    def at(particle):
        z, weight = particle
        tangent = field.tangent(c, z.x, z.score)
        total = lambda x: field.rates(c, x, z.score)[0] + energy.drift(x[None])[0]
        by_density = slope(z.log_density)
        bent = jax.jacfwd(total)(z.x) @ tangent.velocity - by_density * tangent.source
        raised = total(z.x) @ tangent.velocity - by_density * tangent.divergence
        still = jnp.concatenate([tangent.velocity, tangent.value[None]])
        return weight[:, None] * still, weight[:, None] * jnp.concatenate([bent, raised[None]])

    return over_wide(at, particles)
