"""The Ornstein-Uhlenbeck process: the Fokker-Planck path in a quadratic potential, in closed form."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import finite_array, positive_definite, positive_number
from genwgp.errors import InputError
from genwgp.initial.gaussian import Gaussian
from genwgp.initial.mixture import Mixture
from genwgp.references.base import time_in
from genwgp.references.mixture_mean import Estimate, mixture_mean


class OrnsteinUhlenbeck(eqx.Module):
    """The exact path in V = (x-b)' A (x-b) / 2 with entropy D from a Gaussian or a mixture of Gaussians.

    Each component moves by itself and the weights stay, since the Fokker-Planck equation is linear:

        m(t) = b + e^{-At} (m0 - b),   S(t) = e^{-At} S0 e^{-At} + D A^{-1} (I - e^{-2At}).

    `A` (d, d) symmetric positive definite, `b` (d,), `D` > 0, `start` a Gaussian or a Mixture in d dimensions;
    InputError otherwise. Source: Risken, The Fokker-Planck Equation, 2nd ed. (1989), section 6.5.
    """

    A: Float[Array, "d d"]
    b: Float[Array, " d"]
    D: float
    start: Gaussian | Mixture
    _rates: Float[Array, " d"]  # eigenvalues of A
    _basis: Float[Array, "d d"]  # its eigenvectors, in columns

    def __init__(self, A: Any, b: Any, D: float, start: Gaussian | Mixture):
        if not isinstance(start, Gaussian | Mixture):
            raise InputError("OrnsteinUhlenbeck.start", start, "a Gaussian or a Mixture of genwgp.initial")
        matrix = positive_definite("OrnsteinUhlenbeck.A", A, start.dim)
        rates, basis = np.linalg.eigh(matrix)
        self.A = jnp.asarray(matrix, dtype=float)
        self.b = jnp.asarray(finite_array("OrnsteinUhlenbeck.b", b, (start.dim,)), dtype=float)
        self.D = positive_number("OrnsteinUhlenbeck.D", D)
        self.start = start
        self._rates, self._basis = jnp.asarray(rates, dtype=float), jnp.asarray(basis, dtype=float)

    @property
    def log_normaliser(self) -> float:
        """log Z = d/2 log(2 pi D) - 1/2 log det A."""
        rates = np.asarray(self._rates, dtype=np.float64)
        return 0.5 * len(rates) * math.log(2 * math.pi * self.D) - 0.5 * float(np.sum(np.log(rates)))

    @property
    def equilibrium_free_energy(self) -> float:
        """F* = -D log Z."""
        return -self.D * self.log_normaliser

    def density(self, t: Any) -> Gaussian | Mixture:
        """The density at time t in [0, inf]; differentiable in t. InputError for t < 0 or NaN."""
        decay, spread = self._propagators(time_in(t))
        if isinstance(self.start, Gaussian):
            covariance = decay @ self.start.covariance @ decay + spread
            return Gaussian(self.b + decay @ (self.start.mean - self.b), covariance)
        means = self.b + (self.start.means - self.b) @ decay
        return Mixture(self.start.weights, means, decay @ self.start.covariances @ decay + spread)

    def free_energy(self, t: Any) -> Float[Array, ""]:
        """F(t) = 1/2 (m-b)' A (m-b) + 1/2 tr(A S) - D/2 log det(2 pi e S) + D KL(rho || N(m, S)), m and S those of rho.

        The divergence is 0 from a Gaussian. From a mixture it is computed, and F is not differentiable by jax: by
        quadrature in one and two dimensions, by quasi-Monte Carlo in more; see `free_energy_error`. InputError where
        modes of too different widths defeat the quadrature.
        """
        rho = self.density(t)
        centred = rho.mean - self.b
        _, log_det = jnp.linalg.slogdet(2 * math.pi * math.e * rho.covariance)
        energy = 0.5 * (centred @ self.A @ centred + jnp.trace(self.A @ rho.covariance)) - 0.5 * self.D * log_det
        return energy + self.D * divergence(rho).value

    def free_energy_error(self, t: Any) -> float:
        """The error of `free_energy`: 0 from a Gaussian; else the last change of the quadrature, mostly below 1e-9 D,
        in one and two dimensions, and one standard error in more."""
        return self.D * divergence(self.density(t)).error

    def dissipation(self, t: Any) -> Float[Array, ""]:
        """I(t) = |A (m-b)|^2 + tr(G S G) + D^2 int |u - u_G|^2 rho, G = A - D S^{-1}; -dF/dt.

        u - u_G is the score of rho less that of N(m, S): 0 from a Gaussian, else computed as in `free_energy`.
        """
        rho = self.density(t)
        slope = self.A - self.D * jnp.linalg.inv(rho.covariance)
        gaussian = jnp.sum((self.A @ (rho.mean - self.b)) ** 2) + jnp.trace(slope @ rho.covariance @ slope)
        return gaussian + self.D**2 * relative_information(rho)

    def describe(self) -> str:
        """What it is, in words."""
        return f"exact: Ornstein-Uhlenbeck from a {type(self.start).__name__}, d = {self.start.dim}"

    def _propagators(self, t: Float[Array, ""]) -> tuple[Float[Array, "d d"], Float[Array, "d d"]]:
        """e^{-At} and D A^{-1} (I - e^{-2At}), symmetric."""
        decay = (self._basis * jnp.exp(-self._rates * t)) @ self._basis.T
        spread = (self._basis * (-self.D * jnp.expm1(-2 * self._rates * t) / self._rates)) @ self._basis.T
        return decay, spread


def divergence(rho: Gaussian | Mixture) -> Estimate:
    """KL(rho || N(m, S)), m and S the mean and the covariance of rho, in nats."""
    if isinstance(rho, Gaussian):
        return Estimate(0.0, 0.0)
    like = Gaussian(rho.mean, rho.covariance)
    return mixture_mean(rho, lambda x: rho.log_prob(x) - like.log_prob(x))


def relative_information(rho: Gaussian | Mixture) -> float:
    """int |grad log rho - grad log N(m, S)|^2 rho."""
    if isinstance(rho, Gaussian):
        return 0.0
    like = Gaussian(rho.mean, rho.covariance)
    return mixture_mean(rho, lambda x: jnp.sum((rho.score(x) - like.score(x)) ** 2, axis=1)).value
