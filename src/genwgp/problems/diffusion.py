"""Diffusion alone or in a parabola: linear, slow and fast, with exact paths in any dimension."""

import numpy as np

from genwgp.checks import finite_number, integer, positive_number
from genwgp.energies import Entropy, FastDiffusion, FreeEnergy, PorousMedium
from genwgp.errors import InputError
from genwgp.initial import Mixture
from genwgp.problem import Problem
from genwgp.problems.parabola import Parabola
from genwgp.references import Barenblatt, Heat

SOURCE_HEAT = "the heat equation; by linearity, mixtures stay mixtures"
SOURCE_POROUS = "Vazquez, The Porous Medium Equation (2007), sections 4.4 and 18.2"
SOURCE_FAST = "Vazquez, Smoothing and Decay Estimates for Nonlinear Diffusion Equations (2006)"


def heat(dim: int = 2, diffusion: float = 1.0) -> Problem:
    """Heat equation in `dim` dimensions from three Gaussians; no equilibrium: give a horizon; exact path.

    The modes are at 0 and at 1.5 along the first and the last coordinate axis (in one dimension at 0 and +-1.5), with
    the weights 0.5, 0.3, 0.2 and standard deviations 0.4, 0.3, 0.2.
    """
    dim, D = integer("heat.dim", dim), positive_number("heat.diffusion", diffusion)
    axes = 1.5 * np.eye(dim)
    means = [np.zeros(dim), axes[0], axes[-1] if dim > 1 else -axes[0]]
    start = Mixture([0.5, 0.3, 0.2], np.array(means), np.array([0.4, 0.3, 0.2]) ** 2)
    return Problem(FreeEnergy(internal=Entropy(D)), start, "heat", Heat(start, D))


def porous_medium(
    dim: int = 2, m: float = 2.0, stiffness: float = 1.0, diffusion: float = 1.0, radius: float = 0.7
) -> Problem:
    """Porous medium in `dim` dimensions: U = rho^m/(m-1), V = stiffness |x|^2/2, from Barenblatt's profile; exact path.

    The equilibrium is compact. With stiffness = 0 there is none, and the density spreads for ever: give a horizon.
    """
    name = "porous-medium"
    dim, stiffness = integer(f"{name}.dim", dim), finite_number(f"{name}.stiffness", stiffness)
    D, radius = positive_number(f"{name}.diffusion", diffusion), positive_number(f"{name}.radius", radius)
    m = finite_number(f"{name}.m", m)
    if m <= 1:
        raise InputError(f"{name}.m", m, "above 1 (fast-diffusion is for m < 1)")
    if stiffness < 0:
        raise InputError(f"{name}.stiffness", stiffness, "a finite number, at least 0")
    potential = Parabola(stiffness) if stiffness > 0 else None
    return _self_similar(name, FreeEnergy(potential, PorousMedium(m, D)), Barenblatt(dim, m, radius, D, stiffness))


def fast_diffusion(
    dim: int = 2, m: float = 0.75, stiffness: float = 1.0, diffusion: float = 1.0, radius: float = 1.0
) -> Problem:
    """Fast diffusion in `dim` dimensions: U = rho^m/(m-1), V = stiffness |x|^2/2, algebraic tails; exact path.

    The start is (1 + |x|^2/radius^2)^(-1/(1-m)), normalised: Student's t distribution, which it stays. m is above
    dim / (dim + 2), so that there are second moments.
    """
    name = "fast-diffusion"
    dim, stiffness = integer(f"{name}.dim", dim), positive_number(f"{name}.stiffness", stiffness)
    D, radius = positive_number(f"{name}.diffusion", diffusion), positive_number(f"{name}.radius", radius)
    m = finite_number(f"{name}.m", m)
    if not dim / (dim + 2) < m < 1:
        raise InputError(f"{name}.m", m, f"above dim / (dim + 2) = {dim / (dim + 2):.4g} and below 1")
    energy = FreeEnergy(Parabola(stiffness), FastDiffusion(m, D))
    return _self_similar(name, energy, Barenblatt(dim, m, radius, D, stiffness))


def _self_similar(name: str, energy: FreeEnergy, exact: Barenblatt) -> Problem:
    return Problem(energy, exact.start, name, exact)
