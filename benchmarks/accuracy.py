"""The defaults against references at eight places of the path, on problems that don't flatter, and of every energy.

    python benchmarks/accuracy.py [--table potentials | energies] [--seeds N] [--runs DIR] [PROBLEM ...]

writes benchmarks/results/accuracy.md or accuracy-of-energies.md. PROBLEM: labels of the table, as
"tilted-double-well, diffusion = 0.5"; rows of other problems are kept. Each figure is the mean over the seeds of the
worst of the eight places. With `--runs` the runs are kept in a folder, and those that are there are not computed again.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import numpy as np
from runs import Case, solved
from tables import earlier, machine, markdown

import genwgp as gw
from genwgp.diagnostics import compare
from genwgp.diagnostics.compare import arriving, places
from genwgp.references import reference_for

PARTICLES, DRAWN = 16384, 400_000
POTENTIALS = [
    Case("ornstein-uhlenbeck-mixture", {"dim": 2}),
    Case("ornstein-uhlenbeck-mixture", {"dim": 5}),
    Case("ornstein-uhlenbeck-mixture", {"dim": 10}),
    Case("tilted-double-well"),
    Case("tilted-double-well", {"diffusion": 0.5}),
    Case("gaussian-mixture"),
    Case("eight-modes"),
    Case("banana"),
    Case("ring"),
    Case("many-wells"),
    Case("many-wells", {"dim": 50}),
    Case("styblinski-tang"),
    Case("double-well-1d"),
    Case("double-well-1d", {"barrier": 8.0}),
]
ENERGIES = [
    Case("heat", {}, 1.0),
    Case("porous-medium", {"dim": 1}),
    Case("porous-medium", {"dim": 2}),
    Case("porous-medium", {"dim": 3}),
    Case("porous-medium", {"dim": 10}),
    Case("porous-medium", {"dim": 1, "stiffness": 0.0}, 4.0),
    Case("porous-medium", {"dim": 2, "stiffness": 0.0}, 4.0),
    Case("porous-medium", {"dim": 3, "stiffness": 0.0}, 4.0),
    Case("porous-medium", {"dim": 10, "stiffness": 0.0}, 4.0),
    Case("fast-diffusion"),
    Case("mckean-vlasov", {"dim": 2}),
    Case("mckean-vlasov", {"dim": 10}),
    Case("desai-zwanzig", {"diffusion": 0.3}),
    Case("desai-zwanzig", {"diffusion": 1.0}),
    Case("keller-segel", {}, 1.0),
    Case("aggregation-quartic", {"dim": 2}),
    Case("aggregation-quartic", {"dim": 5}),
    Case("aggregation-disk"),
    Case("aggregation-annulus"),
    Case("aggregation-diffusion"),
]
RESULTS = Path(__file__).parent / "results"
TABLES = {
    "potentials": (RESULTS / "accuracy.md", POTENTIALS),
    "energies": (RESULTS / "accuracy-of-energies.md", ENERGIES),
}
HEADER = {
    "problem": "",
    "seeds": "",
    "converged": "all",
    "W2 / floor": "1.3",
    "mean": "0.5 %",
    "covariance": "0.5 %",
    "F": "0.3 %",
    "t to 99 %": "1 %",
    "t to 99.9 %": "3 %",
    "KL": "1e-3",
    "ESS": "0.99",
    "direction": "0.05",
    "s": "60 in 2-D",
}


def moments(rho: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a reference: its own, of its cells, or of many samples."""
    if hasattr(rho, "mean"):
        return np.asarray(rho.mean), np.asarray(rho.covariance)
    if hasattr(rho, "on_grid"):
        axes, density = rho.on_grid
        points = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], 1)
        mass = density.ravel() / density.sum()
        mean = mass @ points
        return mean, (points - mean).T @ ((points - mean) * mass[:, None])
    x = np.asarray(rho.sample(jax.random.key(3), DRAWN), dtype=np.float64)
    return x.mean(0), np.cov(x.T).reshape(x.shape[1], -1)


def moment_errors(path: Any, reference: Any, seed: int) -> tuple[float, float]:
    """Largest relative errors of mean (over the root mean square of x) and covariance, quasi-random particles.

    They are stretched a little to have the mean and the covariance of the start, which takes most of the sampling noise
    off the later ones.
    """
    x0, mean, covariance = matched(arriving(path, 1000 + seed, PARTICLES), reference), [], []
    for place in places(path, 8):
        x = np.asarray(path.transport(x0, **place), dtype=np.float64)
        m, C = moments(reference.density(path.at(**place).time))
        mean.append(np.linalg.norm(x.mean(0) - m) / np.sqrt(np.trace(C) + m @ m))
        covariance.append(np.linalg.norm(np.cov(x.T).reshape(C.shape) - C) / np.linalg.norm(C))
    return max(mean), max(covariance)


