"""Double wells: the mass must cross a barrier, so the last of the path is slow."""

import equinox as eqx
from jaxtyping import Array, Float

from genwgp.checks import finite_number, positive_number
from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian
from genwgp.problem import Problem
from genwgp.references import QuadratureReference

SOURCE = "bistable potential, Risken, The Fokker-Planck Equation, 2nd ed. (1989), tilted; curved in 2-D"


class TiltedDoubleWell(eqx.Module):
    """V(x, y) = 2 (x^2 - 1)^2 + x/2 + (y - x^2/2)^2: the deeper well at x < 0, along a parabola."""

    def __call__(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        return 2.0 * (x[0] ** 2 - 1.0) ** 2 + 0.5 * x[0] + (x[1] - 0.5 * x[0] ** 2) ** 2


class DoubleWell(eqx.Module):
    """V(x) = height (x^2 - 1)^2 + tilt x in one dimension."""

    height: float
    tilt: float

    def __call__(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        return self.height * (x[0] ** 2 - 1.0) ** 2 + self.tilt * x[0]


def tilted(diffusion: float = 1.0) -> Problem:
    """Curved double well in 2-D: V = 2 (x^2-1)^2 + x/2 + (y - x^2/2)^2 from N((0, 1.5), 0.3^2 I)."""
    D = positive_number("tilted-double-well.diffusion", diffusion)
    potential = TiltedDoubleWell()
    reference = QuadratureReference(potential, D, dim=2)
    return Problem(FreeEnergy(potential, Entropy(D)), Gaussian([0.0, 1.5], 0.3**2), "tilted-double-well", reference)


def one_dimensional(barrier: float = 2.0, tilt: float = 0.2, diffusion: float = 1.0) -> Problem:
    """Double well in 1-D: V = barrier D (x^2-1)^2 + tilt x from N(-1, 0.3^2); `barrier` is in units of D."""
    D = positive_number("double-well-1d.diffusion", diffusion)
    height = D * positive_number("double-well-1d.barrier", barrier)
    potential = DoubleWell(height, finite_number("double-well-1d.tilt", tilt))
    reference = QuadratureReference(potential, D, dim=1)
    return Problem(FreeEnergy(potential, Entropy(D)), Gaussian([-1.0], 0.3**2), "double-well-1d", reference)
