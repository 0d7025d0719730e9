"""Time to accuracy: genwgp beside finite volumes, Langevin particles and neural methods, each on one core.

    python benchmarks/time_to_accuracy.py [--quick] [--budget SECONDS] [--methods NAME ...] [PROBLEM ...]

writes benchmarks/results/time-to-accuracy.md and .png. Each method runs in a process of its own on one core,
without compiled code from before, at its settings from coarse to fine; it begins no setting after --budget seconds of
its own time. genwgp runs a second time with the code that the first has compiled. --quick: 20 seconds a method, the
first settings only. Results of other problems and methods are kept, in time-to-accuracy.json.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tables
from matplotlib.figure import Figure
from peers.common import Task

import genwgp as gw
from genwgp.references import FiniteVolume

RESULTS = Path(__file__).parent / "results"
STORE = RESULTS / "time-to-accuracy.json"
TIMES = (0.1, 0.3, 1.0)
PROBLEMS: dict[str, dict[str, Any]] = {
    "tilted-double-well": {},
    "ornstein-uhlenbeck-mixture": {"dim": 2},
    "double-well-1d": {},
    "ornstein-uhlenbeck-mixture, d = 5": {"dim": 5},
}
METHODS = {
    "genwgp": "ours",
    "finite volumes": "finite_volumes",
    "Langevin + kernel density": "langevin",
    "score transport": "score_transport",
    "self-consistent velocity": "self_consistent",
    "JKO, convex networks": "icnn_jko",
    "JKO, a flow a step": "flow_jko",
}
DOUBLE = {"genwgp", "finite volumes"}  # the others compute in float32, as published
WARM = "genwgp, compiled before"
HEADER = ["method", "s to 5 %", "s to 1 %", "s to 0.2 %", "best, and when", "s to moments within 1 %", "compiling, s"]
WHAT = (
    "Error: the distance in total variation, int |p - q| / 2, from the exact density or that of finite volumes at 512 "
    f"cells an axis, the worst of the times {', '.join(map(str, TIMES))}; moments: mean and covariance, relative. "
    "Seconds are those of one setting from its beginning, compilation within them. Each method's file says what of its "
    "published settings was changed, and why."
)
GRID, SAMPLES = {1: 1025, 2: 81}, 4096
FINE = {1: {}, 2: {"cells": 512}}  # of the reference by finite volumes


def problem_of(name: str) -> gw.Problem:
    return gw.problems.get(name.partition(",")[0], **PROBLEMS[name])


class Target:
    """Where densities are compared at each time: points, weights of an integral, log of the reference, its moments."""

    def __init__(self, points: Any, weights: Any, log_q: Any, means: Any, covariances: Any):
        self.points, self.weights, self.log_q, self.means, self.covariances = map(
            np.asarray, (points, weights, log_q, means, covariances)
        )

    @classmethod
    def of(cls, problem: gw.Problem) -> "Target":
        exact = problem.reference is not None and problem.reference.density(TIMES[0]) is not None
        reference: Any = problem.reference if exact else FiniteVolume.of(problem, **FINE[problem.initial.dim])
        found = [reference.density(t) for t in TIMES]
        points, weights = zip(*(places(rho, problem.initial.dim) for rho in found), strict=True)
        log_q = [np.asarray(rho.log_prob(x)) for rho, x in zip(found, points, strict=True)]
        return cls(points, weights, log_q, [rho.mean for rho in found], [rho.covariance for rho in found])

    def variation(self, i: int, log_p: np.ndarray) -> float:
        """The distance in total variation, int |p - q| / 2."""
        p = np.exp(np.where(np.isfinite(log_p), np.minimum(log_p, 50.0), -np.inf))
        return 0.5 * float(self.weights[i] @ np.abs(p - np.exp(self.log_q[i])))

    def moments(self, i: int, mean: np.ndarray, covariance: np.ndarray) -> float:
        """The larger of two relative errors: of the mean, over the root mean square of x, and of the covariance."""
        m, S = self.means[i], self.covariances[i]
        size = np.sqrt(np.trace(S) + m @ m)
        return float(max(np.linalg.norm(mean - m) / size, np.linalg.norm(covariance - S) / np.linalg.norm(S)))


def places(rho: Any, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of an integral: a grid in a box around samples, or quasi-random samples of rho."""
    if dim not in GRID:
        points = rho.quasi_sample(11, SAMPLES)
        return np.asarray(points), np.exp(-np.asarray(rho.log_prob(points))) / SAMPLES
    x = np.asarray(rho.sample(jax.random.key(11), 20_000))
    margin = 0.25 * np.ptp(x, axis=0)
    axes = [np.linspace(a, b, GRID[dim]) for a, b in zip(x.min(0) - margin, x.max(0) + margin, strict=True)]
    points = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], 1)
    return points, np.full(len(points), np.prod([axis[1] - axis[0] for axis in axes]))


