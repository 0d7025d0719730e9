"""The kernels of this version and of an earlier commit, timed in turns on the same machine."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp

from genwgp.solvers.sweep import CausalSweep
from timing import pages
from timing.cases import case
from timing.kernels import kernels
from timing.paths import LAYERS, forward, repeated, start
from timing.stopwatch import elapsed, measured

ROUNDS, PARTICLES = 2, 4000
FOLDER = Path(__file__).parent.parent
HEADER = ["kernel", "this (s)", "that (s)", "this / that"]


def table(page: pages.Page, commit: str, quick: bool, problems: list[str]) -> None:
    name = _git("rev-parse", "--short", commit)
    here = _git("describe", "--always", "--dirty")
    options = [*(["--quick"] if quick else []), "--problems", *problems]
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "source"
        _git("worktree", "add", "--detach", str(other), commit)
        try:
            sources = {"this": FOLDER.parent / "src", "that": other / "src"}
            times: dict[str, dict[str, float]] = {side: {} for side in sources}
            for _ in range(ROUNDS):
                for side, source in sources.items():
                    for kernel, seconds in _timed(source, folder, options).items():
                        times[side][kernel] = min(seconds, times[side].get(kernel, float("inf")))
        finally:
            _git("worktree", "remove", "--force", str(other))
    title = f"This version ({here}) against {name}" + (" (quick)" if quick else "")
    page.table(title, HEADER, _rows(times), f"The least of {ROUNDS} runs of each, in turns, of several calls each.")


def _rows(times: dict[str, dict[str, float]]) -> Iterator[list[str]]:
    for kernel, this in times["this"].items():
        that = times["that"].get(kernel)
        yield [kernel, f"{this:.5f}", *(["-", "-"] if that is None else [f"{that:.5f}", f"{this / that:.2f}"])]


def _timed(source: Path, folder: str, options: list[str]) -> dict[str, float]:
    environment = os.environ | {"PYTHONPATH": str(source)}
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", f"{folder}/cache")
    command = [sys.executable, str(FOLDER / "speed.py"), "--worker", "kernels", *options]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def work_off(settings: CausalSweep, problems: list[str]) -> None:
    """In a process with one of both sources: seconds of each kernel that this source has, as JSON."""
    found: dict[str, float] = {}
    for name in problems:
        one = case(name, settings)
        for kernel in kernels(one):
            _note(found, f"{one.label}: {kernel.name}", kernel.call)
        layers, state, position = repeated(one), start(one.problem, PARTICLES), jnp.asarray(float(LAYERS))
        _note(found, f"{one.label}: forward pass", lambda a=layers, b=position, c=state: forward(a, b, c))
    print(json.dumps(found))


def _note(found: dict[str, float], label: str, call) -> None:
    elapsed(call)
    found[label] = measured(call).seconds


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=FOLDER, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()
