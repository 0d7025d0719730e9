"""What `solve` returns, and what it tells while it runs."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np

from genwgp.path import WassersteinPath
from genwgp.problem import Problem


class Result(StrEnum):
    """How a solve ended; the message beside it says where and what to try."""

    CONVERGED = "converged"
    NOT_CONVERGED = "not_converged"
    UNBOUNDED = "unbounded"
    NON_FINITE = "non_finite"
    INTERRUPTED = "interrupted"


class Event(NamedTuple):
    """The state of a running solve, NaN where a figure is not known: energies in units of V, seconds_left an estimate.

    loss: what is minimised (the sweep: its action so far plus F). residual: || v + grad mu || over || grad mu || at the
    end (Adam: || grad mu || there). speed_spread: largest relative change of length between adjacent layers.
    """

    step: int
    loss: float
    action: float
    free_energy: float
    residual: float
    speed_spread: float
    seconds_left: float
    message: str


@dataclass(frozen=True)
class Solution:
    """A solved problem.

    path: the WassersteinPath. result, message: how it ended. diagnostics: figures that tell how right it is
    (`genwgp.diagnostics`). stats: seconds and counts. log: columns of equal length, a row per step. settings: what
    `solve` was called with. problem_source: where files say that the problem came from, None for one made in Python.
    """

    path: WassersteinPath
    result: Result
    message: str
    diagnostics: dict[str, Any]
    stats: dict[str, Any]
    log: dict[str, np.ndarray]
    problem: Problem
    settings: dict[str, Any] = field(default_factory=dict)
    problem_source: dict[str, Any] | None = None

    def _repr_html_(self) -> str:
        """What a notebook shows: verdict, figures, a picture."""
        from genwgp.report.notebook import solution_html  # the shell, asked for by a notebook alone

        return solution_html(self)
