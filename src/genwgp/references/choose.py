"""The reference to compare a path with."""

from typing import Any

from genwgp.errors import InputError
from genwgp.references.base import ExactSolution


def reference_for(problem: Any) -> ExactSolution:
    """The exact reference of a problem; InputError where it does not know the path, `density(t)`."""
    reference = problem.reference
    if reference is None or reference.density(0.0) is None:
        raise InputError("problem", problem.name, "a problem with a reference whose path is known")
    return reference
