"""Products of paths of few dimensions: exact references in any dimension."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.checks import finite_array
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity, Points
from genwgp.references.finite_volume import FiniteVolume

ROUND = 1e-6  # by how much Q^T Q of a basis may differ from the identity


class ProductDensity(AbstractDensity):
    """rho(x) = prod_i rho_i(y_i), y = Q^T x falling into groups of coordinates, as many as each factor has dimensions.

    `factors`: densities with mean and covariance. `basis`: Q (d, d), orthonormal; None: x itself.
    """

    factors: tuple[AbstractDensity, ...]
    basis: Float[Array, "d d"] | None

    def __init__(self, factors: Sequence[AbstractDensity], basis: Any = None):
        self.factors = tuple(factors)
        self.basis = None if basis is None else jnp.asarray(basis, dtype=float)

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return sum(factor.dim for factor in self.factors)

    @property
    def mean(self) -> Float[Array, " d"]:
        """Q times the factors' means."""
        return self._back(jnp.concatenate([factor.mean for factor in self._moments]))

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """The factors' covariances along the diagonal, turned by Q."""
        blocks = jax.scipy.linalg.block_diag(*(jnp.asarray(factor.covariance) for factor in self._moments))
        return self._back(self._back(blocks).T)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        keys = jax.random.split(key, len(self.factors))
        return self._back(jnp.concatenate([f.sample(k, n) for f, k in zip(self.factors, keys, strict=True)], axis=1))

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """sum_i log rho_i(y_i)."""
        return sum((f.log_prob(part) for f, part in self._parts(x)), start=jnp.zeros(self._points(x).shape[:-1]))

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """Q times the factors' scores."""
        return self._back(jnp.concatenate([f.score(part) for f, part in self._parts(x)], axis=-1))

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64: the factors' quasi-random points, each in an order of its own."""
        rng = np.random.default_rng(seed)
        columns = [rng.permutation(f.quasi_sample(seed + i, n)) for i, f in enumerate(self.factors)]
        y = np.concatenate(columns, axis=1)
        return y if self.basis is None else y @ np.asarray(self.basis, dtype=np.float64).T

    def _back(self, y: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """x of y."""
        return y if self.basis is None else y @ self.basis.T

    def _parts(self, x: Points) -> list[tuple[AbstractDensity, Float[Array, "*n k"]]]:
        points = self._points(x)
        y = points if self.basis is None else points @ self.basis
        ends = np.cumsum([factor.dim for factor in self.factors])
        return [(f, y[..., end - f.dim : end]) for f, end in zip(self.factors, ends, strict=True)]

    @property
    def _moments(self) -> tuple[Any, ...]:
        return self.factors


class ProductPath:
    """The path of V = sum_i v_i(y_i) with an entropy, from a product start: the product of the paths of the v_i.

    y = Q^T x falls into groups of coordinates, as many as each reference has dimensions. `paths`: references
    (FiniteVolume, OrnsteinUhlenbeck, ...) with density, free_energy and dissipation; equal groups may share one.
    `basis`: Q (d, d), orthonormal; None: y = x. F and the dissipation are sums. InputError for anything else.
    """

    def __init__(self, paths: Sequence[Any], basis: Any = None):
        self.paths = tuple(paths)
        if not self.paths or not all(hasattr(path, "density") and hasattr(path, "free_energy") for path in self.paths):
            raise InputError("ProductPath.paths", paths, "references, one for each group of coordinates")
        starts = {id(path): path.density(0) for path in self._different}
        if any(start is None for start in starts.values()):
            raise InputError("ProductPath.paths", paths, "references that know the whole path")
        self.basis = None
        if basis is not None:
            dim = sum(starts[id(path)].dim for path in self.paths)
            self.basis = finite_array("ProductPath.basis", basis, (dim, dim))
            if np.abs(self.basis.T @ self.basis - np.eye(dim)).max() > ROUND:
                raise InputError("ProductPath.basis", "columns that are not orthonormal", "Q with Q^T Q = 1")

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
        return ProductDensity(tuple(densities[id(path)] for path in self.paths), self.basis)

    def free_energy(self, t: Any) -> float:
        """F(t)."""
        return self._sum("free_energy", t)

    def dissipation(self, t: Any) -> float:
        """I(t) = -dF/dt."""
        return self._sum("dissipation", t)

    def describe(self) -> str:
        """What it is, in words."""
        kinds = sorted({path.describe() for path in self._different})
        return f"product of {len(self.paths)} paths: {'; '.join(kinds)}"

    def _sum(self, name: str, t: Any) -> float:
        parts = {id(path): float(getattr(path, name)(t)) for path in self._different}
        return sum(parts[id(path)] for path in self.paths)

    @property
    def _different(self) -> list[Any]:
        return list({id(path): path for path in self.paths}.values())
