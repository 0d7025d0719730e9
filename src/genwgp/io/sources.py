"""Where a problem came from, and how it is made again from that: never by running a user's file unasked."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from genwgp import problems
from genwgp.errors import GenwgpError, RunFolderError
from genwgp.io.folder import reading
from genwgp.io.plain import decode, encode
from genwgp.io.problem_file import read_problem
from genwgp.problem import Problem

PROBES = 8
VALUES = ("energy", "initial")
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}  # relative; allows another processor's rounding, not another problem


def gallery_source(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The source of `genwgp.problems.get(name, **parameters)`."""
    return {"kind": "gallery", "name": name, "parameters": encode("parameters", parameters)}


def toml_source(text: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """The source of `read_problem(text, overrides)`: the whole text is kept, so that the file may change later.

    A data file that the text names is not kept: the overrides of a `ProblemFile` say what it came to.
    """
    return {"kind": "toml", "text": text, "overrides": encode("overrides", overrides)}


def module_source(path: str, function: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The source of `function(**parameters)` of a Python file or module."""
    return {"kind": "module", "path": path, "function": function, "parameters": encode("parameters", parameters)}


def problem_from_source(source: dict[str, Any] | None, folder: object) -> Problem:
    """The problem of a run, made again; `folder` is named in errors.

    RunFolderError if the problem was written in Python: running a user's file is the caller's decision, who then
    passes the problem itself. RunFolderError too if the gallery or the text does not give a problem any more.
    """
    match source:
        case {"kind": "gallery", "name": str(name), "parameters": dict(parameters)}:
            return _made(lambda: problems.get(name, **decode(parameters)), folder)
        case {"kind": "toml", "text": str(text), "overrides": dict(overrides)}:
            return _made(lambda: read_problem(text, decode(overrides)).problem, folder)
        case {"kind": "module", "path": str(path), "function": str(function)}:
            text = f"its problem is made by {function} of {path}, which is not run unasked"
            raise RunFolderError(f"{folder}: {text}: pass problem=, in a shell --problem {path}:{function}")
        case None:
            text = "its problem was made in Python, and only its name is kept"
            raise RunFolderError(f"{folder}: {text}: pass problem=, in a shell --problem module.py:function")
        case _:
            raise RunFolderError(f"{folder}: damaged; unknown problem source {source}")


def _made(make: Callable[[], Problem], folder: object) -> Problem:
    try:
        with reading(folder, "the source of its problem"):
            return make()
    except RunFolderError:
        raise
    except GenwgpError as error:
        raise RunFolderError(f"{folder}: its problem cannot be made again ({error}): pass problem=") from None


def fingerprint(problem: Problem) -> dict[str, Any]:
    """What tells a problem from another: V + D log rho_0 and log rho_0 at a few points of the start."""
    points = problem.initial.quasi_sample(0, PROBES)
    return {"points": points.tolist(), **_values(problem, points)}


def _recorded(expected: dict[str, Any]) -> dict[str, np.ndarray]:
    """The values of a fingerprint. ValueError, TypeError or KeyError where it is none."""
    points = np.asarray(expected["points"], dtype=np.float64)
    found = {name: np.asarray(expected[name], dtype=np.float64) for name in VALUES}
    if points.ndim != 2 or not len(points) or any(values.shape != points.shape[:1] for values in found.values()):
        raise ValueError("its points and values do not belong together")
    return {"points": points, **found}


def check_fingerprint(problem: Problem, expected: dict[str, Any], dtype: str, folder: object) -> None:
    """RunFolderError unless the problem has the values that were recorded when the run was saved."""
    with reading(folder, "the fingerprint of its problem"):
        recorded = _recorded(expected)
    points = recorded["points"]
    if points.shape[1:] != (problem.dim,):
        raise RunFolderError(f"{folder}: solved in {points.shape[1]} dimensions, the problem given has {problem.dim}")
    for name, values in _values(problem, points).items():
        scale = max(1.0, float(np.max(np.abs(recorded[name]))))
        if not np.max(np.abs(np.asarray(values) - recorded[name])) <= TOLERANCE.get(dtype, 1e-4) * scale:
            raise RunFolderError(f"{folder}: the problem given is not the one that was solved; its {name} differs")


def _values(problem: Problem, points: np.ndarray) -> dict[str, list[float]]:
    x = jnp.asarray(points, dtype=float)
    log_density = problem.initial.log_prob(x)
    energy = problem.energy.per_particle(x, log_density)
    return {"energy": np.asarray(energy).tolist(), "initial": np.asarray(log_density).tolist()}
