"""The best reference for a problem."""

from typing import Any

from genwgp.references.base import ExactSolution
from genwgp.references.finite_volume import FiniteVolume
from genwgp.references.langevin import Langevin


def reference_for(problem: Any) -> ExactSolution:
    """The problem's own reference if it knows the path; else FiniteVolume up to two dimensions; else Langevin.

    `problem`: with `energy`, `initial` and `reference`, as genwgp.Problem. What it is, in words: its `describe()`.
    InputError where none of them can treat the energy, from the last one tried.
    """
    known = problem.reference
    if known is not None and known.density(0) is not None:
        return known
    return FiniteVolume.of(problem) if problem.initial.dim <= 2 else Langevin.of(problem)
