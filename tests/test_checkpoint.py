"""A solve that is cut off goes on where it was, to the same numbers; faults of the disk lose nothing."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import genwgp as gw
from exact_path import exact_problem, exact_solution
from genwgp.actions import FiniteHorizonAction
from genwgp.cli import app
from genwgp.errors import InputError, RunFolderError
from genwgp.io import Checkpoint, is_begun, load, read_about, read_run, save
from genwgp.io import folder as files
from genwgp.io.derived import COMPARISON, DRAWN, MARK, PAGE, PICTURES, remove_derived
from genwgp.report import draw
from genwgp.solvers.keeper import Keeper, Kept
from genwgp.solvers.run import Run
from genwgp.solvers.sweep import sweep

SWEEP = gw.CausalSweep(pool=1024, train=1024, test=1024, cloud=1024)
ADAM = gw.Adam(steps=80, particles=64, width=4, couplings=1, points=1)
KEY = jax.random.key(3)
SETTINGS = {"layers": 2, "seed": 3, "method": {"name": "CausalSweep", "pool": 1024}}
FILE = """
name = "small"
potential.expression = "0.7*x[0]**2"
entropy.diffusion = 1
initial = {kind = "gaussian", mean = [1], covariance = 0.1}
solve = {layers = 2, action = "finite-horizon", horizon = 0.2, method = "sweep"}
"""


def quadratic(x):
    return 0.5 * jnp.sum(x**2)


def alone():
    return gw.Problem(gw.FreeEnergy(quadratic, gw.Entropy(1.0)), gw.Gaussian([1.0], 0.1))


def apart():
    """Two coordinates that do not feel each other, one of which is no Gaussian."""
    energy = gw.FreeEnergy(lambda x: x[0] ** 4 / 4 - x[0] + x[1] ** 2, gw.Entropy(1.0))
    return gw.Problem(energy, gw.Gaussian([0.5, 0.5], [0.1, 0.3]))


def together():
    energy = gw.FreeEnergy(quadratic, gw.Entropy(1.0), gw.energies.QuadraticInteraction(0.5))
    return gw.Problem(energy, gw.Gaussian([1.0], 0.1))


def mixed():
    mixture = gw.Mixture([0.5, 0.5], [[-1.0], [1.0]], [0.1, 0.2])
    return gw.Problem(gw.FreeEnergy(quadratic, gw.Entropy(1.0)), mixture)


def curved():
    energy = gw.FreeEnergy(lambda x: jnp.sum(x**4) / 4 - x[0], gw.Entropy(1.0))
    return gw.Problem(energy, gw.Gaussian([0.5], 0.1))


def assert_same(one: gw.Solution, other: gw.Solution):
    """Every number but for the seconds, bit by bit."""
    (arrays, tree), (others, other_tree) = one.path.to_arrays(), other.path.to_arrays()
    assert tree.keys() == other_tree.keys()
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)
    for name in one.log.keys() - {"seconds"}:
        np.testing.assert_array_equal(one.log[name], other.log[name], err_msg=name)
    assert (one.result, one.message) == (other.result, other.message)
    assert str(one.diagnostics) == str(other.diagnostics)


@pytest.mark.parametrize(
    ("make", "method", "horizon", "step"),
    [
        (together, SWEEP, 0.1, "genwgp.solvers.run.Run.advance"),
        (apart, SWEEP, 0.1, "genwgp.solvers.run.Run.advance"),
        (alone, ADAM, 0.3, None),
    ],
    ids=["sweep", "sweep of groups", "adam"],
)
def test_what_was_cut_off_ends_at_the_same_numbers(tmp_path, monkeypatch, make, method, horizon, step):
    """After an error, and after Ctrl-C; once it has ended, nothing is computed again."""
    problem, told = make(), []

    def solve(stop=None, by: type[BaseException] = KeyboardInterrupt, **options):
        def progress(event):
            told.append(event)
            if event.step == stop:
                raise by

        told.clear()
        action = FiniteHorizonAction(horizon)
        return gw.solve(problem, action, layers=2, key=KEY, method=method, throw=False, progress=progress, **options)

    whole, events = solve(), list(told)
    folder = tmp_path / "run"
    with pytest.raises(MemoryError):
        solve(stop=events[0].step, by=MemoryError, checkpoint=folder)
    assert solve(stop=events[-2].step, checkpoint=folder).result == gw.Result.INTERRUPTED
    again = solve(checkpoint=folder)
    assert_same(again, whole)
    assert told[-1]._replace(seconds_left=0) == events[-1]._replace(seconds_left=0)
    if step is not None:
        monkeypatch.delattr(step)
        assert_same(solve(checkpoint=folder), whole)
    with pytest.raises(RunFolderError, match=r"run: unfinished; `genwgp solve --resume .*run` goes on with it"):
        load(folder, problem)
    save(again, folder)
    assert sorted(os.listdir(folder)) == sorted([*files.FILES, files.MANIFEST])
    assert_same(load(folder, problem), whole)


class Memory(Keeper):
    """Keeps what it was given last."""

    def keep(self, kept, about):
        self.last = kept

    def resume(self, potential, take):
        if hasattr(self, "last"):
            take(self.last)


@pytest.mark.parametrize("make", [mixed, curved])
def test_the_next_segment_is_the_same_with_all_kinds_of_features(make, monkeypatch):
    monkeypatch.setattr("genwgp.solvers.features.COARSE", 0.0)
    monkeypatch.setattr("genwgp.solvers.features.FINER", {1: (70, 8, 0)})  # the second segment has more bumps
    problem, memory, horizon = make(), Memory(), 0.1
    cut, again, whole = (
        sweep(problem, replace(SWEEP, segments=segments), 0, horizon, keeper=keeper)
        for segments, keeper in ((1, memory), (2, memory), (2, None))
    )
    assert (len(cut.segments), len(again.segments)) == (1, 2)
    for one, other in zip(jax.tree.leaves(again.segments), jax.tree.leaves(whole.segments), strict=True):
        np.testing.assert_array_equal(one, other)
    learned = {"waves": (np.ones((2, problem.dim)), np.zeros(2)), "futile": 0.25}
    run = Run(problem, SWEEP, 0, horizon)
    (state,) = memory.last.state["runs"]
    run.resume([step[1:] for step in memory.last.steps], state | {"learned": learned})
    assert vars(run.learner) == learned
    assert run.state()["learned"] == learned


def kept(count: int) -> Kept:
    """A state after so many steps."""
    return Kept([(jnp.arange(3.0) + i, i) for i in range(count)], {"x": jnp.full(2, count), "big": 3**80})


def checkpoint(folder, **options):
    return Checkpoint(folder, **options).open(exact_problem(), SETTINGS, KEY)


@pytest.fixture
def folder(tmp_path):
    """A solve that was begun, with two steps in two files."""
    with checkpoint(tmp_path / "run") as keeper:
        for count in (1, 2):
            keeper.keep(kept(count), {"steps": count})
            keeper.flush()
    return tmp_path / "run"


def assert_kept(folder, count: int):
    taken: list[Kept] = []
    with checkpoint(folder) as keeper:
        keeper.resume(None, taken.append)
    (found,), expected = taken, kept(count)
    assert [step[1] for step in found.steps] == list(range(count))
    for step, own in zip(found.steps, expected.steps, strict=True):
        np.testing.assert_array_equal(step[0], own[0])
    np.testing.assert_array_equal(found.state["x"], expected.state["x"])
    assert found.state["big"] == 3**80


def test_steps_are_written_once_and_the_state_in_the_place_of_the_one_before(folder):
    assert_kept(folder, 2)
    names = {"begun.json", "lock", "MANIFEST.json", "steps-1.safetensors", "steps-2.safetensors", "state-2.safetensors"}
    assert set(os.listdir(folder / "checkpoint")) == names
    with checkpoint(folder) as keeper:
        keeper.keep(kept(5), {"steps": 5})
    assert_kept(folder, 5)
    assert read_about(folder) == {"steps": 5}


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    """Steps come every millisecond, and a write takes five."""
    now, written = [0.0], []
    monkeypatch.setattr("genwgp.io.checkpoint.time.perf_counter", lambda: now[0])

    def write(keeper, kept, about):
        now[0] += 0.005
        written.append(about["steps"])

    monkeypatch.setattr("genwgp.io.checkpoint._FolderKeeper._write", write)
    with checkpoint(tmp_path / "run") as keeper:
        for count in range(1, 1001):
            now[0] += 0.001
            keeper.keep(kept(1), {"steps": count})
    assert written[-1] == 1000
    assert len(written) <= 6


@pytest.mark.parametrize("moment", range(1, 7))
def test_a_write_that_ends_anywhere_leaves_the_state_before_it(folder, monkeypatch, moment):
    """As a kill does: after so many of the calls that change the disk, nothing more happens."""
    calls = []

    class Killed(BaseException):
        pass

    def until(function):
        def called(*arguments, **options):
            calls.append(function.__name__)
            if len(calls) >= moment:
                raise Killed
            return function(*arguments, **options)

        return called

    copy = Path(shutil.copytree(folder, folder.with_name("copy")))
    with checkpoint(copy) as keeper, monkeypatch.context() as patch:
        for name in ("replace", "fsync"):
            patch.setattr(files.os, name, until(getattr(os, name)))
        with pytest.raises(Killed):
            keeper._write(kept(3), {"steps": 3})  # pyright: ignore[reportAttributeAccessIssue]
    assert_kept(copy, 2)


def test_a_full_disk_is_told_once_and_costs_only_the_checkpoint(folder, monkeypatch):
    told = []

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with checkpoint(folder, tell=told.append) as keeper:
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "replace", full)
            for count in (3, 4):
                keeper.keep(kept(count), {"steps": count})
                keeper.flush()
        assert told == [
            f"{folder}: the state of the solve cannot be written there (No space left on device); it goes on"
        ]
        keeper.keep(kept(5), {"steps": 5})
    assert_kept(folder, 5)
    assert not [name for name in os.listdir(folder / "checkpoint") if "partial" in name]


def test_a_folder_that_is_removed_while_it_runs_is_made_again(folder):
    told = []
    with checkpoint(folder, tell=told.append) as keeper:
        shutil.rmtree(folder)
        keeper.keep(kept(3), {"steps": 3})
        keeper.flush()
        with pytest.raises(RunFolderError, match="in use"), checkpoint(folder):
            pass
    assert told == [f"{folder}: was removed while the solve ran; it is made again"]
    assert_kept(folder, 3)


def test_one_process_at_a_time(folder):
    with (
        checkpoint(folder),
        pytest.raises(RunFolderError, match="run: in use; another process is solving into it"),
        checkpoint(folder),
    ):
        pass
    assert_kept(folder, 2)


def test_a_solve_that_raises_before_its_first_step_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), checkpoint(tmp_path / "run"):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_one_that_raises_later_is_kept(folder):
    def solve():
        with checkpoint(folder) as keeper:
            keeper.keep(kept(3), {"steps": 3})
            raise MemoryError

    with pytest.raises(MemoryError):
        solve()
    assert_kept(folder, 3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"settings": {**SETTINGS, "layers": 3}}, "layers: got 3; allowed: 2, with which"),
        ({"settings": {**SETTINGS, "method": {"name": "CausalSweep", "pool": 5}}}, "method.pool: got 5; allowed: 1024"),
        ({"key": jax.random.key(4)}, r"key.data: got \[0, 4\]; allowed: \[0, 3\]"),
        ({"problem": exact_problem(diffusion=2.0)}, "is not the one that the solve was begun with"),
        ({"problem": exact_problem(dim=3)}, "is not the one that the solve was begun with"),
    ],
)
def test_another_solve_is_refused_and_the_difference_named(folder, change, text):
    arguments = {"problem": exact_problem(), "settings": SETTINGS, "key": KEY, **change}
    with pytest.raises((InputError, RunFolderError), match=text), Checkpoint(folder).open(**arguments):
        pass
    with pytest.raises(RunFolderError, match="a solve was begun there: `genwgp solve --resume"):
        save(exact_solution(layers=2), folder)
    assert_kept(folder, 2)


@pytest.mark.parametrize("name", ["begun.json", "MANIFEST.json", "steps-1.safetensors", "state-2.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "gone", "newer"])
def test_a_damaged_checkpoint_is_refused(folder, name, damage):
    file = folder / "checkpoint" / name
    if damage == "gone" and name in ("begun.json", "MANIFEST.json"):
        pytest.skip("then nothing was begun, or no step was made")
    if damage == "newer" and file.suffix != ".json":
        pytest.skip("the format is written in the JSON files")
    match damage:
        case "cut":
            file.write_bytes(file.read_bytes()[:-9])
        case "gone":
            file.unlink()
        case "newer":
            file.write_text(json.dumps({**json.loads(file.read_text()), "format": 9, "genwgp": "7.0"}))
    with (
        pytest.raises(RunFolderError, match=r"damaged|incomplete|genwgp 7\.0 in format 9") as caught,
        checkpoint(folder),
    ):
        pass
    assert "\n" not in str(caught.value)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def complaint(*arguments) -> str:
    outcome = run(*arguments)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr.count("\n")) == (2, "", 1), outcome.output
    return outcome.stderr


def test_show_tells_how_far_an_unfinished_run_is(folder):
    shown = run("show", folder).stdout
    assert "unfinished" in shown
    assert "steps 2" in shown
    assert f"genwgp solve --resume {folder}" in shown
    told = json.loads(run("show", folder, "--json").stdout)
    assert (told["result"], told["progress"], told["problem"]) == ("unfinished", {"steps": 2}, "exact")
    for command in (["sample", folder, "--node", "0"], ["report", folder], ["compare", folder]):
        assert "unfinished" in complaint(*command)
    assert "a solve was begun there" in complaint("solve", "banana", "--out", folder)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A problem file, in `whole` a solve of it, and in `cut` one that Ctrl-C has ended after two segments."""

    def stop(_, event):
        if event.step == 2:
            raise KeyboardInterrupt

    place = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr("genwgp.cli.solve.use_compilation_cache", lambda: None)
        Path("small.toml").write_text(FILE)
        assert run("solve", "small.toml", *SET, "--out", "whole", "--no-pictures").exit_code == 0
        patch.setattr("genwgp.cli.progress.Progress.__call__", stop)
        outcome = run("solve", "small.toml", *SET, "--out", "cut", "--no-pictures")
    assert outcome.exit_code == 130
    assert "`genwgp solve --resume cut` goes on with it" in outcome.stderr
    return place


