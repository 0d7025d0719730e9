"""Pictures: there, readable as PNG, with what they claim to show, and without touching matplotlib's global state."""

import sys
from types import SimpleNamespace
from typing import Any

import jax
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from exact_path import ExactPath, exact_problem, exact_solution
from genwgp.diagnostics import compare
from genwgp.errors import InputError, RunFolderError
from genwgp.report import draw_all, draw_comparison, hero, style
from genwgp.report.comparison import comparison_picture
from genwgp.report.curves import direction_picture, free_energy_picture, layers_picture
from genwgp.report.density import SIDE, densities, density_picture
from genwgp.report.sampling import equilibrium_shape, frames, grid, log_density, window
from genwgp.report.trajectories import trajectories, trajectory_picture

NAMES = {"density", "trajectories", "free-energy", "layers", "direction-residual"}


def texts(picture: Figure) -> str:
    """All that is written in a picture."""
    found = [axes.get_title() + axes.get_xlabel() + axes.get_ylabel() for axes in picture.axes]
    legends = [axes.get_legend() for axes in picture.axes]
    found += [text.get_text() for legend in [*legends, *picture.legends] if legend for text in legend.get_texts()]
    return "\n".join(found)


def line(axes: Axes, label: str) -> np.ndarray:
    """Points (m, 2) of the line with a label."""
    (found,) = [line for line in axes.get_lines() if line.get_label() == label]
    return np.asarray(found.get_xydata())


@pytest.fixture(scope="module")
def plane():
    return exact_solution(dim=2, layers=4)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_all_pictures_are_written(dim, tmp_path):
    solution = exact_solution(dim=dim, layers=3)
    files = draw_all(solution, tmp_path / "new" / "pictures")
    assert {file.stem for file in files} == NAMES
    for file in files:
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("L"))
        assert min(pixels.shape) > 300
        assert pixels.std() > 5
    assert len(list((tmp_path / "new" / "pictures").iterdir())) == len(files)


def test_pictures_stop_between_two_when_they_are_not_wanted_any_more(plane, tmp_path):
    more = iter([True, True, False, False, False])
    files = draw_all(plane, tmp_path / "pictures", wanted=lambda: next(more))
    assert len(files) == 2
    assert sorted(files) == sorted((tmp_path / "pictures").iterdir())


def test_a_path_that_stands_still_has_its_picture(plane):
    still = SimpleNamespace(layer_lengths=np.zeros(2), speed=np.zeros(3))
    assert layers_picture(still).axes[0].get_ylim() == (0, 1)


def test_nothing_global_is_changed(plane, tmp_path, monkeypatch):
    before = dict(mpl.rcParams)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # from here an import of it fails
    draw_all(plane, tmp_path)
    assert dict(mpl.rcParams) == before


def test_the_frames_are_equidistant_from_start_to_end(plane):
    shown = frames(plane.path, style.FRAMES, 100)
    arclength = [frame.arclength for frame in shown]
    np.testing.assert_allclose(arclength, np.linspace(0, plane.path.arclength[-1], 8), rtol=1e-12)
    assert shown[0].time == 0
    assert shown[-1].time == np.inf
    assert all(frame.samples.shape == (100, 2) for frame in shown)


def test_heat_maps_hold_the_mass(plane):
    shown = frames(plane.path, style.FRAMES, 4000)
    box = window([frame.samples for frame in shown])
    cell = np.prod((box[:, 1] - box[:, 0]) / (SIDE - 1))
    np.testing.assert_allclose(densities(shown, box).sum(axis=(1, 2)) * cell, 1.0, atol=0.02)


def test_heat_maps_put_the_first_coordinate_to_the_right(plane):
    shown = frames(plane.path, 2, 100)[:1]
    box = np.array([[-4.0, 4.0], [-3.0, 3.0]])
    row, column = np.unravel_index(densities(shown, box, 81)[0].argmax(), (81, 81))
    np.testing.assert_allclose([-4 + 0.1 * column, -3 + 0.075 * row], plane.problem.initial.mean, atol=0.05)


def test_density_pictures_name_times_and_lengths(plane):
    text = texts(density_picture(plane.path))
    assert r"$t = \infty$" in text
    assert text.count("$s = ") == 8
    curves = density_picture(exact_solution(dim=1, layers=3).path)
    assert texts(curves).count("$s = ") == 8
    assert "equilibrium" in texts(curves)


