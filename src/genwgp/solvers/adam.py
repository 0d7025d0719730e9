"""Training of all coupling layers at once on the action with Adam: the method of the paper.

Geometric action: minimise

    S_geo + F[rho_1] + (drop of F) * equal_speed,   drop = F[rho_0] - F[rho_1], held fixed in the derivative.

All three are least on the gradient flow from rho_0 to the equilibrium with equidistant nodes. The path that stands
still is not a trap, though its action is zero: from there the loss changes by ||v|| ||grad mu|| (1 + 2 cos) per unit of
theta, cos the angle between v and grad mu, so random layers near the identity first turn and then run downhill, and
no warm start is needed (measured: a ramp of the action's weight ends no lower).

Finite horizon: minimise S_T alone with durations T/K. It is zero on the gradient flow up to T only; F[rho_1] or equal
speeds on top would pull the path away from it.

Source: Liu and Zhou, arXiv 2604.11519 (2026); Kingma and Ba, "Adam", ICLR 2015.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.actions import (
    FiniteHorizonAction,
    GeometricAction,
    Profile,
    equal_speed,
    profile_of,
    speed_spread,
    terminal_condition,
)
from genwgp.checks import integer, positive_number
from genwgp.energies import FreeEnergy, SumOverData
from genwgp.errors import InputError
from genwgp.initial import AbstractDensity
from genwgp.layers.base import AbstractLayer, State
from genwgp.layers.coupling import CouplingLayer, stack_layers
from genwgp.parts import compiled
from genwgp.problem import Problem
from genwgp.solvers.keeper import Keeper, Kept, fitting

CHUNK = 20  # steps between two looks at the fixed particles
RISE = 20  # steps over which the learning rate grows from zero
CLIP = 1.0  # of the norm of the loss's gradient
FIXED_POINTS = 3  # quadrature points of a layer where figures are measured

Action = GeometricAction | FiniteHorizonAction
OnStep = Callable[..., Any]


@dataclass(frozen=True)
class Adam:
    """Settings of the training; the defaults are for every problem.

    steps: optimisation steps. particles: fresh ones in every step, and twice as many fixed ones that measure.
    learning_rate: the greatest; it rises over 20 steps and falls to zero as a cosine. width, couplings: of every
    `CouplingLayer`. points: quadrature points of a layer in training. batch: rows of data in each of the two batches
    that every step draws, where the potential is a `SumOverData`; None: all of them. What measures has all in any case.
    InputError for other than positive numbers.

    Of one batch, ||grad mu||^2 would be too large by the variance of its gradient, and the action with it: the norm is
    that of the product of two independent ones, and negative ones count as 0. F and <v, grad mu> have no bias.
    """

    steps: int = 2000
    particles: int = 1024
    learning_rate: float = 3e-3
    width: int = 32
    couplings: int = 4
    points: int = 2
    batch: int | None = None

    def __post_init__(self):
        for field in ("steps", "particles", "couplings", "points"):
            integer(f"Adam.{field}", getattr(self, field))
        integer("Adam.width", self.width, least=2)
        positive_number("Adam.learning_rate", self.learning_rate)
        if self.batch is not None:
            integer("Adam.batch", self.batch)

    def check(self, potential: Any) -> None:
        """InputError for batches of a potential that is no sum over data, or has fewer rows."""
        if self.batch is None:
            return
        if not isinstance(potential, SumOverData):
            raise InputError("Adam.batch", self.batch, "None: the potential is no genwgp.SumOverData")
        if self.batch > potential.rows:
            raise InputError("Adam.batch", self.batch, f"at most the rows of the data, {potential.rows}")


class Trained(NamedTuple):
    """Stacked layers; `log`, 1-d arrays with a row per step; `status`: "done" (all steps were made), "interrupted" (the
    layers are the best so far) or "non_finite" (the layers are the last with a finite loss)."""

    layers: Any
    log: dict[str, np.ndarray]
    status: str


class _Row(NamedTuple):
    """Figures of one step."""

    loss: Array
    action: Array
    free_energy: Array
    equal_speed: Array
    speed_spread: Array
    end_force: Array


class _Carry(NamedTuple):
    layers: Any
    optimiser: Any
    finite: Array


def train(
    problem: Problem,
    action: Action,
    layers: int,
    key: PRNGKeyArray,
    method: Adam | None = None,
    on_step: OnStep | None = None,
    keeper: Keeper | None = None,
) -> Trained:
    """Train `layers` coupling layers on `action` from a random start near the identity, in jax's default dtype.

    The layers returned have the least loss on fixed particles among those looked at every 20 steps, so that one lucky
    batch does not decide. `on_step` is called after each look, with keywords: step, loss, action, free_energy,
    speed_spread, end_force (||grad mu|| at the last node), all on the fixed particles, and seconds_left; it may raise
    KeyboardInterrupt, which ends the training with the best layers so far. `keeper` is given the state after each look;
    with one from an earlier process the training goes on from there. InputError unless layers is at least 1.
    """
    method = Adam() if method is None else method
    K = integer("layers", layers)
    start, draw = jax.random.split(key)
    chain = stack_layers(lambda k: CouplingLayer.create(k, problem.dim, method.width, method.couplings), K, start)
    return descend(problem, action, method, chain, int(jax.random.randint(draw, (), 0, 2**30)), on_step, keeper)


def descend(
    problem: Problem,
    action: Action,
    method: Adam,
    chain: AbstractLayer,
    seed: int,
    on_step: OnStep | None = None,
    keeper: Keeper | None = None,
) -> Trained:
    """`train`, from a stacked chain of layers of any kind that can be differentiated in reverse."""
    keeper, run, status = keeper or Keeper(), _Run(problem, action, method, chain, seed), "done"
    keeper.resume(problem.energy.potential, run.resume)
    try:
        while run.step < method.steps and status == "done":
            status = run.advance()
            if status == "done":
                keeper.keep(run.kept(), {"steps": run.step, "loss": float(run.last.loss)})
            if on_step is not None and status == "done":
                on_step(**run.figures())
    except KeyboardInterrupt:
        status = "interrupted"
    keeper.flush()
    return Trained(run.carry.layers if status == "non_finite" else run.best, run.log(), status)


class _Run:
    """State of a training on the host."""

    def __init__(self, problem: Problem, action: Action, method: Adam, chain: AbstractLayer, seed: int):
        self.problem, self.action, self.method, self.seed = problem, action, method, seed
        self.step, self.began, self.rows = 0, time.perf_counter(), []
        self.carry = _Carry(chain, _optimiser().init(eqx.filter(chain, eqx.is_array)), jnp.asarray(True))
        self.fixed = self._particles(seed, 2 * method.particles)
        self.best, self.last = chain, _measure(chain, problem.energy, problem.initial, action, self.fixed)
        self.least = float(self.last.loss)

    def _particles(self, seed: int, n: int) -> Float[Array, "n d"]:
        return jnp.asarray(self.problem.initial.quasi_sample(seed, n), dtype=float)

    def advance(self) -> str:
        """One chunk of steps with fresh particles, then a look at the fixed ones."""
        method, count = self.method, min(CHUNK, self.method.steps - self.step)
        rates = np.zeros(CHUNK)  # a last chunk that is shorter is filled up with steps of rate zero: no new compilation
        rates[:count] = [_learning_rate(method, self.step + i) for i in range(count)]
        x = self._particles(self.seed + 1 + self.step, CHUNK * method.particles)
        batches, rates = x.reshape(CHUNK, method.particles, -1), jnp.asarray(rates, dtype=float)
        energy, initial = self.problem.energy, self.problem.initial
        keys = jax.random.split(jax.random.key(self.seed + 1 + self.step), CHUNK)  # of the batches of data
        sizes = method.points, method.batch
        self.carry, rows = _chunk(self.carry, energy, initial, self.action, batches, rates, keys, sizes)
        self.rows.append((rates[:count], jax.tree.map(lambda a: np.asarray(a[:count]), rows)))
        self.step += count
        if not bool(self.carry.finite):
            return "non_finite"
        self.last = _measure(self.carry.layers, energy, initial, self.action, self.fixed)
        loss = float(self.last.loss)
        if loss < self.least or not np.isfinite(self.least):
            self.best, self.least = self.carry.layers, loss
        return "done"

    def kept(self) -> Kept:
        """All that has changed since the start; chunks of the log are the steps."""
        numbers = {"step": self.step, "least": self.least, "seconds": time.perf_counter() - self.began}
        steps = [(rates, tuple(rows)) for rates, rows in self.rows]
        return Kept(steps, {"carry": _leaves(self.carry), "best": _leaves(self.best), "numbers": numbers})

    def resume(self, kept: Kept) -> None:
        """Take over what `kept` gave."""
        self.rows = [(rates, jax.tree.map(np.asarray, _Row(*rows))) for rates, rows in kept.steps]
        self.carry, self.best = (_with_leaves(getattr(self, name), kept.state[name]) for name in ("carry", "best"))
        numbers = kept.state["numbers"]
        self.step, self.least = int(numbers["step"]), float(numbers["least"])
        self.began -= numbers["seconds"]

    def figures(self) -> dict[str, Any]:
        """What `on_step` is told."""
        seconds = time.perf_counter() - self.began
        row = {name: float(value) for name, value in self.last._asdict().items() if name != "equal_speed"}
        return {"step": self.step, **row, "seconds_left": seconds * (self.method.steps / self.step - 1)}

    def log(self) -> dict[str, np.ndarray]:
        """A row per step: the figures on the step's own particles, and the learning rate."""
        empty = np.zeros(0)
        names = {name: [getattr(rows, name) for _, rows in self.rows] for name in _Row._fields}
        columns = {"learning_rate": [np.asarray(rate) for rate, _ in self.rows], **names}
        joined = {name: np.concatenate(parts) if parts else empty for name, parts in columns.items()}
        return {"step": np.arange(1, self.step + 1), **joined}


