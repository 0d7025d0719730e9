"""Solves with the defaults that are ended after a time, and kept in a folder as they ended."""

import time
from pathlib import Path
from typing import Any

import jax

import genwgp as gw


def solved_within(problem: gw.Problem, seconds: float, run: Path | None) -> gw.Solution:
    """The solution with all defaults and seed 0: the one kept as `run`, or a new one that is then kept there."""
    if run is not None and run.exists():
        return gw.load(run, problem)
    began = time.perf_counter()

    def stop(_: Any) -> None:
        if time.perf_counter() - began > seconds:
            raise KeyboardInterrupt

    solution = gw.solve(problem, key=jax.random.key(0), throw=False, progress=stop)
    if run is not None:
        gw.save(solution, run)
    return solution
