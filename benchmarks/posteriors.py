"""Posteriors and other targets in many dimensions, with the defaults, against exact samples or Markov chains.

    python benchmarks/posteriors.py [--runs DIR] [--limit SECONDS] [LABEL ...]

writes benchmarks/results/posteriors.md. With labels of the table, as "eight-schools, centred = True", only these; the
other rows stay. A solve that takes longer than the limit is ended, and what there is of it measured. With `--runs` the
runs are kept in a folder, and those that are there are not computed again. Needs the extras data, numpyro and arviz.
"""

import argparse
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from chains import CHAINS, DRAWS, PROPOSALS, WARMUP, chains
from jaxtyping import Float
from limited import solved_within
from runs import Case
from tables import earlier, machine, markdown

import genwgp as gw
from genwgp import importance
from genwgp.references import KnownDensity

TABLE = Path(__file__).parent / "results" / "posteriors.md"
SAMPLES, EXACT = 16384, 2**17
CASES = [
    Case("rosenbrock"),
    Case("rosenbrock", {"blocks": 2, "length": 3, "b": 2.5}),
    Case("eight-schools"),
    Case("eight-schools", {"centred": True}),
    Case("logistic-regression"),
    Case("logistic-regression", {"data": "digits"}),
    Case("gaussian-process"),
    Case("phi4-lattice"),
]
HEADER = ["problem", "d", "result", "F_end - F*", "direction", "means", "deviations", "ESS", "Pareto k"]
HEADER += ["log Z - reference", "s", "reference", "its noise", "its s"]
NOTES = f"""
K = 12 layers, all defaults, seed 0, float64. `F_end - F*`: of the last node, in units of D, F* = -D log Z of the
reference. `direction`: largest direction residual before 99 % of the drop of F. `means`: largest difference of the
mean of a coordinate from the reference's, in its standard deviation; `deviations`: largest difference of a standard
deviation, over the reference's; of {SAMPLES} samples of the last node, in brackets with importance weights. `its
noise`: the same two between the halves of the reference's samples. `ESS`, `Pareto k`: of the weights. `log Z -
reference`: by the weights, with the standard errors of both. Reference: {EXACT} exact samples and the exact log Z,
where they are known; else {CHAINS} chains of the no-U-turn sampler of numpyro, {WARMUP} steps of warm-up and {DRAWS}
draws each, with the largest R-hat and the least effective number of draws, bulk and tail, of a coordinate, and log Z
by bridge sampling with {PROPOSALS} draws of a Gaussian with their moments. Seconds include compilation. Solves are
ended after the first segment of the sweep that ends beyond the limit, 900 s unless another one is given:
`interrupted`. Where particles were lost on the way there is no F, and no weights.
"""


class Known(NamedTuple):
    """Samples of the equilibrium (n, d), its log Z with a standard error, what they are, and the seconds they took."""

    x: Float[np.ndarray, "n d"]
    log_z: float
    log_z_error: float
    text: str
    seconds: float


def known(problem: gw.Problem) -> Known:
    """Exact where the problem has it, else by Markov chains."""
    began = time.perf_counter()
    if isinstance(problem.reference, KnownDensity):
        x = np.asarray(problem.reference.equilibrium.sample(jax.random.key(5), EXACT))
        return Known(x, problem.reference.log_normaliser, 0.0, "exact", time.perf_counter() - began)
    drawn = chains(problem, jax.random.key(5))
    text = f"NUTS, R-hat {drawn.r_hat:.3f}, {drawn.effective:.0f} effective"
    text += f", {drawn.divergent} divergent" if drawn.divergent else ""
    return Known(drawn.x, drawn.log_z, drawn.log_z_error, text, drawn.seconds)


class Moments(NamedTuple):
    """Means and standard deviations of the coordinates."""

    mean: Float[np.ndarray, " d"]
    deviation: Float[np.ndarray, " d"]

    @classmethod
    def of(cls, x: Float[np.ndarray, "n d"], log_weight: Any = None) -> "Moments":
        weight = np.zeros(len(x)) if log_weight is None else log_weight
        mean, square = (importance.expectation(values, weight).value for values in (x, x**2))
        return cls(mean, np.sqrt(square - mean**2))

    def off(self, other: "Moments") -> tuple[float, float]:
        """The largest differences from another's, in units of its standard deviations."""
        mean = np.abs(self.mean - other.mean) / other.deviation
        return float(mean.max()), float(np.abs(self.deviation / other.deviation - 1).max())


def row(case: Case, folder: Path | None, limit: float) -> list[str]:
    problem = case.problem()
    run = None if folder is None else folder / re.sub("[^a-z0-9.]+", "-", case.label.lower())
    solution = solved_within(problem, limit, run)
    end, reference, D = solution.path.equilibrium, known(problem), problem.energy.diffusion
    x, log_density = map(np.asarray, end.sample_and_log_prob(jax.random.key(2), SAMPLES))
    arrived = np.isfinite(x).all(1) & np.isfinite(log_density)
    x, log_density = x[arrived], log_density[arrived]
    target = Moments.of(reference.x)
    plain, weighted = Moments.of(x).off(target), (np.nan, np.nan)
    if end.normalisable:
        weighted = Moments.of(x, np.asarray(end.log_weights(x, log_density))).off(target)
    noise = Moments.of(reference.x[::2]).off(Moments.of(reference.x[1::2]))
    error = np.hypot(end.log_normaliser_error, reference.log_z_error)
    return [
        case.label,
        str(problem.dim),
        str(solution.result),
        f"{solution.path.free_energy[-1] / D + reference.log_z:.2g}",
        f"{solution.diagnostics['direction_residual']:.3f}",
        *(f"{before:.2g} ({after:.2g})" for before, after in zip(plain, weighted, strict=True)),
        f"{end.effective_sample_size:.4f}",
        f"{end.pareto_k:.2f}",
        f"{end.log_normaliser - reference.log_z:+.1e} ± {error:.0e}",
        f"{solution.stats['seconds']:.0f}",
        reference.text,
        " / ".join(f"{value:.1g}" for value in noise),
        f"{reference.seconds:.0f}",
    ]


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="a folder that runs are kept in")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds of a solve")
    parser.add_argument("labels", nargs="*", metavar="LABEL")
    given = parser.parse_args()
    rows = earlier(TABLE)
    for case in CASES:
        if given.labels and case.label not in given.labels:
            continue
        rows[case.label] = row(case, given.runs, given.limit)
        print(" | ".join(rows[case.label]), flush=True)
        ordered = [rows[case.label] for case in CASES if case.label in rows]
        text = f"# Posteriors\n\n{markdown(HEADER, ordered)}\n{NOTES}\nMachine: {machine()}.\n"
        TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