def _leaves(tree: Any) -> tuple[Array, ...]:
    return tuple(jax.tree.leaves(eqx.filter(tree, eqx.is_array)))


def _with_leaves(tree: Any, leaves: tuple[Array, ...]) -> Any:
    """`tree` with other arrays of the same shapes and types."""
    arrays, static = eqx.partition(tree, eqx.is_array)
    own, structure = jax.tree.flatten(arrays)
    return eqx.combine(structure.unflatten([fitting(*pair) for pair in zip(own, leaves, strict=True)]), static)


def _with_batches(energy: FreeEnergy, key: PRNGKeyArray, size: int) -> FreeEnergy:
    """The energy with its sum over data estimated from two batches."""
    V: Any = energy.potential
    return eqx.tree_at(lambda energy: energy.potential, energy, V.drawn(key, size))


def _learning_rate(method: Adam, step: int) -> float:
    rise = min(1.0, (step + 1) / RISE)
    return method.learning_rate * rise * 0.5 * (1 + np.cos(np.pi * step / method.steps))


def _optimiser() -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.scale_by_adam(b2=0.99))


def _update(slope, state):
    """optax's update; it mixes floats with integer counts, which jax's strict promotion (set by some users) refuses."""
    with jax.numpy_dtype_promotion("standard"):
        return _optimiser().update(slope, state)


