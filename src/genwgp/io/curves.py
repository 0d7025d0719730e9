"""The curves of a path and its optimisation log: one dataset with named dimensions, and the log once more as CSV."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from genwgp.errors import InputError, RunFolderError
from genwgp.io.folder import reading

LOG_PREFIX = "log_"
# name of the path's attribute -> dimension, units, description; the units of V are "energy", those of x "length".
CURVES = {
    "times": ("node", "length2 energy-1", "physical time of the gradient flow; infinite at the equilibrium"),
    "arclength": ("node", "length", "length of the path up to the node, in the Wasserstein metric"),
    "free_energy": ("node", "energy", "free energy F, an estimate over particles"),
    "dissipation": ("node", "energy2 length-2", "dissipation -dF/dt, the mean of |grad mu|^2"),
    "speed": ("node", "energy length-1", "speed per unit of physical time, root mean square over particles"),
    "direction_residual": (
        "node",
        "1",
        "direction residual || v/||v|| + grad mu/||grad mu|| ||; 0 on the gradient flow",
    ),
    "layer_lengths": ("layer", "length", "length of each layer in the Wasserstein metric"),
}


def dataset(solution: Any):
    """The curves of a solution's path and its log as an xarray.Dataset, dimensions node (K+1), layer (K) and step.

    Variables: `times`, `arclength`, `free_energy`, `dissipation`, `speed`, `direction_residual` (node), `layer_lengths`
    (layer) and `log_NAME` (step) for every column of the log; each has `units` and `long_name`.
    InputError if the columns of the log are not 1-d numeric arrays of one length.
    """
    import xarray  # takes a second to import, and only saving and loading need it

    variables = {}
    for name, (dimension, units, description) in CURVES.items():
        values = np.asarray(getattr(solution.path, name))
        variables[name] = (dimension, values, {"units": units, "long_name": description})
    for name, column in _columns(solution.log).items():
        variables[LOG_PREFIX + name] = ("step", column, {"units": "1", "long_name": f"optimisation log: {name}"})
    return xarray.Dataset(variables, attrs={"title": f"Wasserstein gradient path of {solution.problem.name}"})


def write_curves(solution: Any, path: Path) -> None:
    """Write `dataset(solution)` as netCDF."""
    dataset(solution).to_netcdf(path, engine="h5netcdf")


def read_curves(path: Path):
    """The dataset of a run folder's netCDF file, in memory; RunFolderError if it is not one of ours."""
    import xarray

    with (
        reading(path.parent, path.name),
        xarray.open_dataset(path, engine="h5netcdf", decode_times=False, decode_timedelta=False) as data,
    ):
        loaded = data.load()
    missing = [name for name in CURVES if name not in loaded]
    if missing:
        raise RunFolderError(f"{path.parent}: damaged; {path.name} lacks {', '.join(missing)}")
    wrong = [name for name, (dimension, *_) in CURVES.items() if not _is_curve(loaded[name], dimension)]
    if wrong:
        raise RunFolderError(f"{path.parent}: damaged; {', '.join(wrong)} in {path.name} is no curve")
    return loaded


def _is_curve(variable: Any, dimension: str) -> bool:
    return variable.dims == (dimension,) and variable.size > 0 and variable.dtype.kind == "f"


def log_of(data: Any) -> dict[str, np.ndarray]:
    """The optimisation log in a dataset: name -> 1-d array."""
    names = [str(name) for name in data.data_vars if str(name).startswith(LOG_PREFIX)]
    return {name.removeprefix(LOG_PREFIX): np.asarray(data[name].values) for name in names}


def write_log(solution: Any, path: Path) -> None:
    """The optimisation log as CSV, a row per step, numbers so that they read back the same."""
    columns = _columns(solution.log)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def _columns(log: dict[str, Any]) -> dict[str, np.ndarray]:
    columns = {name: np.asarray(column) for name, column in log.items()}
    for name, column in columns.items():
        if column.ndim != 1 or column.dtype.kind not in "biuf":
            given = f"{column.dtype} of shape {column.shape}"
            raise InputError(f"solution.log.{name}", given, "a 1-d array of numbers")
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise InputError("solution.log", f"columns of lengths {sorted(lengths)}", "columns of one length")
    return columns
