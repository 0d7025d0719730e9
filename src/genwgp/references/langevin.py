"""Particles: the Langevin equation of a potential and of an interaction, in any dimension."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.checks import function, integer, positive_number
from genwgp.energies.free_energy import POTENTIAL, FreeEnergy
from genwgp.energies.internal import Entropy
from genwgp.energies.random_batch import RandomBatch
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity, Points
from genwgp.initial.foreign import as_density
from genwgp.references.base import time_of, without_functional

PILOTS, PILOT_ROUNDS, PILOT_STEPS = 256, 4, 100  # particles that look how stiff the problem is, rounds, steps in each
SHARE = 0.1  # of the time 1 / (largest curvature of V), the longer step


class ParticleDensity(AbstractDensity):
    """What particles tell of a density: samples and moments. log_prob and score raise InputError."""

    particles: Float[Array, "N d"]

    def __init__(self, particles: Float[Array, "N d"]):
        self.particles = particles

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.particles.shape[1]

    @property
    def mean(self) -> Float[Array, " d"]:
        """The mean of the particles."""
        return self.particles.mean(axis=0)

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """The covariance of the particles."""
        centred = self.particles - self.mean
        return centred.T @ centred / len(centred)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` different particles; InputError if there are not as many."""
        if n > len(self.particles):
            raise InputError("n", n, f"at most the {len(self.particles)} particles")
        return jax.random.choice(key, self.particles, (n,), replace=False)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """InputError: particles have no density at a point."""
        raise InputError("density", "particles of Langevin", "a reference that knows log rho: exact, or FiniteVolume")


class Bias(eqx.Module):
    """Differences of moments between steps h and h/2 of the same noise; the error of h/2 is about a third of them."""

    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]


