"""Distances: closed forms, other libraries, and the laws of a distance."""

import builtins
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal, norm, wasserstein_distance_nd

import genwgp as gw
from genwgp.diagnostics import distances
from genwgp.diagnostics.distances import (
    gaussian_wasserstein,
    grid_distances,
    kl_divergence,
    median_bandwidth,
    mmd2,
    noise_floor,
    relative_covariance_error,
    relative_mean_error,
    sliced_wasserstein,
    symmetric_kl,
    wasserstein,
    wasserstein_1d,
)
from genwgp.diagnostics.distances.transport import quantile_coupling
from genwgp.errors import InputError

seeds = st.integers(0, 2**32 - 1)
dims = st.integers(1, 4)
OF_SAMPLES = {
    "wasserstein": wasserstein,
    "sliced": sliced_wasserstein,
    "wasserstein_1d": lambda x, y: wasserstein_1d(x[:, 0], y[:, 0]),
}


def samples(seed, n, d):
    return np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(0.5, 2, d)


def random_gaussian(seed, d):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(d, d))
    return gw.Gaussian(rng.normal(size=d), root @ root.T + 0.1 * np.eye(d))


def gaussian_kl(p, q):
    """The closed form of KL(p || q)."""
    inverse = np.linalg.inv(q.covariance)
    step = np.asarray(q.mean - p.mean)
    log_det = np.linalg.slogdet(q.covariance)[1] - np.linalg.slogdet(p.covariance)[1]
    return float(0.5 * (np.trace(inverse @ p.covariance) + step @ inverse @ step - p.dim + log_det))


@pytest.mark.parametrize("distance", OF_SAMPLES.values(), ids=OF_SAMPLES)
@given(seed=seeds, d=dims, n=st.integers(1, 12), m=st.integers(1, 12))
def test_laws_of_distances_of_samples(distance, seed, d, n, m):
    x, y, z = samples(seed, n, d), samples(seed + 1, m, d) + 0.3, samples(seed + 2, n, d)
    assert distance(x, x[::-1]) == pytest.approx(0, abs=1e-12)
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-9)
    assert distance(x, y) <= distance(x, z) + distance(z, y) + 1e-12
    assert distance(3 * x + 1, 3 * y + 1) == pytest.approx(3 * distance(x, y), rel=1e-9)


@given(seed=seeds, d=dims)
def test_a_translation_costs_its_length(seed, d):
    x, a = samples(seed, 30, d), np.random.default_rng(seed + 1).normal(size=d)
    length = np.linalg.norm(a)
    assert wasserstein(x + a, x) == pytest.approx(length, rel=1e-9)
    assert wasserstein_1d(x[:, 0] + a[0], x[:, 0]) == pytest.approx(abs(a[0]), rel=1e-9)
    assert sliced_wasserstein(x + a, x, directions=1024) == pytest.approx(length / np.sqrt(d), rel=0.05)
    gaussian = random_gaussian(seed, d)
    S = gaussian.covariance
    assert gaussian_wasserstein(gaussian.mean + a, S, gaussian.mean, S) == pytest.approx(length, rel=1e-9)
    assert mmd2(x + 10 * a / length, x) > mmd2(x + a / length, x)


@pytest.mark.parametrize(("n", "m", "d"), [(40, 40, 2), (30, 45, 3), (7, 11, 5)])
def test_exact_w2_is_what_pot_and_scipy_compute(n, m, d):
    x, y = samples(0, n, d), samples(1, m, d) + 0.5
    plan = ot.emd(np.full(n, 1 / n), np.full(m, 1 / m), cdist(x, y) ** 2)
    assert wasserstein(x, y) == pytest.approx(np.sqrt(np.sum(plan * cdist(x, y) ** 2)), rel=1e-9)
    # scipy has W1 only: it is a lower bound of W2.
    assert wasserstein_distance_nd(x, y) <= wasserstein(x, y)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (50, 30), (1, 9)])
