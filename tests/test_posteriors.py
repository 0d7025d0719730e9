"""The gallery's posteriors and other targets in more than two dimensions: densities, normalisers and samples."""

import sys
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.stats import multivariate_normal

import genwgp as gw
from genwgp.additive import additive
from genwgp.errors import InputError
from genwgp.problems import eight_schools, logistic_regression
from genwgp.references import KnownDensity


def known(problem) -> KnownDensity:
    assert isinstance(problem.reference, KnownDensity)
    return problem.reference


def value(potential, x) -> float:
    return float(jax.jit(lambda x: potential(x))(x))


def integration_by_parts(problem, n: int) -> tuple[np.ndarray, np.ndarray]:
    """E[x (grad V)^T] over samples of the end, which is D times the identity where they are of exp(-V/D); errors."""
    x = known(problem).equilibrium.sample(jax.random.key(0), n)
    products = np.asarray(x[:, :, None] * jax.jit(jax.vmap(jax.grad(problem.energy.potential)))(x)[:, None, :])
    return products.mean(0), products.std(0) / np.sqrt(n)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("rosenbrock", {"blocks": 2, "length": 3, "a": 4.0, "diffusion": 0.5}), ("eight-schools", {"diffusion": 2.0})],
)
def test_samples_of_the_end_are_those_of_the_potential(name, parameters):
    problem = gw.problems.get(name, **parameters)
    found, error = integration_by_parts(problem, 2**14)
    np.testing.assert_array_less(np.abs(found - parameters["diffusion"] * np.eye(problem.dim)), 5 * error)
    assert np.median(error) < 0.05


def test_the_end_is_the_potential_with_its_normaliser():
    problem = gw.problems.get("rosenbrock", diffusion=0.5)
    x = problem.initial.sample(jax.random.key(1), 5)
    V = problem.energy.per_particle(x, jnp.zeros(5))
    log_z = known(problem).log_normaliser
    np.testing.assert_allclose(known(problem).equilibrium.log_prob(x), -V / 0.5 - log_z, rtol=1e-12)
    assert known(problem).equilibrium_free_energy == -0.5 * log_z


def test_rosenbrock_is_the_sum_of_its_squares():
    x = jnp.array([0.3, -0.5, 1.2, 0.7, -0.1, 0.4, 2.0])  # x_1, two blocks of three
    problem = gw.problems.get("rosenbrock", blocks=2, length=4, a=1.5, b=0.5, centre=-1.0)
    squares = [-0.5 - 0.3**2, 1.2 - 0.5**2, 0.7 - 1.2**2, -0.1 - 0.3**2, 0.4 - 0.1**2, 2.0 - 0.4**2]
    assert problem.energy.potential is not None
    expected = 1.5 * 1.3**2 + 0.5 * np.square(squares).sum()
    assert value(problem.energy.potential, x) == pytest.approx(expected, rel=1e-12)


def test_rosenbrock_has_the_normaliser_of_a_quadrature():
    plane = gw.problems.get("rosenbrock", blocks=1, length=2, a=0.7, b=1.3, diffusion=0.6)
    assert plane.energy.potential is not None
    quadrature = gw.references.QuadratureReference(plane.energy.potential, 0.6, 2)
    assert known(plane).log_normaliser == pytest.approx(quadrature.log_normaliser, abs=1e-9)


