"""Time, memory, compilation and work of one call."""

import contextlib
import ctypes
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

REPEATS, MOST, ENOUGH, LONG = 3, 50, 0.4, 6.0  # calls at least and at most; seconds that end them early, and at once
AT_ONCE = 8  # calls that compile
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Work(NamedTuple):
    """Operations of a call: additions and multiplications, exponentials and the like, bytes that must be moved."""

    flops: float = 0.0
    transcendentals: float = 0.0
    bytes: float = 0.0

    def plus(self, other: "Work") -> "Work":
        return Work(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, factor: float) -> "Work":
        return Work(*(factor * a for a in self))


class Timing(NamedTuple):
    """The least seconds of a call, and the least of all cores together; MiB beyond what was there before it.

    Where others use the processor too, the second number is still what the call takes.
    """

    seconds: float
    core_seconds: float
    memory: str


def measured(call: Callable[[], Any], enough: float = ENOUGH) -> Timing:
    """Of several calls, each waited for; of one, where that is long. Compiled before."""
    began, calls = time.perf_counter(), [_with_memory(call)]
    while True:
        passed = time.perf_counter() - began
        if passed > LONG or len(calls) == MOST or (passed > enough and len(calls) >= REPEATS):
            break
        calls.append(Timing(*_clocked(call), ""))
    return Timing(min(c.seconds for c in calls), min(c.core_seconds for c in calls), calls[0].memory)


def elapsed(call: Callable[[], Any]) -> float:
    return _clocked(call)[0]


def first_calls(calls: list[Callable[[], Any]]) -> list[float]:
    """Seconds of each, most of which compile: at the same time, which takes less time in all and each of them more."""
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        return list(pool.map(elapsed, calls))


def _clocked(call: Callable[[], Any]) -> tuple[float, float]:
    wall, cores = time.perf_counter(), time.process_time()
    jax.block_until_ready(call())
    return time.perf_counter() - wall, time.process_time() - cores


def _with_memory(call: Callable[[], Any]) -> Timing:
    """With the memory that it takes: of the accelerator, or else of the process."""
    before = jax.devices()[0].memory_stats()
    if not before:
        resident = _reset_peak()
        times = _clocked(call)
        grown = (_status("VmHWM") - resident) / 1024 if math.isfinite(resident) else math.nan
        return Timing(*times, "-" if math.isnan(grown) else f"{max(0.0, grown):.0f}")
    times = _clocked(call)
    peak = (jax.devices()[0].memory_stats() or {})["peak_bytes_in_use"]
    known = peak > before["peak_bytes_in_use"]  # what is told is the peak of the process so far
    return Timing(*times, f"{'' if known else '< '}{max(0, peak - before['bytes_in_use']) / 2**20:.0f}")


def _reset_peak() -> float:
    """Sets the peak of the resident size to what it is now and returns that in KiB; NaN where that is not Linux."""
    if not sys.platform.startswith("linux"):
        return math.nan
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        RESET.write_text("5")
    except OSError:
        return math.nan
    return _status("VmRSS")


def _status(field: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return float(line.split()[1])


def counted(function: Callable, *arguments: Any) -> Work:
    """What XLA counts in the compiled function; the body of a loop counts once, so that none may be in it."""
    arrays, static = eqx.partition(arguments, eqx.is_array)
    compiled = jax.jit(lambda arrays: function(*eqx.combine(arrays, static))).lower(arrays).compile()
    found = compiled.cost_analysis()
    found = found[0] if isinstance(found, list) else found or {}
    return Work(float(found.get("flops", np.nan)), float(found.get("transcendentals", 0.0)))


class Compiled(NamedTuple):
    """Seconds of the first call with nothing compiled, and with all in the persistent cache (NaN: not measured)."""

    cold: float
    cached: float

    @classmethod
    def of(cls, call: Callable[[], Any]) -> "Compiled":
        with tempfile.TemporaryDirectory() as folder, _cache_in(folder):
            jax.clear_caches()
            cold = elapsed(call)
            jax.clear_caches()
            return cls(cold, elapsed(call))

    def cells(self, warm: float) -> list[str]:
        """What each takes longer than a warm call."""
        return ["-" if math.isnan(first) else f"{max(0.0, first - warm):.1f}" for first in self]


@contextlib.contextmanager
def _cache_in(folder: str):
    """The persistent cache of compiled code, in an empty folder and for everything."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    try:
        for name, value in zip(names, (folder, 0.0), strict=True):
            jax.config.update(name, value)
        compilation_cache.reset_cache()
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
