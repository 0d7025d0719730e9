"""Gaussian modes: the mass must split, in the right shares."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import integer, positive_number
from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian, Mixture
from genwgp.problem import Problem
from genwgp.references import FiniteVolume, KnownDensity, OrnsteinUhlenbeck, ProductPath, QuadratureReference

SOURCE = "after the mixtures of unit Gaussians in Mokrov et al., Large-Scale Wasserstein Gradient Flows, NeurIPS 2021"
MODES = ((0.4, 1, 1), (0.3, -1, 1), (0.2, -1, -1), (0.1, 1, -1))  # weight, signs of the centre


class Modes(eqx.Module):
    """V(x) = level - D log sum_i w_i exp(-|x - m_i|^2 / 2)."""

    weight: Float[np.ndarray, " k"]
    mean: Float[np.ndarray, "k d"]
    D: float
    level: float = 0.0

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        weight, mean = (jnp.asarray(a, x.dtype) for a in (self.weight, self.mean))
        return self.level - self.D * jax.nn.logsumexp(jnp.log(weight) - 0.5 * ((x - mean) ** 2).sum(1))


def four_modes(separation: float = 5.0, diffusion: float = 1.0) -> Problem:
    """Four modes in 2-D: V = -log of unit Gaussians at (+-separation/2, +-separation/2), unequal, from N(0, 4 I)."""
    half = 0.5 * positive_number("gaussian-mixture.separation", separation)
    weight, *signs = np.array(MODES).T
    potential = Modes(weight, half * np.stack(signs, 1), 1.0, math.log(2 * math.pi))
    D = positive_number("gaussian-mixture.diffusion", diffusion)
    reference = QuadratureReference(potential, D, dim=2)
    return Problem(FreeEnergy(potential, Entropy(D)), Gaussian([0.0, 0.0], 4.0), "gaussian-mixture", reference)


def eight_modes(dim: int = 10, separation: float = 5.0, diffusion: float = 1.0, seed: int = 0) -> Problem:
    """Eight unit Gaussians around a circle in a random plane of `dim` dimensions, unequal weights, from N(0, 16 I).

    Neighbours are `separation` apart; their weights are .2, .15, .1, .05, and the same again. `seed` draws the plane.
    Across the plane everything is Gaussian, so that the path is known from finite volumes in it.
    """
    name = "eight-modes"
    dim, D = integer(f"{name}.dim", dim, least=2), positive_number(f"{name}.diffusion", diffusion)
    radius = 0.5 * positive_number(f"{name}.separation", separation) / math.sin(math.pi / 8)
    rng = np.random.default_rng(integer(f"{name}.seed", seed, least=0))
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    angle, weight = 2 * np.pi * np.arange(8) / 8, np.tile([0.2, 0.15, 0.1, 0.05], 2)
    means = radius * np.stack([np.cos(angle), np.sin(angle)], 1)
    across = OrnsteinUhlenbeck([[D]], [0.0], D, Gaussian([0.0], 16.0))
    plane = FiniteVolume(Gaussian([0.0, 0.0], 16.0), Modes(weight, means, D), internal=Entropy(D))
    reference = ProductPath([plane, *[across] * (dim - 2)], basis)
    energy = FreeEnergy(Modes(weight, means @ basis[:, :2].T, D), Entropy(D))
    return Problem(energy, Gaussian(np.zeros(dim), 16.0), name, reference)


def scattered_modes(dim: int = 2, diffusion: float = 1.0, seed: int = 0) -> Problem:
    """Five to ten unit Gaussians of equal weights at random places in (-5, 5)^dim, from N(0, 16 I).

    `seed` draws their number and their centres. The setting of the published figures of neural JKO schemes, to T = 4.
    """
    name = "scattered-modes"
    dim, D = integer(f"{name}.dim", dim), positive_number(f"{name}.diffusion", diffusion)
    rng = np.random.default_rng(integer(f"{name}.seed", seed, least=0))
    count = int(rng.integers(5, 11))
    weight, means = np.full(count, 1 / count), rng.uniform(-5, 5, (count, dim))
    normalised = 0.5 * D * dim * math.log(2 * math.pi)
    energy = FreeEnergy(Modes(weight, means, D, normalised), Entropy(D))
    return Problem(energy, Gaussian(np.zeros(dim), 16.0), name, KnownDensity(Mixture(weight, means, 1.0)))
