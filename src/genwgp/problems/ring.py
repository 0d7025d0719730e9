"""A ring: the equilibrium surrounds a point that it leaves out, and V has a kink there."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import positive_number
from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian
from genwgp.problem import Problem
from genwgp.references import QuadratureReference

SOURCE = "ring of Rezende and Mohamed, Variational Inference with Normalizing Flows, 2015, without its modes"


class Ring(eqx.Module):
    """V(x) = 4 (|x| - radius)^2, with |x| = 1e-6 and slope 0 at the origin, where the kink is."""

    radius: float

    def __call__(self, x: Float[Array, " 2"]) -> Float[Array, ""]:
        return 4.0 * (jnp.sqrt(x @ x + 1e-12) - self.radius) ** 2


def ring(radius: float = 2.0, diffusion: float = 1.0) -> Problem:
    """Ring in 2-D: V = 4 (|x| - radius)^2, from N((1, 0), 0.5^2 I) on one side of it."""
    potential = Ring(positive_number("ring.radius", radius))
    D = positive_number("ring.diffusion", diffusion)
    reference = QuadratureReference(potential, D, dim=2)
    return Problem(FreeEnergy(potential, Entropy(D)), Gaussian([1.0, 0.0], 0.5**2), "ring", reference)
