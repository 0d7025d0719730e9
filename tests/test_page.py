"""The page of a run: what is in it are the run's numbers, nothing from outside is code, every kind of run has one."""

import base64
import copy
import dataclasses
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from exact_path import LAST, ExactPath, exact_problem, exact_solution
from genwgp import FreeEnergy, Problem
from genwgp.diagnostics import compare
from genwgp.errors import InputError, RunFolderError
from genwgp.io import comparison_record, read_comparison, read_run, save, write_comparison
from genwgp.io.derived import is_page
from genwgp.io.plain import decode
from genwgp.report import write_page
from genwgp.report.animation import animate, check_writer
from genwgp.report.notebook import solution_html
from genwgp.report.page import page
from genwgp.report.parts import about_bound, bound_columns, number
from genwgp.report.payload import TimeAxis, packed
from genwgp.report.scene import COORDINATES, FEW, MANY, SIDE, STEPS, Scene, scene
from genwgp.solvers import Result, Solution


class ToHorizon(ExactPath):
    """The path up to a finite time."""

    def __init__(self, problem, layers):
        super().__init__(problem, layers)
        self.times = np.append(self.times[:-1], LAST)

    def _where(self, time, arclength, node):
        when, length = super()._where(time, arclength, node)
        return min(when, LAST), length


def replaced(solution: Any, **parts: Any) -> Any:
    return dataclasses.replace(solution, **parts)


def without_entropy(dim: int) -> Any:
    """The same path as if its energy were a potential alone."""
    solution = exact_solution(dim, layers=3)
    problem = Problem(FreeEnergy(solution.problem.energy.potential), solution.problem.initial, "potential")
    path = copy.copy(solution.path)
    path.energy = problem.energy
    return replaced(solution, path=path, problem=problem)


