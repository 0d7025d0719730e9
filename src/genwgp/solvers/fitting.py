"""How one segment of the sweep is fitted: its start, its ridge, Newton steps, outliers."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.layers.fields import Field
from genwgp.solvers import collocation as col
from genwgp.solvers.directed import DENSE
from genwgp.solvers.features import Features, at_rest, carried
from genwgp.solvers.jacobian import affordable
from genwgp.solvers.mean_field import MeanField
from genwgp.solvers.particles import Choice
from genwgp.solvers.segment import FIRST, Segment, constant, equations, grad_mu, stiffness
from genwgp.solvers.simplified import Linearised, implicit_start, simplified_newton

RIDGES = (1e-9, 1e-6, 1e-4, 1e-2)  # of the fits; the one that does best on held-out particles is taken
NEARLY, KINKED = 1.02, 1.3  # times the least error: up to there it is as good; the second where V has a kink
MANY_RIDGES = (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-2)  # where whole Jacobians are dear, and a fit costs little
SLIGHT = (1e-13, 1e-11)  # and these where many bumps must resolve what fewer left; at first, tails would blow up
FITTED = 1e-3  # residual over ||grad mu|| that a segment must reach, or what the features left before it
SMALL = 0.1  # of what it must reach, where the method stops if whole Jacobians are dear
AT_FIRST = 3e-4  # residual over ||grad mu|| that the ridge of the first segment may leave in exchange for a larger one
SOLVED, EXACT = 2e-5, 1e-5  # residual over ||grad mu|| where Newton's method may stop, with many features and with few
TRIMS = 3  # times that outliers are left out of a fit
OUTLIER = 1000  # squared residual over its upper decile from which a particle is one
FAST = 0.1  # residual of the predicted velocity over ||grad mu||, up to which Newton's method starts from it
FINE = 3.0  # Runge-Kutta steps in the time 1 / |grad v| of stiff particles
STIFF = 0.99  # quantile of |grad v| of stiff particles; the few above, in the far tail, would take ten times as many
NOISY, MOST_TRUST = 0.1, 10.0  # residual over ||grad mu|| from which phi may be trusted more; by how much at most
NO_WORSE = 1.5  # times what is left elsewhere
HOPELESS = 1.5  # times what a segment must reach: a residual that settles above it needs a smaller step
SUBSTEPS = 96  # Runge-Kutta steps in a segment, at most


class Fit(NamedTuple):
    """A segment, what it leaves, and whether it is solved as far as the features allow, but for a few outliers."""

    segment: Segment
    left: float
    solved: bool


class Explicit(NamedTuple):
    """Coefficients of grad phi = -grad mu as it stands, what is left of it, the penalty that held-out data chose.

    `most`: what is left without the worst particles. `trust`: in phi = -mu, over that in its gradient (`_roots`), and
    what it has `earned`. `linearised`: what changes of coefficients do there, once it has been asked for.
    """

    coefficients: Float[np.ndarray, " p"]
    left: float
    most: float
    penalty: col.Penalty
    trust: float
    earned: float
    linearised: Linearised


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
    energy, root = mean_field.now(), _roots(choice, explicit.trust)
    segment = _predicted(features, last, field, explicit.coefficients, h)
    stiff = float(np.quantile(stiffness(segment, choice.state), STIFF))
    # What the integrator gets wrong of the score is not a gradient: no potential can make up for it afterwards.
    steps = int(np.clip(np.nan_to_num(np.ceil(FINE * finer * h * stiff), nan=SUBSTEPS), 2, SUBSTEPS))
    segment = segment._replace(substeps=np.array(steps))
    size = float(np.linalg.norm(grad_mu(energy, choice.state) * root[:, :-1]))
    segment, now = _better_start(mean_field, features, segment, explicit, choice, root, size)
    dear = _dear(features, field, choice)
    enough = max(FITTED * size, NO_WORSE * explicit.left)
    floor = SMALL * enough if dear else (SOLVED if features.rich else EXACT) * size
    task = _Task(mean_field, choice.state, explicit, floor, enough, dear)
    segment, left = _solved(task, segment, now, root)
    return Fit(segment, left, left <= enough)


def _dear(features: Features, field: Field, choice: Choice) -> bool:
    """Whether whole Jacobians are, of fields for which there is another way: linear ones in many dimensions.

    Where features are many, or there is no memory for it.
    """
    n, d = choice.state.x.shape
    return features.linear and d > DENSE and (features.rich or n > affordable(field, d))


class _Task(NamedTuple):
    """What Newton's method solves: with particles, their velocity as they stand, where it may stop, what it must reach.

    `dear`: many linear features in many dimensions, so that a smaller step is better than a whole Jacobian.
    """

    mean_field: MeanField
    state: State
    explicit: Explicit
    floor: float
    enough: float
    dear: bool


def _solved(task: _Task, segment: Segment, now: col.Stages, root) -> tuple[Segment, float]:
    """Newton steps, again without outliers where there are any; the segment, and the residual that it leaves.

    Far out on the ridge between two modes, where the start has no mass, a few particles would spoil the fit. Their
    residuals count as infinite: more than a few of them mean that the step was too long for the tail. A tail gone wrong
    decides the ridges and the ends of Newton's method in the segments that follow, and spoils them where the mass is.
    Where a fit with fewer of them left out had `enough`, it stands: no step would be short enough for the others.
    """
    found: list[tuple[Segment, float]] = []
    while True:
        segment, now, history = _newton(task, segment, now, root)
        e2 = np.nan_to_num(now.squares, nan=np.inf)
        outlier = e2 > OUTLIER * np.quantile(e2, 0.9)
        left = _left(np.where(root[:, 0] > 0, e2, np.inf))
        found.append((segment, left))
        if history[-1] <= task.floor or not outlier.any() or len(found) > TRIMS:
            return next((fit for fit in reversed(found) if fit[1] <= task.enough), found[-1])
        root = np.where(outlier[:, None], 0.0, root)
        now = col.collocate(task.mean_field, segment, task.state, root, task.explicit.penalty)


def _newton(task: _Task, segment: Segment, now: col.Stages, root) -> tuple[Segment, col.Stages, list[float]]:
    """The cheaper method where the other is dear, and it does or tells that this one would not do either.

    Segment, stages and sizes on the way.
    """
    mean_field, state, penalty = task.mean_field, task.state, task.explicit.penalty
    if state.x.shape[1] > DENSE:
        c = task.explicit.coefficients if task.dear else segment.first
        linear = task.explicit.linearised.at(mean_field.now(), segment.field, c, state, root)
        found = simplified_newton(linear, mean_field, segment, now, state, root, penalty, task.floor)
        left = _left(found.stages.squares)
        if task.dear or (found.settled and not task.enough < left <= HOPELESS * task.enough):
            return found[:3]
    return col.solve_segment(mean_field, segment, now, state, root, penalty, floor=task.floor)


def _left(squares: Float[np.ndarray, " n"]) -> float:
    """What most particles leave at a Radau point, from their squares summed over both."""
    return float(np.sqrt(0.5)) * col.size_of_most(squares)


def _roots(choice: Choice, trust: float = 1.0) -> Float[np.ndarray, "n e"]:
    """Roots of the weights of the equations (r, q): q counts over the size of the density, as r does, times `trust`."""
    root, x = np.sqrt(choice.weight), np.asarray(choice.state.x)
    mean = choice.weight @ x
    length = np.sqrt((choice.weight @ (x - mean) ** 2).sum() / x.shape[1])
    return np.concatenate([np.tile(root[:, None], x.shape[1]), trust * root[:, None] / length], 1)


def _levelled(energy: FreeEnergy, field: Field, c, choice: Choice) -> Float[np.ndarray, " p"]:
    """c with the constant that makes phi + mu zero in the mean."""
    level = choice.weight @ np.asarray(equations(energy, constant(field, c), FIRST, choice.state))[:, -1]
    return np.where(field.constant, c - level, c)


def explicit_velocity(
    energy: FreeEnergy,
    features: Features,
    last: Segment | None,
    field: Field,
    choice: Choice,
    hold: Choice,
    trust: float = 1.0,
) -> Explicit:
    """The velocity of the particles of `choice` as they stand, after the segment `last`.

    `hold`: particles that choose the ridge. `trust`: as what `earned` was before.
    """
    base = at_rest(field) if last is None else carried(field, last.field, np.asarray(last.second))
    base = _levelled(energy, field, base, choice)
    train, held = ((part.state, _roots(part, trust)) for part in (choice, hold))
    c, left, most, weight, by_kind = base, np.inf, np.inf, np.zeros(field.size), np.array([0.0, 1.0])
    dear = _dear(features, field, choice)
    ridges = SLIGHT + RIDGES if features.fine and last is not None else MANY_RIDGES if dear else RIDGES
    for _ in range(1 if features.linear else 3):
        fit = col.explicit_fit(energy, field, c, train, held, ridges)
        tolerated = AT_FIRST * fit.before if dear and last is None else 0.0
        best = _chosen(fit.held_out, 1e-6 * fit.before, features.rough, tolerated)
        error = float(fit.error[best])
        if not error < min(fit.before, left):
            left = min(left, fit.before)
            break
        c, left, most, by_kind = fit.coefficients[best], error, float(fit.most[best]), fit.by_kind[best]
        weight = ridges[best] * fit.diagonal
    dim, earned = choice.state.x.shape[1], 1.0
    if features.linear and dim > DENSE:
        force = col.size_of_most(hold.weight * (grad_mu(energy, hold.state) ** 2).sum(1))
        earned = _earned(by_kind, force, dim, trust)
    return Explicit(c, left, min(most, left), col.Penalty(weight, base), trust, earned, Linearised())


def _earned(left: Float[np.ndarray, "2"], force: float, dim: int, trust: float) -> float:
    """How many times as much phi = -mu may be trusted as its gradient, from what is `left` of (r, q) held out.

    Where particles gather, what log rho at one is wrong by stays as it is, while its gradient grows with their density.
    Where much of the force is left, each equation weighs as what is left of it says, as in generalised least squares.
    """
    slope, level = left
    if not slope > NOISY * force:
        return 1.0
    return float(np.clip(trust * slope / max(level * np.sqrt(dim), 1e-300), 1.0, MOST_TRUST))


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
        linear = explicit.linearised.at(mean_field.now(), rest.field, rest.first, choice.state, root)
        damped = implicit_start(linear, *starts[-1], penalty)
        if damped is not None:
            starts.append(start(damped))
    return min(starts, key=lambda pair: pair[1].size)


def _chosen(errors: np.ndarray, negligible: float, rough: bool, tolerated: float = 0.0) -> int:
    """Which of the ridges, in ascending order: the least that is nearly as good as the best, or negligibly bad.

    Where a kink leaves errors behind that no ridge helps against, the largest such: with a slight one velocities grow
    where hardly any particles are, as inside of a ring, and throw those few out. A larger one whose error is tolerated
    is better still: it settles Newton's method, which a start that a few of the features fit exactly says nothing of.
    """
    errors = np.where(np.isfinite(errors), errors, np.inf)
    good = errors <= max((KINKED if rough else NEARLY) * errors.min(), negligible)
    larger = np.flatnonzero(errors <= tolerated)
    return max(int(np.flatnonzero(good)[-1 if rough else 0]), int(larger.max(initial=0)))
