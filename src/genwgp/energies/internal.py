"""Internal energies D int U(rho): what makes particles repel locally, that is, diffusion."""

import equinox as eqx

from genwgp.checks import positive_number


class Entropy(eqx.Module):
    """D int rho log rho: linear diffusion, the Fokker-Planck equation.

    `D` is the temperature k_B T, or 1/beta, in units of energy. Its force on a particle is -D grad log rho. InputError
    unless D is finite and above 0.
    """

    D: float

    def __init__(self, D: float):
        self.D = positive_number("Entropy.D", D)
