"""genwgp itself: the causal sweep to the last of the times, at a coarse setting and with the defaults."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

import genwgp as gw
from peers.common import Estimate, Task, moments_of

SAMPLES = 8192


class Setting(NamedTuple):
    label: str
    method: gw.CausalSweep


SETTINGS = [
    Setting("few particles", gw.CausalSweep(pool=4096, train=1024, test=2048, tolerance=0.2)),
    Setting("defaults", gw.CausalSweep()),
]


def run(task: Task, setting: Setting) -> Iterator[Estimate]:
    problem = gw.Problem(gw.FreeEnergy(task.V, gw.Entropy(task.D)), task.initial)
    action = gw.FiniteHorizonAction(task.times[-1])
    path = gw.solve(problem, action, method=setting.method, key=jax.random.key(0), throw=False).path
    x = task.initial.quasi_sample(5, SAMPLES)
    yield Estimate(
        setting.label,
        lambda t, x: np.asarray(path.at(time=t).log_prob(x), dtype=np.float64),
        lambda t: moments_of(path.transport(x, time=t)),
    )
