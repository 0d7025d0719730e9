"""`genwgp show` and `sample`: what is in a run folder, and samples of it."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from genwgp.cli.environment import precision, use_compilation_cache
from genwgp.cli.given import problem_of
from genwgp.cli.table import aligned, columns, figure, summary_table
from genwgp.diagnostics.pareto import TRUSTED
from genwgp.errors import InputError
from genwgp.io import is_begun, load, read_about, read_begun, read_curves, read_run
from genwgp.io.folder import CURVES, MANIFEST, RUN, going_on, reading, replace_file
from genwgp.io.plain import decode, encode
from genwgp.solvers import Result

BATCH = 16_384  # samples at a time, to bound the memory
UNFINISHED = "unfinished"
NODE_COLUMNS = {
    "t": "times",
    "s": "arclength",
    "F": "free_energy",
    "dissipation": "dissipation",
    "direction residual": "direction_residual",
}


def show_run(folder: str, as_json: bool) -> None:
    """Print the summary, the origin and the nodes of a run; nothing is computed. Or how far an unfinished one is."""
    if is_begun(folder) and not (Path(folder) / MANIFEST).is_file():
        return _show_begun(folder, as_json)
    run = read_run(folder)
    nodes = read_curves(Path(folder) / CURVES)
    if as_json:
        curves = {name: nodes[name].values for name in NODE_COLUMNS.values()}
        json.dump(encode("run", {**run, "curves": curves}), sys.stdout, indent=2)
        print()
        return
    with reading(folder, RUN):
        print(summary_table(run["summary"], folder))
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    print(f"\nsaved {run['date']} in {run['dtype']} with {versions}\n")
    rows = zip(*(nodes[name].values.tolist() for name in NODE_COLUMNS.values()), strict=True)
    print(columns(["node", *NODE_COLUMNS], [[str(k), *map(figure, row)] for k, row in enumerate(rows)]))
    if np.isinf(nodes["times"].values[-1]):
        print("\nt = inf: the last node stands for the equilibrium. Directions are noise where F hardly falls.")


def _show_begun(folder: str, as_json: bool) -> None:
    begun, about = read_begun(folder), read_about(folder)
    if as_json:
        figures = {"result": UNFINISHED, "problem": begun["problem"]["name"], "settings": begun["settings"]}
        json.dump(encode("run", {**figures, "begun": begun["date"], "progress": about}), sys.stdout, indent=2)
        print()
        return
    far = ", ".join(f"{name.replace('_', ' ')} {number:.6g}" for name, number in about.items())
    rows = {"problem": begun["problem"]["name"], "result": UNFINISHED, "begun": begun["date"]}
    print(aligned([*rows.items(), ("so far", far or "nothing"), ("folder", folder)]))
    print(f"\n{going_on(folder)}")


def sample_run(
    folder: str, place: dict[str, Any], n: int, output: str | None, seed: int, problem: str | None, resample: bool
) -> None:
    """Write `n` samples of a run's density at a place, with their log-density.

    At the equilibrium with importance weights too; with `resample`, samples of exp(-V/D)/Z itself instead.
    """
    form = _form(output)
    if output is not None and Path(output).exists():
        raise InputError("--output", output, "a file that does not exist yet")
    with loaded(folder, problem) as solution:
        warn_unless_converged(folder, solution)
        rho = _density(solution.path, place)
        if resample:
            _warn_unless_trusted(folder, rho)
        with _named("--resample", "equilibrium"):
            x, log_density = _samples(partial(_resampled, rho) if resample else rho.sample_and_log_prob, n, seed)
        table = {**{f"x{i}": x[:, i] for i in range(x.shape[1])}, "log_density": log_density}
        if "equilibrium" in place and not resample and solution.problem.energy.diffusion > 0:
            table["weight"] = np.asarray(rho.weights(x, log_density))
    if form == ".npz":
        data = io.BytesIO()
        arrays: dict[str, Any] = {name: table[name] for name in ("log_density", "weight") if name in table}
        np.savez(data, x=x, **arrays)
        _write(output, data.getvalue())
    else:
        _write(output, _csv(table).encode())


@contextmanager
def loaded(folder: str, problem: str | None) -> Iterator[Any]:
    """The solution in a folder, in a context of the precision that it was computed in."""
    run = read_run(folder)
    use_compilation_cache()
    with precision(run["dtype"] == "float64"):
        given = None
        if problem is not None:
            source = run["problem"]["source"] or {}
            with _named("--problem", "PROBLEM"):
                given = problem_of(problem, decode(source.get("parameters", {}))).problem
        yield load(folder, given)


def warn_unless_converged(folder: str, solution: Any) -> None:
    """A line on stderr about a run that is used although its figures are not within their limits."""
    if solution.result != Result.CONVERGED:
        print(f"genwgp: note: {folder} is {solution.result}: {solution.message}", file=sys.stderr)


def _warn_unless_trusted(folder: str, equilibrium: Any) -> None:
    if equilibrium.pareto_k > TRUSTED:  # not for NaN: where there are no weights, sampling says so
        what = f"the tail of its importance weights is heavy, Pareto k = {equilibrium.pareto_k:.2g}"
        print(f"genwgp: note: {folder}: {what} (to be trusted: below {TRUSTED})", file=sys.stderr)


def _density(path: Any, place: dict[str, Any]) -> Any:
    if "equilibrium" in place:
        return path.equilibrium
    (name,) = place
    with _named(f"--{name}", name):
        return path.at(**place)


@contextmanager
def _named(option: str, field: str) -> Iterator[None]:
    """An InputError about `field` inside of the block names the option that it came from."""
    try:
        yield
    except InputError as error:
        if error.field != field:
            raise
        raise InputError(option, error.given, error.allowed) from None


def _resampled(equilibrium: Any, key: Any, n: int) -> tuple[Any, Any]:
    """Samples of exp(-V/D)/Z, with its logarithm there."""
    x = equilibrium.resample(key, n)
    return x, equilibrium.log_target(x)


def _samples(draw: Any, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    size, parts = min(n, BATCH), []
    for i in range(-(-n // size)):
        parts.append(tuple(map(np.asarray, draw(jax.random.fold_in(jax.random.key(seed), i), size))))
    return tuple(np.concatenate(part)[:n] for part in zip(*parts, strict=True))  # pyright: ignore[reportReturnType]


def _form(output: str | None) -> str:
    form = ".csv" if output is None else Path(output).suffix.lower()
    if form not in (".csv", ".npz"):
        raise InputError("--output", output, "a file that ends in .csv or .npz")
    return form


def _csv(table: dict[str, np.ndarray]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
    return text.getvalue()


def _write(output: str | None, content: bytes) -> None:
    """Write a file that appears whole or not at all; without a name, to stdout."""
    if output is None:
        sys.stdout.write(content.decode())
        return
    try:
        replace_file(Path(output), content)
    except OSError as error:
        raise InputError("--output", output, f"a file that can be written ({error.strerror or error})") from None
