"""Run folders: the same numbers come back, and what is not whole is never read."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import xarray
from hypothesis import given
from hypothesis import strategies as st

import genwgp
from exact_path import ExactPath, exact_problem, exact_solution
from genwgp.errors import InputError, RunFolderError
from genwgp.io import (
    check_new_folder,
    gallery_source,
    load,
    module_source,
    read_run,
    save,
    summary,
    toml_source,
    verify,
)
from genwgp.io.plain import decode, encode
from genwgp.io.sources import problem_from_source

FILES = ["layers.safetensors", "path.nc", "run.json", "log.csv"]


@pytest.fixture(autouse=True)
def exact_paths(monkeypatch):
    """Paths are rebuilt as exact ones: what is tested here is the folder, not the path."""
    monkeypatch.setattr("genwgp.path.WassersteinPath", ExactPath)


@pytest.fixture(scope="module")
def solution():
    return exact_solution()


@pytest.fixture(scope="module")
def original(solution, tmp_path_factory):
    return save(solution, tmp_path_factory.mktemp("runs") / "exact")


@pytest.fixture
def folder(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "run"))


def refused(folder, **arguments) -> str:
    with pytest.raises(RunFolderError) as caught:
        load(folder, **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rewrite_manifest(folder, change):
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    change(manifest)
    (folder / "MANIFEST.json").write_text(json.dumps(manifest))


def test_the_same_numbers_come_back(solution, original):
    again = load(original, problem=solution.problem)
    assert sorted(path.name for path in original.iterdir()) == sorted([*FILES, "MANIFEST.json"])
    for name in ("times", "arclength", "free_energy", "dissipation", "speed", "layer_lengths", "direction_residual"):
        np.testing.assert_array_equal(getattr(again.path, name), getattr(solution.path, name))
    assert (again.result, again.message, again.stats) == (solution.result, solution.message, solution.stats)
    assert again.diagnostics == solution.diagnostics
    assert again.settings == solution.settings
    assert again.problem is solution.problem
    for name, column in solution.log.items():
        np.testing.assert_array_equal(again.log[name], column)
        assert again.log[name].dtype == column.dtype


def test_the_arrays_are_what_the_path_gave(solution, original):
    with safetensors.safe_open(original / "layers.safetensors", framework="numpy") as file:
        header = json.loads(file.metadata()["genwgp"])
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    arrays, static = solution.path.to_arrays()
    assert stored.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(stored[name], array)
        assert (stored[name].dtype, stored[name].shape) == (array.dtype, array.shape)
    assert decode(header["static"]) == static
    assert (header["dtype"], header["genwgp"]) == ("float64", genwgp.__version__)


def test_the_curves_are_a_dataset_with_units(solution, original):
    with xarray.open_dataset(original / "path.nc", engine="h5netcdf", decode_timedelta=False) as data:
        K = len(solution.path.layer_lengths)
        assert dict(data.sizes) == {"node": K + 1, "layer": K, "step": 5}
        np.testing.assert_array_equal(data["times"], solution.path.times)
        np.testing.assert_array_equal(data["log_loss"], solution.log["loss"])
        assert data["arclength"].attrs["units"] == "length"
        assert all({"units", "long_name"} <= set(variable.attrs) for variable in data.data_vars.values())


def test_the_log_is_csv_too(solution, original):
    with (original / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_array_equal([float(row["loss"]) for row in rows], solution.log["loss"])
    assert [row["step"] for row in rows] == ["0", "1", "2", "3", "4"]


def test_run_json_tells_the_origin(solution, original):
    run = read_run(original)
    assert run["seed"] == 0
    assert set(run["versions"]) == {"python", "jax", "equinox", "numpy", "genwgp"}
    assert run["summary"] == summary(solution)
    assert run["summary"]["reference_free_energy"] == solution.problem.reference.equilibrium_free_energy
    assert run["diagnostics"]["unknown"] == np.inf
    assert json.loads((original / "run.json").read_text())["date"].endswith("+00:00")


@pytest.mark.parametrize("name", [*FILES, "MANIFEST.json"])
def test_a_missing_file_is_incomplete(folder, name):
    (folder / name).unlink()
    assert "incomplete" in refused(folder)
    assert name in refused(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "longer"])
def test_a_damaged_file_is_found(folder, name, damage):
    content = bytearray((folder / name).read_bytes())
    middle = len(content) // 2
    match damage:
        case "cut":
            content = content[:middle]
        case "bit":
            content[middle] ^= 1
        case "empty":
            content = bytearray()
        case "longer":
            content += b" "
    (folder / name).write_bytes(content)
    assert "damaged" in refused(folder)
    assert name in refused(folder)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"format": "1", "files": {}}', "\x00", "[" * 100_000]
)
def test_a_damaged_manifest_is_found(folder, content):
    (folder / "MANIFEST.json").write_text(content)
    assert "damaged" in refused(folder)


def test_an_older_format_is_refused_in_words(folder):
    rewrite_manifest(folder, lambda manifest: manifest.update(format=1))
    assert "written before the first release, in format 1, which is not read: solve it again" in refused(folder)


def test_a_newer_format_is_refused_in_words(folder):
    rewrite_manifest(folder, lambda manifest: manifest.update(format=99, genwgp="7.0"))
    assert "written by genwgp 7.0 in format 99, this version reads up to 2: update genwgp" in refused(folder)


@pytest.mark.parametrize("name", FILES[:3])
def test_files_that_were_replaced_with_their_sums_are_still_checked(folder, name):
    (folder / name).write_text("{}")
    digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    rewrite_manifest(folder, lambda manifest: manifest["files"][name].update(sha256=digest))
    assert f"damaged; {name}" in refused(folder).replace("problem is missing in run.json", "run.json")


def test_what_is_no_run_folder(tmp_path):
    assert "no such run folder" in refused(tmp_path / "nothing")
    assert "no MANIFEST.json" in refused(tmp_path)
    (tmp_path / "file").write_text("")
    assert "no such run folder" in refused(tmp_path / "file")
    assert "no such run folder" in refused(tmp_path / ("n" * 300))


def test_existing_folders_are_never_touched(solution, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for existing in (folder, folder / "run.json"):
        with pytest.raises(RunFolderError, match="exists already"):
            check_new_folder(existing)
        with pytest.raises(RunFolderError, match="exists already"):
            save(solution, existing)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_parents_are_made_and_nothing_else(tmp_path):
    assert check_new_folder(tmp_path / "a" / "b" / "run") == tmp_path / "a" / "b" / "run"
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        check_new_folder(tmp_path / "file" / "run")
    with pytest.raises(RunFolderError, match="cannot be written"):
        check_new_folder(tmp_path / ("n" * 300))
    with pytest.raises(RunFolderError, match="cannot be written"):
        check_new_folder(str(tmp_path / "a\0b"))
    with pytest.raises(InputError, match="folder: got"):
        check_new_folder(" ")


@pytest.mark.parametrize("place", ["write_curves", "write_log", "files.write_json"])
@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), ValueError("bug")])
def test_a_save_that_fails_leaves_nothing(solution, tmp_path, monkeypatch, place, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(f"genwgp.io.runs.{place}", fail)
    with pytest.raises(RunFolderError if isinstance(error, OSError) else type(error)):
        save(solution, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_is_killed_leaves_nothing_that_is_read(tmp_path):
    program = f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from exact_path import exact_solution
        from genwgp.io import runs

        def stall(*_):
            print("writing", flush=True)
            time.sleep(60)

        runs.write_log = stall
        runs.save(exact_solution(layers=2), {str(tmp_path / "run")!r})
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    assert not (tmp_path / "run").exists()
    assert "incomplete" in refused(left[0])
    check_new_folder(tmp_path / "run")


def test_the_remains_of_a_save_are_refused_even_when_whole(original, tmp_path):
    shutil.copytree(original, tmp_path / ".run.partial-0123abcd")
    assert "incomplete" in refused(tmp_path / ".run.partial-0123abcd")


def test_problems_are_made_again_from_the_gallery_and_from_toml(tmp_path):
    parameters = {"dim": 3, "seed": 4}
    problem = problem_from_source(gallery_source("ornstein-uhlenbeck", parameters), "run")
    expected = genwgp.problems.get("ornstein-uhlenbeck", **parameters)
    assert jax.tree.all(jax.tree.map(np.array_equal, problem.initial, expected.initial))
    text = 'potential.expression = "a*norm2(x)"\nconstants.a = 1\nentropy.diffusion = 1\n'
    text += 'initial = {kind = "gaussian", mean = [0, 0], covariance = 1}'
    problem = problem_from_source(toml_source(text, {"constants.a": 2.0}), "run")
    assert problem.energy.potential is not None
    assert problem.energy.potential(jnp.ones(2)) == 4.0


def test_modules_are_never_run_by_load(solution, tmp_path):
    module = tmp_path / "mine.py"
    module.write_text("raise SystemExit('was run')")
    save(solution, tmp_path / "run", source=module_source(str(module), "make", {}))
    text = refused(tmp_path / "run")
    assert "make of" in text
    assert "pass problem=" in text
    source = load(tmp_path / "run", problem=solution.problem).problem_source
    assert source is not None
    assert source["function"] == "make"


def test_a_problem_made_in_python_must_be_passed(original):
    assert "pass problem=" in refused(original)


def test_another_problem_is_noticed(original):
    assert "its energy differs" in refused(original, problem=exact_problem(diffusion=1.001))
    assert "in 2 dimensions" in refused(original, problem=exact_problem(dim=3))


def test_a_source_that_gives_no_problem_any_more(solution, tmp_path):
    save(solution, tmp_path / "gone", source=gallery_source("retired", {}))
    assert "cannot be made again" in refused(tmp_path / "gone")
    save(solution, tmp_path / "odd", source={"kind": "url", "address": "https://example.org"})
    assert "unknown problem source" in refused(tmp_path / "odd")


def test_float64_runs_are_not_read_into_float32(original, solution):
    with jax.enable_x64(False):
        assert "float64" in refused(original, problem=solution.problem)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"settings": {"method": object()}}, "solution.settings.method"),
        ({"diagnostics": {"a": {1: 2}}}, "solution.diagnostics.a"),
        ({"log": {"loss": np.zeros((2, 2))}}, "solution.log.loss"),
        ({"log": {"loss": np.array(["a"])}}, "solution.log.loss"),
        ({"log": {"a": np.zeros(2), "b": np.zeros(3)}}, "solution.log"),
    ],
)
def test_what_cannot_be_kept_is_named(tmp_path, change, field):
    solution = exact_solution(layers=2)
    for name, value in change.items():
        setattr(solution, name, value)
    with pytest.raises(InputError) as caught:
        save(solution, tmp_path / "run")
    assert caught.value.field == field
    assert list(tmp_path.iterdir()) == []


def test_an_empty_log_is_kept(tmp_path):
    solution = exact_solution(layers=2)
    solution.log = {}
    save(solution, tmp_path / "run")
    assert load(tmp_path / "run", problem=solution.problem).log == {}


def test_the_core_never_imports_the_shell():
    shell = ("typer", "rich", "pydantic", "matplotlib", "xarray", "safetensors", "genwgp.cli", "genwgp.report")
    shell += ("genwgp.export", "blackjax", "flowjax", "numpyro", "arviz")
    program = f"import sys, genwgp.solvers, genwgp.path; print(*[name for name in {shell} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "\n"


def test_saving_is_quick(solution, tmp_path):
    began = time.perf_counter()
    save(solution, tmp_path / "run")
    assert verify(tmp_path / "run") == tmp_path / "run"
    assert time.perf_counter() - began < 10.0


PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text().filter(lambda k: k != "$float"), inner)
    ),
    max_leaves=8,
)


@given(PLAIN)
def test_plain_values_survive_json_exactly(value):
    assert decode(json.loads(json.dumps(encode("value", value), allow_nan=False))) == value


def test_numpy_values_and_nan_become_plain():
    encoded = encode("value", {"a": np.float32(0.5), "b": np.arange(2), "c": (1, np.nan), "d": np.bool_(True)})
    assert json.dumps(encoded, allow_nan=False) == '{"a": 0.5, "b": [0, 1], "c": [1, {"$float": "nan"}], "d": true}'
