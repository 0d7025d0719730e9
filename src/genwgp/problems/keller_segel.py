"""Diffusion against a logarithmic attraction: spreading for ever, or collapse in finite time."""

import math
import warnings

from genwgp.checks import positive_number
from genwgp.energies import Entropy, FreeEnergy, LogarithmicInteraction
from genwgp.initial import Gaussian
from genwgp.problem import Problem
from genwgp.references import KellerSegel

SOURCE = "Blanchet, Dolbeault and Perthame, Electron. J. Differ. Equ. 2006 (44) 1-33"


def keller_segel(chi: float = 4 * math.pi, diffusion: float = 1.0, epsilon: float = 0.05) -> Problem:
    """Keller-Segel in 2-D: W = chi/(2 pi) log|z| and entropy from a Gaussian; no equilibrium: give a horizon.

    The logarithm is regularised over epsilon. The start is N((0.4, -0.2), diag(0.5^2, 0.35^2)). From
    chi = 8 pi diffusion on a UserWarning says that the density concentrates.
    """
    name = "keller-segel"
    chi, D = positive_number(f"{name}.chi", chi), positive_number(f"{name}.diffusion", diffusion)
    epsilon = positive_number(f"{name}.epsilon", epsilon)
    start = Gaussian([0.4, -0.2], [0.5**2, 0.35**2])
    reference = KellerSegel(start, chi, D)
    if chi >= reference.critical:
        when = f"before t = {reference.blow_up:.4g}" if chi > reference.critical else "as t grows"
        message = f"keller-segel: chi = {chi:.6g} is not below 8 pi D = {reference.critical:.6g}: the density becomes"
        warnings.warn(f"{message} singular {when}", UserWarning, stacklevel=3)
    interaction = LogarithmicInteraction(chi / (2 * math.pi), epsilon)
    return Problem(FreeEnergy(None, Entropy(D), interaction), start, name, reference)