def test_w2_on_the_line_is_what_pot_computes(n, m):
    x, y = samples(0, n, 1)[:, 0], samples(1, m, 1)[:, 0] + 0.4
    expected: Any = ot.wasserstein_1d(x, y, p=2)
    assert wasserstein_1d(x, y) == pytest.approx(np.sqrt(expected), rel=1e-9)
    assert wasserstein(x[:, None], y[:, None]) == wasserstein_1d(x, y)


@given(n=st.integers(1, 40), m=st.integers(1, 40))
def test_the_coupling_on_the_line_has_the_right_marginals(n, m):
    i, j, share = quantile_coupling(n, m)
    np.testing.assert_allclose(np.bincount(i, share, n), 1 / n)
    np.testing.assert_allclose(np.bincount(j, share, m), 1 / m)
    assert np.all(np.diff(i) >= 0)
    assert np.all(np.diff(j) >= 0)


def test_sliced_w2_converges_to_what_pot_finds_with_many_directions():
    x, y = samples(0, 200, 3), samples(1, 150, 3) + np.array([1.0, 0.0, 0.0])
    pots: Any = ot.sliced_wasserstein_distance
    expected = pots(x, y, n_projections=4000, seed=0)
    assert sliced_wasserstein(x, y) == pytest.approx(expected, rel=0.01)
    assert sliced_wasserstein(x, y) != sliced_wasserstein(x, y, seed=1)
    assert sliced_wasserstein(x, y) == sliced_wasserstein(x, y)
    assert sliced_wasserstein(x, y) < wasserstein(x, y)


@given(seed=seeds, d=dims)
def test_gaussian_w2_is_what_pot_computes_and_a_distance(seed, d):
    p, q = random_gaussian(seed, d), random_gaussian(seed + 1, d)
    S, T = np.asarray(p.covariance), np.asarray(q.covariance)
    pots: Any = ot.gaussian.bures_wasserstein_distance
    found = gaussian_wasserstein(p.mean, S, q.mean, T)
    assert found == pytest.approx(float(pots(np.asarray(p.mean), np.asarray(q.mean), S, T)), rel=1e-6)
    assert found == pytest.approx(gaussian_wasserstein(q.mean, T, p.mean, S), rel=1e-9)
    assert gaussian_wasserstein(p.mean, S, p.mean, S) < 1e-12 * (1 + np.trace(S))


def test_gaussian_w2_of_commuting_covariances_and_of_close_ones():
    """|m - n|^2 + sum (sqrt s_i - sqrt t_i)^2, to all digits where the covariances differ by 1e-9."""
    found = gaussian_wasserstein([0.0, 1.0], np.diag([4.0, 1.0]), [0.0, 0.0], np.diag([1.0, 9.0]))
    assert found == pytest.approx(np.sqrt(1 + 1 + 4), rel=1e-12)
    near = gaussian_wasserstein([0.0], [[1.0]], [0.0], [[(1 + 1e-9) ** 2]])
    assert near == pytest.approx(1e-9, rel=1e-6)


def test_w2_of_many_samples_of_gaussians_is_the_closed_form():
    p, q = gw.Gaussian([0.0, 0.0], [1.0, 0.25]), gw.Gaussian([2.0, 0.0], [0.25, 1.0])
    exact = gaussian_wasserstein(p.mean, p.covariance, q.mean, q.covariance)
    x, y = p.quasi_sample(0, 1024), q.quasi_sample(1, 1024)
    assert wasserstein(x, y) == pytest.approx(exact, rel=0.01)
    z, w = x[:, 0], y[:, 0]
    assert wasserstein_1d(z, w) == pytest.approx(np.sqrt(4 + 0.25), rel=0.01)


def direct_mmd2(x, y, h):
    n, m = len(x), len(y)
    kernel = lambda a, b: np.exp(-(cdist(a, b) ** 2) / (2 * h**2))
    within = lambda a: kernel(a, a)[~np.eye(len(a), dtype=bool)].mean()
    return within(x) + within(y) - 2 * kernel(x, y).sum() / (n * m)


