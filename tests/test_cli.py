"""The command line: what it prints and writes, how it ends, and one line for every mistake."""

import io
import json
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

import genwgp
from exact_path import ExactEquilibrium, exact_solution
from genwgp import problems, solvers
from genwgp.actions import GeometricAction
from genwgp.cli import app
from genwgp.cli.environment import cache_folder, use_compilation_cache
from genwgp.cli.given import settings_of
from genwgp.cli.progress import Progress, describe
from genwgp.cli.stored import _density
from genwgp.errors import InputError
from genwgp.io import read_run, save, verify
from genwgp.io.figures import FIGURES, clock

MODULE = """
import genwgp as gw
import jax.numpy as jnp

def make(stiffness=1.0):
    energy = gw.FreeEnergy(lambda x: 0.5 * stiffness * jnp.sum(x**2), gw.Entropy(1.0))
    return gw.Problem(energy, gw.Gaussian([1.0, 0.0], 0.1), name="mine")

def wrong():
    return 3

def broken():
    return undefined_name

constant = 3
"""
TOML = """
potential.expression = "norm2(x) / 2"
entropy.diffusion = 1
initial = {kind = "gaussian", mean = [1, 0], covariance = 0.1}
solve = {layers = 2, seed = 5}
"""
EVENT = solvers.Event(7, 0.25, 0.125, -1.02, 0.03, 0.041, 125.0, "going")


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """An empty folder to run in, and no cache of compiled code outside of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("genwgp.cli.solve.use_compilation_cache", lambda: None)
    monkeypatch.setattr("genwgp.cli.stored.use_compilation_cache", lambda: None)
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "mine.toml").write_text(TOML)
    return tmp_path


@pytest.fixture
def solves(monkeypatch):
    """Replace the solver by an exact answer; the calls are kept in the list that comes back."""
    calls = []

    def install(result=solvers.Result.CONVERGED):
        def solve(problem, action, **arguments):
            float64 = jax.numpy.zeros(()).dtype == "float64"
            calls.append({"problem": problem, "action": action, "float64": float64, **arguments})
            arguments["progress"](EVENT)
            return exact_solution(layers=arguments["layers"], result=result)

        monkeypatch.setattr(solvers, "solve", solve)
        return calls

    return install


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def complaint(*arguments) -> str:
    """The one line of a mistake."""
    outcome = run(*arguments)
    assert outcome.exit_code == 2, (outcome.output, outcome.exception)
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("genwgp: ")
    assert outcome.stderr.count("\n") == 1
    return outcome.stderr


def test_version_list_and_help():
    assert run("--version").stdout == f"genwgp {genwgp.__version__}\n"
    listed = run("list")
    assert listed.exit_code == 0
    for name in problems.names():
        assert re.search(rf"^{re.escape(name)}$", listed.stdout, re.MULTILINE)
    assert "--set separation=5" in listed.stdout
    for command in ([], ["init"], ["solve"], ["sweep"], ["sample"], ["show"], ["report"], ["compare"]):
        outcome = run(*command, "--help")
        assert outcome.exit_code == 0
        assert "Usage" in outcome.stdout


def test_solve_writes_a_folder_and_a_table(solves):
    calls = solves()
    outcome = run("solve", "banana", "--out", "deep/er/run", "--layers", "3", "--seed", "4", "--no-pictures")
    assert outcome.exit_code == 0
    assert verify("deep/er/run")
    assert not Path("deep/er/run/pictures").exists()
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in outcome.stdout.splitlines() if "  " in line)
    assert rows["result"] == "converged"
    assert rows["F at the start"].endswith("energy, estimate over particles") or "energy" in rows["F at the start"]
    assert {"F at the end", "log Z", "effective samples", "action", "path length", "speed spread", "time"} <= set(rows)
    assert rows["folder"] == "deep/er/run"
    assert calls[0]["layers"] == 3
    assert jax.random.key_data(calls[0]["key"]).tolist() == jax.random.key_data(jax.random.key(4)).tolist()
    assert isinstance(calls[0]["action"], GeometricAction)
    assert calls[0]["float64"]
    assert read_run("deep/er/run")["problem"]["source"] == {"kind": "gallery", "name": "banana", "parameters": {}}


def test_pictures_come_with_it(solves, monkeypatch):
    solves()
    drawn = []
    monkeypatch.setattr(
        "genwgp.report.draw_all", lambda solution, folder, wanted: drawn.append((solution.result, folder, wanted()))
    )
    assert run("solve", "banana", "--layers", "2").exit_code == 0
    assert drawn == [("converged", Path("runs/banana/pictures"), True)]


def test_the_default_folder_is_the_first_free_one(solves):
    solves()
    for expected in ("banana", "banana-2", "banana-3"):
        assert f"runs/{expected}\n" in run("solve", "banana", "--no-pictures", "--layers", "2").stdout
        assert verify(f"runs/{expected}")


def test_json_and_quiet(solves):
    solves()
    figures = json.loads(run("solve", "banana", "--json", "--quiet", "--no-pictures", "--layers", "2").stdout)
    assert figures["folder"] == "runs/banana"
    assert set(figures) >= {figure.key for figure in FIGURES}
    silent = run("solve", "banana", "--quiet", "--no-pictures", "--layers", "2")
    assert (silent.stdout, silent.stderr) == ("", "")


@pytest.mark.parametrize(
    ("result", "code"),
    [("converged", 0), ("not_converged", 3), ("unbounded", 3), ("non_finite", 3), ("interrupted", 130)],
)
def test_exit_codes_tell_the_result_and_the_folder_is_written(solves, result, code):
    solves(solvers.Result(result))
    outcome = run("solve", "banana", "--layers", "2", "--no-pictures")
    assert outcome.exit_code == code
    assert read_run("runs/banana")["result"] == result
    assert result in outcome.stdout


def test_the_problem_from_a_file_with_its_settings(solves):
    calls = solves()
    assert run("solve", "mine.toml", "--no-pictures", "--set", "entropy.diffusion=0.5").exit_code == 0
    assert calls[0]["layers"] == 2
    assert calls[0]["problem"].energy.diffusion == 0.5
    assert calls[0]["problem"].name == "mine"
    assert read_run("runs/mine")["problem"]["source"]["overrides"] == {"entropy.diffusion": 0.5}
    assert run("solve", "mine.toml", "--no-pictures", "--layers", "4").exit_code == 0
    assert calls[1]["layers"] == 4


def test_the_problem_from_a_function(solves):
    calls = solves()
    assert run("solve", "mine.py:make", "--no-pictures", "--set", "stiffness=4").exit_code == 0
    assert calls[0]["problem"].energy.potential(jax.numpy.ones(2)) == 4.0
    source = read_run("runs/mine")["problem"]["source"]
    assert source == {"kind": "module", "path": "mine.py", "function": "make", "parameters": {"stiffness": 4}}
    assert run("solve", "mine:make", "--no-pictures").exit_code == 0
    assert read_run("runs/mine-2")["problem"]["source"]["path"] == "mine"


def test_actions_methods_and_precision(solves):
    calls = solves()
    outcome = run("solve", "banana", "--no-pictures", "--action", "finite-horizon", "--horizon", "2.5", "--float32")
    assert outcome.exit_code == 0
    assert calls[0]["action"].T == 2.5
    assert not calls[0]["float64"]
    assert jax.numpy.zeros(()).dtype == "float64"
    trained = run("solve", "banana", "--no-pictures", "--method", "adam", "--set", "method.steps=7")
    assert trained.exit_code == 0
    assert "  force at the end 0.03  " in trained.stderr
    assert calls[1]["method"].steps == 7
    swept = run("solve", "banana", "--no-pictures", "--method", "sweep")
    assert swept.exit_code == 0
    assert "  relative residual 0.03  " in swept.stderr
    assert type(calls[2]["method"]) is solvers.CausalSweep


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["solve"], "PROBLEM"),
        (["solve", "bananas"], "did you mean banana?"),
        (["solve", ""], "a gallery name"),
        (["solve", "nothing.toml"], "No such file"),
        (["solve", "mine.py"], "mine.py:function"),
        (["solve", "other.py:make"], "a Python file that exists"),
        (["solve", "no_such_module_here:make"], "ModuleNotFoundError"),
        (["solve", "mine.py:absent"], "a function of mine.py"),
        (["solve", "mine.py:constant"], "a function of mine.py"),
        (["solve", "mine.py:wrong"], "returned int"),
        (["solve", "mine.py:broken"], "NameError: name 'undefined_name' is not defined (mine.py line"),
        (["solve", "mine.py:make", "--set", "stifness=1"], "TypeError"),
        (["solve", "mine.py:make", "--set", "stiffness=inf"], "energy.potential"),
        (["solve", "banana", "--set", "width=1"], "banana.width"),
        (["solve", "banana", "--set", "diffusion=-1"], "diffusion"),
        (["solve", "banana", "--set", "diffusion"], "name=value"),
        (["solve", "banana", "--set", "=1"], "name=value"),
        (["solve", "mine.toml", "--set", "entropi.diffusion=1"], "did you mean entropy?"),
        (["solve", "banana", "--layers", "0"], "--layers: got 0; allowed: a whole number from 1 to 1000"),
        (["solve", "banana", "--layers", "many"], "--layers: got many; allowed: a whole number from 1 to 1000"),
        (["solve", "banana", "--seed", "-1"], "--seed: got -1; allowed: a whole number from 0 to 4294967295"),
        (["solve", "banana", "--action", "geometrical"], "--action: got geometrical; allowed: geometric or finite"),
        (["solve", "banana", "--method", "newton"], "--method: got newton; allowed: sweep or adam"),
        (["solve", "banana", "--horizon", "1"], "only with --action finite-horizon"),
        (["solve", "banana", "--action", "finite-horizon"], "--horizon"),
        (["solve", "banana", "--action", "finite-horizon", "--horizon", "nan"], "--horizon: got nan"),
        (["solve", "banana", "--set", "method.steps=3"], "--method"),
        (["solve", "banana", "--method", "adam", "--set", "method.stepps=3"], "steps"),
        (["solve", "banana", "--method", "adam", "--set", "method.steps=0"], "Adam.steps"),
        (["solve", "banana", "--bogus"], "--bogus"),
        (["solve", "banana", "--out", "mine.toml"], "exists already"),
        (["solve", "banana", "--out", "mine.toml/run"], "cannot be written"),
        (["show", "nothing"], "no such run folder"),
        (["show", "."], "no MANIFEST.json"),
        (["sample", ".", "--node", "0"], "no MANIFEST.json"),
        (["sample", "."], "one of --time"),
        (["sample", ".", "--time", "1", "--equilibrium"], "--time, --equilibrium"),
        (["sample", ".", "--node", "0", "-n", "0"], "-n: got 0; allowed: a whole number from 1 to 100000000"),
        (["sample", ".", "--node", "0", "-o", "x.txt"], ".csv or .npz"),
        (["sample", ".", "--node", "0", "-o", "mine.toml"], ".csv or .npz"),
        (["report", "nothing"], "no such run folder"),
        (["solve", "banana", "--layers", str(10**23)], "from 1 to 1000"),
        (["solve", "banana", "--layers", "1.5"], "--layers: got 1.5"),
        (["solve", "banana", "--layers", ""], "--layers: got nothing"),
        (["solve", "banana", "--seed", str(2**32)], "--seed: got 4294967296"),
        (["solve", "banana", "--horizon", "soon"], "--horizon: got soon; allowed: a finite number above 0"),
        (["solve", "banana", "--out", ""], "--out: got nothing; allowed: the name of a folder"),
        (["solve", "banana", "--set", ""], "--set: got nothing; allowed: name=value"),
        (["sample", ".", "--time", "soon"], "--time: got soon; allowed: a number, at least 0"),
        (["sample", ".", "--time", "nan"], "--time: got nan"),
        (["sample", ".", "--arclength", "-1"], "--arclength: got -1; allowed: a finite number, at least 0"),
        (["sample", ".", "--node", "-1"], "--node: got -1; allowed: a whole number, at least 0"),
        (["sample", ".", "--node", "0", "-n", "1e3"], "-n: got 1e3; allowed: a whole number"),
        (["sample", ".", "--node", "0", "-n", "200000000"], "-n: got 200000000; allowed: a whole number from 1 to"),
        (["sample", ".", "--node", "0", "--seed", "x"], "--seed: got x; allowed: a whole number"),
        (["show", ""], "no such run folder"),
        (["report", ".", "--out", ""], "--out: got nothing; allowed: a file that ends in .html"),
        (["bogus"], "command: got bogus; allowed: solve, sweep, init, list, show, sample, report"),
    ],
)
def test_mistakes_end_in_one_line_and_code_2(solves, arguments, hint):
    calls = solves()
    assert hint in complaint(*arguments)
    assert calls == []
    assert not Path("runs").exists()


def test_a_file_with_mistakes_names_the_field(solves):
    solves()
    Path("bad.toml").write_text(TOML.replace("norm2(x)", "norm2(y)"))
    assert "potential.expression: got y" in complaint("solve", "bad.toml")
    Path("bad.toml").write_bytes(b"\xff\xfe")
    assert "UTF-8" in complaint("solve", "bad.toml")


@settings(max_examples=40)
@given(st.text(max_size=20), st.lists(st.text(max_size=12), max_size=2))
def test_any_problem_and_any_setting_end_in_one_line(problem, texts):
    arguments = [part for text in texts for part in (f"--set={text}",)]
    outcome = CliRunner().invoke(app, ["solve", *arguments, "--", problem])
    assert outcome.exit_code == 2
    assert outcome.stderr.rstrip("\n").count("\n") == 0


def test_show_prints_what_was_saved(solves):
    solves()
    solved = run("solve", "banana", "--no-pictures", "--layers", "3")
    shown = run("show", "runs/banana")
    assert shown.exit_code == 0
    assert shown.stdout.startswith(solved.stdout.rstrip())
    nodes = [line.split() for line in shown.stdout.splitlines() if re.match(r" +\d", line)]
    assert [row[0] for row in nodes] == ["0", "1", "2", "3"]
    assert nodes[-1][1] == "inf"
    assert "t = inf: the last node stands for the equilibrium" in shown.stdout
    assert "direction residual" in shown.stdout
    content = json.loads(run("show", "runs/banana", "--json").stdout)
    assert content["curves"]["times"][-1] == {"$float": "inf"}
    assert content["summary"]["layers"] == 3


@pytest.fixture
def stored(monkeypatch, workplace):
    """A saved exact run; its problem was made in Python, by `make` of exact.py."""
    from exact_path import ExactPath

    monkeypatch.setattr("genwgp.path.WassersteinPath", ExactPath)
    Path("exact.py").write_text("from exact_path import exact_problem as make\n")
    solution = exact_solution(layers=3)
    save(solution, "stored")
    return solution


PROBLEM = ("--problem", "exact.py:make")


def test_sample_writes_csv(stored):
    assert run("sample", "stored", "--time", "0.5", "-n", "500", "-o", "x.csv", *PROBLEM).exit_code == 0
    table = np.genfromtxt("x.csv", delimiter=",", names=True)
    assert table.dtype.names == ("x0", "x1", "log_density")
    x = np.stack([table["x0"], table["x1"]], 1)
    exact = stored.path.at(time=0.5)
    np.testing.assert_allclose(exact.log_prob(x), table["log_density"], rtol=1e-12)
    np.testing.assert_allclose(x.mean(0), exact.gaussian.mean, atol=0.15)


def test_sample_writes_npz_with_weights(stored):
    assert run("sample", "stored", "--equilibrium", "-n", "50", "-o", "deep/x.npz", *PROBLEM).exit_code == 0
    with np.load("deep/x.npz") as data:
        assert {name: data[name].shape for name in data} == {"x": (50, 2), "log_density": (50,), "weight": (50,)}
        np.testing.assert_allclose(data["weight"].sum(), 1.0)


def test_samples_of_the_equilibrium_itself(stored, monkeypatch):
    asked, off = [], 0.25  # of the last node's density, that of the equilibrium is another

    def resample(self, key, n):
        asked.append(n)
        return self.sample(key, n)

    monkeypatch.setattr(ExactEquilibrium, "resample", resample, raising=False)
    target = lambda self, x: self.log_prob(x) + off
    monkeypatch.setattr(ExactEquilibrium, "log_target", target, raising=False)
    assert run("sample", "stored", "--equilibrium", "--resample", "-n", "50", "-o", "x.npz", *PROBLEM).exit_code == 0
    assert asked == [50]
    with np.load("x.npz") as data:
        assert set(data) == {"x", "log_density"}  # no weights: they are spent
        exact = stored.path.equilibrium.log_prob(data["x"]) + off
        np.testing.assert_allclose(data["log_density"], exact, rtol=1e-12)
    assert "--resample: got --time; allowed: with --equilibrium" in complaint(
        "sample", "stored", "--time=1", "--resample"
    )
    monkeypatch.setattr(ExactEquilibrium, "pareto_k", 0.9)
    noted = run("sample", "stored", "--equilibrium", "--resample", *PROBLEM)
    assert "Pareto k = 0.9 (to be trusted: below 0.7)" in noted.stderr


def test_resampling_without_weights_is_refused(stored, monkeypatch):
    def resample(self, key, n):
        raise InputError("equilibrium", "an energy without such an equilibrium", "an entropy")

    monkeypatch.setattr(ExactEquilibrium, "resample", resample, raising=False)
    assert "--resample: got an energy without" in complaint("sample", "stored", "--equilibrium", "--resample", *PROBLEM)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("genwgp s", ["solve", "sweep", "show", "sample"]),
        ("genwgp solve dou", ["double-well-1d"]),
        ("genwgp foo s", None),
    ],
)
def test_a_shell_completes_commands_and_problems(words, expected):
    asked = {"_GENWGP_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    outcome = CliRunner().invoke(app, env=asked, prog_name="genwgp")
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    if expected is not None:
        assert outcome.stdout.split() == expected


def test_samples_follow_the_seed_and_go_to_stdout(stored):
    arguments = ("sample", "stored", "--node", "1", "-n", "5", *PROBLEM)
    first, same, other = (run(*arguments, "--seed", seed).stdout for seed in (1, 1, 2))
    assert first == same != other
    assert len(first.splitlines()) == 6


def test_many_samples_come_in_batches(stored, monkeypatch):
    monkeypatch.setattr("genwgp.cli.stored.BATCH", 8)
    text = run("sample", "stored", "--arclength", "0.1", "-n", "20", *PROBLEM).stdout
    x = np.genfromtxt(io.StringIO(text), delimiter=",", names=True)["x0"]
    assert len(np.unique(x)) == 20


def test_sample_never_overwrites_and_never_runs_unasked(stored):
    Path("x.csv").write_text("mine")
    assert "does not exist yet" in complaint("sample", "stored", "--node", "0", "-o", "x.csv", *PROBLEM)
    assert Path("x.csv").read_text() == "mine"
    assert "pass problem=, in a shell --problem" in complaint("sample", "stored", "--node", "0")
    assert "--problem: got 'mine'" in complaint("sample", "stored", "--node", "0", "--problem", "mine")
    assert "not the one that was solved" in complaint("sample", "stored", "--node", "0", "--problem", "mine.py:make")


def test_a_place_outside_of_the_path_names_its_option():
    class Refusing:
        def at(self, **place):
            raise InputError("node", 9, "a whole number from 0 to 3")

    with pytest.raises(InputError, match=r"^--node: got 9; allowed: a whole number from 0 to 3"):
        _density(Refusing(), {"node": 9})


def test_report_writes_a_page_films_and_pictures(stored, monkeypatch):
    monkeypatch.setattr("genwgp.cli.report.STEPS", 3)
    outcome = run("report", "stored", "--gif", "film.gif", "--pictures", "pictures", *PROBLEM)
    assert outcome.exit_code == 0, outcome.exception
    files = [Path(line) for line in outcome.stdout.splitlines()]
    assert files[:2] == [Path("stored/report.html"), Path("film.gif")]
    assert sorted(files[2:]) == sorted(Path("pictures").iterdir())
    assert files[0].read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "place 4 of 4" in outcome.stderr
    verify("stored")  # the run itself is as it was


def test_report_replaces_its_own_pages_alone(stored, monkeypatch):
    monkeypatch.setattr("genwgp.cli.report.STEPS", 1)
    Path("mine.html").write_text("mine")
    Path("film.gif").write_text("mine")
    assert "does not exist yet, or a page of genwgp" in complaint("report", "stored", "--out", "mine.html", *PROBLEM)
    assert "does not exist yet" in complaint("report", "stored", "--gif", "film.gif", *PROBLEM)
    assert "ends in .html" in complaint("report", "stored", "--out", "page.txt", *PROBLEM)
    assert "ends in .gif" in complaint("report", "stored", "--gif", "film.mp4", *PROBLEM)
    assert (Path("mine.html").read_text(), Path("film.gif").read_text()) == ("mine", "mine")
    for _ in range(2):
        assert run("report", "stored", "--out", "page.html", *PROBLEM).exit_code == 0


def test_compare_prints_writes_and_draws(stored):
    outcome = run("compare", "stored", "--samples", "150", *PROBLEM)
    assert outcome.exit_code == 0, outcome.exception
    assert outcome.stdout.startswith("exact against OrnsteinUhlenbeck\n")
    rows = [line.split() for line in outcome.stdout.splitlines() if re.match(r" *(\d|inf)", line)]
    assert [len(row) for row in rows] == [11] * 8 + [9] * 8
    assert rows[-1][4:6] == ["-", "-"]  # the last time is infinite
    assert all(0.4 < float(row[4]) < 2.5 for row in rows[:8])  # W2 over its floor
    assert {"stored/comparison.json", "stored/pictures/comparison.png"} <= set(outcome.stdout.split())
    assert Path("stored/pictures/comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "exact against OrnsteinUhlenbeck: place 8 of 8" not in outcome.stdout
    assert re.search(r"^exact against OrnsteinUhlenbeck: .*place 8 of 8$", outcome.stderr, re.MULTILINE)
    assert "step" not in outcome.stderr
    assert "reference: exact: Ornstein-Uhlenbeck from a Gaussian, d = 2\n" in outcome.stdout
    assert "Distances between 150 samples of the path" in outcome.stdout
    assert "At t = inf the end of the path" in outcome.stdout
    assert re.search(r"^largest error of F +[\d.e-]+ % of the drop of F$", outcome.stdout, re.MULTILINE)
    content = json.loads(Path("stored/comparison.json").read_text())
    assert content["reference"] == "OrnsteinUhlenbeck"
    assert content["reference_description"].startswith("exact: Ornstein-Uhlenbeck")
    assert content["samples"] == 150
    assert len(content["wasserstein"]) == len(content["l1"]) == 8
    assert content["times"][-1] == {"$float": "inf"}
    # The run is still complete, and nothing partial is left.
    assert verify("stored")
    assert run("show", "stored").exit_code == 0
    assert not [file for file in Path("stored").rglob(".*")]


def test_compare_on_a_line_of_a_run_that_did_not_converge(workplace, monkeypatch):
    """In one dimension the sliced distance is W2; what the reference lacks has no largest error."""
    from exact_path import ExactPath

    class Particles:
        def __init__(self, exact):
            self.exact = exact

        def density(self, t):
            rho = self.exact.density(t)
            return type("Cloud", (), {"sample": lambda _, key, n: rho.sample(key, n)})()

    monkeypatch.setattr("genwgp.path.WassersteinPath", ExactPath)
    Path("line.py").write_text("from exact_path import exact_problem\n\ndef make():\n    return exact_problem(1)\n")
    save(exact_solution(dim=1, layers=3, result="not_converged"), "line")
    monkeypatch.setattr("genwgp.cli.compare.reference_for", lambda problem: Particles(problem.reference))
    outcome = run("compare", "line", "--samples", "60", "--problem", "line.py:make")
    assert outcome.exit_code == 0, outcome.exception
    assert "genwgp: note: line is not_converged: the path is exact\n" in outcome.stderr
    assert "reference: Particles\n" in outcome.stdout
    rows = [line.split() for line in outcome.stdout.splitlines() if re.match(r" *(\d|inf)", line)]
    assert [len(row) for row in rows] == [9] * 16
    assert "largest W2" in outcome.stdout
    assert "largest error of F" not in outcome.stdout
    assert re.search(r"^no l1, kl +the reference has no log-density$", outcome.stdout, re.MULTILINE)


def test_compare_prints_json_follows_the_seed_and_writes_elsewhere(stored, monkeypatch):
    drawn = []
    monkeypatch.setattr("genwgp.report.draw_comparison", lambda *arguments: drawn.append(arguments[-1]))
    arguments = ("compare", "stored", "--samples", "60", "--json", "--out", "else/where", *PROBLEM)
    first, same, other = (json.loads(run(*arguments, "--seed", seed).stdout) for seed in (1, 1, 2))
    assert first["wasserstein"] == same["wasserstein"] != other["wasserstein"]
    assert json.loads(Path("else/where/comparison.json").read_text())["seed"] == 2
    assert drawn == [Path("else/where/pictures/comparison.png")] * 3
    assert not Path("stored/comparison.json").exists()


def test_compare_says_what_it_needs(stored):
    assert "pass problem=" in complaint("compare", "stored")
    assert "no such run folder" in complaint("compare", "nothing")
    assert "--samples" in complaint("compare", "stored", "--samples", "1")
    Path("taken").write_text("")
    outcome = run("compare", "stored", "--samples", "60", "--out", "taken/folder", *PROBLEM)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "cannot be written" in outcome.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1", 1),
        ("a=0.5", 0.5),
        ("a=true", True),
        ("a=[1, 2]", [1, 2]),
        ("a=word", "word"),
        ('a="1"', "1"),
        ("a=1\nb=2", "1\nb=2"),
    ],
)
def test_settings_are_read_as_toml_values(text, expected):
    parsed = settings_of([text]).problem["a"]
    assert parsed == expected
    assert type(parsed) is type(expected)
    assert settings_of([f"method.{text}"]).method == {"a": expected}


def test_progress_is_plain_where_there_is_no_terminal():
    stream = io.StringIO()
    with Progress("demo", console=Console(file=stream, width=20)) as progress:
        for _ in range(3):
            progress(EVENT)
    lines = stream.getvalue().splitlines()
    assert lines == [f"demo: {describe(EVENT, 'relative residual')}"] * 2  # the first at once, the last at the end
    assert "\x1b" not in stream.getvalue()


def test_progress_moves_in_a_terminal():
    stream = io.StringIO()
    with Progress("demo", console=Console(file=stream, force_terminal=True, width=150)) as progress:
        progress(EVENT)
        progress.live.refresh()  # pyright: ignore[reportOptionalMemberAccess]
    assert "step 7  loss 0.25  action 0.125  F -1.02" in stream.getvalue()


def test_progress_leaves_out_what_is_not_known():
    text = describe(solvers.Event(1, np.nan, 0.5, np.nan, np.nan, np.nan, np.inf, ""), "relative residual")
    assert text == "step 1  action 0.5"
    assert [clock(s) for s in (0.4, 59.6, 3723)] == ["0:00", "1:00", "1:02:03"]


def test_the_cache_follows_the_user(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"
    before = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "given"))
    try:
        use_compilation_cache()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "given")  # pyright: ignore[reportAttributeAccessIssue]
        assert not (tmp_path / "cache").exists()
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
