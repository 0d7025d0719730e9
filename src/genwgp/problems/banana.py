"""A Gaussian bent along a parabola."""

import equinox as eqx
from jaxtyping import Array, Float

from genwgp.checks import positive_number
from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian
from genwgp.problem import Problem
from genwgp.references import QuadratureReference

SOURCE = "twisted Gaussian after Haario, Saksman and Tamminen, Comput. Stat. 14 (1999) 375-395"


class Banana(eqx.Module):
    """V(x, y) = x^2/2 + 2 (y - x^2 + 1)^2; Z = pi D, since the shear (x, y - x^2 + 1) keeps areas."""

    def __call__(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        return 0.5 * x[0] ** 2 + 2.0 * (x[1] - x[0] ** 2 + 1.0) ** 2


def banana(diffusion: float = 1.0) -> Problem:
    """Banana in 2-D: V = x^2/2 + 2 (y - x^2 + 1)^2 from N((0, 2), 0.5^2 I)."""
    D = positive_number("banana.diffusion", diffusion)
    potential = Banana()
    reference = QuadratureReference(potential, D, dim=2)
    return Problem(FreeEnergy(potential, Entropy(D)), Gaussian([0.0, 2.0], 0.5**2), "banana", reference)
