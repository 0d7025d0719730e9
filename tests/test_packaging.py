"""The package's metadata: one version, one list of test dependencies, types for users."""

import tomllib
from importlib import metadata, resources
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
