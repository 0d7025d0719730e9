"""Attraction from afar and repulsion where near, by polynomials, in any dimension."""

import numpy as np

from genwgp.checks import finite_number, integer
from genwgp.energies import Entropy, FreeEnergy, QuarticInteraction
from genwgp.errors import InputError
from genwgp.initial import Gaussian
from genwgp.problem import Problem
from genwgp.references import QuarticAggregation

SOURCE = "the attractive-repulsive power law of exponents 4 and 2, Balague et al., Arch. Ration. Mech. Anal. 209 (2013)"


def quartic(dim: int = 2, diffusion: float = 0.02) -> Problem:
    """Quartic aggregation in `dim` dimensions: W = |z|^4/4 - |z|^2/2 and entropy, from N(m, 0.5^2 I), to a shell.

    m = (0.5, 0, ...). With diffusion = 0 there is no internal energy: all ends on the sphere of radius
    sqrt(dim / (2 (dim + 1))), and the reference knows the whole path.
    """
    name = "aggregation-quartic"
    dim, D = integer(f"{name}.dim", dim), finite_number(f"{name}.diffusion", diffusion)
    if D < 0:
        raise InputError(f"{name}.diffusion", diffusion, "a finite number, at least 0")
    start = Gaussian(0.5 * np.eye(dim)[0], 0.5**2)
    energy = FreeEnergy(internal=Entropy(D) if D > 0 else None, interaction=QuarticInteraction())
    return Problem(energy, start, name, QuarticAggregation(start, D))
