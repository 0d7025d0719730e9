"""References that know the equilibrium of a flow, and not the way to it."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from genwgp.checks import finite_number, positive_number
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity
from genwgp.references.base import time_of

FINITE = "inf: only the equilibrium is known; genwgp.references.reference_for(problem) may have the path"


class KnownEnd(ABC):
    """What the equilibrium has to say at t = inf; a finite time has no density, and InputError instead of numbers."""

    @property
    @abstractmethod
    def equilibrium(self) -> Any:
        """The density at t = inf."""

    @property
    @abstractmethod
    def equilibrium_free_energy(self) -> float:
        """F of the equilibrium."""

    @property
    def log_normaliser(self) -> float | None:
        """None: the equilibrium is not exp(-V/D) / Z."""
        return None

    def density(self, t: Any) -> Any:
        """The equilibrium at t = inf, None before."""
        return self.equilibrium if time_of(t) == np.inf else None

    def free_energy(self, t: Any) -> Any:
        """F of the equilibrium at t = inf; InputError before."""
        return at_end(t, self.equilibrium_free_energy)

    def dissipation(self, t: Any) -> Any:
        """0 at t = inf; InputError before."""
        return at_end(t, 0.0)


class KnownDensity(KnownEnd):
    """An equilibrium exp(-V/D) / Z given as a density, with log Z, 0 where V is normalised; F* = -D log Z."""

    def __init__(self, density: AbstractDensity, log_normaliser: float = 0.0, D: float = 1.0):
        self._density, self._D = density, positive_number("KnownDensity.D", D)
        self._log_normaliser = finite_number("KnownDensity.log_normaliser", log_normaliser)

    @property
    def equilibrium(self) -> AbstractDensity:
        return self._density

    @property
    def equilibrium_free_energy(self) -> float:
        """-D log Z."""
        return -self._D * self._log_normaliser

    @property
    def log_normaliser(self) -> float:
        """log Z."""
        return self._log_normaliser

    def describe(self) -> str:
        """What it is, in words."""
        return "the equilibrium, known as a density"


def at_end(t: Any, value: float) -> float:
    """`value` where t = inf; InputError for any other time."""
    if time_of(t) != np.inf:
        raise InputError("t", t, FINITE)
    return value
