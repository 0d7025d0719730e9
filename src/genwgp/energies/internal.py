"""Internal energies D int U(rho): what makes particles repel locally, that is, diffusion."""

from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import finite_number, function, positive_number, reason
from genwgp.energies.sums import checked, total
from genwgp.errors import InputError

Numbers = Float[Array, "..."]
PROBES = (1e-3, 0.1, 1.0, 10.0)  # densities at which a user's U is looked at


class AbstractInternal(eqx.Module):
    """D int U(rho), U convex. All methods act element by element and are written with jax.numpy.

    `value` and `derivative` take densities, as grids have them; the others log-densities l = log rho, as particles
    carry them. The force on one is -D grad U'(rho) = -D rho U''(rho) grad log rho: minus `slope` times its score.
    """

    @abstractmethod
    def value(self, rho: Numbers) -> Numbers:
        """D U(rho), 0 at rho = 0."""

    @abstractmethod
    def derivative(self, rho: Numbers) -> Numbers:
        """D U'(rho)."""

    def per_particle(self, log_density: Numbers) -> Numbers:
        """D U(rho) / rho: its mean over particles of rho is D int U(rho)."""
        rho = jnp.exp(log_density)
        return self.value(rho) / rho

    def chemical_potential(self, log_density: Numbers) -> Numbers:
        """D U'(rho), up to a constant."""
        return self.derivative(jnp.exp(log_density))

    def slope(self, log_density: Numbers) -> Numbers:
        """D rho U''(rho), the derivative of `chemical_potential` by l."""
        return jax.jvp(self.chemical_potential, (log_density,), (jnp.ones_like(log_density),))[1]

    def check_dimension(self, dim: int) -> None:
        """InputError where the flow is not defined in so many dimensions."""

    def displacement_convex(self, dim: int) -> bool:
        """Whether McCann's condition is known to hold: then D int U(rho) is convex along Wasserstein geodesics."""
        return False


class Entropy(AbstractInternal):
    """D int rho log rho: linear diffusion, the Fokker-Planck equation.

    `D` is the temperature k_B T, or 1/beta, in units of energy. Its force on a particle is -D grad log rho. InputError
    unless D is finite and above 0.
    """

    D: float

    def __init__(self, D: float):
        self.D = positive_number("Entropy.D", D)

    def displacement_convex(self, dim):
        return True

    def value(self, rho):
        """D rho log rho."""
        positive = rho > 0
        return jnp.where(positive, self.D * rho * jnp.log(jnp.where(positive, rho, 1)), 0)

    def derivative(self, rho):
        """D (log rho + 1)."""
        return self.D * (jnp.log(rho) + 1)

    def per_particle(self, log_density):
        """D log rho."""
        return self.D * log_density

    def chemical_potential(self, log_density):
        """D log rho: its constant left out."""
        return self.D * log_density

    def slope(self, log_density):
        """D."""
        return jnp.full_like(log_density, self.D)


class _Power(AbstractInternal):
    """D int rho^m / (m - 1), m != 1: d rho/dt = D lap rho^m."""

    m: float
    D: float

    def value(self, rho):
        """D rho^m / (m - 1)."""
        return self.D / (self.m - 1) * rho**self.m

    def derivative(self, rho):
        """D m / (m - 1) rho^(m - 1)."""
        return self.D * self.m / (self.m - 1) * rho ** (self.m - 1)

    def per_particle(self, log_density):
        """D rho^(m - 1) / (m - 1)."""
        return self.D / (self.m - 1) * jnp.exp((self.m - 1) * log_density)

    def chemical_potential(self, log_density):
        """D m / (m - 1) rho^(m - 1)."""
        return self.m * self.per_particle(log_density)

    def slope(self, log_density):
        """D m rho^(m - 1)."""
        return self.D * self.m * jnp.exp((self.m - 1) * log_density)


