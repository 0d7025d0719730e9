"""How many particles at a time are best on an accelerator."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from genwgp import parts
from genwgp.solvers.jacobian import jacobian
from timing.cases import Case
from timing.paths import LAYERS, forward, repeated, start
from timing.stopwatch import elapsed, measured

SIZES = {"LARGE_BLOCK": (1024, 4096, 16_384), "WIDE_BLOCK": (128, 512, 2048)}
PARTICLES = 16_384  # of the forward pass
HEADER = ["problem", "kernel", "N", "at a time", "s", "MiB"]


def rows(cases: Iterator[Case]) -> Iterator[list[str]]:
    for case in cases:
        given = repeated(case), jnp.asarray(float(LAYERS)), start(case.problem, PARTICLES)
        passes = lambda given=given: forward(*given)
        matrix = lambda case=case: jacobian(case.run.mean_field, case.segment, case.state, case.root)
        timed = ("LARGE_BLOCK", "forward pass", PARTICLES, passes), ("WIDE_BLOCK", "Jacobian", len(case.root), matrix)
        for constant, name, n, call in timed:
            usual = getattr(parts, constant)
            try:
                for size in SIZES[constant]:
                    setattr(parts, constant, size)
                    jax.clear_caches()
                    elapsed(call)
                    timing = measured(call)
                    yield [case.label, name, str(n), str(size), f"{timing.seconds:.3g}", timing.memory]
            finally:
                setattr(parts, constant, usual)
