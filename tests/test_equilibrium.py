"""The equilibrium's corrections, where everything is known: last nodes that are wrong in a known way."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import genwgp as gw
from genwgp import importance
from genwgp.diagnostics import measure, pareto_k
from genwgp.errors import InputError
from genwgp.layers import CouplingLayer, stack_layers
from genwgp.report.sampling import equilibrium_shape
from hand_built import last_node

KEY = jax.random.key(3)
D = 0.5


def harmonic(x):
    """With D = 0.5 the equilibrium is N(0, I)."""
    return D * jnp.sum(x**2) / 2


def quartic(x):
    return D * (jnp.sum(x**4) / 4 - x[0] / 2)


HARMONIC = gw.FreeEnergy(harmonic, gw.Entropy(D))
LOG_Z = np.log(2 * np.pi)
GRID = np.linspace(-6, 6, 20_001)
QUARTIC = np.exp(GRID / 2 - GRID**4 / 4)


def quartic_cdf(x):
    cumulated = np.cumsum(QUARTIC)
    return np.interp(x, GRID, cumulated / cumulated[-1])


def exact_quartic(n: int) -> np.ndarray:
    cumulated = np.cumsum(QUARTIC)
    return np.interp(np.random.default_rng(1).uniform(size=n), cumulated / cumulated[-1], GRID)[:, None]


@pytest.fixture(scope="module")
def exact():
    return last_node(gw.Gaussian([0.0, 0.0], 1.0), HARMONIC)


@pytest.fixture(scope="module")
def narrow():
    """N(0, 0.7 I): its weights are exactly Pareto, P(w > t) ~ t^(-1/0.3)."""
    return last_node(gw.Gaussian([0.0, 0.0], 0.7), HARMONIC)


@pytest.fixture(scope="module")
def shifted():
    """N((0.8, 0), 1.5 I)."""
    return last_node(gw.Gaussian([0.8, 0.0], 1.5), HARMONIC)


@pytest.fixture(scope="module")
def line():
    """N(0.4, 0.8) for the tilted quartic."""
    return last_node(gw.Gaussian([0.4], 0.8), gw.FreeEnergy(quartic, gw.Entropy(D)))


def test_weights_of_the_exact_equilibrium_are_equal(exact):
    x = exact.sample(KEY, 500)
    np.testing.assert_allclose(exact.log_weights(x), LOG_Z, rtol=1e-12)
    np.testing.assert_allclose(exact.log_weights(x[0]), LOG_Z, rtol=1e-12)
    assert exact.log_weights(x[0]).shape == ()
    assert exact.log_normaliser_bounds(KEY, 500, x)[::2] == pytest.approx((LOG_Z, LOG_Z), rel=1e-12)
    assert pareto_k(exact.log_weights(x)) == -np.inf


def test_the_target_is_what_the_weights_lead_to(shifted):
    x = shifted.sample(KEY, 50)
    log_rho = shifted.log_prob(x)
    exact = gw.Gaussian([0.0, 0.0], 1.0).log_prob(x) + LOG_Z - shifted.log_normaliser
    np.testing.assert_allclose(shifted.log_target(x), exact, rtol=1e-9)
    np.testing.assert_allclose(shifted.log_target(x[0]), exact[0], rtol=1e-9)
    np.testing.assert_array_equal(shifted.log_weights(x, log_rho), shifted.log_weights(x))
    np.testing.assert_array_equal(shifted.weights(x, log_rho), shifted.weights(x))


def test_a_narrow_last_node_has_the_tail_and_the_share_of_its_law(narrow):
    log_w = np.asarray(narrow.log_weights(narrow.sample(KEY, 200_000)))
    log_z, error, share = importance.normaliser(log_w)
    assert pareto_k(log_w) == pytest.approx(0.3, abs=4 * 1.3 / np.sqrt(1342))
    assert share == pytest.approx((1 - 0.6) / (1 - 0.3) ** 2, rel=0.02)
    assert abs(log_z - LOG_Z) < 5 * error < 0.01


def test_resampling_removes_the_bias_of_plain_samples(shifted):
    plain = np.asarray(shifted.sample(KEY, 2000))
    assert plain.mean(axis=0) == pytest.approx([0.8, 0.0], abs=5 * np.sqrt(1.5 / 2000))
    x = shifted.resample(KEY, 2000)
    assert x.shape == (2000, 2)
    assert len(np.unique(np.asarray(x), axis=0)) > 1900  # hardly any twice: the pool is larger
    for column in np.asarray(x).T:
        assert stats.kstest(column, stats.norm.cdf).pvalue > 1e-3
    assert stats.kstest(plain[:, 0], stats.norm.cdf).pvalue < 1e-10
    again, log_w = shifted.resample_with_weights(KEY, 2000)
    np.testing.assert_array_equal(again, x)
    np.testing.assert_allclose(log_w, shifted.log_weights(x), rtol=1e-9)
    halves = np.asarray(x).reshape(2, 1000, 2).mean(axis=1)  # in random order: each half is a sample
    np.testing.assert_allclose(halves, 0.0, atol=5 / np.sqrt(1000))


def test_a_small_pool_repeats_its_samples(shifted):
    x = np.asarray(shifted.resample(KEY, 400, pool=400))
    assert 100 < len(np.unique(x, axis=0)) < 380
    with pytest.raises(InputError, match=r"^pool: got 399; allowed: a whole number, at least 400"):
        shifted.resample(KEY, 400, pool=399)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=30), st.integers(1, 60), st.floats(0, 1, exclude_max=True))
def test_systematic_resampling_rounds_each_share(log_weight, n, offset):
    log_w = np.array(log_weight)
    share = np.exp(log_w - log_w.max())
    share = n * share / share.sum()
    counts = np.bincount(importance.systematic(log_w, n, offset), minlength=len(log_w))
    assert counts.sum() == n
    assert np.all(np.abs(counts - share) < 1 + 1e-9)


def test_expectations_come_with_their_error(shifted):
    """Over 60 keys the deviations are those of a standard normal: neither bias nor a wrong size of the error."""
    f = lambda x: {"moments": jnp.array([x[0], x[1] ** 2])}["moments"]
    estimates = [shifted.expectation(f, jax.random.key(i), 1000) for i in range(60)]
    assert estimates[0].value.shape == estimates[0].standard_error.shape == (2,)
    deviations = np.array([(e.value - [0.0, 1.0]) / e.standard_error for e in estimates])
    np.testing.assert_allclose(deviations.mean(axis=0), 0, atol=4 / np.sqrt(60))
    np.testing.assert_allclose(deviations.std(axis=0), 1, atol=0.35)


def test_without_weights_the_error_is_that_of_a_mean(exact):
    value, error = exact.expectation(lambda x: x[0], KEY, 4000)
    x = np.asarray(exact.sample(KEY, 4000))[:, 0]
    assert (value, error) == pytest.approx((x.mean(), x.std() / np.sqrt(4000)), rel=1e-9)
    assert exact.expectation(lambda x: 3, KEY, 100) == pytest.approx((3, 0), abs=1e-12)


def test_samples_without_weight_do_not_count():
    found = importance.expectation(np.array([1.0, np.inf, 3.0]), np.array([0.0, -np.inf, 0.0]))
    assert found == pytest.approx((2.0, np.sqrt(0.5)))


def test_bounds_are_off_by_the_two_divergences(shifted):
    """KL(N(m, s I) || N(0, I)) and back, in two dimensions."""
    down = 0.5 * (2 * 1.5 + 0.64 - 2 - 2 * np.log(1.5))
    up = 0.5 * ((2 + 0.64) / 1.5 - 2 + 2 * np.log(1.5))
    exact = np.random.default_rng(0).normal(size=(4000, 2))
    found = shifted.log_normaliser_bounds(KEY, 4000, exact)
    assert abs(found.lower - (LOG_Z - down)) < 5 * found.lower_error < 0.15
    assert abs(found.upper - (LOG_Z + up)) < 5 * found.upper_error < 0.15
    alone = shifted.log_normaliser_bounds(KEY, 4000)
    assert alone[:2] == found[:2]
    assert np.isnan(alone[2:]).all()


def test_bounds_bracket_a_normaliser_known_by_quadrature(line):
    log_z = np.log(np.trapezoid(QUARTIC, GRID))
    found = line.log_normaliser_bounds(KEY, 4000, exact_quartic(4000))
    assert found.lower + 5 * found.lower_error < log_z < found.upper - 5 * found.upper_error
    assert found.upper - found.lower < 0.5


def test_a_mode_that_the_path_has_missed_shows_in_the_upper_bound_alone():
    """Wells at -1 and 1, and a last node in the right one: what its own weights say is right, of half of the mass."""
    V = lambda x: D * 25 * (jnp.abs(x[0]) - 1) ** 2 / 2
    end = last_node(gw.Gaussian([1.0], 0.04), gw.FreeEnergy(V, gw.Entropy(D)))
    log_z = np.log(2 * np.sqrt(2 * np.pi * 0.04))
    log_w = np.asarray(end.log_weights(end.sample(KEY, 8000)))
    assert importance.normaliser(log_w)[2] > 0.99
    right = 1 + 0.2 * np.random.default_rng(0).normal(size=(500, 1))
    found = end.log_normaliser_bounds(KEY, 8000, np.concatenate([right, -right]))
    assert found.lower == pytest.approx(log_z - np.log(2), abs=1e-2)
    assert found.upper > log_z + 20


def test_where_the_last_node_has_no_density_the_upper_bound_is_infinite():
    class Half(gw.Gaussian):
        def log_prob(self, x):
            return jnp.where(jnp.asarray(x)[..., 0] > 0, super().log_prob(x) + np.log(2), -jnp.inf)

    half: Any = Half
    end = last_node(half([0.0, 0.0], 1.0), HARMONIC)
    found = end.log_normaliser_bounds(KEY, 100, np.array([[1.0, 0.0], [-1.0, 0.0]]))
    assert found.upper == np.inf
    assert np.isnan(found.upper_error)


def test_polishing_leaves_the_equilibrium_as_it_is(line):
    x = exact_quartic(4000)
    found = line.polish(KEY, x, steps=5)
    assert stats.kstest(np.asarray(found.x)[:, 0], quartic_cdf).pvalue > 1e-3
    assert found.acceptance == pytest.approx(0.8, abs=0.07)
    assert np.abs(np.corrcoef(x[:, 0], np.asarray(found.x)[:, 0])[0, 1]) < 0.1  # and yet all have moved


@pytest.mark.parametrize("leaps", [1, 8])
def test_polishing_removes_a_deliberate_error(line, leaps):
    x = 1.5 + 0.3 * np.random.default_rng(2).normal(size=(4000, 1))
    assert stats.kstest(x[:, 0], quartic_cdf).pvalue < 1e-100
    found = line.polish(KEY, x, steps=30, leaps=leaps, acceptance=0.7)
    assert found.acceptance == pytest.approx(0.7, abs=0.1)
    assert stats.kstest(np.asarray(found.x)[:, 0], quartic_cdf).pvalue > 1e-3
    assert np.all(np.isfinite(line.log_normaliser_bounds(KEY, 100, found.x)))


def test_chains_come_back_from_where_the_potential_is_steep(line):
    """At 6 the force turns a hundred times as fast as at 0: the step that is right there is unstable here."""
    found = np.asarray(line.polish(KEY, np.full((1000, 1), 6.0), steps=100).x)[:, 0]
    assert stats.kstest(found, quartic_cdf).pvalue > 1e-3


def test_polished_samples_give_the_upper_bound(shifted):
    """In two dimensions, with a metric that is not the equilibrium's own."""
    found = shifted.polish(KEY, shifted.sample(KEY, 2000), steps=10).x
    upper, error = shifted.log_normaliser_bounds(KEY, 100, found)[2:]
    assert abs(upper - (LOG_Z + 0.5 * ((2 + 0.64) / 1.5 - 2 + 2 * np.log(1.5)))) < 5 * error
    for column in np.asarray(found).T:
        assert stats.kstest(column, stats.norm.cdf).pvalue > 1e-3


