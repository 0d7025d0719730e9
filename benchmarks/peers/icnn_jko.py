"""JKO steps with input-convex networks.

Mokrov, Korotin, Li, Genevay, Solomon and Burnaev, "Large-scale Wasserstein gradient flows", NeurIPS 2021. Each step of
length h finds a convex psi that minimises E |grad psi(x) - x|^2 / (2 h) + V(grad psi(x)) - D log det Hess psi(x), and
grad psi moves the particles. Their code for Ornstein-Uhlenbeck processes: two layers of 64, 500 Adam steps of 1024
particles at a rate of 5e-3 for each h = 0.05, log det exact. Here: h grows, each psi begins where the one before ended,
the rate falls as a cosine within a step, and particles are kept at the present time instead of being pushed through all
maps again; each of these made the error smaller in the same time. Densities as in the paper: points go back through the
inverse maps, by Newton's method.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from peers.common import Estimate, Task, Trail, batch_of, descend, graded

POOL, NEWTON = 8192, 12


class Setting(NamedTuple):
    steps: int
    updates: int
    batch: int = 1024
    rate: float = 5e-3
    width: int = 64


SETTINGS = [Setting(6, 200, 512), Setting(12, 300, 512), Setting(20, 500)]


class Convex(eqx.Module):
    """psi(x) = |x|^2 / 2 + c |x|^2 / 2 + b x + w softplus-network(x), with weights above zero where it must be."""

    first: eqx.nn.Linear
    skip: eqx.nn.Linear
    inner: Array
    last: Array
    shift: Array
    stretch: Array

    def __init__(self, d: int, width: int, key: Array):
        one, two, three = jax.random.split(key, 3)
        self.first, self.skip = eqx.nn.Linear(d, width, key=one), eqx.nn.Linear(d, width, key=two)
        self.inner = jax.random.normal(three, (width, width)) - jnp.log(jnp.asarray(float(width)))
        self.last = jnp.full(width, -8.0)  # the map begins close to the identity, as after their pretraining
        self.shift, self.stretch = jnp.zeros(d), jnp.zeros(())

    def __call__(self, x: Array) -> Array:
        hidden = jax.nn.softplus(self.first(x))
        hidden = jax.nn.softplus(jnp.exp(self.inner) @ hidden + self.skip(x))
        square = 0.5 * (x @ x)
        return jnp.exp(self.stretch) * square + self.shift @ x + jnp.exp(self.last) @ hidden


def run(task: Task, setting: Setting) -> Iterator[Estimate]:
    x, d, trail = task.particles(POOL), task.initial.dim, Trail()
    psi, grid = Convex(d, setting.width, jax.random.key(0)), graded(task.times, setting.steps)
    for i, h in enumerate(np.diff(grid)):
        psi = jko_step(task.V, task.D, psi, x, jnp.asarray(h, dtype=float), jax.random.key(i), setting)
        x = push(psi, x)
        trail.append(psi, grid[i + 1], x)
    yield trail.estimate(task, f"{len(grid) - 1} steps, {setting.updates} updates each", pull)


@eqx.filter_jit
def jko_step(V: Callable, D: float, psi: Any, pool: Array, h: Array, key: Array, setting: Setting) -> Any:
    def weigh(psi: Any, key: Array) -> Array:
        def loss(x: Array) -> Array:
            y, (_, log_det) = jax.grad(psi)(x), jnp.linalg.slogdet(jax.hessian(psi)(x))
            return jnp.sum((y - x) ** 2) / (2 * h) + V(y) - D * log_det

        return jnp.mean(jax.vmap(loss)(batch_of(pool, setting.batch, key)))

    optimiser = optax.adam(optax.cosine_decay_schedule(setting.rate, setting.updates, 1e-2))
    state = optimiser.init(eqx.filter(psi, eqx.is_array))
    return descend(optimiser, psi, state, weigh, setting.updates, key)[0]


@eqx.filter_jit
def push(psi: Any, x: Array) -> Array:
    return jax.vmap(jax.grad(psi))(x)


@eqx.filter_jit
def pull(psi: Any, y: Array, change: Array) -> tuple[Array, Array]:
    """x with grad psi (x) = y; back there log rho is larger by log det Hess psi(x)."""

    def one(y: Array) -> tuple[Array, Array]:
        towards = lambda _, x: x - jnp.linalg.solve(jax.hessian(psi)(x), jax.grad(psi)(x) - y)
        x = jax.lax.fori_loop(0, NEWTON, towards, y)
        return x, jnp.linalg.slogdet(jax.hessian(psi)(x))[1]

    x, log_det = jax.vmap(one)(y)
    return x, change + log_det
