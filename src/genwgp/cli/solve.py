"""`genwgp solve`: from a named problem to a run folder and a table."""

import json
import sys
import tempfile
from pathlib import Path

import jax

from genwgp import solvers
from genwgp.cli import processes
from genwgp.cli.environment import Interrupts, precision, use_compilation_cache
from genwgp.cli.group import BAD_INPUT, INTERRUPTED, NOT_CONVERGED, OK
from genwgp.cli.progress import Progress
from genwgp.cli.table import summary_table
from genwgp.cli.task import Options, Task, new_task, resumed_task
from genwgp.errors import InputError, RunFolderError
from genwgp.initial import FittedGaussian, FittedMixture
from genwgp.io import Checkpoint, is_begun, read_begun, save, summary
from genwgp.io.derived import PICTURES
from genwgp.io.folder import going_on
from genwgp.io.plain import encode


def run_solve(options: Options) -> int:
    """Solve, save, print, draw; the exit code. Of several processes only the first one does more than solve."""
    use_compilation_cache()
    if options.distributed:
        options = _joined(options)
        if not processes.writes():
            return _run_along(options)
    begun = None if options.resume is None else read_begun(options.resume)
    with precision(not options.float32 if begun is None else begun["dtype"] == "float64"):
        task = new_task(options) if begun is None else resumed_task(str(options.resume), begun, options)
        if not options.quiet:
            _note_on_start(task.given.problem.initial)
        with Interrupts(options.quiet) as interrupts:
            solution = _solve(task, interrupts, options.quiet, keep=not options.distributed)
            with interrupts.waiting("the folder is being written, and then it ends"):
                folder = _save(solution, task)
                _print(solution, folder, options)
            # Whoever presses Ctrl-C now, or did a second time, wants an end: `genwgp report` draws the pictures.
            expected = int(solution.result == solvers.Result.INTERRUPTED)
            if options.pictures and solution.result != solvers.Result.NON_FINITE:
                with interrupts.waiting("it ends after this picture; the folder is written"):
                    from genwgp.report import draw_all  # matplotlib takes half a second

                    draw_all(solution, folder / PICTURES, wanted=lambda: interrupts.count <= expected)
    if interrupts.count or solution.result == solvers.Result.INTERRUPTED:
        if not options.quiet and is_begun(folder):
            _note(going_on(folder))
        return INTERRUPTED
    if folder != task.folder:
        return BAD_INPUT
    return OK if solution.result == solvers.Result.CONVERGED else NOT_CONVERGED


def _joined(options: Options) -> Options:
    """The options of one of several processes; by default all devices of all of them."""
    if options.resume is not None:
        raise InputError(
            "--resume", options.resume, "nothing beside --distributed: several processes keep no checkpoint"
        )
    processes.join()
    return options._replace(devices=options.devices or jax.device_count())


def _run_along(options: Options) -> int:
    """The same computation in a process that neither prints nor writes."""
    with precision(not options.float32), Interrupts(quiet=True) as interrupts:
        solution = _solve(new_task(options), interrupts, quiet=True, keep=False)
    if interrupts.count or solution.result == solvers.Result.INTERRUPTED:
        return INTERRUPTED
    return OK if solution.result == solvers.Result.CONVERGED else NOT_CONVERGED


def _note(text: str) -> None:
    print(f"genwgp: note: {text}", file=sys.stderr)


def _note_on_start(initial: object) -> None:
    """A line on stderr, before minutes are spent, about a start that does not fit the samples it comes from."""
    if isinstance(initial, FittedGaussian | FittedMixture) and initial.quality.tells_apart:
        _note(f"the start does not fit its samples well: {initial.quality}")


def _solve(task: Task, interrupts: Interrupts, quiet: bool, keep: bool) -> "solvers.Solution":
    given, trained = task.given, isinstance(task.arguments["method"], solvers.Adam)
    with Progress(
        given.problem.name, quiet, residual="force at the end" if trained else "relative residual"
    ) as progress:

        def tell(event: "solvers.Event") -> None:
            progress(event)
            interrupts.repeat()

        return solvers.solve(
            given.problem,
            progress=tell,
            throw=False,
            checkpoint=Checkpoint(task.folder, given.source, tell=_note, new=task.new) if keep else None,
            **task.arguments,
        )


def _save(solution: "solvers.Solution", task: Task) -> Path:
    """The folder that holds the solution: where that cannot be written any more, one among temporary files."""
    try:
        return save(solution, task.folder, source=task.given.source)
    except RunFolderError as error:
        _note(str(error))
        elsewhere = Path(tempfile.mkdtemp(prefix="genwgp-")) / task.folder.name
        return save(solution, elsewhere, source=task.given.source)


def _print(solution: "solvers.Solution", folder: Path, options: Options) -> None:
    figures = summary(solution)
    if options.as_json:
        json.dump(encode("summary", {**figures, "folder": str(folder)}), sys.stdout, indent=2)
        print()
    elif not options.quiet:
        print(summary_table(figures, folder))
