"""Densities on a mesh: normalisation, moments, score, samples, the spline, the edge of the box."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm

import genwgp as gw
from genwgp.errors import InputError
from genwgp.references import GridDensity
from genwgp.references.grid_density import spline_coefficients
from genwgp.references.mesh import Mesh

LINE, PLANE = Mesh(np.array([[-5.0, 6.0]]), (60,)), Mesh(np.array([[-5.0, 6.0], [-4.0, 5.0]]), (60, 50))
EXACT = {
    "line": (LINE, gw.Gaussian([0.4], 0.8)),
    "plane": (PLANE, gw.Gaussian([0.4, 0.3], [[0.8, 0.3], [0.3, 0.6]])),
}


def on_mesh(mesh, exact, smooth=True):
    log_rho = np.asarray(exact.log_prob(mesh.centres.reshape(-1, mesh.dim))).reshape(mesh.cells)
    return GridDensity(mesh, log_rho, smooth)


BUILT = {name: (on_mesh(mesh, exact), exact, mesh) for name, (mesh, exact) in EXACT.items()}
law = pytest.mark.parametrize("name", BUILT)


@law
def test_moments_are_exact_up_to_rounding(name):
    rho, exact, _ = BUILT[name]
    np.testing.assert_allclose(rho.mean, exact.mean, atol=1e-6)  # what lies outside the box
    np.testing.assert_allclose(rho.covariance, exact.covariance, atol=1e-5)


@law
def test_a_parabola_of_log_density_is_met_exactly_between_the_centres(name):
    rho, exact, mesh = BUILT[name]
    x = np.random.default_rng(0).uniform(mesh.box[:, 0], mesh.box[:, 1], (200, mesh.dim))
    np.testing.assert_allclose(rho.log_prob(x), exact.log_prob(x), atol=1e-9)
    np.testing.assert_allclose(rho.score(x), exact.score(x), atol=1e-9)
    np.testing.assert_allclose(rho.log_prob(x[0]), exact.log_prob(x[0]), atol=1e-9)
    np.testing.assert_allclose(jax.jit(jax.vmap(rho.score))(x), exact.score(x), atol=1e-9)


@law
def test_outside_the_box_there_is_nothing(name):
    rho, _, mesh = BUILT[name]
    corner = mesh.box[:, 1]
    assert np.isfinite(rho.log_prob(corner - 1e-9))
    assert rho.log_prob(corner + 1e-9) == -np.inf
    np.testing.assert_array_equal(rho.score(corner + 1e-9), np.zeros(mesh.dim))


@law
def test_samples_have_the_moments_and_the_distribution(name):
    rho, exact, _ = BUILT[name]
    x = np.asarray(rho.sample(jax.random.key(0), 20000))
    assert x.shape == (20000, rho.dim)
    for i in range(rho.dim):
        marginal = norm(exact.mean[i], np.sqrt(exact.covariance[i, i]))
        assert kstest(x[:, i], marginal.cdf).pvalue > 1e-3


@law
def test_quasi_samples_have_the_moments_up_to_the_fourth_power_of_the_cells(name):
    rho, exact, _ = BUILT[name]
    x = rho.quasi_sample(1, 2**14)
    assert x.dtype == np.float64
    np.testing.assert_allclose(x.mean(axis=0), exact.mean, atol=2e-3)
    # Cells of 0.18 with uniform places in them would add 0.18^2 / 12 = 0.0027 to each variance.
    np.testing.assert_allclose(np.cov(x, rowvar=False).reshape(rho.dim, rho.dim), exact.covariance, atol=1.5e-3)


def test_a_grid_density_is_a_start():
    rho, exact, _ = BUILT["plane"]
    problem = gw.Problem(gw.FreeEnergy(lambda x: jnp.sum(x**2), gw.Entropy(1.0)), rho)
    assert problem.dim == 2
    assert problem.initial.widened(1.5).dim == exact.dim


def test_compact_supports_are_interpolated_linearly():
    mesh = Mesh(np.array([[0.0, 4.0]]), (4,))
    rho = np.array([0.0, 0.4, 0.6, 0.0])
    with np.errstate(divide="ignore"):
        density = GridDensity(mesh, np.log(rho), smooth=False)
    assert density.log_prob(np.array([2.0])) == pytest.approx(np.log(0.5))
    assert density.log_prob(np.array([0.2])) == -np.inf
    assert density.score(np.array([2.0]))[0] == pytest.approx(0.2 / 0.5)
    x = np.asarray(density.sample(jax.random.key(0), 1000))
    assert 1 <= x.min() < x.max() <= 3


@given(seed=st.integers(0, 2**31), n=st.integers(8, 30))
def test_the_spline_goes_through_its_values(seed, n):
    values = np.random.default_rng(seed).normal(size=(n, n + 3))
    c = spline_coefficients(values)
    for axis, size in enumerate(values.shape):
        before, at, behind = (np.take(c, range(start, start + size), axis=axis) for start in range(3))
        c = (before + 4 * at + behind) / 6
    np.testing.assert_allclose(c, values, atol=1e-9)


def test_points_of_another_dimension_are_refused():
    with pytest.raises(InputError, match=r"^x: got shape \(3,\)"):
        BUILT["plane"][0].log_prob(np.zeros(3))
