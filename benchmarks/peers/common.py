"""What the methods share: what they return, steps in time, divergences, and how a flow of steps gives its density."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

import genwgp as gw

Moments = tuple[np.ndarray, np.ndarray]


class Estimate(NamedTuple):
    """What a method knows at some moment: densities and moments at times. `label` says with which setting.

    log_prob: (t, points (n, d)) -> log rho_t (n,), or None where the method gives no density. moments: t -> mean,
    covariance, of its own particles or of its density. A curve of error against time has one point an Estimate.
    """

    label: str
    log_prob: Callable[[float, np.ndarray], np.ndarray] | None
    moments: Callable[[float], Moments]


class Task(NamedTuple):
    """A Fokker-Planck problem: V, D, the start, and the times at which the density is wanted, in rising order."""

    V: Callable[[Array], Array]
    D: float
    initial: Any
    times: tuple[float, ...]

    @classmethod
    def of(cls, problem: gw.Problem, times: Sequence[float]) -> "Task":
        potential, internal = problem.energy.potential, problem.energy.internal
        if potential is None or not isinstance(internal, gw.Entropy) or problem.energy.interaction is not None:
            raise ValueError(f"{problem.name}: these methods are for a potential and an entropy")
        return cls(potential, float(internal.D), problem.initial, tuple(times))

    def force(self, x: Array) -> Array:
        """-grad V at one point."""
        return -jax.grad(self.V)(x)

    def particles(self, n: int, seed: int = 0) -> Array:
        """Quasi-random points of the start where it has them: they are as good for the peers as for us."""
        return jnp.asarray(self.initial.quasi_sample(seed, n), dtype=float)

    def inverse_width(self) -> float:
        """Root of the start's Fisher information for each coordinate: 1 / sigma for a Gaussian."""
        return float(jnp.sqrt(jnp.mean(self.initial.score(self.particles(1024, 7)) ** 2)))


def graded(times: Sequence[float], steps: int) -> np.ndarray:
    """0 to the last time in about `steps` steps that grow linearly, with the times among them.

    Starts are narrow: their densities change in the first hundredths as much as in all the rest, and equal steps, which
    most papers have, would cost every method more.
    """
    grid = times[-1] * (np.arange(steps + 1) / steps) ** 2
    wanted = np.asarray(times)
    spacing = np.diff(grid).mean()
    kept = [t for t in grid if t == 0 or np.min(np.abs(t - wanted)) > 0.2 * min(spacing, 2 * np.sqrt(t) / steps)]
    return np.unique(np.concatenate([kept, wanted]))


def moments_of(x: Any) -> Moments:
    x = np.asarray(x, dtype=np.float64)
    return x.mean(0), np.cov(x.T).reshape(x.shape[1], x.shape[1])


def divergence(field: Callable[[Array], Array], x: Array) -> tuple[Array, Array]:
    """The field at a point and its divergence, exactly: d forward derivatives."""
    value, push = jax.linearize(field, x)
    return value, jnp.trace(jax.vmap(push)(jnp.eye(x.shape[0], dtype=x.dtype)))


@eqx.filter_jit
def midpoint(field: Callable[[Array], Array], x: Array, log_rho: Array, h: Array) -> tuple[Array, Array]:
    """One step of points (n, d) along a field, and of log rho along with them: (log rho)' = -div; h may be negative."""
    half = x + 0.5 * h * jax.vmap(field)(x)
    value, spread = jax.vmap(lambda x: divergence(field, x))(half)
    return x + h * value, log_rho - h * spread


def batch_of(pool: Array, size: int, key: Array) -> Array:
    """So many neighbours of a pool whose order is random."""
    return jax.lax.dynamic_slice_in_dim(pool, jax.random.randint(key, (), 0, len(pool) - size + 1), size)


class Trail:
    """The steps of a method that keeps a map for each: when each ends, and the particles there."""

    def __init__(self) -> None:
        self.maps: list[Any] = []
        self.ends: list[float] = []
        self.particles: list[Array] = []

    def append(self, step: Any, end: float, x: Array) -> None:
        self.maps.append(step)
        self.ends.append(float(end))
        self.particles.append(x)

    def until(self, t: float) -> int:
        """How many steps end by t."""
        return int(np.searchsorted(self.ends, t + 1e-9))

    def estimate(self, task: Task, label: str, undo: Callable) -> Estimate:
        """Densities: points go back through the maps by undo(map, x, change) -> (x, change)."""

        def back(t: float, x: Array, change: Array) -> tuple[Array, Array]:
            for step in reversed(self.maps[: self.until(t)]):
                x, change = undo(step, x, change)
            return x, change

        return Estimate(
            label,
            lambda t, x: pulled_back(task, back, t, x),
            lambda t: moments_of(self.particles[self.until(t) - 1]),
        )


def pulled_back(task: Task, steps_back: Callable, t: float, x: np.ndarray) -> np.ndarray:
    """log rho_t at x: x is followed back to the start by steps_back(t, x, 0) -> (x_0, what log rho lost on the way)."""
    points = jnp.asarray(x, dtype=float)
    start, change = steps_back(t, points, jnp.zeros(len(points)))
    found = np.asarray(task.initial.log_prob(start), dtype=np.float64) - np.asarray(change, dtype=np.float64)
    return np.where(np.isfinite(found), found, -np.inf)


def descend(optimiser: Any, model: Any, state: Any, weigh: Callable, updates: int, key: Any = None) -> tuple:
    """So many steps of an optimiser on weigh(model), or weigh(model, key) with a new key each: model, state, losses."""
    moving, fixed = eqx.partition(model, eqx.is_array)

    def step(carry: tuple, i: Array) -> tuple[tuple, Array]:
        moving, state = carry
        more = () if key is None else (jax.random.fold_in(key, i),)
        loss, slope = jax.value_and_grad(lambda moving: weigh(eqx.combine(moving, fixed), *more))(moving)
        change, state = optimiser.update(slope, state, moving)
        return (optax.apply_updates(moving, change), state), loss

    (moving, state), losses = jax.lax.scan(step, (moving, state), jnp.arange(updates))
    return eqx.combine(moving, fixed), state, losses
