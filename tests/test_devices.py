"""Particles over several devices and processes: the same numbers, and one that writes.

jax knows the number of its devices from its start on, so that these run in processes of their own.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import genwgp as gw
from genwgp.cli import app
from genwgp.errors import InputError
from genwgp.io import read_run, verify

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-c", "from genwgp.cli import main; main()"]
EXACT = ("residuals", "normal", "right", "change", "mean")
SMALL = [f"method.{name}=1024" for name in ("pool", "train", "test")]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "JAX_PLATFORMS": "cpu", **more}


def test_one_device_two_and_four_compute_the_same():
    """Also where no number of devices divides the particles, with an interaction, by both of Newton's methods."""
    devices = environment(XLA_FLAGS=f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4")
    ran = subprocess.run([sys.executable, HERE / "on_devices.py"], env=devices, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert len(found["errors"]) == 10 + 1
    for name, error in found["errors"].items():
        # Coefficients of nearly dependent features feel rounding more than what they are fitted to.
        assert error < (1e-12 if name.startswith(EXACT) else 1e-8), name
    assert found["refusal"].startswith("devices: got 5; allowed: a whole number from 1 to 4, the devices of jax here; ")
    assert found["refusal"].endswith("--xla_force_host_platform_device_count=5")


def test_two_processes_solve_one_problem_and_the_first_writes(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    arguments = ["solve", "ornstein-uhlenbeck", "--set", "dim=1", "--out", "run", "--distributed", "--no-pictures"]
    arguments += ["--action", "finite-horizon", "--horizon", "0.01", "--layers", "1", "--method", "sweep"]
    arguments += [word for setting in SMALL for word in ("--set", setting)]
    started = [
        subprocess.Popen(
            [*COMMAND, *arguments],
            env=environment(JAX_COORDINATOR_ADDRESS=address, JAX_NUM_PROCESSES="2", JAX_PROCESS_ID=str(i)),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in (0, 1)
    ]
    ended = [process.communicate(timeout=600) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    assert "converged" in ended[0][0]
    assert "converged" not in ended[1][0]
    assert read_run(verify(tmp_path / "run"))["settings"]["devices"] == 2


def test_devices_that_cannot_be_used_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    problem = gw.problems.get("ornstein-uhlenbeck")
    with pytest.raises(InputError, match="devices: got 10000; allowed: a whole number from 1 to"):
        gw.solve(problem, devices=10_000)
    with pytest.raises(InputError, match="devices: got 1; allowed: None with Adam"):
        gw.solve(problem, method=gw.Adam(), devices=1)
    for given, line in (("0", "--devices: got 0"), ("10000", "devices: got 10000")):
        outcome = CliRunner().invoke(app, ["solve", "ornstein-uhlenbeck", "--devices", given])
        assert outcome.exit_code == 2
        assert line in outcome.stderr
        assert not Path("runs").exists()
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    outcome = CliRunner().invoke(app, ["solve", "ornstein-uhlenbeck", "--distributed"])
    assert outcome.exit_code == 2
    assert "JAX_PROCESS_ID" in outcome.stderr
