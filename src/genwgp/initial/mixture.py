"""Mixtures of Gaussians."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import ndtri

from genwgp.checks import axes_of, finite_array, is_traced, positive_number
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity, Points, compiled, sobol
from genwgp.initial.gaussian import as_covariance, factors, log_normal

WEIGHT_SUM = 1e-6


class Mixture(AbstractDensity):
    """rho = sum_i w_i N(m_i, S_i) on R^d.

    `weights` (m,), above 0, must sum to one within 1e-6; `means` (m, d); `covariances` (m, d, d), each symmetric
    positive definite, or (m,) variances, or one variance for all. InputError otherwise.
    """

    weights: Float[Array, " m"]
    means: Float[Array, "m d"]
    covariances: Float[Array, "m d d"]
    _factor: Float[Array, "m d d"]  # L_i of S_i = L_i L_i'
    _inverse: Float[Array, "m d d"]  # L_i^-1

    def __init__(self, weights: Any, means: Any, covariances: Any):
        weights = _weights(weights)
        means = finite_array("Mixture.means", means, (weights.shape[0], None))
        matrices = _covariances(covariances, *means.shape)
        factor, inverse = factors(matrices)
        self.weights, self.means = jnp.asarray(weights, dtype=float), jnp.asarray(means, dtype=float)
        self.covariances = jnp.asarray(matrices, dtype=float)
        self._factor, self._inverse = jnp.asarray(factor, dtype=float), jnp.asarray(inverse, dtype=float)

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.means.shape[-1]

    @property
    def mean(self) -> Float[Array, " d"]:
        """sum_i w_i m_i."""
        return self.weights @ self.means

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """sum_i w_i (S_i + (m_i - m)(m_i - m)')."""
        centred = self.means - self.mean
        return jnp.einsum("m,mij->ij", self.weights, self.covariances + centred[:, :, None] * centred[:, None, :])

    @eqx.filter_jit
    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        choice, noise = jax.random.split(key)
        component = jax.random.categorical(choice, jnp.log(self.weights), shape=(n,))
        normal = jax.random.normal(noise, (n, self.dim))
        return self.means[component] + jnp.einsum("nij,nj->ni", self._factor[component], normal)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x) = log sum_i w_i N(x; m_i, S_i)."""
        return compiled(self._log_prob, self._points(x))

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """grad log rho(x): the components' scores -S_i^-1 (x - m_i), weighted by their share of rho(x)."""
        return compiled(self._score, self._points(x))

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64: one Sobol coordinate picks the component, the others its point."""
        uniform = sobol(seed, n, self.dim + 1)
        edges = np.cumsum(np.asarray(self.weights, dtype=np.float64))
        component = np.searchsorted(edges[:-1], uniform[:, 0], side="right")
        means, factor = (np.asarray(part, dtype=np.float64)[component] for part in (self.means, self._factor))
        return means + np.einsum("nij,nj->ni", factor, ndtri(uniform[:, 1:]))

    def widened(self, factor: float) -> "Mixture":
        """The same weights and means, covariances times factor^2."""
        return Mixture(self.weights, self.means, positive_number("widened.factor", factor) ** 2 * self.covariances)

    def _terms(self, x: Float[Array, " d"]) -> Float[Array, " m"]:
        whitened = jnp.einsum("mij,mj->mi", self._inverse, x - self.means)
        return jnp.log(self.weights) + jax.vmap(log_normal)(whitened, self._inverse)

    def _log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return jax.nn.logsumexp(self._terms(x))

    def _score(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        scores = -jnp.einsum("mji,mjk,mk->mi", self._inverse, self._inverse, x - self.means)
        return jax.nn.softmax(self._terms(x)) @ scores


def _weights(value: Any) -> Any:
    weights = finite_array("Mixture.weights", value, (None,))
    if is_traced(weights):
        return weights
    if np.any(weights <= 0) or abs(weights.sum() - 1) > WEIGHT_SUM:
        raise InputError("Mixture.weights", f"{weights.tolist()}, sum {weights.sum():.6g}", "above 0, summing to 1")
    return weights


def _covariances(value: Any, components: int, dim: int) -> Any:
    """The covariances as (m, d, d)."""
    field = "Mixture.covariances"
    rank = axes_of(field, value)
    if rank == 2:
        allowed = f"({components}, {dim}, {dim}), ({components},) or one number"
        raise InputError(field, f"shape {np.shape(value)}", allowed)
    if rank == 0:
        matrix = as_covariance(field, value, dim)
        return (jnp if is_traced(matrix) else np).stack([matrix] * components)
    values = finite_array(field, value, (components,) if rank == 1 else (components, dim, dim))
    matrices = [as_covariance(f"{field}[{i}]", values[i], dim) for i in range(components)]
    return (jnp if is_traced(values) else np).stack(matrices)
