"""Aggregation without diffusion in the plane: repulsion and attraction make patches of constant density."""

import math

import numpy as np

from genwgp.checks import integer, positive_number
from genwgp.energies import FreeEnergy, LogarithmicInteraction, PowerInteraction
from genwgp.initial import Gaussian, Mixture
from genwgp.problem import Problem
from genwgp.references import NewtonianAggregation

SOURCE = "Bertozzi, Laurent and Leger, Math. Models Methods Appl. Sci. 22 (2012) 1140005"
SOURCE_ANNULUS = "the ring of Chen and Kolokolnikov, J. R. Soc. Interface 11 (2014) 20131208"


def disk(width: float = 0.3, stretch: float = 1.0, epsilon: float = 0.05) -> Problem:
    """Aggregation in 2-D: W = |z|^2/2 - log|z|, no diffusion, from a Gaussian to the uniform unit disk.

    The start is N((0.5, -0.3), diag(stretch, 1) width^2); for stretch = 1 the reference knows the whole path. The
    logarithm is regularised over epsilon.
    """
    name = "aggregation-disk"
    width, stretch = positive_number(f"{name}.width", width), positive_number(f"{name}.stretch", stretch)
    interaction = PowerInteraction(2.0, 0.0, 1.0, positive_number(f"{name}.epsilon", epsilon))
    start = Gaussian([0.5, -0.3], [stretch * width**2, width**2])
    return Problem(FreeEnergy(interaction=interaction), start, name, NewtonianAggregation(start))


def annulus(charge: float = 0.25, clusters: int = 6, epsilon: float = 0.05) -> Problem:
    """Aggregation around a charge in 2-D: V = -charge log|x|, W = |z|^2/2 - log|z|, no diffusion, to an annulus.

    The start is a ring of `clusters` Gaussians of standard deviation 0.25 at the distance 1 + sqrt(charge) from 0, so
    that hardly any mass is at the charge. Logarithms are regularised by epsilon. The annulus is unstable against shifts
    of the mean, which grow slowly, for charge = 0.25 as e^{0.17 t}; those of this start are rounding.
    """
    name = "aggregation-annulus"
    charge, epsilon = positive_number(f"{name}.charge", charge), positive_number(f"{name}.epsilon", epsilon)
    clusters = integer(f"{name}.clusters", clusters, least=2)
    angles = 2 * math.pi * np.arange(clusters) / clusters
    means = (1 + math.sqrt(charge)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    start = Mixture(np.full(clusters, 1 / clusters), means, 0.25**2)
    energy = FreeEnergy(LogarithmicInteraction(-charge, epsilon), interaction=PowerInteraction(2.0, 0.0, 1.0, epsilon))
    return Problem(energy, start, name, NewtonianAggregation(start, charge))