@pytest.fixture
def workplace(interrupted, tmp_path, monkeypatch):
    """A copy of it, to run in."""
    place = shutil.copytree(interrupted, tmp_path / "work")
    monkeypatch.chdir(place)
    monkeypatch.setattr("genwgp.cli.solve.use_compilation_cache", lambda: None)
    return place


SET = [f"--set=method.{name}=1024" for name in ("pool", "train", "test")]


def test_the_command_goes_on_with_what_the_folder_says(workplace):
    assert read_run("cut")["result"] == "interrupted"
    assert "--layers: got 3; allowed: 2, with which cut was begun" in complaint(
        "solve", "--resume", "cut", "--layers=3"
    )
    pool = complaint("solve", "--resume", "cut", "--set", "method.pool=2048")
    assert "--set method.pool: got 2048; allowed: 1024, with which cut was begun" in pool
    other = complaint("solve", "--resume", "cut", "--set", "entropy.diffusion=2")
    assert "--set entropy.diffusion: got 2; allowed: nothing, with which cut was begun" in other
    assert "--float32" in complaint("solve", "--resume", "cut", "--float32")
    assert "--out" in complaint("solve", "--resume", "cut", "--out", "other")
    assert "not the one that the solve was begun with" in complaint("solve", "ornstein-uhlenbeck", "--resume", "cut")
    Path("small.toml").unlink()  # the folder says what it was
    stale = [Path("cut", name) for name in ("report.html", "comparison.json", "pictures/density.png")]
    write(*stale, Path("cut/pictures/mine.png"), text=f'{MARK} 0">')
    assert run("solve", "--resume", "cut", "--no-pictures", "--layers", "2").exit_code == 0
    assert not any(file.exists() for file in stale)  # they were of the path so far
    assert Path("cut/pictures/mine.png").exists()
    assert Path("cut/layers.safetensors").read_bytes() == Path("whole/layers.safetensors").read_bytes()
    assert not is_begun("cut")
    assert "nothing to resume" in complaint("solve", "--resume", "cut")
    assert "no such run folder" in complaint("solve", "--resume", "nothing")


