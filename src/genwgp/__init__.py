"""Wasserstein gradient paths: from a start density to the equilibrium of a free energy, as one generative flow."""

from typing import TYPE_CHECKING, Any

from genwgp import errors as errors
from genwgp import problems as problems
from genwgp import references as references
from genwgp.actions import FiniteHorizonAction as FiniteHorizonAction
from genwgp.actions import GeometricAction as GeometricAction
from genwgp.energies import Entropy as Entropy
from genwgp.energies import FreeEnergy as FreeEnergy
from genwgp.errors import GenwgpError as GenwgpError
from genwgp.errors import InputError as InputError
from genwgp.errors import NotConvergedError as NotConvergedError
from genwgp.initial import Gaussian as Gaussian
from genwgp.initial import Mixture as Mixture
from genwgp.path import WassersteinPath as WassersteinPath
from genwgp.problem import Problem as Problem
from genwgp.solvers import Adam as Adam
from genwgp.solvers import CausalSweep as CausalSweep
from genwgp.solvers import Event as Event
from genwgp.solvers import Result as Result
from genwgp.solvers import Solution as Solution
from genwgp.solvers import solve as solve

if TYPE_CHECKING:
    from genwgp.io import load as load
    from genwgp.io import save as save

__version__ = "0.1.0"
__all__ = [
    "Adam",
    "CausalSweep",
    "Entropy",
    "Event",
    "FiniteHorizonAction",
    "FreeEnergy",
    "Gaussian",
    "GenwgpError",
    "GeometricAction",
    "InputError",
    "Mixture",
    "NotConvergedError",
    "Problem",
    "Result",
    "Solution",
    "WassersteinPath",
    "errors",
    "load",
    "problems",
    "references",
    "save",
    "solve",
]


def __getattr__(name: str) -> Any:
    # Files belong to the shell, which the core never imports: they come when they are asked for.
    if name in ("load", "save"):
        from genwgp import io

        return getattr(io, name)
    raise AttributeError(f"module 'genwgp' has no attribute {name!r}")
