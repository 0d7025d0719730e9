"""Wasserstein gradient paths: from a start density to the equilibrium of a free energy, as one generative flow."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genwgp import errors as errors
    from genwgp import problems as problems
    from genwgp import references as references
    from genwgp.actions import FiniteHorizonAction as FiniteHorizonAction
    from genwgp.actions import GeometricAction as GeometricAction
    from genwgp.diagnostics import certificate as certificate
    from genwgp.energies import CustomInternal as CustomInternal
    from genwgp.energies import Entropy as Entropy
    from genwgp.energies import FastDiffusion as FastDiffusion
    from genwgp.energies import FreeEnergy as FreeEnergy
    from genwgp.energies import Functional as Functional
    from genwgp.energies import GaussianInteraction as GaussianInteraction
    from genwgp.energies import Interaction as Interaction
    from genwgp.energies import InteractionSum as InteractionSum
    from genwgp.energies import InternalSum as InternalSum
    from genwgp.energies import LogarithmicInteraction as LogarithmicInteraction
    from genwgp.energies import MorseInteraction as MorseInteraction
    from genwgp.energies import NewtonianInteraction as NewtonianInteraction
    from genwgp.energies import PorousMedium as PorousMedium
    from genwgp.energies import PowerInteraction as PowerInteraction
    from genwgp.energies import QuadraticInteraction as QuadraticInteraction
    from genwgp.energies import QuarticInteraction as QuarticInteraction
    from genwgp.energies import RandomBatch as RandomBatch
    from genwgp.energies import RelativeEntropy as RelativeEntropy
    from genwgp.energies import SumOverData as SumOverData
    from genwgp.errors import GenwgpError as GenwgpError
    from genwgp.errors import InputError as InputError
    from genwgp.errors import NotConvergedError as NotConvergedError
    from genwgp.export import to_flowjax as to_flowjax
    from genwgp.export import to_inference_data as to_inference_data
    from genwgp.export import to_numpyro as to_numpyro
    from genwgp.initial import Gaussian as Gaussian
    from genwgp.initial import Mixture as Mixture
    from genwgp.initial import from_samples as from_samples
    from genwgp.io import load as load
    from genwgp.io import save as save
    from genwgp.path import WassersteinPath as WassersteinPath
    from genwgp.problem import Problem as Problem
    from genwgp.solvers import Adam as Adam
    from genwgp.solvers import CausalSweep as CausalSweep
    from genwgp.solvers import Event as Event
    from genwgp.solvers import Result as Result
    from genwgp.solvers import Row as Row
    from genwgp.solvers import Solution as Solution
    from genwgp.solvers import Table as Table
    from genwgp.solvers import solve as solve
    from genwgp.solvers import solve_many as solve_many

__version__ = "0.1.0"
__all__ = [
    "Adam",
    "CausalSweep",
    "CustomInternal",
    "Entropy",
    "Event",
    "FastDiffusion",
    "FiniteHorizonAction",
    "FreeEnergy",
    "Functional",
    "Gaussian",
    "GaussianInteraction",
    "GenwgpError",
    "GeometricAction",
    "InputError",
    "Interaction",
    "InteractionSum",
    "InternalSum",
    "LogarithmicInteraction",
    "Mixture",
    "MorseInteraction",
    "NewtonianInteraction",
    "NotConvergedError",
    "PorousMedium",
    "PowerInteraction",
    "Problem",
    "QuadraticInteraction",
    "QuarticInteraction",
    "RandomBatch",
    "RelativeEntropy",
    "Result",
    "Row",
    "Solution",
    "SumOverData",
    "Table",
    "WassersteinPath",
    "certificate",
    "errors",
    "from_samples",
    "load",
    "problems",
    "references",
    "save",
    "solve",
    "solve_many",
    "to_flowjax",
    "to_inference_data",
    "to_numpyro",
]

# Where these names come from. They are imported when they are asked for: jax takes a second, and files belong to the
# shell, which the core never imports.
_HOMES = {
    "actions": ("FiniteHorizonAction", "GeometricAction"),
    "diagnostics": ("certificate",),
    "energies": (
        "CustomInternal",
        "Entropy",
        "FastDiffusion",
        "FreeEnergy",
        "Functional",
        "GaussianInteraction",
        "Interaction",
        "InteractionSum",
        "InternalSum",
        "LogarithmicInteraction",
        "MorseInteraction",
        "NewtonianInteraction",
        "PorousMedium",
        "PowerInteraction",
        "QuadraticInteraction",
        "QuarticInteraction",
        "RandomBatch",
        "RelativeEntropy",
        "SumOverData",
    ),
    "errors": ("GenwgpError", "InputError", "NotConvergedError"),
    "export": ("to_flowjax", "to_inference_data", "to_numpyro"),
    "initial": ("Gaussian", "Mixture", "from_samples"),
    "io": ("load", "save"),
    "path": ("WassersteinPath",),
    "problem": ("Problem",),
    "solvers": ("Adam", "CausalSweep", "Event", "Result", "Row", "Solution", "Table", "solve", "solve_many"),
}
_NAMESPACES = {*_HOMES, "cli", "diagnostics", "layers", "problems", "references", "report"}


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None and name not in _NAMESPACES:
        raise AttributeError(f"module 'genwgp' has no attribute {name!r}")
    module = import_module(f"genwgp.{home or name}")
    globals()[name] = found = getattr(module, name) if home else module
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
