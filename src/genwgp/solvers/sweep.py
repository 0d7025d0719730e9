"""The causal sweep: the gradient flow solved segment by segment, from the start until the free energy is spent.

v_k + lam_k grad mu_k = 0 is causal along the path: a segment depends on those before it only. So the minimiser of the
action, where the residual vanishes, is found in one pass of small least-squares problems (`collocation`) instead of by
optimisation over all layers. Steps are chosen by the residual between the collocation points. Segments are joined to
layers of equal length afterwards (`assembly`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genwgp.checks import integer, positive_number
from genwgp.diagnostics import gap_of
from genwgp.energies import FreeEnergy
from genwgp.errors import InputError
from genwgp.layers.base import State
from genwgp.layers.fields import Field
from genwgp.problem import Problem
from genwgp.solvers.features import Features
from genwgp.solvers.fitting import fit_segment
from genwgp.solvers.particles import Choice, Pool, initial_state
from genwgp.solvers.segment import FIRST, Segment, advance, residual, velocity, velocity_gradient

PROBE = 2 / 3  # where between the collocation points the residual is looked at
EXACTER = 0.03  # times the tolerance, while the structured terms alone carry the flow: there a step costs little
STRUCTURED = 0.01  # residual over ||grad mu|| up to which the few structured features do without bumps
MIXED = 0.1  # the same for a mixture, whose ridges bumps do not resolve
STRONG = 1.7  # times ||grad mu||: the force on a particle beyond which its errors are measured relative to it
LOST, EXACTLY = 10.0, 0.3  # residual over ||grad mu|| from which a particle is not trained on any more
REFUSED = 4  # steps halved before they do not do any more (what is not linear may only need a smaller step)
TRIES = 10  # step sizes tried for one segment
ENOUGH = 5e-3  # gap in nats below which a sweep that makes no more progress ends
LEAST = 1024  # particles: fewer than features, or hardly more, would be fitted instead of the flow
STALL = 6  # segments without progress
RISE = 3e-3  # of the drop of F so far: by how much F may rise in a segment, where it is spent and noise is left
TINY = 1e-100  # added to the force, which is 0 at a start in equilibrium; its square does not underflow
FAR = 1e3  # thermal lengths after which a flow without equilibrium in sight is called unbounded


@dataclass(frozen=True)
class CausalSweep:
    """Settings of the sweep; the defaults are for every problem. InputError for numbers out of range.

    pool, train, test: particles that may be trained on, that each segment is trained on, that measure.
    tolerance: residual over speed between the collocation points that a step aims at.
    gap: the sweep ends when F - F* is below this many units of D (KL divergence to the equilibrium, in nats).
    segments: at most so many.
    """

    pool: int = 12288
    train: int = 3072
    test: int = 8192
    tolerance: float = 0.05
    gap: float = 2e-4
    segments: int = 150

    def __post_init__(self):
        for name in ("pool", "train", "test"):
            integer(f"CausalSweep.{name}", getattr(self, name), least=LEAST)
        integer("CausalSweep.segments", self.segments)
        for name in ("tolerance", "gap"):
            positive_number(f"CausalSweep.{name}", getattr(self, name))
        if self.train > self.pool:
            raise InputError("CausalSweep.train", self.train, f"at most pool, {self.pool}")


class Figures(NamedTuple):
    """What is measured on the test particles at the end of a segment; `residual` is over the force, `gap` in nats."""

    time: float
    duration: float
    arclength: float
    free_energy: float
    gap: float
    force: float
    residual: float
    probe: float
    substeps: int
    lost: int
    seconds: float


class Outcome(NamedTuple):
    """Segments with the speed at s = 0, 1/3, 2/3, 1 of each, figures at their ends, how it ended and why."""

    segments: list[Segment]
    speeds: list[np.ndarray]
    figures: list[Figures]
    status: str
    message: str


class Failure(Exception):
    """The sweep cannot go on; what it found so far is sound. `args`: status and message."""


def rms(a) -> float:
    """Root mean square length of vectors (n, d)."""
    return float(jnp.sqrt(jnp.mean((a**2).sum(1))))


def trimmed_rms(a, share: float = 0.005) -> float:
    """`rms` without the worst share of the particles."""
    e = np.sort(np.asarray((a**2).sum(1)))
    return float(np.sqrt(e[: max(1, int(len(e) * (1 - share)))].sum() / len(e)))


def energy_gap(energy: FreeEnergy, state: State) -> float:
    """KL(rho || equilibrium) in nats, estimated as log mean exp(w) - mean w with w = -(V + D log rho) / D.

    This is F - F* over D, with the normaliser estimated by importance weights on the same particles: their noise
    cancels to second order, so that gaps far below the sampling noise of F are seen.
    """
    return gap_of(-np.asarray(energy.per_particle(state.x, state.log_density)) / energy.diffusion)


def sweep(
    problem: Problem,
    settings: CausalSweep,
    seed: int,
    horizon: float = np.inf,
    on_segment: Callable[[Figures], None] = lambda figures: None,
) -> Outcome:
    """Follow the flow to the equilibrium, or to physical time `horizon`. Must run in float64.

    status: "done", "stalled" (the rest of the way is below what the features resolve), "failed", "non_finite",
    "unbounded", "interrupted" (KeyboardInterrupt, also from `on_segment`).
    """
    run = _Run(problem, settings, seed, horizon)
    status, message = "failed", f"{settings.segments} segments were not enough"
    try:
        for _ in range(settings.segments):
            with np.errstate(over="ignore", invalid="ignore"):  # of lost particles, which are looked for
                run.advance()
            on_segment(run.figures[-1])
            if (ended := run.ended()) is not None:
                status, message = ended
                break
    except KeyboardInterrupt:
        status, message = "interrupted", f"interrupted at time {run.time:.4g}"
    except Failure as failure:
        status, message = failure.args
    if status == "failed" and run.figures:
        message = f"{message}; F - F* is {run.figures[-1].gap:.2g} D, or there is no equilibrium"
    if not run.segments:
        run.stand_still()
    return Outcome(run.segments, run.speeds, run.figures, status, message)


class _Run:
    """State of a running sweep: pool, test particles, the physical clock and the segments found so far."""

    def __init__(self, problem: Problem, settings: CausalSweep, seed: int, horizon: float):
        self.energy, self.settings, self.horizon = problem.energy, settings, horizon
        self.rng = np.random.default_rng(seed)
        self.pool = Pool.create(problem.initial, settings.pool, seed)
        self.test = initial_state(problem.initial, problem.initial.quasi_sample(seed + 2, settings.test))
        self.features = Features(problem.energy, problem.initial, np.asarray(self.test.x))
        self.segments: list[Segment] = []
        self.speeds: list[np.ndarray] = []
        self.figures: list[Figures] = []
        self.began, self.time, self.arclength = time.perf_counter(), 0.0, 0.0
        self.start_energy = float(self.energy.value(self.test.x, self.test.log_density))
        self.force = trimmed_rms(self.energy.gradient(self.test.x, self.test.score)) + TINY
        self.thermal = self._thermal_length()
        self.step = self._first_step()

    def _thermal_length(self) -> float:
        """The larger of the start's size and the length over which V changes by D there."""
        spread = np.sqrt((np.asarray(self.test.x).std(0) ** 2).sum())
        slope = rms(self.energy.gradient(self.test.x, 0 * self.test.score))
        return max(spread, self.energy.diffusion * np.sqrt(self.test.x.shape[1]) / max(slope, 1e-300))

    def _first_step(self) -> float:
        """A quarter of the time in which grad mu would move a particle by the size of what it starts from."""
        force = rms(self.energy.gradient(self.test.x, self.test.score))
        spread = np.sqrt((np.asarray(self.test.x).std(0) ** 2).sum())
        length = min(spread, 2 * self.test.x.shape[1] / rms(self.test.score))
        return 0.25 * length / max(force, 1e-12 * length)

    def advance(self) -> None:
        """Find the next segment: smaller steps while it is not solved or the probe sees too large a residual."""
        left = self.horizon - self.time
        h = left if self.step > 0.7 * left and self.step < 2 * left else min(self.step, left)
        choice = self._choose(self.settings.train)
        hold = self._choose(self.settings.train)
        field = self._field()
        probe, refused, finer = np.inf, 0, 1.0
        for _ in range(TRIES):
            last = self.segments[-1] if self.segments else None
            fit = fit_segment(self.energy, self.features, last, field, choice, hold, h, finer)
            probe, unresolved, states, speeds = self._probe(fit.segment)
            enough = STRUCTURED if self.features.linear else MIXED
            if not self.features.rich and not unresolved < enough:
                refused, h = refused + 1, 0.5 * h
                if refused == REFUSED or self.features.linear:
                    self.features.rich, h = True, 2.0**refused * h
                    field = self._field()
                continue
            tol = self.settings.tolerance * (1 if self.features.rich else EXACTER)
            if self._rises(states[-1]):
                finer, h = 4 * finer, 0.5 * h  # outliers on which the integrator was not stable
                continue
            if (fit.solved or not self.features.rich) and probe < tol:
                self._accept(fit.segment, states, speeds, probe)
                self.step = h * float(np.clip(0.75 * np.sqrt(tol / max(probe, 1e-12)), 0.3, 2.5))
                return
            h *= float(np.clip(0.8 * np.sqrt(tol / max(probe, 1e-12)), 0.2, 0.5))
        if self.features.mixture is not None:
            # The moving mixture no longer fits: once its modes have met, the density is smooth enough without it.
            self.features.mixture, self.features.rich = None, True
            return self.advance()
        raise Failure("failed", f"no step was small enough at time {self.time:.4g} (residual {probe:.2g})")

    def _rises(self, state: State) -> bool:
        """Whether F is higher than before by more than RISE of the drop so far, or not finite."""
        before = self.figures[-1].free_energy if self.figures else self.start_energy
        after = float(self.energy.value(state.x, state.log_density))
        return not after < before + RISE * (self.start_energy - before) + 1e-9 * abs(before)

    def _choose(self, n: int) -> Choice:
        """Training particles; where the force is strong their errors count relative to it, not as they are.

        Otherwise the far tail under a steep potential, with hardly any mass, decides the fit.
        """
        choice = self.pool.choose(n, self.rng)
        force2 = np.asarray((self.energy.gradient(choice.state.x, choice.state.score) ** 2).sum(1))
        weight = np.asarray(choice.weight) / (1 + force2 / (STRONG * self.force) ** 2)
        return choice._replace(weight=jnp.asarray(weight / weight.sum()))

    def _field(self) -> Field:
        state = self._choose(min(4096, self.settings.pool // 2)).state
        slope = np.asarray(velocity_gradient(self.segments[-1], state)) if self.segments else None
        return self.features.place(np.asarray(state.x), slope, self.rng)

    def _probe(self, segment: Segment) -> tuple[float, float, list[State], np.ndarray]:
        """How much a smaller step would gain, what the features leave, test particles at s = 0, 1/3, 2/3, 1, speeds.

        The first: the residual at s = 2/3 less the mean of those at the collocation points, over the speed: what the
        features cannot resolve changes slowly along the step and drops out. Where hardly anything moves any more, over
        a twentieth of the arclength a step. The second: the residual at the end over ||grad mu||. Both leave out the
        worst particles.
        """
        places, states = (0.0, FIRST, PROBE, 1.0), [self.test]
        for start, stop in pairwise(places):
            states.append(advance(segment, start, stop, states[-1]))
        v = [velocity(segment, s, z) for z, s in zip(states, places, strict=True)]
        r = [a + self.energy.gradient(z.x, z.score) for a, z in zip(v, states, strict=True)]
        speeds = np.array([rms(a) for a in v])
        floor = 0.05 * self.arclength / float(segment.duration)
        temporal = trimmed_rms(r[2] - 0.5 * (r[1] + r[3])) / max(speeds[2], floor, 1e-300)
        finite = bool(jnp.isfinite(states[-1].log_density).all()) and np.isfinite(temporal)
        force = self.energy.gradient(states[-1].x, states[-1].score)
        unresolved = trimmed_rms(r[3]) / max(trimmed_rms(force), 1e-300)
        return (temporal if finite else np.inf), unresolved, states, speeds

    def _accept(self, segment: Segment, states: list[State], speeds: np.ndarray, probe: float) -> None:
        self.pool = self.pool._replace(state=advance(segment, 0.0, 1.0, self.pool.state))
        self.test, h = states[-1], float(segment.duration)
        r = residual(self.energy, segment, 1.0, self.test)
        gradient = self.energy.gradient(self.test.x, self.test.score)
        force = rms(gradient)
        self.force = trimmed_rms(gradient) + TINY
        bad = np.asarray((residual(self.energy, segment, 1.0, self.pool.state) ** 2).sum(1))
        lost = LOST if self.features.rich else EXACTLY
        self.pool = self.pool.drop(~np.isfinite(bad) | (bad > (lost * self.force) ** 2))
        self.time += h
        self.arclength += h * float(speeds @ [1, 3, 3, 1]) / 8  # Simpson's three-eighths rule
        self.segments.append(segment)
        self.speeds.append(speeds)
        self.figures.append(
            Figures(
                time=self.time,
                duration=h,
                arclength=self.arclength,
                free_energy=float(self.energy.value(self.test.x, self.test.log_density)),
                gap=energy_gap(self.energy, self.test) if self.energy.diffusion > 0 else np.nan,
                force=force,
                residual=rms(r) / max(force, 1e-300),
                probe=probe,
                substeps=int(segment.substeps),
                lost=int((~self.pool.alive).sum()),
                seconds=time.perf_counter() - self.began,
            )
        )

    def stand_still(self) -> None:
        """A path that stays at the start, for a sweep that ended before its first segment."""
        field = self._field()
        c, h = jnp.zeros(field.size), jnp.asarray(1e-9 * self.step)
        self.segments.append(Segment(field, c, c, h, jnp.asarray(1)))
        self.speeds.append(np.zeros(4))

    def ended(self) -> tuple[str, str] | None:
        """Status and message when there is nothing left to do."""
        now = self.figures[-1]
        if not np.isfinite([now.free_energy, now.force]).all():
            raise Failure("non_finite", f"the free energy is not finite at time {now.time:.4g}")
        if now.time >= self.horizon * (1 - 1e-12):
            return "done", f"reached time {now.time:.6g}"
        if now.gap < self.settings.gap:
            return "done", f"reached the equilibrium: F - F* is {now.gap:.1e} D"
        if now.arclength > FAR * self.thermal and not now.gap < 0.1:
            raise Failure(
                "unbounded", f"no equilibrium in sight: moved by {now.arclength:.3g}, F = {now.free_energy:.3g}"
            )
        if not self.speeds[-1].any() and not np.isfinite(self.horizon):  # as slow as a flow may be, it is not at rest
            if now.gap < ENOUGH:
                return "stalled", f"F - F* stays at {now.gap:.1e} D: no velocity of these features lowers the residual"
            raise Failure("failed", f"no velocity of these features lowers the residual at time {now.time:.4g}")
        gaps = [figures.gap for figures in self.figures]
        if now.gap < ENOUGH and len(gaps) > STALL and min(gaps[-STALL:]) > 0.8 * min(gaps[:-STALL]):
            return "stalled", f"F - F* stays at {now.gap:.1e} D: below that the features resolve no more"
        return None


__all__ = ["CausalSweep", "Figures", "Outcome", "energy_gap", "sweep"]
