"""Solves with the defaults that several benchmarks look at: each is computed once, where they are given one folder."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
from tables import labelled

import genwgp as gw
from genwgp.io import is_begun


class Case(NamedTuple):
    """A problem of the gallery, its parameters, and a horizon where there is no equilibrium."""

    name: str
    parameters: Mapping[str, Any] = MappingProxyType({})
    horizon: float | None = None

    @property
    def label(self) -> str:
        """What its row is called."""
        return labelled(self.name, {**self.parameters, **({} if self.horizon is None else {"T": self.horizon})})

    def problem(self) -> gw.Problem:
        return gw.problems.get(self.name, **self.parameters)


def solved(case: Case, problem: gw.Problem, seed: int, folder: Path | None) -> gw.Solution:
    """The solution with all defaults: the one kept in `folder`, or a new one that is then kept there.

    One that was cut off there goes on.
    """
    run = None if folder is None else folder / f"{re.sub('[^a-z0-9.]+', '-', case.label.lower())}-seed-{seed}"
    if run is not None and run.exists() and not is_begun(run):
        return gw.load(run, problem)
    if run is not None:
        run.parent.mkdir(parents=True, exist_ok=True)
    action = None if case.horizon is None else gw.FiniteHorizonAction(case.horizon)
    solution = gw.solve(problem, action, key=jax.random.key(seed), throw=False, checkpoint=run)
    if run is not None:
        gw.save(solution, run)
    return solution
