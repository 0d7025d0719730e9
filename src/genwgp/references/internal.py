"""Internal energies as grids need them: D U(rho) and its derivative."""

from collections.abc import Callable
from typing import Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import finite_number, function, positive_number
from genwgp.errors import InputError

Density = Float[Array, "*cells"]


class InternalEnergy(Protocol):
    """D int U(rho), U convex; both methods act element by element and are written with jax.numpy."""

    def value(self, rho: Density) -> Density:
        """D U(rho), 0 at rho = 0."""
        ...

    def derivative(self, rho: Density) -> Density:
        """D U'(rho)."""
        ...


class PorousMedium(eqx.Module):
    """D int rho^m / (m - 1), m > 1: d rho/dt = D lap rho^m, whose densities keep compact support.

    Source: J. L. Vazquez, The Porous Medium Equation, Oxford University Press, 2007. InputError unless m > 1, D > 0.
    """

    m: float
    D: float

    def __init__(self, m: float, D: float = 1.0):
        self.m, self.D = finite_number("PorousMedium.m", m), positive_number("PorousMedium.D", D)
        if self.m <= 1:
            raise InputError("PorousMedium.m", m, "above 1 (m = 1 is genwgp.Entropy)")

    def value(self, rho: Density) -> Density:
        """D rho^m / (m - 1)."""
        return self.D / (self.m - 1) * rho**self.m

    def derivative(self, rho: Density) -> Density:
        """D m / (m - 1) rho^(m - 1)."""
        return self.D * self.m / (self.m - 1) * rho ** (self.m - 1)


class CustomInternal(eqx.Module):
    """int U(rho) from a user's convex U of one density (a number) -> number, written with jax.numpy; U(0) = 0.

    U' is its derivative by jax, which must be finite at 0 (where it is not, as for the entropy, densities that vanish
    have no chemical potential).
    """

    U: Callable

    def __init__(self, U: Callable):
        self.U = function("CustomInternal.U", U, "a function of one density, a number, that returns a number")

    def value(self, rho: Density) -> Density:
        """U(rho)."""
        return jnp.vectorize(self.U)(rho)

    def derivative(self, rho: Density) -> Density:
        """U'(rho)."""
        return jnp.vectorize(jax.grad(self.U))(rho)
