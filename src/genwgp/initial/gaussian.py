"""Gaussian densities."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import ndtri

from genwgp.checks import axes_of, finite_array, is_traced, positive_definite, positive_number
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity, Points, compiled, sobol


class Gaussian(AbstractDensity):
    """N(mean, covariance) on R^d, log rho = -(x-m)' S^-1 (x-m) / 2 - log det(2 pi S) / 2.

    `mean` (d,); `covariance` a symmetric positive definite (d, d), or (d,) variances, or one variance. The factor is
    computed in float64, whatever jax's default is. InputError for wrong shapes or a covariance that is not SPD.
    """

    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]
    _factor: Float[Array, "d d"]  # L of S = L L'
    _inverse: Float[Array, "d d"]  # L^-1

    def __init__(self, mean: Any, covariance: Any):
        mean = finite_array("Gaussian.mean", mean, (None,))
        matrix = as_covariance("Gaussian.covariance", covariance, mean.shape[0])
        factor, inverse = factors(matrix)
        self.mean, self.covariance = jnp.asarray(mean, dtype=float), jnp.asarray(matrix, dtype=float)
        self._factor, self._inverse = jnp.asarray(factor, dtype=float), jnp.asarray(inverse, dtype=float)

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.mean.shape[-1]

    @eqx.filter_jit
    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples: mean + L z."""
        return self.mean + jax.random.normal(key, (n, self.dim)) @ self._factor.T

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x), normalised."""
        return compiled(self._log_prob, self._points(x))

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """grad log rho(x) = -S^-1 (x - m)."""
        return compiled(self._score, self._points(x))

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64: scrambled Sobol points through the normal quantile and L."""
        normal = ndtri(sobol(seed, n, self.dim))
        return np.asarray(self.mean, dtype=np.float64) + normal @ np.asarray(self._factor, dtype=np.float64).T

    def widened(self, factor: float) -> "Gaussian":
        """N(mean, factor^2 covariance)."""
        return Gaussian(self.mean, positive_number("widened.factor", factor) ** 2 * np.asarray(self.covariance))

    def _log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return log_normal(self._inverse @ (x - self.mean), self._inverse)

    def _score(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        return -self._inverse.T @ (self._inverse @ (x - self.mean))


def log_normal(whitened: Float[Array, " d"], inverse: Float[Array, "d d"]) -> Float[Array, ""]:
    """log N(x; m, L L') from the whitened L^-1 (x - m) and L^-1."""
    constant = 0.5 * whitened.shape[-1] * math.log(2 * math.pi)
    return jnp.sum(jnp.log(jnp.diagonal(inverse))) - 0.5 * whitened @ whitened - constant


def factors(covariance: Any) -> tuple[Any, Any]:
    """The Cholesky factor and its inverse, of one matrix or a batch; in float64 unless jax is tracing."""
    linalg = jnp.linalg if is_traced(covariance) else np.linalg
    factor = linalg.cholesky(covariance)
    return factor, linalg.inv(factor)


def as_covariance(field: str, value: Any, dim: int) -> Any:
    """One variance, (d,) variances or a (d, d) matrix as an SPD matrix (d, d); InputError otherwise."""
    rank = axes_of(field, value)
    if rank == 2:
        return positive_definite(field, value, dim)
    if rank > 2:
        raise InputError(field, f"an array of {rank} axes", f"({dim}, {dim}), ({dim},) or one number")
    if is_traced(value):
        return jnp.eye(dim) * value
    variances = finite_array(field, value, (dim,) if rank == 1 else ())
    if np.any(variances <= 0):
        raise InputError(field, value, "variances above 0")
    return np.eye(dim) * variances
