"""What every reference offers."""

from typing import Any, Protocol

from genwgp.initial.base import AbstractDensity


class ExactSolution(Protocol):
    """The equilibrium exp(-V/D) / Z of a potential V, and, where it is known, the path to it."""

    @property
    def log_normaliser(self) -> float | None:
        """log Z, Z = int exp(-V/D); None where it is not known."""
        ...

    @property
    def equilibrium_free_energy(self) -> float | None:
        """F of the equilibrium, F* = -D log Z, the least F; None where it is not known."""
        ...

    def density(self, t: Any) -> AbstractDensity | None:
        """The exact density at physical time t >= 0; None where it is not known."""
        ...
