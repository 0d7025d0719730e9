"""`solve` and the path it returns, against the exact Ornstein-Uhlenbeck path; what is saved and read back."""

import sys
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.clock import Clock, logarithmic_mean, times_of
from genwgp.errors import InputError, NotConvergedError
from genwgp.problems.ornstein_uhlenbeck import Quadratic

SMALL = gw.CausalSweep(pool=2048, train=1024, test=2048)
KEY, SHORT = jax.random.key(0), gw.FiniteHorizonAction(0.5)


@pytest.fixture(scope="module")
def problem():
    return gw.problems.get("ornstein-uhlenbeck")


@pytest.fixture(scope="module")
def events():
    return []


@pytest.fixture(scope="module")
def solution(problem, events):
    return gw.solve(problem, gw.GeometricAction(), layers=5, key=KEY, method=SMALL, progress=events.append)


def test_the_run_says_that_it_converged(solution, events):
    assert solution.result == gw.Result.CONVERGED
    figures = solution.diagnostics
    assert 0 <= figures["action"] < 1e-4 * figures["energy_drop"]
    assert abs(figures["action"] - figures["action_second_form"]) < 2e-3 * figures["energy_drop"]
    assert figures["speed_spread"] < 0.01
    assert figures["direction_residual"] < 0.01
    assert figures["dissipation_error"] < 0.01
    assert figures["rise"] == 0
    assert len(events) == solution.stats["segments"] == len(solution.log["time"])
    assert all(np.isfinite(event.free_energy) for event in events)
    assert solution.settings["layers"] == 5


@pytest.mark.parametrize("time", [0.25, 1.0, 4.0])
def test_densities_along_the_path_are_exact(problem, solution, time):
    rho, exact = solution.path.at(time=time), problem.reference.density(time)
    x = rho.sample(jax.random.key(1), 500)
    np.testing.assert_allclose(rho.log_prob(x), exact.log_prob(x), atol=2e-3)
    np.testing.assert_allclose(rho.score(x), exact.score(x), atol=5e-3)
    assert rho.time == pytest.approx(time)
    one = x[0]
    assert rho.log_prob(one) == pytest.approx(float(rho.log_prob(x)[0]), abs=1e-9)


class _WithOutlier(gw.Gaussian):
    """A start whose first sample of many is lost on the way."""

    def sample(self, key, n):
        x = super().sample(key, n)
        return x.at[0].set(np.inf) if n > 1 else x


def test_samples_that_are_lost_are_drawn_again(problem, solution):
    rho, start = solution.path.at(time=1.0), problem.initial
    outlier: Any = _WithOutlier
    lossy = eqx.tree_at(lambda rho: rho.initial, rho, outlier(start.mean, start.covariance))
    key = jax.random.key(1)
    found, plain = lossy.sample(key, 50), rho.sample(key, 50)
    assert np.isfinite(found).all()
    x, log_density = lossy.sample_and_log_prob(key, 50)
    np.testing.assert_allclose(x, found, rtol=1e-12)
    assert np.isfinite(log_density).all()
    np.testing.assert_array_equal(found[1:], plain[1:])
    assert not np.allclose(found[0], plain[0])


@pytest.mark.parametrize(
    ("moved", "lost"), [(0.0, False), (900.0, False), (1100.0, True), (np.inf, True), (np.nan, True)]
)
def test_samples_are_lost_a_thousand_times_farther_than_the_arclength(solution, moved, lost):
    rho, x0 = solution.path.at(time=1.0), np.array([[0.3, -0.2], [0.0, 0.0]])
    x = x0 + np.array([[0.6, 0.8], [0.0, 0.1]]) * np.array([[moved], [1.0]]) * rho.arclength
    np.testing.assert_array_equal(rho.astray(x0, x), [lost, False])


def test_samples_do_not_move_where_a_path_stands(solution):
    """A place of no arclength, where rounding alone tells particles from where they were."""
    rho, x0 = solution.path.at(arclength=0.0), np.array([[3.0, 1.0]])
    assert not rho.astray(x0, x0 * (1 + 2e-16)).any()


