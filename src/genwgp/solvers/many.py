"""Many problems: grids of parameters, starts and seeds, and the table of what came out."""

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import jax
import numpy as np

from genwgp.checks import integer
from genwgp.errors import GenwgpError, InputError
from genwgp.problem import Problem
from genwgp.solvers.adam import Adam
from genwgp.solvers.families import shared
from genwgp.solvers.settings import CausalSweep
from genwgp.solvers.solution import Result, Solution
from genwgp.solvers.solve import Action, Progress, Task, check_problem, exact, solved

REFUSED = "refused"  # a point whose problem cannot be made or solved
FORMS = "a genwgp.Problem, a list of them, or a function that returns one, with grid={parameter: values}"
SEEDS = 2**32


class Row(NamedTuple):
    """One point: parameters and seed, how it ended ("refused": the message says why), figures, the solution.

    figures: energies in units of V, as in a summary; NaN where one does not exist. solution: None where there is none,
    or none was to be kept.
    """

    parameters: dict[str, Any]
    seed: int
    result: str
    message: str
    figures: dict[str, float]
    solution: Solution | None


@dataclass(frozen=True)
class Table:
    """A row for each point, in the order of the grid, the seed last."""

    rows: tuple[Row, ...]

    def column(self, name: str) -> np.ndarray:
        """A parameter, "seed", "result", "message" or a figure of all rows. InputError for any other name."""
        header, rows = self._cells()
        if name not in header:
            raise InputError("column", name, ", ".join(header))
        return np.array([row[header.index(name)] for row in rows])

    def to_csv(self) -> str:
        """As comma-separated values with a line of names; numbers with all their digits."""
        text = io.StringIO()
        writer, (header, rows) = csv.writer(text, lineterminator="\n"), self._cells()
        writer.writerows([header, *rows])
        return text.getvalue()

    def to_markdown(self) -> str:
        """As a table to read; numbers with five digits."""
        header, rows = self._cells()
        lines = [header, ["---"] * len(header), *([_short(cell) for cell in row] for row in rows)]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def _cells(self) -> tuple[list[str], list[list[Any]]]:
        parameters = list(dict.fromkeys(name for row in self.rows for name in row.parameters))
        figures = list(dict.fromkeys(name for row in self.rows for name in row.figures))
        rows = [
            [
                *(row.parameters.get(name, "") for name in parameters),
                *(row.seed, row.result),
                *(row.figures.get(name, math.nan) for name in figures),
                row.message,
            ]
            for row in self.rows
        ]
        return [*parameters, "seed", "result", *figures, "message"], rows


def _short(cell: Any) -> str:
    return f"{cell:.5g}" if isinstance(cell, float) else " ".join(str(cell).split()).replace("|", "\\|")


def solve_many(
    problems: Problem | Sequence[Problem] | Callable[..., Problem],
    grid: Mapping[str, Sequence[Any]] | None = None,
    *,
    seeds: Sequence[int] = (0,),
    action: Action | None = None,
    layers: int = 12,
    method: CausalSweep | Adam | None = None,
    devices: int | None = None,
    progress: Progress | None = None,
    each: Callable[[Row], Any] | None = None,
    keep: bool = True,
) -> Table:
    """The paths of many problems, one after the other: `solve` for each, compiled once for those of one structure.

    `problems`: a function of the parameters of `grid`, which is called for all combinations of their values; or
    problems, with a column `problem` of their names and places in the list. Starts vary like any other parameter.
    `seeds`: each is solved with key(seed) for all of them. `action`, `layers`, `method`, `devices`, `progress`: as in
    `solve`.
    `each` is called with every Row when it is done. `keep`: whether rows keep their solutions, which take some MB each.

    Problems are of one structure where their energies differ in numbers only, also in numbers that functions of a user
    close over (outside of what these have compiled by jax.jit themselves). A point that is refused or does not converge
    says so in its row, and the others go on; Ctrl-C ends with the rows so far. InputError for arguments that no point
    could be solved with.
    """
    task = Task.checked(action, layers, method, progress, devices)
    rows = []
    for row in rows_of(points_of(problems, grid, seeds), task):
        rows.append(row if keep else row._replace(solution=None))
        if each is not None:
            each(row)
    return Table(tuple(rows))


