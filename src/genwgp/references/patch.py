"""An isotropic Gaussian on its way to a uniform disk."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.initial.base import AbstractDensity, Points, compiled
from genwgp.initial.gaussian import Gaussian
from genwgp.references.base import time_in

NEWTON = 80  # iterations from below, which converge monotonically, in the worst place after about 2 t
LEAST = 1e-30  # of e^{-2t}, below which nothing changes any more


class SpreadGaussian(AbstractDensity):
    """N(c, s^2 I) in the plane after the time t of the flow of `NewtonianAggregation` without a charge.

    With u = |x_0 - c|^2 and M(u) = 1 - exp(-u / (2 s^2)), particles are at |x - c|^2 = M(u) + (u - M(u)) e^{-2t}, where
    rho = 1 / (pi (1 + (1 / (pi rho_0) - 1) e^{-2t})). u is found from x by Newton's method.
    """

    start: Gaussian
    rate: float  # 1 / (2 s^2)
    decay: Float[Array, ""]  # e^{-2t}
    dim: int = eqx.field(static=True)

    def __init__(self, centre: Any, width: float, t: Any):
        self.start, self.rate = Gaussian(centre, width**2), 1 / (2 * width**2)
        self.decay, self.dim = jnp.maximum(jnp.exp(-2 * time_in(t)), LEAST), 2

    @property
    def mean(self) -> Float[Array, " 2"]:
        """The centre."""
        return self.start.mean

    @property
    def covariance(self) -> Float[Array, "2 2"]:
        """E|x - c|^2 / 2 times the identity."""
        return (0.25 + (0.5 / self.rate - 0.25) * self.decay) * jnp.eye(2)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n 2"]:
        """`n` independent samples."""
        return self._moved(self.start.sample(key, n), jnp)

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, 2), numpy float64, from scrambled Sobol points."""
        return self._moved(self.start.quasi_sample(seed, n), np)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x)."""
        return compiled(self._log_prob, self._points(x))

    def score(self, x: Points) -> Float[Array, "*n 2"]:
        """grad log rho(x)."""
        return compiled(self._score, self._points(x))

    def _moved(self, x: Any, numbers: Any) -> Any:
        """Where particles of the start are."""
        centre, decay = numbers.asarray(self.start.mean), numbers.asarray(self.decay)
        square = ((x - centre) ** 2).sum(axis=1, keepdims=True)
        inside = -numbers.expm1(-self.rate * square)
        return centre + (x - centre) * numbers.sqrt(decay + (1 - decay) * inside / square)

    def _first(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        """u of the particle at x: the root of a concave rising function, from below."""
        square, rate, decay = jnp.sum((x - self.start.mean) ** 2), self.rate, self.decay
        value = lambda u: -(1 - decay) * jnp.expm1(-rate * u) + decay * u
        slope = lambda u: (1 - decay) * rate * jnp.exp(-rate * u) + decay
        begin = jnp.maximum(square / ((1 - decay) * rate + decay), (square - (1 - decay)) / decay)
        return jax.lax.fori_loop(0, NEWTON, lambda _, u: u + (square - value(u)) / slope(u), begin)

    def _log_start(self, u: Float[Array, ""]) -> Float[Array, ""]:
        """log(pi rho_0)."""
        return math.log(self.rate) - self.rate * u

    def _log_prob(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        return -math.log(math.pi) - self._log_slowness(self._first(x))

    def _log_slowness(self, u: Float[Array, ""]) -> Float[Array, ""]:
        """log(1 - e + e / (pi rho_0)), e = e^{-2t}: minus log(pi rho)."""
        return jnp.logaddexp(jnp.log1p(-self.decay), jnp.log(self.decay) - self._log_start(u))

    def _score(self, x: Float[Array, " 2"]) -> Float[Array, " 2"]:
        """-2 rate e (rho / rho_0)^2 (x - c): d log rho / du = -rate e rho / rho_0, d|x - c|^2 / du = rho_0 / rho."""
        u = self._first(x)
        share = jnp.exp(jnp.log(self.decay) - 2 * (self._log_slowness(u) + self._log_start(u)))
        return -2 * self.rate * share * (x - self.start.mean)