def test_log_densities_of_samples_are_found_on_their_way(solution):
    """The same samples, and what `log_prob` finds on the way back: off by the integrators' errors alone."""
    rho, key = solution.path.at(time=0.7), jax.random.key(11)
    x, log_density = rho.sample_and_log_prob(key, 100)
    np.testing.assert_allclose(x, rho.sample(key, 100), rtol=1e-12)
    np.testing.assert_allclose(log_density, rho.log_prob(x), atol=1e-5)


def test_the_score_is_the_gradient_of_the_log_density(solution):
    rho, h = solution.path.at(arclength=0.4 * float(solution.path.arclength[-1])), 1e-5
    x = rho.sample(jax.random.key(2), 8)
    for i in range(2):
        step = h * jnp.eye(2)[i]
        difference = (rho.log_prob(x + step) - rho.log_prob(x - step)) / (2 * h)
        np.testing.assert_allclose(rho.score(x)[:, i], difference, rtol=1e-5, atol=1e-6)


def test_curves_along_the_path(problem, solution):
    path = solution.path
    assert path.times[0] == path.arclength[0] == 0
    assert path.times[-1] == np.inf
    assert np.all(np.diff(path.free_energy) < 0)
    for k in range(1, 5):
        t = path.times[k]
        assert path.free_energy[k] == pytest.approx(float(problem.reference.free_energy(t)), abs=2e-3)
        assert path.dissipation[k] == pytest.approx(float(problem.reference.dissipation(t)), rel=5e-3)
        assert path.speed[k] == pytest.approx(np.sqrt(path.dissipation[k]), rel=1e-2)
    np.testing.assert_allclose(path.layer_lengths, path.arclength[-1] / 5, rtol=0.01)


def test_particles_follow_the_samples(solution):
    path = solution.path
    x0 = path.initial.sample(jax.random.key(3), 100)
    np.testing.assert_array_equal(path.transport(x0, node=0), x0)
    np.testing.assert_allclose(
        path.transport(x0, time=0.7), path.at(time=0.7).sample(jax.random.key(3), 100), atol=1e-12
    )
    nodes = path.transport(x0, node=2), path.transport(x0, time=float(path.times[2]))
    np.testing.assert_allclose(*nodes, atol=1e-6)


def test_trajectories_are_what_transport_says_in_any_order(solution):
    path = solution.path
    x0, end = path.initial.sample(jax.random.key(3), 20), float(path.arclength[-1])
    for name, places in (("time", [0.7, 0.0, np.inf, 0.7]), ("arclength", [end, 0.1 * end, 0.4 * end, 0.0])):
        moved = path.trajectories(x0, **{name: places})
        apart = np.stack([path.transport(x0, **{name: place}) for place in places])
        np.testing.assert_allclose(moved, apart, rtol=1e-12, atol=1e-14)
    assert path.trajectories(x0, time=[]).shape == (0, 20, 2)
    for wrong in ({}, {"time": np.array(0.5)}, {"time": [0.1], "arclength": [0.1]}):
        with pytest.raises(InputError, match="trajectories: got"):
            path.trajectories(x0, **wrong)
    with pytest.raises(InputError, match=r"^arclength: got"):
        path.trajectories(x0, arclength=[0.0, 2 * end])
    with pytest.raises(InputError, match=r"^x0: got"):
        path.trajectories(x0[:, :1], time=[0.1])


def test_the_equilibrium_knows_its_normaliser(problem, solution):
    end = solution.path.equilibrium
    assert end.log_normaliser == pytest.approx(problem.reference.log_normaliser, abs=1e-3)
    assert end.effective_sample_size > 0.999
    assert solution.path.at(time=1e9).position == 5
    weights = end.weights(end.sample(jax.random.key(4), 64))
    np.testing.assert_allclose(weights.sum(), 1.0)
    # At F - F* = 2e-4 D log-weights differ by 0.02 in the root mean square.
    np.testing.assert_allclose(weights, 1 / 64, rtol=0.1)


