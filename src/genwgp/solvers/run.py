"""One flow that is being followed: its particles, its clock, the step to the next segment, and when it has ended."""

import time
from functools import cached_property
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy.linalg import LinAlgError

from genwgp.diagnostics.measure import SPENT
from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.layers.fields import Field, Waves
from genwgp.problem import Problem
from genwgp.solvers import directed
from genwgp.solvers.directed import DENSE
from genwgp.solvers.features import Features
from genwgp.solvers.figures import TINY, Figures, Outcome, energy_gap, rms, trimmed_rms
from genwgp.solvers.fitting import NO_WORSE, Explicit, Fit, explicit_velocity, fit_segment
from genwgp.solvers.jacobian import affordable
from genwgp.solvers.keeper import fitting
from genwgp.solvers.learning import Learner
from genwgp.solvers.mean_field import MeanField, carry
from genwgp.solvers.particles import PEAK, Choice, Pool, initial_state
from genwgp.solvers.relaxation import Modes, Relaxation, linear, modes_of, relaxation
from genwgp.solvers.segment import (
    FIRST,
    Segment,
    constant,
    grad_mu,
    stiffness,
    summands,
    velocity,
    velocity_gradient,
)
from genwgp.solvers.settings import ENOUGH_FOR, CausalSweep

PROBE = 2 / 3  # where between the collocation points the residual is looked at
EXACTER = 0.075  # times the tolerance, while the structured terms alone carry the flow: there a step costs little
STRUCTURED = 0.01  # residual over ||grad mu|| up to which the few structured features do without bumps
MIXED = 0.1  # the same for a mixture, whose ridges bumps do not resolve
STRONG = 1.7  # times ||grad mu||: the force on a particle beyond which its errors are measured relative to it
LOST, EXACTLY = 10.0, 0.3  # residual over ||grad mu|| from which a particle is not trained on any more
SPARED = 0.01  # share of the test particles that may be lost: they count no more, others stand in their places
OWN = 0.5  # residual over its own |grad mu| up to which it is all the same: on a barrier that is where the force is
REFUSED = 4  # steps halved before they do not do any more (what is not linear may only need a smaller step)
FALL = 5.0  # largest over smallest speed in a segment
SHARES = 6  # a horizon is reached in so many steps at least, and a layer's length is known from inside of them
LIMITED = 0.05  # residual over ||grad mu|| up to which a segment may be as good as any features make it
TRIES = 10  # step sizes tried for one segment
HALVED = 2  # times that a step is halved for what it leaves, where fresh features would not leave less
GROWTH, AFTER_REFUSAL = 2.5, 1.4  # of the step from one segment to the next, at most; where a larger one did not do
RISEN = 3  # those that may bring a density at the equilibrium farther from it
ENOUGH = 5e-3  # gap in nats below which a sweep that makes no more progress ends
CHEAP = 6e7  # bytes of matrices up to which more equations are taken than a fit needs
STALL, BLIND = 6, 0.95  # segments without progress that end a sweep; residual over the force where two are enough,
SLOW = 0.97  # if the second is not below this share of the first
STUCK = 16  # those without progress, hardly anything of the force resolved, that end it farther from the equilibrium
NOISE, LITTLE = 0.5, 1e-4  # residual over the force, and drop of F in a segment over all, where nothing is resolved
RISE = 3e-3  # of the drop of F so far: by how much F may rise in a segment, where it is spent and noise is left
NUMBERS = ("step", "time", "arclength", "force", "trust", "unresolved")  # of the state of a sweep
# Residual over ||grad mu|| of most particles from which modes give the rest of a flow, if they can; the particles that
# say where it is then; how fine the first steps of each are, at most.
RESOLVED, RELAXED_ON, FINEST = 0.05, 6144, 4096
RELAXED = 0.01  # times the tolerance, from then on: a step costs little, and scores keep what earlier ones got wrong
FAR = 1e3  # thermal lengths after which a flow without equilibrium in sight is called unbounded


class Failure(Exception):
    """The sweep cannot go on; what it found so far is sound. `args`: status and message."""