class PorousMedium(_Power):
    """D int rho^m / (m - 1), m > 1: d rho/dt = D lap rho^m, whose densities keep compact support.

    Source: J. L. Vazquez, The Porous Medium Equation, Oxford University Press, 2007. InputError unless m > 1, D > 0.
    """

    def __init__(self, m: float, D: float = 1.0):
        self.m, self.D = finite_number("PorousMedium.m", m), positive_number("PorousMedium.D", D)
        if self.m <= 1:
            raise InputError("PorousMedium.m", m, "above 1 (m = 1 is genwgp.Entropy, m < 1 genwgp.FastDiffusion)")

    def displacement_convex(self, dim):
        return True


class FastDiffusion(_Power):
    """D int rho^m / (m - 1), d / (d + 2) < m < 1: d rho/dt = D lap rho^m, whose densities have algebraic tails.

    There the flow keeps its mass and its self-similar solutions a second moment, without which there is no Wasserstein
    distance to them; from 1 - 1/d on F is displacement convex. Source: J. L. Vazquez, Smoothing and Decay Estimates for
    Nonlinear Diffusion Equations, Oxford University Press, 2006. InputError unless 0 < m < 1, D > 0; a Problem checks m
    against its dimension.
    """

    def __init__(self, m: float, D: float = 1.0):
        self.m, self.D = finite_number("FastDiffusion.m", m), positive_number("FastDiffusion.D", D)
        if not 0 < self.m < 1:
            raise InputError("FastDiffusion.m", m, "above 0 and below 1 (m > 1 is genwgp.PorousMedium)")

    def check_dimension(self, dim):
        """InputError unless m > d / (d + 2)."""
        if not self.m > dim / (dim + 2):
            allowed = f"above d / (d + 2) = {dim / (dim + 2):.4g} in {dim} dimensions: below it no second moment lasts"
            raise InputError("FastDiffusion.m", self.m, allowed)

    def displacement_convex(self, dim):
        return self.m >= 1 - 1 / dim


class InternalSum(AbstractInternal):
    """The sum of internal energies. InputError for anything else, or for none."""

    parts: tuple[AbstractInternal, ...]

    def __init__(self, *parts: AbstractInternal):
        allowed = "internal energies, such as genwgp.Entropy(D)"
        self.parts = checked("InternalSum", parts, AbstractInternal, allowed)

    def value(self, rho):
        return total(part.value(rho) for part in self.parts)

    def derivative(self, rho):
        return total(part.derivative(rho) for part in self.parts)

    def per_particle(self, log_density):
        return total(part.per_particle(log_density) for part in self.parts)

    def chemical_potential(self, log_density):
        return total(part.chemical_potential(log_density) for part in self.parts)

    def slope(self, log_density):
        return total(part.slope(log_density) for part in self.parts)

    def displacement_convex(self, dim):
        return all(part.displacement_convex(dim) for part in self.parts)

    def check_dimension(self, dim):
        for part in self.parts:
            part.check_dimension(dim)


class CustomInternal(AbstractInternal):
    """int U(rho) from a user's convex U of one density (a number) -> number, written with jax.numpy; U(0) = 0.

    U' is its derivative by jax, which must be finite at 0 on grids (where it is not, as for the entropy, densities that
    vanish have no chemical potential). InputError unless U is such a function, convex at densities of 1e-3 to 10.
    """

    U: Callable

    def __init__(self, U: Callable):
        allowed = "a function of one density, a number, that returns a number, convex, written with jax.numpy"
        self.U = function("CustomInternal.U", U, allowed)
        try:
            bend = [float(jax.grad(jax.grad(U))(rho)) for rho in PROBES]
        except Exception as error:  # whatever the user's function raises
            raise InputError("CustomInternal.U", reason(error), allowed) from None
        for rho, second in zip(PROBES, bend, strict=True):
            if not second >= 0:
                raise InputError("CustomInternal.U", f"U'' = {second:.3g} at rho = {rho}", allowed)

    def value(self, rho):
        """U(rho)."""
        return jnp.vectorize(self.U)(rho)

    def derivative(self, rho):
        """U'(rho)."""
        return jnp.vectorize(jax.grad(self.U))(rho)
