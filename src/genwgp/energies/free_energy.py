"""The free energy of a density, its chemical potential and its dissipation, as means over particles."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import function
from genwgp.energies.internal import Entropy
from genwgp.errors import InputError

POTENTIAL = "a function of one point, shape (d,), that returns one number, written with jax.numpy"


class FreeEnergy(eqx.Module):
    """F[rho] = int V rho + D int rho log rho, with chemical potential mu = V + D log rho (up to a constant).

    `potential`: V, one point (d,) -> scalar, written with jax.numpy, four times differentiable; None: no potential.
    `internal`: Entropy(D), or None for no diffusion. At least one of them must be given.

    The methods take particles x (n, d) of rho with what they carry: log rho(x) (n,) and the score grad log rho(x)
    (n, d). Energies are in the units of V. With d rho/dt = div(rho grad mu) this is the Fokker-Planck equation in the
    convention of Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998).
    InputError if both are None, V is not callable, or `internal` is not an internal energy.
    """

    potential: Callable | None
    internal: Entropy | None

    def __init__(self, potential: Callable | None = None, internal: Entropy | None = None):
        if potential is None and internal is None:
            raise InputError("FreeEnergy", "neither potential nor internal", "at least one of them")
        if internal is not None and not isinstance(internal, Entropy):
            raise InputError("FreeEnergy.internal", internal, "genwgp.Entropy(D) or None")
        self.potential = None if potential is None else function("FreeEnergy.potential", potential, POTENTIAL)
        self.internal = internal

    @property
    def diffusion(self) -> float:
        """D of the entropy, 0.0 without one."""
        return 0.0 if self.internal is None else self.internal.D

    def value(self, x: Float[Array, "n d"], log_density: Float[Array, " n"]) -> Float[Array, ""]:
        """The particle estimate of F: the mean of V(x) + D log rho(x)."""
        return jnp.mean(self.per_particle(x, log_density))

    def per_particle(self, x: Float[Array, "n d"], log_density: Float[Array, " n"]) -> Float[Array, " n"]:
        """V(x) + D log rho(x) of each particle: the summand of F, and mu up to a constant."""
        result = self.diffusion * log_density
        return result if self.potential is None else jax.vmap(self._potential)(x) + result

    def gradient(self, x: Float[Array, "n d"], score: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """grad mu = grad V(x) + D grad log rho(x) at each particle; the flow moves it with minus this."""
        result = self.diffusion * score
        return result if self.potential is None else jax.vmap(jax.grad(self._potential))(x) + result

    def dissipation(self, x: Float[Array, "n d"], score: Float[Array, "n d"]) -> Float[Array, ""]:
        """I = int |grad mu|^2 rho = -dF/dt along the flow: the mean of |grad mu|^2."""
        return jnp.mean(jnp.sum(self.gradient(x, score) ** 2, axis=-1))

    def _potential(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        assert self.potential is not None
        # A potential may be a constant or return whole numbers; strict promotion asks for one dtype.
        return jnp.asarray(self.potential(x), dtype=x.dtype)
