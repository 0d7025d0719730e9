"""Many problems: what they share, what is compiled for them, and the table of their results."""

import copy
import csv
import dataclasses
import io
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import genwgp as gw
from exact_path import exact_solution
from genwgp.cli import app
from genwgp.errors import InputError
from genwgp.formula import Formula, formulas, skeleton
from genwgp.io import read_run
from genwgp.solvers import many
from genwgp.solvers.families import shared

POINT = jnp.array([0.3, 0.7])
DRIFTS = [[0.0, 1.0], [2.0, -1.0]]


def closure(k, centre, power=2):
    """Numbers in the code, in an array that it holds, in an argument of where, and one that decides the code."""
    held = jnp.array(centre)
    return lambda x: k * jnp.sum((x - held) ** power) + jnp.where(x[0] > 0, k, 0.0) * x[1] + jnp.logaddexp(x[0], 2 * k)


def test_functions_that_differ_in_numbers_are_one_function_of_them():
    functions = [closure(k, centre) for k, centre in zip((0.5, 1.5), DRIFTS, strict=True)]
    assert skeleton(functions[0], POINT) == skeleton(functions[1], POINT)
    made = formulas(functions, POINT)
    traces = 0

    @jax.jit
    def everything(formula, x):
        nonlocal traces
        traces += 1
        return formula(x), jax.grad(formula)(x), jax.hessian(formula)(x)

    for function, formula in zip(functions, made, strict=True):
        assert isinstance(formula, Formula)
        expected = function(POINT), jax.grad(function)(POINT), jax.hessian(function)(POINT)
        for a, b in zip(everything(formula, POINT), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    assert traces == 1


def test_functions_that_differ_in_more_are_told_apart():
    first = skeleton(closure(0.5, DRIFTS[0]), POINT)
    assert skeleton(closure(0.5, DRIFTS[0], power=4), POINT) != first
    jitted = [jax.jit(closure(k, DRIFTS[0])) for k in (0.5, 1.5)]
    assert skeleton(jitted[0], POINT) != skeleton(jitted[1], POINT)
    assert skeleton(lambda x: 1.0, POINT) != skeleton(lambda x: 2.0, POINT)


def test_what_cannot_be_an_argument_stays_as_it_is():
    same = closure(0.5, DRIFTS[0])
    assert formulas([same, same], POINT) == [same, same]
    large = [lambda x, k=k: x @ x * jnp.asarray(np.full(20_000, k)).sum() for k in (1.0, 2.0)]
    assert formulas(large, POINT) == large

    def hidden(k):
        """A number that only the rule of its derivative holds."""
        function = jax.custom_jvp(lambda x: x @ x)
        function.defjvp(lambda primal, tangent: (function(*primal), k * (primal[0] @ tangent[0])))
        return lambda x: 3.0 * function(x)

    rules = [hidden(2.0), hidden(3.0)]
    assert formulas(rules, POINT) == rules


@pytest.mark.parametrize(
    ("name", "parameters", "traced"),
    [
        ("double-well-1d", [{"diffusion": 1.0}, {"diffusion": 0.8, "tilt": 0.3}], True),
        ("mckean-vlasov", [{"attraction": 1.0}, {"attraction": 0.5, "stiffness": 2.0}], True),
        ("porous-medium", [{"m": 2.0}, {"m": 2.5}], True),
        ("keller-segel", [{}, {}], False),  # nothing differs
    ],
)
def test_energies_of_one_structure_have_their_numbers_as_arrays(name, parameters, traced):
    problems = [gw.problems.get(name, **given) for given in parameters]
    ready = shared(problems)
    kinds = [jax.tree.structure(problem.energy) for problem in ready]
    assert kinds[0] == kinds[1]
    assert any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(ready[0].energy)) == traced
    for problem, other in zip(problems, ready, strict=True):
        x = jnp.asarray(problem.initial.quasi_sample(0, 8))
        state = x, problem.initial.log_prob(x), problem.initial.score(x)
        np.testing.assert_allclose(other.energy.gradient(*state), problem.energy.gradient(*state), rtol=1e-12)
        np.testing.assert_allclose(other.energy.value(*state[:2]), problem.energy.value(*state[:2]), rtol=1e-12)


def test_parameters_that_decide_what_is_computed_stay_numbers():
    start = gw.Gaussian([0.0], 1.0)
    powers = [gw.FreeEnergy(interaction=gw.PowerInteraction(a, 0.0), internal=gw.Entropy(1.0)) for a in (2.0, 3.0)]
    for problem in shared([gw.Problem(energy, start) for energy in powers]):
        assert not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(problem.energy))


@pytest.fixture(scope="module")
def solved():
    """Three problems of one structure, one that is refused, and how much was compiled for each."""
    compiled, counts, seen = 0, [], []

    def count(event, duration_secs, **kwargs):
        nonlocal compiled
        compiled += "backend_compile" in event

    def make(diffusion):
        return gw.problems.get("ornstein-uhlenbeck", dim=1, diffusion=diffusion)

    def each(row):
        counts.append(compiled)
        seen.append(row)

    small = gw.CausalSweep(pool=1024, train=1024, test=1024)
    jax.monitoring.register_event_duration_secs_listener(count)
    grid = {"diffusion": [1.0, 0.5, -1.0, 2.0]}
    table = gw.solve_many(make, grid, action=gw.FiniteHorizonAction(0.01), layers=1, method=small, each=each)
    return table, np.diff(counts), seen, make


