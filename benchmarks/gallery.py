"""Every gallery problem with the defaults, against its exact path or the quadrature of its equilibrium.

    python benchmarks/gallery.py [LABEL ...]

writes benchmarks/results/gallery.md: figures, what they are compared with, the sampling noise, machine and versions,
and the certificate's bounds beside true errors. With names, or labels such as "porous-medium, dim = 1", only these; the
other rows stay. The exit code is 1 where a bound is below the true error less its noise.
"""

import sys
import time
from pathlib import Path
from typing import Any

import bounds
import jax
import numpy as np
from tables import earlier, earlier_rows, labelled, machine, markdown

import genwgp as gw
from genwgp.references import OrnsteinUhlenbeck

SAMPLES = 8192
TIMES = (0.25, 0.5, 1.0, 2.0, 4.0)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("ornstein-uhlenbeck", {"dim": 2}),
    ("ornstein-uhlenbeck", {"dim": 10}),
    ("ornstein-uhlenbeck-mixture", {"dim": 2}),
    ("tilted-double-well", {}),
    ("banana", {}),
    ("gaussian-mixture", {}),
    ("ring", {}),
    ("double-well-1d", {}),
    ("ornstein-uhlenbeck-mixture", {"dim": 5}),
    ("many-wells", {}),
    ("styblinski-tang", {}),
    ("mckean-vlasov", {"dim": 2}),
    ("desai-zwanzig", {}),
    ("porous-medium", {"dim": 1}),
    ("fast-diffusion", {}),
]
TABLE = Path(__file__).parent / "results" / "gallery.md"
MODES = {
    "tilted-double-well": [lambda x: x[0] > 0],
    "double-well-1d": [lambda x: x[0] > 0],
    "gaussian-mixture": [
        lambda x: (x[0] > 0) & (x[1] > 0),
        lambda x: (x[0] < 0) & (x[1] > 0),
        lambda x: (x[0] < 0) & (x[1] < 0),
    ],
}
HEADER = [
    "problem",
    "result",
    "F_end - F*",
    "log Z error",
    "ESS",
    "modes' weights, error",
    "speed spread",
    "direction",
    "dF + I dt",
    "forms of S",
    "KL / moments to exact",
    "s",
]


def exact_errors(path: Any, reference: Any) -> str:
    """Largest KL divergence from the exact density at five times; for Gaussians the moments' relative errors too."""
    kl, mean, covariance = [], [], []
    for t in TIMES:
        rho, exact = path.at(time=t), reference.density(t)
        x = rho.sample(jax.random.key(1), SAMPLES)
        kl.append(float(np.mean(np.asarray(rho.log_prob(x) - exact.log_prob(x)))))
        # The same particles through the exact mean and covariance: no sampling noise where the start is Gaussian.
        x0 = path.initial.quasi_sample(7, SAMPLES)
        y = np.asarray(path.transport(x0, time=t))
        mean.append(np.linalg.norm(y.mean(0) - exact.mean) / max(np.linalg.norm(exact.mean), 1e-3))
        covariance.append(np.linalg.norm(np.cov(y.T) - exact.covariance) / np.linalg.norm(exact.covariance))
    text = f"KL {max(kl, key=abs):.1e}"
    if isinstance(reference.start, gw.Gaussian):
        text += f", mean {100 * max(mean):.2f} %, cov {100 * max(covariance):.2f} %"
    return text


def mode_error(path: Any, reference: Any, modes: list[Any]) -> str:
    """Largest error of the modes' weights at the last node: plain, and corrected by importance weights."""
    x = np.asarray(path.equilibrium.sample(jax.random.key(2), SAMPLES))
    weights = np.asarray(path.equilibrium.weights(x))
    plain, corrected = [], []
    for mode in modes:
        inside, exact = np.asarray(jax.vmap(mode)(x)), reference.mode_weight(mode)
        plain.append(abs(inside.mean() - exact))
        corrected.append(abs(weights @ inside - exact))
    return f"{max(plain):.3f} ({max(corrected):.3f})"


def row(name: str, parameters: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The row of a problem, and its rows of the table of bounds."""
    problem = gw.problems.get(name, **parameters)
    began = time.perf_counter()
    solution = gw.solve(problem, throw=False)
    seconds = time.perf_counter() - began
    path, reference, figures = solution.path, problem.reference, solution.diagnostics
    assert reference is not None
    label, known, D = labelled(name, parameters), reference.log_normaliser, problem.energy.diffusion
    number = lambda value, form: f"{value:{form}}" if np.isfinite(value) else ""
    exact = exact_errors(path, reference) if isinstance(reference, OrnsteinUhlenbeck) else ""
    modes = mode_error(path, reference, MODES[name]) if name in MODES else ""
    found = [
        label,
        str(solution.result),
        number(figures["gap"] * D if D > 0 else np.nan, ".1e"),
        "" if known is None else f"{path.equilibrium.log_normaliser - known:+.1e}",
        number(path.equilibrium.effective_sample_size, ".4f"),
        modes,
        f"{100 * figures['speed_spread']:.2f} %",
        f"{figures['direction_residual']:.3f}",
        f"{100 * figures['dissipation_error']:.2g} %",
        f"{figures['action']:.1e} / {figures['action_second_form']:.1e}",
        exact,
        f"{seconds:.0f}",
    ]
    return found, bounds.rows(label, problem, path)


NOTES = f"""
K = 12 layers, all defaults, seed 0, float64, {SAMPLES} particles; sampling noise: about 0.011 of a weight of 0.5
(two standard errors), 1e-3 of log Z times the root of 1/ESS - 1. `F_end - F*` is the KL divergence of the last node to
the equilibrium times D. Modes' weights: plain samples, in brackets with importance weights. `direction`: largest
direction residual before 99 % of the drop of F. `dF + I dt`: largest difference of a layer's drop of F and its
dissipation, over the drop or a hundredth of the whole one. `forms of S`: the action and its second form. Seconds
include compilation.
"""


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    chosen = sys.argv[1:]
    known = earlier(TABLE) if chosen else {}
    bounded = [row for row in earlier_rows(TABLE, 1) if row[1]] if chosen else []
    for name, parameters in CASES:
        label = labelled(name, parameters)
        if not chosen or name in chosen or label in chosen:
            known[label], found = row(name, parameters)
            bounded = [row for row in bounded if row[0] != label] + found
            for line in (known[label], *found):
                print(" | ".join(line), flush=True)
            write(known, bounded)
    sys.exit(any("NO" in row for row in bounded))


def write(known: dict[str, list[str]], bounded: list[list[str]]) -> None:
    """Both tables; what has not been run has an empty row."""
    labels = list(map(labelled, *zip(*CASES, strict=True)))
    rows = [known.get(label, [label, *[""] * (len(HEADER) - 1)]) for label in labels]
    of = lambda label: [row for row in bounded if row[0] == label] or [[label, *[""] * (len(bounds.HEADER) - 1)]]
    below = markdown(bounds.HEADER, [row for label in labels for row in of(label)])
    text = (
        f"# The gallery with the defaults\n\n{markdown(HEADER, rows)}\n{NOTES}\n## Bounds and true errors\n\n{below}\n"
    )
    TABLE.write_text(f"{text}{bounds.NOTES}\nMachine: {machine()}.\n", encoding="utf-8")


if __name__ == "__main__":
    main()
