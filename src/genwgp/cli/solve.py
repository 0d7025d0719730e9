"""`genwgp solve`: from a named problem to a run folder and a table."""

import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax

from genwgp import solvers
from genwgp.actions import FiniteHorizonAction, GeometricAction
from genwgp.cli import processes
from genwgp.cli.environment import Interrupts, precision, use_compilation_cache
from genwgp.cli.given import Given, problem_of, settings_of
from genwgp.cli.group import INTERRUPTED, NOT_CONVERGED, OK
from genwgp.cli.progress import Progress
from genwgp.cli.table import summary_table
from genwgp.errors import InputError
from genwgp.initial import FittedGaussian, FittedMixture
from genwgp.io import SolveSection, check_new_folder, save, summary
from genwgp.io.plain import encode
from genwgp.mesh import mesh_of
from genwgp.report import draw_all

LAYERS, SEED = 12, 0
METHODS = {"sweep": solvers.CausalSweep, "adam": solvers.Adam}


class Options(NamedTuple):
    """The options of the command as they were given."""

    problem: str
    out: str | None
    solve: SolveSection
    settings: list[str]
    pictures: bool
    quiet: bool
    as_json: bool
    float64: bool
    devices: int | None = None
    distributed: bool = False


def run_solve(options: Options) -> int:
    """Solve, save, print, draw; the exit code. Of several processes only the first one does more than solve."""
    use_compilation_cache()
    if options.distributed:
        processes.join()
        options = options._replace(devices=options.devices or jax.device_count())
        if not processes.writes():
            return _run_along(options)
    with precision(options.float64):
        settings = settings_of(options.settings)
        given = problem_of(options.problem, settings.problem)
        chosen = merged(options.solve, given.solve)
        arguments = arguments_of(chosen, settings.method)
        if options.devices is not None:
            mesh_of(options.devices)  # refused before anything is written
            arguments["devices"] = options.devices
        folder = check_new_folder(options.out or free_folder(given.problem.name))
        if not options.quiet:
            _note_on_start(given.problem.initial)
        with Interrupts(options.quiet) as interrupts:
            solution = _solve(given, chosen, arguments, interrupts, options.quiet)
            with interrupts.waiting("the folder is being written, and then it ends"):
                save(solution, folder, source=given.source)
                _print(solution, folder, options)
            # Whoever presses Ctrl-C now, or did a second time, wants an end: `genwgp report` draws the pictures.
            expected = int(solution.result == solvers.Result.INTERRUPTED)
            if options.pictures and solution.result != solvers.Result.NON_FINITE:
                with interrupts.waiting("it ends after this picture; the folder is written"):
                    draw_all(solution, folder / "pictures", wanted=lambda: interrupts.count <= expected)
    return _code(solution, interrupts)


def _run_along(options: Options) -> int:
    """The same computation in a process that neither prints nor writes."""
    with precision(options.float64), Interrupts(quiet=True) as interrupts:
        settings = settings_of(options.settings)
        given = problem_of(options.problem, settings.problem)
        chosen = merged(options.solve, given.solve)
        arguments = arguments_of(chosen, settings.method) | {"devices": options.devices}
        solution = _solve(given, chosen, arguments, interrupts, quiet=True)
    return _code(solution, interrupts)


def _code(solution: "solvers.Solution", interrupts: Interrupts) -> int:
    if interrupts.count or solution.result == solvers.Result.INTERRUPTED:
        return INTERRUPTED
    return OK if solution.result == solvers.Result.CONVERGED else NOT_CONVERGED


def _note_on_start(initial: object) -> None:
    """A line on stderr, before minutes are spent, about a start that does not fit the samples it comes from."""
    if isinstance(initial, FittedGaussian | FittedMixture) and initial.quality.tells_apart:
        print(f"genwgp: note: the start does not fit its samples well: {initial.quality}", file=sys.stderr)


def _solve(
    given: Given, chosen: SolveSection, arguments: dict[str, Any], interrupts: Interrupts, quiet: bool
) -> "solvers.Solution":
    seed = SEED if chosen.seed is None else chosen.seed
    trained = isinstance(arguments["method"], solvers.Adam)
    with Progress(
        given.problem.name, quiet, residual="force at the end" if trained else "relative residual"
    ) as progress:

        def tell(event: "solvers.Event") -> None:
            progress(event)
            interrupts.repeat()

        return solvers.solve(
            given.problem,
            layers=chosen.layers or LAYERS,
            key=jax.random.key(seed),
            progress=tell,
            throw=False,
            **arguments,
        )


def merged(first: SolveSection, second: SolveSection) -> SolveSection:
    """The options, and where they say nothing, the file."""
    given = {name: value for name, value in first.model_dump().items() if value is not None}
    return second.model_copy(update=given)


def arguments_of(chosen: SolveSection, method: dict[str, Any]) -> dict[str, Any]:
    """Action and method of `solve`; InputError for a horizon without its action, or settings that a method lacks."""
    finite = chosen.action == "finite-horizon"
    if chosen.horizon is not None and not finite:
        raise InputError("--horizon", chosen.horizon, "only with --action finite-horizon")
    if finite and chosen.horizon is None:
        raise InputError("--horizon", "nothing", "the physical time of the whole path, with --action finite-horizon")
    action = FiniteHorizonAction(chosen.horizon) if chosen.horizon is not None else GeometricAction()
    if chosen.method is None and method:
        raise InputError("--method", "nothing", f"one of {', '.join(METHODS)}, for --set method.NAME=value")
    return {"action": action, "method": None if chosen.method is None else _method(chosen.method, method)}


def _method(name: str, settings: dict[str, Any]) -> Any:
    kind = METHODS[name]
    known = list(getattr(kind, "__dataclass_fields__", None) or kind._fields)  # pyright: ignore
    for setting, value in settings.items():
        if setting not in known:
            raise InputError(f"--set method.{setting}", value, f"the settings of {name}: {', '.join(known)}")
    return kind(**settings)


def free_folder(name: str) -> Path:
    """runs/NAME, or the first of runs/NAME-2, runs/NAME-3, ... that does not exist."""
    base = Path("runs") / (re.sub(r"[^\w.-]+", "-", name).strip(".-") or "problem")
    folder, count = base, 1
    while folder.exists():
        count += 1
        folder = base.with_name(f"{base.name}-{count}")
    return folder


def _print(solution: "solvers.Solution", folder: Path, options: Options) -> None:
    figures = summary(solution)
    if options.as_json:
        json.dump(encode("summary", {**figures, "folder": str(folder)}), sys.stdout, indent=2)
        print()
    elif not options.quiet:
        print(summary_table(figures, folder))
