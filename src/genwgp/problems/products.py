"""Sums of functions of one coordinate from product starts: exact paths in any dimension, far from Gaussian."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import integer, positive_number
from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian
from genwgp.problem import Problem
from genwgp.problems.double_wells import DoubleWell
from genwgp.references import FiniteVolume, ProductPath

SOURCE_WELLS = "products of bistable potentials, as in Noe, Olsson, Kohler and Wu, Science 365 (2019) eaaw1147"
SOURCE_STYBLINSKI = "Styblinski and Tang, Neural Networks 3 (1990) 467-483"
KINDS = ((1.0, 0.6), (1.0, -0.3), (1.5, 0.3), (2.0, -0.6))  # height and tilt of the wells, in units of D


class ManyWells(eqx.Module):
    """V(x) = sum_i h_i (x_i^2 - 1)^2 + b_i x_i."""

    height: Float[np.ndarray, " d"]
    tilt: Float[np.ndarray, " d"]

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        h, b = (jnp.asarray(a, x.dtype) for a in (self.height, self.tilt))
        return h @ (x**2 - 1) ** 2 + b @ x


class StyblinskiTang(eqx.Module):
    """V(x) = scale sum_i (x_i^4 - 16 x_i^2 + 5 x_i)."""

    scale: float

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return self.scale * (x**4 - 16 * x**2 + 5 * x).sum()


def many_wells(dim: int = 10, diffusion: float = 1.0) -> Problem:
    """Tilted double wells in each of `dim` coordinates: 2^dim modes of known weights, from N(0.2, 0.5^2 I).

    Coordinates repeat four kinds of wells, of heights 1 to 2 and tilts -0.6 to 0.6 in units of D.
    """
    dim, D = integer("many-wells.dim", dim), positive_number("many-wells.diffusion", diffusion)
    wells = [(D * h, D * b) for h, b in KINDS[:dim]]
    height, tilt = np.array([wells[i % len(wells)] for i in range(dim)]).T
    start = Gaussian([0.2], 0.5**2)
    paths = [FiniteVolume(start, DoubleWell(h, b), internal=Entropy(D)) for h, b in wells]
    reference = ProductPath([paths[i % len(paths)] for i in range(dim)])
    energy = FreeEnergy(ManyWells(height, tilt), Entropy(D))
    return Problem(energy, Gaussian(np.full(dim, 0.2), 0.5**2), "many-wells", reference)


def styblinski_tang(dim: int = 10, scale: float = 0.06, diffusion: float = 1.0) -> Problem:
    """Styblinski-Tang in any dimension: V = scale sum_i (x_i^4 - 16 x_i^2 + 5 x_i), from N(0, I).

    At the usual scale of 0.5 barriers are 32 D high and nothing crosses them; at 0.06 they are 3.8.
    """
    name = "styblinski-tang"
    dim, D = integer(f"{name}.dim", dim), positive_number(f"{name}.diffusion", diffusion)
    potential = StyblinskiTang(positive_number(f"{name}.scale", scale))
    reference = ProductPath.create(potential, Gaussian([0.0], 1.0), Entropy(D), dim)
    return Problem(FreeEnergy(potential, Entropy(D)), Gaussian(np.zeros(dim), 1.0), name, reference)
