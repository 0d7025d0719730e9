"""A Runge-Kutta method that chooses its steps: for particles where steps chosen for others need not do."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# Dormand and Prince, J. Comput. Appl. Math. 6 (1980) 19: nodes, stages (the last of them is the result, of order
# five), and the difference to the embedded result of order four.
NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
DIFFERENCE = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)

TOLERANCE, ROUNDING = 1e-6, 20  # of a step, relative; not below so many times the rounding of the type
FINEST = 32  # the first step over the shortest one
LOST = 10.0  # times the tolerance: the error of a log-density in the shortest step with which a particle is lost
SHRINK, GROW, SAFETY = 0.2, 5.0, 0.9

Derivative = Callable[[Array, Any], Any]  # of y, any pytree, at a place


class _March(NamedTuple):
    """The share of the way that is done, y there with its derivative, and the next step as a share of the way."""

    done: Float[Array, ""]
    y: Any
    slope: Any
    step: Float[Array, ""]


def adaptive(derivative: Derivative, y: Any, start: Float[Array, ""], stop: Float[Array, ""], steps: Int[Array, ""]):
    """y, any pytree, carried from `start` to `stop` (either way); `steps`: how many of them are tried first.

    The error of each step is held below 1e-6 relative to y and its change on the whole way, and of numbers, which are
    log-densities here, below 1e-6 where they are small. No step is shorter than a 32nd of the first ones: with a larger
    error it is done all the same, but where that of a number is above 1e-5, or nothing is finite, the particle is lost
    and all of y is NaN. So there is no wrong number where the solution becomes infinite on the way. Errors of vectors
    lose none: rounding alone may be as large where a particle stands still close to the origin.
    """
    way = stop - start
    shortest = 1 / (FINEST * steps.astype(way.dtype))
    slope_at = lambda done, y: jax.tree.map(lambda k: way * k, derivative(start + done * way, y))

    def advance(m: _March) -> _March:
        step = jnp.minimum(m.step, 1 - m.done)
        after, slope, error, error_of_numbers = _step(slope_at, m, step)
        forced = step <= shortest
        good = (error <= 1) | (forced & jnp.isfinite(error) & (error_of_numbers <= LOST))
        lost = forced & ~good
        pick = lambda a, b: jnp.where(lost, jnp.nan, jnp.where(good, a, b))
        wanted = step * jnp.clip(SAFETY * jnp.maximum(error, 1e-10) ** -0.2, SHRINK, GROW)
        done = jnp.where(lost | (step == 1 - m.done), 1, m.done + step)
        return _March(
            jnp.where(good | lost, done, m.done),
            jax.tree.map(pick, after, m.y),
            jax.tree.map(pick, slope, m.slope),
            jnp.maximum(jnp.where(jnp.isfinite(error), wanted, SHRINK * step), shortest),
        )

    zero = jnp.zeros_like(way)
    begin = _March(zero, y, slope_at(zero, y), 1 / steps.astype(way.dtype))
    return jax.lax.while_loop(lambda m: m.done < 1, advance, begin).y


def _step(slope_at: Derivative, m: _March, step: Float[Array, ""]) -> tuple[Any, Any, Array, Array]:
    """y after a step and its derivative there; the error over what is tolerated, of all and of numbers alone."""
    dtype = step.dtype
    rows = jnp.asarray([row + (0.0,) * (len(NODES) - len(row)) for row in STAGES], dtype)
    move = lambda slopes, row: jax.tree.map(lambda y, k: y + step * jnp.tensordot(row, k, 1), m.y, slopes)

    def stage(i, slopes):
        slope = slope_at(m.done + jnp.asarray(NODES, dtype)[i + 1] * step, move(slopes, rows[i]))
        return jax.tree.map(lambda k, new: k.at[i + 1].set(new), slopes, slope)

    start = jax.tree.map(lambda k: jnp.zeros((len(NODES), *k.shape), k.dtype).at[0].set(k), m.slope)
    slopes = jax.lax.fori_loop(0, len(STAGES), stage, start)  # a loop: the derivative, often long, is compiled once
    moved = move(slopes, rows[-1])
    difference = jax.tree.map(lambda k: step * jnp.tensordot(jnp.asarray(DIFFERENCE, dtype), k, 1), slopes)
    errors = jax.tree.leaves(jax.tree.map(_relative, difference, m.y, m.slope))
    of_numbers = [error for error, y in zip(errors, jax.tree.leaves(m.y), strict=True) if y.ndim == 0]
    # Nothing is differentiated by its steps.
    largest = lambda errors: jax.lax.stop_gradient(jnp.max(jnp.stack([jnp.zeros_like(step), *errors])))
    return moved, jax.tree.map(lambda k: k[-1], slopes), largest(errors), largest(of_numbers)


def _relative(error: Float[Array, "*s"], y: Float[Array, "*s"], change: Float[Array, "*s"]) -> Float[Array, ""]:
    """The largest error over what is tolerated of it."""
    kind = jnp.finfo(y.dtype)
    least = 1 if y.ndim == 0 else float(kind.tiny) ** 0.5  # what stands still at 0 has no error
    scale = least + jnp.max(jnp.abs(y)) + jnp.max(jnp.abs(change))
    return jnp.max(jnp.abs(error)) / (scale * max(TOLERANCE, ROUNDING * float(kind.eps)))
