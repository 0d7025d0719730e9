"""Products of one-dimensional paths: exact references in any dimension."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity, Points
from genwgp.references.finite_volume import FiniteVolume


class ProductDensity(AbstractDensity):
    """rho(x) = prod_i rho_i(x_i). `factors`: d densities in one dimension with mean and covariance."""

    factors: tuple[AbstractDensity, ...]

    def __init__(self, factors: Sequence[AbstractDensity]):
        self.factors = tuple(factors)

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return len(self.factors)

    @property
    def mean(self) -> Float[Array, " d"]:
        """The factors' means."""
        return jnp.concatenate([factor.mean for factor in self._moments])

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """Diagonal, of the factors' variances."""
        return jnp.diag(jnp.concatenate([factor.covariance[0] for factor in self._moments]))

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        keys = jax.random.split(key, self.dim)
        return jnp.concatenate([f.sample(k, n) for f, k in zip(self.factors, keys, strict=True)], axis=1)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """sum_i log rho_i(x_i)."""
        return sum((f.log_prob(part) for f, part in self._parts(x)), start=jnp.zeros(self._points(x).shape[:-1]))

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """The factors' scores."""
        return jnp.concatenate([f.score(part) for f, part in self._parts(x)], axis=-1)

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64: the factors' quasi-random points, each in an order of its own."""
        rng = np.random.default_rng(seed)
        return np.concatenate(
            [rng.permutation(f.quasi_sample(seed + i, n)) for i, f in enumerate(self.factors)], axis=1
        )

    def _parts(self, x: Points) -> list[tuple[AbstractDensity, Float[Array, "*n 1"]]]:
        points = self._points(x)
        return [(factor, points[..., i : i + 1]) for i, factor in enumerate(self.factors)]

    @property
    def _moments(self) -> tuple[Any, ...]:
        return self.factors


class ProductPath:
    """The path of V = sum_i v_i(x_i) with an entropy, from a product start: the product of the paths of the v_i.

    `paths`: d references in one dimension (FiniteVolume, OrnsteinUhlenbeck, ...), with density, free_energy and
    dissipation; equal coordinates may share one. F and the dissipation are sums. InputError for anything else.
    """

    def __init__(self, paths: Sequence[Any]):
        self.paths = tuple(paths)
        if not self.paths or not all(hasattr(path, "density") and hasattr(path, "free_energy") for path in self.paths):
            raise InputError("ProductPath.paths", paths, "references in one dimension, one for each coordinate")
        starts = [path.density(0) for path in self._different]
        if any(start is None or start.dim != 1 for start in starts):
            raise InputError("ProductPath.paths", paths, "references in one dimension that know the whole path")

    @classmethod
    def create(cls, potential: Callable, start: Any, internal: Any, dim: int, **settings: Any) -> "ProductPath":
        """`dim` equal coordinates: V = sum_i potential((x_i,)), each from the one-dimensional density `start`."""
        return cls([FiniteVolume(start, potential, internal=internal, **settings)] * dim)

    @property
    def log_normaliser(self) -> float | None:
        """The sum of the factors' log Z; None where one of them has none."""
        parts = [path.log_normaliser for path in self.paths]
        return None if None in parts else float(sum(parts))

    @property
    def equilibrium_free_energy(self) -> float:
        """The sum of the factors' F*."""
        return float(sum(path.equilibrium_free_energy for path in self.paths))

    def density(self, t: Any) -> ProductDensity:
        """The density at time t in [0, inf]."""
        densities = {id(path): path.density(t) for path in self._different}
        return ProductDensity(tuple(densities[id(path)] for path in self.paths))

    def free_energy(self, t: Any) -> float:
        """F(t)."""
        return self._sum("free_energy", t)

    def dissipation(self, t: Any) -> float:
        """I(t) = -dF/dt."""
        return self._sum("dissipation", t)

    def describe(self) -> str:
        """What it is, in words."""
        kinds = sorted({path.describe() for path in self._different})
        return f"product of {len(self.paths)} one-dimensional paths: {'; '.join(kinds)}"

    def _sum(self, name: str, t: Any) -> float:
        parts = {id(path): float(getattr(path, name)(t)) for path in self._different}
        return sum(parts[id(path)] for path in self.paths)

    @property
    def _different(self) -> list[Any]:
        return list({id(path): path for path in self.paths}.values())
