"""`genwgp compare`: the path of a run against a reference, as tables, a file and a picture."""

import json
import math
import sys
import time
from pathlib import Path

import jax
import numpy as np

from genwgp.cli.progress import Progress, part_event
from genwgp.cli.stored import loaded, warn_unless_converged
from genwgp.cli.table import aligned, columns
from genwgp.diagnostics import Certificate, Comparison, certificate, compare
from genwgp.errors import InputError
from genwgp.io import comparison_record, write_comparison
from genwgp.io.derived import PICTURES
from genwgp.path import WassersteinPath
from genwgp.references import reference_for

NODES = 8
USELESS = 1e3  # bounds above it say nothing
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
ABOUT_DISTANCES = (
    "{}: Wasserstein distances, in units of x; mean, cov: errors relative to the spread and the covariance",
    "floor: the same between two draws of the reference; ratio: W2 over its floor, near 1 where no difference is seen",
)
ABOUT_BOUND = "bound: on W2 to the true flow, from the residual alone, if F is as convex as it was estimated to be"
ABOUT_DENSITIES = (
    "error/drop: |F - F ref| over the drop of F; t ref: when the reference has the F of the path",
    "L1: int |rho - rho ref|, at most 2; KL: of the path to the reference, in nats; mass: of the path on that grid",
)


def compare_run(folder: str, samples: int, seed: int, problem: str | None, as_json: bool, output: str | None) -> None:
    """Compare a run with the best reference of its problem; print, write `comparison.json`, draw."""
    with loaded(folder, problem) as solution:
        warn_unless_converged(folder, solution)
        reference = reference_for(solution.problem)
        kind, start = type(reference).__name__, time.monotonic()
        name = f"{solution.problem.name} against {kind}"
        with Progress(name) as progress:
            tell = lambda done: progress(part_event(done, NODES, time.monotonic() - start))
            found = compare(solution, reference, NODES, samples, jax.random.key(seed), tell)
        bounds = _certified(solution.path, found.times)
        described = reference.describe() if hasattr(reference, "describe") else kind  # pyright: ignore
        about = {"run": folder, "problem": solution.problem.name, "reference": kind, "seed": seed}
        about |= {"reference_description": described, "seconds": time.monotonic() - start}
        if bounds is not None:
            about["certificate"] = bounds._asdict()
        record = comparison_record(found, **about)
        target = Path(output or folder)
        file = write_comparison(record, target)
        if as_json:
            json.dump(record, sys.stdout, indent=2)
            print()
        else:
            print(f"{name}\nreference: {described}\n\n{_text(found, solution.path.dim, bounds)}")
        from genwgp.report import draw_comparison  # matplotlib takes half a second

        picture = draw_comparison(found, solution.path, reference, target / PICTURES / "comparison.png")
        if not as_json:
            print(f"\n{file}\n{picture}")


def _certified(path: WassersteinPath, times: np.ndarray | None = None) -> Certificate | None:
    """None where no bound is known."""
    try:
        return certificate(path, times=times)
    except InputError:
        return None


def _text(found: Comparison, dim: int, bounds: Certificate | None) -> str:
    """Both tables, each with what its columns are, and what the whole comes to."""
    sliced = ("sliced", "sliced_floor") if dim == 1 else ()  # on a line it is W2
    about = (ABOUT_DISTANCES[0].format("W2" if sliced else "W2, sliced"), *ABOUT_DISTANCES[1:])
    chosen = tuple(column for column in DISTANCES if column[1] not in sliced)
    if bounds is not None:
        about, chosen = (*about, ABOUT_BOUND), (*chosen[:5], ("bound", "bound"), *chosen[5:])
    parts = [
        _lines(f"Distances between {found.samples} samples of the path and as many of the reference", about),
        _table(found, chosen, bounds),
        _lines("Free energy, clock and densities at the same places", ABOUT_DENSITIES),
        _table(found, DENSITIES),
    ]
    if math.isinf(found.times[-1]):
        parts.append("At t = inf the end of the path is compared with the equilibrium of the reference.")
    return "\n\n".join([*parts, _whole(found, bounds)])


def _lines(title: str, about: tuple[str, ...]) -> str:
    return "\n".join([title, *(f"  {line}" for line in about)])


def _table(found: Comparison, chosen: tuple[tuple[str, str], ...], bounds: Certificate | None = None) -> str:
    figures: dict[str, np.ndarray] = {**found._asdict(), "ratio": found.ratio(), "time_ratio": found.time_ratio}
    figures |= {} if bounds is None else {"bound": bounds.bound}
    rows = zip(*(figures[name].tolist() for _, name in chosen), strict=True)
    return columns([header for header, _ in chosen], [[_figure(value) for value in row] for row in rows])


def _whole(found: Comparison, bounds: Certificate | None) -> str:
    """The largest differences, the end of the path, and why figures are missing."""
    known = not math.isnan(found.reference_log_normaliser)
    off = f", {found.log_normaliser - found.reference_log_normaliser:+.2g} from the reference" if known else ""
    rows = [
        ("largest W2", f"{np.max(found.ratio()):.3g} times its floor"),
        ("largest error of F", _largest(100 * found.energy_error, "{:.2g} % of the drop of F")),
        ("largest L1", _largest(found.l1, "{:.3g}")),
        ("KL of the end to exp(-V/D)/Z", f"{_figure(found.gap)} nats, by the path's own weights"),
        ("effective samples there", f"{100 * found.effective_sample_size:.2f} %"),
        ("log Z", f"{found.log_normaliser:.5f}{off}"),
        ("bound on W2", _bound(bounds)),
        *((f"no {names}", reason) for names, reason in found.missing.items()),
    ]
    return aligned([row for row in rows if row[1]])


def _bound(bounds: Certificate | None) -> str:
    """What the residual alone says of the distance to the true flow, half way, at the last finite time and at the end.

    Where F is far from convex it soon says nothing.
    """
    if bounds is None:
        return ""
    finite = int(np.isfinite(bounds.times).sum())
    places = [finite // 2, finite - 1, *range(finite, len(bounds.times))]
    number = lambda value: f"{value:.2g}" if value < USELESS else "nothing"
    at = ", ".join(f"{number(bounds.bound[k])} at t = {bounds.times[k]:.3g}" for k in places)
    return f"{at}, from the residual, for L = {bounds.convexity:.3g} as estimated"


def _largest(values: np.ndarray, words: str) -> str:
    """The largest known value in words; nothing where none is known."""
    known = values[~np.isnan(values)]
    return words.format(known.max()) if len(known) else ""


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"