def test_curves_in_one_dimension_are_the_densities():
    path = ExactPath(exact_problem(dim=1), 3)
    axes = density_picture(path).axes[0]
    drawn = np.asarray(axes.get_lines()[0].get_xydata())
    np.testing.assert_allclose(drawn[:, 1], np.exp(path.initial.log_prob(drawn[:, :1])), rtol=1e-6)
    end, target = (np.asarray(axes.get_lines()[i].get_xydata())[:, 1] for i in (7, 8))
    np.testing.assert_allclose(end, target, atol=2e-3)


def test_marginals_of_at_most_four_coordinates():
    assert len(density_picture(exact_solution(dim=5, layers=2).path).axes) == 4
    assert len(density_picture(exact_solution(dim=3, layers=2).path).axes) == 3


def test_particles_go_from_start_to_end(plane):
    arclength, x = trajectories(plane.path)
    assert x.shape == (4 * 8 + 1, 200, 2)
    np.testing.assert_array_equal(arclength[::8], plane.path.arclength)
    np.testing.assert_array_equal(x[0], plane.problem.initial.sample(jax.random.key(0), 200))
    np.testing.assert_allclose(x[-1], plane.path.transport(x[0], node=4), rtol=1e-12)
    assert "200 particles" in texts(trajectory_picture(plane.path))


def test_free_energy_is_drawn_at_the_nodes(plane):
    left, right = free_energy_picture(plane.path).axes
    path = plane.path
    np.testing.assert_array_equal(line(left, "nodes"), np.stack([path.times, path.free_energy], 1)[:-1])
    np.testing.assert_array_equal(line(right, "nodes"), np.stack([path.arclength, path.free_energy], 1))


def test_tangents_have_the_slope_of_the_dissipation(plane):
    axes = free_energy_picture(plane.path).axes[1]
    for k, tangent in enumerate(axes.get_lines()[1:]):
        (x0, y0), (x1, y1) = np.asarray(tangent.get_xydata())
        np.testing.assert_allclose((y1 - y0) / (x1 - x0), -np.sqrt(plane.path.dissipation[k]), rtol=1e-9)
        np.testing.assert_allclose((y1 + y0) / 2, plane.path.free_energy[k], rtol=1e-9)


@pytest.mark.parametrize("last", [2e-3, 1.0, 1e3])
def test_the_time_axis_has_ticks_from_thousandths_to_thousands(plane, last):
    path = ExactPath(plane.problem, 4)
    path.times = np.array([0.0, 1e-3, 1.5e-3, last, np.inf])
    axes = free_energy_picture(path).axes[0]
    ticks = axes.get_xticks()
    assert ticks[0] == 0
    assert 2 <= len(ticks) <= 9
    assert np.all(ticks[1:] >= 1e-3)
    assert ticks[-1] <= last


def test_a_path_with_finite_times_says_so(plane):
    path = ExactPath(plane.problem, 4)
    path.times = np.linspace(0.0, 2.0, 5)
    left = free_energy_picture(path).axes[0]
    assert "∞" not in texts(left.figure)  # pyright: ignore[reportArgumentType]
    assert len(line(left, "nodes")) == 5


def test_layers_are_bars_with_a_band(plane):
    left, right = layers_picture(plane.path).axes
    bars = [patch for patch in left.patches if isinstance(patch, Rectangle)]
    heights = [bar.get_height() for bar in bars if bar.get_width() < 1]
    np.testing.assert_allclose(heights, plane.path.layer_lengths)
    assert "mean ± 5 %" in texts(left.figure)  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(right.get_lines()[0].get_ydata(), plane.path.speed)


def test_nodes_that_are_not_judged_are_hollow(plane):
    path = ExactPath(plane.problem, 4)
    path.free_energy, path.direction_residual = (
        np.array([10.0, 5.0, 0.2, 0.05, 0.0]),
        np.array([0.1, 0.2, 0.25, 0.9, 1.2]),
    )
    for axes, places in zip(direction_picture(path).axes, ([0, 1, 2], [0, 50, 98]), strict=True):
        np.testing.assert_allclose(line(axes, "nodes"), np.stack([places, [0.1, 0.2, 0.25]], axis=1))
        assert len(line(axes, "beyond 99 % of the drop of F: not judged")) == 2


def test_a_residual_of_zero_is_still_drawn(plane):
    path = ExactPath(plane.problem, 4)
    assert direction_picture(path).axes[0].get_yscale() == "log"
    path.direction_residual = np.zeros(5)
    assert direction_picture(path).axes[0].get_yscale() == "linear"


