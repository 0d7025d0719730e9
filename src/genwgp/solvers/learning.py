"""Waves that learn where to stand: directions, widths and offsets that leave the least of the present force.

In many dimensions no directions that are chosen beforehand are dense. With R what all other features leave of -grad mu
at particles that stand, and waves f_j(x) = exp(-(w_j . x + b_j)^2 / 2),

    min over w, b of min over c of E |R - sum_j c_j grad f_j|^2

by Adam in (w, b), with c solved for in each step (variable projection), in coordinates in which the particles have mean
0 and covariance 1. They start from where they were in these at the segment before. The segment has them as features
like all others, where they pay.
Source: G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10 (1973) 413.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from genwgp.energies import FreeEnergy
from genwgp.layers.fields import Field, Waves
from genwgp.parts import compiled
from genwgp.solvers.features import ACROSS, waves_across
from genwgp.solvers.fitting import Explicit
from genwgp.solvers.frame import Frame
from genwgp.solvers.particles import Choice
from genwgp.solvers.segment import constant, grad_mu, velocity

COUNT = 300  # of these waves, in place of a third as many that learn nothing
WORTH = 1e-3  # of the force: where no more is left, there is nothing to learn
PAYS, HOPE = 0.85, 0.95  # of what waves that learn nothing leave, at most; the same half-way through a first try
AGAIN = 2.0  # times what was left when it did not pay: from there on it is tried again
BEGIN, GO_ON = 6, 2  # rounds, between which the coefficients of all features are fitted: at first, and from then on
RATE, STEPS, BATCH = 0.1, 40, 1024  # of Adam in a round
SIZES = 0.2, 5.0  # 1 / width of the waves, least and largest
RIDGE = 1e-6  # of the coefficients c, relative
TINY = 1e-100  # added to the force, which is 0 at a start in equilibrium


class Learner:
    """What a sweep has learned: waves in the frame of the particles, and what was left where that did not pay."""

    def __init__(self):
        self.waves: tuple[np.ndarray, np.ndarray] | None = None
        self.futile = 0.0

    def field(
        self,
        energy: FreeEnergy,
        field: Field,
        fit: Callable[[Field], Explicit],
        choice: Choice,
        rng: np.random.Generator,
    ) -> tuple[Field, Explicit]:
        """The field, whose last waves learn nothing, or with those that have learned in their place where they pay.

        With what `fit` makes of it.
        """
        force = grad_mu(energy, choice.state)
        size = float(np.linalg.norm(force * np.sqrt(choice.weight)[:, None])) + TINY
        untaught = fit(field)
        plain = untaught.left / size
        if not plain > max(WORTH, AGAIN * self.futile):
            return field, untaught
        x = np.asarray(choice.state.x)
        frame = Frame.of(x)
        own = self.waves or frame.inside(waves_across(energy, x, rng, COUNT))
        taught, left = replaced(field, frame.outside(*own)), []
        fitted, rounds = fit(taught), GO_ON if self.waves else BEGIN
        for n in range(rounds):
            rest = _rest(force, taught, fitted.coefficients, choice)
            own = _learned(frame, own, choice, rest, int(rng.integers(2**31)))
            taught = replaced(field, frame.outside(*own))
            fitted = fit(taught)
            left.append(fitted.left / size)
            if n < rounds // 2 and not left[-1] < HOPE * plain:
                break
        pays = left[-1] < PAYS * plain
        self.waves, self.futile = (own, 0.0) if pays else (None, plain)
        return (taught, fitted) if pays else (field, untaught)


def replaced(field: Field, waves: Waves) -> Field:
    """The field with these as the last of its waves."""
    before = field.terms[-1]
    assert isinstance(before, Waves)
    kept = before.size - ACROSS
    pairs = zip((before.weight[:kept], before.offset[:kept]), (waves.weight, waves.offset), strict=True)
    return Field((*field.terms[:-1], Waves(*(jnp.concatenate(pair) for pair in pairs))))


def _rest(force: Float[np.ndarray, "n d"], field: Field, c: Float[np.ndarray, " p"], choice: Choice):
    """R (n, d): what the field without its learning waves leaves of -force; zero where that is not finite."""
    others = np.where(np.arange(field.size) < field.size - COUNT, c, 0)
    rest = -force - velocity(constant(field, others), 0.0, choice.state)
    return np.where(np.isfinite(rest).all(1, keepdims=True), rest, 0)


def _learned(frame: Frame, own: Any, choice: Choice, rest: Float[np.ndarray, "n d"], seed: int) -> Any:
    """Weights and offsets in the frame after a round."""
    inverse = np.linalg.inv(frame.root)
    data = frame.points(np.asarray(choice.state.x)), rest, choice.weight
    return tuple(map(np.asarray, _adam(tuple(map(jnp.asarray, own)), jnp.asarray(inverse), data, jax.random.key(seed))))


@compiled
def _adam(waves, inverse: Float[Array, "d d"], data, key):
    """STEPS of Adam, each on BATCH of the particles. `data`: y, R and weights; `inverse`: of the root of the frame."""
    optimiser, count = optax.scale_by_adam(), len(data[0])

    def step(i, carry):
        waves, moments = carry
        index = jax.random.choice(jax.random.fold_in(key, i), count, (min(BATCH, count),), replace=False)
        slope = jax.grad(_left)(waves, inverse, *(part[index] for part in data))
        with jax.numpy_dtype_promotion("standard"):  # optax relies on it
            change, moments = optimiser.update(slope, moments)
        rate = RATE / 2 * (1 + jnp.cos(jnp.pi * jnp.asarray(i, inverse.dtype) / STEPS))
        w, b = jax.tree.map(lambda part, by: part - rate * by, waves, change)
        size = jnp.linalg.norm(w, axis=1, keepdims=True)
        return (w * jnp.clip(size, *SIZES) / size, b), moments

    return jax.lax.fori_loop(0, STEPS, step, (waves, optimiser.init(waves)))[0]


def _left(waves, inverse: Float[Array, "d d"], y: Float[Array, "n d"], rest: Float[Array, "n d"], weight):
    """min over c of E |R - sum_j c_j grad f_j|^2 over E |R|^2; the derivative of c does not matter at the least."""
    w, b = waves
    t = y @ w.T + b
    slope, direction = -t * jnp.exp(-0.5 * t**2), w @ inverse
    weighted = weight[:, None] * slope
    gram = (slope.T @ weighted) * (direction @ direction.T)
    right = ((weighted.T @ rest) * direction).sum(1)
    c = jnp.linalg.solve(gram + RIDGE * jnp.diag(jnp.diag(gram) + 1e-300), right)
    left = rest - (slope * jax.lax.stop_gradient(c)) @ direction
    return weight @ (left**2).sum(1) / (weight @ (rest**2).sum(1))