def test_eight_schools_has_the_evidence_of_an_integral_over_mu_and_tau():
    """In points, with y given mu and tau: N(mu, sigma^2 + tau^2) for each school."""
    effect, error = eight_schools.EFFECT * 5, eight_schools.ERROR * 5

    def joint(mu, log_tau):
        tau = np.exp(log_tau)
        variance = error**2 + tau**2
        data = np.exp(-0.5 * (effect - mu) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
        prior = np.exp(-0.5 * (mu / 5) ** 2) / np.sqrt(2 * np.pi) / 5 * 2 / (np.pi * 5) / (1 + (tau / 5) ** 2)
        return 1e14 * prior * tau * data.prod()

    evidence = dblquad(joint, -20.0, 9.0, -60.0, 60.0, epsabs=0, epsrel=1e-7)[0]
    assert known(gw.problems.get("eight-schools")).log_normaliser == pytest.approx(np.log(evidence / 1e14), abs=1e-6)


def test_eight_schools_are_one_posterior_centred_or_not():
    """theta = mu + tau z, whose Jacobian is tau^8."""
    free, centred = (known(gw.problems.get("eight-schools", centred=c)).equilibrium for c in (False, True))
    x, y = (np.asarray(end.sample(jax.random.key(3), 50)) for end in (free, centred))
    mu, log_tau = x[:, :1], x[:, 1:2]
    np.testing.assert_allclose(y, np.concatenate([mu, log_tau, mu + np.exp(log_tau) * x[:, 2:]], 1), rtol=1e-12)
    np.testing.assert_allclose(centred.log_prob(y), free.log_prob(x) - 8 * log_tau[:, 0], rtol=1e-9)


def test_logistic_regression_is_its_joint_density_and_starts_at_the_mode():
    problem = gw.problems.get("logistic-regression", prior_scale=2.0, diffusion=0.5)
    potential, start = problem.energy.potential, problem.initial
    assert isinstance(potential, logistic_regression.LogisticPosterior)
    assert isinstance(start, gw.Gaussian)
    x = np.random.default_rng(0).normal(size=31)
    joint = -np.log1p(np.exp(-potential.rows @ x)).sum() - x @ x / 8 - 31 * np.log(2 * np.sqrt(2 * np.pi))
    assert value(potential, x) == pytest.approx(-0.5 * joint, rel=1e-10)
    slope, along = jax.jvp(jax.grad(potential), (start.mean,), (start.covariance @ x,))
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)
    np.testing.assert_allclose(along, 0.5 * x, atol=1e-6)
    assert additive(potential, jnp.asarray(x)) is not None


@pytest.mark.parametrize(("data", "shape"), [("breast-cancer", (569, 31)), ("digits", (357, 55))])
def test_logistic_regression_has_standardised_predictors_and_both_classes(data, shape):
    rows = logistic_regression.rows_of("data", data)
    assert rows.shape == shape
    np.testing.assert_allclose((rows**2).sum(0), shape[0])
    np.testing.assert_allclose((rows[:, :1] * rows[:, 1:]).sum(0), 0.0, atol=1e-9)  # s_i^2 a_i, whose mean is 0
    assert {-1.0, 1.0} == set(rows[:, 0])


@pytest.mark.parametrize(("name", "field"), [("logistic-regression", "data"), ("gaussian-process", "rows")])
def test_data_of_scikit_learn_tell_what_they_need(monkeypatch, name, field):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=rf"^{name}\.{field}: .*scikit-learn.*genwgp\[data\]"):
        gw.problems.get(name)


def test_phi4_is_the_action_of_its_source_and_the_same_everywhere():
    potential = gw.problems.get("phi4-lattice", size=3, mass_squared=-1.5, coupling=0.7).energy.potential
    assert potential is not None
    phi = np.random.default_rng(1).normal(size=(3, 3))
    action = 0.0
    for i, j in np.ndindex(3, 3):
        neighbours = sum(phi[(i + k) % 3, j] + phi[i, (j + k) % 3] for k in (-1, 1))
        action += phi[i, j] * (4 * phi[i, j] - neighbours) - 1.5 * phi[i, j] ** 2 + 0.7 * phi[i, j] ** 4
    assert value(potential, phi.ravel()) == pytest.approx(action, rel=1e-12)
    assert additive(potential, jnp.asarray(phi.ravel())) is not None


def test_gaussian_process_has_the_likelihood_of_its_kernel():
    potential = cast(Any, gw.problems.get("gaussian-process", rows=40, diffusion=2.0).energy.potential)
    x = np.array([0.3, -0.2, 0.1])
    t, y = np.cumsum(potential.log_density.gap), potential.log_density.y
    covariance = np.exp(2 * x[1] - np.abs(t[:, None] - t) * np.exp(-x[0])) + np.exp(2 * x[2]) * np.eye(40)
    joint = multivariate_normal(np.zeros(40), covariance).logpdf(y) + multivariate_normal(np.zeros(3)).logpdf(x)
    assert value(potential, x) == pytest.approx(-2 * joint, rel=1e-10)
    assert len(np.unique(t)) < 40  # patients of one index: no gap