class Point(NamedTuple):
    """A problem to solve, or why there is none."""

    parameters: dict[str, Any]
    seed: int
    problem: Problem | GenwgpError


def points_of(problems: Any, grid: Mapping[str, Sequence[Any]] | None, seeds: Sequence[int]) -> list[Point]:
    """All points of a grid and all seeds; InputError for what is no grid, or has no point."""
    chosen = [integer("seeds", seed, least=0, most=SEEDS - 1) for seed in _listed("seeds", seeds)]
    made = [(parameters, _made(make)) for parameters, make in _makers(problems, grid)]
    return [Point(parameters, seed, problem) for parameters, problem in made for seed in chosen]


def _makers(problems: Any, grid: Any) -> list[tuple[dict[str, Any], Callable[[], Problem]]]:
    if isinstance(problems, Problem):  # which may be called as well, being a module
        problems = [problems]
    if not callable(problems):
        if grid is not None:
            raise InputError("grid", grid, "None beside problems: a grid is for a function that makes one")
        listed = _listed("problems", problems)
        for problem in listed:
            if not isinstance(problem, Problem):
                raise InputError("problems", problem, FORMS)
        return [({"problem": f"{i} {problem.name}"}, lambda p=problem: p) for i, problem in enumerate(listed)]
    if not isinstance(grid, Mapping):
        raise InputError("grid", grid, "{parameter: values}")
    values = [_listed(f"grid.{name}", column) for name, column in grid.items()]
    points = [dict(zip(grid, point, strict=True)) for point in product(*values)]
    return [(point, lambda point=point: problems(**point)) for point in points]


def _listed(field: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__") or not (listed := list(values)):
        raise InputError(field, values, "a list with at least one value")
    return listed


def _made(make: Callable[[], Problem]) -> Problem | GenwgpError:
    try:
        return make()
    except GenwgpError as error:
        return error


def rows_of(points: Sequence[Point], task: Task) -> Iterator[Row]:
    """Solve them; a row for each, as it is done."""
    computed = iter(_computed([point.problem for point in points if isinstance(point.problem, Problem)], task))
    for point in points:
        problem = point.problem
        row = _row(point, problem, next(computed), task) if isinstance(problem, Problem) else _refused(point, problem)
        yield row
        if row.result == Result.INTERRUPTED:
            return


def _computed(problems: list[Problem], task: Task) -> list[Problem]:
    """The problems as the method computes with them."""
    ready = [exact(problem, task.method) for problem in problems]
    if isinstance(task.method, Adam):
        return shared(ready)
    with jax.enable_x64(True):
        return shared(ready)


def _row(point: Point, problem: Problem, computed: Problem, task: Task) -> Row:
    try:
        check_problem(problem, task)
        solution = solved(problem, computed, task, jax.random.key(point.seed))
    except GenwgpError as error:
        return _refused(point, error)
    return Row(point.parameters, point.seed, str(solution.result), solution.message, _figures(solution), solution)


def _refused(point: Point, error: object) -> Row:
    return Row(point.parameters, point.seed, REFUSED, str(error), {}, None)


def _figures(solution: Solution) -> dict[str, float]:
    path, diagnostics = solution.path, solution.diagnostics
    names = ("effective_sample_size", "pareto_k", "gap", "action", "direction_residual", "speed_spread")
    figures = {
        "free_energy_start": path.free_energy[0],
        "free_energy_end": path.free_energy[-1],
        "log_normaliser": path.curves.equilibrium[0],
        "length": path.arclength[-1],
        **{name: diagnostics.get(name, math.nan) for name in names},
        "seconds": solution.stats["seconds"],
    }
    return {name: float(value) for name, value in figures.items()}