def test_with_an_interaction_the_mean_field_is_that_of_the_last_node():
    """W = |x|^2 / 2 among particles at 1: the equilibrium of V = 0 in their field is N(1, D)."""
    energy = gw.FreeEnergy(interaction=gw.QuadraticInteraction(1.0), internal=gw.Entropy(D))
    end = last_node(gw.Gaussian([0.0], 1.0), energy.among(jnp.full((64, 1), 1.0)))
    x = np.asarray(end.polish(KEY, end.sample(KEY, 2000), steps=10).x)[:, 0]
    assert stats.kstest(x, stats.norm(1.0, np.sqrt(D)).cdf).pvalue > 1e-3
    value, error = end.expectation(lambda x: x[0], KEY, 4000)
    assert abs(value - 1.0) < 5 * error < 0.2


def test_single_precision(shifted):
    with jax.enable_x64(False):
        single = last_node(gw.Gaussian([0.8, 0.0], 1.5), HARMONIC)
        x = single.resample(KEY, 500)
        found = single.polish(KEY, x, steps=2)
        assert x.dtype == found.x.dtype == single.log_weights(x).dtype == jnp.float32
        value, error = single.expectation(lambda x: x[0], KEY, 2000)
        assert np.all(np.abs(value) < 5 * error)
        lower = single.log_normaliser_bounds(KEY, 500, found.x)[0]
    assert lower == pytest.approx(shifted.log_normaliser_bounds(KEY, 500)[0], abs=0.15)


