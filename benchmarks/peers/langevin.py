"""Langevin particles with a kernel density.

Particles dX = -grad V dt + sqrt(2 D) dB with stochastic Heun steps, of weak order two (Kloeden and Platen, 1992,
section 15.1; the comparison in Mokrov et al., NeurIPS 2021, takes Euler-Maruyama steps of 1e-3 and 1,000 to 50,000
particles), then a Gaussian kernel density with the bandwidth of Scott (1992) times the factor that makes held-out
particles likeliest. Up to two dimensions the kernel sum is a smoothed histogram, so that a million particles cost
hardly more than a thousand; else it is summed directly.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.ndimage import gaussian_filter, map_coordinates

from peers.common import Estimate, Task, moments_of

HELD, FACTORS = 2000, (0.3, 0.4, 0.55, 0.75, 1.0)
BINS = {1: 4096, 2: 512}


class Setting(NamedTuple):
    particles: int
    step: float


SETTINGS = [Setting(10_000, 0.02), Setting(100_000, 0.01), Setting(1_000_000, 0.01), Setting(2_000_000, 0.01)]


def run(task: Task, setting: Setting) -> Iterator[Estimate]:
    x, key, now, found = task.initial.sample(jax.random.key(0), setting.particles), jax.random.key(1), 0.0, {}
    for i, t in enumerate(task.times):
        count = max(1, round((t - now) / setting.step))
        h = jnp.asarray((t - now) / count, dtype=float)
        x, now = march(task.V, task.D, x, h, jnp.asarray(count), jax.random.fold_in(key, i)), t
        particles = np.asarray(x, dtype=np.float64)
        found[t] = density(particles), moments_of(particles)
    label = f"{setting.particles:,} particles, steps of {setting.step}"
    yield Estimate(label, lambda t, x: found[t][0](x), lambda t: found[t][1])


@eqx.filter_jit
def march(V: Callable, D: float, x: Array, h: Array, count: Array, key: Array) -> Array:
    slope = jax.vmap(jax.grad(V))

    def heun(i: Array, x: Array) -> Array:
        kick = jnp.sqrt(2 * D * h) * jax.random.normal(jax.random.fold_in(key, i), x.shape)
        first = slope(x)
        return x - h / 2 * (first + slope(x - h * first + kick)) + kick

    return jax.lax.fori_loop(0, count, heun, x)


def density(x: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """log of the kernel density of particles (n, d)."""
    held, rest = x[:HELD], x[HELD:]
    width = rest.std(0) * len(rest) ** (-1 / (x.shape[1] + 4))
    kernel = (smoothed if x.shape[1] in BINS else summed)(rest)
    factor = max(FACTORS, key=lambda factor: np.mean(np.maximum(kernel(factor * width)(held), -50.0)))
    return kernel(factor * width)


def smoothed(x: np.ndarray) -> Callable:
    """The kernel sum on a grid: a histogram, smoothed along each axis."""
    bins, margin = BINS[x.shape[1]], 0.15 * np.ptp(x, axis=0)
    low, high = x.min(0) - margin, x.max(0) + margin
    counts = np.histogramdd(x, bins, list(zip(low, high, strict=True)))[0]
    spacing = (high - low) / bins

    def kernel(width: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        rho = gaussian_filter(counts / (len(x) * spacing.prod()), width / spacing, mode="constant")
        place = lambda at: ((at - low) / spacing - 0.5).T
        return lambda at: np.log(np.maximum(map_coordinates(rho, place(at), order=1, cval=0.0), 1e-300))

    return kernel


def summed(x: np.ndarray) -> Callable:
    """The kernel sum itself, a hundred points at a time."""

    def kernel(width: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        scaled, constant = jnp.asarray(x / width, dtype=float), np.log(len(x) * np.prod(width * np.sqrt(2 * np.pi)))
        return lambda at: np.asarray(_log_sum(scaled, jnp.asarray(at / width, dtype=float)), np.float64) - constant

    return kernel


@eqx.filter_jit
def _log_sum(x: Array, at: Array) -> Array:
    squares = jnp.sum(x**2, -1)
    near = lambda y: jax.nn.logsumexp(x @ y - 0.5 * (squares + jnp.sum(y**2)))
    return jax.lax.map(near, at, batch_size=100)
