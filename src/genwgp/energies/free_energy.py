"""The free energy of a density, its chemical potential and its dissipation, as means over particles."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import function, is_traced, positive_number
from genwgp.energies.data import TwoBatches
from genwgp.energies.functional import Functional
from genwgp.energies.interaction import INTERACTION, AbstractInteraction, Cloud, Interaction
from genwgp.energies.internal import AbstractInternal, Entropy
from genwgp.errors import InputError
from genwgp.parts import over_particles

POTENTIAL = "a function of one point, shape (d,), that returns one number, written with jax.numpy"
INTERNAL = "genwgp.Entropy(D), another internal energy of genwgp.energies, or None"

Points = Float[Array, "n d"]
Numbers = Float[Array, " n"]


class FreeEnergy(eqx.Module):
    """F[rho] = int V rho + 1/2 iint W(x - y) rho(x) rho(y) + D int U(rho).

    `potential`: V, one point (d,) -> scalar, written with jax.numpy, four times differentiable; None: no potential.
    `interaction`: W, one difference (d,) -> scalar, even, twice differentiable, or one of genwgp.energies; None.
    `internal`: Entropy(D), PorousMedium(m, D), ...; None for no diffusion. `functional`: a Functional E[rho], by its
    first variation, which is added to F; None. At least one of them must be given.

    The chemical potential is mu = V + W * rho + D U'(rho) + delta E / delta rho, known up to a constant; the flow moves
    a particle with -grad mu. The methods take particles x (n, d) of rho with what they carry: log rho(x) (n,) and the
    score grad log rho(x) (n, d). Energies are in the units of V. With an entropy d rho/dt = div(rho grad mu) is the
    Fokker-Planck equation in the convention of Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998).

    rho in W * rho: by default the particles themselves, each without itself: no bias. `among(y)` is the same energy
    with the mean field of other particles y, as a function of one point; then x may be any points.
    InputError if all are None, V or W are not callable, or `internal` or `functional` are not what they must be.
    """

    potential: Callable | None
    interaction: AbstractInteraction | None
    internal: AbstractInternal | None
    functional: Functional | None
    cloud: Cloud

    def __init__(
        self,
        potential: Callable | None = None,
        internal: AbstractInternal | None = None,
        interaction: AbstractInteraction | Callable | None = None,
        functional: Functional | None = None,
    ):
        if potential is None and interaction is None and internal is None and functional is None:
            raise InputError("FreeEnergy", "no potential, interaction or internal energy", "at least one of them")
        if internal is not None and not isinstance(internal, AbstractInternal):
            raise InputError("FreeEnergy.internal", internal, INTERNAL)
        self.potential = None if potential is None else function("FreeEnergy.potential", potential, POTENTIAL)
        if interaction is not None and not isinstance(interaction, AbstractInteraction):
            interaction = Interaction(function("FreeEnergy.interaction", interaction, INTERACTION))
        if functional is not None and not isinstance(functional, Functional):
            raise InputError("FreeEnergy.functional", functional, "genwgp.Functional(first_variation, value), or None")
        self.interaction, self.internal, self.functional, self.cloud = interaction, internal, functional, None

    @property
    def interacting(self) -> bool:
        """Whether forces depend on where other particles are."""
        return self.interaction is not None or self.functional is not None

    @property
    def gibbs(self) -> bool:
        """Whether a stationary density is exp(-(V + W * rho) / D) / Z: an entropy and what it acts against."""
        landscape = self.potential is not None or self.interaction is not None
        return self.diffusion > 0 and landscape and self.functional is None

    @property
    def diffusion(self) -> float:
        """D of an entropy, 0.0 where the internal energy is another or there is none."""
        D = self.internal.D if isinstance(self.internal, Entropy) else 0.0
        return D if is_traced(D) else float(D)

    def among(self, y: Points) -> "FreeEnergy":
        """The same energy with the mean field of particles y (m, d) as W * rho."""
        return self.seeing(self.see(y)) if self.interacting else self

    def see(self, y: Points) -> Cloud:
        """What the interaction and the functional need of particles y (m, d): nothing where there is neither."""
        seen = None if self.interaction is None else self.interaction.see(y)
        return (seen, None if self.functional is None else y)

    def seeing(self, cloud: Cloud) -> "FreeEnergy":
        """The same with what `see` made of particles."""
        seeing: Any = object.__new__(FreeEnergy)
        for name in ("potential", "interaction", "internal", "functional"):
            object.__setattr__(seeing, name, getattr(self, name))
        object.__setattr__(seeing, "cloud", cloud)
        return seeing

    def value(self, x: Points, log_density: Numbers) -> Float[Array, ""]:
        """The particle estimate of F: the mean of V(x) + (W * rho)(x) / 2 + D U(rho) / rho."""
        return jnp.mean(self.per_particle(x, log_density))

    def per_particle(self, x: Points, log_density: Numbers) -> Numbers:
        """V(x) + (W * rho)(x) / 2 + D U(rho) / rho of each particle: the summand of F."""
        result = self._outer(x, 0.5)
        if self.internal is not None:
            result = result + self.internal.per_particle(log_density)
        if self.functional is not None:
            result = result + self.functional.per_particle(self._particles(x), x, log_density)
        return result

    def chemical_potential(self, x: Points, log_density: Numbers) -> Numbers:
        """mu = V(x) + (W * rho)(x) + D U'(rho) at each particle, up to a constant."""
        result = self._outer(x, 1.0)
        if self.internal is not None:
            result = result + self.internal.chemical_potential(log_density)
        if self.functional is not None:
            functional, y = self.functional, self._particles(x)
            result = result + over_particles(lambda p: functional.potential(y, *p), (x, log_density))
        return result

    def gradient(self, x: Points, log_density: Numbers, score: Points) -> Points:
        """grad mu at each particle; the flow moves it with minus this."""
        result = self.drift(x)
        if self.internal is not None:
            result = result + self.internal.slope(log_density)[:, None] * score
        if self.functional is not None:
            functional, y = self.functional, self._particles(x)
            result = result + over_particles(lambda p: functional.with_force(y, *p)[:-1], (x, log_density, score))
        return result

    def gradients(self, x: Points, log_density: Numbers, score: Points) -> tuple[Points, Points]:
        """grad mu twice: the same, or independent estimates of it where the potential is one from batches of data.

        Products of the two have no bias from the batches, as in ||grad mu||^2.
        """
        V = self.potential
        if not isinstance(V, TwoBatches):
            whole = self.gradient(x, log_density, score)
            return whole, whole
        one, other = (eqx.tree_at(lambda energy: energy.potential, self, half) for half in (V.first, V.second))
        return one.gradient(x, log_density, score), other.gradient(x, log_density, score)

    def dissipation(self, x: Points, log_density: Numbers, score: Points) -> Float[Array, ""]:
        """I = int |grad mu|^2 rho = -dF/dt along the flow: the mean of |grad mu|^2."""
        one, other = self.gradients(x, log_density, score)
        return jnp.mean(jnp.sum(one * other, axis=-1))

    def drift(self, x: Points) -> Points:
        """grad V + grad W * rho: what moves particles but for the internal energy and a functional."""
        if self.potential is None and self.interaction is None:
            return jnp.zeros_like(x)
        if self.interaction is None:
            return jax.vmap(jax.grad(self._potential))(x)
        among, share = self._mean_field(x)
        force = over_particles(jax.checkpoint(jax.grad(lambda x: among._mean(x))), x) * share
        return force if self.potential is None else force + jax.vmap(jax.grad(self._potential))(x)

    def landscape(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        """V + W * rho at one point, W * rho of other particles (`among`)."""
        total = jnp.zeros_like(x, shape=())
        if self.potential is not None:
            total = total + self._potential(x)
        return total if self.interaction is None else total + self._mean(x)

    def _outer(self, x: Points, weight: float) -> Numbers:
        """V + weight W * rho at particles."""
        result = jnp.zeros_like(x, shape=x.shape[:1])
        if self.potential is not None:
            result = result + jax.vmap(self._potential)(x)
        if self.interaction is None:
            return result
        among, share = self._mean_field(x)
        field = over_particles(jax.checkpoint(lambda x: among._mean(x)), x) * share
        if self.cloud is None:
            field = field - (share - 1) * self.interaction(jnp.zeros_like(x[0]))
        return result + weight * field

    def _mean_field(self, x: Points) -> tuple["FreeEnergy", float]:
        """The energy among particles, and n / (n - 1) where these are x: each is in its own mean, without a force."""
        if self.cloud is not None:
            return self, 1.0
        return self.among(x), len(x) / max(len(x) - 1, 1)

    def _particles(self, x: Points) -> Float[Array, "m d"]:
        """Particles of rho, for the functional: those of `among`, or x."""
        return x if self.cloud is None else self.cloud[1]

    def _potential(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        assert self.potential is not None
        # A potential may be a constant or return whole numbers; strict promotion asks for one dtype.
        return jnp.asarray(self.potential(x), dtype=x.dtype)

    def _mean(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        """(W * rho)(x) of the cloud."""
        assert self.interaction is not None
        return self.interaction.potential(self.cloud[0], x)


class RelativeEntropy(FreeEnergy):
    """D KL(rho || pi), up to a constant, for a target pi given as a log-density that need not be normalised.

    The free energy with V = -D log pi and the entropy. `log_density`: one point (d,) -> scalar, written with jax.numpy;
    `D` > 0 sets the unit of energy, and so of time. InputError otherwise.
    """

    def __init__(self, log_density: Callable, D: float = 1.0):
        entropy = Entropy(positive_number("RelativeEntropy.D", D))
        super().__init__(_Target(function("RelativeEntropy.log_density", log_density, POTENTIAL), entropy.D), entropy)


class _Target(eqx.Module):
    """V = -D log pi."""

    log_density: Callable
    D: float

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return -self.D * jnp.asarray(self.log_density(x), dtype=x.dtype)
