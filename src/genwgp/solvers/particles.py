"""The particles of a sweep: a pool to train on that reaches into the tails, and where features are placed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import chdtri

from genwgp.initial import AbstractDensity, Mixture
from genwgp.layers.base import State
from genwgp.parts import where_it_is

TAIL = 1e-6  # training particles stay inside the ball that leaves this mass of a Gaussian outside
# On a line: factors of a product are lines, and of a particle in many dimensions one coordinate or other is far out.
LINE_TAIL = 1e-9
PEAK = 0.995  # quantile of the density that is called its largest
CAUGHT = 10.0  # nats above it from where a particle has been caught in a point
FILLED = 0.55  # of that ball's radius: where the wider half of the pool has most of its particles
# Farther out than this the ridges between the modes of a mixture are sharp, where there is no mass yet.
MIXTURE_TAIL, MIXTURE_INFLATION = 1.7e-5, 1.25


def initial_state(density: AbstractDensity, x: Float[Array | np.ndarray, "n d"]) -> State:
    """Particles at x with the exact log-density and score of `density`."""
    return State(jnp.asarray(x), density.log_prob(jnp.asarray(x)), density.score(jnp.asarray(x)))


def tail(density: AbstractDensity) -> float:
    """The mass that training particles leave outside, were the start a Gaussian."""
    if isinstance(density, Mixture):
        return MIXTURE_TAIL
    return LINE_TAIL if density.dim == 1 else TAIL


def inflation(density: AbstractDensity) -> float:
    """How much larger the standard deviations of the wider half are: its particles fill the ball of `tail` evenly.

    Where training particles are few, in the tails, velocities are extrapolated; a handful of particles that start
    there would carry most of the residual.
    """
    if isinstance(density, Mixture):
        return MIXTURE_INFLATION
    return max(1.25, FILLED * float(np.sqrt(chdtri(density.dim, tail(density)) / density.dim)))


class Pool(NamedTuple):
    """Training particles, half from rho_0 and half from a wider density.

    log_ratio = log(proposal density / rho_0) where they started; transport keeps it, so exp(-log_ratio) are importance
    weights for the present density. `alive` is False for particles given up as outliers.
    """

    state: State
    log_ratio: Float[np.ndarray, " n"]
    alive: np.ndarray
    tail: float

    @classmethod
    def create(cls, density: AbstractDensity, n: int, seed: int) -> "Pool":
        wide = density.widened(inflation(density))
        x = np.concatenate([density.quasi_sample(seed, n // 2), wide.quasi_sample(seed + 1, n - n // 2)])
        state = initial_state(density, x)
        ratio = np.asarray(wide.log_prob(state.x)) - np.asarray(state.log_density)
        log_ratio = np.logaddexp(np.log(0.5), np.log(0.5) + ratio)
        return cls(state, log_ratio, np.isfinite(ratio), tail(density))

    def relative_log_density(self) -> Float[np.ndarray, " n"]:
        """log rho minus its greatest value among the particles that count, but for a few that are far above all others.

        Those have been caught in a point; no other would be near the peak that they pretend.
        """
        log_density = np.asarray(self.state.log_density)
        known = log_density[self.alive]
        peak = known[known <= np.quantile(known, PEAK) + CAUGHT].max()
        return np.where(self.alive, log_density - peak, -np.inf)

    def choose(self, n: int, rng: np.random.Generator) -> "Choice":
        """n particles, spread flatter than rho: drawn with density rho^(1 - a), weighted to density rho^(1 - b).

        In the plane a = 0.8 and b = 0.5: fits that see the tails do not blow up there. In higher dimensions the
        exponent a shrinks until the effective number of particles that remain is a fifth of the pool.
        """
        relative, d = self.relative_log_density(), self.state.x.shape[1]
        inside = relative > -0.5 * chdtri(d, self.tail)
        flat = 0.8
        while True:
            log_q = np.where(inside, -flat * relative - self.log_ratio, -np.inf)
            q = np.exp(log_q - log_q.max())
            q /= q.sum()
            if flat < 0.02 or 1 / (q**2).sum() > 0.2 * inside.sum():
                break
            flat *= 0.8
        index = rng.choice(q.size, min(n, int((q > 0).sum())), replace=False, p=q)
        index = np.resize(index, n)  # shapes stay the same: no new compilation
        weight = np.exp(0.375 * flat * relative[index])  # b = 0.625 a
        return Choice(index, jax.tree.map(lambda a: where_it_is(a)[index], self.state), weight / weight.sum())

    def drop(self, bad: np.ndarray) -> "Pool":
        return self._replace(alive=self.alive & ~bad)


class Choice(NamedTuple):
    """Training particles of one segment and their weights, which sum to one."""

    index: np.ndarray
    state: State
    weight: Float[np.ndarray, " n"]

    def first(self, n: int) -> "Choice":
        """At most n of them: they are in random order."""
        if n >= len(self.index):
            return self
        weight = self.weight[:n]
        return Choice(self.index[:n], jax.tree.map(lambda a: a[:n], self.state), weight / weight.sum())


def distance2(x: Float[np.ndarray, "n d"], centre: Float[np.ndarray, " d"], metric: Float[np.ndarray, "d d"]):
    """Squared distances to one point in its metric."""
    z = x - centre
    return ((z @ metric) * z).sum(1)


def farthest_points(candidates: Float[np.ndarray, "n d"], metric: Float[np.ndarray, "n d d"], count: int):
    """Indices of `count` of the candidates, each the farthest from those chosen before it, in their metrics."""
    chosen, nearest = [], np.full(len(candidates), np.inf)
    for _ in range(count):
        j = int(nearest.argmax())
        chosen.append(j)
        nearest = np.minimum(nearest, distance2(candidates, candidates[j], metric[j]))
    return np.array(chosen, dtype=int)


def spacing2(centres: Float[np.ndarray, "k d"], metric: Float[np.ndarray, "k d d"]) -> Float[np.ndarray, " k"]:
    """Mean squared distance of each centre to its d (d + 1) nearest neighbours, which touch it in a dense packing."""
    neighbours = centres.shape[1] * (centres.shape[1] + 1)
    pairs = np.stack([distance2(centres, c, m) for c, m in zip(centres, metric, strict=True)])
    return np.sort(pairs, 1)[:, 1 : neighbours + 1].mean(1)