def test_problems_of_one_structure_are_compiled_once(solved):
    table, compiled, seen, make = solved
    assert list(compiled) == [0, 0, 0]
    assert list(table.rows) == seen
    for row in table.rows:
        if row.result != many.REFUSED:
            reference = make(row.parameters["diffusion"]).reference
            drop = row.figures["free_energy_start"] - row.figures["free_energy_end"]
            assert drop == pytest.approx(float(reference.free_energy(0.0) - reference.free_energy(0.01)), rel=0.02)
            assert row.solution.problem.energy.diffusion == row.parameters["diffusion"]
            assert row.solution.path.energy is row.solution.problem.energy


def test_a_refused_point_is_a_row_and_tables_hold_all(solved):
    table = solved[0]
    assert table.column("result").tolist() == ["converged", "converged", "refused", "converged"]
    assert "above 0" in table.rows[2].message
    assert np.isnan(table.column("free_energy_end")[2])
    read = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert [float(row["diffusion"]) for row in read] == [1.0, 0.5, -1.0, 2.0]
    assert float(read[3]["free_energy_end"]) == table.rows[3].figures["free_energy_end"]
    assert table.to_markdown().splitlines()[1].count("---") == len(read[0])
    with pytest.raises(InputError, match="column: got speed"):
        table.column("speed")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((3,), "problems"),
        (([],), "problems"),
        (([3],), "problems"),
        ((dict, {"a": []}), "grid.a"),
        ((dict, {"a": 3}), "grid.a"),
        ((dict, None), "grid"),
    ],
)
def test_grids_are_checked(arguments, field):
    with pytest.raises(InputError, match=rf"^{field}: got"):
        gw.solve_many(*arguments)


def test_seeds_are_checked():
    with pytest.raises(InputError, match=r"^seeds: got"):
        gw.solve_many(partial(gw.problems.get, "heat"), {"dim": [1]}, seeds=[-1])


@pytest.fixture
def sweeps(tmp_path, monkeypatch):
    """The command in an empty folder, with an exact answer in place of the solver."""

    def install(results=()):
        asked, left = [], list(results)

        def solved(problem, computed, task, key):
            asked.append((problem, task, int(jax.random.key_data(key)[-1])))
            answer = exact_solution(layers=task.layers, result=left.pop(0) if left else "converged")
            path = copy.copy(answer.path)
            path.curves = SimpleNamespace(equilibrium=np.zeros(4))
            return dataclasses.replace(answer, path=path, problem=problem)

        monkeypatch.setattr(many, "solved", solved)
        return asked

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("genwgp.cli.sweep.use_compilation_cache", lambda: None)
    return install


def sweep(*arguments):
    return CliRunner().invoke(app, ["sweep", *map(str, arguments)])


def test_a_sweep_writes_a_table_and_a_folder_for_each_point(sweeps):
    asked = sweeps()
    values = ("--set", "diffusion=1,2.5", "--set", "dim=2", "--seeds", "0,7", "--layers", 3, "--out", "all")
    outcome = sweep("ornstein-uhlenbeck", *values)
    assert outcome.exit_code == 0, outcome.output
    assert [(p.energy.diffusion, seed, task.layers) for p, task, seed in asked] == [
        (d, seed, 3) for d in (1.0, 2.5) for seed in (0, 7)
    ]
    folders = sorted(folder.name for folder in Path("all").iterdir() if folder.is_dir())
    assert folders[3] == "003_diffusion=2.5_dim=2_seed=7"
    assert read_run(f"all/{folders[3]}")["problem"]["source"]["parameters"] == {"diffusion": 2.5, "dim": 2}
    rows = list(csv.DictReader(Path("all/table.csv").read_text().splitlines()))
    assert [row["seed"] for row in rows] == ["0", "7", "0", "7"]
    assert "free_energy_end" in outcome.stdout.splitlines()[0]


def test_a_sweep_goes_on_after_a_failed_point_and_says_so(sweeps):
    sweeps(["not_converged", "converged"])
    outcome = sweep("ornstein-uhlenbeck", "--set", "diffusion=-1,1,2", "--out", "all", "--json", "--quiet")
    assert outcome.exit_code == 3
    rows = json.loads(outcome.stdout)["rows"]
    assert [row["result"] for row in rows] == ["refused", "not_converged", "converged"]
    assert sorted(folder.name[:3] for folder in Path("all").iterdir()) == ["001", "002", "tab"]


def test_an_interrupted_sweep_keeps_what_it_has(sweeps):
    sweeps(["converged", "interrupted"])
    outcome = sweep("ornstein-uhlenbeck", "--set", "diffusion=1,2,3", "--out", "all")
    assert outcome.exit_code == 130
    assert len(Path("all/table.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("ornstein-uhlenbeck", "--set", "diffusion=-1,-2"), "diffusion: got -1"),
        (("nothing", "--set", "a=1"), "PROBLEM: got 'nothing'"),
        (("ornstein-uhlenbeck", "--seeds", "1,x"), "--seeds: got x"),
        (("ornstein-uhlenbeck", "--method", "sweep", "--set", "method.pool=2048,4096"), "--set method.pool: got"),
        (("ornstein-uhlenbeck", "--horizon", "1"), "--horizon: got 1.0"),
    ],
)
def test_mistakes_of_a_sweep_are_one_line(sweeps, arguments, line):
    sweeps()
    outcome = sweep(*arguments)
    assert outcome.exit_code == 2
    assert line in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not Path("runs").exists()
