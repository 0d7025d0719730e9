"""`solve`: from a problem and an action to a measured path and a verdict."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import takewhile
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from genwgp.actions import FiniteHorizonAction, GeometricAction
from genwgp.checks import integer
from genwgp.confinement import spreads, wall
from genwgp.diagnostics import measure, verdict
from genwgp.errors import InputError, NotConvergedError
from genwgp.layers.base import AbstractLayer
from genwgp.layers.relaxation import relaxed
from genwgp.layers.velocity import AbstractFlow
from genwgp.mesh import mesh_of, on
from genwgp.parts import default_float, make_room
from genwgp.path import WassersteinPath
from genwgp.problem import Problem
from genwgp.solvers.adam import Adam, train
from genwgp.solvers.assembly import Way, assemble, assemble_product
from genwgp.solvers.blocks import Block, blocks_of
from genwgp.solvers.figures import Figures
from genwgp.solvers.keeper import Keeper
from genwgp.solvers.settings import CausalSweep
from genwgp.solvers.solution import Event, Result, Solution
from genwgp.solvers.sweep import Swept, sweep_all

Action = GeometricAction | FiniteHorizonAction
Progress = Callable[[Event], Any]
MAX_LAYERS = 1000  # far beyond what is of use: a mistyped number ends in a message, not in hours or a full memory
WALL = "V finite wherever exp(-V/D) is not negligible: instead of a wall a steep rise, as k (x - a)^4 beyond x = a"
HELD_OUT = 101  # added to the seed: particles that measure are not those that were trained on


class _Found(NamedTuple):
    """What a method gives: stacked layers, result (None: the verdict decides), message, log, counts."""

    layers: AbstractLayer
    result: Result | None
    message: str
    log: dict[str, np.ndarray]
    stats: dict[str, Any]


_Measured = tuple[WassersteinPath, dict[str, Any], _Found]


def solve(
    problem: Problem,
    action: Action | None = None,
    *,
    layers: int = 12,
    key: Any = None,
    method: CausalSweep | Adam | None = None,
    devices: int | None = None,
    progress: Progress | None = None,
    throw: bool = True,
    checkpoint: Any = None,
) -> Solution:
    """The Wasserstein gradient path of a problem.

    `action`: GeometricAction() (the default: to the equilibrium) or FiniteHorizonAction(T) (to physical time T).
    `layers`: K, 1 to 1000; nodes are equidistant in Wasserstein length whatever it is. `key`: a jax key, by default
    key(0); equal keys give equal results. `method`: CausalSweep() (the default: velocity-field layers, solved one after
    the other) or Adam() (coupling layers, trained together). `devices`: so many devices of jax share the particles of
    the sweep, with the same result but for rounding; None: one, with all cores of a processor. `progress` is called
    with an Event now and then; it may raise KeyboardInterrupt, which ends the solve with the path so far, as Ctrl-C
    does once there is a part of a path.
    `throw`: raise NotConvergedError, with the solution in it, unless the result is CONVERGED; else return it.
    `checkpoint`: a folder that does not exist yet, where the state is written now and then, in at most 2 % of the time.
    The same call goes on from there after the process was killed, and gives the same numbers as one that was not;
    `save` into that folder makes a run folder of it. Or a `genwgp.io.Checkpoint`.

    The path is in jax's default float type; the sweep computes in float64 in any case. InputError for arguments that
    cannot be used, and for others than those that a checkpoint was begun with. RunFolderError for a folder that cannot
    be written or is in use; later, a checkpoint that cannot be written is a warning, and the solve goes on.
    """
    task = Task.checked(action, layers, method, progress, devices)
    check_problem(problem, task)
    settings = task.settings(_seed(key))
    with _keeping(checkpoint, problem, settings, key) as keeper:
        solution = solved(problem, exact(problem, task.method), task, key, keeper)
    if throw and solution.result != Result.CONVERGED:
        raise NotConvergedError(f"{solution.result}: {solution.message} (the path so far is in .solution)", solution)
    return solution


class Task(NamedTuple):
    """What is asked for, but for the problem and the seed."""

    action: Action
    layers: int
    method: CausalSweep | Adam
    tell: Progress
    devices: Mesh | None

    @classmethod
    def checked(cls, action: Any, layers: Any, method: Any, progress: Any, devices: Any = None) -> "Task":
        """With the defaults of `solve`; InputError for arguments that cannot be used."""
        action = GeometricAction() if action is None else action
        method = CausalSweep() if method is None else method
        if not isinstance(action, GeometricAction | FiniteHorizonAction):
            raise InputError("action", action, "GeometricAction() or FiniteHorizonAction(T)")
        if not isinstance(method, CausalSweep | Adam):
            raise InputError("method", method, "CausalSweep(...), Adam(...) or None")
        if progress is not None and not callable(progress):
            raise InputError("progress", progress, "a function of an Event, or None")
        tell = (lambda event: None) if progress is None else progress
        if devices is not None and isinstance(method, Adam):
            raise InputError("devices", devices, "None with Adam: only CausalSweep spreads particles over devices")
        return cls(action, integer("layers", layers, most=MAX_LAYERS), method, tell, mesh_of(devices))

    def settings(self, seed: int) -> dict[str, Any]:
        """What a run folder says of it, and what a checkpoint must have been begun with."""
        spread = {} if self.devices is None else {"devices": self.devices.size}
        return _settings(self.action, self.method, self.layers, seed) | spread


def check_problem(problem: Any, task: Task) -> None:
    """InputError for what is no problem, one that the action cannot take to an end, or the method not compute with."""
    action, method = task.action, task.method
    if not isinstance(problem, Problem):
        raise InputError("problem", problem, "a genwgp.Problem")
    if isinstance(method, Adam):
        method.check(problem.energy.potential)
    if isinstance(action, GeometricAction) and spreads(problem):
        given = "F falls however far the start is pulled apart: there is no density to end at"
        raise InputError("energy", given, "a potential or an interaction that confines, or FiniteHorizonAction(T)")
    if isinstance(action, GeometricAction) and (jump := wall(problem)) is not None:
        raise InputError("energy.potential", jump, WALL)


def _keeping(checkpoint: Any, problem: Problem, settings: dict[str, Any], key: Any) -> AbstractContextManager[Keeper]:
    """The keeper of a checkpoint, which is open inside the context."""
    if checkpoint is None:
        return nullcontext(Keeper())
    from genwgp.io import Checkpoint  # the shell, where a user asks for files

    opened = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    return opened.open(problem, settings, jax.random.key(0) if key is None else key)


def solved(problem: Problem, computed: Problem, task: Task, key: Any, keeper: Keeper | None = None) -> Solution:
    """The solution of a problem; `computed`: the same one as the method computes with it (`exact`, `families`)."""
    with on(task.devices):
        return _solved(problem, computed, task, key, Keeper() if keeper is None else keeper)


def _solved(problem: Problem, computed: Problem, task: Task, key: Any, keeper: Keeper) -> Solution:
    action, K, method, tell, _ = task
    seed = _seed(key)
    make_room()
    began = time.perf_counter()
    if isinstance(method, Adam):
        trained = _trained(computed, action, K, key, method, tell, keeper)
        finish = lambda: _measured(problem, computed, action, seed, trained)
        stopped = trained.result == Result.INTERRUPTED
    else:
        swept, blocks = _swept(computed, action, seed, method, tell, keeper)
        finish = lambda: _cut(problem, computed, action, K, seed, swept, blocks)
        stopped = swept.status == "interrupted"
    path, figures, found = finish() if stopped else _kept(finish)
    terminal = isinstance(action, GeometricAction)
    # Coupling layers for a horizon take equal times instead: F or equal speeds on top would pull the path away from it.
    equal_lengths = terminal or isinstance(method, CausalSweep)
    result, message = _judged(found, figures, terminal, equal_lengths)
    if result in (Result.NOT_CONVERGED, Result.NON_FINITE) and (jump := wall(problem)) is not None:
        message = f"{message}; {jump}"  # which a path to a horizon may have reached
    return Solution(
        path=path,
        result=result,
        message=message,
        diagnostics=figures,
        stats={"seconds": keeper.seconds + time.perf_counter() - began, **found.stats},
        log=found.log,
        problem=problem,
        settings=task.settings(seed),
    )


def _seed(key: Any) -> int:
    """A whole number from a jax key; InputError for anything else."""
    if key is None:
        return 0
    try:
        data = np.asarray(jax.random.key_data(key)).astype(np.uint64).ravel()
    except Exception:
        raise InputError("key", key, "a key, jax.random.key(seed)") from None
    return int(data[-1] % np.uint64(2**31))


def _swept(
    computed: Problem, action: Action, seed: int, method: CausalSweep, tell: Progress, keeper: Keeper
) -> tuple[Swept, list[Block]]:
    """The segments of the sweep, and the flows that they are of. Its least squares need float64, whatever jax has."""
    horizon = action.T if isinstance(action, FiniteHorizonAction) else np.inf
    report = _reporter(tell, method, horizon)
    with jax.enable_x64(True):
        blocks = blocks_of(computed)
        problems, counts = [block.problem for block in blocks], [len(block.axes) for block in blocks]
        return sweep_all(problems, counts, method, seed, horizon, report, keeper), blocks


def _layers(swept: Swept, blocks: list[Block], K: int) -> AbstractFlow:
    ways = [Way(outcome.segments, outcome.speeds) for outcome in swept.outcomes]
    if len(blocks) == 1 and len(blocks[0].axes) == 1:
        return assemble(ways[0], K)
    return assemble_product(ways, [block.axes for block in blocks], swept.reached, K)


def _modes_from(swept: Swept) -> dict[str, float]:
    """The time from which one of the flows is known by its modes, if there is one."""
    began = [
        sum(float(s.duration) for s in takewhile(lambda s: not relaxed(s.field), outcome.segments))
        for outcome in swept.outcomes
        if relaxed(outcome.segments[-1].field)
    ]
    return {"modes_from": min(began)} if began else {}


def _cut(
    problem: Problem, computed: Problem, action: Action, K: int, seed: int, swept: Swept, blocks: list[Block]
) -> _Measured:
    """Path, figures and what was found, from the segments of a sweep."""
    default = default_float()
    with jax.enable_x64(True):
        found = _Found(
            _layers(swept, blocks, K),
            _RESULTS.get(swept.status),
            swept.message,
            _log(swept.figures),
            {"segments": sum(len(outcome.segments) for outcome in swept.outcomes)} | _modes_from(swept),
        )
        path, figures = measure(computed, found.layers, action, seed + HELD_OUT, points=2)
    arrays, static = path.to_arrays()
    cast = {
        name: a.astype(default) if name.startswith("layers.") and a.dtype.kind == "f" else a
        for name, a in arrays.items()
    }
    return WassersteinPath.from_arrays(cast, static, problem), figures, found


def _kept(finish: Callable[[], _Measured]) -> _Measured:
    """What `finish` measures. One Ctrl-C does not lose the path: it is measured again, and the result says so."""
    try:
        return finish()
    except KeyboardInterrupt:
        path, figures, found = finish()
        message = f"interrupted while the whole path was measured; {found.message}"
        return path, figures, found._replace(result=Result.INTERRUPTED, message=message)


_RESULTS = {
    "failed": Result.NOT_CONVERGED,
    "unbounded": Result.UNBOUNDED,
    "non_finite": Result.NON_FINITE,
    "interrupted": Result.INTERRUPTED,
}


def exact(problem: Problem, method: CausalSweep | Adam) -> Problem:
    """The problem in float64, which the sweep needs; the same object where that is the default, so that compiled code
    is found again."""
    if isinstance(method, Adam) or default_float() == jnp.float64:
        return problem
    with jax.enable_x64(True):
        return jax.tree.map(_as_float64, problem)


def _as_float64(leaf: Any) -> Any:
    return jnp.asarray(np.asarray(leaf, dtype=np.float64)) if eqx.is_inexact_array(leaf) else leaf


def _reporter(tell: Progress, method: CausalSweep, horizon: float) -> Callable[[Figures], None]:
    action, steps, first = 0.0, 0, None

    def report(figures: Figures) -> None:
        nonlocal action, steps, first
        first, steps = first or figures, steps + 1
        action += 0.5 * figures.duration * (figures.residual * figures.force) ** 2
        if np.isfinite(horizon):
            share = figures.time / horizon
        else:
            share = _share(first.gap, figures.gap, method.gap)
        left = figures.seconds * max(1 / share - 1, 0) if share > 0 else np.inf
        message = f"t {figures.time:.4g}  s {figures.arclength:.4g}"
        tell(
            Event(
                steps,
                action + figures.free_energy,
                action,
                figures.free_energy,
                figures.residual,
                np.nan,
                left,
                message,
            )
        )

    return report


def _share(first: float, now: float, last: float) -> float:
    """How much of the way from the first gap to the last is done, in its logarithm; 0 where there are no gaps."""
    if np.isnan(now):
        return 0.0
    return float(np.log(first / now) / np.log(first / last)) if now > 0 else 1.0


def _log(figures: list[Figures]) -> dict[str, np.ndarray]:
    columns = {name: np.array([getattr(row, name) for row in figures]) for name in Figures._fields}
    return {"step": np.arange(1, len(figures) + 1), **columns}


def _trained(
    problem: Problem, action: Action, K: int, key: Any, method: Adam, tell: Progress, keeper: Keeper
) -> _Found:
    def on_step(step, loss, action, free_energy, speed_spread, end_force, seconds_left):
        tell(Event(step, loss, action, free_energy, end_force, speed_spread, seconds_left, ""))

    trained = train(problem, action, K, jax.random.key(0) if key is None else key, method, on_step, keeper)
    results = {"interrupted": Result.INTERRUPTED, "non_finite": Result.NON_FINITE}
    steps = len(trained.log["step"])
    messages = {
        "done": f"{steps} steps",
        "interrupted": f"interrupted after {steps} steps",
        "non_finite": f"the loss was not finite at step {steps}; the layers are those before it",
    }
    return _Found(trained.layers, results.get(trained.status), messages[trained.status], trained.log, {"steps": steps})


def _measured(problem: Problem, computed: Problem, action: Action, seed: int, trained: _Found) -> _Measured:
    path, figures = measure(computed, trained.layers, action, seed + HELD_OUT)
    return eqx.tree_at(lambda path: path.energy, path, problem.energy), figures, trained


def _judged(found: _Found, figures: dict[str, Any], terminal: bool, equal_lengths: bool) -> tuple[Result, str]:
    if found.result is not None:
        return found.result, found.message
    if not np.isfinite(figures["action"]) or not np.isfinite(figures["energy_drop"]):
        return (
            Result.NON_FINITE,
            "the action is not finite: held-out particles were lost on the way; try more particles",
        )
    wrong = verdict(figures, terminal, equal_lengths)
    if wrong is None:
        return Result.CONVERGED, found.message
    if (since := found.stats.get("modes_from")) is not None:
        wrong += (
            f"; from time {since:.3g} on, modes of the generator carry the flow over a barrier: samples, times and the "
            "equilibrium do not depend on the scores, which are left as they are"
        )
    return Result.NOT_CONVERGED, wrong


def _settings(action: Action, method: Any, K: int, seed: int) -> dict[str, Any]:
    chosen = {name: getattr(method, name) for name in method.__dataclass_fields__}
    horizon = {"T": action.T} if isinstance(action, FiniteHorizonAction) else {}
    return {
        "layers": K,
        "seed": seed,
        "action": {"name": type(action).__name__, **horizon},
        "method": {"name": type(method).__name__, **chosen},
    }