@pytest.mark.parametrize(("n", "m"), [(20, 20), (300, 131)])
def test_mmd_is_the_sum_over_all_pairs(n, m):
    x, y = samples(0, n, 3), samples(1, m, 3) + 0.2
    assert mmd2(x, y, 0.7) == pytest.approx(direct_mmd2(x, y, 0.7), rel=1e-9)
    assert mmd2(x, y, 0.7) == pytest.approx(mmd2(y, x, 0.7), rel=1e-9)
    pooled = np.concatenate([x, y])
    median = np.median(cdist(pooled, pooled)[np.triu_indices(n + m, 1)])
    assert median_bandwidth(x, y) == pytest.approx(median, rel=1e-12)
    assert mmd2(x, y) == mmd2(x, y, median_bandwidth(x, y))


def test_mmd_is_unbiased():
    """For N(0, I) and N(a, I): 2 c (1 - exp(-|a|^2 / (4 + 2 h^2))), c = (h^2 / (h^2 + 2))^(d/2); here with a and 0."""
    h, d, rng = 1.3, 2, np.random.default_rng(0)
    c = (h**2 / (h**2 + 2)) ** (d / 2)
    for a in (0.0, 1.0):
        exact = 2 * c * (1 - np.exp(-(a**2) / (2 * (h**2 + 2))))
        values = [mmd2(rng.normal(size=(40, d)), rng.normal(size=(40, d)) + [a, 0.0], h) for _ in range(400)]
        assert abs(np.mean(values) - exact) < 4 * np.std(values) / 20
    assert min(values) < max(values)


@given(seed=seeds, d=dims)
def test_kl_over_samples_is_the_closed_form(seed, d):
    p, q = random_gaussian(seed, d), gw.Gaussian(np.zeros(d), 4.0)
    x, y = (rho.sample(jax.random.key(seed), 2000) for rho in (p, q))
    forward = kl_divergence(p.log_prob, q.log_prob, x)
    assert abs(forward.value - gaussian_kl(p, q)) < 6 * forward.error
    both, swapped = symmetric_kl(p.log_prob, q.log_prob, x, y), symmetric_kl(q.log_prob, p.log_prob, y, x)
    assert both == pytest.approx(swapped)
    assert abs(both.value - gaussian_kl(p, q) - gaussian_kl(q, p)) < 6 * both.error
    assert kl_divergence(p.log_prob, p.log_prob, x) == (0, 0)


def test_kl_is_infinite_where_the_second_density_vanishes():
    x = np.array([[0.0], [2.0]])
    uniform = lambda y: jnp.where(jnp.abs(y[:, 0]) < 1, -jnp.log(2.0), -jnp.inf)
    normal = gw.Gaussian([0.0], 1.0).log_prob
    assert kl_divergence(normal, uniform, x).value == np.inf
    with pytest.raises(InputError, match=r"^x: got samples where a log-density is NaN or infinite"):
        kl_divergence(uniform, normal, x)
    with pytest.raises(InputError, match="NaN"):
        kl_divergence(normal, lambda y: jnp.full(len(y), jnp.nan), x)


@pytest.mark.parametrize("d", [1, 2])
def test_grid_distances_are_the_closed_forms(d):
    p, q = gw.Gaussian(np.zeros(d), 0.5), gw.Gaussian(np.full(d, 0.3), 0.7)
    found = grid_distances(p.log_prob, q.log_prob, [[-7.0, 7.0]] * d)
    assert found.kl == pytest.approx(gaussian_kl(p, q), rel=1e-9)
    assert (found.mass, found.other_mass) == pytest.approx((1, 1))
    itself = grid_distances(p.log_prob, p.log_prob, [[-7.0, 7.0]] * d)
    assert (itself.l1, itself.kl) == pytest.approx((0, 0), abs=1e-12)
    apart = grid_distances(p.log_prob, gw.Gaussian(np.full(d, 9.0), 0.01).log_prob, [[-7.0, 10.0]] * d, 512)
    assert apart.l1 == pytest.approx(2, rel=1e-6)


