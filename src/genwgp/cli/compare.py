"""`genwgp compare`: the path of a run against a reference, as tables, a file and a picture."""

import json
import math
import sys
import time
from pathlib import Path

import jax
import numpy as np

from genwgp.cli.progress import Progress
from genwgp.cli.stored import loaded
from genwgp.cli.table import aligned, columns
from genwgp.diagnostics import Comparison, compare
from genwgp.io import comparison_record, write_comparison
from genwgp.references import reference_for
from genwgp.report import draw_comparison
from genwgp.solvers import Event

NODES = 8
DISTANCES = (  # header, figure
    ("t", "times"),
    ("s", "arclength"),
    ("W2", "wasserstein"),
    ("floor", "wasserstein_floor"),
    ("ratio", "ratio"),
    ("sliced", "sliced"),
    ("floor", "sliced_floor"),
    ("mean", "mean_error"),
    ("floor", "mean_error_floor"),
    ("cov", "covariance_error"),
    ("floor", "covariance_error_floor"),
)
DENSITIES = (
    ("t", "times"),
    ("F", "free_energy"),
    ("F ref", "reference_free_energy"),
    ("error/drop", "energy_error"),
    ("t ref", "reference_times"),
    ("t ref/t", "time_ratio"),
    ("L1", "l1"),
    ("KL", "kl"),
    ("mass", "mass"),
)


def compare_run(folder: str, samples: int, seed: int, problem: str | None, as_json: bool, output: str | None) -> None:
    """Compare a run with the best reference of its problem; print, write `comparison.json`, draw."""
    with loaded(folder, problem) as solution:
        reference = reference_for(solution.problem)
        name = f"{solution.problem.name} against {type(reference).__name__}"
        start = time.monotonic()
        with Progress(name) as progress:
            tell = lambda done: progress(_event(done, time.monotonic() - start))
            found = compare(solution, reference, NODES, samples, jax.random.key(seed), tell)
        about = {"run": folder, "problem": solution.problem.name, "reference": type(reference).__name__, "seed": seed}
        record = comparison_record(found, **about, seconds=time.monotonic() - start)
        target = Path(output or folder)
        file = write_comparison(record, target)
        if as_json:
            json.dump(record, sys.stdout, indent=2)
            print()
        else:
            print(f"{name}\n\n{_table(found, DISTANCES)}\n\n{_table(found, DENSITIES)}\n\n{_ends(found)}")
        picture = draw_comparison(found, solution.path, reference, target / "pictures" / "comparison.png")
        if not as_json:
            print(f"\n{file}\n{picture}")


def _event(done: int, seconds: float) -> Event:
    nothing = math.nan
    left = seconds / done * (NODES - done)
    return Event(done, nothing, nothing, nothing, nothing, nothing, left, f"place {done} of {NODES}")


def _table(found: Comparison, chosen: tuple[tuple[str, str], ...]) -> str:
    figures: dict[str, np.ndarray] = {**found._asdict(), "ratio": found.ratio(), "time_ratio": found.time_ratio}
    rows = zip(*(figures[name].tolist() for _, name in chosen), strict=True)
    return columns([header for header, _ in chosen], [[_figure(value) for value in row] for row in rows])


def _ends(found: Comparison) -> str:
    """The end of the path, and why figures are missing."""
    known = not math.isnan(found.reference_log_normaliser)
    off = f", {found.log_normaliser - found.reference_log_normaliser:+.2g} from the reference" if known else ""
    rows = [
        ("samples", f"{found.samples} a draw"),
        ("KL to the equilibrium", f"{_figure(found.gap)} nats"),
        ("effective samples", f"{100 * found.effective_sample_size:.2f} %"),
        ("log Z", f"{found.log_normaliser:.5f}{off}"),
        *((f"no {names}", reason) for names, reason in found.missing.items()),
    ]
    return aligned(rows)


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"
