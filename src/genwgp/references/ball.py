"""Densities with compact support: powers of 1 - r^2 on a ball."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import betaincinv, ndtri

from genwgp.checks import finite_array, is_traced
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity, Points, compiled, sobol


class Ball(AbstractDensity):
    """rho = A (1 - |x - c|^2 / R^2)_+^p, A = Gamma(p + 1 + d/2) / (pi^{d/2} Gamma(p + 1) R^d).

    `centre` (d,), `radius` R > 0, `power` p >= 0: 0 is the uniform density, 1/2 in one dimension the semicircle.
    Outside the ball log_prob is -inf and the score 0. InputError otherwise.
    """

    centre: Float[Array, " d"]
    radius: Float[Array, ""]
    power: float = eqx.field(static=True)

    def __init__(self, centre: Any, radius: Any, power: float):
        self.centre = jnp.asarray(finite_array("Ball.centre", centre, (None,)), dtype=float)
        self.radius = jnp.asarray(finite_array("Ball.radius", radius, ()), dtype=float)
        if not is_traced(self.radius) and not self.radius > 0:
            raise InputError("Ball.radius", radius, "a finite number above 0")
        self.power = float(finite_array("Ball.power", power, ()))
        if self.power < 0:
            raise InputError("Ball.power", power, "a finite number, at least 0")

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.centre.shape[-1]

    @property
    def mean(self) -> Float[Array, " d"]:
        """The centre."""
        return self.centre

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """R^2 / (d + 2 p + 2) times the identity."""
        return self.radius**2 / (self.dim + 2 * self.power + 2) * jnp.eye(self.dim)

    @property
    def log_peak(self) -> Float[Array, ""]:
        """log A, the largest log-density."""
        return log_amplitude(self.dim, self.power) - self.dim * jnp.log(self.radius)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples: |x - c|^2 / R^2 is Beta(d/2, p + 1), the direction is uniform."""
        along, across = jax.random.split(key)
        share = jax.random.beta(across, self.dim / 2, self.power + 1, (n, 1))
        normal = jax.random.normal(along, (n, self.dim))
        return self.centre + self.radius * jnp.sqrt(share) * normal / jnp.linalg.norm(normal, axis=1, keepdims=True)

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64, from scrambled Sobol points."""
        uniform = sobol(seed, n, self.dim + 1)
        normal = ndtri(uniform[:, 1:])
        share = betaincinv(self.dim / 2, self.power + 1, uniform[:, :1])
        centre, radius = np.asarray(self.centre, dtype=np.float64), float(self.radius)
        return centre + radius * np.sqrt(share) * normal / np.linalg.norm(normal, axis=1, keepdims=True)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x), normalised."""
        return compiled(self._log_prob, self._points(x))

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """grad log rho(x) = -2 p (x - c) / (R^2 - |x - c|^2)."""
        return compiled(self._score, self._points(x))

    def _left(self, x: Float[Array, " d"]) -> tuple[Array, Array]:
        """Whether x is inside, and 1 - |x - c|^2 / R^2 there, else 1: derivatives of the unused branch stay finite."""
        left = 1 - jnp.sum((x - self.centre) ** 2) / self.radius**2
        return left > 0, jnp.where(left > 0, left, 1.0)

    def _log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        inside, left = self._left(x)
        return jnp.where(inside, self.log_peak + self.power * jnp.log(left), -jnp.inf)

    def _score(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        inside, left = self._left(x)
        return jnp.where(inside, -2 * self.power * (x - self.centre) / (self.radius**2 * left), 0.0)


def log_amplitude(dim: int, power: float) -> float:
    """log A of the unit ball."""
    return math.lgamma(power + 1 + dim / 2) - dim / 2 * math.log(math.pi) - math.lgamma(power + 1)
