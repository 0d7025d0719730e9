"""Saving a solution to a run folder, and reading it back."""

import datetime
import os
import platform
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import equinox
import jax
import numpy as np

import genwgp
from genwgp.errors import RunFolderError
from genwgp.io import folder as files
from genwgp.io.arrays import arrays_bytes, read_arrays
from genwgp.io.checkpoint import belongs, finishing
from genwgp.io.curves import log_of, read_curves, write_curves, write_log
from genwgp.io.plain import decode, encode
from genwgp.io.sources import check_fingerprint, fingerprint, problem_from_source
from genwgp.io.summary import summary
from genwgp.problem import Problem

if TYPE_CHECKING:
    from genwgp.solvers import Solution

RUN_FIELDS = {"problem": dict, "settings": dict, "result": str, "message": str, "summary": dict}
RUN_FIELDS |= {"diagnostics": dict, "stats": dict, "versions": dict, "platform": dict, "dtype": str, "date": str}
NUMBERS = ("action", "action_second_form", "speed_spread", "direction_residual", "dissipation_error", "lost", "seconds")


def save(solution: "Solution", folder: str | os.PathLike, source: dict[str, Any] | None = None) -> Path:
    """Write a solution into a new folder and return it; the folder appears whole or not at all.

    Or into the folder of the checkpoint of its solve, which ends as a run folder; the checkpoint goes, unless Ctrl-C
    has ended the solve.

    `layers.safetensors`: all arrays of the path by name, with a JSON header. `path.nc`: the curves and the log.
    `run.json`: settings, problem source, versions, result, diagnostics, stats. `log.csv`: the log again.
    `source`: where the problem came from, `solution.problem_source` unless given; without one `load` needs the problem.
    RunFolderError if the folder exists or cannot be written; InputError for settings that JSON cannot hold.
    """
    source = solution.problem_source if source is None else source
    arrays, static = solution.path.to_arrays()
    dtype = _float_type(arrays)
    header = {"format": files.FORMAT, "genwgp": genwgp.__version__, "dtype": dtype, "static": encode("static", static)}
    run = _describe(solution, source, dtype)
    begun = belongs(folder, solution.problem, solution.settings)
    # What Ctrl-C has ended may go on.
    around = finishing(folder, keep=solution.result == "interrupted") if begun else nullcontext()
    with around, files.new_folder(folder, begun=begun) as temporary:
        (temporary / files.LAYERS).write_bytes(arrays_bytes(arrays, header))
        write_curves(solution, temporary / files.CURVES)
        files.write_json(temporary / files.RUN, run)
        write_log(solution, temporary / files.LOG)
    return Path(folder)


def load(folder: str | os.PathLike, problem: Problem | None = None) -> "Solution":
    """The solution that `save` wrote, with the same numbers.

    The problem is made again from the gallery or from the TOML text kept in the folder; code of a user is never run,
    so a problem made in Python must be passed as `problem`, and is checked against values recorded when it was saved.
    RunFolderError if the folder is incomplete, damaged or newer, if the problem is missing or another one, or if the
    run is in float64 and jax is not.
    """
    from genwgp.path import WassersteinPath
    from genwgp.solvers import Result, Solution

    run = read_run(folder)
    data = read_curves(Path(folder) / files.CURVES)
    arrays, header = read_arrays(Path(folder) / files.LAYERS)
    if header.get("dtype") == "float64" and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        text = 'it is in float64: call jax.config.update("jax_enable_x64", True) before anything else'
        raise RunFolderError(f"{folder}: {text}")
    problem = problem_from_source(run["problem"]["source"], folder) if problem is None else problem
    check_fingerprint(problem, run["problem"]["fingerprint"], str(header.get("dtype")), folder)
    with files.reading(folder, files.LAYERS):
        path = WassersteinPath.from_arrays(arrays, decode(header["static"]), problem)
        path.check()
    with files.reading(folder, files.RUN):
        result = Result(run["result"])
    return Solution(
        path=path,
        result=result,
        message=run["message"],
        diagnostics=run["diagnostics"],
        stats=run["stats"],
        log=log_of(data),
        problem=problem,
        settings=run["settings"],
        problem_source=run["problem"]["source"],
    )


def read_run(folder: str | os.PathLike) -> dict[str, Any]:
    """What `run.json` of a verified run folder says: problem, settings, versions, result, diagnostics, stats, date."""
    path = files.verify(folder)
    content = files.read_json(path / files.RUN)
    run = decode(content)
    for key, kind in RUN_FIELDS.items():
        if not isinstance(run, dict) or not isinstance(run.get(key), kind):
            raise RunFolderError(f"{path}: damaged; {key} is missing in {files.RUN}")
    for figures in (run["diagnostics"], run["stats"], run["summary"]):
        if any(isinstance(figures.get(key), str | list | dict) for key in NUMBERS):
            raise RunFolderError(f"{path}: damaged; a figure is no number in {files.RUN}")
    if not {"name", "source", "fingerprint"} <= set(run["problem"]):
        raise RunFolderError(f"{path}: damaged; problem is incomplete in {files.RUN}")
    run["problem"]["source"] = content["problem"]["source"]  # kept as written: it is decoded where it is used
    return run


def _describe(solution: "Solution", source: dict[str, Any] | None, dtype: str) -> dict[str, Any]:
    """The content of run.json."""
    problem = solution.problem
    settings = encode("solution.settings", dict(solution.settings))
    return {
        "format": files.FORMAT,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "problem": {
            "name": problem.name,
            "dim": problem.dim,
            "diffusion": encode("diffusion", problem.energy.diffusion),
            "source": encode("problem_source", source),
            "fingerprint": encode("fingerprint", fingerprint(problem)),
        },
        "settings": settings,
        "seed": settings.get("seed"),
        "dtype": dtype,
        "result": encode("solution.result", solution.result),
        "message": solution.message,
        "summary": encode("summary", summary(solution)),
        "diagnostics": encode("solution.diagnostics", dict(solution.diagnostics)),
        "stats": encode("solution.stats", dict(solution.stats)),
        "versions": _versions(),
        "platform": {
            "system": platform.platform(),
            "machine": platform.machine(),
            "devices": [f"{device.platform}:{device.device_kind}" for device in jax.devices()],
        },
    }


def _versions() -> dict[str, str]:
    modules = {"genwgp": genwgp, "jax": jax, "equinox": equinox, "numpy": np}
    return {"python": platform.python_version(), **{name: module.__version__ for name, module in modules.items()}}


def _float_type(arrays: dict[str, np.ndarray]) -> str:
    """The widest float type among the arrays of the layers: clock and curves are always in float64."""
    layers = [array for name, array in arrays.items() if not name.startswith(("clock.", "curves."))]
    floats = [array.dtype for array in layers if array.dtype.kind == "f"]
    return str(max(floats, key=lambda dtype: dtype.itemsize)) if floats else "float32"
