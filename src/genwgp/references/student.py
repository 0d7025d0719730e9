"""Densities with algebraic tails: negative powers of 1 + r^2."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import betaincinv, ndtri

from genwgp.checks import finite_array, is_traced, positive_number
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity, Points, compiled, sobol


class StudentProfile(AbstractDensity):
    """rho = A (1 + |x - c|^2 / R^2)^{-p}, A = Gamma(p) / (pi^{d/2} Gamma(p - d/2) R^d): Student's t distribution

    with 2 p - d degrees of freedom. `centre` (d,), `radius` R > 0, `power` p > d/2 + 1, so that there is a covariance.
    InputError otherwise.
    """

    centre: Float[Array, " d"]
    radius: Float[Array, ""]
    power: float = eqx.field(static=True)

    def __init__(self, centre: Any, radius: Any, power: float):
        self.centre = jnp.asarray(finite_array("StudentProfile.centre", centre, (None,)), dtype=float)
        self.radius = jnp.asarray(finite_array("StudentProfile.radius", radius, ()), dtype=float)
        if not is_traced(self.radius) and not self.radius > 0:
            raise InputError("StudentProfile.radius", radius, "a finite number above 0")
        self.power = float(finite_array("StudentProfile.power", power, ()))
        if not self.power > self.dim / 2 + 1:
            raise InputError("StudentProfile.power", power, f"above d/2 + 1 = {self.dim / 2 + 1:g}")

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.centre.shape[-1]

    @property
    def mean(self) -> Float[Array, " d"]:
        """The centre."""
        return self.centre

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """R^2 / (2 p - d - 2) times the identity."""
        return self.radius**2 / (2 * self.power - self.dim - 2) * jnp.eye(self.dim)

    @property
    def log_peak(self) -> Float[Array, ""]:
        """log A, the largest log-density."""
        return log_amplitude(self.dim, self.power) - self.dim * jnp.log(self.radius)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples: 1 / (1 + |x - c|^2 / R^2) is Beta(p - d/2, d/2), the direction is uniform."""
        along, across = jax.random.split(key)
        share = jax.random.beta(across, self.power - self.dim / 2, self.dim / 2, (n, 1))
        normal = jax.random.normal(along, (n, self.dim))
        length = jnp.linalg.norm(normal, axis=1, keepdims=True)
        return self.centre + self.radius * jnp.sqrt(1 / share - 1) * normal / length

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64, from scrambled Sobol points."""
        uniform = sobol(seed, n, self.dim + 1)
        normal = ndtri(uniform[:, 1:])
        share = betaincinv(self.power - self.dim / 2, self.dim / 2, uniform[:, :1])
        centre, radius = np.asarray(self.centre, dtype=np.float64), float(self.radius)
        return centre + radius * np.sqrt(1 / share - 1) * normal / np.linalg.norm(normal, axis=1, keepdims=True)

    def widened(self, factor: float) -> "StudentProfile":
        """The same profile with R times `factor`: a Gaussian would not reach as far."""
        return StudentProfile(self.centre, positive_number("widened.factor", factor) * self.radius, self.power)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x), normalised."""
        return compiled(self._log_prob, self._points(x))

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """grad log rho(x) = -2 p (x - c) / (R^2 + |x - c|^2)."""
        return compiled(self._score, self._points(x))

    def _log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return self.log_peak - self.power * jnp.log1p(jnp.sum((x - self.centre) ** 2) / self.radius**2)

    def _score(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        return -2 * self.power * (x - self.centre) / (self.radius**2 + jnp.sum((x - self.centre) ** 2))


def log_amplitude(dim: int, power: float) -> float:
    """log A for R = 1."""
    return math.lgamma(power) - dim / 2 * math.log(math.pi) - math.lgamma(power - dim / 2)
