"""Scalar phi^4 theory on a lattice: double wells at the sites of a square, coupled to their neighbours."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import finite_number, integer, positive_number
from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian
from genwgp.problem import Problem

SOURCE = "Albergo et al., Introduction to Normalizing Flows for Lattice Field Theory (2021), arXiv 2101.08176"


class Phi4(eqx.Module):
    """V = sum_{neighbours n, m} (phi_n - phi_m)^2 + sum_n (mass_squared phi_n^2 + coupling phi_n^4), periodic."""

    size: int = eqx.field(static=True)
    mass_squared: float
    coupling: float

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        phi = x.reshape(self.size, self.size)
        differences = [phi - jnp.roll(phi, 1, axis) for axis in (0, 1)]
        return sum(((z**2).sum() for z in differences), self.mass_squared * x @ x + self.coupling * (x**4).sum())


def phi4_lattice(size: int = 8, mass_squared: float = -4.0, coupling: float = 8.0, diffusion: float = 1.0) -> Problem:
    """phi^4 lattice, 8 x 8 and periodic: squared differences of neighbours and a double well each, from N(0, I/4).

    V is the action sum_n phi_n (4 phi_n - its four neighbours) + mass_squared phi_n^2 + coupling phi_n^4; the default
    numbers are those of the source. With D = 1 the mean of the field has one peak, at 0.
    """
    name = "phi4-lattice"
    size, D = integer(f"{name}.size", size, least=2), positive_number(f"{name}.diffusion", diffusion)
    mass_squared = finite_number(f"{name}.mass_squared", mass_squared)
    potential = Phi4(size, mass_squared, positive_number(f"{name}.coupling", coupling))
    return Problem(FreeEnergy(potential, Entropy(D)), Gaussian(np.zeros(size**2), 0.25), name)
