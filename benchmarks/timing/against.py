"""The kernels of this version and of an earlier commit, timed in turns on the same machine."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp

import genwgp as gw
from timing import pages
from timing.cases import case
from timing.kernels import kernels
from timing.paths import LAYERS, forward, repeated, start
from timing.stopwatch import elapsed, measured

ROUNDS, PARTICLES = 2, 4000
FOLDER = Path(__file__).parent.parent
HEADER = ["kernel", "this (s)", "that (s)", "this / that", "of all cores: this (s)", "that (s)", "this / that"]
Times = dict[str, list[float]]  # by the clock and of all cores together, of each kernel


def table(page: pages.Page, commit: str, quick: bool, problems: list[str]) -> None:
    name = _git("rev-parse", "--short", commit)
    here = _git("describe", "--always", "--dirty")
    options = [*(["--quick"] if quick else []), "--problems", *problems]
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "source"
        _git("worktree", "add", "--detach", str(other), commit)
        try:
            sources = {"this": FOLDER.parent / "src", "that": other / "src"}
            times: dict[str, Times] = {side: {} for side in sources}
            for _ in range(ROUNDS):
                for side, source in sources.items():
                    for kernel, seconds in _timed(source, folder, options).items():
                        times[side][kernel] = list(map(min, seconds, times[side].get(kernel, seconds)))
        finally:
            _git("worktree", "remove", "--force", str(other))
    title = f"This version ({here}) against {name}" + (" (quick)" if quick else "")
    note = f"The least of {ROUNDS} runs of each, in turns. Other load hardly changes the seconds of all cores."
    page.table(title, HEADER, _rows(times), note)


def _rows(times: dict[str, Times]) -> Iterator[list[str]]:
    for kernel, this in times["this"].items():
        cells = []
        for a, b in zip(this, times["that"][kernel], strict=True):
            cells += [f"{a:.3g}", f"{b:.3g}", f"{a / b:.2f}" if b > 0 else "-"]
        yield [kernel, *cells]


def _timed(source: Path, folder: str, options: list[str]) -> Times:
    environment = os.environ | {"PYTHONPATH": str(source)}
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", f"{folder}/cache")
    command = [sys.executable, str(FOLDER / "speed.py"), "--worker", "kernels", *options]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def work_off(settings: gw.CausalSweep, problems: list[str]) -> None:
    """In a process with one of both sources: seconds of each kernel, as JSON."""
    found: Times = {}
    for name in problems:
        one = case(name, settings)
        for kernel in kernels(one):
            _note(found, f"{one.label}: {kernel.name}", kernel.call)
        layers, state, position = repeated(one), start(one.problem, PARTICLES), jnp.asarray(float(LAYERS))
        _note(found, f"{one.label}: forward pass", lambda a=layers, b=position, c=state: forward(a, b, c))
    print(json.dumps(found))


def _note(found: Times, label: str, call) -> None:
    elapsed(call)
    found[label] = list(measured(call)[:2])


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=FOLDER, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()
