"""One segment of the sweep: the collocation equations v + grad mu = 0 at the two Radau IIA points, by Newton steps.

On a segment of length h the velocity is grad phi(x; c(s)), c linear in s = (t - t_0) / h, with values c_1 at s = 1/3
and c_2 at s = 1. They solve, in weighted least squares over particles (x, l, u) that the segment itself carries,

    r_i = grad phi(x_i; c_i) + grad mu(x_i) = 0,   q_i = phi(x_i; c_i) + mu(x_i) = 0,   i = 1, 2,

mu = V + W * rho + D U'(rho), with rho in the interaction as the mean over other particles that the segment carries.

q says no more than r where particles are everywhere, but r alone does not see where the ridge between two modes is
before particles are there: there l jumps, while the scores on either side are right.

Newton's method in least squares takes their derivative through the whole motion (`jacobian`).

Radau IIA is L-stable and of order three: large steps near the equilibrium, where the equations are stiff, are safe.
Source: Hairer and Wanner, Solving Ordinary Differential Equations II, 2nd ed. (1996), section IV.5.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.linalg import LinAlgError
from scipy.linalg import cho_factor, cho_solve

from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.layers.fields import Field
from genwgp.mesh import Tall
from genwgp.parts import Rows, over_rows, over_wide
from genwgp.solvers.directed import is_directed, standing
from genwgp.solvers.jacobian import jacobian
from genwgp.solvers.mean_field import MeanField, carry
from genwgp.solvers.segment import FIRST, Segment, constant, equations

KEPT = 0.997  # share of the particles that judge a fit: the rest may be outliers, as on ridges between modes
LITTLE = 0.1  # share of the residual that is not worth another Newton step
FRACTIONS = (1.0, 0.5, 0.25, 0.1)  # of a Newton step, tried in this order


class Penalty(NamedTuple):
    """sum_j weight_j (c_j - centre_j)^2, added to the squared residual for the coefficients of each Radau point."""

    weight: Float[np.ndarray, " p"]
    centre: Float[np.ndarray, " p"]

    def pull(self, segment: Segment) -> Float[np.ndarray, "2 p"]:
        """weight (c - centre): half of its gradient."""
        return self.weight * self._away(segment)

    def value(self, segment: Segment) -> float:
        return float((self.pull(segment) * self._away(segment)).sum())

    def _away(self, segment: Segment) -> Float[np.ndarray, "2 p"]:
        return np.stack([segment.first, segment.second]) - self.centre


class Stages(NamedTuple):
    """The equations (r, q) at both Radau points times the roots of their weights, and the root of what is least.

    `size` squared is the sum of the squared residuals and the penalty; infinite where a particle is lost.
    """

    residuals: Float[np.ndarray, "n 2 e"]
    size: float

    @property
    def squares(self) -> Float[np.ndarray, " n"]:
        """Squared residual of each particle, summed over both Radau points."""
        return (self.residuals**2).sum((1, 2))


def collocate(mean_field: MeanField, segment: Segment, state: State, root_weight, penalty: Penalty) -> Stages:
    """The collocation equations at the present coefficients."""
    r = np.asarray(weighted_equations(mean_field.at_radau(segment), segment, state, root_weight))
    size = np.sqrt(np.sum(r**2) + penalty.value(segment))
    return Stages(r, float(size) if np.isfinite(size) else np.inf)


def weighted_equations(energy: FreeEnergy, segment: Segment, state: State, root_weight) -> Float[Array, "n 2 e"]:
    """At both Radau points, one after the other; what the energy sees has an axis of them."""
    found = []
    for i, (start, stop) in enumerate(pairwise((0.0, FIRST, 1.0))):
        state = carry(energy, segment, start, stop, state)
        here = energy.seeing(jax.tree.map(lambda a, i=i: a[i], energy.cloud))
        found.append(equations(here, segment, stop, state))
    return jnp.stack(found, 1) * root_weight[:, None]


class Factor(NamedTuple):
    """Cholesky factor of the Gauss-Newton matrix with the penalty, and the Jacobian (n, 2 (d + 1), 2 p)."""

    cholesky: Any
    jacobian: Rows | Tall


def factorise(mean_field: MeanField, segment: Segment, state, root_weight, penalty: Penalty) -> Factor:
    """The Gauss-Newton matrix of the collocation equations at the present coefficients, factorised on the host."""
    matrix = jacobian(mean_field, segment, state, root_weight)
    return Factor(cholesky(matrix.inner(matrix), np.tile(penalty.weight, 2), segment.field), matrix)


def cholesky(gram: np.ndarray, penalty: np.ndarray, field: Field):
    """The factor of A^T A with the penalty, on the host; None where there is none.

    A feature that hardly any particle sees has a column that is next to zero: its coefficient stays. What that is, the
    largest column in the same units tells, so that the units of the problem do not matter.
    """
    diagonal = np.diag(gram)
    unit = np.tile(field.units, len(gram) // field.size)
    largest = np.zeros(unit.max() + 1)
    np.maximum.at(largest, unit, np.nan_to_num(diagonal))
    damped = gram + np.diag(penalty + 1e-14 * largest[unit] + 1e-300)
    try:
        return cho_factor(damped, lower=True, check_finite=False)
    except LinAlgError:  # a matrix that is not finite, or singular to rounding
        return None


def newton_direction(factor: Factor, segment: Segment, stages: Stages, penalty: Penalty) -> tuple[Any, float]:
    """The least-squares step (2, p) against the weighted residuals and the penalty, and the size that it should leave.

    None and infinity where there is no factor.
    """
    if factor.cholesky is None:
        return None, np.inf
    rest = stages.residuals.reshape(len(stages.residuals), -1)
    slope = factor.jacobian.transposed(rest) + penalty.pull(segment).ravel()
    step = -cho_solve(factor.cholesky, slope, check_finite=False)
    direction = step.reshape(2, -1)
    moved = segment.changed(direction)
    left = np.sqrt(np.sum((rest + factor.jacobian.times(step)) ** 2) + penalty.value(moved))
    return direction, float(left)


def size_of_most(squares: np.ndarray) -> float:
    """Root of the sum of squared residuals (n,), without the worst particles."""
    return float(np.sqrt(np.sort(squares)[: int(KEPT * len(squares))].sum()))


class ExplicitFit(NamedTuple):
    """Fits of grad phi(x; c) = -grad mu(x) at standing particles, one for each ridge.

    coefficients (r, p); error (r,) on the particles that were fitted, most (r,) without the worst of them, held_out
    (r,) on most of others, by_kind (r, 2) there of grad phi and of phi; before of the start; diagonal (p,) of the Gram
    matrix, which the ridge multiplies.
    """

    coefficients: np.ndarray
    error: np.ndarray
    most: np.ndarray
    held_out: np.ndarray
    by_kind: np.ndarray
    before: float
    diagonal: np.ndarray


@over_rows
def _standing(field: Field, c, particles) -> Float[Array, "n e p"]:
    """Jacobian of weighted (grad phi + grad mu, phi + mu) at standing particles."""

    def columns(particle):
        z, weight = particle
        tangent = field.tangent(c, z.x, z.score)
        return weight[:, None] * jnp.concatenate([tangent.velocity, tangent.value[None]])

    return over_wide(columns, particles)


def explicit_fit(energy: FreeEnergy, field: Field, c, train, hold, ridges) -> ExplicitFit:
    """One Gauss-Newton step from c on `train`, for each ridge; `train` and `hold` are (particles, root of weights)."""
    directed = is_directed(field, train[0].x.shape[1])
    b, b_held = (standing(field, c, *part) if directed else _standing(field, c, part) for part in (train, hold))
    still = lambda part: np.asarray(equations(energy, constant(field, c), FIRST, part[0])) * np.asarray(part[1])
    rest, rest_held = still(train), still(hold)
    gram, slope = b.inner(b), b.transposed(rest)
    diagonal, fits = np.where(field.constant, 0, np.diag(gram)), []
    for ridge in ridges:
        factor = cholesky(gram, ridge * diagonal, field)
        if factor is not None:
            step = cho_solve(factor, slope, check_finite=False)
            squares, held = ((r - part.times(step)) ** 2 for r, part in ((rest, b), (rest_held, b_held)))
            parts = (squares, held, held[:, :-1], held[:, -1:])
            fits.append((c - step, np.sqrt(squares.sum()), *(size_of_most(part.sum(1)) for part in parts)))
        else:
            fits.append((c, *[np.inf] * 5))
    coefficients, error, most, held_out, *by_kind = (np.array(column) for column in zip(*fits, strict=True))
    before = float(np.linalg.norm(rest))
    return ExplicitFit(coefficients, error, most, held_out, np.stack(by_kind, 1), before, diagonal)


def solve_segment(
    mean_field: MeanField,
    segment: Segment,
    now: Stages,
    state: State,
    root_weight,
    penalty: Penalty,
    factors=12,
    reuse=6,
    floor=0.0,
):
    """Newton steps from a segment with its stages `now`: `factors` matrices at most, each used `reuse` times at most.

    A matrix is kept while it reduces the residual at least threefold; steps end where the linear equations promise no
    more, nothing is gained, or the residual is below `floor`. Returns the segment, its stages, the sizes on the way.
    """
    history = [now.size]
    for _ in range(factors):
        entered = history[-1]
        if entered <= floor:
            break
        factor, stale = factorise(mean_field, segment, state, root_weight, penalty), False
        for _ in range(reuse):
            direction, promised = newton_direction(factor, segment, now, penalty)
            if promised > (1 - LITTLE) * history[-1]:
                return segment, now, history
            if stale:
                break
            trial = _line_search(mean_field, segment, state, root_weight, penalty, direction, now)
            if trial is None:
                break
            segment, now = trial
            history.append(now.size)
            if history[-1] <= floor:
                break
            stale = history[-1] > history[-2] / 3
        if history[-1] > 0.8 * entered:
            break
    return segment, now, history


def _line_search(mean_field, segment, state, root_weight, penalty, direction, now: Stages):
    if direction is None:
        return None
    for fraction in FRACTIONS:
        trial = segment.changed(fraction * direction)
        new = collocate(mean_field, trial, state, root_weight, penalty)
        if new.size < now.size * (1 - 1e-3):
            return trial, new
    return None