def test_saved_paths_come_back_with_the_same_numbers(problem, solution, tmp_path):
    gw.save(solution, tmp_path / "run")
    again = gw.load(tmp_path / "run", problem)
    x = solution.path.initial.sample(jax.random.key(5), 16)
    places: list[dict[str, Any]] = [{"time": 0.3}, {"node": 5}, {"arclength": 1.0}]
    for place in places:
        np.testing.assert_array_equal(again.path.transport(x, **place), solution.path.transport(x, **place))
        rho, same = solution.path.at(**place), again.path.at(**place)
        np.testing.assert_array_equal(same.log_prob(x), rho.log_prob(x))
        assert (same.time, same.arclength) == (rho.time, rho.arclength)
    figures = ("log_normaliser", "log_normaliser_error", "effective_sample_size", "pareto_k")
    for name in figures:
        assert getattr(again.path.equilibrium, name) == getattr(solution.path.equilibrium, name)
    assert again.settings == solution.settings
    assert again.diagnostics == solution.diagnostics


def test_runs_without_a_pareto_k_are_still_read(problem, solution, tmp_path):
    older = solution.path.curves.equilibrium[:3]
    path = eqx.tree_at(lambda path: path.curves.equilibrium, solution.path, older)
    gw.save(replace(solution, path=path), tmp_path / "run")
    again = gw.load(tmp_path / "run", problem)
    assert np.isnan(again.path.equilibrium.pareto_k)
    assert again.path.equilibrium.log_normaliser == solution.path.equilibrium.log_normaliser
    assert gw.io.summary(again)["pareto_k"] is None
    assert gw.io.summary(solution)["pareto_k"] == solution.path.equilibrium.pareto_k < 0.3


def test_a_path_that_stops_early_has_the_tail_of_its_end():
    """From N(0, 0.3 I) to N(0, s I) at t = 1/2, towards N(0, I): weights are exactly Pareto with k = 1 - s."""
    energy = gw.FreeEnergy(Quadratic(np.eye(2), np.zeros(2)), gw.Entropy(1.0))
    early = gw.Problem(energy, gw.Gaussian([0.0, 0.0], 0.3))
    found = gw.solve(early, gw.FiniteHorizonAction(0.5), layers=3, key=KEY, method=SMALL)
    end, k = found.path.equilibrium, 0.7 * np.exp(-1)
    assert end.pareto_k == found.diagnostics["pareto_k"] == pytest.approx(k, abs=4 * (1 + k) / np.sqrt(272))
    assert end.effective_sample_size == pytest.approx((1 - 2 * k) / (1 - k) ** 2, rel=0.03)
    assert abs(end.log_normaliser - np.log(2 * np.pi)) < 5 * end.log_normaliser_error
    lower, error = end.log_normaliser_bounds(KEY, 4000)[:2]
    assert abs(lower - np.log(2 * np.pi) - (k + np.log(1 - k))) < 5 * error < 0.1
    value, error = end.expectation(lambda x: x @ x, KEY, 4000)
    assert abs(value - 2.0) < 5 * error < 0.5


@pytest.fixture(scope="module")
def short(problem):
    return gw.solve(problem, SHORT, layers=3, key=KEY, method=SMALL)


def test_a_finite_horizon_is_the_same_path(short, solution):
    assert short.path.times[-1] == pytest.approx(0.5)
    assert short.diagnostics["action"] < 1e-4
    assert abs(short.diagnostics["action"] - short.diagnostics["action_second_form"]) < 5e-3
    x = solution.path.initial.sample(jax.random.key(6), 50)
    np.testing.assert_allclose(short.path.transport(x, node=3), solution.path.transport(x, time=0.5), atol=5e-3)
    with pytest.raises(InputError, match=r"time: got 0\.6"):
        short.path.at(time=0.6)