def content(text: str) -> dict[str, Any]:
    """What the script of a page draws."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def unpacked(values: dict[str, Any]) -> np.ndarray:
    levels = np.frombuffer(base64.b64decode(values["data"]), "<u2").reshape(values["shape"])
    return values["low"] + (values["high"] - values["low"]) * levels / 65535


@pytest.fixture(scope="module")
def scenes() -> dict[int, Scene]:
    return {dim: scene(exact_solution(dim, layers=3).path) for dim in (1, 2, 5)}


@pytest.fixture(scope="module")
def plane(scenes) -> str:
    return page(exact_solution(2, layers=3), shown=scenes[2])


def test_a_scene_follows_the_same_particles_in_equal_steps(scenes):
    path, shown = exact_solution(2, layers=3).path, scenes[2]
    np.testing.assert_allclose(shown.arclength, np.linspace(0, path.arclength[-1], STEPS + 1), rtol=1e-12)
    assert (shown.times[0], shown.times[-1]) == (0, np.inf)
    assert shown.particles.shape == (STEPS + 1, FEW, 2)
    moved = path.transport(shown.particles[0], arclength=shown.arclength[7])
    np.testing.assert_allclose(shown.particles[7], moved, rtol=1e-9)


def test_densities_of_a_scene_have_mass_one_and_reach_the_target(scenes):
    for dim, shown in scenes.items():
        if dim < 3:
            sides = (shown.box[:, 1] - shown.box[:, 0]) / (np.array(shown.densities.shape[1:]) - 1)  # pyright: ignore
            mass = shown.densities.reshape(STEPS + 1, -1).sum(axis=1) * sides.prod()  # pyright: ignore
            np.testing.assert_allclose(mass, 1, atol=0.02)
            np.testing.assert_allclose(shown.target, shown.densities[-1], atol=2e-3)  # pyright: ignore
        else:
            assert shown.densities is shown.target is None
            assert shown.target_name == "end of the path"
            assert shown.particles.shape[1:] == (MANY, dim)


def test_scenes_tell_how_far_they_are_and_refuse_particles_at_infinity():
    path, done = exact_solution(1, layers=3).path, []
    scene(path, steps=4, tell=done.append)
    assert done == [1, 2, 3, 4, 5]
    lost = copy.copy(path)
    lost.transport = lambda x, **_: np.full(np.shape(x), np.nan)
    with pytest.raises(InputError, match="not finite"):
        scene(lost, steps=2)


def test_the_pair_is_the_one_whose_variance_changes_most():
    solution = exact_solution(12, layers=2)
    shown = scene(solution.path, steps=2)
    change = np.abs(shown.particles[-1].var(0) - shown.particles[0].var(0))
    assert shown.particles.shape[2] == len(shown.coordinates) == COORDINATES
    assert set(shown.pair) == set(np.argsort(change)[-2:].tolist())
    assert shown.coordinates.tolist() == list(range(COORDINATES))  # the weakest confinement, so the largest change
    text = page(solution, shown=shown)
    assert text.count("<option value=") == 2 + COORDINATES * (COORDINATES - 1) // 2


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_numbers_in_the_page_are_those_of_the_run(dim, scenes):
    solution, shown = exact_solution(dim, layers=3), scenes[dim]
    held = content(page(solution, shown=shown))
    path = solution.path
    for name in ("arclength", "free_energy", "dissipation", "speed", "direction_residual"):
        assert held["curves"][name] == getattr(path, name).tolist()
    assert held["curves"]["times"] == [*path.times[:-1].tolist(), None]
    assert held["frames"]["arclength"] == shown.arclength.tolist()
    np.testing.assert_allclose(unpacked(held["particles"]), shown.particles, atol=1e-4)
    assert (held["densities"] is None) == (dim > 2)
    if shown.densities is not None:
        np.testing.assert_allclose(unpacked(held["densities"]), shown.densities, atol=1e-5 * shown.densities.max())


def test_the_head_has_verdict_and_figures(plane):
    figures = dict(re.findall(r'<dd data-figure="(\w+)">([^<]*)', plane))
    assert "✓</span> converged" in plane
    assert "the path is exact" in plane
    path = exact_solution(2, layers=3).path
    assert figures["free_energy_start"].strip() == f"{path.free_energy[0]:.5f}"
    assert figures["effective_sample_size"].strip() == "100.00"
    gap = path.free_energy[-1] - path.equilibrium.free_energy
    assert figures["gap"].strip() == f"{gap:.3g}"
    assert "<td>∞</td>" in plane


def test_a_page_needs_no_network(plane):
    shell = re.sub(r'<script type="text/plain" id="library">.*?</script>', "", plane, flags=re.DOTALL)
    assert "default-src 'none'" in shell
    assert not re.search(r'(src|href)="', shell)
    assert "http" not in shell.replace("http-equiv", "")
    assert len(plane) < 4e6


def test_names_and_messages_are_text(scenes):
    evil = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(2)>"
    solution = exact_solution(2, layers=3)
    problem = copy.copy(solution.problem)
    object.__setattr__(problem, "name", evil)
    source = {"kind": "toml", "text": evil}
    settings = {"seed": 0, evil: evil}
    bad = replaced(solution, problem=problem, message=evil, settings=settings, problem_source=source)
    text = page(
        bad, {"date": evil, "versions": {evil: evil}, "platform": {"system": evil, "devices": [evil]}}, None, scenes[2]
    )
    assert evil not in text
    assert "<img" not in text
    assert text.count("<script") == 4
    assert f"<h1>{html.escape(evil)}</h1>" in text
    shown = solution_html(bad)
    assert "<script" not in shown
    assert shown.count("<img") == 1


@pytest.mark.parametrize("result", list(Result))
def test_every_result_has_its_words(result, scenes):
    text = page(replaced(exact_solution(2, layers=3), result=result), shown=scenes[2])
    assert ("badge good" in text) == (result == Result.CONVERGED)
    assert ("badge bad" in text) == (result != Result.CONVERGED)


@pytest.mark.parametrize("dim", [1, 2])
def test_without_an_internal_energy_particles_stand_for_the_density(dim):
    solution = without_entropy(dim)
    shown = scene(solution.path, steps=3)
    assert shown.densities is None
    assert shown.particles.shape == (4, MANY, dim)
    text = page(solution, shown=shown)
    assert "log Z" not in text
    assert content(text)["equilibrium"] is None


def test_in_single_precision():
    with jax.enable_x64(False):
        solution = exact_solution(2, layers=3)
        held = content(page(solution, shown=scene(solution.path, steps=3)))
    assert held["particles"]["shape"] == [4, FEW, 2]
    assert held["densities"]["shape"] == [4, SIDE, SIDE]


def test_a_horizon_is_the_end():
    solution = replaced(exact_solution(1, layers=3), path=ToHorizon(exact_problem(1), 3))
    shown = scene(solution.path, steps=3)
    assert shown.densities is not None
    np.testing.assert_array_equal(shown.target, shown.densities[-1])
    held = content(page(solution, shown=shown))
    assert held["target_name"] == "end of the path"
    assert held["frames"]["times"][-1] == LAST
    assert "∞" not in [text for _, text in held["ticks"]]


def test_the_time_axis_has_a_place_for_infinity():
    axis = TimeAxis(np.array([0, 0.1, 1, np.inf]), np.array([0, 0.5, 7, np.inf]))
    places = np.array(axis.places(np.array([0, 0.1, 7, np.inf])), dtype=float)
    assert places[0] == 0
    assert np.all(np.diff(places) > 0)
    assert axis.ticks[-1] == [float(places[-1]), "∞"]
    assert TimeAxis(np.zeros(2)).places(np.zeros(2)) == [0, 0]  # a path that stands still


def test_packed_arrays_are_right_to_their_step():
    values = np.random.default_rng(0).normal(size=(3, 4, 2))
    np.testing.assert_allclose(unpacked(packed(values)), values, atol=np.ptp(values) / 131070 * 1.001)
    np.testing.assert_array_equal(unpacked(packed(np.full((2, 2), 3.0))), 3.0)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A run folder with a comparison."""
    solution = exact_solution(2, layers=3)
    folder = save(solution, tmp_path_factory.mktemp("runs") / "run")
    found = compare(solution, solution.problem.reference, 3, 100)
    bounds = {"bound": [0.012345, 0.02, np.inf], "times": [1.0, 2.0, np.inf], "convexity": 0.6, "estimated": True}
    record = comparison_record(found, reference_description="a <b>", certificate=bounds)
    write_comparison(record, folder)
    return folder, decode(record)


