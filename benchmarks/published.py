"""The settings of published figures of a neural JKO scheme, with the defaults, beside these figures.

    python benchmarks/published.py [--seeds N] [LABEL ...]

writes benchmarks/results/published.md. With labels, as "scattered-modes, dim = 6", only these; the other rows stay.
`scattered-modes`: the last node against the equilibrium; the published runs end at T = 4, where the exact flow may
still be on its way. `Ornstein-Uhlenbeck` from N(0, I) to N(b, A^-1), A a random matrix, at t = 0.9 against the exact
density.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tables import earlier, labelled, machine, markdown

import genwgp as gw
from genwgp.diagnostics.distances import symmetric_kl
from genwgp.problems.ornstein_uhlenbeck import Quadratic
from genwgp.references import OrnsteinUhlenbeck

RESULTS = Path(__file__).parent / "results" / "published.md"
SAMPLES, FITTED = 16384, 10_000
MODES, PROCESS = "scattered-modes", "Ornstein-Uhlenbeck"
PUBLISHED = {
    MODES: {2: 0.062, 4: 0.176, 6: 0.301, 8: 0.396, 10: 0.329, 12: 0.509},
    PROCESS: {2: 0.0038, 4: 0.0075, 6: 0.0133, 8: 0.0136, 10: 0.0144, 12: 0.0182},
}
SECONDS = {MODES: "973 to 7175", PROCESS: "526 to 821"}
TIME = 0.9
HEADER = ["setting", "seeds", "symmetric KL", "its noise", "published", "ratio", "a Gaussian fitted", "ended", "s"]
HEADER += ["theirs"]
NOTE = f"""
Symmetric KL, KL(rho || exact) + KL(exact || rho), over {SAMPLES} samples of each; mean over the seeds, which draw the
problem. `its noise`: standard error of the sampling, root mean square over the seeds. `published`: the neural JKO
scheme with input-convex networks of Mokrov et al., Large-Scale Wasserstein Gradient Flows, NeurIPS 2021, means over 5
or 15 runs, from its raw result files; `ratio`: theirs over ours. `a Gaussian fitted`: to {FITTED} samples of the exact
density, about d (d + 3) / 2n for a Gaussian: what a method that knew the answer to be one would get from samples.
At T = 4, where the published runs of
`scattered-modes` end, modes may still exchange mass: what is compared is how near to the equilibrium the methods come.
`ended`: how the solves did, by their own verdict. `s`: seconds of `solve` on this machine, compilation included, mean;
`theirs`: on machines of the class of a GPU.
"""


def process(dim: int, seed: int) -> gw.Problem:
    """N(0, I) to N(b, A^-1), with eigenvalues of A^-1 from 0.5 to 2 in a random basis."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    A, b = (basis / np.linspace(0.5, 2.0, dim)) @ basis.T, rng.normal(size=dim)
    start = gw.Gaussian(np.zeros(dim), 1.0)
    energy = gw.FreeEnergy(Quadratic(A, b), gw.Entropy(1.0))
    return gw.Problem(energy, start, PROCESS, OrnsteinUhlenbeck(A, b, 1.0, start))


def problem(name: str, dim: int, seed: int) -> gw.Problem:
    return process(dim, seed) if name == PROCESS else gw.problems.get(name, dim=dim, seed=seed)


def exact_end(problem: gw.Problem, name: str) -> Any:
    """What the density at the end is compared with."""
    assert problem.reference is not None
    return problem.reference.density(np.inf if name == MODES else TIME)


def divergence(rho: Any, exact: Any) -> Any:
    """Symmetric KL with its standard error."""
    x, y = (own.sample(jax.random.key(seed), SAMPLES) for seed, own in enumerate((rho, exact)))
    return symmetric_kl(rho.log_prob, exact.log_prob, x, y)


def fitted(exact: Any) -> float:
    """The same of a Gaussian fitted to samples of the exact density."""
    x = np.asarray(exact.sample(jax.random.key(5), FITTED))
    return divergence(gw.Gaussian(x.mean(0), np.cov(x, rowvar=False)), exact).value


def row(name: str, dim: int, seeds: int) -> list[str]:
    values, errors, taken, baselines, ends = [], [], [], [], []
    for seed in range(seeds):
        given = problem(name, dim, seed)
        began = time.perf_counter()
        action = gw.GeometricAction() if name == MODES else gw.FiniteHorizonAction(TIME)
        path = (solution := gw.solve(given, action, key=jax.random.key(seed), throw=False)).path
        taken.append(time.perf_counter() - began)
        exact = exact_end(given, name)
        value, error = divergence(path.at(node=len(path.times) - 1), exact)
        values.append(value)
        errors.append(error)
        baselines.append(fitted(exact))
        ends.append(str(solution.result))
        told = f"{value:.3g}, {taken[-1]:.0f} s, {solution.message}"
        print(f"{labelled(name, {'dim': dim})}, seed {seed}: {told}", flush=True)
    value, published = float(np.mean(values)), PUBLISHED[name][dim]
    return [
        labelled(name, {"dim": dim}),
        str(seeds),
        f"{value:.1e}",
        f"{np.sqrt(np.mean(np.square(errors))):.0e}",
        f"{published:g}",
        f"{published / value:.3g}" if value > 0 else "",
        f"{np.mean(baselines):.1e}",
        ", ".join(f"{ends.count(end)} {end}" for end in dict.fromkeys(ends)),
        f"{np.mean(taken):.0f}",
        SECONDS[name],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", nargs="*", metavar="LABEL")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows = earlier(RESULTS)
    labels = {labelled(name, {"dim": dim}): (name, dim) for name, figures in PUBLISHED.items() for dim in figures}
    for label, (name, dim) in labels.items():
        if options.labels and label not in options.labels:
            continue
        rows[label] = row(name, dim, options.seeds)
        ordered = [rows[known] for known in labels if known in rows]
        text = f"# Beside published figures\n\n{markdown(HEADER, ordered)}\n{NOTE}\nMachine: {machine()}.\n"
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
