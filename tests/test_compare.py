"""Comparisons: an exact path against its own reference is at the floor, and everything that is wrong shows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from exact_path import ExactPath, exact_problem, exact_solution
from genwgp.diagnostics import Comparison, compare
from genwgp.diagnostics.compare import arriving
from genwgp.diagnostics.distances import gaussian_wasserstein
from genwgp.errors import InputError
from genwgp.references import FiniteVolume, OrnsteinUhlenbeck, QuadratureReference, reference_for


class Offering:
    """A reference with nothing but what it is given, by name."""

    def __init__(self, **parts):
        self.__dict__.update(parts)


def reference_of(solution) -> Any:
    return solution.problem.reference


def parts_of(reference, *names) -> Offering:
    return Offering(**{name: getattr(reference, name) for name in names})


def quick(solution, reference, **settings) -> Comparison:
    usual: dict[str, Any] = {"nodes": 3, "samples": 400}
    return compare(solution, reference, **(usual | settings))


@pytest.fixture(scope="module")
def line():
    return exact_solution(dim=1, layers=4)


@pytest.fixture(scope="module")
def on_itself(line):
    return compare(line, reference_of(line))


def test_an_exact_path_is_at_the_floor_of_every_distance(on_itself):
    assert on_itself.samples == 4000
    assert on_itself.missing == {}
    for name in ("wasserstein", "sliced", "mean_error", "covariance_error"):
        ratio = on_itself.ratio(name)
        assert ratio.shape == (8,)
        assert np.all((ratio > 0.3) & (ratio < 3))
        assert 0.7 < np.exp(np.log(ratio).mean()) < 1.4
    np.testing.assert_allclose(on_itself.wasserstein, on_itself.sliced)  # one direction is all there is on a line
    # Fluctuations of order 4000^(-1/2), relative to the distribution.
    assert np.all((on_itself.mean_error_floor > 0.003) & (on_itself.mean_error_floor < 0.06))


def test_places_are_equidistant_after_the_start(line, on_itself):
    np.testing.assert_allclose(on_itself.arclength, np.arange(1, 9) / 8 * line.path.arclength[-1], rtol=1e-12)
    assert on_itself.times[-1] == np.inf
    assert np.all(np.diff(on_itself.times) > 0)


def test_energies_times_and_densities_of_an_exact_path(on_itself):
    assert on_itself.energy_error.max() < 1e-3
    np.testing.assert_allclose(on_itself.time_ratio[:-1], 1, atol=0.01)
    assert np.isnan(on_itself.time_ratio[-1])
    np.testing.assert_allclose([on_itself.l1, on_itself.kl], 0, atol=1e-9)
    np.testing.assert_allclose(on_itself.mass, 1, atol=1e-3)
    assert abs(on_itself.gap) < 1e-9
    assert on_itself.effective_sample_size == 1
    assert on_itself.log_normaliser == on_itself.reference_log_normaliser


def test_a_path_in_the_plane_is_compared_by_exact_couplings():
    solution = exact_solution(dim=2, layers=3)
    found = quick(solution, reference_of(solution), samples=300)
    assert np.all((found.ratio() > 0.6) & (found.ratio() < 1.6))
    assert np.all(found.sliced < found.wasserstein)
    assert found.l1.max() < 1e-9
    assert found.missing == {}


def test_another_equilibrium_shows_in_all_figures():
    """Against the flow at twice the temperature: everything is the distance of two known Gaussians."""
    solution, other = exact_solution(dim=2, layers=3), exact_problem(2, diffusion=2.0)
    reference: Any = other.reference
    found = quick(solution, reference, nodes=2, samples=1500)
    assert found.ratio()[-1] > 2.5
    assert found.ratio("sliced")[-1] > 3
    assert found.ratio("covariance_error")[-1] > 5
    here, there = reference_of(solution).density(np.inf), reference.density(np.inf)
    exact = gaussian_wasserstein(here.mean, here.covariance, there.mean, there.covariance)
    assert found.wasserstein[-1] == pytest.approx(exact, rel=0.25)
    # Covariances differ by the factor 2, and KL is d/2 (log 2 - 1/2) nats.
    assert found.covariance_error[-1] == pytest.approx(0.5, abs=0.1)
    assert found.kl[-1] == pytest.approx(np.log(2) - 0.5, rel=1e-3)
    assert found.reference_log_normaliser == pytest.approx(found.log_normaliser + np.log(2))
    drop = solution.path.free_energy[0] - solution.path.free_energy[-1]
    difference = found.free_energy[-1] - reference.equilibrium_free_energy
    assert found.energy_error[-1] == pytest.approx(abs(difference) / drop, rel=1e-9)


def test_a_shift_is_the_distance_and_the_error_of_the_mean(line):
    rho, a = reference_of(line).density, 0.7
    shifted = Offering(density=lambda t: gw.Gaussian(rho(t).mean + a, rho(t).covariance))
    found = quick(line, shifted, samples=4000)
    np.testing.assert_allclose(found.wasserstein, a, rtol=0.1)
    spread = [float(np.sqrt(rho(t).covariance[0, 0])) for t in found.times]
    np.testing.assert_allclose(found.mean_error, a / np.array(spread), rtol=0.1)
    np.testing.assert_allclose(found.kl, a**2 / (2 * np.array(spread) ** 2), rtol=1e-2)


@pytest.mark.parametrize("rate", [0.5, 0.9, 1.2, 3.0])
def test_a_wrong_clock_is_found(line, rate):
    """A reference whose time goes `rate` times faster has the same F at 1/rate of the time."""
    exact = reference_of(line)
    fast = Offering(
        density=lambda t: exact.density(rate * t),
        free_energy=lambda t: exact.free_energy(rate * t),
        dissipation=lambda t: rate * exact.dissipation(rate * t),
        equilibrium_free_energy=exact.equilibrium_free_energy,
        log_normaliser=None,
    )
    found = quick(line, fast, nodes=4)
    np.testing.assert_allclose(found.time_ratio[:-1], 1 / rate, rtol=0.02)
    assert "reference_log_normaliser" in found.missing


def test_an_energy_below_that_of_the_equilibrium_has_no_time(line):
    exact = reference_of(line)
    end = exact.equilibrium_free_energy + 10
    high = Offering(
        density=exact.density,
        free_energy=lambda t: exact.free_energy(t) + 10,
        dissipation=exact.dissipation,
        equilibrium_free_energy=end,
    )
    assert np.all(np.isposinf(quick(line, high).reference_times[:-1]))


def test_what_the_reference_lacks_is_missing_with_the_reason(line):
    exact = reference_of(line)
    bare = quick(line, Offering(density=lambda t: parts_of(exact.density(t), "sample")))
    assert bare.missing == {
        "l1, kl": "the reference has no log-density",
        "reference_free_energy": "the reference has no free_energy(t)",
        "reference_log_normaliser": "the reference does not know it",
    }
    for column in (bare.reference_free_energy, bare.energy_error, bare.reference_times, bare.l1, bare.kl):
        assert np.all(np.isnan(column))
    assert np.isnan(bare.reference_log_normaliser)
    assert np.all(np.isfinite(bare.wasserstein))
    no_rate = quick(line, parts_of(exact, "density", "free_energy", "log_normaliser"))
    assert no_rate.missing == {"reference_times": "the reference has no dissipation(t)"}
    np.testing.assert_allclose(no_rate.reference_free_energy, no_rate.free_energy, atol=1e-3)


def test_a_mixture_start_and_more_than_two_dimensions():
    solution = exact_solution(dim=3, layers=2)
    start = solution.problem.initial
    mixture = gw.Mixture([1.0], [start.mean], [start.covariance])
    reference = OrnsteinUhlenbeck(reference_of(solution).A, np.zeros(3), 1.0, mixture)
    found = quick(solution, reference, samples=200)
    assert found.missing == {"l1, kl": "grids are for one and two dimensions"}
    assert found.energy_error.max() < 1e-3
    np.testing.assert_allclose(found.time_ratio[:-1], 1, atol=0.01)
    assert np.all((found.ratio() > 0.8) & (found.ratio() < 1.25))


@pytest.mark.parametrize(
    ("part", "name"), [("free_energy", "reference_free_energy"), ("dissipation", "reference_times")]
)
def test_what_a_reference_cannot_compute_is_missing_with_its_reason(line, part, name):
    def refuse(t):
        raise InputError("start", "modes", "others")

    exact = reference_of(line)
    parts = {key: getattr(exact, key) for key in ("density", "free_energy", "dissipation", "equilibrium_free_energy")}
    found = quick(line, Offering(**(parts | {part: refuse})))
    assert found.missing[name] == "start: got modes; allowed: others"
    assert np.all(np.isnan(found.reference_times[:-1]))
    assert np.all(np.isfinite(found.reference_free_energy[:-1])) == (part == "dissipation")
    assert found.energy_error[-1] < 1e-3  # the end is known


def test_comparisons_follow_the_key_and_tell_their_progress(line):
    done = []
    first = quick(line, reference_of(line), progress=done.append)
    same, other = (quick(line, reference_of(line), key=jax.random.key(seed)) for seed in (0, 1))
    assert done == [1, 2, 3]
    np.testing.assert_array_equal(first.wasserstein, same.wasserstein)
    assert np.all(first.wasserstein != other.wasserstein)


def test_a_path_will_do_and_single_precision_too(line):
    of_path = quick(line.path, reference_of(line))
    np.testing.assert_array_equal(of_path.wasserstein, quick(line, reference_of(line)).wasserstein)
    with jax.enable_x64(False):
        problem = exact_problem(dim=1)
        single = quick(ExactPath(problem, 3), problem.reference)
    np.testing.assert_allclose(single.energy_error, 0, atol=1e-3)
    assert single.wasserstein.dtype == np.float64


def test_comparisons_refused(line):
    with pytest.raises(InputError, match="QuadratureReference; allowed: a reference whose density"):
        quick(line, QuadratureReference(line.problem.energy.potential, 1.0, 1))
    with pytest.raises(InputError, match=r"^samples: got 1"):
        quick(line, reference_of(line), samples=1)
    with pytest.raises(InputError, match=r"^nodes: got 0"):
        quick(line, reference_of(line), nodes=0)
    broken = ExactPath(line.problem, 3)
    broken.transport = lambda x0, **place: np.nan * x0
    with pytest.raises(InputError, match=r"^solution: got particles that are not finite"):
        quick(broken, reference_of(line))


def test_others_stand_for_a_few_particles_that_the_path_loses(line):
    whole, leaky = ExactPath(line.problem, 3), ExactPath(line.problem, 3)
    x0 = np.asarray(line.problem.initial.quasi_sample(5, 8192))
    far = np.sort(np.abs(x0 - x0.mean()).ravel())[-4]
    gone = lambda x: jnp.abs(x - x0.mean()).max(1, keepdims=True) > far
    leaky.transport = lambda x0, **place: jnp.where(gone(x0), jnp.nan, whole.transport(x0, **place))
    kept = arriving(leaky, 5, 8192)
    assert np.isfinite(leaky.transport(kept, node=3)).all()
    assert 1 <= (np.asarray(kept) != x0).sum() <= 3
    assert np.isfinite(quick(leaky, reference_of(line)).energy_error).all()


def test_the_reference_of_a_problem(line):
    assert reference_for(line.problem) is line.problem.reference
    without = gw.Problem(line.problem.energy, line.problem.initial, "without")
    assert isinstance(reference_for(without), FiniteVolume)
