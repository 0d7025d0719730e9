"""The same flow found in different ways: numbers of layers and particles, actions and horizons, precision, seeds.

    python benchmarks/consistency.py [NAME]

solves NAME (default tilted-double-well) with the defaults and with one setting changed at a time, carries the same
particles along each path, and writes benchmarks/results/consistency.md: how far the particles are apart at four times
(root mean square, over that of their displacement since the start) and how far F is (over the whole drop of F).
"""

import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tables import machine, markdown

import genwgp as gw

PARTICLES = 2048
TIMES = (0.1, 0.3, 1.0, 2.0)
HALF = {"pool": 4096, "train": 1536, "test": 4096}
DOUBLE = {"pool": 16384, "train": 6144, "test": 16384}
GEOMETRIC = gw.GeometricAction()
RUNS: list[tuple[str, dict[str, Any]]] = [
    ("6 layers", {"layers": 6}),
    ("24 layers", {"layers": 24}),
    ("half the particles", {"method": gw.CausalSweep(**HALF)}),
    ("twice the particles", {"method": gw.CausalSweep(**DOUBLE)}),
    ("another seed", {"key": 1}),
    ("finite horizon, T = 1", {"action": gw.FiniteHorizonAction(1.0)}),
    ("finite horizon, T = 4", {"action": gw.FiniteHorizonAction(4.0)}),
    ("finite horizon, T = 16", {"action": gw.FiniteHorizonAction(16.0)}),
    ("float32", {"float32": True}),
]
HEADER = ["run", "result", *(f"x, F at t = {t}" for t in TIMES), "F at the end", "segments", "s"]


class Curve:
    """Where the same particles are at TIMES, and F there; `found` is the solution."""

    def __init__(self, name: str, settings: dict[str, Any]):
        settings = dict(settings)
        jax.config.update("jax_enable_x64", not settings.pop("float32", False))
        problem = gw.problems.get(name)
        action, seed = settings.pop("action", GEOMETRIC), settings.pop("key", 0)
        began = time.perf_counter()
        self.found = gw.solve(problem, action, key=jax.random.key(seed), throw=False, **settings)
        self.seconds = time.perf_counter() - began
        path, last = self.found.path, getattr(action, "T", np.inf)
        self.start = np.asarray(problem.initial.quasi_sample(11, PARTICLES), dtype=np.float64)
        self.x, self.F = [], []
        for t in TIMES:
            if t > last:
                break
            x = path.transport(jnp.asarray(self.start, jnp.zeros(()).dtype), time=t)
            self.x.append(np.asarray(x, dtype=np.float64))
            self.F.append(float(problem.energy.value(x, path.at(time=t).log_prob(x))))
        self.start_energy, self.end_energy = float(path.free_energy[0]), float(path.free_energy[-1])


def row(label: str, curve: Curve, base: Curve) -> list[str]:
    rms = lambda a: float(np.sqrt((a**2).sum(1).mean()))
    drop, cells = base.start_energy - base.end_energy, []
    for k in range(len(TIMES)):
        if k >= len(curve.x):
            cells.append("")
            continue
        apart = rms(curve.x[k] - base.x[k]) / rms(base.x[k] - base.start)
        cells.append(f"{100 * apart:.3f} %, {100 * abs(curve.F[k] - base.F[k]) / drop:.4f} %")
    segments = str(curve.found.stats.get("segments", ""))
    return [label, str(curve.found.result), *cells, f"{curve.end_energy:.5f}", segments, f"{curve.seconds:.0f}"]


def write(name: str, rows: list[list[str]]) -> None:
    text = (
        f"# {name}: the same flow found in different ways\n\n{markdown(HEADER, rows)}\n\n"
        f"The first row is the defaults (12 layers, seed 0, geometric action, float64), which the others are compared\n"
        f"with: {PARTICLES} common particles, their root mean square distance over that of their displacement since\n"
        f"the start, and the difference of F over the whole drop of F. F at the end is measured on each run's own\n"
        f"held-out particles. Seconds include compilation.\n\nMachine: {machine()}.\n"
    )
    (Path(__file__).parent / "results" / "consistency.md").write_text(text, encoding="utf-8")


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "tilted-double-well"
    base = Curve(name, {})
    rows = [row("defaults", base, base)]
    for label, settings in RUNS:
        rows.append(row(label, Curve(name, settings), base))
        print(" | ".join(rows[-1]), flush=True)
        write(name, rows)


if __name__ == "__main__":
    main()
