"""The package's metadata: one version, one list of test dependencies, types for users."""

import subprocess
import sys
import tomllib
from importlib import import_module, metadata, resources
from pathlib import Path

import genwgp

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())


def test_one_version():
    assert genwgp.__version__ == PROJECT["project"]["version"] == metadata.version("genwgp")


def test_the_test_extra_and_the_test_group_are_the_same_exact_pins():
    extra = PROJECT["project"]["optional-dependencies"]["test"]
    assert extra == PROJECT["dependency-groups"]["test"]
    assert all("==" in requirement for requirement in extra)


def test_the_tests_build_the_pages_with_the_pins_of_the_pages():
    extra = PROJECT["project"]["optional-dependencies"]["docs"]
    assert extra == PROJECT["dependency-groups"]["docs"]
    assert set(extra) < set(PROJECT["project"]["optional-dependencies"]["test"])


def test_types_are_shipped():
    assert resources.files("genwgp").joinpath("py.typed").is_file()


def test_the_console_script_exists():
    module, function = PROJECT["project"]["scripts"]["genwgp"].split(":")
    assert callable(getattr(import_module(module), function))


def test_public_names_come_when_they_are_asked_for():
    """jax takes a second to import, in which the console script must already hear Ctrl-C."""
    code = """
import sys
import genwgp
import genwgp.cli
assert not {"jax", "numpy", "typer"} & set(sys.modules)
found = {name: getattr(genwgp, name) for name in genwgp.__all__}
assert set(found) <= set(dir(genwgp)) and all(value is not None for value in found.values())
assert genwgp.solve is genwgp.solvers.solve and genwgp.diagnostics.measure and genwgp.cli.app
assert not hasattr(genwgp, "nothing") and not hasattr(genwgp.cli, "nothing")
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
