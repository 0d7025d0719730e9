"""Score-based transport: particles moved by the probability flow, with a network for the score of their density.

Boffi and Vanden-Eijnden, "Probability flow solution of the Fokker-Planck equation", Mach. Learn.: Sci. Technol. 4
(2023) 035012. At each step the network goes on learning from the particles, by Adam steps on E|s|^2 + 2 E div s, and
they move with -grad V - D s. Their code, for a harmonic trap: one hidden layer of 100 swish units, 10^4 steps at a rate
of 5e-3 for the score of the start, then steps of 1e-3 with 25 Adam steps each. Here: two hidden layers of 64 (the
scores are not linear), steps that grow and that are of second order, the network scaled by 1/sqrt(sigma^2 + 2 D t), and
quasi-random particles; each of these made the error smaller in the same time. Densities are not in the paper: the
networks of all steps are kept, and points are followed back through them.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from peers.common import Estimate, Task, Trail, descend, divergence, graded, midpoint

FIRST, FIRST_RATE = 1500, 5e-3


class Setting(NamedTuple):
    steps: int
    updates: int
    particles: int
    rate: float = 1e-3
    width: int = 64


SETTINGS = [Setting(60, 10, 1000), Setting(150, 10, 2000), Setting(300, 25, 2000)]


class Score(eqx.Module):
    """s(x) = scale * network(x)."""

    network: eqx.nn.MLP
    scale: Array

    def __call__(self, x: Array) -> Array:
        return self.scale * self.network(x)


def run(task: Task, setting: Setting) -> Iterator[Estimate]:
    x, inverse = task.particles(setting.particles), task.inverse_width()
    scale = lambda t: jnp.asarray(1 / np.sqrt(inverse**-2 + 2 * task.D * t), dtype=float)
    d = task.initial.dim
    network = eqx.nn.MLP(d, d, setting.width, 2, activation=jax.nn.silu, key=jax.random.key(0))
    network = first(network, x, task.initial.score(x), scale(0.0))
    grid = graded(task.times, setting.steps)
    optimiser = optax.adam(setting.rate)
    state, trail = optimiser.init(eqx.filter(network, eqx.is_array)), Trail()
    for t, h in zip(grid, np.diff(grid), strict=False):
        network, state, _ = learn(optimiser, network, state, x, scale(t), setting.updates)
        field, length = Velocity(task.force, task.D, Score(network, scale(t))), jnp.asarray(h, dtype=float)
        x, _ = midpoint(field, x, jnp.zeros(len(x)), length)
        trail.append((field, length), t + h, x)
    label = f"{setting.steps} steps, {setting.updates} updates each, {setting.particles} particles"
    yield trail.estimate(task, label, lambda step, x, change: midpoint(step[0], x, change, -step[1]))


class Velocity(eqx.Module):
    """-grad V - D s, the velocity of the probability flow."""

    force: Callable
    D: float
    score: Score

    def __call__(self, x: Array) -> Array:
        return self.force(x) - self.D * self.score(x)


@eqx.filter_jit
def first(network: Any, x: Array, score: Array, scale: Array) -> Any:
    """The network that has the score of the start."""
    weigh = lambda network: jnp.mean(jnp.sum((jax.vmap(network)(x) - score / scale) ** 2, -1))
    optimiser = optax.adam(optax.cosine_decay_schedule(FIRST_RATE, FIRST))
    return descend(optimiser, network, optimiser.init(eqx.filter(network, eqx.is_array)), weigh, FIRST)[0]


@eqx.filter_jit
def learn(optimiser: Any, network: Any, state: Any, x: Array, scale: Array, updates: int) -> tuple[Any, Any, Array]:
    """Some Adam steps on E|s|^2 + 2 E div s, s = scale * network, over scale^2."""

    def weigh(network: Any) -> Array:
        value, spread = jax.vmap(lambda x: divergence(network, x))(x)
        return jnp.mean(jnp.sum(value**2, -1) + 2 * spread / scale)

    return descend(optimiser, network, state, weigh, updates)
