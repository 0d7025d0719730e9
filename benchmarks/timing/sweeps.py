"""Whole segments and whole solves: what each phase takes, compilation, and the time to set errors."""

import importlib
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

import genwgp as gw
from genwgp.solvers.sweep import sweep
from timing.cases import PROBLEMS

# What is timed of a sweep: where each function is called from, and what it is called here. The time of one inside of
# another counts for the inner one alone.
PHASES = {
    "Jacobian": [("solvers.collocation", "jacobian")],
    "simplified columns": [("solvers.simplified", "_columns")],
    "normal equations": [("solvers.collocation", "factorise"), ("solvers.simplified", "_model")],
    "Cholesky": [("solvers.collocation", "cholesky"), ("solvers.simplified", "cholesky")],
    "residuals": [("solvers.collocation", "collocate"), ("solvers.simplified", "collocate")],
    "explicit fit": [("solvers.fitting", "_explicit")],
    "features": [("solvers.run", "Run._field")],
    "probe": [("solvers.run", "Run._probe")],
    "accept": [("solvers.run", "Run._accept")],
}
COUNTED = {"Jacobian": "Newton matrices", "simplified columns": "simplified matrices", "residuals": "residuals"}
COMPILATION = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}
SEGMENTS = [
    "problem",
    "N",
    "segments",
    "s",
    "s a segment, warm",
    "Newton matrices",
    "simplified matrices",
    "residuals",
    "compiling (s)",
    "phases, warm (s)",
]
SOLVES = [
    "problem",
    "cache",
    "converged",
    "s",
    "compiling (s)",
    "segments",
    "Newton matrices",
    "simplified matrices",
    "to 1 % (s)",
    "to 0.1 % (s)",
    "F - F* at the end",
    "MiB",
]


Spent = dict[str, list[float]]


@contextmanager
def phases() -> Iterator[Spent]:
    """Seconds of each call of each phase, while the block runs."""
    spent: Spent = {phase: [] for phase in PHASES}
    inner: list[float] = []  # seconds of phases inside of those that are under way
    saved = []
    for phase, places in PHASES.items():
        for module, path in places:
            *owners, name = path.split(".")
            owner: Any = importlib.import_module(f"genwgp.{module}")
            for part in owners:
                owner = getattr(owner, part)
            saved.append((owner, name, getattr(owner, name)))
            setattr(owner, name, _timed(saved[-1][2], spent[phase], inner))
    try:
        yield spent
    finally:
        for owner, name, function in saved:
            setattr(owner, name, function)


def _timed(function: Callable, spent: list[float], inner: list[float]) -> Callable:
    def timed(*arguments: Any, **named: Any) -> Any:
        inner.append(0.0)
        began = time.perf_counter()
        found = jax.block_until_ready(function(*arguments, **named))
        seconds = time.perf_counter() - began
        spent.append(seconds - inner.pop())
        if inner:
            inner[-1] += seconds
        return found

    return timed


@contextmanager
def compilation():
    """Seconds of tracing, lowering and compiling while the block runs, summed over threads."""
    spent: dict[str, float] = defaultdict(float)

    def listen(event: str, seconds: float, **_: Any) -> None:
        if event in COMPILATION:
            spent[COMPILATION[event]] += seconds

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield spent
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


class _Mark(NamedTuple):
    """At the end of a segment: seconds since the start, those of each phase so far."""

    seconds: float
    phases: dict[str, float]


def segment_rows(problems: list[str], settings: gw.CausalSweep, count: int) -> Iterator[list[str]]:
    """The first segments of sweeps: the last of them is warm."""
    for name in problems:
        problem = gw.problems.get(name, **PROBLEMS[name])
        label = f"{name}, d = {problem.dim}"
        with phases() as spent, compilation() as compiling:
            marks = _marks(problem, replace(settings, segments=count), spent)
        if len(marks) < 2:
            yield [label, str(settings.train), str(len(marks)), *["-"] * 7]
            continue
        before, after = marks[-2:]
        warm = {phase: seconds - before.phases[phase] for phase, seconds in after.phases.items()}
        largest = sorted(warm.items(), key=lambda pair: -pair[1])
        text = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in largest if seconds > 0.005)
        times = [f"{after.seconds:.1f}", f"{after.seconds - before.seconds:.2f}"]
        counts = [str(len(spent[phase])) for phase in COUNTED]
        compiled = f"{sum(compiling.values()):.1f}"
        yield [label, str(settings.train), str(len(marks)), *times, *counts, compiled, text]


def _marks(problem: gw.Problem, settings: gw.CausalSweep, spent: Spent) -> list[_Mark]:
    marks, began = [], time.perf_counter()

    def note(_: Any) -> None:
        sums = {phase: sum(times) for phase, times in spent.items()}
        marks.append(_Mark(time.perf_counter() - began, sums))

    sweep(problem, settings, 0, on_segment=note)
    return marks


def solve(name: str) -> dict[str, Any]:
    """A whole solve with all defaults, and what is known of it; for a process of its own."""
    problem = gw.problems.get(name, **PROBLEMS[name])
    with phases() as spent, compilation() as compiling:
        solution = gw.solve(problem, throw=False)
    F, seconds = solution.log["free_energy"], solution.log["seconds"]
    end = float(problem.reference.equilibrium_free_energy)
    begin = float(solution.path.free_energy[0])
    error = np.abs(F - end) / (begin - end)
    reached = lambda share: next((float(t) for t, e in zip(seconds, error, strict=True) if e < share), None)
    return {
        "label": f"{name}, d = {problem.dim}",
        "converged": str(solution.result),
        "seconds": solution.stats["seconds"],
        "compiling": sum(compiling.values()),
        "segments": solution.stats["segments"],
        "counts": {COUNTED[phase]: len(spent[phase]) for phase in COUNTED},
        "phases": {phase: sum(times) for phase, times in spent.items()},
        "reached": [reached(0.01), reached(0.001)],
        "end": float(error[-1]),
        "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # KiB, on Linux
    }


def solve_row(found: dict[str, Any], cache: str) -> list[str]:
    late = ["-" if t is None else f"{t:.1f}" for t in found["reached"]]
    counts = [str(found["counts"][name]) for name in ("Newton matrices", "simplified matrices")]
    return [
        found["label"],
        cache,
        found["converged"],
        f"{found['seconds']:.1f}",
        f"{found['compiling']:.1f}",
        str(found["segments"]),
        *counts,
        *late,
        f"{found['end']:.1e}",
        f"{found['MiB']:.0f}",
    ]


def phase_row(found: dict[str, Any], cache: str) -> list[str]:
    rest = found["seconds"] - sum(found["phases"].values())
    return [found["label"], cache, *(f"{found['phases'].get(phase, 0):.1f}" for phase in PHASES), f"{rest:.1f}"]
