"""Every gallery problem with the defaults, against its exact path or the quadrature of its equilibrium.

    python benchmarks/gallery.py [--runs DIR] [LABEL ...]

writes benchmarks/results/gallery.md: figures, what they are compared with, the sampling noise, machine and versions,
and the certificate's bounds beside true errors; and docs/images/gallery/, a picture of each problem. With names, or
labels such as "porous-medium, dim = 1", only these; the other rows stay. With `--runs` the runs are kept in a folder,
and those that are there are not computed again. The exit code is 1 where a bound is below the true error less its
noise.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import bounds
import jax
import numpy as np
from PIL import Image
from runs import Case, solved
from tables import earlier_rows, machine, markdown

import genwgp as gw
from genwgp.references import OrnsteinUhlenbeck
from genwgp.report import style
from genwgp.report.density import density_picture

SAMPLES = 8192
COLOURS = 256  # of a picture
TIMES = (0.25, 0.5, 1.0, 2.0, 4.0)
CASES = [
    Case("ornstein-uhlenbeck", {"dim": 2}),
    Case("ornstein-uhlenbeck", {"dim": 10}),
    Case("ornstein-uhlenbeck-mixture", {"dim": 2}),
    Case("ornstein-uhlenbeck-mixture", {"dim": 5}),
    Case("ornstein-uhlenbeck-mixture", {"dim": 10}),
    Case("ornstein-uhlenbeck-mixture", {"dim": 50}),
    Case("tilted-double-well"),
    Case("double-well-1d"),
    Case("gaussian-mixture"),
    Case("eight-modes", {"dim": 10}),
    Case("eight-modes", {"dim": 20}),
    Case("banana"),
    Case("ring"),
    Case("many-wells"),
    Case("many-wells", {"dim": 50}),
    Case("styblinski-tang"),
    Case("styblinski-tang", {"dim": 50}),
    Case("mckean-vlasov", {"dim": 2}),
    Case("desai-zwanzig", {"diffusion": 0.3}),
    Case("keller-segel", {}, 1.0),
    Case("aggregation-disk"),
    Case("aggregation-annulus"),
    Case("aggregation-quartic", {"dim": 2}),
    Case("aggregation-diffusion"),
    Case("porous-medium", {"dim": 1}),
    Case("porous-medium", {"dim": 2}),
    Case("fast-diffusion"),
    Case("heat", {}, 1.0),
]
ROOT = Path(__file__).resolve().parents[1]
TABLE, PICTURES = ROOT / "benchmarks" / "results" / "gallery.md", ROOT / "docs" / "images" / "gallery"
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
    x, log_density = path.equilibrium.sample_and_log_prob(jax.random.key(2), SAMPLES)
    weights = np.asarray(path.equilibrium.weights(x, log_density))
    plain, corrected = [], []
    for mode in modes:
        inside, exact = np.asarray(jax.vmap(mode)(x)), reference.mode_weight(mode)
        plain.append(abs(inside.mean() - exact))
        corrected.append(abs(weights @ inside - exact))
    return f"{max(plain):.3f} ({max(corrected):.3f})"


def draw(path: Any, file: Path) -> None:
    """The density at eight times, small enough for a page of many."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with style.styled():
        density_picture(path).savefig(file, dpi=80)
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(COLOURS).save(file, optimize=True)


def row(case: Case, folder: Path | None) -> list[list[list[str]]]:
    """The rows of a problem in the three tables; the first of its cases is drawn."""
    problem = case.problem()
    solution = solved(case, problem, 0, folder)
    path, reference, figures = solution.path, problem.reference, solution.diagnostics
    if case is next(other for other in CASES if other.name == case.name):
        draw(path, PICTURES / f"{case.name}.png")
    known, D = getattr(reference, "log_normaliser", None), problem.energy.diffusion
    number = lambda value, form: f"{value:{form}}" if np.isfinite(value) else ""
    exact = exact_errors(path, reference) if isinstance(reference, OrnsteinUhlenbeck) else ""
    modes = mode_error(path, reference, MODES[case.name]) if case.name in MODES else ""
    found = [
        case.label,
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
        f"{solution.stats['seconds']:.0f}",
    ]
    return [[found], *bounds.rows(case.label, problem, path, figures["gap"])]


NOTES = f"""
K = 12 layers, all defaults, seed 0, float64, {SAMPLES} particles; sampling noise: about 0.011 of a weight of 0.5
(two standard errors), 1e-3 of log Z times the root of 1/ESS - 1. `F_end - F*` is the KL divergence of the last node to
the equilibrium times D. Modes' weights: plain samples, in brackets with importance weights. `direction`: largest
direction residual before 99 % of the drop of F. `dF + I dt`: largest difference of a layer's drop of F and its
dissipation, over the drop or a hundredth of the whole one, in the layers that begin before that. `forms of S`: the
action and its second form. Seconds include compilation.
"""


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, help="a folder that runs are kept in")
    parser.add_argument("problems", nargs="*", help="names or labels of the table; all of them where none is given")
    given = parser.parse_args()
    tables = [[row for row in earlier_rows(TABLE, i) if any(row[1:])] if given.problems else [] for i in range(3)]
    for case in CASES:
        label = case.label
        if not given.problems or case.name in given.problems or label in given.problems:
            found = row(case, given.runs)
            for line in (line for rows in found for line in rows):
                print(" | ".join(line), flush=True)
            tables = [[old for old in table if old[0] != label] + new for table, new in zip(tables, found, strict=True)]
            write(tables)
    sys.exit(any("NO" in row for table in tables[1:] for row in table))


def write(tables: list[list[list[str]]]) -> None:
    """All three tables, in the order of CASES; what has not been run has an empty row in the first two."""
    solved_rows, along, ends = tables
    text = f"""# The gallery with the defaults

{_table(HEADER, solved_rows)}
{NOTES}
## Bounds and true errors

{_table(bounds.HEADER, along)}
{bounds.NOTES}
## Bounds at the equilibrium

{_table(bounds.END_HEADER, ends, gaps=False)}
{bounds.END_NOTES}
Machine: {machine()}.
"""
    TABLE.write_text(text, encoding="utf-8")


def _table(header: list[str], rows: list[list[str]], gaps: bool = True) -> str:
    empty = lambda label: [[label, *[""] * (len(header) - 1)]] if gaps else []
    of = lambda label: [row for row in rows if row[0] == label] or empty(label)
    return markdown(header, [row for case in CASES for row in of(case.label)])


if __name__ == "__main__":
    main()
