"""The heat equation from Gaussians and mixtures of them, in closed form."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import positive_number
from genwgp.errors import InputError
from genwgp.initial.gaussian import Gaussian
from genwgp.initial.mixture import Mixture
from genwgp.references.base import is_finite, time_in
from genwgp.references.ornstein_uhlenbeck import divergence, relative_information


class Heat(eqx.Module):
    """The path of F = D int rho log rho from a Gaussian or a mixture: covariances grow by 2 D t, the rest stays.

    `start`: a Gaussian or a Mixture; `D` > 0. There is no equilibrium: F falls without bound. InputError for anything
    else, and for t = inf.
    """

    start: Gaussian | Mixture
    D: float

    def __init__(self, start: Gaussian | Mixture, D: float):
        if not isinstance(start, Gaussian | Mixture):
            raise InputError("Heat.start", start, "a Gaussian or a Mixture of genwgp.initial")
        self.start, self.D = start, positive_number("Heat.D", D)

    @property
    def log_normaliser(self) -> None:
        """None: exp(-V/D) = 1 has no integral."""
        return None

    @property
    def equilibrium_free_energy(self) -> float:
        """-inf, which F approaches as the density spreads."""
        return -math.inf

    def density(self, t: Any) -> Gaussian | Mixture:
        """The density at time t in [0, inf); differentiable in t. InputError otherwise."""
        t = time_in(t)
        if not is_finite(t):
            raise InputError("t", t, "a finite time: without a potential there is no equilibrium")
        spread = 2 * self.D * t * jnp.eye(self.start.dim)
        if isinstance(self.start, Gaussian):
            return Gaussian(self.start.mean, self.start.covariance + spread)
        return Mixture(self.start.weights, self.start.means, self.start.covariances + spread)

    def free_energy(self, t: Any) -> Float[Array, ""]:
        """F(t) = -D/2 log det(2 pi e S) + D KL(rho || N(m, S)), m and S those of rho; see OrnsteinUhlenbeck."""
        rho = self.density(t)
        _, log_det = jnp.linalg.slogdet(2 * math.pi * math.e * rho.covariance)
        return self.D * (divergence(rho).value - 0.5 * log_det)

    def free_energy_error(self, t: Any) -> float:
        """The error of `free_energy`, as that of OrnsteinUhlenbeck; 0 from a Gaussian."""
        return self.D * divergence(self.density(t)).error

    def dissipation(self, t: Any) -> Float[Array, ""]:
        """I(t) = D^2 (tr S^{-1} + int |u - u_G|^2 rho), u - u_G the score of rho less that of N(m, S)."""
        rho = self.density(t)
        return self.D**2 * (jnp.trace(jnp.linalg.inv(rho.covariance)) + relative_information(rho))

    def describe(self) -> str:
        """What it is, in words."""
        return f"exact: heat equation from a {type(self.start).__name__}, d = {self.start.dim}"
