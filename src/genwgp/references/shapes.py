"""Uniform densities between two circles, and on a sphere."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import ndtri

from genwgp.checks import finite_array, positive_number
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity, Points, compiled, sobol


class Annulus(AbstractDensity):
    """rho = 1 / (pi (outer^2 - inner^2)) for inner < |x - c| < outer, in two dimensions.

    `centre` (2,), 0 < `inner` < `outer`. Elsewhere log_prob is -inf; the score is 0. InputError otherwise.
    """

    centre: Float[Array, " 2"]
    inner: float
    outer: float

    def __init__(self, centre: Any, inner: float, outer: float):
        self.centre = jnp.asarray(finite_array("Annulus.centre", centre, (2,)), dtype=float)
        self.inner, self.outer = positive_number("Annulus.inner", inner), positive_number("Annulus.outer", outer)
        if not self.inner < self.outer:
            raise InputError("Annulus.inner", inner, f"below outer = {outer}")

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return 2

    @property
    def mean(self) -> Float[Array, " 2"]:
        """The centre."""
        return self.centre

    @property
    def covariance(self) -> Float[Array, "2 2"]:
        """(inner^2 + outer^2) / 4 times the identity."""
        return (self.inner**2 + self.outer**2) / 4 * jnp.eye(2)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n 2"]:
        """`n` independent samples: r^2 and the angle are uniform."""
        return self.centre + self._place(jnp, jax.random.uniform(key, (n, 2)))

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, 2), numpy float64, from scrambled Sobol points."""
        return np.asarray(self.centre, dtype=np.float64) + self._place(np, sobol(seed, n, 2))

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x)."""
        return compiled(self._log_prob, self._points(x))

    def score(self, x: Points) -> Float[Array, "*n 2"]:
        """0."""
        return jnp.zeros_like(self._points(x))

    def _log_prob(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        square = jnp.sum((x - self.centre) ** 2)
        inside = (square > self.inner**2) & (square < self.outer**2)
        return jnp.where(inside, -math.log(math.pi * (self.outer**2 - self.inner**2)), -jnp.inf)

    def _place(self, numbers: Any, uniform: Any) -> Any:
        radius = numbers.sqrt(self.inner**2 + (self.outer**2 - self.inner**2) * uniform[:, :1])
        angle = 2 * math.pi * uniform[:, 1:]
        return radius * numbers.concatenate([numbers.cos(angle), numbers.sin(angle)], axis=1)


class Sphere(eqx.Module):
    """The uniform measure on the sphere |x - c| = R: samples and moments, but no density at a point.

    `centre` (d,), `radius` R > 0. InputError otherwise.
    """

    centre: Float[Array, " d"]
    radius: float

    def __init__(self, centre: Any, radius: float):
        self.centre = jnp.asarray(finite_array("Sphere.centre", centre, (None,)), dtype=float)
        self.radius = positive_number("Sphere.radius", radius)

    @property
    def dim(self) -> int:
        """d."""
        return self.centre.shape[0]

    @property
    def mean(self) -> Float[Array, " d"]:
        """The centre."""
        return self.centre

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """R^2 / d times the identity."""
        return self.radius**2 / self.dim * jnp.eye(self.dim)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        normal = jax.random.normal(key, (n, self.dim))
        return self.centre + self.radius * normal / jnp.linalg.norm(normal, axis=1, keepdims=True)

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64, from scrambled Sobol points."""
        normal = ndtri(sobol(seed, n, self.dim))
        centre = np.asarray(self.centre, dtype=np.float64)
        return centre + self.radius * normal / np.linalg.norm(normal, axis=1, keepdims=True)
