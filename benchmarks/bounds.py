"""The certificate's bounds on W2 and KL beside the true ones, with what the latter are uncertain by."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import genwgp as gw
from genwgp.diagnostics import Certificate
from genwgp.diagnostics.distances import between_draws, gaussian_wasserstein, noise_floor, wasserstein
from genwgp.errors import InputError
from genwgp.problems.double_wells import DoubleWell
from genwgp.references import FiniteVolume, McKeanVlasov, OrnsteinUhlenbeck, QuadratureReference, reference_for

QUANTILES, GRID, ROOM = 2048, 20001, 0.5  # on a line; points that a density is summed on, beyond its samples
PARTICLES, SEEDS = 8192, 4  # of a Gaussian
SAMPLES, PAIRS = 2000, 2  # of any other density in more than one dimension, and pairs of draws
SAMPLING = 0.03  # relative, of a bound: three standard errors of a root mean square over 8192 particles
USELESS = 1e3  # times the length of the path: what a bound says that is larger than this
END_HEADER = ["problem", "lam", "KL to the equilibrium", "bound on KL", "bound / KL", "holds"]
HEADER = ["problem", "L", "t", "W2 to the reference", "its noise", "bound on W2", "bound / W2", "holds", "W2 by"]
# Least eigenvalues of Hess V that are known: the bound is a proof, but for the quadrature of the residual.
CONVEXITY = {
    "ornstein-uhlenbeck": lambda problem: float(np.linalg.eigvalsh(problem.energy.potential.A)[0]),
    "ornstein-uhlenbeck-mixture": lambda problem: 1.0,
    "mckean-vlasov": lambda problem: problem.energy.potential.stiffness,
    "double-well-1d": lambda problem: -4 * problem.energy.potential.height,
    "many-wells": lambda problem: -4 * float(problem.energy.potential.height.max()),
    "styblinski-tang": lambda problem: -32 * problem.energy.potential.scale,
    "porous-medium": lambda problem: problem.energy.potential.stiffness,
}
# Log-Sobolev constants where V is not convex: sums of functions of one coordinate have the least one of those.
LOG_SOBOLEV = {
    "double-well-1d": lambda problem: _on_a_line(problem.energy.potential, problem),
    "many-wells": lambda problem: min(
        _on_a_line(DoubleWell(h, b), problem)
        for h, b in {*zip(problem.energy.potential.height, problem.energy.potential.tilt, strict=True)}
    ),
    "styblinski-tang": lambda problem: _on_a_line(problem.energy.potential, problem),
}
NOTES = f"""
`bound on W2`: of `genwgp.certificate`, from the residual of the path alone, on its distance to the true flow at time
t, and at t = inf of its last node to the equilibrium. `L`: the convexity of F that it uses; known: a lower bound of the
eigenvalues of Hess V in closed form; estimated: the least one over particles of the path, so that the bound is no
proof. With L < 0 it grows as exp(-L t) and soon `says nothing` (it is above {USELESS:g} lengths of the path); at the
equilibrium there is none, unless a log-Sobolev constant is known (below), which bounds late times too. `W2 to the
reference`, by one of: {QUANTILES} quantiles on a line, whose noise is the mesh of the reference; moments, of a path
that is nearly Gaussian, the least that W2 can be, whose noise is its range over {SEEDS} sets of {PARTICLES} particles;
{SAMPLES} samples, less the floor of W2 between samples of one density, which is the noise. `bound / W2`: how loose the
bound is. `holds`: bound >= W2 - noise, but for {SAMPLING:.0%} of the bound, whose residual is a mean over 8192
particles (three standard errors). At the equilibrium it may be sharp: where the slowest mode alone is left, W2 is
||grad mu|| / L. Rows without figures have not been run.
"""

END_NOTES = """
`bound on KL`: ||grad mu||^2 / (2 lam D) at the last node, lam the log-Sobolev constant: L where it is positive, else a
lower bound by the criterion of Barthe and Roberto on a line, and the least one of a product's factors. `KL to the
equilibrium`: by importance weights over 8192 particles. `holds`: but for 6% of the bound, whose square of the
force is a mean over 8192 particles. Problems without such a constant have no row.
"""


def _on_a_line(potential: Any, problem: gw.Problem) -> float:
    return QuadratureReference(potential, problem.energy.diffusion, 1).log_sobolev


class Distance(NamedTuple):
    """W2 of the path to the reference at one time, how far that is uncertain, and how it was found."""

    value: float
    noise: float
    by: str


def rows(label: str, problem: gw.Problem, path: Any, gap: float) -> tuple[list[list[str]], list[list[str]]]:
    """Rows of both tables: on W2 at a third, two thirds and the end of the arclength, and at the equilibrium; on KL.

    `gap`: the KL divergence of the last node to the equilibrium.
    """
    of = lambda constants: constants[problem.name](problem) if problem.name in constants else None
    known, constant = of(CONVEXITY), of(LOG_SOBOLEV)
    last = float(path.layers.time.sum())
    K = len(path.times) - 1
    times = [*(float(path.times[k]) for k in (K // 3, 2 * K // 3)), last]
    times += [np.inf] if np.isinf(path.times[-1]) else []
    try:
        bounds = gw.certificate(path, known, times, constant)
    except InputError as error:
        return [[label, *[""] * (len(HEADER) - 2), f"no bound: {error}".replace("|", "\\|")]], []
    L = f"{bounds.convexity:.3g}, {'estimated' if bounds.estimated else 'known'}"
    reference = reference_for(problem)
    coarser = _coarser(problem, reference) if path.dim == 1 else None
    along = [
        _row(label, L, t, distance(path, reference, coarser, t), float(bound), float(path.arclength[-1]))
        for t, bound in zip(times, bounds.bound, strict=True)
    ]
    proven = known is not None or constant is not None
    ends = np.isinf(times[-1]) and np.isfinite([gap, bounds.divergence_to_equilibrium]).all() and proven
    return along, [_end_row(label, bounds, gap)] if ends else []


def _end_row(label: str, bounds: Certificate, gap: float) -> list[str]:
    bound = bounds.divergence_to_equilibrium
    holds = "yes" if (1 + 2 * SAMPLING) * bound >= gap else "NO"
    return [label, f"{bounds.log_sobolev:.3g}", f"{gap:.1e}", f"{bound:.1e}", f"{bound / gap:.2g}", holds]


def _row(label: str, L: str, t: float, found: Distance, bound: float, length: float) -> list[str]:
    seen = found.value > found.noise
    useful = bound < USELESS * length
    return [
        label,
        L,
        f"{t:.3g}",
        f"{found.value:.2e}",
        f"{found.noise:.0e}",
        f"{bound:.2e}" if useful else "says nothing",
        (f"{bound / found.value:.2g}" if seen else f"above {bound / found.noise:.1g}") if useful else "",
        "yes" if (1 + SAMPLING) * bound >= found.value - found.noise else "NO",
        found.by,
    ]


def distance(path: Any, reference: Any, coarser: Any, t: float) -> Distance:
    """W2 at time t: by quantiles on a line, by moments of Gaussians, else by samples."""
    if coarser is not None:
        return _by_quantiles(path, reference, coarser, t)
    gaussian = isinstance(reference, OrnsteinUhlenbeck | McKeanVlasov) and isinstance(path.initial, gw.Gaussian)
    return _by_moments(path, reference.density(t), t) if gaussian else _by_samples(path, reference.density(t), t)


def _by_quantiles(path: Any, reference: Any, coarser: Any, t: float) -> Distance:
    """Exact but for the mesh of the reference: the flow keeps the order of particles, so it carries quantiles.

    The noise: the same distance between the reference and the coarser one, or where it has no mesh, a coarser sum.
    """
    u = (np.arange(QUANTILES) + 0.5) / QUANTILES
    x = np.sort(np.asarray(path.transport(jnp.asarray(quantiles(path.initial, u)[:, None]), time=t))[:, 0])
    y = quantiles(reference.density(t), u)
    less = quantiles(coarser.density(t), u, GRID if coarser is not reference else GRID // 2 + 1)
    rms = lambda a: float(np.sqrt(np.mean(a**2)))
    return Distance(rms(x - y), rms(y - less), f"{QUANTILES} quantiles")


def _coarser(problem: gw.Problem, reference: Any) -> Any:
    """The reference with half as many cells, itself where it has none; one for all times, which it keeps."""
    if not isinstance(reference, FiniteVolume):
        return reference
    cells = [len(axis) // 2 for axis in reference.density(0).axes]
    return FiniteVolume.of(problem, cells=cells)


def quantiles(density: Any, u: np.ndarray, points: int = GRID) -> np.ndarray:
    """Where the distribution function of a density on a line is u."""
    x = np.asarray(density.quasi_sample(0, 4096))[:, 0]
    room = ROOM * np.ptp(x)
    grid = np.linspace(x.min() - room, x.max() + room, points)
    rho = np.exp(np.asarray(density.log_prob(jnp.asarray(grid[:, None]))))
    below = np.concatenate([[0.0], np.cumsum(0.5 * (rho[1:] + rho[:-1]) * np.diff(grid))])
    rising = np.append(np.diff(below) > 0, True)
    return np.interp(u, below[rising] / below[-1], grid[rising])


def _by_moments(path: Any, exact: Any, t: float) -> Distance:
    """W2 of the Gaussians with the path's mean and covariance and the exact ones: the least that W2 can be (Gelbrich).

    The path is Gaussian but for what the layers are not affine by. The particles have the mean and the covariance of
    the start exactly, so that affine layers would make no error. The noise: the range over seeds.
    """
    values, start = [], path.initial
    root = np.linalg.cholesky(np.asarray(start.covariance))
    for seed in range(SEEDS):
        x = np.asarray(start.quasi_sample(100 + seed, PARTICLES))
        z = np.linalg.solve(np.linalg.cholesky(np.cov(x.T, bias=True)), (x - x.mean(0)).T).T
        y = np.asarray(path.transport(jnp.asarray(start.mean + z @ root.T), time=t))
        moments = y.mean(0), np.cov(y.T, bias=True)
        values.append(float(gaussian_wasserstein(*moments, np.asarray(exact.mean), np.asarray(exact.covariance))))
    return Distance(float(np.mean(values)), float(np.ptp(values)), "moments")


def _by_samples(path: Any, exact: Any, t: float) -> Distance:
    """The exact distance of samples, less the floor that sampling gives it; that is the noise."""
    one, other = jax.random.split(jax.random.key(5))
    found = np.mean(between_draws(wasserstein, path.at(time=t), exact, SAMPLES, one, PAIRS))
    floor = float(np.mean(noise_floor(wasserstein, exact, SAMPLES, other, PAIRS)))
    return Distance(float(np.sqrt(max(found**2 - floor**2, 0.0))), floor, f"{SAMPLES} samples")
