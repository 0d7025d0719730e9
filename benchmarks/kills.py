"""A solve that is killed again and again, and gone on with each time; and what its checkpoints cost.

    python benchmarks/kills.py [how many kills]

writes benchmarks/results/kills.md.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tables import machine, markdown

import genwgp as gw
from genwgp.io import is_begun, read_about
from genwgp.io.checkpoint import SHARE, _FolderKeeper

TABLE = Path(__file__).parent / "results" / "kills.md"
PROBLEM, COUNT = "ornstein-uhlenbeck", 20
COMMAND = [sys.executable, "-c", "from genwgp.cli import main; main()", "solve"]
NOTES = f"""
`genwgp solve {PROBLEM}`, killed (SIGKILL) at moments drawn evenly from its time from the first import to its end, and
gone on with by `--resume`, until it ends by itself; then another is begun. The same: the layers, byte for byte, and
log and diagnostics, number for number, as those of one that was not killed. Share: of the time of a solve, in one
process, that goes into writing its checkpoints, which may be {100 * SHARE:.0f} %.
"""


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        _solve([PROBLEM, "--out", "whole"], None)  # which also compiles, for all that follow
        began = time.perf_counter()
        _solve([PROBLEM, "--out", "again"], None)
        whole = time.perf_counter() - began
        solves, wrong = _killed(count, whole)
        writes, writing, seconds = _cost(Path("cost"))
    figures = {
        "solve without kills (s)": f"{whole:.0f}",
        "kills": str(count),
        "solves that they were spread over": str(solves),
        "of these not the same": str(wrong),
        "checkpoints of one solve": str(writes),
        "share of its time": f"{100 * writing / seconds:.2f} %",
    }
    table = markdown(["what", "figure"], [list(row) for row in figures.items()])
    print(table)
    TABLE.write_text(f"# Kills\n\n{table}\n{NOTES}\nMachine: {machine()}.\n", encoding="utf-8")
    sys.exit(wrong > 0)


def _killed(count: int, whole: float) -> tuple[int, int]:
    """Solves that it took for `count` kills, and how many of them were not the same as the one without."""
    draw, kills, solves, wrong = random.Random(0), 0, 0, 0
    while kills < count:
        run = Path(f"run-{solves}")
        while not (run / "MANIFEST.json").exists():
            arguments = ["--resume", str(run)] if is_begun(run) else [PROBLEM, "--out", str(run)]
            ended = _solve(arguments, draw.uniform(0, whole) if kills < count else None)
            kills += not ended
            print(f"{run}: {kills} kills, {read_about(run) if is_begun(run) else 'ended or not begun'}", flush=True)
        solves, wrong = solves + 1, wrong + (not _same(Path("whole"), run))
    return solves, wrong


def _solve(arguments: list[str], limit: float | None) -> bool:
    """Whether it ended by itself, before the limit in seconds."""
    try:
        subprocess.run([*COMMAND, *arguments, "--no-pictures", "--quiet"], timeout=limit, check=True)
    except subprocess.TimeoutExpired:
        return False
    return True


def _same(one: Path, other: Path) -> bool:
    layers = (one / "layers.safetensors").read_bytes() == (other / "layers.safetensors").read_bytes()
    first, second = gw.load(one), gw.load(other)
    logs = [
        np.array_equal(first.log[name], second.log[name], equal_nan=True) for name in first.log if name != "seconds"
    ]
    return layers and all(logs) and str(first.diagnostics) == str(second.diagnostics)


def _cost(folder: Path) -> tuple[int, float, float]:
    """Checkpoints, seconds that went into them, and seconds of the whole solve."""
    spent: list[float] = []
    write = _FolderKeeper._write

    def timed(self: _FolderKeeper, *arguments: Any) -> None:
        began = time.perf_counter()
        write(self, *arguments)
        spent.append(time.perf_counter() - began)

    _FolderKeeper._write = timed
    solution = gw.solve(gw.problems.get(PROBLEM), checkpoint=folder, throw=False)
    return len(spent), sum(spent), solution.stats["seconds"]


if __name__ == "__main__":
    main()
