"""Aggregation by a logarithmic repulsion and a quadratic attraction: uniform disks and semicircles, in closed form."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import positive_number
from genwgp.errors import InputError
from genwgp.references.ball import Ball
from genwgp.references.base import time_in


class LogarithmicAggregation(eqx.Module):
    """The path of F = 1/2 iint W(x - y) rho rho, W = |z|^2 / 2 - log |z|, from a uniform disk or a semicircle.

    In two dimensions the uniform disk stays one, in one dimension the semicircle, with

        d = 2:  grad W * rho = (1 - 1/R^2)(x - c),   R^2(t) = 1 + (R_0^2 - 1) e^{-2t},
        d = 1:  grad W * rho = (1 - 2/R^2)(x - c),   R^2(t) = 2 + (R_0^2 - 2) e^{-2t}.

    The centre stays. `start`: a Ball of power 0 in two dimensions or 1/2 in one; InputError otherwise. Sources: A. L.
    Bertozzi, T. Laurent, F. Leger, Math. Models Methods Appl. Sci. 22 (2012) 1140005 (disks); E. B. Saff, V. Totik,
    Logarithmic Potentials with External Fields, Springer, 1997 (semicircles).
    """

    start: Ball

    def __init__(self, start: Ball):
        if not isinstance(start, Ball) or (start.dim, start.power) not in ((1, 0.5), (2, 0.0)):
            allowed = "a Ball of power 0 in two dimensions, or of power 1/2 in one"
            raise InputError("LogarithmicAggregation.start", start, allowed)
        self.start = start

    @classmethod
    def create(cls, dim: int, radius: float, centre: Any = None) -> "LogarithmicAggregation":
        """From a radius, and a centre (d,), 0 by default."""
        if dim not in (1, 2):
            raise InputError("LogarithmicAggregation.dim", dim, "1 or 2")
        radius = positive_number("LogarithmicAggregation.radius", radius)
        return cls(Ball(jnp.zeros(dim) if centre is None else centre, radius, 0.5 if dim == 1 else 0.0))

    @property
    def log_normaliser(self) -> None:
        """None: the equilibrium is not of the form exp(-V/D)."""
        return None

    @property
    def equilibrium_free_energy(self) -> float:
        """F of the equilibrium: 3/8 in two dimensions, 3/8 + log(2)/4 in one."""
        return float(self.free_energy(jnp.inf))

    def density(self, t: Any) -> Ball:
        """The density at time t in [0, inf]; differentiable in t. InputError otherwise."""
        decay = -jnp.expm1(-2 * time_in(t))
        first = self.start.radius**2
        return Ball(self.start.centre, jnp.sqrt(first + (self._last - first) * decay), self.start.power)

    def free_energy(self, t: Any) -> Float[Array, ""]:
        """F(t): E|x-y|^2 = 2 tr S; E log|x-y| = log R - 1/4 for disks, log(R/2) - 1/4 for semicircles."""
        rho = self.density(t)
        distance = jnp.log(rho.radius) - 1 / 4 - (math.log(2) if rho.dim == 1 else 0.0)
        return (jnp.trace(rho.covariance) - distance) / 2

    def dissipation(self, t: Any) -> Float[Array, ""]:
        """I(t) = (1 - R_inf^2 / R^2)^2 tr S."""
        rho = self.density(t)
        return (1 - self._last / rho.radius**2) ** 2 * jnp.trace(rho.covariance)

    def describe(self) -> str:
        """What it is, in words."""
        return f"exact: {'semicircle' if self.start.dim == 1 else 'uniform disk'} under logarithmic aggregation"

    @property
    def _last(self) -> float:
        """R^2 of the equilibrium."""
        return 2.0 if self.start.dim == 1 else 1.0