def test_a_comparison_is_shown_with_its_figures(compared, scenes):
    folder, record = compared
    read = read_comparison(folder)
    np.testing.assert_equal(read, record)
    text = page(exact_solution(2, layers=3), read_run(folder), read, scenes[2])
    held = content(text)["comparison"]
    ratio = np.array(record["wasserstein"]) / record["wasserstein_floor"]
    np.testing.assert_allclose(held["ratios"]["wasserstein"], ratio, rtol=1e-12)
    assert held["free_energy"][0] == record["reference_free_energy"][0]
    assert f"<td>{record['l1'][0]:.5g}</td>" in text
    assert "a &lt;b&gt;" in text
    bound = record["certificate"]["bound"]
    assert all(f"<td>{number(value)}</td>" in text for value in bound)
    assert "L = 0.6 (estimated over particles, so no proof)" in text
    assert read_run(folder)["date"][:10] in text


def test_how_loose_a_bound_is_where_samples_see_a_difference():
    record = {"times": [1.0, 2.0], "wasserstein": [0.5, 0.3], "wasserstein_floor": [0.3, 0.29]}
    bounds = {"bound": [0.8, np.inf], "convexity": -2.0, "estimated": False}
    columns = bound_columns({**record, "certificate": bounds})
    np.testing.assert_allclose(columns["bound / W₂"], [2.0, np.nan])
    assert columns["bound on W₂"] == [0.8, np.inf]
    assert "L = -2 (given)" in about_bound({"certificate": bounds})
    assert "soon says nothing" in about_bound({"certificate": bounds})
    assert bound_columns(record) == bound_columns({**record, "certificate": {**bounds, "bound": [1.0]}}) == {}