def test_single_precision_gives_the_same_path(short):
    with jax.enable_x64(False):
        problem = gw.problems.get("ornstein-uhlenbeck")
        single = gw.solve(problem, SHORT, layers=3, key=jax.random.key(0), method=SMALL)
        rho = single.path.at(time=0.4)
        x = rho.sample(jax.random.key(1), 64)
        assert x.dtype == rho.log_prob(x).dtype == jnp.float32
        log_prob = np.asarray(rho.log_prob(x))
    np.testing.assert_allclose(log_prob, short.path.at(time=0.4).log_prob(np.asarray(x)), atol=2e-3)
    np.testing.assert_allclose(single.path.free_energy, short.path.free_energy, atol=1e-3)


def test_coupling_layers_are_judged_too(problem):
    few = gw.Adam(steps=20, particles=64, width=4, couplings=1, points=1)
    with pytest.raises(NotConvergedError, match="above the equilibrium") as caught:
        gw.solve(problem, layers=2, key=KEY, method=few)
    rough = caught.value.solution
    assert rough.result == gw.Result.NOT_CONVERGED
    assert len(rough.log["loss"]) == rough.stats["steps"] == 20
    assert np.all(np.diff(rough.path.times) > 0)
    assert gw.solve(problem, layers=2, key=KEY, method=few, throw=False).result == gw.Result.NOT_CONVERGED


def test_interruption_gives_the_path_so_far(problem):
    def stop(event):
        if event.step == 3:
            raise KeyboardInterrupt

    cut = gw.solve(problem, layers=2, key=KEY, method=SMALL, progress=stop, throw=False)
    assert cut.result == gw.Result.INTERRUPTED
    assert cut.stats["segments"] == 3
    assert np.isfinite(cut.path.times[-1])
    assert np.all(np.isfinite(cut.path.free_energy))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"problem": 3}, "problem: got 3"),
        ({"action": "geometric"}, "action: got geometric"),
        ({"layers": 0}, "layers: got 0"),
        ({"layers": 2.0}, "layers: got 2.0"),
        ({"layers": 1001}, "layers: got 1001; allowed: a whole number from 1 to 1000"),
        ({"key": 5}, "key: got 5"),
        ({"method": "adam"}, "method: got adam"),
        ({"progress": 1}, "progress: got 1"),
    ],
)
def test_wrong_arguments_are_named(problem, arguments, message):
    arguments = {"problem": problem, **arguments}
    with pytest.raises(InputError, match=message):
        gw.solve(**arguments)


def test_without_potential_there_is_no_equilibrium():
    heat = gw.Problem(gw.FreeEnergy(internal=gw.Entropy(1.0)), gw.Gaussian([0.0], 1.0))
    with pytest.raises(InputError, match=r"^energy: got F falls.*FiniteHorizonAction"):
        gw.solve(heat)
    path = gw.solve(heat, gw.FiniteHorizonAction(1.5), layers=2, method=SMALL).path
    x = jnp.linspace(-4, 4, 9)[:, None]
    np.testing.assert_allclose(path.at(time=1.5).log_prob(x), gw.Gaussian([0.0], 4.0).log_prob(x), atol=1e-3)


@pytest.mark.parametrize(
    "place",
    [{}, {"time": 1.0, "node": 1}, {"time": -1.0}, {"time": np.nan}, {"node": 6}, {"node": 1.5}, {"arclength": 99.0}],
)
def test_places_outside_of_the_path_are_errors(solution, place):
    with pytest.raises(InputError):
        solution.path.at(**place)


def test_times_are_exact_where_the_force_falls_linearly():
    """||grad mu|| = 2 (1 - l): dl/dt = 2 (1 - l), so t = -log(1 - l) / 2."""
    length = np.array([0.0, 0.5, 0.9, 0.99])
    np.testing.assert_allclose(times_of(length, 2 * (1 - length)), -0.5 * np.log1p(-length), rtol=1e-12)
    np.testing.assert_allclose(
        logarithmic_mean(np.array([2.0, 1.0, 0.0]), np.array([2.0, np.e, 1.0])), [2, np.e - 1, 0]
    )


