"""`genwgp sweep`: one problem for values of its parameters and for seeds, as a table and a run folder for each."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from genwgp.cli.environment import Interrupts, precision, use_compilation_cache
from genwgp.cli.given import Given, grid_of, problem_of
from genwgp.cli.group import BAD_INPUT, INTERRUPTED, NOT_CONVERGED, OK
from genwgp.cli.progress import Progress
from genwgp.cli.table import columns
from genwgp.cli.task import arguments_of, free_folder, merged
from genwgp.errors import GenwgpError, InputError
from genwgp.io import SolveSection, check_new_folder, save
from genwgp.io.folder import replace_file, writing
from genwgp.io.plain import encode
from genwgp.problem import Problem
from genwgp.solvers import Event, Result, Table
from genwgp.solvers.many import REFUSED, Point, Row, points_of, rows_of
from genwgp.solvers.solve import Task

CSV, LONGEST = "table.csv", 80  # characters of a folder's name
SHOWN = ("free_energy_end", "log_normaliser", "effective_sample_size", "direction_residual", "seconds")


class SweepOptions(NamedTuple):
    """The options of the command as they were given."""

    problem: str
    out: str | None
    solve: SolveSection
    settings: list[str]
    seeds: list[int]
    quiet: bool
    as_json: bool
    float64: bool
    devices: int | None = None


def run_sweep(options: SweepOptions) -> int:
    """Solve all points, save each as it is done, print the table; the exit code."""
    use_compilation_cache()
    with precision(options.float64):
        points, given = _points(options)
        task = _task(options, next(iter(given.values())))
        folder = check_new_folder(options.out or free_folder(f"{next(iter(given.values())).problem.name}-sweep"))
        table = Table(())
        with Interrupts(options.quiet) as interrupts:
            for i, row in enumerate(_solved(points, task, interrupts, options.quiet)):
                with interrupts.waiting("the folder is being written, and then it ends"):
                    table = Table((*table.rows, row._replace(solution=None)))
                    _write(folder, i, row, given, table)
                if interrupts.count:
                    break
        _print(table, folder, options)
    return _code(table, bool(interrupts.count))


def _points(options: SweepOptions) -> tuple[list[Point], dict[int, Given]]:
    """The points, and where their problems came from, by the identity of these; InputError if there is no problem."""
    given: dict[int, Given] = {}

    def make(**parameters: Any) -> Problem:
        found = problem_of(options.problem, parameters)
        given[id(found.problem)] = found  # which keeps the problem, so that no other gets its identity
        return found.problem

    points = points_of(make, grid_of(options.settings).problem, options.seeds)
    if not given:
        refused = points[0].problem
        assert isinstance(refused, GenwgpError)
        raise refused
    return points, given


def _task(options: SweepOptions, first: Given) -> Task:
    method = grid_of(options.settings).method
    for name, values in method.items():
        if len(values) != 1:
            raise InputError(f"--set method.{name}", values, "one value: only the problem's parameters vary")
    chosen = merged(options.solve, first.solve)
    arguments = arguments_of(chosen, {name: values[0] for name, values in method.items()})
    return Task.checked(progress=None, devices=options.devices, **arguments)


def _solved(points: list[Point], task: Task, interrupts: Interrupts, quiet: bool) -> Iterator[Row]:
    """Rows as they are done, with a line of progress for each."""
    shown: Progress

    def tell(event: Event) -> None:
        shown(event)
        interrupts.repeat()

    rows = rows_of(points, task._replace(tell=tell))
    for i, point in enumerate(points):
        with Progress(f"{i + 1} of {len(points)}, {_name(point.parameters, point.seed)}", quiet) as shown:
            row = next(rows, None)
        if row is None:  # the one before was interrupted
            return
        yield row


def _name(parameters: dict[str, Any], seed: int) -> str:
    return ", ".join([*(f"{name}={value}" for name, value in parameters.items()), f"seed={seed}"])


def _write(folder: Path, i: int, row: Row, given: dict[int, Given], table: Table) -> None:
    """The run folder of a point that has a path, and the table with it."""
    if row.solution is not None:
        name = re.sub(r"[^\w.=-]+", "_", f"{i:03} {_name(row.parameters, row.seed)}")[:LONGEST]
        save(row.solution, folder / name, source=given[id(row.solution.problem)].source)
    with writing(folder / CSV):
        replace_file(folder / CSV, table.to_csv().encode())


def _print(table: Table, folder: Path, options: SweepOptions) -> None:
    if options.as_json:
        rows = [{name: value for name, value in row._asdict().items() if name != "solution"} for row in table.rows]
        json.dump(encode("sweep", {"folder": str(folder), "rows": rows}), sys.stdout, indent=2)
        print()
    elif not options.quiet:
        print(_text(table))
        print(f"\n{folder / CSV}")


def _text(table: Table) -> str:
    """Parameters, results and the main figures, and below it what the points say that did not converge."""
    names = [*(table.rows[0].parameters if table.rows else ()), "seed", "result"]
    figures = [name for name in SHOWN if any(name in row.figures for row in table.rows)]
    rows = [
        [*map(str, (*row.parameters.values(), row.seed, row.result)), *(_figure(row, name) for name in figures)]
        for row in table.rows
    ]
    wrong = [row for row in table.rows if row.result != Result.CONVERGED]
    notes = [f"{_name(row.parameters, row.seed)}: {row.message}" for row in wrong]
    return "\n".join([columns([*names, *figures], rows), *notes])


def _figure(row: Row, name: str) -> str:
    return f"{row.figures[name]:.5g}" if name in row.figures else ""


def _code(table: Table, interrupted: bool) -> int:
    results = {row.result for row in table.rows}
    if interrupted or Result.INTERRUPTED in results:
        return INTERRUPTED
    if results == {REFUSED}:
        return BAD_INPUT
    return OK if results == {Result.CONVERGED} else NOT_CONVERGED