def write(*these: Path, text: str):
    for file in these:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def test_what_was_made_from_another_path_is_removed_but_nothing_else(tmp_path):
    ours = [tmp_path / PICTURES / f"{name}.png" for name in DRAWN]
    write(tmp_path / COMPARISON, *ours, text="{}")
    write(tmp_path / PAGE, text="a page that a user has put there")
    remove_derived(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [PAGE]
    assert set(draw.PICTURES) < set(DRAWN)


def test_a_solution_whose_folder_cannot_be_written_is_saved_elsewhere(workplace, monkeypatch):
    elsewhere = workplace / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    rename = os.replace

    def full(source, target):
        if "cut" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return rename(source, target)

    monkeypatch.setattr(files.os, "replace", full)
    outcome = run("solve", "--resume", "cut", "--no-pictures")
    assert outcome.exit_code == 2
    assert "genwgp: note: cut: cannot be written (No space left on device)" in outcome.stderr
    (saved,) = elsewhere.glob("genwgp-*/cut")
    assert str(saved) in outcome.stdout
    assert load(saved).result == "converged"


def test_python_that_nobody_names_is_not_run(workplace):
    Path("mine.py").write_text("raise SystemExit('was run')")
    begun = workplace / "cut" / "checkpoint" / "begun.json"
    content = json.loads(begun.read_text())
    content["problem"]["source"] = {"kind": "module", "path": "mine.py", "function": "make", "parameters": {}}
    begun.write_text(json.dumps(content))
    assert "which is not run unasked: genwgp solve mine.py:make --resume cut" in complaint("solve", "--resume", "cut")
    assert "was run" in complaint("solve", "mine.py:make", "--resume", "cut")


def killed(folder: Path, seconds: float) -> None:
    """`genwgp solve` of the small problem into RUN, or on with it, killed so long after the folder is there."""
    arguments = ["--resume", "run"] if is_begun(folder / "run") else ["small.toml", *SET, "--out", "run"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from genwgp.cli import main; main()", "solve", *arguments, "--no-pictures"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not is_begun(folder / "run") and process.poll() is None:
        time.sleep(0.01)
    try:
        _, errors = process.communicate(timeout=seconds)
        assert process.returncode == 0, errors
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_kills_at_random_moments(workplace):
    draw = random.Random(0)
    for _ in range(2):
        killed(workplace, draw.uniform(0.2, 3.0))
    assert is_begun("run")  # no kill came too late
    killed(workplace, 300)
    assert_same(load("run"), load("whole"))
