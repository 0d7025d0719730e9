"""The best reference for a problem."""

from typing import Any

import numpy as np

from genwgp.references.base import ExactSolution, time_of
from genwgp.references.finite_volume import FiniteVolume
from genwgp.references.langevin import Langevin
from genwgp.references.quadrature import QuadratureReference


def reference_for(problem: Any) -> ExactSolution:
    """The problem's own reference if it knows the path; else FiniteVolume up to two dimensions; else Langevin.

    `problem`: with `energy`, `initial` and `reference`, as genwgp.Problem. What its own reference knows without knowing
    the path, the equilibrium and a box that holds the path (`support`), goes with the finite volumes. What it is, in
    words: its `describe()`. InputError where none of them can treat the energy, from the last one tried.
    """
    known = problem.reference
    if known is not None and known.density(0) is not None:
        return known
    if problem.initial.dim > 2:
        return Langevin.of(problem)
    if known is None or isinstance(known, QuadratureReference):
        return FiniteVolume.of(problem)  # whose equilibrium is that of the quadrature
    return PathTo(FiniteVolume.of(problem, box=getattr(known, "support", None), walls=False), known)


class PathTo:
    """The path of one reference, before t = inf; what there is to know of the end from another, `end`."""

    def __init__(self, path: FiniteVolume, end: Any):
        self.path, self.end = path, end

    @property
    def log_normaliser(self) -> float | None:
        """That of `end`."""
        return self.end.log_normaliser

    @property
    def equilibrium_free_energy(self) -> float | None:
        """That of `end`."""
        return self.end.equilibrium_free_energy

    def density(self, t: Any) -> Any:
        """The density of `path` at time t < inf, of `end` at inf."""
        return self._at(t).density(t)

    def free_energy(self, t: Any) -> float:
        """F of `path` at time t < inf, of `end` at inf."""
        return self._at(t).free_energy(t)

    def dissipation(self, t: Any) -> float:
        """I of `path` at time t < inf, of `end` at inf."""
        return self._at(t).dissipation(t)

    def describe(self) -> str:
        """What it is, in words."""
        return f"{self.path.describe()}; beside it, {self.end.describe()}"

    def _at(self, t: Any) -> Any:
        return self.end if time_of(t) == np.inf else self.path