def test_the_equilibrium_is_the_gibbs_density(plane):
    _, _, points = grid(np.array([[-5.0, 5.0], [-5.0, 5.0]]), 101)
    shape = equilibrium_shape(plane.path, points)
    assert shape is not None
    exact = np.exp(log_density(plane.path.equilibrium, points))
    np.testing.assert_allclose(shape, exact / exact.max(), rtol=1e-9)


def test_densities_that_fail_somewhere_leave_holes(plane):
    class Holed:
        def log_prob(self, x):
            return plane.path.initial.log_prob(x).at[0].set(np.nan)

    values = log_density(Holed(), np.zeros((5000, 2)))
    assert np.isneginf(values[0])
    assert np.isfinite(values[1:4096]).all()


def test_windows_ignore_samples_that_are_not_finite():
    x = np.array([[0.0, 1.0], [np.nan, 9.0], [np.inf, 0.0], [1.0, 3.0]])
    np.testing.assert_allclose(window([x], share=0, margin=0), [[0, 1], [1, 3]])
    with pytest.raises(InputError, match="not finite"):
        window([x, x[1:3]])


def test_hero_is_for_the_plane(plane, tmp_path):
    with Image.open(hero(plane, tmp_path / "hero.png")) as image:
        assert image.width > 2 * image.height
    with pytest.raises(InputError, match="a path in 2 dimensions"):
        hero(exact_solution(dim=1, layers=2), tmp_path / "no.png")


def test_pictures_go_where_they_can(plane, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        draw_all(plane, tmp_path / "file" / "pictures")


@pytest.fixture(scope="module", params=[1, 2, 3])
def compared(request):
    solution = exact_solution(dim=request.param, layers=3)
    return solution, compare(solution, solution.problem.reference, nodes=4, samples=200)


def test_comparisons_show_energies_ratios_and_densities_up_to_two_dimensions(compared):
    solution, found = compared
    picture = comparison_picture(found, solution.path, solution.problem.reference)
    left, right = picture.axes[:2]
    np.testing.assert_array_equal(line(left, "reference"), np.stack([found.times, found.reference_free_energy], 1)[:-1])
    np.testing.assert_array_equal(line(right, "$W_2$"), np.stack([found.arclength, found.ratio()], 1))
    assert "of the drop" in left.get_title()
    panels = {1: 8, 2: 12 + 2, 3: 0}[solution.path.dim]  # two colour bars in the plane
    assert len(picture.axes) == 2 + panels
    assert texts(picture).count("$s = ") == (4 if solution.path.dim < 3 else 0)


def test_differences_are_in_per_cent_of_the_peak():
    solution = exact_solution(dim=1, layers=3)
    other: Any = exact_problem(dim=1, diffusion=2.0).reference
    found = compare(solution, other, nodes=4, samples=200)
    picture = comparison_picture(found, solution.path, other)
    upper, lower = (np.asarray(picture.axes[i].get_lines()[0].get_xydata()) for i in (5, 9))
    x, rho = upper[:, :1], solution.path.equilibrium.log_prob
    reference = np.exp(other.density(np.inf).log_prob(x))
    np.testing.assert_allclose(upper[:, 1], np.exp(rho(x)), rtol=1e-6)
    np.testing.assert_allclose(lower[:, 1], 100 * (upper[:, 1] - reference) / reference.max(), atol=1e-9)


def test_a_reference_that_only_samples_is_compared_without_densities(plane):
    class Sampling:
        def __init__(self, t):
            self.sample = plane.problem.reference.density(t).sample

    class Particles:
        density = staticmethod(Sampling)

    found = compare(plane, Particles(), nodes=2, samples=100)
    picture = comparison_picture(found, plane.path, Particles())
    assert len(picture.axes) == 2
    assert "the reference does not know it" in picture.axes[0].get_title()


def test_large_ratios_are_drawn_logarithmically(plane):
    found = compare(plane, plane.problem.reference, nodes=2, samples=100)
    scale = lambda comparison: comparison_picture(comparison, plane.path, plane.problem.reference).axes[1].get_yscale()
    assert scale(found) == "linear"
    assert scale(found._replace(mean_error=100 * found.mean_error_floor)) == "log"


def test_comparisons_are_written_where_they_can(plane, tmp_path):
    found = compare(plane, plane.problem.reference, nodes=2, samples=100)
    arguments = (found, plane.path, plane.problem.reference)
    with Image.open(draw_comparison(*arguments, tmp_path / "new" / "comparison.png")) as image:
        assert image.height > image.width / 2  # curves, and densities below
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["comparison.png"]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        draw_comparison(*arguments, tmp_path / "file" / "comparison.png")