def work_off(method: str, problem: str, budget: float, settings: int, target: Target) -> None:
    """In a process of its own: a line of JSON for each estimate."""
    jax.config.update("jax_enable_x64", method in DOUBLE)
    compiling = [0.0]
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration_secs, **_: compiling.append(duration_secs) if "backend_compile" in event else None
    )
    module, task = importlib.import_module(f"peers.{METHODS[method]}"), Task.of(problem_of(problem), TIMES)
    whole = 0.0
    for setting in module.SETTINGS[:settings]:
        spent, estimates = 0.0, module.run(task, setting)
        compiling[:] = [0.0]
        while whole + spent < budget:
            began = time.perf_counter()
            try:
                estimate = next(estimates)
            except StopIteration:
                break
            except gw.InputError as error:  # a mesh that does not resolve the start
                print(json.dumps({"label": str(setting), "failed": str(error)}), flush=True)
                break
            spent += time.perf_counter() - began
            row = {"label": estimate.label, "seconds": spent, "compiling": sum(compiling)}
            row["moments"] = [target.moments(i, *estimate.moments(t)) for i, t in enumerate(TIMES)]
            if estimate.log_prob is not None:
                row["variation"] = [
                    target.variation(i, estimate.log_prob(t, target.points[i])) for i, t in enumerate(TIMES)
                ]
            print(json.dumps(row), flush=True)
        whole += spent


def rows_of(method: str, problem: str, given: Any, target: Path, cache: str) -> Iterator[dict[str, Any]]:
    """What the process of a method finds."""
    command = [sys.executable, __file__, "--worker", method, "--target", str(target), "--budget", str(given.budget)]
    command += ["--settings", str(given.settings), problem]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    environment["OPENBLAS_NUM_THREADS"] = "1"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{problem} | {method} | {line.strip()}", flush=True)
            yield json.loads(line)


def measure(problem: str, given: Any, stored: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made, path = problem_of(problem), Path(folder) / "target.npz"
        target = Target.of(made)
        np.savez(path, **vars(target))
        for method in given.methods:
            if method == "finite volumes" and made.initial.dim not in GRID:
                continue
            for label in (method, WARM) if method == "genwgp" else (method,):
                cache = str(Path(folder) / METHODS[method])
                stored.setdefault(problem, {})[label] = list(rows_of(method, problem, given, path, cache))
                STORE.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
                write(stored)


def least(rows: list[dict[str, Any]], error: str, at_most: float) -> str:
    """Seconds of the fastest estimate whose error, the worst of all times, is small enough."""
    found = [row["seconds"] for row in rows if max(row.get(error, [np.inf])) <= at_most]
    return f"{min(found):.3g}" if found else "-"


def best(rows: list[dict[str, Any]], error: str) -> str:
    found = min(((max(row[error]), row["seconds"]) for row in rows if error in row), default=None)
    return f"{100 * found[0]:.2g} % in {found[1]:.3g} s" if found else "none"


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    rows = []
    for method, found in results.items():
        compiling = max((row["compiling"] for row in found if "compiling" in row), default=0.0)
        to = [least(found, "variation", percent / 100) for percent in (5, 1, 0.2)]
        rows.append([method, *to, best(found, "variation"), least(found, "moments", 0.01), f"{compiling:.3g}"])
    return tables.markdown(HEADER, rows)


def write(stored: dict[str, Any]) -> None:
    """The tables and the picture of all that is stored."""
    known = {problem: stored[problem] for problem in PROBLEMS if problem in stored}
    parts = [f"# Time to accuracy\n\n{tables.machine()}, each method on one core.\n\n{WHAT}\n"]
    parts += [f"## {problem}\n\n{table(results)}\n" for problem, results in known.items()]
    (RESULTS / "time-to-accuracy.md").write_text("\n".join(parts), encoding="utf-8")
    draw(known)


def draw(stored: dict[str, Any]) -> None:
    """Error against time, both logarithmic: one panel a problem, one line a method."""
    rows = -(-len(stored) // 2)
    figure = Figure(figsize=(11, 4 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False).ravel()
    for axis in axes[len(stored) :]:
        axis.set_axis_off()
    for axis, (problem, results) in zip(axes, stored.items(), strict=False):
        for method, rows in results.items():
            points = sorted((row["seconds"], max(row["variation"])) for row in rows if "variation" in row)
            color = f"C{list(METHODS).index(method.partition(',')[0] if method == WARM else method)}"
            axis.loglog(
                *np.transpose(points or [(np.nan, np.nan)]),
                "o--" if method == WARM else "o-",
                color=color,
                label=method,
            )
        axis.set(title=problem, xlabel="seconds, one core", ylabel="total variation")
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(RESULTS / "time-to-accuracy.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="20 seconds a method, its first settings")
    parser.add_argument("--budget", type=float, default=100.0, help="seconds of a method after which it begins nothing")
    parser.add_argument("--settings", type=int, default=99, help="how many settings of each method")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--worker", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--target", help=argparse.SUPPRESS)
    parser.add_argument("problems", nargs="*", help="all of them where none is given")
    given = parser.parse_args()
    if unknown := set(given.problems) - set(PROBLEMS):
        parser.error(f"unknown {sorted(unknown)}; known: {list(PROBLEMS)}")
    if given.worker:
        return work_off(given.worker, given.problems[0], given.budget, given.settings, Target(**np.load(given.target)))
    jax.config.update("jax_enable_x64", True)
    if given.quick:
        given.budget, given.settings = min(given.budget, 20.0), min(given.settings, 1)
    stored = json.loads(STORE.read_text(encoding="utf-8")) if STORE.exists() else {}
    for problem in given.problems or PROBLEMS:
        measure(problem, given, stored)


if __name__ == "__main__":
    main()
