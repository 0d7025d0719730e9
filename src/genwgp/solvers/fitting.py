"""How one segment of the sweep is fitted: its start, its ridge, Newton steps, outliers."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from genwgp.energies import FreeEnergy
from genwgp.layers.fields import Field
from genwgp.solvers import collocation as col
from genwgp.solvers.features import Features, at_rest, carried
from genwgp.solvers.mean_field import MeanField
from genwgp.solvers.particles import Choice
from genwgp.solvers.segment import FIRST, Segment, constant, equations, grad_mu, stiffness
from genwgp.solvers.simplified import implicit_start, simplified_newton

RIDGES = (1e-9, 1e-6, 1e-4, 1e-2)  # of the fits; the one that does best on held-out particles is taken
NEARLY, KINKED = 1.02, 1.3  # times the least error: up to there it is as good; the second where V has a kink
SLIGHT = (1e-13, 1e-11)  # and these where many bumps must resolve what fewer left; before, tails would blow up
FITTED = 1e-3  # residual over ||grad mu|| that a segment must reach, or what the features left before it
SOLVED, EXACT = 2e-5, 1e-7  # residual over ||grad mu|| where Newton's method may stop, with many features and with few
TRIMS = 3  # times that outliers are left out of a fit
OUTLIER = 1000  # squared residual over its upper decile from which a particle is one
FAST = 0.1  # residual of the predicted velocity over ||grad mu||, up to which Newton's method starts from it
FINE = 3.0  # Runge-Kutta steps in the time 1 / |grad v| of stiff particles
STIFF = 0.99  # quantile of |grad v| of stiff particles; the few above, in the far tail, would take ten times as many
DENSE = 3  # dimensions up to which whole Jacobians cost little
HOPELESS = 1.5  # times what a segment must reach: a residual that settles above it needs a smaller step
SUBSTEPS = 96  # Runge-Kutta steps in a segment, at most


class Fit(NamedTuple):
    """A segment, and whether it is solved as far as the features allow, but for a few outliers."""

    segment: Segment
    solved: bool


class Explicit(NamedTuple):
    """Coefficients of grad phi = -grad mu as it stands, what is left of it, the penalty that held-out data chose."""

    coefficients: Float[np.ndarray, " p"]
    left: float
    penalty: col.Penalty


def fit_segment(
    mean_field: MeanField,
    features: Features,
    last: Segment | None,
    field: Field,
    choice: Choice,
    explicit: Explicit,
    h: float,
    finer: float,
) -> Fit:
    """Solve the collocation equations on the particles of `choice` for a segment of duration h after `last`.

    `explicit`: their velocity as they stand. `finer`: multiplies the number of integrator steps.
    """
    energy, root = mean_field.now(), _roots(choice)
    segment = _predicted(features, last, field, explicit.coefficients, h)
    stiff = float(np.quantile(stiffness(segment, choice.state), STIFF))
    # What the integrator gets wrong of the score is not a gradient: no potential can make up for it afterwards.
    steps = int(np.clip(np.nan_to_num(np.ceil(FINE * finer * h * stiff), nan=SUBSTEPS), 2, SUBSTEPS))
    segment = segment._replace(substeps=np.array(steps))
    size = float(np.linalg.norm(grad_mu(energy, choice.state) * root[:, :-1]))
    segment, now = _better_start(mean_field, features, segment, explicit, choice, root, size)
    floor = (SOLVED if features.rich else EXACT) * size
    enough = max(FITTED * size, 1.5 * explicit.left)
    dear = features.rich and features.linear  # what is not linear needs whole Jacobians, few features can afford them
    segment, left = _solved(mean_field, segment, now, choice, root, explicit.penalty, floor, enough, dear)
    return Fit(segment, left <= enough)


def _solved(
    mean_field: MeanField,
    segment: Segment,
    now: col.Stages,
    choice: Choice,
    root,
    penalty,
    floor: float,
    enough: float,
    dear: bool,
):
    """Newton steps, again without outliers where there are any; the segment, and the residual that it leaves.

    Far out on the ridge between two modes, where the start has no mass, a few particles would spoil the fit. Their
    residuals count as infinite: more than a few of them mean that the step was too long for the tail. A tail gone wrong
    decides the ridges and the ends of Newton's method in the segments that follow, and spoils them where the mass is.
    Where a fit with fewer of them left out had `enough`, it stands: no step would be short enough for the others.
    """
    found: list[tuple[Segment, float]] = []
    while True:
        segment, now, history = _newton(mean_field, segment, now, choice.state, root, penalty, floor, enough, dear)
        e2 = np.nan_to_num((now.residuals**2).sum((1, 2)), nan=np.inf)
        outlier = e2 > OUTLIER * np.quantile(e2, 0.9)
        left = _left(np.where(root[:, 0] > 0, e2, np.inf))
        found.append((segment, left))
        if history[-1] <= floor or not outlier.any() or len(found) > TRIMS:
            return next((fit for fit in reversed(found) if fit[1] <= enough), found[-1])
        root = np.where(outlier[:, None], 0.0, root)
        now = col.collocate(mean_field, segment, choice.state, root, penalty)


def _newton(mean_field, segment: Segment, now: col.Stages, state, root, penalty, floor: float, enough: float, dear):
    """The cheaper method where the other is dear, and it does or tells that this one would not do either.

    `dear`: so much that a smaller step is better. Segment, stages and sizes on the way.
    """
    if state.x.shape[1] > DENSE:
        found = simplified_newton(mean_field, segment, now, state, root, penalty, floor)
        if found is not None and not enough < _left((found[1].residuals ** 2).sum((1, 2))) <= HOPELESS * enough:
            return found
        if dear:
            return found or (segment, now, [now.size])
    return col.solve_segment(mean_field, segment, now, state, root, penalty, floor=floor)


def _left(squares: Float[np.ndarray, " n"]) -> float:
    """What most particles leave at a Radau point, from their squares summed over both."""
    return float(np.sqrt(0.5)) * col.size_of_most(squares)


def _roots(choice: Choice) -> Float[np.ndarray, "n e"]:
    """Roots of the weights of the equations (r, q): q counts over the size of the density, as r does."""
    root, x = np.sqrt(choice.weight), np.asarray(choice.state.x)
    mean = choice.weight @ x
    length = np.sqrt((choice.weight @ (x - mean) ** 2).sum() / x.shape[1])
    return np.concatenate([np.tile(root[:, None], x.shape[1]), root[:, None] / length], 1)


def _levelled(energy: FreeEnergy, field: Field, c, choice: Choice) -> Float[np.ndarray, " p"]:
    """c with the constant that makes phi + mu zero in the mean."""
    level = choice.weight @ np.asarray(equations(energy, constant(field, c), FIRST, choice.state))[:, -1]
    return np.where(field.constant, c - level, c)


def explicit_velocity(
    energy: FreeEnergy, features: Features, last: Segment | None, field: Field, choice: Choice, hold: Choice
) -> Explicit:
    """The velocity of the particles of `choice` as they stand, after the segment `last`.

    `hold`: particles that choose the ridge.
    """
    base = at_rest(field) if last is None else carried(field, last.field, np.asarray(last.second))
    base = _levelled(energy, field, base, choice)
    train, held = (choice.state, _roots(choice)), (hold.state, _roots(hold))
    c, left, weight = base, np.inf, np.zeros(field.size)
    ridges = SLIGHT + RIDGES if features.fine else RIDGES
    for _ in range(1 if features.linear else 3):
        fit = col.explicit_fit(energy, field, c, train, held, ridges)
        best = _chosen(fit.held_out, 1e-6 * fit.before, features.rough)
        error = float(fit.error[best])
        if not error < min(fit.before, left):
            left = min(left, fit.before)
            break
        c, left, weight = fit.coefficients[best], error, ridges[best] * fit.diagonal
    return Explicit(c, left, col.Penalty(weight, base))


def _predicted(features: Features, last: Segment | None, field: Field, c, h: float) -> Segment:
    """The segment before Newton's method: the explicit velocity all along it.

    On a mixture Newton's method needs a start inside its ridges: structured terms go on as they moved.
    """
    segment = Segment(field, c, c, np.array(h), np.array(1))  # never weakly typed: one compilation
    if last is None or features.linear:
        return segment
    slope = (np.asarray(last.second) - np.asarray(last.first)) / ((1 - FIRST) * float(last.duration))
    slope = carried(field, last.field, slope)
    return segment._replace(first=c + FIRST * h * slope, second=c + h * slope)


def _better_start(
    mean_field: MeanField, features: Features, segment: Segment, explicit: Explicit, choice: Choice, root, size: float
):
    """Where Newton starts, with its stages: as predicted, or at one velocity where structured terms moved otherwise, or
    from rest where that is too fast for a step of this size.

    `size`: of the force. Whatever starts better than the others.
    """
    penalty = explicit.penalty
    start = lambda segment: (segment, col.collocate(mean_field, segment, choice.state, root, penalty))
    starts = [start(segment)]
    if not features.linear:
        starts.append(start(segment._replace(first=explicit.coefficients, second=explicit.coefficients)))
    elif not starts[0][1].size < FAST * size:
        rest = _levelled(mean_field.now(), segment.field, 0 * segment.first, choice)
        rest = segment._replace(first=rest, second=rest)
        starts.append(start(rest))
        damped = implicit_start(mean_field, *starts[-1], choice.state, root, penalty)
        if damped is not None:
            starts.append(start(damped))
    return min(starts, key=lambda pair: pair[1].size)


def _chosen(errors: np.ndarray, negligible: float, rough: bool) -> int:
    """Which of the ridges, in ascending order: the least that is nearly as good as the best, or negligibly bad.

    Where a kink leaves errors behind that no ridge helps against, the largest such: with a slight one velocities grow
    where hardly any particles are, as inside of a ring, and throw those few out.
    """
    errors = np.where(np.isfinite(errors), errors, np.inf)
    good = errors <= max((KINKED if rough else NEARLY) * errors.min(), negligible)
    return int(np.flatnonzero(good)[-1 if rough else 0])
