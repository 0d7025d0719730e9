"""Four Gaussian modes: the mass must split, in the right shares."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import positive_number
from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian
from genwgp.problem import Problem
from genwgp.references import QuadratureReference

SOURCE = "after the mixtures of unit Gaussians in Mokrov et al., Large-Scale Wasserstein Gradient Flows, NeurIPS 2021"
MODES = ((0.4, 1, 1), (0.3, -1, 1), (0.2, -1, -1), (0.1, 1, -1))  # weight, signs of the centre


class FourModes(eqx.Module):
    """V(x) = -log sum_i w_i N(x; m_i, I), m_i = (+-separation/2, +-separation/2), w = (.4, .3, .2, .1)."""

    separation: float

    def __call__(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        half = 0.5 * self.separation
        terms = [math.log(w) - 0.5 * ((x[0] - half * i) ** 2 + (x[1] - half * j) ** 2) for w, i, j in MODES]
        return math.log(2 * math.pi) - jax.nn.logsumexp(jnp.stack(terms))


def four_modes(separation: float = 5.0, diffusion: float = 1.0) -> Problem:
    """Four modes in 2-D: V = -log of unit Gaussians at (+-separation/2, +-separation/2), unequal, from N(0, 4 I)."""
    potential = FourModes(positive_number("gaussian-mixture.separation", separation))
    D = positive_number("gaussian-mixture.diffusion", diffusion)
    reference = QuadratureReference(potential, D, dim=2)
    return Problem(FreeEnergy(potential, Entropy(D)), Gaussian([0.0, 0.0], 4.0), "gaussian-mixture", reference)
