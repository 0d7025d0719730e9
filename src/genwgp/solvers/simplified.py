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
from genwgp.solvers.collocation import Penalty, Stages, cholesky, collocate
from genwgp.solvers.mean_field import MeanField
from genwgp.solvers.segment import Segment

RADAU = np.array([[5, -1], [9, 3]]) / 12
STEPS = 9  # more would cost as much as a Jacobian
MEMORY = 5  # steps that the acceleration looks back on
SETTLED = 0.03  # relative change of the residual over two steps that tells that it is as small as it gets


def simplified_newton(
    mean_field: MeanField, segment: Segment, now: Stages, state: State, root_weight, penalty: Penalty, floor: float
) -> tuple[Segment, Stages, list[float]] | None:
    """The segment, its stages and the sizes on the way; None where the residual neither settles nor is below `floor`.

    Arguments as in `collocation.solve_segment`.
    """
    model = _model(mean_field.now(), segment, state, root_weight, penalty)
    if model is None:
        return None
    history, residuals, moves = [now.size], [_rows(now)], []
    for _ in range(STEPS):
        if not np.isfinite(now.size):
            return None
        moves.append(_move(model, segment, residuals, moves))
        segment = segment.changed(moves[-1])
        now = collocate(mean_field, segment, state, root_weight, penalty)
        residuals.append(_rows(now))
        history.append(now.size)
        if now.size <= floor or (len(history) > 3 and abs(now.size / history[-3] - 1) < SETTLED):
            return segment, now, history
    return None


def implicit_start(
    mean_field: MeanField, rest: Segment, now: Stages, state: State, root_weight, penalty: Penalty
) -> Segment | None:
    """One step of the method from a segment in which nothing moves: the linearly implicit step of Radau.

    Where forces are steep a velocity that stays as it is throws particles past where they would come to rest; this one
    is damped there. None where the matrix cannot be factorised.
    """
    model = _model(mean_field.now(), rest, state, root_weight, penalty)
    return None if model is None else rest.changed(_move(model, rest, [_rows(now)], []))


def _rows(stages: Stages) -> Float[np.ndarray, "2 n e"]:
    return stages.residuals.swapaxes(0, 1)


class _Model(NamedTuple):
    """B and h E (n, e, p) of the equations of the particles, and the factor of J^T J with the penalty."""

    still: Rows | Tall
    moved: Rows | Tall
    factor: Any
    penalty: Penalty


def _model(energy: FreeEnergy, segment: Segment, state: State, root_weight, penalty: Penalty) -> _Model | None:
    """None where the matrix cannot be factorised: it is not finite, or singular to rounding."""
    still, moved = _columns(energy, segment.field, segment.first, (state, root_weight))
    moved = float(segment.duration) * moved
    cross = np.kron(RADAU, still.inner(moved))
    gram = np.kron(np.eye(2), still.inner(still)) + cross + cross.T + np.kron(RADAU.T @ RADAU, moved.inner(moved))
    factor = cholesky(gram, np.tile(penalty.weight, 2), segment.field)
    return None if factor is None else _Model(still, moved, factor, penalty)


def _move(model: _Model, segment: Segment, residuals: list[np.ndarray], moves: list[np.ndarray]) -> np.ndarray:
    """The step from where the combination of earlier moves would leave least."""
    rest, back = residuals[-1], np.zeros((2, segment.field.size))
    if moves:
        changes = [after - before for before, after in pairwise(residuals)][-MEMORY:]
        shares = np.linalg.lstsq(np.stack([a.ravel() for a in changes], 1), rest.ravel(), rcond=1e-10)[0]
        rest = rest - sum(a * change for a, change in zip(shares, changes, strict=True))
        back = sum((a * move for a, move in zip(shares, moves[-MEMORY:], strict=True)), back)
    pull = model.penalty.pull(segment._replace(first=segment.first - back[0], second=segment.second - back[1]))
    by = lambda matrix: np.stack([matrix.transposed(a) for a in rest])
    slope = by(model.still) + RADAU.T @ by(model.moved) + pull
    return -cho_solve(model.factor, slope.ravel(), check_finite=False).reshape(2, -1) - back


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
