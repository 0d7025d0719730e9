"""Finite volumes in one and two dimensions: Scharfetter-Gummel fluxes, implicit steps of order four.

The solver is the project's own reference, `genwgp.references.FiniteVolume`, which shares no code with the flow; its box
is found automatically. There is none in more than two dimensions.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

import genwgp as gw
from genwgp.references import FiniteVolume
from peers.common import Estimate, Task


class Setting(NamedTuple):
    cells: int
    tolerance: float


SETTINGS = [Setting(32, 1e-3), Setting(64, 1e-3), Setting(96, 3e-4), Setting(128, 1e-4), Setting(256, 1e-4)]


def run(task: Task, setting: Setting) -> Iterator[Estimate]:
    cells = setting.cells * (4 if task.initial.dim == 1 else 1)
    given = {"internal": gw.Entropy(task.D), "cells": cells, "tolerance": setting.tolerance}
    box = FiniteVolume(task.initial, task.V, **given).mesh.box  # as walls: coarse meshes leak a little to the rim
    solver = FiniteVolume(task.initial, task.V, box=box, **given)
    found = {t: solver.density(t) for t in task.times}
    yield Estimate(
        f"{cells} cells an axis",
        lambda t, x: np.asarray(found[t].log_prob(x)),
        lambda t: (np.asarray(found[t].mean), np.asarray(found[t].covariance)),
    )