def matched(x: Any, reference: Any) -> np.ndarray:
    """Particles, moved by an affine map to the moments of the reference at t = 0, which differ by sampling noise."""
    m, C = moments(reference.density(0.0))
    x = np.asarray(x, dtype=np.float64)
    root = lambda A: np.linalg.cholesky(np.atleast_2d(A))
    return m + (x - x.mean(0)) @ np.linalg.inv(root(np.cov(x.T))).T @ root(C).T


def figures(case: Case, problem: gw.Problem, reference: Any, seed: int, folder: Path | None) -> dict[str, float]:
    solution, ends = solved(case, problem, seed, folder), case.horizon is None
    path, found = solution.path, compare(solution, reference)
    mean, covariance = moment_errors(path, reference, seed)
    F, end = found.free_energy, path.equilibrium.free_energy
    spent = (path.free_energy[0] - F) / (path.free_energy[0] - (end if np.isfinite(end) else path.free_energy[-1]))
    late = np.abs(found.time_ratio - 1)
    until = lambda share: float(np.nanmax(np.where(spent <= share, late, np.nan), initial=0.0))
    return {
        "converged": str(solution.result) == "converged",
        "W2 / floor": float(np.max(found.ratio("wasserstein"))),
        "mean": mean,
        "covariance": covariance,
        "F": float(np.nanmax(found.energy_error)),
        "t to 99 %": until(0.99),
        "t to 99.9 %": until(0.999),
        "KL": found.gap if ends else np.nan,
        "ESS": found.effective_sample_size if ends else np.nan,
        "direction": solution.diagnostics["direction_residual"],
        "s": solution.stats["seconds"],
    }


FORMAT = {"W2 / floor": "{:.2f}", "KL": "{:.1e}", "ESS": "{:.4f}", "direction": "{:.3f}", "s": "{:.0f}"}


def row(case: Case, seeds: int, folder: Path | None) -> list[str]:
    problem = case.problem()
    reference = reference_for(problem)
    runs = [figures(case, problem, reference, seed, folder) for seed in range(seeds)]
    mean = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    shown = {name: FORMAT.get(name, "{:.2%}").format(value) for name, value in mean.items()}
    shown = {name: "" if value.startswith("nan") else value for name, value in shown.items()}
    shown["converged"] = f"{sum(run['converged'] for run in runs)} of {seeds}"
    return [case.label, str(seeds), *(shown[name] for name in list(HEADER)[2:])]


NOTES = f"""
K = 12 layers, all defaults, float64; the first row of figures is what is aimed at. Every figure is the worst of eight
places equidistant in arclength, its mean over the seeds; none where there is no such figure. `W2 / floor`: exact W2 of
4,000 samples over the same between two draws of the reference. `mean`, `covariance`: relative errors, {PARTICLES}
quasi-random particles with the moments of the start. `F`: error of the free energy at the same time, over its drop.
`t to 99 %`, `t to 99.9 %`: relative error of the time at which F has its value, up to that share of the drop of F.
`KL`, `ESS`: of the last node to the equilibrium. `direction`: largest direction residual before 99 % of the drop. `s`:
seconds of `solve`, compilation included. The references are exact, or finite volumes on their default mesh, or
particles (docs/references.md).
"""


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", choices=TABLES, default="potentials")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, help="a folder that runs are kept in")
    parser.add_argument("problems", nargs="*", help="labels of the table; all of them where none is given")
    given = parser.parse_args()
    path, cases = TABLES[given.table]
    known = earlier(path)
    for case in cases:
        if not given.problems or case.label in given.problems:
            known[case.label] = row(case, given.seeds, given.runs)
            print(" | ".join(known[case.label]), flush=True)
            rows = [list(HEADER.values()), *(known[case.label] for case in cases if case.label in known)]
            table = markdown(list(HEADER), rows)
            path.write_text(
                f"# Accuracy with the defaults: {given.table}\n\n{table}\n{NOTES}\nMachine: {machine()}.\n",
                encoding="utf-8",
            )


if __name__ == "__main__":
    main()
