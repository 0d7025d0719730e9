"""What the defaults are worth: without a part of them, with other numbers, and beside Adam on the same layers.

    python benchmarks/study.py [without | adam | layers | steps | particles | horizon ...]

solves a double well, each time with one thing changed, compares every path with the finite-volume reference at four
places, and writes benchmarks/results/study.md. The tables that are not asked for are kept.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, cast
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from descent import same_layers
from jaxtyping import Array
from tables import earlier_rows, machine, markdown

import genwgp as gw
from genwgp.diagnostics.compare import places
from genwgp.diagnostics.distances import grid_distances
from genwgp.references import reference_for
from genwgp.references.box import tensor_grid
from genwgp.solvers import features, fitting

RESULT = Path(__file__).parent / "results" / "study.md"
PLACES, POINTS, FAR, GRID = 4, 81, 5.0, 65
OWN = {"KL": "gap", "direction": "direction_residual", "action": "action"}
HEADER = ["", "result", "L1", "F", "KL", "direction", "action", "s"]
LAYERS, HORIZONS = (4, 6, 12, 24, 48), (0.5, 1.0, 2.0, 4.0, 16.0)
TOLERANCES = (0.2, 0.05, 0.02, 0.01, 0.005)
SIZES = {
    "a quarter": {"pool": 3072, "train": 1024, "test": 2048, "equations": 4},
    "half": {"pool": 6144, "train": 1536, "test": 4096, "equations": 6},
    "the defaults": {},
    "twice": {"pool": 24576, "train": 6144, "test": 16384, "equations": 24},
}
WITHOUT: dict[str, list[tuple[Any, str, Any]]] = {
    "the defaults": [],
    "without translates of V": [(features, "FEW", {2: (300, 8, 0)}), (features, "FINER", {})],
    "without bumps that modulate V": [(features, "FEW", {2: (300, 0, 8)}), (features, "FINER", {})],
    "a third of the bumps": [(features, "FEW", {2: (100, 8, 8)}), (features, "FINER", {})],
    "waves, as in many dimensions, for bumps": [(features, "FEW", {2: (0, 0, 8)}), (features, "FINER", {})],
    "one ridge for all fits": [(fitting, "RIDGES", (1e-6,)), (fitting, "SLIGHT", ())],
    "bumps half as wide": [(features, "OVERLAP", 0.85)],
    "bumps twice as wide": [(features, "OVERLAP", 3.4)],
}
ADAM_TIMES, RATES = (1, 10), (1e-5, 1e-4, 3e-4, 1e-3)  # in units of the sweep's; the greatest learning rates


class Case(NamedTuple):
    """A problem of the gallery and its reference."""

    problem: gw.Problem
    reference: Any

    @classmethod
    def of(cls, name: str) -> "Case":
        problem = gw.problems.get(name)
        return cls(problem, reference_for(problem))


def errors(solution: gw.Solution, reference: Any) -> dict[str, float]:
    """The worst of the places against the reference, and what the solution says of itself."""
    path, none = solution.path, float("nan")
    own = {name: solution.diagnostics[key] for name, key in OWN.items()}
    if not path.arclength[-1] > 0:  # training that never came below the loss of the path that stands still
        return {"L1": none, "F": none, **own}
    (x0, weight), l1, energy = quadrature(cast(gw.Gaussian, path.initial)), [], []
    for place in places(path, PLACES):
        rho = path.at(**place)
        x, log_density = map(np.asarray, rho.carried(x0))
        kept = ~rho.astray(x0, x) & np.isfinite(log_density)  # out in the tail some may be lost
        x, log_density, share = x[kept], log_density[kept], weight[kept] / weight[kept].sum()
        exact, ended = reference.density(rho.time), np.isinf(rho.time)
        F = reference.equilibrium_free_energy if ended else reference.free_energy(rho.time)
        energy.append(
            abs(share @ np.asarray(path.energy.per_particle(jnp.asarray(x), jnp.asarray(log_density))) - float(F))
        )
        ends = np.quantile(x, [0, 1], axis=0)
        box = (ends + 0.1 * np.diff(ends, axis=0) * [[-1], [1]]).T
        l1.append(grid_distances(rho.log_prob, exact.log_prob, box, GRID).l1)
    drop = float(reference.free_energy(0.0)) - float(reference.equilibrium_free_energy)
    return {"L1": max(l1), "F": max(energy) / drop, **own}


def shown(name: str, value: float) -> str:
    """As a cell: F in percent of its drop, where that says anything."""
    if np.isnan(value):
        return ""
    return f"{value:.3%}" if name == "F" and value < 10 else f"{value:.2g}"


def quadrature(initial: gw.Gaussian) -> tuple[Array, np.ndarray]:
    """Points and weights of the trapezoid rule within FAR standard deviations: means over the start without noise."""
    z = tensor_grid(np.array(initial.dim * [[-FAR, FAR]]), POINTS)
    z = z[(z**2).sum(1) <= FAR**2]
    weight = np.exp(-0.5 * (z**2).sum(1))
    x = np.asarray(initial.mean) + z @ np.linalg.cholesky(np.asarray(initial.covariance)).T
    return jnp.asarray(x), weight / weight.sum()


def timed(solve: Callable[[], gw.Solution]) -> tuple[gw.Solution, float]:
    """The solution and the seconds that it took."""
    began = time.perf_counter()
    return solve(), time.perf_counter() - began


def line(label: str, solution: gw.Solution, seconds: float, reference: Any) -> list[str]:
    found = errors(solution, reference)
    cells = [label, str(solution.result), *(shown(*pair) for pair in found.items()), f"{seconds:.0f}"]
    print(" | ".join(cells), flush=True)
    return cells


def row(label: str, solve: Callable[[], gw.Solution], reference: Any) -> list[str]:
    return line(label, *timed(solve), reference)


def without(case: Case) -> list[list[str]]:
    """Parts left out of the sweep, or other numbers in their place."""
    rows = []
    for label, changes in WITHOUT.items():
        with ExitStack() as stack:
            for module, name, value in changes:
                stack.enter_context(mock.patch.object(module, name, value))
            rows.append(row(label, lambda: gw.solve(case.problem, throw=False), case.reference))
    return rows


def adam(case: Case) -> list[list[str]]:
    """The sweep, and Adam from rest on layers with its features."""
    best, seconds = timed(lambda: gw.solve(case.problem, throw=False))
    rows = [line("sweep, defaults", best, seconds, case.reference)]
    for rate in RATES:
        for times in ADAM_TIMES:
            solve = lambda rate=rate, times=times: same_layers(case.problem, best, rate, times * seconds)
            rows.append(row(f"Adam, rate {rate:g}, {times} x the time", solve, case.reference))
    return rows


def layers(case: Case) -> list[list[str]]:
    solve = lambda K: lambda: gw.solve(case.problem, layers=K, throw=False)
    return [row(f"K = {K}", solve(K), case.reference) for K in LAYERS]


def steps(case: Case) -> list[list[str]]:
    solve = lambda tolerance: lambda: gw.solve(case.problem, method=gw.CausalSweep(tolerance=tolerance), throw=False)
    return [row(f"tolerance {tolerance:g}", solve(tolerance), case.reference) for tolerance in TOLERANCES]


def particles(case: Case) -> list[list[str]]:
    solve = lambda changed: lambda: gw.solve(case.problem, method=gw.CausalSweep(**changed), throw=False)
    return [row(label, solve(changed), case.reference) for label, changed in SIZES.items()]


def horizon(case: Case) -> list[list[str]]:
    solve = lambda T: lambda: gw.solve(case.problem, gw.FiniteHorizonAction(T), throw=False)
    return [row(f"T = {T:g}", solve(T), case.reference) for T in HORIZONS]


PLANE, LINE = "tilted-double-well", "double-well-1d"
SECTIONS: dict[str, tuple[str, str, Callable[[Case], list[list[str]]]]] = {
    "without": ("Parts of the sweep left out", PLANE, without),
    "adam": ("Adam on the same layers", LINE, adam),
    "layers": ("Layers", PLANE, layers),
    "steps": ("Steps", PLANE, steps),
    "particles": ("Particles", PLANE, particles),
    "horizon": ("Horizons", PLANE, horizon),
}

NOTES = """
Seed 0, float64. The worst of four places equidistant in arclength, beside finite volumes on their default mesh: `L1`,
int |p - q|, of which about 0.002 is their own error; `F`, error of the free energy over its drop, by quadrature over
the start, without points of its tail that are lost, beyond four standard deviations. `KL`: of the last node to the
equilibrium. `direction`: largest direction residual before 99 % of the drop.
`action`: of the path, in units of energy. `s`: seconds; the first row of a table has compiled what the others share.

Adam: layers at rest with the features that the sweep's have half-way, coefficients linear along each; loss, schedule
and measure as `Adam` has them on coupling layers. Times are in units of the sweep's, compilation of Adam's step not
counted; training ends earlier where its loss is not finite, with the best layers before that. Where there are no `L1`
and `F`, these are the layers at rest.
"""


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser()
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all of them where none is given")
    chosen = parser.parse_args().sections or list(SECTIONS)
    tables = {name: earlier_rows(RESULT, i) for i, name in enumerate(SECTIONS)}
    for name in chosen:
        _, problem, study = SECTIONS[name]
        tables[name] = study(Case.of(problem))
        parts = [f"## {title}: {of}\n\n{markdown(HEADER, tables[key])}" for key, (title, of, _) in SECTIONS.items()]
        text = "\n\n".join(["# What the defaults are worth", *parts])
        RESULT.write_text(f"{text}\n{NOTES}\nMachine: {machine()}.\n", encoding="utf-8")


if __name__ == "__main__":
    main()
