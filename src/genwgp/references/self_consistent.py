"""Equilibria of an even potential with a quadratic attraction in one dimension: the mean must be its own."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq

from genwgp.checks import finite_number, function, positive_number
from genwgp.energies.free_energy import POTENTIAL
from genwgp.errors import InputError
from genwgp.references.box import DEPTH, find_box
from genwgp.references.evaluate import on_points
from genwgp.references.grid_density import GridDensity
from genwgp.references.known_end import KnownEnd
from genwgp.references.mesh import Mesh

FIELD = "SelfConsistent.potential"
CELLS = 8192
SCAN = 256  # means at which the sign of E x - m is looked at
ASYMMETRY = 1e-6  # of the range of V on the box
TOLERANCE = 1e-13


class _Well(NamedTuple):
    """V on the cells of a symmetric box."""

    mesh: Mesh
    x: np.ndarray
    V: np.ndarray


class SelfConsistent(KnownEnd):
    """F = int V rho + 1/2 iint W(x - y) rho rho + D int rho log rho, W = strength |z|^2 / 2, V even, in one dimension.

    Stationary densities are

        rho_m ~ exp(-(V + strength (x - m)^2 / 2) / D)   with   m = E x,
        F = -D log int exp(-(V + strength x^2 / 2 - strength m x) / D) + strength m^2 / 2.

    m = 0 always is such a mean; below a critical D, where Var x > D / strength under rho_0, +-m > 0 are two more, and 0
    is unstable. A start whose law lies to the right of its mirror image, as a Gaussian with mean > 0 does, keeps a mean
    >= 0, since the flow keeps the order of laws; so the sign of the start's mean decides.

    `potential`: V, one point (1,) -> scalar, written with jax.numpy. `mean`: of the start; `equilibrium_mean` is the
    first self-consistent mean in the direction of E x - m there, the only one of its sign where V' is convex for x > 0.
    By the midpoint rule, when first asked. InputError if V is not even, or does not grow.
    Sources: R. C. Desai, R. Zwanzig, J. Stat. Phys. 19 (1978) 1-24; D. A. Dawson, J. Stat. Phys. 31 (1983) 29-85.
    """

    def __init__(self, potential: Callable, strength: float, D: float, mean: float):
        self.potential = function(FIELD, potential, POTENTIAL)
        self.strength = positive_number("SelfConsistent.strength", strength)
        self.D, self.mean = positive_number("SelfConsistent.D", D), finite_number("SelfConsistent.mean", mean)
        self._values = on_points(FIELD, potential, POTENTIAL)

    @cached_property
    def means(self) -> np.ndarray:
        """All self-consistent means, in rising order."""
        scan = float(self._well.mesh.box[0, 1]) * np.geomspace(1e-4, 1.0, SCAN)
        excess = np.array([self._excess(m) for m in scan])
        signs = np.flatnonzero(excess[:-1] * excess[1:] < 0)
        roots = [float(brentq(self._excess, scan[i], scan[i + 1], xtol=TOLERANCE)) for i in signs]  # pyright: ignore
        return np.array([*(-m for m in reversed(roots)), 0.0, *roots])

    @cached_property
    def equilibrium_mean(self) -> float:
        """E x of the equilibrium that the start decides on."""
        begin, sign = abs(self.mean), -1.0 if self.mean < 0 else 1.0
        known = self.means[self.means >= 0]
        if begin == 0 or begin in known:
            return sign * begin
        ahead = known[known > begin] if self._excess(begin) > 0 else known[known < begin][::-1]
        return sign * float(ahead[0])

    @property
    def equilibrium(self) -> GridDensity:
        """rho_m on 8192 cells, with a cubic spline between them."""
        exponent = self._exponent(self.equilibrium_mean)
        return GridDensity(self._well.mesh, exponent - self._log_sum(exponent))

    @property
    def equilibrium_free_energy(self) -> float:
        """F of rho_m."""
        return self.free_energy_of(self.equilibrium_mean)

    def free_energy_of(self, m: float) -> float:
        """F of rho_m for a self-consistent m, such as the unstable 0."""
        return self.strength * m**2 / 2 - self.D * self._log_sum(self._exponent(m))

    def describe(self) -> str:
        """What it is, in words."""
        return f"equilibrium with the self-consistent mean {self.equilibrium_mean:.6g}, by quadrature"

    @cached_property
    def _well(self) -> _Well:
        half = float(np.abs(find_box(self._values, 1, DEPTH * self.D, None, FIELD)).max())
        mesh = Mesh(np.array([[-half, half]]), (CELLS,))
        x = mesh.axes[0]
        V = self._values(x[:, None])
        odd = np.abs(V - V[::-1]).max()
        if odd > ASYMMETRY * np.ptp(V):
            raise InputError(FIELD, f"V that differs from V(-x) by up to {odd:.3g}", "an even function")
        return _Well(mesh, x, V)

    def _exponent(self, m: float) -> np.ndarray:
        """-(V + strength x^2 / 2 - strength m x) / D on the cells."""
        _, x, V = self._well
        return -(V + self.strength * x * (x / 2 - m)) / self.D

    def _log_sum(self, exponent: np.ndarray) -> float:
        """log of the integral of exp(exponent)."""
        top = exponent.max()
        return float(top + np.log(np.exp(exponent - top).sum() * self._well.mesh.volume))

    def _excess(self, m: Any) -> float:
        """E x under rho_m, less m."""
        exponent = self._exponent(float(m))
        weight = np.exp(exponent - exponent.max())
        return float(weight @ self._well.x / weight.sum()) - float(m)