def test_time_stands_still_where_the_force_is_not_finite():
    np.testing.assert_array_equal(times_of(np.arange(4.0), np.array([1.0, 1.0, np.inf, 1.0])), [0, 1, 1, 1])
    np.testing.assert_array_equal(times_of(np.arange(3.0), np.array([1.0, np.nan, np.nan])), [0, 0, 0])


def test_the_clock_goes_both_ways():
    clock = Clock(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.1, 3.0]), np.array([0.0, 1.0, 2.5]), True, False)
    for name, value in (("time", 2.0), ("arclength", 0.4)):
        assert clock.value_at(name, clock.position_of(name, value)) == pytest.approx(value, abs=0.03)
    assert clock.value_at("time", 1.5) == pytest.approx(1.55)


def test_a_start_in_equilibrium_has_nothing_to_do():
    energy = gw.FreeEnergy(Quadratic(np.eye(2), np.zeros(2)), gw.Entropy(1.0))
    still = gw.solve(gw.Problem(energy, gw.Gaussian([0.0, 0.0], 1.0)), layers=3, method=SMALL)
    assert still.result == gw.Result.CONVERGED
    assert still.path.equilibrium.log_normaliser == pytest.approx(np.log(2 * np.pi))
    np.testing.assert_allclose(still.path.arclength, 0.0, atol=1e-6)


def test_interruption_before_the_first_segment_still_gives_a_path(problem, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("genwgp.solvers.run.Run.advance", stop)
    cut = gw.solve(problem, layers=2, key=KEY, method=SMALL, throw=False)
    assert cut.result == gw.Result.INTERRUPTED
    np.testing.assert_allclose(cut.path.free_energy, cut.path.free_energy[0], rtol=1e-6)


def test_one_interruption_while_the_path_is_measured_does_not_lose_it(problem, monkeypatch):
    module = sys.modules["genwgp.solvers.solve"]
    measure, pressed = module.measure, []

    def interrupted_once(*arguments, **options):
        if not pressed:
            pressed.append("Ctrl-C")
            raise KeyboardInterrupt
        return measure(*arguments, **options)

    monkeypatch.setattr(module, "measure", interrupted_once)
    solution = gw.solve(problem, SHORT, layers=3, key=KEY, method=SMALL, throw=False)
    assert solution.result == gw.Result.INTERRUPTED
    assert solution.message.startswith("interrupted while the whole path was measured")
    assert solution.path.times[-1] == pytest.approx(0.5)


def test_a_second_interruption_ends(problem, monkeypatch):
    def pressed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["genwgp.solvers.solve"], "measure", pressed)
    for progress in (None, pressed):  # while the whole path is measured, and after an interruption of the sweep
        with pytest.raises(KeyboardInterrupt):
            gw.solve(problem, SHORT, layers=2, key=KEY, method=SMALL, progress=progress)


def test_a_path_ends_in_the_well_that_its_flow_leads_to():
    """The higher of two wells 40 D apart: an equilibrium for a time above e^40, and log Z is its own."""
    well = 0.9
    D, V = 0.05, lambda x: 2 * (x[0] ** 2 - 1) ** 2 + 0.2 * x[0]
    problem = gw.Problem(gw.FreeEnergy(V, gw.Entropy(D)), gw.Gaussian([well], 0.01))
    end = gw.solve(problem, layers=4, method=SMALL).path.equilibrium
    x = np.linspace(0, 2 * np.sign(well), 4001)
    own = np.log(abs(np.trapezoid(np.exp(-V(x[None]) / D), x)))
    assert end.log_normaliser == pytest.approx(own, abs=2e-3)
    assert end.effective_sample_size > 0.99
    assert (np.sign(end.sample(jax.random.key(0), 4000)) == np.sign(well)).all()
