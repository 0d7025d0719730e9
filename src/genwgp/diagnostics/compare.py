"""A path against a reference: distances with the floor that sampling alone gives them, free energies, the clock."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.checks import integer
from genwgp.diagnostics import distances
from genwgp.diagnostics.measure import PARTICLES, gap_of, log_weights, redrawn
from genwgp.errors import InputError
from genwgp.path.density import PathDensity

Numbers = Float[np.ndarray, " places"]

# A distance and its floor are means over pairs of draws: as many as chance asks for, few where each takes seconds.
DRAWS, EXACT_DRAWS = 8, 2
# The box of a grid: around that many samples of both, with a share of their range on each side. Not wider: far from all
# particles the layers were not fitted, and there is no mass that would count.
BOX_SAMPLES, MARGIN = 4000, 0.1
EXACT = {"wasserstein": distances.wasserstein}
STATISTICS = {
    "sliced": distances.sliced_wasserstein,
    "mean_error": distances.relative_mean_error,
    "covariance_error": distances.relative_covariance_error,
}
NEAR = 0.01  # a last step of Newton's method in time, relative, whose own error is of its square
STEPS = 30


class Comparison(NamedTuple):
    """Figures at `places` of equal distance in arclength, the last being the end; NaN where `missing` says why.

    arclength, times: where, and when on the clock of the path.
    wasserstein, sliced (lengths), mean_error, covariance_error (relative): between `samples` independent samples of the
    path and as many of the reference at that time; each with its `_floor`, the same between two draws of the reference.
    free_energy: F of the path, over quasi-random particles; reference_free_energy at the same time; energy_error:
    their difference, without sign, over the drop of F of the path. reference_times: when the reference has the F of the
    path (infinite where that is below its equilibrium). l1, kl: int |p - q| and KL(path || reference) on a grid around
    4000 samples of both; mass: what the density of the path has there, a little below 1 if it is normalised.
    gap: KL of the end to exp(-V/D)/Z in nats (V + W * rho of the end with an interaction); effective_sample_size,
    log_normaliser of the path's importance weights; reference_log_normaliser. missing: the figures that there are not,
    each with the reason.
    """

    samples: int
    arclength: Numbers
    times: Numbers
    wasserstein: Numbers
    wasserstein_floor: Numbers
    sliced: Numbers
    sliced_floor: Numbers
    mean_error: Numbers
    mean_error_floor: Numbers
    covariance_error: Numbers
    covariance_error_floor: Numbers
    free_energy: Numbers
    reference_free_energy: Numbers
    energy_error: Numbers
    reference_times: Numbers
    l1: Numbers
    kl: Numbers
    mass: Numbers
    gap: float
    effective_sample_size: float
    log_normaliser: float
    reference_log_normaliser: float
    missing: dict[str, str]

    def ratio(self, name: str = "wasserstein") -> Numbers:
        """A distance over its floor: about 1 where samples cannot tell path and reference apart."""
        with np.errstate(divide="ignore", invalid="ignore"):  # a start in one point has no floor
            return getattr(self, name) / getattr(self, f"{name}_floor")

    @property
    def time_ratio(self) -> Numbers:
        """Time of the reference with the same F over time of the path: 1 for the right clock; NaN at infinite times."""
        with np.errstate(invalid="ignore"):
            return self.reference_times / self.times


def compare(
    solution: Any,
    reference: Any,
    nodes: int = 8,
    samples: int = 4000,
    key: PRNGKeyArray | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Comparison:
    """Compare a solution (or its path) with a reference at `nodes` places, equidistant in arclength, without the start.

    `reference`: an object with density(t), t in [0, inf], whose results have sample(key, n) and perhaps log_prob(x);
    perhaps with free_energy(t) and dissipation(t), which may raise InputError; perhaps with log_normaliser and
    equilibrium_free_energy, which may be None. At the last node of a path to the equilibrium t is infinite.
    `samples`: of each draw; a distance is the mean over 8 pairs of draws, over 2 for the exact W2 in more than one
    dimension, whose time and memory grow as the square of `samples` and faster: 4000 take 3 to 6 s a pair, four pairs a
    place. `progress`: called with the number of places that are done.
    Whatever the reference lacks is NaN, with the reason in `missing`. InputError for a reference that does not know the
    path, a path that carries more than a thousandth of the particles to no finite place (others stand for fewer), or if
    POT is not installed (in more than one dimension).
    """
    path = getattr(solution, "path", solution)
    nodes, samples = integer("nodes", nodes), integer("samples", samples, least=2)
    key = jax.random.key(0) if key is None else key
    x0 = arriving(path, int(jax.random.randint(key, (), 0, 2**30)), PARTICLES)
    rows, missing, confined = [], {}, path.equilibrium.normalisable
    for i, place in enumerate(places(path, nodes)):
        row, no_row = _figures(path, reference, place, x0, samples, jax.random.fold_in(key, i), confined)
        rows.append(row)
        missing |= no_row
        if progress is not None:
            progress(i + 1)
    columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}
    columns["energy_error"] = np.abs(columns["free_energy"] - columns["reference_free_energy"]) / _drop(path)
    ends, no_ends = _equilibrium(path, reference, float(columns.pop("gap")[-1]))
    return Comparison(samples=samples, **columns, **ends, missing=missing | no_ends)


def places(path: Any, count: int) -> list[dict[str, Any]]:
    """What `path.at` takes for places equidistant in arclength; the end as a node: rounding must not leave the path."""
    arclength = float(path.arclength[-1]) * np.arange(1, count) / count
    return [{"arclength": float(s)} for s in arclength] + [{"node": len(path.arclength) - 1}]


def arriving(path: Any, seed: int, count: int) -> Float[Array, "n d"]:
    """Quasi-random particles of the start that the path carries to its end: others for the few that it loses."""
    last = len(path.arclength) - 1
    lost_of = lambda x: np.asarray(~np.isfinite(np.asarray(path.transport(x, node=last))).all(axis=1))
    x, lost, _ = redrawn(path.initial, seed, count, lambda x: (x, lost_of(x)))
    if lost.any():
        raise InputError("solution", "particles that are not finite", "a path whose particles are finite")
    return x


def _figures(
    path: Any, reference: Any, place: dict[str, Any], x0: Any, n: int, key: PRNGKeyArray, confined: bool
) -> tuple[dict[str, float], dict[str, str]]:
    """The figures at one place, and what is missing there; `x0`: particles of the start that give F.

    `confined`: there is an equilibrium that its density has a divergence to.
    """
    rho = path.at(**place)
    other = reference.density(rho.time)
    if other is None:
        raise InputError("reference", type(reference).__name__, "a reference whose density(t) is known")
    x, log_density = _carried(path, rho, x0, place)
    draws, grid_draws = jax.random.split(key)
    on_grid, no_grid = _on_grid(rho, other, grid_draws)
    clock, no_clock = _energy_and_time(reference, float(path.energy.value(x, log_density)), rho.time)
    log_weight = log_weights(path.energy.among(x), x, log_density) if confined else np.zeros(0)
    row = {"arclength": rho.arclength, "times": rho.time, "gap": gap_of(log_weight)}
    return row | _on_samples(rho, other, n, draws) | on_grid | clock, no_grid | no_clock


def _carried(path: Any, rho: Any, x0: Any, place: dict[str, Any]) -> tuple[Any, Any]:
    """Particles at a place, and log rho at them: found on the way there, where the path has layers."""
    if isinstance(rho, PathDensity):
        return rho.carried(x0)
    x = path.transport(x0, **place)
    return x, rho.log_prob(x)


def _on_samples(rho: Any, other: Any, n: int, key: PRNGKeyArray) -> dict[str, float]:
    """The statistics of samples, with their floors."""
    row = {}
    plans = [(EXACT | STATISTICS, DRAWS)] if rho.dim == 1 else [(EXACT, EXACT_DRAWS), (STATISTICS, DRAWS)]
    for i, (statistics, repeats) in enumerate(plans):
        all_of_them = lambda x, y, chosen=statistics: [statistic(x, y) for statistic in chosen.values()]
        draw, floor = jax.random.split(jax.random.fold_in(key, i))
        values = distances.between_draws(all_of_them, rho, other, n, draw, repeats).mean(axis=0)
        floors = distances.noise_floor(all_of_them, other, n, floor, repeats).mean(axis=0)
        for name, value, least in zip(statistics, values, floors, strict=True):
            row |= {name: value, f"{name}_floor": least}
    return row


def _on_grid(rho: Any, other: Any, key: PRNGKeyArray) -> tuple[dict[str, float], dict[str, str]]:
    """L1 and KL on a grid over a box around samples of both."""
    nothing = {"l1": np.nan, "kl": np.nan, "mass": np.nan}
    if rho.dim > 2:
        return nothing, {"l1, kl": "grids are for one and two dimensions"}
    if not hasattr(other, "log_prob"):
        return nothing, {"l1, kl": "the reference has no log-density"}
    one, two = jax.random.split(key)
    both = np.concatenate([rho.sample(one, BOX_SAMPLES), other.sample(two, BOX_SAMPLES)])
    low, high = both.min(axis=0), both.max(axis=0)
    box = np.stack([low - MARGIN * (high - low), high + MARGIN * (high - low)], axis=1)
    grid = distances.grid_distances(rho.log_prob, other.log_prob, box)
    return {"l1": grid.l1, "kl": grid.kl, "mass": grid.mass}, {}


def _energy_and_time(reference: Any, F: float, t: float) -> tuple[dict[str, float], dict[str, str]]:
    """F of the path and of the reference, and the time of the reference that belongs to F."""
    row = {"free_energy": F, "reference_free_energy": np.nan, "reference_times": np.nan}
    if not np.isfinite(F):
        return row, {"free_energy": "log rho of the path is not finite at some of its own particles"}
    end = getattr(reference, "equilibrium_free_energy", None)
    if np.isinf(t) and end is not None:
        return row | {"reference_free_energy": float(end)}, {}
    if not hasattr(reference, "free_energy"):
        return row, {"reference_free_energy": "the reference has no free_energy(t)"}
    try:
        row["reference_free_energy"] = float(reference.free_energy(t))
        if np.isinf(t):
            return row, {}
        if not hasattr(reference, "dissipation"):
            return row, {"reference_times": "the reference has no dissipation(t)"}
        below = end is not None and end >= F
        return row | {"reference_times": np.inf if below else _time_of(reference, F, t)}, {}
    except InputError as error:
        missing = "reference_free_energy" if np.isnan(row["reference_free_energy"]) else "reference_times"
        return row, {missing: str(error)}


def _time_of(reference: Any, F: float, t: float) -> float:
    """When the reference has this F: Newton's method from t, with dF/dt = -dissipation, each step within a factor 2."""
    for _ in range(STEPS):
        difference, slope = float(reference.free_energy(t)) - F, float(reference.dissipation(t))
        if not slope > 0:
            break
        after = float(np.clip(t + difference / slope, t / 2, 2 * t))
        if abs(after - t) <= NEAR * t:
            return after
        t = after
    return float("nan")


def _drop(path: Any) -> float:
    """The drop of F along the path; NaN where nothing drops."""
    return abs(float(path.free_energy[0] - path.free_energy[-1])) or float("nan")


def _equilibrium(path: Any, reference: Any, gap: float) -> tuple[dict[str, Any], dict[str, str]]:
    """How far the end is from the equilibrium of the energy, by the path's own weights and by the reference."""
    known = getattr(reference, "log_normaliser", None)
    missing = {"gap": "the equilibrium is not exp(-V/D)/Z"} if np.isnan(gap) else {}
    if known is None:
        missing["reference_log_normaliser"] = "the reference does not know it"
    return {
        "gap": gap,
        "effective_sample_size": float(path.equilibrium.effective_sample_size),
        "log_normaliser": float(path.equilibrium.log_normaliser),
        "reference_log_normaliser": np.nan if known is None else float(known),
    }, missing