def test_grid_l1_of_a_translation_is_the_closed_form():
    """int |N(0, 1) - N(a, 1)| = 2 (2 Phi(a/2) - 1)."""
    p, q = gw.Gaussian([0.0], 1.0), gw.Gaussian([0.8], 1.0)
    found = grid_distances(p.log_prob, q.log_prob, [[-9.0, 9.0]])
    assert found.l1 == pytest.approx(2 * (2 * norm.cdf(0.4) - 1), rel=1e-5)
    back = grid_distances(q.log_prob, p.log_prob, [[-9.0, 9.0]])
    assert back.l1 == pytest.approx(found.l1, rel=1e-12)


def test_a_grid_tells_what_it_has_not_seen():
    p = gw.Gaussian([0.0, 0.0], 1.0)
    half = grid_distances(p.log_prob, p.log_prob, [[0.0, 9.0], [-9.0, 9.0]])
    assert half.mass == pytest.approx(0.5, rel=1e-6)
    holed = lambda x: jnp.where(x[:, 0] < 0, jnp.nan, p.log_prob(x))
    found = grid_distances(holed, p.log_prob, [[-9.0, 9.0], [-9.0, 9.0]])
    assert found.mass == pytest.approx(0.5, abs=0.05)
    assert found.l1 == pytest.approx(1 - found.mass, rel=1e-9)
    assert grid_distances(p.log_prob, holed, [[-9.0, 9.0], [-9.0, 9.0]]).kl == np.inf


def test_a_rim_without_the_second_density_is_no_infinite_divergence():
    p, q = gw.Gaussian([0.0], 1.0), gw.Gaussian([0.1], 1.0)
    cut = lambda edge: lambda x: jnp.where(jnp.abs(x[:, 0]) < edge, q.log_prob(x), -jnp.inf)
    exact = gaussian_kl(p, q)
    assert grid_distances(p.log_prob, cut(6.0), [[-9.0, 9.0]]).kl == pytest.approx(exact, rel=1e-4)
    assert grid_distances(p.log_prob, cut(3.0), [[-9.0, 9.0]]).kl == np.inf


def test_relative_errors_of_moments():
    x = samples(0, 4000, 2)
    spread = np.sqrt(np.trace(np.cov(x.T)))
    assert relative_mean_error(x + np.array([3.0, 4.0]), x) == pytest.approx(5 / spread, rel=1e-9)
    assert relative_covariance_error(2 * x, x) == pytest.approx(3, rel=1e-9)
    assert relative_mean_error(2 * (x - x.mean(0)), x - x.mean(0)) == pytest.approx(0, abs=1e-12)
    assert relative_covariance_error(samples(0, 50, 1) + 7, samples(0, 50, 1)) == pytest.approx(0, abs=1e-12)


def test_the_noise_floor_is_the_distance_of_independent_draws():
    reference = gw.Gaussian([0.0, 0.0], 1.0)
    both = lambda x, y: [wasserstein(x, y), relative_mean_error(x, y)]
    few, many = (noise_floor(both, reference, n, jax.random.key(0), repeats=8) for n in (50, 800))
    assert few.shape == (8, 2)
    # The mean's error has mean square 2/n over tr cov = d, a law of d squares: sqrt(2/n) sqrt(pi)/2 for d = 2.
    np.testing.assert_allclose(many.mean(0)[1], np.sqrt(np.pi / 2 / 800), rtol=0.35)
    assert np.all(few.mean(0) > 2 * many.mean(0))
    assert len(np.unique(few[:, 0])) == 8
    np.testing.assert_array_equal(few, noise_floor(both, reference, 50, jax.random.key(0), repeats=8))