def test_comparisons_that_are_not_ours_are_refused(tmp_path):
    assert read_comparison(tmp_path) is None
    (tmp_path / "comparison.json").write_text('{"samples": 3}')
    with pytest.raises(RunFolderError, match="lacks arclength"):
        read_comparison(tmp_path)


def test_pages_are_known_and_written_whole(tmp_path, plane, scenes):
    solution = exact_solution(2, layers=3)
    file = write_page(solution, tmp_path / "new" / "page.html", shown=scenes[2])
    assert file.read_text(encoding="utf-8") == plane
    assert is_page(file)
    (tmp_path / "other.html").write_text("<html>")
    assert not is_page(tmp_path / "other.html")
    with pytest.raises(RunFolderError, match="cannot be written"):
        write_page(solution, tmp_path / "other.html" / "page.html", shown=scenes[2])


def test_a_solution_shows_itself_in_a_notebook():
    solution = exact_solution(2, layers=3)
    real = Solution(**{field.name: getattr(solution, field.name) for field in dataclasses.fields(solution)})
    text = real._repr_html_()
    assert "converged" in text
    assert f"{solution.path.free_energy[0]:.5f}" in text
    assert len(text) < 300_000
    found = re.search(r"base64,([\w+/=]+)", text)
    assert found is not None
    with Image.open(io.BytesIO(base64.b64decode(found.group(1)))) as image:
        assert image.width > 400


def test_a_solution_without_a_finite_path_shows_its_figures():
    solution = exact_solution(2, layers=3)
    path = copy.copy(solution.path)
    path.arclength = np.full(4, np.nan)
    text = solution_html(replaced(solution, path=path, result=Result.NON_FINITE))
    assert "not finite" in text
    assert "<img" not in text


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_films_move(dim, tmp_path):
    path = exact_solution(dim, layers=3).path
    file = animate(path, scene(path, steps=3), tmp_path / "film.gif")
    with Image.open(file) as image:
        assert image.n_frames >= 4  # pyright: ignore[reportAttributeAccessIssue]
        first = np.asarray(image.convert("L"), dtype=float)
        image.seek(3)
        assert np.abs(np.asarray(image.convert("L"), dtype=float) - first).mean() > 0.5
    assert [file.name for file in tmp_path.iterdir()] == ["film.gif"]


def test_an_mp4_needs_ffmpeg_and_says_so(tmp_path, monkeypatch):
    path, file = exact_solution(1, layers=3).path, tmp_path / "film.mp4"
    try:
        check_writer("--mp4", "film.mp4")
    except InputError:
        pass
    else:
        assert b"ftyp" in animate(path, scene(path, steps=2), file).read_bytes()[:12]
    monkeypatch.setattr("matplotlib.animation.FFMpegWriter.isAvailable", lambda: False)
    with pytest.raises(InputError, match=r"^--mp4: got film\.mp4; allowed: a film only where .* ffmpeg"):
        check_writer("--mp4", "film.mp4")
    with pytest.raises(InputError, match=r"^--gif: got film\.mp4; allowed: a file that ends in \.gif"):
        check_writer("--gif", "film.mp4")


def test_a_film_that_cannot_be_written_says_so(tmp_path, scenes):
    (tmp_path / "file").write_text("")
    path = exact_solution(1, layers=3).path
    with pytest.raises(RunFolderError, match="cannot be written"):
        animate(path, scene(path, steps=1), Path(tmp_path / "file" / "film.gif"))
