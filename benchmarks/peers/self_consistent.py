"""Self-consistent velocity matching: one network v(t, x) for the whole path, matched to the flow that it makes itself.

Li, Hurault and Solomon, "Self-consistent velocity matching of probability flows", NeurIPS 2023; the fixed point is that
of Shen, Wang, Kale, Ribeiro, Karbasi and Hassani, COLT 2022. Each iteration carries particles and their exact score
along the flow of the present network, and takes one Adam step on |v - f|^2 with f = -grad V - D score held fixed. Their
code: 1,000 particles at 20 times, Adam with b2 = 0.9, a rate from 1e-3 down to 1e-6 as a cosine, 10^4 iterations. Here:
v = -grad V - D s with a network for s only, scaled by 1/sqrt(sigma^2 + 2 D t), two hidden layers of 64, 256 particles
at 24 times whose steps grow, and fewer iterations, since each takes some 50 ms of one core; each of these made the
error smaller in the same time.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from peers.common import Estimate, Task, descend, divergence, graded, moments_of, pulled_back

FINE = 4  # times the steps of the training, when densities are asked for


class Setting(NamedTuple):
    iterations: int
    particles: int = 256
    steps: int = 24
    rate: float = 3e-3
    width: int = 64
    shown: int = 4  # estimates on the way


SETTINGS = [Setting(400), Setting(1600)]


class Velocity(eqx.Module):
    """v(t, x) = -grad V - D s(t, x)."""

    force: Callable
    network: eqx.nn.MLP
    D: float = eqx.field(static=True)
    width: float = eqx.field(static=True)  # of the start
    last: float = eqx.field(static=True)

    def __call__(self, t: Array, x: Array) -> Array:
        scale = 1 / jnp.sqrt(self.width**2 + 2 * self.D * t)
        clock = jnp.stack([jnp.sqrt(t / self.last), jnp.log(scale * self.width)])
        return self.force(x) - self.D * scale * self.network(jnp.concatenate([x, clock]))


def run(task: Task, setting: Setting) -> Iterator[Estimate]:
    d, last = task.initial.dim, task.times[-1]
    network = eqx.nn.MLP(d + 2, d, setting.width, 2, activation=jax.nn.silu, key=jax.random.key(0))
    velocity = Velocity(task.force, network, task.D, 1 / task.inverse_width(), last)
    optimiser = optax.adam(optax.cosine_decay_schedule(setting.rate, setting.iterations, 1e-3), b2=0.9)
    state = optimiser.init(eqx.filter(network, eqx.is_array))
    grid = jnp.asarray(graded(task.times, setting.steps), dtype=float)
    fine = graded(task.times, FINE * setting.steps)
    for part in range(setting.shown):
        key = jax.random.key(part)
        velocity, state = learn(optimiser, velocity, state, task.initial, grid, key, setting)
        judged = velocity
        yield Estimate(
            f"{(part + 1) * setting.iterations // setting.shown} of {setting.iterations} iterations",
            lambda t, x, v=judged: pulled_back(task, lambda t, x, c: march(v, x, c, until(fine, t)[::-1]), t, x),
            lambda t, v=judged: moments_of(march(v, task.particles(4096, 5), jnp.zeros(4096), until(fine, t))[0]),
        )


def until(grid: np.ndarray, t: float) -> Array:
    return jnp.asarray(grid[grid <= t + 1e-12], dtype=float)


@eqx.filter_jit
def learn(
    optimiser: Any, velocity: Velocity, state: Any, initial: Any, grid: Array, key: Array, setting: Setting
) -> tuple:
    """A part of the iterations."""
    D, force = velocity.D, velocity.force

    def weigh(network: Any, key: Array) -> Array:
        moving = eqx.tree_at(lambda velocity: velocity.network, velocity, network)
        x = initial.sample(key, setting.particles)
        x, u = jax.lax.stop_gradient(carry(moving, x, initial.score(x), grid))
        goal = jax.vmap(jax.vmap(force))(x) - D * u
        miss = jax.vmap(lambda t, x, goal: jax.vmap(lambda x: moving(t, x))(x) - goal)(grid, x, goal)
        weight = velocity.width**2 + 2 * D * grid  # of the size of 1 / score^2: the start alone would decide else
        return jnp.mean(weight[:, None] * jnp.sum(miss**2, -1))

    count = setting.iterations // setting.shown
    network, state, _ = descend(optimiser, velocity.network, state, weigh, count, key)
    return eqx.tree_at(lambda velocity: velocity.network, velocity, network), state


def carry(velocity: Velocity, x: Array, u: Array, grid: Array) -> tuple[Array, Array]:
    """Particles and scores at all times of the grid, by midpoint steps: u' = -(grad v)^T u - grad div v."""

    def rates(t: Array, x: Array, u: Array) -> tuple[Array, Array]:
        field = lambda x: velocity(t, x)
        slope, value = jax.grad(lambda x: _pair(field, x, u), has_aux=True)(x)
        return value, -slope

    def step(now: tuple, ends: tuple) -> tuple[tuple, tuple]:
        (x, u), (t, after) = now, ends
        h, both = after - t, jax.vmap(rates, in_axes=(None, 0, 0))
        v, a = both(t, x, u)
        v, a = both(t + h / 2, x + h / 2 * v, u + h / 2 * a)
        return (x + h * v, u + h * a), (x + h * v, u + h * a)

    _, later = jax.lax.scan(step, (x, u), (grid[:-1], grid[1:]))
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), (x, u), later)


def _pair(field: Callable, x: Array, u: Array) -> tuple[Array, Array]:
    value, spread = divergence(field, x)
    return value @ u + spread, value


@eqx.filter_jit
def march(velocity: Velocity, x: Array, change: Array, grid: Array) -> tuple[Array, Array]:
    """Points and the change of log rho along the flow over the grid, which may go backward."""

    def step(now: tuple, ends: tuple) -> tuple[tuple, None]:
        (x, change), (t, after) = now, ends
        h = after - t
        half = x + h / 2 * jax.vmap(lambda x: velocity(t, x))(x)
        value, spread = jax.vmap(lambda x: divergence(lambda x: velocity(t + h / 2, x), x))(half)
        return (x + h * value, change - h * spread), None

    return jax.lax.scan(step, (x, change), (grid[:-1], grid[1:]))[0]