class Langevin:
    """Particles dX = -grad V dt + sqrt(2 D) dB, whose law is the Fokker-Planck path; any dimension.

    With an interaction W they feel each other: the mean of grad W(X - Y) over the other particles is added to grad V,
    and their law tends to the mean-field path as their number grows (propagation of chaos, error 1/N).
    Stochastic Heun steps, of weak order two for additive noise: X* = X - h grad V(X) + sqrt(2 D h) z,
    X' = X - h/2 (grad V(X) + grad V(X*)) + sqrt(2 D h) z (Kloeden and Platen, Numerical Solution of Stochastic
    Differential Equations, Springer, 1992, section 15.1). Every path is computed twice with the same noise, with steps
    h and h/2; the answers are those of h/2, and `bias(t)` tells how far the moments of the two are apart.

    `initial`: a density. `potential`: V, one point (d,) -> scalar, or None. `internal`: genwgp.Entropy(D), or None: no
    noise. `particles`: their number. `step`: h; by default 0.1 over the largest eigenvalue of Hess (V + W * rho) at the
    start and where a few particles go. `seed`: of start and noise. `interaction`: W as FreeEnergy takes it; of a
    RandomBatch each step draws another.
    Particles know neither log Z nor F. InputError for unusable arguments, or where particles escape to infinity.
    """

    def __init__(
        self,
        initial: Any,
        potential: Any,
        internal: Entropy | None = None,
        particles: int = 16384,
        step: float | None = None,
        seed: int = 0,
        interaction: Any = None,
    ):
        self.initial = as_density(initial)
        self.dim = self.initial.dim
        if potential is None and interaction is None:
            raise InputError(
                "Langevin.potential", None, "a potential, or an interaction: particles that something moves"
            )
        V = None if potential is None else function("Langevin.potential", potential, POTENTIAL)
        self._energy = FreeEnergy(V, interaction=interaction)
        if internal is not None and not isinstance(internal, Entropy):
            raise InputError("Langevin.internal", internal, "genwgp.Entropy(D) or None")
        self.D = 0.0 if internal is None else internal.D
        self.particles = integer("Langevin.particles", particles)
        self._start, self._noise = jax.random.split(jax.random.key(integer("Langevin.seed", seed, least=0)))
        self.step = self._stable() if step is None else positive_number("Langevin.step", step)
        start = self.initial.sample(self._start, self.particles)
        self._snapshots: dict[float, tuple[Array, Array]] = {0.0: (start, start)}

    @classmethod
    def of(cls, problem: Any, **settings: Any) -> "Langevin":
        """The path of a problem: of its `energy` from its `initial`; `settings`: particles, step, seed."""
        energy = without_functional("Langevin", problem.energy)
        interaction = getattr(energy, "interaction", None)
        return cls(problem.initial, energy.potential, energy.internal, interaction=interaction, **settings)

    @property
    def log_normaliser(self) -> None:
        """None: particles do not know it."""
        return None

    @property
    def equilibrium_free_energy(self) -> None:
        """None: particles do not know it."""
        return None

    def density(self, t: Any) -> ParticleDensity:
        """The particles at time t in [0, inf), with steps h/2; times may be asked in any order."""
        return ParticleDensity(self._at(t)[1])

    def bias(self, t: Any) -> Bias:
        """The moments with steps h less those with h/2."""
        coarse, fine = (ParticleDensity(x) for x in self._at(t))
        return Bias(coarse.mean - fine.mean, coarse.covariance - fine.covariance)

    def describe(self) -> str:
        """What it is, in words."""
        return f"{self.particles} Langevin particles, stochastic Heun steps of {self.step / 2:.3g}"

    def _at(self, t: Any) -> tuple[Array, Array]:
        t = time_of(t)
        if t == np.inf:
            raise InputError("t", t, "a finite time: particles do not reach the equilibrium")
        if t not in self._snapshots:
            earlier = max(time for time in self._snapshots if time < t)
            steps = max(1, math.ceil((t - earlier) / self.step))
            # The noise of an interval depends on where it begins only, whatever was asked before.
            key = jax.random.fold_in(self._noise, np.float32(earlier).view(np.uint32))
            duration = _steps((t - earlier) / steps, steps)
            pair = _march(self._energy, self._snapshots[earlier], self.D, *duration, key)
            if not all(bool(jnp.all(jnp.isfinite(x))) for x in pair):
                raise InputError("Langevin.step", self.step, "a shorter step: particles escaped to infinity")
            self._snapshots[t] = pair
        return self._snapshots[t]

    def _stable(self) -> float:
        """SHARE over the largest eigenvalue of the Hessian at a few particles, at the start and on their way."""

        @jax.jit
        def curvature(x: Float[Array, "n d"]) -> Array:
            among = self._energy.among(x)
            return jnp.max(jnp.abs(jnp.linalg.eigvalsh(jax.vmap(jax.hessian(lambda x: among.landscape(x)))(x))))

        x, largest = self.initial.sample(self._start, PILOTS), 0.0
        for i in range(PILOT_ROUNDS):
            largest = max(largest, float(curvature(x)))
            if not (np.isfinite(largest) and largest > 0):
                given = f"largest curvature of V at particles {largest:.3g}"
                raise InputError("Langevin.step", given, "a step given by hand where V has no curvature")
            h, key = SHARE / largest, jax.random.fold_in(self._noise, 2**31 + i)
            x = _march(self._energy, (x, x), self.D, *_steps(h, PILOT_STEPS), key)[1]
        return SHARE / largest


def _steps(h: float, count: int) -> tuple[Array, Array]:
    """As arrays, so that other values find the compiled code."""
    return jnp.asarray(h, dtype=float), jnp.asarray(count, dtype=jnp.int32)


@eqx.filter_jit
def _march(energy: FreeEnergy, pair: tuple, D: float, h: Array, count: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
    """Particles with steps h and h/2 of the same Brownian motion."""

    def heun(drift: Any, x: Array, h: Array, kick: Array) -> Array:
        slope = drift(x)
        guess = x - h * slope + kick
        return x - h / 2 * (slope + drift(guess)) + kick

    def both(i: Array, pair: tuple[Array, Array]) -> tuple[Array, Array]:
        (coarse, fine), step = pair, jax.random.fold_in(key, i)
        kicks = jnp.sqrt(D * h) * jax.random.normal(step, (2, *coarse.shape))
        drift = _redrawn(energy, step).drift
        first = heun(drift, fine, h / 2, kicks[0])
        return heun(drift, coarse, h, kicks[0] + kicks[1]), heun(drift, first, h / 2, kicks[1])

    return jax.lax.fori_loop(0, count, both, pair)


def _redrawn(energy: FreeEnergy, key: PRNGKeyArray) -> FreeEnergy:
    """The energy with other particles in its random batch, if it has one."""
    if not isinstance(energy.interaction, RandomBatch):
        return energy
    return eqx.tree_at(lambda energy: energy.interaction.key, energy, key)
