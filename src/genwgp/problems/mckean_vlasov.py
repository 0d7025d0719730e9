"""A quadratic interaction in a quadratic potential: Gaussians stay Gaussian, in any dimension."""

import numpy as np

from genwgp.checks import finite_number, integer, positive_number
from genwgp.energies import Entropy, FreeEnergy, QuadraticInteraction
from genwgp.errors import InputError
from genwgp.initial import Gaussian
from genwgp.problem import Problem
from genwgp.problems.parabola import Parabola
from genwgp.references import McKeanVlasov

SOURCE = "McKean, Proc. Natl. Acad. Sci. USA 56 (1966) 1907-1911"


def mckean_vlasov(dim: int = 2, attraction: float = 1.0, stiffness: float = 1.0, diffusion: float = 1.0) -> Problem:
    """McKean-Vlasov: V = stiffness |x|^2/2, W = attraction |z|^2/2 in `dim` dimensions from a Gaussian; exact path.

    The start has the mean (1.5, -1.5, ...), the standard deviations 0.3 to 0.6 along the coordinates, which are
    correlated by 0.3. `attraction` may be negative, but above -stiffness: repulsion that the potential holds.
    """
    name = "mckean-vlasov"
    dim, D = integer(f"{name}.dim", dim), positive_number(f"{name}.diffusion", diffusion)
    stiffness, c = positive_number(f"{name}.stiffness", stiffness), finite_number(f"{name}.attraction", attraction)
    if not c > -stiffness:
        raise InputError(f"{name}.attraction", attraction, f"a finite number above -stiffness = {-stiffness:g}")
    deviations = np.linspace(0.3, 0.6, dim)
    covariance = np.outer(deviations, deviations) * (0.3 + 0.7 * np.eye(dim))
    start = Gaussian(1.5 * (-1.0) ** np.arange(dim), covariance)
    reference = McKeanVlasov(stiffness * np.eye(dim), np.zeros(dim), c * np.eye(dim), D, start)
    energy = FreeEnergy(Parabola(stiffness), Entropy(D), QuadraticInteraction(c))
    return Problem(energy, start, name, reference)