class Run:
    """State of a running sweep: pool, test particles, the physical clock and the segments found so far."""

    def __init__(self, problem: Problem, settings: CausalSweep, seed: int, horizon: float):
        self.settings, self.horizon = settings, horizon
        self.rng = np.random.default_rng(seed)
        self.pool = Pool.create(problem.initial, settings.pool, seed)
        self.test = initial_state(problem.initial, problem.initial.quasi_sample(seed + 2, settings.test))
        self.mean_field = MeanField(problem.energy, self._cloud(problem, seed))
        self.energy = self.mean_field.now()
        self.features = Features(self.energy, problem.initial, np.asarray(self.test.x))
        self.learner = Learner()
        self.around = np.stack([np.min(self.pool.state.x, 0), np.max(self.pool.state.x, 0)])
        self.relaxation: Relaxation | None = None
        self.segments: list[Segment] = []
        self.speeds: list[np.ndarray] = []
        self.figures: list[Figures] = []
        self.began, self.time, self.arclength = time.perf_counter(), 0.0, 0.0
        self.start_energy = self._free_energy(self.energy, self.test)
        self.start_peak = self._peak()
        self.force = trimmed_rms(grad_mu(self.energy, self.test)) + TINY
        self.unresolved = 0.0
        self.thermal, self.trust = self._thermal_length(), 1.0
        self.step = self._first_step()
        self.end: tuple[str, str] | None = None

    def _cloud(self, problem: Problem, seed: int) -> State | None:
        """The particles that make the mean field of an interaction, others than those that feel it."""
        if not problem.energy.interacting:
            return None
        return initial_state(problem.initial, problem.initial.quasi_sample(seed + 3, self.settings.cloud))

    def _free_energy(self, energy: FreeEnergy, state: State) -> float:
        return float(np.mean(np.asarray(summands(energy, state))))

    def _thermal_length(self) -> float:
        """The larger of the start's size and the length over which V changes by D there."""
        spread = np.sqrt((np.asarray(self.test.x).std(0) ** 2).sum())
        slope = rms(grad_mu(self.energy, self.test._replace(score=0 * np.asarray(self.test.score))))
        return max(spread, self.energy.diffusion * np.sqrt(self.test.x.shape[1]) / max(slope, 1e-300))

    def _first_step(self) -> float:
        """A quarter of the time in which grad mu would move a particle by the size of what it starts from.

        In each direction by the size in that one: that of a start which is narrow in some of them, or made of narrow
        parts.
        """
        gradient, x = grad_mu(self.energy, self.test), np.asarray(self.test.x)
        variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(x, rowvar=False)))
        sizes = np.sqrt(x.shape[1] * np.maximum(variance, 1e-12 * variance[-1]))
        shortest = 2 * x.shape[1] / rms(self.test.score)
        return 0.25 / max(rms(gradient @ axes / sizes), rms(gradient) / shortest, 1e-12)

    def state(self) -> dict[str, Any]:
        """All that has changed since the start: with it another process finds the same next segment."""
        cloud = self.mean_field.cloud
        return {
            "random": self.rng.bit_generator.state,
            "pool": tuple(self.pool.state),
            "alive": self.pool.alive,
            "test": tuple(self.test),
            "cloud": None if cloud is None else tuple(cloud),
            "features": {
                "rich": self.features.rich,
                "fine": self.features.fine,
                "rough": self.features.rough,
                "mixed": self.features.mixture is not None,
            },
            "relaxation": self.relaxation and {"excess": self.relaxation.excess, "time": self.relaxation.time},
            "learned": {"waves": self.learner.waves, "futile": self.learner.futile},
            "numbers": {name: float(getattr(self, name)) for name in NUMBERS},
        }

    def resume(self, steps: list[tuple[Segment, np.ndarray, Figures]], state: dict[str, Any]) -> None:
        """Take over the steps so far, and what `state` gave."""
        if steps:
            self.segments, self.speeds, self.figures = map(list, zip(*steps, strict=True))
        self.rng.bit_generator.state = state["random"]
        self.pool = self.pool._replace(
            state=_stored(self.pool.state, state["pool"]),
            alive=np.asarray(fitting(self.pool.alive, state["alive"])),
        )
        self.test = _stored(self.test, state["test"])
        if self.mean_field.cloud is not None:
            self.mean_field = self.mean_field._replace(cloud=_stored(self.mean_field.cloud, state["cloud"]))
        self.energy = self.mean_field.now()
        for name in ("rich", "fine", "rough"):
            setattr(self.features, name, state["features"][name])
        if not state["features"]["mixed"]:
            self.features.mixture = None
        self.learner.waves, self.learner.futile = (state["learned"][name] for name in ("waves", "futile"))
        for name in NUMBERS:
            setattr(self, name, float(state["numbers"][name]))
        if (known := state["relaxation"]) is not None and (modes := self.modes) is not None:
            excess = np.asarray(known["excess"])
            self.relaxation = Relaxation.of(modes, self.energy.diffusion, excess, float(known["time"]))
        self.began -= self.figures[-1].seconds if steps else 0.0

    def advance(self) -> None:
        """Find the next segment: smaller steps while it is not solved or the probe sees too large a residual."""
        if self.relaxation is None and self.unresolved > RESOLVED:
            self._look_ahead()
        if self.relaxation is not None:
            return self._relax(self.relaxation)
        self.step = min(self.step, self.horizon / SHARES)
        h = self._duration()
        all_of = (self._choose(self.settings.train), self._choose(self.settings.train))
        field, choice, explicit = self._fields(*all_of)
        probe, refused, risen, halved, finer, left_before = np.inf, 0, 0, 0, 1.0, np.inf
        for attempt in range(TRIES):
            last = self.segments[-1] if self.segments else None
            fit = fit_segment(self.mean_field, self.features, last, field, choice, explicit, h, finer)
            probe, unresolved, states, speeds, fall = self._probe(fit.segment)
            enough = STRUCTURED if self.features.linear else MIXED
            if not self.features.rich and not unresolved < enough:
                refused, h = refused + 1, 0.5 * h
                if refused == REFUSED or self.features.linear:
                    self.features.rich, h = True, 2.0**refused * h
                    field, choice, explicit = self._fields(*all_of)
                continue
            if fall > FALL:
                h *= 0.5  # the arclength along the segment comes from four speeds
                continue
            tol = self.settings.tolerance * (1 if self.features.rich else EXACTER)
            if self._rises(fit.segment, states[-1]):
                finer, h, risen = 4 * finer, 0.5 * h, risen + 1  # outliers on which the integrator was not stable
                if self._near() and risen == RISEN:
                    break
                continue
            # What a smaller step hardly changes may be as good as it gets. In many dimensions it is no matter of steps.
            enough_tries = halved >= (HALVED if self.test.x.shape[1] <= DENSE else 0)
            stays, left_before = NO_WORSE * fit.left > left_before or enough_tries, fit.left
            solved = fit.solved or not self.features.rich or (stays and self._limited(fit, unresolved, *all_of))
            if probe < tol and solved:
                if not self._spent() and self.features.refined(unresolved):
                    field, choice, explicit = self._fields(*all_of)
                    continue
                self._accept(fit.segment, states, speeds, probe)
                self.trust = explicit.earned
                self.step = self._grown(h, tol, probe, attempt)
                return
            halved += probe < tol
            h *= float(np.clip(0.8 * np.sqrt(tol / max(probe, 1e-12)), 0.2, 0.5))
        if self.features.mixture is not None:
            # The moving mixture no longer fits: once its modes have met, the density is smooth enough without it.
            self.features.mixture, self.features.rich = None, True
            return self.advance()
        self._look_ahead()
        if self.relaxation is not None:
            return self._relax(self.relaxation)
        if self._near():
            raise Failure("stalled", self._stays())
        raise Failure("failed", f"no step was small enough at time {self.time:.4g} (residual {probe:.2g})")

    @cached_property
    def modes(self) -> Modes | None:
        """Of the equilibrium, which do not depend on where the sweep is."""
        return modes_of(self.energy, self.around)

    def _duration(self) -> float:
        """Of the next segment: the step, or what is left to the horizon where that is about as long."""
        left = self.horizon - self.time
        return left if self.step > 0.7 * left and self.step < 2 * left else min(self.step, left)

    def _grown(self, h: float, tol: float, probe: float, attempt: int) -> float:
        """The step after one of duration h, which was found at this attempt."""
        most = GROWTH if attempt == 0 else AFTER_REFUSAL
        return h * float(np.clip(0.75 * np.sqrt(tol / max(probe, 1e-12)), 0.3, most))

    def _look_ahead(self) -> None:
        """Know the rest of the flow by the modes of its generator, if they leave hardly more of the force."""
        if not linear(self.energy, self.test.x.shape[1]):
            return
        if (modes := self.modes) is None:
            return
        found = relaxation(self.energy, modes, self._choose(RELAXED_ON), self.time)
        force = grad_mu(self.energy, self.test)
        left = velocity(found.segment(self.time, 0.0), 1.0, self.test) + force
        positive = np.isfinite(left).all(1).mean() > 1 - SPARED
        if positive and trimmed_rms(left) < NO_WORSE * self.unresolved * trimmed_rms(force):
            self.relaxation = found

    def _relax(self, known: Relaxation) -> None:
        """The next segment of a flow that is known: only its duration is chosen."""
        h, tol = self._duration(), RELAXED * self.settings.tolerance
        for attempt in range(TRIES):
            segment = known.segment(self.time, h)
            # Where particles choose their own steps this is how fine the first ones are.
            fast = float(np.nan_to_num(stiffness(segment, self.test)).max())
            segment = segment._replace(substeps=np.array(int(np.clip(np.ceil(h * fast), 2, FINEST))))
            probe, _, states, speeds, fall = self._probe(segment)
            if probe < tol and fall <= FALL:
                self._accept(segment, states, speeds, probe)
                self.step = self._grown(h, tol, probe, attempt)
                return
            h *= 0.5
        raise Failure("failed", f"no step was small enough at time {self.time:.4g}")

    def _limited(self, fit: Fit, unresolved: float, *all_of: Choice) -> bool:
        """Whether other features, placed where the segment ends, would leave no less of the force there than it does.

        Then a smaller step would not do better. What features left before it may say little of them: at a start that
        the structured ones fit exactly, nothing.
        """
        if not self.features.linear or unresolved > LIMITED:
            return False
        segment = fit.segment
        moved = [choice._replace(state=carry(self.energy, segment, 0.0, 1.0, choice.state)) for choice in all_of]
        if not all(np.isfinite(np.asarray(part)).all() for choice in moved for part in choice.state):
            return False
        energy, state = self.mean_field.moved(segment).now(), moved[0].state
        slope = np.asarray(velocity_gradient(segment, state))
        field = self._placed(energy, state, slope, self.time + float(segment.duration))
        train, hold = self._affordable(field, *moved)
        afresh = explicit_velocity(energy, self.features, segment, field, train, hold, self.trust)
        return fit.left <= NO_WORSE * afresh.most

    def _rises(self, segment: Segment, state: State) -> bool:
        """Whether F is higher than before by more than RISE of the drop so far, or not finite.

        Near the equilibrium the divergence to it is known much better than F: there it must not rise.
        """
        energy = self.mean_field.at(segment, 1.0)
        if self._near() and not energy.interacting:
            return not energy_gap(energy, state) <= self.figures[-1].gap
        before = self.figures[-1].free_energy if self.figures else self.start_energy
        after = self._free_energy(energy, state)
        return not after < before + RISE * (self.start_energy - before) + 1e-9 * abs(before)

    def _near(self) -> bool:
        """Whether the density may stand for the equilibrium, should the sweep not get any closer."""
        return bool(self.figures) and self.figures[-1].gap < ENOUGH

    def _spent(self) -> bool:
        """Whether SPENT of the drop of F lies behind: more bumps are not worth their time for the rest."""
        if not self.figures:
            return False
        left = self.figures[-1].gap * self.energy.diffusion
        return left < (1 - SPENT) * (self.start_energy - self.figures[-1].free_energy + left)

    def _stays(self) -> str:
        return f"F - F* stays at {self.figures[-1].gap:.1e} D: below that the features resolve no more"

    @np.errstate(over="ignore", invalid="ignore")
    def _choose(self, n: int) -> Choice:
        """Training particles; where the force is strong their errors count relative to it, not as they are.

        Otherwise the far tail under a steep potential, with hardly any mass, decides the fit.
        """
        choice = self.pool.choose(n, self.rng)
        force2 = (grad_mu(self.energy, choice.state) ** 2).sum(1)
        weight = choice.weight / (1 + force2 / (STRONG * self.force) ** 2)
        return choice._replace(weight=weight / weight.sum())

    def _affordable(self, field: Field, *choices: Choice) -> list[Choice]:
        """So many of them that their matrices fit the memory, or else as p features need, and not many more."""
        d = self.test.x.shape[1]
        n = directed.affordable(field) if directed.is_directed(field, d) else affordable(field, d)
        n = max(n, ENOUGH_FOR * field.size // (d + 1))
        if self.features.rich and d <= DENSE:
            n = min(n, max(affordable(field, d, CHEAP), self.settings.equations * field.size // (d + 1)))
        return [choice.first(n) for choice in choices]

    def _fields(self, *all_of: Choice) -> tuple[Field, Choice, Explicit]:
        """The field of the next segment, those of the particles that it can be fitted on, and its fit as they stand."""
        last, field = self.segments[-1] if self.segments else None, self._field()
        fit = lambda field, two: explicit_velocity(self.energy, self.features, last, field, two[0], two[1], self.trust)
        choices = self._affordable(field, *all_of)
        if not isinstance(field.terms[-1], Waves):
            return field, choices[0], fit(field, choices)
        of_these = lambda field: fit(field, choices)
        field, explicit = self.learner.field(self.energy, field, of_these, choices[0], self.rng)
        fewer = self._affordable(field, *all_of)  # of a field that has more features now
        if len(fewer[0].index) == len(choices[0].index):
            return field, choices[0], explicit
        return field, fewer[0], fit(field, fewer)

    def _field(self) -> Field:
        state = self._choose(min(4096, self.settings.pool // 2)).state
        slope = np.asarray(velocity_gradient(self.segments[-1], state)) if self.segments else None
        return self._placed(self.energy, state, slope, self.time)

    def _placed(self, energy: FreeEnergy, state: State, slope, time: float) -> Field:
        """The field of a segment that begins at this time, its features where the particles are."""
        try:
            return self.features.place(energy, np.asarray(state.x), slope, self.rng, time)
        except LinAlgError:  # a covariance that is singular, or not finite
            message = f"the particles have gathered in a point or a line at time {time:.4g}"
            raise Failure("failed", message) from None

    @np.errstate(over="ignore", invalid="ignore")
    def _probe(self, segment: Segment) -> tuple[float, float, list[State], np.ndarray, float]:
        """How much a smaller step would gain, what the features leave, test particles at s = 0, 1/3, 2/3, 1, speeds,
        and the largest of these over the smallest.

        The first: the residual at s = 2/3 less the mean of those at the collocation points, over the speed: what the
        features cannot resolve changes slowly along the step and drops out. Where hardly anything moves any more, over
        a twentieth of the arclength a step. Of the first segment also that at the start, a node of every path, where it
        is three times as large. The second: the residual at the end over ||grad mu||. They and the last leave out the
        worst particles: a few between modes would make every step too long.
        """
        places, states = (0.0, FIRST, PROBE, 1.0), [self.test]
        for start, stop in pairwise(places):
            states.append(carry(self.energy, segment, start, stop, states[-1]))
        energies = [self.energy, *(self.mean_field.at(segment, s) for s in places[1:])]
        v = [velocity(segment, s, z) for z, s in zip(states, places, strict=True)]
        forces = [grad_mu(energy, z) for energy, z in zip(energies, states, strict=True)]
        r = [a + b for a, b in zip(v, forces, strict=True)]
        speeds, most = (np.array([size(a) for a in v]) for size in (rms, trimmed_rms))
        floor = 0.05 * self.arclength / float(segment.duration)
        mean = 0.5 * (r[1] + r[3])
        temporal = trimmed_rms(r[2] - mean) / max(most[2], floor, 1e-300)
        if not self.segments:
            temporal = max(temporal, trimmed_rms(r[0] - mean) / max(most[0], 1e-300))
        end = states[-1]
        finite = np.isfinite(temporal) and all(np.isfinite(a).all() for a in (end.log_density, end.x))
        unresolved = trimmed_rms(r[3]) / max(trimmed_rms(forces[3]), 1e-300)
        return (temporal if finite else np.inf), unresolved, states, speeds, float(most.max() / max(most.min(), 1e-300))

    @np.errstate(over="ignore", invalid="ignore")
    def _accept(self, segment: Segment, states: list[State], speeds: np.ndarray, probe: float) -> None:
        if self.relaxation is None:  # else nothing is trained any more
            self.pool = self.pool._replace(state=carry(self.energy, segment, 0.0, 1.0, self.pool.state))
        self.mean_field = self.mean_field.moved(segment)
        self.energy = self.mean_field.now()
        self.test, h = states[-1], float(segment.duration)
        gradient = grad_mu(self.energy, self.test)
        r = velocity(segment, 1.0, self.test) + gradient
        self.force = trimmed_rms(gradient) + TINY
        lost = self._lost(r, gradient)
        if lost.any() and lost.mean() <= SPARED:
            index = np.where(lost, self.rng.choice(np.flatnonzero(~lost), len(lost)), np.arange(len(lost)))
            self.test = State(*(jnp.asarray(np.asarray(a)[index]) for a in self.test))
            r, gradient = r[index], gradient[index]
        size = rms(gradient)
        self.unresolved = trimmed_rms(r) / self.force
        if self.relaxation is None:
            pulled = grad_mu(self.energy, self.pool.state)
            self.pool = self.pool.drop(self._lost(velocity(segment, 1.0, self.pool.state) + pulled, pulled))
        self.time += h
        self.arclength += h * float(speeds @ [1, 3, 3, 1]) / 8  # Simpson's three-eighths rule
        self.segments.append(segment)
        self.speeds.append(speeds)
        self.figures.append(
            Figures(
                time=self.time,
                duration=h,
                arclength=self.arclength,
                free_energy=self._free_energy(self.energy, self.test),
                gap=self._gap(),
                force=size,
                residual=rms(r) / max(size, 1e-300),
                probe=probe,
                substeps=int(segment.substeps),
                lost=int((~self.pool.alive).sum()),
                seconds=time.perf_counter() - self.began,
            )
        )

    def _gap(self) -> float:
        """That of the test particles, or of f where it is known: it knows of modes where no particle has been."""
        gap = energy_gap(self.energy, self.test)
        return gap if self.relaxation is None else max(gap, self.relaxation.divergence(self.time))

    def _lost(self, residual: Float[np.ndarray, "n d"], force: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Which particles the fit does not hold any more, by what it leaves of the force on each."""
        bad, own = (residual**2).sum(1), (force**2).sum(1)
        if self.relaxation is not None:
            return ~np.isfinite(bad)
        lost = LOST if self.features.rich else EXACTLY
        return ~np.isfinite(bad) | (bad > np.maximum((lost * self.force) ** 2, OWN**2 * own))

    def _concentrated(self) -> bool:
        """Whether the density where it is largest would have its whole mass within the core of the interaction."""
        interaction = self.energy.interaction
        if interaction is None or not interaction.core or self.energy.internal is None:
            return False
        limit = -self.test.x.shape[1] * np.log(interaction.core)
        return self._peak() > max(limit, self.start_peak + 1)

    def _peak(self) -> float:
        """Largest log-density of the test particles, but for a few."""
        return float(np.quantile(np.asarray(self.test.log_density), PEAK))

    def _left(self) -> float:
        """Drop of F that is left over that so far: I / (2 lam), lam the decay rate of ||grad mu||, the least of two."""
        if len(self.figures) < 4:
            return np.inf
        times, sizes = ([getattr(f, name) for f in self.figures[-3:]] for name in ("time", "force"))
        rate = float(np.min(-np.diff(np.log(np.maximum(sizes, TINY))) / np.diff(times)))
        drop = self.start_energy - self.figures[-1].free_energy
        return sizes[-1] ** 2 / (2 * rate) / max(drop, TINY) if rate > 0 else np.inf

    def _unresolved(self) -> bool:
        """Whether, where no gap tells, residuals are as large as the force and F hardly falls any more."""
        if not np.isnan(self.figures[-1].gap) or len(self.figures) < 3:
            return False
        before, now = self.figures[-2:]
        drop = self.start_energy - now.free_energy
        return now.residual > NOISE and before.free_energy - now.free_energy < LITTLE * drop

    def at_start(self) -> Figures:
        """Figures before the first segment."""
        gap, now = energy_gap(self.energy, self.test), time.perf_counter() - self.began
        return Figures(0.0, 0.0, 0.0, self.start_energy, gap, self.force, 0.0, 0.0, 0, 0, now)

    def outcome(self, status: str, message: str) -> Outcome:
        """What was found, with the end that it had or the given one. Before its first segment it stays at the start."""
        if not self.segments:
            field = self._field()
            self.segments.append(constant(field, np.zeros(field.size))._replace(duration=np.array(1e-9 * self.step)))
            self.speeds.append(np.zeros(4))
        return Outcome(self.segments, self.speeds, self.figures, *(self.end or (status, message)))

    def ended(self) -> tuple[str, str] | None:
        """Status and message when there is nothing left to do."""
        now = self.figures[-1]
        if not np.isfinite([now.free_energy, now.force]).all():
            raise Failure("non_finite", f"the free energy is not finite at time {now.time:.4g}")
        if now.time >= self.horizon * (1 - 1e-12):
            return "done", f"reached time {now.time:.6g}"
        arrived = now.gap < self.settings.gap
        if arrived and not self.energy.interacting:
            return "done", f"reached the equilibrium: F - F* is {now.gap:.1e} D"
        # In its own mean field a density may be at rest but for a slow drift of that field.
        if (arrived or np.isnan(now.gap)) and (left := self._left()) < self.settings.left:
            return "done", f"reached the equilibrium: by its decay, {left:.1e} of the drop of F is left"
        if now.arclength > FAR * self.thermal and not now.gap < 0.1:
            raise Failure(
                "unbounded", f"no equilibrium in sight: moved by {now.arclength:.3g}, F = {now.free_energy:.3g}"
            )
        if self._concentrated():
            cause = "particles gather within the length by which the interaction is regularised: the flow blows up"
            raise Failure("unbounded", f"{cause} at time {now.time:.4g}, F = {now.free_energy:.3g}")
        if not self.speeds[-1].any() and not np.isfinite(self.horizon):  # as slow as a flow may be, it is not at rest
            if self._near():
                return "stalled", f"F - F* stays at {now.gap:.1e} D: no velocity of these features lowers the residual"
            raise Failure("failed", f"no velocity of these features lowers the residual at time {now.time:.4g}")
        if self._unresolved():
            return "stalled", f"F stays at {now.free_energy:.6g}: below that the features resolve no more"
        if self._near() and self._stands():
            return "stalled", self._stays()
        if self._stuck():
            self._cut(1 + int(np.argmin([figures.gap for figures in self.figures])))
            return "stalled", self._stays()
        return None

    def _stands(self) -> bool:
        """Whether the gap has not become smaller for STALL segments, or for two in which no force was resolved."""
        gaps = [figures.gap for figures in self.figures]
        if self.relaxation is not None:  # those before it may have overlooked a mode, and scores do not steer the flow
            return _no_less([f.gap for f in self.figures if f.time > self.relaxation.time], STALL)
        blind = all(figures.residual > BLIND for figures in self.figures[-2:])
        return _no_less(gaps, STALL) or (blind and _no_less(gaps, 2, SLOW))

    def _stuck(self) -> bool:
        """Whether the flow to an equilibrium far away has ended for these features: they leave the force as it is."""
        unresolved = all(figures.residual > NOISE for figures in self.figures[-STUCK:])
        return (
            self.relaxation is None
            and unresolved
            and not np.isfinite(self.horizon)
            and _no_less([f.gap for f in self.figures], STUCK)
        )

    def _cut(self, count: int) -> None:
        """Leave out what came after so many segments: it led away from the equilibrium."""
        del self.segments[count:], self.speeds[count:], self.figures[count:]


def _no_less(gaps: list[float], count: int, share: float = 0.8) -> bool:
    """Whether the last `count` are not below this share of those before."""
    return len(gaps) > count and min(gaps[-count:]) > share * min(gaps[:-count])


def _stored(fresh: State, parts: tuple) -> State:
    """Particles as they were kept, in the place of those at the start."""
    return State(*map(fitting, fresh, State(*parts)))
