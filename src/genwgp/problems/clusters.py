"""Two clusters that hold together and merge slowly: attraction over a short length, with diffusion."""

from genwgp.checks import positive_number
from genwgp.energies import Entropy, FreeEnergy, GaussianInteraction
from genwgp.initial import Mixture
from genwgp.problem import Problem
from genwgp.problems.parabola import Parabola

SOURCE = "metastable clusters as in Carrillo, Chertock and Huang, Commun. Comput. Phys. 17 (2015) 233-258"


def clusters(
    attraction: float = 2.0,
    length: float = 1.0,
    separation: float = 4.0,
    stiffness: float = 0.1,
    diffusion: float = 0.1,
) -> Problem:
    """Two clusters in 2-D: W = -attraction exp(-|z|^2/(2 length^2)), V = stiffness |x|^2/2, entropy; they merge late.

    The start has 60 % of the mass at (-separation/2, 0) and 40 % at (separation/2, 0), with a standard deviation of
    0.4. First each becomes a metastable cluster; then the parabola brings them together, until they feel each other.
    """
    name = "aggregation-diffusion"
    given = {
        "attraction": attraction,
        "length": length,
        "separation": separation,
        "stiffness": stiffness,
        "diffusion": diffusion,
    }
    strength, length, separation, stiffness, D = (positive_number(f"{name}.{key}", v) for key, v in given.items())
    start = Mixture([0.6, 0.4], [[-separation / 2, 0.0], [separation / 2, 0.0]], 0.4**2)
    energy = FreeEnergy(Parabola(stiffness), Entropy(D), GaussianInteraction(-strength, length))
    return Problem(energy, start, name)
