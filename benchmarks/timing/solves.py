"""Whole solves with all defaults, each in a process of its own: with an empty cache of compiled code, and with it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from timing import sweeps

SPEED = Path(__file__).parent.parent / "speed.py"


def tables(problems: list[str], write: Callable[..., None]) -> None:
    """Both tables from one series of runs."""
    runs: list[tuple[dict[str, Any], str]] = []
    note = "Seconds of `solve` until F is within 1 % and 0.1 % of its drop of the reference's F*, from the run's log."
    write("Solves", sweeps.SOLVES, _rows(problems, runs), note)
    header = ["problem", "cache", *(f"{phase} (s)" for phase in sweeps.PHASES), "rest (s)"]
    write("Phases of solves", header, (sweeps.phase_row(*run) for run in runs), "Compilation included.")


def _rows(problems: list[str], runs: list[tuple[dict[str, Any], str]]) -> Iterator[list[str]]:
    for name in problems:
        with tempfile.TemporaryDirectory() as folder:
            for cache in ("empty", "full"):
                runs.append((_run(name, folder), cache))
                yield sweeps.solve_row(*runs[-1])


def _run(name: str, folder: str) -> dict[str, Any]:
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, str(SPEED), "--worker", "solve", "--problems", name]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def work_off(name: str) -> None:
    """In the process of its own."""
    print(json.dumps(sweeps.solve(name)))