def test_samples_in_single_precision():
    x, y = samples(0, 60, 3), samples(1, 60, 3)
    double = [sliced_wasserstein(x, y), mmd2(x, y), wasserstein(x, y)]
    with jax.enable_x64(False):
        single = [sliced_wasserstein(x, y), mmd2(x, y), wasserstein(jnp.asarray(x), jnp.asarray(y))]
    np.testing.assert_allclose(single, double, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["wasserstein", "sliced_wasserstein", "mmd2", "relative_mean_error"])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros(3), np.zeros((3, 1)), r"^x: got shape \(3,\)"),
        (np.zeros((3, 2)), np.zeros((3, 1)), r"^y: got shape \(3, 1\); allowed: shape \(n, 2\), as x"),
        (np.zeros((0, 2)), np.zeros((3, 2)), r"^x: got shape \(0, 2\)"),
        (np.full((3, 2), np.nan), np.zeros((3, 2)), "^x: got .*finite numbers"),
    ],
)
def test_samples_that_are_refused(name, x, y, message):
    with pytest.raises(InputError, match=message):
        getattr(distances, name)(x, y)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wasserstein_1d(np.zeros((1, 1)), np.zeros(1)), r"^x: got shape \(1, 1\)"),
        (lambda: sliced_wasserstein(np.ones((2, 2)), np.ones((2, 2)), directions=0), "^directions"),
        (lambda: wasserstein(np.ones((20_000, 2)), np.ones((20_000, 2))), "at most 100,000,000 pairs"),
        (lambda: mmd2(np.ones((1, 2)), np.ones((2, 2))), "^x: got 1 samples; allowed: at least 2"),
        (lambda: mmd2(np.ones((2, 2)), np.ones((2, 2))), "^bandwidth: got samples most of which are the same"),
        (lambda: mmd2(np.ones((2, 2)), np.ones((2, 2)), -1.0), "^bandwidth: got -1.0"),
        (lambda: relative_mean_error(np.zeros((2, 1)), np.ones((2, 1))), "samples with a spread"),
        (lambda: relative_covariance_error(np.zeros((2, 1)), np.ones((2, 1))), "samples with a spread"),
        (lambda: gaussian_wasserstein([0.0], [[1.0]], [0.0, 0.0], np.eye(2)), "^other_mean"),
        (lambda: gaussian_wasserstein([0.0], [[1.0]], [0.0], [[-1.0]]), "^other_covariance"),
        (lambda: grid_distances(len, len, [0.0, 1.0]), "^box"),
        (lambda: grid_distances(len, len, [[1.0, 0.0]]), "^box"),
        (lambda: grid_distances(len, len, np.tile([0.0, 1.0], (3, 1))), "^box: got .*one or two axes"),
        (lambda: grid_distances(len, len, [[0.0, 1.0]]), r"^log_p: got shape \(\) for points"),
        (lambda: kl_divergence(len, len, np.zeros((1, 1))), "^x: got 1 samples"),
        (lambda: noise_floor(wasserstein, gw.Gaussian([0.0], 1.0), 0, jax.random.key(0)), "^n:"),
        (lambda: noise_floor(wasserstein, gw.Gaussian([0.0], 1.0), 9, jax.random.key(0), 0), "^repeats:"),
    ],
)
def test_arguments_that_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_without_pot_the_message_says_what_to_install(monkeypatch):
    usual = builtins.__import__

    def without(name, *arguments, **options):
        if name == "ot":
            raise ImportError(name)
        return usual(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"no package POT; allowed: .*pip install 'genwgp\[transport\]'"):
        wasserstein(np.zeros((2, 2)), np.ones((2, 2)))
    assert wasserstein(np.zeros((2, 1)), np.ones((2, 1))) == 1


def test_log_densities_are_those_of_scipy():
    """A guard of the closed forms above: the densities themselves are right."""
    p, x = random_gaussian(0, 3), samples(0, 5, 3)
    scipys: Any = multivariate_normal(np.asarray(p.mean), np.asarray(p.covariance))  # pyright: ignore
    np.testing.assert_allclose(p.log_prob(x), scipys.logpdf(x), rtol=1e-9)
