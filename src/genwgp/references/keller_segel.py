"""The Keller-Segel model in the plane: what is known exactly of it."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import positive_number
from genwgp.errors import InputError
from genwgp.initial.gaussian import Gaussian
from genwgp.initial.mixture import Mixture
from genwgp.references.base import is_finite, time_in, time_of

REACH, LASTS = 7.0, 1.0  # standard deviations, and D t up to which diffusion alone stays within them


class KellerSegel:
    """F = 1/2 iint W(x - y) rho rho + D int rho log rho in the plane, W = chi / (2 pi) log |z|, from any start.

    The mean c stays, and the spread around it is linear in time:

        E|x - c|^2 = E|x_0 - c|^2 + (4 D - chi / (2 pi)) t.

    Below the critical chi = 8 pi D the density spreads for ever; above, no solution lasts until `blow_up`, when this
    would be 0; at it, the density shrinks to a point as t -> inf. There is no equilibrium but the critical ones, and no
    density in closed form. With r = sqrt(|z|^2 + epsilon^2) for |z|, the chi of the second moment is less by the share
    E epsilon^2 / r^2, z the difference of two particles.
    `start`: a Gaussian or a Mixture in two dimensions; `chi`, `D` > 0. InputError otherwise. Source: A. Blanchet, J.
    Dolbeault, B. Perthame, Electron. J. Differ. Equ. 2006 (44) 1-33.
    """

    def __init__(self, start: Gaussian | Mixture, chi: float, D: float = 1.0):
        if not isinstance(start, Gaussian | Mixture) or start.dim != 2:
            raise InputError("KellerSegel.start", start, "a Gaussian or a Mixture in two dimensions")
        self.start = start
        self.chi, self.D = positive_number("KellerSegel.chi", chi), positive_number("KellerSegel.D", D)
        self._first = float(np.trace(np.asarray(start.covariance, dtype=np.float64)))

    @property
    def critical(self) -> float:
        """8 pi D, the chi from which on the density concentrates."""
        return 8 * math.pi * self.D

    @property
    def blow_up(self) -> float:
        """The time that no solution reaches; inf up to the critical chi."""
        rate = self.chi / (2 * math.pi) - 4 * self.D
        return self._first / rate if self.chi > self.critical else math.inf

    @property
    def log_normaliser(self) -> None:
        """None: there is no equilibrium."""
        return None

    @property
    def equilibrium_free_energy(self) -> None:
        """None: there is no equilibrium."""
        return None

    @property
    def support(self) -> np.ndarray:
        """A box (2, 2) for finite volumes, which holds the path up to t = 1 / D."""
        mean = np.asarray(self.start.mean, dtype=np.float64)
        largest = float(np.linalg.eigvalsh(np.asarray(self.start.covariance))[-1])
        return mean[:, None] + REACH * math.sqrt(largest + 2 * LASTS) * np.array([-1.0, 1.0])

    def second_moment(self, t: Any) -> Float[Array, ""]:
        """E|x - c|^2 at time t in [0, blow_up); differentiable in t. InputError otherwise."""
        t = time_in(t)
        if not is_finite(t) or (math.isfinite(self.blow_up) and not jnp.all(t < self.blow_up)):
            raise InputError("t", t, f"a finite time before {self.blow_up:.6g}")
        return self._first + (4 * self.D - self.chi / (2 * math.pi)) * t

    def density(self, t: Any) -> None:
        """None: only the second moment is known."""
        time_of(t)

    def free_energy(self, t: Any) -> Any:
        """InputError: only the second moment is known."""
        raise _unknown(t)

    def dissipation(self, t: Any) -> Any:
        """InputError: only the second moment is known."""
        raise _unknown(t)

    def describe(self) -> str:
        """What it is, in words."""
        return f"the exact second moment of Keller and Segel's model, chi = {self.chi / self.critical:.3g} critical"


def _unknown(t: Any) -> InputError:
    time_of(t)
    return InputError("t", t, "no time: only the second moment is known; reference_for(problem) has the path")
