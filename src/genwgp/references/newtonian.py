"""Aggregation in the plane by a logarithmic repulsion and a quadratic attraction, from any start."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import finite_number
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity
from genwgp.initial.gaussian import Gaussian
from genwgp.initial.mixture import Mixture
from genwgp.references.ball import Ball
from genwgp.references.base import is_finite, time_in, time_of
from genwgp.references.double_exponential import gamma_rule
from genwgp.references.known_end import KnownEnd, at_end
from genwgp.references.patch import SpreadGaussian
from genwgp.references.radial import isotropic_variance
from genwgp.references.shapes import Annulus

CENTRED = 1e-6  # of the standard deviation, by which a mean counts as zero
REACH = 5.5  # standard deviations of the start that a box for finite volumes holds
MARGIN = 1.15


class NewtonianAggregation(KnownEnd):
    """F = int V rho + 1/2 iint W(x - y) rho rho in the plane, W = |z|^2 / 2 - log |z|, V = -charge log |x|.

    div grad(W * rho + V) = 2 - 2 pi rho away from the charge, so that along each particle, whatever the start is,

        rho(t) = 1 / (pi (1 + (1 / (pi rho_0) - 1) e^{-2t})),
        E|x - c|^2 = q + (E|x_0 - c|^2 - q) e^{-2t},   q = 1/2 + charge,

    c the mean, which stays. All tends to density 1 / pi: to the unit disk around c without a charge; with one to the
    annulus between the radii sqrt(charge) and sqrt(charge + 1) around it. With a charge the mean stays, at 0, where a
    symmetry keeps it, such as that of x and -x. Else all escapes: V drives mass away, and W only keeps it together. So
    the annulus is unstable: shifts of the mean grow at the rate (sqrt(1 + 4 charge / (charge + 1)) - 1) / 2.

    From an isotropic Gaussian, without a charge, the whole path is known: a particle at the distance r from the mean
    with the mass M = 1 - exp(-r_0^2 / (2 s^2)) inside moves as r^2 = M + (r_0^2 - M) e^{-2t}.
    `start`: a Gaussian or a Mixture in two dimensions; `charge` >= 0. InputError otherwise. Source: A. L. Bertozzi, T.
    Laurent, F. Leger, Math. Models Methods Appl. Sci. 22 (2012) 1140005.
    """

    def __init__(self, start: Gaussian | Mixture, charge: float = 0.0):
        if not isinstance(start, Gaussian | Mixture) or start.dim != 2:
            raise InputError("NewtonianAggregation.start", start, "a Gaussian or a Mixture in two dimensions")
        self.start, self.charge = start, finite_number("NewtonianAggregation.charge", charge)
        if self.charge < 0:
            raise InputError("NewtonianAggregation.charge", charge, "at least 0")
        self._S = np.asarray(start.covariance, dtype=np.float64)
        self._mean = np.asarray(start.mean, dtype=np.float64)
        if self.charge > 0 and np.linalg.norm(self._mean) > CENTRED * math.sqrt(np.trace(self._S)):
            given = f"the mean {self._mean.tolist()}"
            raise InputError("NewtonianAggregation.start", given, "a start symmetric about 0, where the charge is")
        variance = isotropic_variance(start)
        self._width = None if variance is None or self.charge > 0 else math.sqrt(variance)

    @property
    def equilibrium(self) -> Ball | Annulus:
        """The uniform disk or annulus."""
        if self.charge == 0:
            return Ball(self.start.mean, 1.0, 0.0)
        return Annulus(np.zeros(2), math.sqrt(self.charge), math.sqrt(self.charge + 1))

    @property
    def equilibrium_free_energy(self) -> float:
        """q/2 - ((g+1)^2 log(g+1) - g^2 log g - g - 1/2) / 4, g the charge; 3/8 without one."""
        g = self.charge
        return (0.5 + g) / 2 - ((g + 1) ** 2 * math.log(g + 1) - (g**2 * math.log(g) if g else 0.0) - g - 0.5) / 4

    @property
    def support(self) -> np.ndarray:
        """A box (2, 2) for finite volumes: nearly all of the start, and the equilibrium."""
        parts = [(self.start.mean, self.start.covariance)]
        if isinstance(self.start, Mixture):
            parts = list(zip(self.start.means, self.start.covariances, strict=True))
        reach = [
            np.linalg.norm(m - self._mean) + REACH * math.sqrt(np.linalg.eigvalsh(np.asarray(S))[-1]) for m, S in parts
        ]
        half = max(*reach, MARGIN * math.sqrt(self.charge + 1))
        return self._mean[:, None] + half * np.array([-1.0, 1.0])

    def second_moment(self, t: Any) -> Float[Array, ""]:
        """E|x - c|^2 at time t in [0, inf]; differentiable in t."""
        last = 0.5 + self.charge
        return last + (float(np.trace(self._S)) - last) * jnp.exp(-2 * time_in(t))

    def log_density_along(self, log_density: Any, t: Any) -> Float[Array, "*n"]:
        """log rho at time t of particles that had log rho_0 = `log_density` at the start."""
        decay = jnp.exp(-2 * time_in(t))
        return -jnp.logaddexp(jnp.log1p(-decay) + math.log(math.pi), -2 * time_in(t) - jnp.asarray(log_density))

    def density(self, t: Any) -> AbstractDensity | None:
        """The density at time t; of finite t only from an isotropic Gaussian without a charge, else None."""
        if time_of(t) == np.inf:
            return self.equilibrium
        return None if self._width is None else SpreadGaussian(self.start.mean, self._width, t)

    def free_energy(self, t: Any) -> Any:
        """F(t) = E|x - c|^2 / 2 - int M log r dM, where the density is known; InputError else. Differentiable in t."""
        if self._width is None:
            return at_end(t, self.equilibrium_free_energy)
        if not is_finite(t):
            return jnp.asarray(self.equilibrium_free_energy)
        square, inside, weight = self._particles(t)
        return 0.5 * self.second_moment(t) - 0.5 * jnp.sum(weight * inside * jnp.log(square))

    def dissipation(self, t: Any) -> Any:
        """I(t) = int (r - M / r)^2 dM, where the density is known; InputError else."""
        if self._width is None or not is_finite(t):
            return at_end(t, 0.0)
        square, inside, weight = self._particles(t)
        return jnp.sum(weight * (square - inside) ** 2 / square)

    def describe(self) -> str:
        """What it is, in words."""
        if self.charge > 0:
            return "exact: uniform annulus under logarithmic aggregation with a charge, the equilibrium only"
        whole = "" if self._width is not None else ", the equilibrium only"
        return f"exact: logarithmic aggregation of a {type(self.start).__name__}{whole}"

    def _particles(self, t: Any) -> tuple[Array, Array, Array]:
        """r^2 at time t of particles spread over the start, the mass M inside of each, and the mass of each."""
        assert self._width is not None
        y, weight = gamma_rule(1.0)  # r_0^2 / (2 s^2)
        inside, decay = jnp.asarray(-np.expm1(-y), dtype=float), jnp.exp(-2 * time_in(t))
        first = jnp.asarray(2 * self._width**2 * y, dtype=float)
        return inside * (1 - decay) + first * decay, inside, jnp.asarray(weight, dtype=float)
