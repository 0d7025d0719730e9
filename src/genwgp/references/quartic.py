"""Aggregation by W = a |z|^4 / 4 - c |z|^2 / 2 in any dimension: the equilibrium, and without diffusion the path."""

import math
from functools import cached_property
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from genwgp.checks import finite_number, positive_number
from genwgp.errors import InputError
from genwgp.initial.gaussian import Gaussian
from genwgp.references.base import time_of
from genwgp.references.double_exponential import gamma_rule
from genwgp.references.known_end import KnownEnd
from genwgp.references.radial import FocusedGaussian, RadialQuartic, isotropic_variance, radial_moments, reach
from genwgp.references.shapes import Sphere

TOLERANCE = 1e-12
REACH = 7.0  # standard deviations of the start that a box for finite volumes holds
ROOM = 1.1  # times what the start or the equilibrium needs


class QuarticAggregation(KnownEnd):
    """F = 1/2 iint W(x - y) rho rho + D int rho log rho, W = a |z|^4 / 4 - c |z|^2 / 2, from an isotropic Gaussian.

    Symmetric densities have grad W * rho = (a |x|^2 + k) x about their mean, k = a (1 + 2/d) m2 - c, m2 = E|x|^2. With
    given mean F is convex, so that there is one equilibrium:

        D > 0:  rho ~ exp(-(a |x|^4 / 4 + k |x|^2 / 2) / D), m2 self-consistent, F* = -D log Z - a (1 + 2/d) m2^2 / 4,
        D = 0:  uniform on the sphere |x|^2 = c d / (2 a (d + 1)),          F* = -c^2 d / (8 a (d + 1)),

    from a symmetric start. For D = 0 the whole path is known: |x|^-2 solves a linear equation, so that x = x_0 / sqrt(A
    |x_0|^2 + B) with A' = 2 a + 2 k A, B' = 2 k B, A(0) = 0, B(0) = 1, solved to 1e-12; m2 by quadrature.
    `start`: a Gaussian with a covariance s^2 I; `D` >= 0; `attraction` a > 0; `repulsion` c > 0. InputError otherwise.
    """

    def __init__(self, start: Gaussian, D: float, attraction: float = 1.0, repulsion: float = 1.0):
        name = "QuarticAggregation"
        variance = isotropic_variance(start)
        if variance is None:
            raise InputError(f"{name}.start", start, "a Gaussian with a multiple of the identity as its covariance")
        self.start, self.D = start, finite_number(f"{name}.D", D)
        if self.D < 0:
            raise InputError(f"{name}.D", D, "at least 0")
        self.a = positive_number(f"{name}.attraction", attraction)
        self.c = positive_number(f"{name}.repulsion", repulsion)
        self._square = variance
        self._states = {0.0: (0.0, 0.0)}  # (A, log B) by time

    @property
    def equilibrium(self) -> RadialQuartic | Sphere:
        """rho of t = inf; without diffusion a measure on a sphere, which has no density."""
        if self.D == 0:
            return Sphere(self.start.mean, math.sqrt(self.c * self._d / (2 * self.a * (self._d + 1))))
        return RadialQuartic(self.start.mean, self.a / (4 * self.D), self._slope(self._m2) / (2 * self.D))

    @property
    def equilibrium_free_energy(self) -> float:
        """F*."""
        if self.D == 0:
            return -(self.c**2) * self._d / (8 * self.a * (self._d + 1))
        log_z, _ = self._moments(self._m2)
        return -self.D * log_z - self.a * (1 + 2 / self._d) * self._m2**2 / 4

    @property
    def support(self) -> np.ndarray:
        """A box (d, 2) for finite volumes: what there is of the start and of the equilibrium, and some room."""
        half = REACH * math.sqrt(self._square)
        if self.D > 0:
            half = max(half, reach(self._d, self.a / (4 * self.D), self._slope(self._m2) / (2 * self.D)))
        return np.asarray(self.start.mean)[:, None] + ROOM * half * np.array([-1.0, 1.0])

    def density(self, t: Any) -> Any:
        """The density at time t; with diffusion None unless t = inf."""
        if self.D > 0 or time_of(t) == np.inf:
            return super().density(t)
        A, log_B = self._state(time_of(t))
        return FocusedGaussian(self.start.mean, self._square, A, log_B, self._mean(A, log_B, lambda s: s))

    def free_energy(self, t: Any) -> Any:
        """F(t) = a E|x|^4 / 4 + a (1 + 2/d) m2^2 / 4 - c m2 / 2 without diffusion; with it InputError but at inf."""
        if self.D > 0 or time_of(t) == np.inf:
            return super().free_energy(t)
        state = self._state(time_of(t))
        m2, m4 = self._mean(*state, lambda s: s), self._mean(*state, lambda s: s**2)
        return self.a * m4 / 4 + self.a * (1 + 2 / self._d) * m2**2 / 4 - self.c * m2 / 2

    def dissipation(self, t: Any) -> Any:
        """I(t) = E |x|^2 (a |x|^2 + k)^2 without diffusion; with it InputError but at inf."""
        if self.D > 0 or time_of(t) == np.inf:
            return super().dissipation(t)
        state = self._state(time_of(t))
        k = self._slope(self._mean(*state, lambda s: s))
        return self._mean(*state, lambda s: s * (self.a * s + k) ** 2)

    def describe(self) -> str:
        """What it is, in words."""
        if self.D == 0:
            return f"exact: quartic aggregation of a Gaussian, d = {self._d}"
        return f"exact: equilibrium of quartic aggregation with diffusion, d = {self._d}"

    @property
    def _d(self) -> int:
        return self.start.dim

    def _slope(self, m2: float) -> float:
        """k."""
        return self.a * (1 + 2 / self._d) * m2 - self.c

    def _moments(self, m2: float) -> tuple[float, float]:
        """log Z and E|x|^2 of the density in its own mean field, if m2 were its E|x|^2."""
        return radial_moments(self._d, self.a / (4 * self.D), self._slope(m2) / (2 * self.D))

    @cached_property
    def _m2(self) -> float:
        """The self-consistent E|x|^2: the more of it, the narrower the density that it holds together."""
        excess = lambda m2: self._moments(m2)[1] - m2
        return float(brentq(excess, 0.0, self._moments(0.0)[1], xtol=TOLERANCE, rtol=TOLERANCE))  # pyright: ignore

    def _mean(self, A: float, log_B: float, function: Any) -> float:
        """The mean of function(|x|^2) over the particles."""
        y, weight = gamma_rule(self._d / 2)  # |x_0|^2 / (2 s^2)
        first = 2 * self._square * y
        return float(weight @ function(first / (A * first + np.exp(log_B))))

    def _state(self, t: float) -> tuple[float, float]:
        """A and log B at time t < inf, from the last time before that was asked."""
        if t not in self._states:

            def rate(_, state):
                k = self._slope(self._mean(state[0], state[1], lambda s: s))
                return [2 * self.a + 2 * k * state[0], 2 * k]

            before = max(time for time in self._states if time < t)
            begin = np.array(self._states[before])
            found = solve_ivp(rate, (before, t), begin, "DOP853", rtol=TOLERANCE, atol=TOLERANCE)
            self._states[t] = float(found.y[0, -1]), float(found.y[1, -1])
        return self._states[t]
