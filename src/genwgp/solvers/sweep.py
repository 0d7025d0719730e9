"""The causal sweep: the gradient flow solved segment by segment, from the start until the free energy is spent.

v_k + lam_k grad mu_k = 0 is causal along the path: a segment depends on those before it only. So the minimiser of the
action, where the residual vanishes, is found in one pass of small least-squares problems (`collocation`) instead of by
optimisation over all layers. Steps are chosen by the residual between the collocation points. Segments are joined to
layers of equal length afterwards (`assembly`).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from genwgp.layers.restricted import given
from genwgp.parts import blas_alone
from genwgp.problem import Problem
from genwgp.solvers.figures import Figures, Outcome, together
from genwgp.solvers.keeper import Keeper, Kept
from genwgp.solvers.run import Failure, Run
from genwgp.solvers.segment import Segment
from genwgp.solvers.settings import CausalSweep

ENDS = ("done", "stalled")  # of flows that have come as far as they can, the second of those that cannot be resolved


def sweep(
    problem: Problem,
    settings: CausalSweep,
    seed: int,
    horizon: float = np.inf,
    on_segment: Callable[[Figures], None] = lambda figures: None,
    keeper: Keeper | None = None,
) -> Outcome:
    """Follow the flow to the equilibrium, or to physical time `horizon`. Must run in float64.

    `keeper` is given the state after each segment; with a state that it has from an earlier process, the sweep goes on
    from there, and `on_segment` is told of the segments before it too.
    status: "done", "stalled" (the rest of the way is below what the features resolve), "failed", "non_finite",
    "unbounded", "interrupted" (KeyboardInterrupt, also from `on_segment`).
    """
    return sweep_all([problem], [1], settings, seed, horizon, on_segment, keeper).outcomes[0]


class Swept(NamedTuple):
    """Outcomes of all flows; figures of them together after each segment, how it ended and why."""

    outcomes: list[Outcome]
    figures: list[Figures]
    status: str
    message: str

    @property
    def reached(self) -> float:
        """The physical time that the flows have in common: one that is at its end has no other."""
        reached = [sum(float(s.duration) for s in outcome.segments) for outcome in self.outcomes]
        going = [t for t, outcome in zip(reached, self.outcomes, strict=True) if outcome.status not in ENDS]
        return min(going, default=max(reached))


def sweep_all(
    problems: list[Problem],
    counts: list[int],
    settings: CausalSweep,
    seed: int,
    horizon: float = np.inf,
    on_segment: Callable[[Figures], None] = lambda figures: None,
    keeper: Keeper | None = None,
) -> Swept:
    """As `sweep`, of several flows that do not feel each other, of which the one that is behind goes on.

    `counts`: so many copies of each make up the whole, whose gap all of them share, and which `on_segment` is told of.
    """
    settings, keeper = replace(settings, gap=settings.gap / sum(counts)), keeper or Keeper()
    all_of = _All([Run(problem, settings, seed, horizon) for problem in problems], counts)
    status, message = "done", ""
    with blas_alone():  # as the process before did its algebra, so that rounding is the same
        keeper.resume(given(problems[0].energy.potential), all_of.resume)
    try:
        for figures in all_of.figures:
            on_segment(figures)
        while (run := all_of.behind()) is not None:
            with blas_alone(), np.errstate(over="ignore", invalid="ignore"):  # of lost particles, looked for
                all_of.advance(run)
            keeper.keep(all_of.kept(), all_of.about())
            on_segment(all_of.figures[-1])
        status, message = all_of.ended()
    except KeyboardInterrupt:
        status, message = "interrupted", f"interrupted at time {min(run.time for run in all_of.runs):.4g}"
    except Failure as failure:
        status, message = failure.args
    keeper.flush()
    if status == "failed" and all_of.figures and all_of.runs[0].energy.diffusion:
        message = f"{message}; F - F* is {all_of.figures[-1].gap:.2g} D, or there is no equilibrium"
    return Swept([run.outcome(status, message) for run in all_of.runs], all_of.figures, status, message)


class _All:
    """Runs side by side, the steps of them all in the order in which they were made, and the figures after each."""

    def __init__(self, runs: list[Run], counts: list[int]):
        self.runs, self.counts = runs, counts
        self.steps: list[tuple] = []
        self.figures: list[Figures] = []
        self.now = [run.at_start() for run in runs] if len(runs) > 1 else []  # of one, its figures are those of all

    def behind(self) -> Run | None:
        """The one of those that have not ended which has come least far."""
        return min((run for run in self.runs if run.end is None), key=lambda run: run.time, default=None)

    def advance(self, run: Run) -> None:
        if len(run.segments) == run.settings.segments:
            raise Failure("failed", f"{run.settings.segments} segments were not enough")
        run.advance()
        self._add(self.runs.index(run), run.segments[-1], run.speeds[-1], run.figures[-1])
        run.end = run.ended()

    def _add(self, place: int, segment: Segment, speeds: np.ndarray, figures: Figures) -> None:
        self.steps.append((place, segment, speeds, figures))
        if self.now:
            self.now[place] = figures
            figures = together(self.now, self.counts, figures)
        self.figures.append(figures)

    def kept(self) -> Kept:
        return Kept(list(self.steps), {"runs": tuple(run.state() for run in self.runs)})

    def resume(self, kept: Kept) -> None:
        """Take over what `kept` gave."""
        for place, segment, speeds, figures in kept.steps:
            own = _checked(Segment(segment[0], *map(np.asarray, segment[1:])))
            self._add(place, own, np.asarray(speeds), Figures(*figures))
        for place, (run, state) in enumerate(zip(self.runs, kept.state["runs"], strict=True)):
            run.resume([step[1:] for step in self.steps if step[0] == place], state)
            run.end = run.ended() if run.figures else None

    def about(self) -> dict[str, Any]:
        now = self.figures[-1]
        return {"segments": len(self.steps), "time": now.time, "free_energy": now.free_energy}

    def ended(self) -> tuple[str, str]:
        """Status and message of all together."""
        ends = [run.end for run in self.runs if run.end is not None]
        status = max((status for status, _ in ends), key=ENDS.index)
        messages = list(dict.fromkeys(message for _, message in ends))
        if len(messages) == 1:
            return status, messages[0]
        gap = self.figures[-1].gap
        stays = f"F - F* stays at {gap:.1e} D" if status == "stalled" else f"F - F* is {gap:.1e} D"
        return status, f"reached the equilibrium of {sum(self.counts)} groups of coordinates: {stays}"


def _checked(segment: Segment) -> Segment:
    """The segment itself; ValueError for one with other coefficients than its field has."""
    if {segment.first.shape, segment.second.shape} != {(segment.field.size,)} or segment.duration.shape != ():
        raise ValueError("a segment whose parts do not belong together")
    return segment