def _profile(chain, energy: FreeEnergy, initial: AbstractDensity, action: Action, x, points: int) -> Profile:
    durations = None
    if isinstance(action, FiniteHorizonAction):
        K = jax.tree.leaves(eqx.filter(chain, eqx.is_array))[0].shape[0]
        durations = action.durations(K).astype(x.dtype)
    return profile_of(chain, energy, State(x, initial.log_prob(x), initial.score(x)), points, durations)


def _row(action: Action, profile: Profile) -> _Row:
    value, end = action.value(profile), terminal_condition(profile)
    loss, uneven = value, equal_speed(profile)
    if isinstance(action, GeometricAction):
        drop = jax.lax.stop_gradient(jnp.maximum(profile.free_energy[0] - profile.free_energy[-1], 0))
        loss = value + end.free_energy + drop * uneven
    return _Row(loss, value, end.free_energy, uneven, speed_spread(profile), jnp.sqrt(end.force2))


def _all_finite(tree) -> Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


@compiled
def _measure(chain, energy, initial, action, x) -> _Row:
    return _row(action, _profile(chain, energy, initial, action, x, FIXED_POINTS))


@compiled
def _chunk(carry: _Carry, energy, initial, action, batches, rates, keys, sizes) -> tuple[_Carry, _Row]:
    """A step for each batch of particles (steps, n, d); once the loss is not finite the layers stay as they are.

    `sizes`: quadrature points, and rows of data in a batch, or None.
    """
    points, rows_of_data = sizes

    def loss(chain, x, key):
        seen = energy if rows_of_data is None else _with_batches(energy, key, rows_of_data)
        row = _row(action, _profile(chain, seen, initial, action, x, points))
        return row.loss, row

    def step(carry: _Carry, inputs):
        x, rate, key = inputs
        (value, row), slope = jax.value_and_grad(loss, has_aux=True)(carry.layers, x, key)
        update, optimiser = _update(slope, carry.optimiser)
        finite = carry.finite & _all_finite((value, slope))
        moved = jax.tree.map(lambda a, b: jnp.where(finite, a - rate * b, a), carry.layers, update)
        return _Carry(moved, optimiser, finite), row

    return jax.lax.scan(step, carry, (batches, rates, keys))
