"""Problems with all that a step of the sweep needs, at its first segment."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import genwgp as gw
from genwgp.layers.base import State
from genwgp.layers.fields import Field
from genwgp.solvers import fitting
from genwgp.solvers.collocation import Penalty
from genwgp.solvers.run import Run
from genwgp.solvers.segment import Segment

SUBSTEPS = 8  # integrator steps of the segment that is timed, whatever the solver would take
PROBLEMS: dict[str, dict[str, Any]] = {
    "tilted-double-well": {},
    "many-wells": {"dim": 10},
    "ornstein-uhlenbeck": {"dim": 50},
}
FULL, FEW = gw.CausalSweep(), gw.CausalSweep(pool=4096, train=1024, test=2048)


@dataclass(frozen=True)
class Case:
    """A problem, its sweep before the first segment, and that segment with the explicit velocity all along it."""

    label: str
    problem: gw.Problem
    run: Any
    segment: Segment
    choice: Any
    hold: Any
    root: Any
    penalty: Penalty

    @property
    def field(self) -> Field:
        return self.segment.field

    @property
    def dim(self) -> int:
        return self.problem.dim

    @property
    def state(self) -> State:
        """The training particles."""
        return self.choice.state


def case(name: str, settings: gw.CausalSweep) -> Case:
    parameters = PROBLEMS[name]
    problem = gw.problems.get(name, **parameters)
    run = Run(problem, settings, 0, np.inf)
    all_of = (run._choose(settings.train), run._choose(settings.train))
    field = run._field()
    choice, hold = run._affordable(field, *all_of)
    base = fitting._levelled(run.energy, field, fitting.at_rest(field), choice)
    explicit = fitting._explicit(run.energy, run.features, field, base, choice, hold)
    c = explicit.coefficients
    segment = Segment(field, c, c, jnp.asarray(0.25 * run.step), jnp.asarray(SUBSTEPS))
    label = f"{name}, d = {problem.dim}"
    return Case(label, problem, run, segment, choice, hold, fitting._roots(choice), explicit.penalty)


def first(tree: Any, n: int) -> Any:
    """The first n particles."""
    return jax.tree.map(lambda a: a[:n] if eqx.is_array(a) or isinstance(a, np.ndarray) else a, tree)
