"""How the evaluation of a path grows with dimension, layers and particles, and what fits an accelerator."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import genwgp as gw
from genwgp import parts
from genwgp.path.density import PathDensity
from timing import work
from timing.cases import Case
from timing.paths import LAYERS, evaluated, exact, forward, in_bits, repeated, start
from timing.rates import FLOOR, Machine, accelerated
from timing.stopwatch import Timing, elapsed, first_calls, measured

SECONDS = ["sample (s)", "log_prob (s)", "score (s)"]
GROWTH = ["grown", "d", "K", "N", *SECONDS, "growth", "exponent", "MiB", "error (nats)"]
FORWARD = ["path", "p", "N", "bits", *FLOOR, "first call (s)"]
LONG = 60.0  # seconds: a row that is expected to take longer is not measured
START = 16_384  # particles of the first try of `largest`


class Point(NamedTuple):
    """Dimension, layers, particles."""

    d: int
    K: int
    N: int


def forward_rows(cases: Iterator[Case], machine: Machine, n: int) -> Iterator[list[str]]:
    """Log-density and score of n particles along K = 12 layers of 8 steps."""
    for case in cases:
        given = repeated(case), jnp.asarray(float(LAYERS)), start(case.problem, n)
        each = work.rates(case.field, case.segment.first, case.state).times(LAYERS * 4 * work.SUBSTEPS)
        casts = {bits: in_bits(given, bits) for bits in (64, 32)}
        calls = {bits: lambda cast=cast: forward(*cast) for bits, cast in casts.items()}
        firsts = first_calls(list(calls.values()))
        for (bits, call), first in zip(calls.items(), firsts, strict=True):
            timing = measured(call)
            done = each.times(n)._replace(bytes=work.size_of((2, n, 2 * case.dim + 1)) * bits / 64)
            cells = machine.against_floor(timing, done, bits)
            yield [case.label, str(case.field.size), str(n), str(bits), *cells, f"{first:.1f}"]


def growth_rows(what: str, points: list[Point], time_left: Callable[[], float]) -> Iterator[list[str]]:
    """Evaluation of an exact path at the points of a curve, each compared with the one before it."""
    densities, before = _compiled(points), None
    for point in points:
        d, K, n = point
        size, cells = getattr(point, what), [what, *map(str, point)]
        if before is not None and before[1] * size / before[0] > min(LONG, time_left()):
            yield [*cells, *["-"] * 7, "not measured: too long"]
            continue
        rho = densities[d, K]
        timings = _timed(rho, n)
        total, growth = sum(t.seconds for t in timings), ["-", "-"]
        if before is not None:
            ratio = total / before[1]
            growth = [f"{ratio:.2f}", f"{np.log(ratio) / np.log(size / before[0]):.2f}"]
        before = size, total
        memory = max((t.memory for t in timings), key=lambda text: float(text.strip("< -") or 0))
        yield [*cells, *(f"{t.seconds:.3g}" for t in timings), *growth, memory, f"{_error(rho, d):.1e}"]


def _compiled(points: list[Point]) -> dict[tuple[int, int], PathDensity]:
    """The densities of a curve, compiled at the same time for parts of the sizes that will be needed."""
    problems = {d: gw.problems.get("ornstein-uhlenbeck", dim=d) for d in {d for d, _, _ in points}}
    densities = {(d, K): exact(problems[d], K) for d, K, _ in points}
    part = parts.LARGE_PART if accelerated() else parts.PART
    sizes = {(d, K, min(n, part)) for d, K, n in points}
    first_calls([lambda d=d, K=K, n=n: evaluated(densities[d, K], n) for d, K, n in sorted(sizes)])
    return densities


def _timed(rho: PathDensity, n: int) -> list[Timing]:
    x = rho.sample(jax.random.key(1), n)
    found = []
    for call in (lambda: rho.sample(jax.random.key(1), n), lambda: rho.log_prob(x), lambda: rho.score(x)):
        elapsed(call)
        found.append(measured(call, enough=0.2))
    return found


def _error(rho: PathDensity, d: int) -> float:
    """Largest error of log_prob at 64 samples against the exact density: the path that is timed is a path."""
    exactly = gw.problems.get("ornstein-uhlenbeck", dim=d).reference.density(rho.time)
    x = exactly.sample(jax.random.key(2), 64)
    return float(np.abs(np.asarray(rho.log_prob(x) - exactly.log_prob(x))).max())


def largest_rows(time_left: Callable[[], float]) -> Iterator[list[str]]:
    """On an accelerator: N and d doubled until a call does not fit its memory, particles in one part."""
    if not accelerated():
        return
    for what, next_point in (("N", lambda d, n: (d, 4 * n)), ("d", lambda d, n: (2 * d, n))):
        d, n = (10, START) if what == "N" else (200, START)
        while time_left() > 30:
            found, seconds = _fits(d, n)
            yield [what, str(d), str(LAYERS), str(n), "yes" if found else "no", f"{seconds:.2f}"]
            if not found:
                break
            d, n = next_point(d, n)


def _fits(d: int, n: int) -> tuple[bool, float]:
    usual = parts.LARGE_PART
    try:
        parts.LARGE_PART = n
        problem = gw.problems.get("ornstein-uhlenbeck", dim=d)
        rho = exact(problem)
        began = time.perf_counter()
        jax.block_until_ready(rho.log_prob(rho.sample(jax.random.key(1), n)))
        return True, time.perf_counter() - began
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return False, float("nan")
    finally:
        parts.LARGE_PART = usual


def points(quick: bool) -> dict[str, list[Point]]:
    """Those of each curve."""
    dims, chains, n = (2, 5, 10, 20, 50, 100, 200), (4, 8, 12, 24, 48), 4000
    numbers = (1000, 10_000, 100_000, 1_000_000)
    if quick:
        dims, chains = (2, 10, 50, 200), (4, 12, 48)
        n = parts.LARGE_PART  # as in the longest curve, so that there is less to compile
    if quick and not accelerated():
        dims, chains, numbers, n = (2, 10, 50), (4, 12), (1000, 4000), 1000
    return {
        "N": [Point(10, LAYERS, number) for number in numbers],
        "d": [Point(d, LAYERS, n) for d in dims],
        "K": [Point(10, K, n) for K in chains],
    }
