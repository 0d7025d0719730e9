"""Porous media and fast diffusion from Barenblatt's profiles, free or confined by a parabola, in closed form."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import finite_array, finite_number, positive_number
from genwgp.errors import InputError
from genwgp.references import student
from genwgp.references.ball import Ball, log_amplitude
from genwgp.references.base import is_finite, time_in
from genwgp.references.student import StudentProfile


class Barenblatt(eqx.Module):
    """The path of F = int V rho + D int rho^m / (m - 1), V = stiffness |x - b|^2 / 2, from a Barenblatt profile.

    With m > 1 Balls A (1 - |x - c|^2 / R^2)_+^p, p = 1 / (m - 1), stay such balls; with m < 1 StudentProfiles
    A (1 + |x - c|^2 / R^2)^-p, p = 1 / (1 - m), stay such profiles. rho^{m-1} is quadratic for both: with
    q = d (m - 1) + 2, the velocity at x is -stiffness (x - b) + (k / R^q) (x - c), hence

        c(t) = b + e^{-stiffness t} (c_0 - b),    dR/dt = -stiffness R + k R^{1 - q},
        R^q = R_0^q + q k t   (stiffness = 0),    R^q = k/stiffness + (R_0^q - k/stiffness) e^{-q stiffness t}   else,

    k = 2 D m / |m - 1| A_1^{m - 1}, A_1 the amplitude for R = 1. Without V and with m > 1 this is Barenblatt's solution
    t^-a (C - kappa |x|^2 t^{-2 a / d})_+^p at the time t for which its radius is R; with V a path into an equilibrium,
    compact for m > 1. `dim` d, `m` > d / (d + 2) and not 1, `radius` R_0 > 0, `D` > 0, `stiffness` >= 0, `centre` c_0
    and `b` (d,), 0 by default. InputError otherwise. Sources: Vazquez, The Porous Medium Equation (2007), sections 4.4
    and 18.2; for m < 1, Vazquez, Smoothing and Decay Estimates for Nonlinear Diffusion Equations (2006).
    """

    start: Ball | StudentProfile
    b: Float[Array, " d"]
    m: float = eqx.field(static=True)
    D: float = eqx.field(static=True)
    stiffness: float = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        m: float,
        radius: float,
        D: float = 1.0,
        stiffness: float = 0.0,
        centre: Any = None,
        b: Any = None,
    ):
        self.m, self.D = finite_number("Barenblatt.m", m), positive_number("Barenblatt.D", D)
        least = dim / (dim + 2)
        if self.m == 1 or not self.m > least:
            raise InputError("Barenblatt.m", m, f"above d / (d + 2) = {least:.4g}, and not 1")
        self.stiffness = finite_number("Barenblatt.stiffness", stiffness)
        if self.stiffness < 0:
            raise InputError("Barenblatt.stiffness", stiffness, "at least 0")
        zero = jnp.zeros(dim)
        centre = zero if centre is None else finite_array("Barenblatt.centre", centre, (dim,))
        self.b = zero if b is None else jnp.asarray(finite_array("Barenblatt.b", b, (dim,)), dtype=float)
        self.start = self._profile(centre, positive_number("Barenblatt.radius", radius))

    @property
    def log_normaliser(self) -> None:
        """None: the equilibrium is not of the form exp(-V/D)."""
        return None

    @property
    def equilibrium_free_energy(self) -> float:
        """F of the equilibrium; without V, what F approaches as the density spreads: 0 for m > 1, -inf for m < 1."""
        return float(self.free_energy(jnp.inf))

    def density(self, t: Any) -> Ball | StudentProfile:
        """The density at time t in [0, inf], without V t < inf; differentiable in t. InputError otherwise."""
        t = time_in(t)
        if self.stiffness == 0 and not is_finite(t):
            raise InputError("t", t, "a finite time: without a potential there is no equilibrium")
        centre = self.b + jnp.exp(-self.stiffness * t) * (self.start.centre - self.b)
        return self._profile(centre, self._radius(t))

    def free_energy(self, t: Any) -> Float[Array, ""]:
        """F(t) = stiffness (|c - b|^2 + tr S) / 2 + D A^{m-1} / (m - 1) (s + 1) / (s + 1 + d/2), s = 1 / (m - 1)."""
        if self.stiffness == 0 and not is_finite(time_in(t)):
            return jnp.asarray(0.0 if self.m > 1 else -jnp.inf)
        rho = self.density(t)
        potential = self.stiffness * (jnp.sum((rho.mean - self.b) ** 2) + jnp.trace(rho.covariance)) / 2
        power = 1 / (self.m - 1)
        share = (power + 1) / (power + 1 + rho.dim / 2)
        return potential + self.D / (self.m - 1) * jnp.exp((self.m - 1) * rho.log_peak) * share

    def dissipation(self, t: Any) -> Float[Array, ""]:
        """I(t) = |stiffness (c - b)|^2 + (stiffness - k R^-q)^2 tr S."""
        rho = self.density(t)
        slope = self.stiffness - self._spreading * rho.radius**-self._q
        return jnp.sum((self.stiffness * (rho.mean - self.b)) ** 2) + slope**2 * jnp.trace(rho.covariance)

    def describe(self) -> str:
        """What it is, in words."""
        kind = "Barenblatt's solution" if self.stiffness == 0 else "Barenblatt's profile in a parabola"
        return f"exact: {kind}, m = {self.m:g}, d = {self.start.dim}"

    def _profile(self, centre: Any, radius: Any) -> Ball | StudentProfile:
        if self.m > 1:
            return Ball(centre, radius, 1 / (self.m - 1))
        return StudentProfile(centre, radius, 1 / (1 - self.m))

    @property
    def _q(self) -> float:
        return self.start.dim * (self.m - 1) + 2

    @property
    def _spreading(self) -> float:
        """k."""
        of_unit = log_amplitude if self.m > 1 else student.log_amplitude
        amplitude = math.exp((self.m - 1) * of_unit(self.start.dim, self.start.power))
        return 2 * self.D * self.m / abs(self.m - 1) * amplitude

    def _radius(self, t: Float[Array, ""]) -> Float[Array, ""]:
        first, q, k = self.start.radius**self._q, self._q, self._spreading
        if self.stiffness == 0:
            return (first + q * k * t) ** (1 / q)
        decay = -jnp.expm1(-q * self.stiffness * t)
        return (first + (k / self.stiffness - first) * decay) ** (1 / q)