def test_without_blackjax_the_message_says_what_to_install(monkeypatch, line):
    monkeypatch.setitem(sys.modules, "blackjax", None)  # from here an import of it fails
    with pytest.raises(InputError, match=r"^polish: got no package blackjax; allowed: .*pip install 'genwgp\[mcmc\]'"):
        line.polish(KEY, np.zeros((3, 1)))


WRONG = {
    "a function that fails": (lambda end: end.expectation(lambda x: x @ np.eye(3), KEY, 10), r"^f: got \w+Error: "),
    "a function of text": (lambda end: end.expectation(lambda x: "a", KEY, 10), "^f: got "),
    "one sample": (lambda end: end.expectation(lambda x: x, KEY, 1), "^n: got 1; allowed: a whole number, at least 2"),
    "one exact sample": (lambda end: end.log_normaliser_bounds(KEY, 10, np.ones((1, 2))), "^exact: got one sample"),
    "samples in 3-d": (lambda end: end.log_normaliser_bounds(KEY, 10, np.ones((5, 3))), r"^exact: got shape \(5, 3\)"),
    "lost samples": (lambda end: end.polish(KEY, np.full((3, 2), np.nan)), "^x: got"),
    "no steps": (lambda end: end.polish(KEY, np.zeros((3, 2)), steps=0), "^steps: got 0"),
    "no leaps": (lambda end: end.polish(KEY, np.zeros((3, 2)), leaps=0), "^leaps: got 0"),
    "acceptance": (lambda end: end.polish(KEY, np.zeros((3, 2)), acceptance=1), "^acceptance: got 1"),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_named(exact, call, message):
    with pytest.raises(InputError, match=message) as caught:
        call(exact)
    assert "\n" not in str(caught.value)


def test_where_there_is_no_such_equilibrium():
    sharp = last_node(gw.Gaussian([0.0, 0.0], 1.0), gw.FreeEnergy(harmonic))
    x = jnp.zeros((3, 2))
    calls = [
        lambda: sharp.resample(KEY, 5),
        lambda: sharp.expectation(lambda x: x, KEY, 5),
        lambda: sharp.log_normaliser_bounds(KEY, 5),
        lambda: sharp.polish(KEY, x),
        lambda: sharp.weights(x),
    ]
    for call in calls:
        with pytest.raises(InputError, match=r"^equilibrium: got an energy without"):
            call()


def test_where_nothing_confines_there_is_no_divergence_to_an_equilibrium():
    """1/(1 + r^2) in the plane has no Z, though its weights are finite over every sample."""
    energy = gw.FreeEnergy(lambda x: 0.5 * jnp.log(1 + x @ x), gw.Entropy(D))
    problem = gw.Problem(energy, gw.Gaussian([0.0, 0.0], 1.0))
    layers = stack_layers(lambda key: CouplingLayer.create(key, 2, 2, 1), 1, KEY)
    path, figures = measure(problem, layers, gw.FiniteHorizonAction(1.0), 0, points=2)
    assert all(np.isnan(figures[name]) for name in ("gap", "effective_sample_size", "pareto_k"))
    assert not path.equilibrium.normalisable
    assert equilibrium_shape(path, np.zeros((3, 2))) is None
    with pytest.raises(InputError, match=r"^equilibrium: got an energy without"):
        path.equilibrium.log_weights(jnp.zeros((3, 2)))


def test_a_potential_that_is_not_finite_is_not_resampled():
    V = lambda x: jnp.where(x[0] > 1.5, jnp.nan, harmonic(x))
    end = last_node(gw.Gaussian([0.0, 0.0], 1.0), gw.FreeEnergy(V, gw.Entropy(D)))
    with pytest.raises(InputError, match=r"^equilibrium: got weights that are not finite"):
        end.resample(KEY, 500)
