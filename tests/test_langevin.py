"""Langevin particles: weak order, moments against an exact path, what particles cannot tell, inputs refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.errors import InputError
from genwgp.references import Langevin, McKeanVlasov, OrnsteinUhlenbeck

RATES = np.array([0.6, 1.0, 2.0])
START = gw.Gaussian([1.0, -1.0, 0.5], 0.2)
EXACT = OrnsteinUhlenbeck(np.diag(RATES), np.zeros(3), 0.7, START)


def potential(x):
    return 0.5 * jnp.sum(jnp.asarray(RATES) * x**2)


def test_moments_in_three_dimensions():
    n = 20000
    path = Langevin(START, potential, gw.Entropy(0.7), particles=n)
    for t in (0.5, 2.0):
        rho, exact = path.density(t), EXACT.density(t)
        np.testing.assert_allclose(rho.mean, exact.mean, atol=5 * np.sqrt(1.2 / n))
        np.testing.assert_allclose(rho.covariance, exact.covariance, atol=5 * 1.2 * np.sqrt(2 / n))


def test_the_step_follows_the_stiffest_place_on_the_way():
    assert Langevin(START, potential, gw.Entropy(0.7), particles=8).step == pytest.approx(0.05)
    wells = lambda x: 2 * (x[0] ** 2 - 1) ** 2  # V'' is -8 at the start and above 16 beyond the wells
    assert Langevin(gw.Gaussian([0.0], 0.01**2), wells, gw.Entropy(1.0), particles=8).step < 0.1 / 16


def test_the_bias_of_the_moments_is_of_second_order_and_about_three_times_the_error():
    t, noise = 1.0, gw.Entropy(0.7)
    coarse, fine = (Langevin(START, potential, noise, particles=200000, step=h) for h in (0.4, 0.2))
    ratio = np.asarray(coarse.bias(t).covariance)[2, 2] / np.asarray(fine.bias(t).covariance)[2, 2]
    assert 3.0 < ratio < 6.0  # 4 where the step is small
    still = Langevin(gw.Gaussian([1.0], 1e-12), lambda x: x[0] ** 2, particles=4, step=0.05)
    error = float(still.density(t).mean[0]) - np.exp(-2.0)
    assert float(still.bias(t).mean[0]) == pytest.approx(3 * error, rel=0.15)


def test_times_in_any_order_and_repeatable():
    path, again = (Langevin(START, potential, gw.Entropy(0.7), particles=64) for _ in range(2))
    late = path.density(1.0).particles
    early = path.density(0.3).particles
    np.testing.assert_array_equal(again.density(1.0).particles, late)
    assert path.density(1.0).particles is late
    assert early.shape == (64, 3)
    np.testing.assert_array_equal(path.density(0).particles, again.density(0).particles)
    assert path.log_normaliser is None
    assert path.equilibrium_free_energy is None
    assert path.describe() == "64 Langevin particles, stochastic Heun steps of 0.025"


def test_samples_are_different_particles():
    rho = Langevin(START, potential, particles=50).density(0.1)
    x = np.asarray(rho.sample(jax.random.key(0), 50))
    assert len(np.unique(x, axis=0)) == 50
    with pytest.raises(InputError, match=r"^n: got 51; allowed: at most the 50"):
        rho.sample(jax.random.key(0), 51)


def test_particles_have_no_density_at_a_point():
    rho = Langevin(START, potential, particles=8).density(0.1)
    for method in (rho.log_prob, rho.score):
        with pytest.raises(InputError, match="a reference that knows log rho"):
            method(np.zeros(3))


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("Langevin.potential", {"potential": 1.0}),
        ("Langevin.internal", {"internal": 1.0}),
        ("Langevin.particles", {"particles": 0}),
        ("Langevin.step", {"step": -1.0}),
        ("Langevin.step", {"potential": lambda x: x[0]}),
        ("Langevin.seed", {"seed": -1}),
    ],
)
def test_arguments_refused(field, arguments):
    with pytest.raises(InputError) as caught:
        Langevin(**({"initial": START, "potential": potential, "internal": gw.Entropy(1.0)} | arguments))
    assert caught.value.field == field


def test_escapes_are_errors():
    path = Langevin(START, lambda x: jnp.sum(x**4), gw.Entropy(1.0), particles=64, step=1.0)
    with pytest.raises(InputError, match=r"^Langevin\.step: got 1\.0; allowed: a shorter step"):
        path.density(10.0)


@pytest.mark.parametrize("t", [-1.0, np.inf, "1"])
def test_times_refused(t):
    with pytest.raises(InputError, match=r"^t: got "):
        Langevin(START, potential, particles=8).density(t)


def test_interacting_particles_follow_the_mean_field():
    """Mean and variance of McKean-Vlasov within four standard errors and the bias of the steps."""
    start, n = gw.Gaussian([1.5], 0.3**2), 100_000
    exact = McKeanVlasov([[1.0]], [0.0], [[2.0]], 0.7, start)
    energy = gw.FreeEnergy(lambda x: 0.5 * x @ x, gw.Entropy(0.7), gw.QuadraticInteraction(2.0))
    path = Langevin.of(gw.Problem(energy, start), particles=n)
    found, rho = path.density(0.4), exact.density(0.4)
    variance = float(rho.covariance[0, 0])
    assert abs(float(found.mean[0] - rho.mean[0])) < 4 * np.sqrt(variance / n) + abs(float(path.bias(0.4).mean[0]))
    assert float(found.covariance[0, 0]) == pytest.approx(variance, rel=4 * np.sqrt(2 / n) + 1e-3)
