"""Ctrl-C: real signals to a `genwgp` in a process of its own, which lingers where it is to be pressed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genwgp.cli.environment import Interrupts
from genwgp.io import read_run

COMMAND = """
import sys
import time

from exact_path import exact_solution
from genwgp import report, solvers
from genwgp.cli import app, solve
from genwgp.io import save


def tell(moment):
    print(moment, flush=True)
    time.sleep(1.0 if moment in sys.argv else 0.0)


def solver(problem, action, **options):
    try:
        tell("solving")
        result = solvers.Result.CONVERGED
    except KeyboardInterrupt:
        result = solvers.Result.INTERRUPTED
    tell("measuring")
    return exact_solution(layers=2, result=result)


def saver(*arguments, **options):
    tell("writing")
    return save(*arguments, **options)


solvers.solve, solve.save, solve.use_compilation_cache = solver, saver, lambda: None
report.draw_all = lambda *arguments, wanted: tell("drawing") if wanted() else None
app(["solve", "banana", "--out", "run"])
"""

# The console script, with a pause in the import of a module; where there is a second argument, deaf from the beginning.
IMPORTING = """
import signal
import sys
import time

_, module, *deaf = sys.argv
if deaf:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Lingering:
    def find_spec(self, name, *_):
        if name == module:
            sys.meta_path.remove(self)
            print("importing", flush=True)
            time.sleep(1 if deaf else 20)


sys.meta_path.insert(0, Lingering())
from genwgp.cli import main

sys.argv = ["genwgp", "list"]
main()
"""


def pressed(folder: Path, presses: dict[str, int]) -> tuple[int, list[str], str]:
    """Exit code, lines of stdout and text of stderr of a solve that gets Ctrl-C at these moments, so many times."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *presses],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        for _ in range(presses.get(lines[-1], 0)):
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    return process.returncode, lines, errors


def test_an_interruption_that_python_loses_is_raised_again():
    with Interrupts(quiet=True) as interrupts:
        interrupts.repeat()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.repeat()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("presses", "result", "drawn", "said"),
    [
        ({"solving": 1}, "interrupted", True, "the path so far, if there is a part of it, is measured and written"),
        ({"solving": 1, "measuring": 1}, "interrupted", False, "Ctrl-C once more ends at once, without it"),
        ({"solving": 1, "writing": 2}, "interrupted", False, "the folder is being written, and then it ends"),
        ({"writing": 1}, "converged", False, "the folder is being written, and then it ends"),
        ({"drawing": 1}, "converged", True, "it ends after this picture; the folder is written"),
    ],
)
def test_what_was_found_is_written(tmp_path, presses, result, drawn, said):
    code, lines, errors = pressed(tmp_path, presses)
    assert code == 130
    assert said in errors
    assert os.listdir(tmp_path) == ["run"]
    assert read_run(tmp_path / "run")["result"] == result
    assert ("drawing" in lines) == drawn
    assert lines[-1 - drawn].split() == ["folder", "run"]


def test_the_third_ends_and_leaves_nothing(tmp_path):
    code, lines, errors = pressed(tmp_path, {"solving": 1, "measuring": 2})
    assert code == 130
    assert errors.endswith("genwgp: interrupted\n")
    assert os.listdir(tmp_path) == []
    assert lines == ["solving", "measuring"]


def pressed_while_importing(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `genwgp list` that gets Ctrl-C while it imports a module."""
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTING, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=15)
    return process.returncode, output, errors


@pytest.mark.parametrize("module", ["jax", "typer", "genwgp.cli.stored"])
def test_while_the_command_is_imported_it_ends_in_one_line(module):
    assert pressed_while_importing(module) == (130, "", "genwgp: interrupted\n")


def test_a_command_that_must_not_hear_it_does_not():
    """As shells start jobs in the background: SIGINT is ignored from the beginning."""
    code, output, errors = pressed_while_importing("jax", "deaf")
    assert (code, errors) == (0, "")
    assert "tilted-double-well" in output
