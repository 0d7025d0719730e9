"""Densities exp(-quartic in |x - c|), and Gaussians moved along their radii."""

import math
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import ndtri

from genwgp.initial.base import AbstractDensity, Points, compiled, sobol
from genwgp.initial.gaussian import Gaussian

POINTS = 512  # of the Gauss-Legendre rule in |x|
TABLE = 4096  # radii of which the cumulative probability is kept
DEPTH, DEPTH_OF_DIM = 60.0, 4.0  # in exp(-DEPTH), and what each dimension adds to it: the volume grows as r^d


class RadialQuartic(AbstractDensity):
    """rho = exp(-(quartic |x - c|^4 + quadratic |x - c|^2)) / Z, quartic > 0, in any dimension.

    Z, the moments and the quantiles of |x - c| by quadrature in one dimension.
    """

    centre: Float[Array, " d"]
    quartic: float
    quadratic: float
    log_normaliser: float
    second: float  # E|x - c|^2
    _radii: Float[Array, " n"]
    _cumulative: Float[Array, " n"]

    def __init__(self, centre: Any, quartic: float, quadratic: float):
        self.centre = jnp.asarray(centre, dtype=float)
        self.quartic, self.quadratic = float(quartic), float(quadratic)
        self.log_normaliser, self.second = radial_moments(self.dim, quartic, quadratic)
        edges = np.linspace(0, reach(self.dim, quartic, quadratic), TABLE)
        middle = 0.5 * (edges[1:] + edges[:-1])
        log_weight = -self.exponent(middle**2) + (self.dim - 1) * np.log(middle)
        cumulative = np.concatenate([[0.0], np.cumsum(np.exp(log_weight - log_weight.max()))])
        self._radii = jnp.asarray(edges, dtype=float)
        self._cumulative = jnp.asarray(cumulative / cumulative[-1], dtype=float)

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.centre.shape[0]

    @property
    def mean(self) -> Float[Array, " d"]:
        """The centre."""
        return self.centre

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """E|x - c|^2 / d times the identity."""
        return self.second / self.dim * jnp.eye(self.dim)

    def exponent(self, square: Any) -> Any:
        """quartic s^2 + quadratic s at s = |x - c|^2."""
        return self.quartic * square**2 + self.quadratic * square

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        along, across = jax.random.split(key)
        radius = jnp.interp(jax.random.uniform(across, (n, 1)), self._cumulative, self._radii)
        normal = jax.random.normal(along, (n, self.dim))
        return self.centre + radius * normal / jnp.linalg.norm(normal, axis=1, keepdims=True)

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64, from scrambled Sobol points."""
        uniform = sobol(seed, n, self.dim + 1)
        centre, cumulative, radii = (
            np.asarray(a, dtype=np.float64) for a in (self.centre, self._cumulative, self._radii)
        )
        normal = ndtri(uniform[:, 1:])
        radius = np.interp(uniform[:, :1], cumulative, radii)
        return centre + radius * normal / np.linalg.norm(normal, axis=1, keepdims=True)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x), normalised."""
        return compiled(self._log_prob, self._points(x))

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """grad log rho(x)."""
        return compiled(self._score, self._points(x))

    def _log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return -self.exponent(jnp.sum((x - self.centre) ** 2)) - self.log_normaliser

    def _score(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        z = x - self.centre
        return -(4 * self.quartic * jnp.sum(z**2) + 2 * self.quadratic) * z


class FocusedGaussian(AbstractDensity):
    """N(c, s^2 I) after the map x_0 - c -> (x_0 - c) / sqrt(A |x_0 - c|^2 + B), A >= 0 and B > 0.

    All mass is inside of |x - c|^2 < 1 / A; outside log_prob is -inf and the score 0. `second`: E|x - c|^2.
    """

    start: Gaussian
    square: float  # s^2
    A: Float[Array, ""]
    log_B: Float[Array, ""]
    second: Float[Array, ""]

    def __init__(self, centre: Any, square: float, A: Any, log_B: Any, second: Any):
        self.start, self.square = Gaussian(centre, square), float(square)
        self.A, self.log_B, self.second = (jnp.asarray(a, dtype=float) for a in (A, log_B, second))

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.start.dim

    @property
    def mean(self) -> Float[Array, " d"]:
        """The centre."""
        return self.start.mean

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """E|x - c|^2 / d times the identity."""
        return self.second / self.dim * jnp.eye(self.dim)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        return self._moved(self.start.sample(key, n), jnp)

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64, from scrambled Sobol points."""
        return self._moved(self.start.quasi_sample(seed, n), np)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x) = log rho_0(x_0) + d/2 log B - (d + 2)/2 log(1 - A |x - c|^2)."""
        return compiled(self._log_prob, self._points(x))

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """grad log rho(x)."""
        return compiled(self._score, self._points(x))

    def _moved(self, x: Any, numbers: Any) -> Any:
        """Where particles of the start are."""
        centre, A, log_B = (numbers.asarray(a) for a in (self.start.mean, self.A, self.log_B))
        z = x - centre
        return centre + z / numbers.sqrt(A * (z**2).sum(axis=1, keepdims=True) + numbers.exp(log_B))

    def _left(self, x: Float[Array, " d"]) -> tuple[Array, Array, Array]:
        """Whether x is inside, |x - c|^2, and 1 - A |x - c|^2 there, else 1."""
        s = jnp.sum((x - self.start.mean) ** 2)
        inside = self.A * s < 1
        return inside, s, jnp.where(inside, 1 - self.A * s, 1.0)

    def _log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        inside, s, left = self._left(x)
        start = -0.5 * jnp.exp(self.log_B) * s / (left * self.square) - 0.5 * self.dim * math.log(
            2 * math.pi * self.square
        )
        value = start + 0.5 * self.dim * self.log_B - 0.5 * (self.dim + 2) * jnp.log(left)
        return jnp.where(inside, value, -jnp.inf)

    def _score(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        inside, _, left = self._left(x)
        slope = -0.5 * jnp.exp(self.log_B) / (left**2 * self.square) + 0.5 * (self.dim + 2) * self.A / left
        return jnp.where(inside, 2 * slope, 0.0) * (x - self.start.mean)


def reach(dim: int, quartic: float, quadratic: float) -> float:
    """The |x - c| beyond which a RadialQuartic is negligible."""
    energy = DEPTH + DEPTH_OF_DIM * dim
    lowest = -(quadratic**2) / (4 * quartic) if quadratic < 0 else 0.0
    square = (-quadratic + math.sqrt(quadratic**2 + 4 * quartic * (energy + lowest))) / (2 * quartic)
    return math.sqrt(square)


def radial_moments(dim: int, quartic: float, quadratic: float) -> tuple[float, float]:
    """log Z = log int exp(-(quartic |x|^4 + quadratic |x|^2)) dx, and E|x|^2."""
    end = reach(dim, quartic, quadratic)
    node, weight = _rule()
    r = 0.5 * end * (node + 1)
    exponent = -(quartic * r**4 + quadratic * r**2) + (dim - 1) * np.log(r)
    top = exponent.max()
    share = weight * np.exp(exponent - top)
    sphere = math.log(2) + dim / 2 * math.log(math.pi) - math.lgamma(dim / 2)
    return float(top + np.log(0.5 * end * share.sum()) + sphere), float(share @ r**2 / share.sum())


@cache
def _rule() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [-1, 1]."""
    return np.polynomial.legendre.leggauss(POINTS)


def isotropic_variance(density: Any) -> float | None:
    """s^2 of a Gaussian with the covariance s^2 I; None for anything else."""
    if not isinstance(density, Gaussian):
        return None
    covariance = np.asarray(density.covariance, dtype=np.float64)
    return float(covariance[0, 0]) if np.allclose(covariance, covariance[0, 0] * np.eye(density.dim)) else None
