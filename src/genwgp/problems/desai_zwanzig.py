"""Attracting particles in a double well: below a critical temperature the start decides on the equilibrium."""

import equinox as eqx
from jaxtyping import Array, Float

from genwgp.checks import finite_number, positive_number
from genwgp.energies import Entropy, FreeEnergy, QuadraticInteraction
from genwgp.initial import Gaussian
from genwgp.problem import Problem
from genwgp.references import SelfConsistent

SOURCE = "Desai and Zwanzig, J. Stat. Phys. 19 (1978) 1-24; Dawson, J. Stat. Phys. 31 (1983) 29-85"


class QuarticWell(eqx.Module):
    """V(x) = x^4 / 4 - x^2 / 2 in one dimension."""

    def __call__(self, x: Float[Array, " 1"]) -> Float[Array, ""]:
        return 0.25 * x[0] ** 4 - 0.5 * x[0] ** 2


def desai_zwanzig(attraction: float = 1.0, diffusion: float = 0.3, mean: float = 0.3) -> Problem:
    """Desai-Zwanzig in 1-D: V = x^4/4 - x^2/2, W = attraction |z|^2/2, from N(mean, 0.3^2), whose side decides.

    For attraction = 1 the critical diffusion is 0.456947: below it the equilibrium has the sign of `mean`, and the
    symmetric one, where mean = 0 stays, is unstable.
    """
    name = "desai-zwanzig"
    strength, D = positive_number(f"{name}.attraction", attraction), positive_number(f"{name}.diffusion", diffusion)
    potential, mean = QuarticWell(), finite_number(f"{name}.mean", mean)
    reference = SelfConsistent(potential, strength, D, mean)
    energy = FreeEnergy(potential, Entropy(D), QuadraticInteraction(strength))
    return Problem(energy, Gaussian([mean], 0.3**2), name, reference)
