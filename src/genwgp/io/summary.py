"""The figures of a solution that are printed and kept: plain numbers by name."""

import math
from typing import TYPE_CHECKING, Any

from genwgp.errors import GenwgpError
from genwgp.initial import FittedGaussian, FittedMixture

if TYPE_CHECKING:
    from genwgp.problem import Problem
    from genwgp.solvers import Solution


def summary(solution: "Solution") -> dict[str, Any]:
    """What a solve has found.

    Energies in the units of V, lengths in those of x: `free_energy_start` and `free_energy_end` (estimates over
    particles), `log_normaliser` (log Z by importance weights at the last node), `equilibrium_free_energy` (-D log Z),
    `effective_sample_size` (fraction of 1), `pareto_k` (tail of the weights: to be trusted below 0.7), `action` and
    `action_second_form` (they differ by quadrature and sampling), `length`, `speed_spread` (largest change between
    adjacent layers), `direction_residual` (the largest one at the nodes before 99 % of the drop of F),
    `dissipation_error` (largest difference of the drop of F and the dissipation of a layer before it), `lost` (share of
    the held-out particles that the layers carry to infinity, where there are any), `seconds`;
    `reference_free_energy` where it is known independently; `start`, the entries of the `FitQuality` of a start that
    was fitted to samples. None where a figure does not exist.
    """
    path, diagnostics = solution.path, solution.diagnostics
    entropic = solution.problem.energy.diffusion > 0
    equilibrium = path.equilibrium if entropic else None
    return {
        "problem": solution.problem.name,
        "dim": solution.problem.dim,
        "start": _start(solution.problem),
        "result": str(getattr(solution.result, "value", solution.result)),
        "message": solution.message,
        "layers": len(path.layer_lengths),
        "free_energy_start": float(path.free_energy[0]),
        "free_energy_end": float(path.free_energy[-1]),
        "equilibrium_free_energy": None if equilibrium is None else float(equilibrium.free_energy),
        "reference_free_energy": _reference(solution.problem),
        "log_normaliser": None if equilibrium is None else float(equilibrium.log_normaliser),
        "effective_sample_size": None if equilibrium is None else float(equilibrium.effective_sample_size),
        "pareto_k": None if equilibrium is None or math.isnan(equilibrium.pareto_k) else float(equilibrium.pareto_k),
        "action": diagnostics.get("action"),
        "action_second_form": diagnostics.get("action_second_form"),
        "length": float(path.arclength[-1]),
        "speed_spread": diagnostics.get("speed_spread"),
        "direction_residual": diagnostics.get("direction_residual"),
        "dissipation_error": diagnostics.get("dissipation_error"),
        "lost": diagnostics.get("lost") or None,
        "seconds": solution.stats.get("seconds"),
    }


def _start(problem: "Problem") -> dict[str, int | float] | None:
    """How well a fitted start fits its samples; None for other starts."""
    initial = problem.initial
    return initial.quality._asdict() if isinstance(initial, FittedGaussian | FittedMixture) else None


def _reference(problem: "Problem") -> float | None:
    """F* as a reference knows it; None without one, where F has no minimum, or V is not integrable."""
    try:
        value = None if problem.reference is None else problem.reference.equilibrium_free_energy
    except GenwgpError:
        return None
    return None if value is None or not math.isfinite(value) else float(value)
