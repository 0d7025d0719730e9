"""Quadratic potentials, whose paths are known exactly in any dimension."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import finite_array, integer, positive_definite, positive_number
from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian, Mixture
from genwgp.problem import Problem
from genwgp.references import OrnsteinUhlenbeck

SOURCE = "Risken, The Fokker-Planck Equation, 2nd ed. (1989), section 6.5; by linearity, mixtures stay mixtures"


class Quadratic(eqx.Module):
    """V(x) = (x-b)' A (x-b) / 2."""

    A: Float[Array, "d d"]
    b: Float[Array, " d"]

    def __init__(self, A: Any, b: Any):
        vector = finite_array("Quadratic.b", b, (None,))
        self.A = jnp.asarray(positive_definite("Quadratic.A", A, len(vector)), dtype=float)
        self.b = jnp.asarray(vector, dtype=float)

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return 0.5 * (x - self.b) @ self.A @ (x - self.b)


def gaussian(dim: int = 2, diffusion: float = 1.0, seed: int = 0) -> Problem:
    """Ornstein-Uhlenbeck: V = (x-b)' A (x-b) / 2 in `dim` dimensions from a correlated Gaussian; exact path.

    A has eigenvalues from 0.5 to 3 in a random basis, the start's covariance 0.3 to 2 in another one (they do not
    commute), the start's mean and b are random; `seed` draws them.
    """
    dim, D = integer("ornstein-uhlenbeck.dim", dim), positive_number("ornstein-uhlenbeck.diffusion", diffusion)
    rng = np.random.default_rng(integer("ornstein-uhlenbeck.seed", seed, least=0))
    A = _rotated(rng, np.linspace(0.5, 3.0, dim))
    mean, b = rng.uniform(1.0, 2.0, dim) * rng.choice([-1.0, 1.0], dim), rng.normal(0.0, 0.5, dim)
    return _problem("ornstein-uhlenbeck", A, b, D, Gaussian(mean, _rotated(rng, np.linspace(0.3, 2.0, dim))))


def mixture(dim: int = 2, diffusion: float = 1.0, seed: int = 0) -> Problem:
    """Ornstein-Uhlenbeck from three narrow modes (std 0.1): V = |x|^2/2 in `dim` dimensions; exact, not Gaussian.

    In two dimensions the modes are (-1,-1), (-1,1), (1,1) with equal weights; in others three different points with
    entries in {-1, 0, 1}, drawn by `seed`, with weights 0.5, 0.3, 0.2.
    """
    name = "ornstein-uhlenbeck-mixture"
    dim, D = integer(f"{name}.dim", dim), positive_number(f"{name}.diffusion", diffusion)
    rng = np.random.default_rng(integer(f"{name}.seed", seed, least=0))
    modes, weights = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]]), np.full(3, 1 / 3)
    if dim != 2:
        modes, weights = _three_points(rng, dim), np.array([0.5, 0.3, 0.2])
    return _problem(name, np.eye(dim), np.zeros(dim), D, Mixture(weights, modes, 0.1**2))


def _problem(name: str, A: np.ndarray, b: np.ndarray, D: float, start: Gaussian | Mixture) -> Problem:
    return Problem(FreeEnergy(Quadratic(A, b), Entropy(D)), start, name, OrnsteinUhlenbeck(A, b, D, start))


def _rotated(rng: np.random.Generator, eigenvalues: np.ndarray) -> np.ndarray:
    basis, _ = np.linalg.qr(rng.normal(size=(len(eigenvalues), len(eigenvalues))))
    return (basis * eigenvalues) @ basis.T


def _three_points(rng: np.random.Generator, dim: int) -> np.ndarray:
    while True:
        points = rng.integers(-1, 2, size=(3, dim)).astype(float)
        if len(np.unique(points, axis=0)) == 3:
            return points
