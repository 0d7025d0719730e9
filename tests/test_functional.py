"""Functionals by their first variation, random batches, and whether anything confines a density."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.confinement import spreads
from genwgp.errors import InputError
from genwgp.references import Barenblatt, FiniteVolume, Langevin, McKeanVlasov

SMALL = gw.CausalSweep(pool=1024, train=1024, test=1024, cloud=1024)
START = gw.Gaussian([1.5, -1.0], [[0.3, 0.1], [0.1, 0.2]])


def parabola(x):
    return 0.5 * x @ x


def attraction(x, log_density, y):
    return jnp.mean(jnp.sum((x - y) ** 2, 1))


def square(x, log_density, y):
    return jnp.exp(log_density)


ATTRACTION = gw.Functional(attraction, lambda *a: 0.5 * attraction(*a))
SQUARE = gw.Functional(lambda *a: 2 * square(*a), square)


def test_it_is_the_interaction_or_the_internal_energy_that_it_stands_for():
    x = START.sample(jax.random.key(0), 500)
    carried = (x, START.log_prob(x), START.score(x))
    pairs = [
        (ATTRACTION, gw.FreeEnergy(interaction=gw.QuadraticInteraction(2.0)).among(x)),
        (SQUARE, gw.FreeEnergy(internal=gw.PorousMedium(2.0))),
    ]
    for functional, same in pairs:
        energy = gw.FreeEnergy(functional=functional).among(x)
        np.testing.assert_allclose(energy.per_particle(*carried[:2]), same.per_particle(*carried[:2]), rtol=1e-12)
        np.testing.assert_allclose(energy.gradient(*carried), same.gradient(*carried), rtol=1e-11, atol=1e-12)
        level = energy.chemical_potential(*carried[:2]) - same.chemical_potential(*carried[:2])
        np.testing.assert_allclose(level, level[0], atol=1e-12)


def test_a_mean_field_by_its_first_variation_follows_the_exact_path():
    exact = McKeanVlasov(np.eye(2), np.zeros(2), 2 * np.eye(2), 1.0, START)
    problem = gw.Problem(gw.FreeEnergy(parabola, gw.Entropy(1.0), functional=ATTRACTION), START)
    path = gw.solve(problem, gw.FiniteHorizonAction(0.1), layers=2, method=SMALL, throw=False).path
    x = np.asarray(path.transport(START.quasi_sample(3, 8192), time=0.1))
    np.testing.assert_allclose(x.mean(0), exact.density(0.1).mean, atol=2e-3)
    np.testing.assert_allclose(np.cov(x.T), exact.density(0.1).covariance, atol=2e-3)


def test_a_local_functional_reaches_its_compact_equilibrium():
    exact = Barenblatt(1, 2.0, 0.7, stiffness=1.0)
    problem = gw.Problem(gw.FreeEnergy(parabola, functional=SQUARE), exact.start)
    solution = gw.solve(problem, layers=2, method=SMALL)
    x = np.asarray(solution.path.transport(exact.start.quasi_sample(3, 8192), node=2))
    np.testing.assert_allclose(np.cov(x.T), exact.density(np.inf).covariance, atol=3e-3)
    assert np.isnan(solution.diagnostics["gap"])


@pytest.mark.parametrize(
    ("first", "value", "said"),
    [
        (lambda x, log_density, y: log_density, 3.0, "Functional.value"),
        (lambda x, log_density, y: x, square, "shape"),
        (lambda x, log_density, y: jnp.log(x[0]), square, "not finite"),
        (lambda x, log_density: log_density, square, "Functional.first_variation"),
        (square, square, "first variation of the mean of value"),  # it is twice that
        (attraction, attraction, "first variation of the mean of value"),  # half of it
        (lambda *a: -2 * square(*a), square, "first variation of the mean of value"),
    ],
)
def test_wrong_functionals_are_named(first, value, said):
    with pytest.raises(InputError, match=said):
        gw.Problem(gw.FreeEnergy(parabola, functional=gw.Functional(first, value)), START)


@pytest.mark.parametrize("reference", [FiniteVolume, Langevin])
def test_references_refuse_what_they_cannot_follow(reference):
    problem = gw.Problem(gw.FreeEnergy(parabola, functional=SQUARE), START)
    with pytest.raises(InputError, match=r"energy\.functional"):
        reference.of(problem)


def test_a_random_batch_is_right_in_the_mean():
    x = START.sample(jax.random.key(0), 200)
    kernel = gw.GaussianInteraction(-1.0, 0.7)
    exact = np.asarray(gw.FreeEnergy(interaction=kernel).drift(x))
    drift = jax.jit(lambda key: gw.FreeEnergy(interaction=gw.RandomBatch(kernel, 20, key)).drift(x))
    drawn = np.stack([drift(key) for key in jax.random.split(jax.random.key(1), 400)])
    noise = drawn.std(0) / np.sqrt(len(drawn))
    assert np.sqrt((((drawn.mean(0) - exact) / noise) ** 2).mean()) < 1.3
    assert np.sqrt((noise**2).mean()) > 1e-4
    whole = gw.FreeEnergy(interaction=gw.RandomBatch(kernel, 200)).drift(x)
    np.testing.assert_allclose(whole, exact, rtol=1e-12)
    with pytest.raises(InputError, match=r"RandomBatch\.size"):
        gw.RandomBatch(kernel, 0)


def test_langevin_particles_draw_a_batch_in_each_step():
    kernel = lambda size: gw.RandomBatch(gw.Interaction(lambda z: z @ z), size)
    exact = McKeanVlasov(np.eye(2), np.zeros(2), 2 * np.eye(2), 1.0, START)
    path = Langevin(START, parabola, gw.Entropy(1.0), particles=4096, interaction=kernel(16), step=0.02)
    rho = path.density(0.5)
    np.testing.assert_allclose(rho.mean, exact.density(0.5).mean, atol=0.04)
    np.testing.assert_allclose(rho.covariance, exact.density(0.5).covariance, atol=0.06)


@pytest.mark.parametrize(
    ("energy", "answer"),
    [
        (gw.FreeEnergy(internal=gw.Entropy(1.0)), True),
        (gw.FreeEnergy(internal=gw.PorousMedium(2.0)), True),
        (gw.FreeEnergy(lambda x: 1.9 * jnp.log(1 + x @ x) / 2, gw.Entropy(1.0)), True),  # Z is infinite
        (gw.FreeEnergy(lambda x: 2.1 * jnp.log(1 + x @ x) / 2, gw.Entropy(1.0)), False),
        (gw.FreeEnergy(lambda x: 1e-4 * x @ x + jnp.cos(20 * x).sum(), gw.Entropy(1.0)), False),
        (gw.FreeEnergy(None, gw.Entropy(1.0), gw.LogarithmicInteraction(3.9)), True),
        (gw.FreeEnergy(None, gw.Entropy(1.0), gw.LogarithmicInteraction(4.1)), False),
        (gw.FreeEnergy(interaction=gw.MorseInteraction()), False),
    ],
)
def test_what_confines(energy, answer):
    assert spreads(gw.Problem(energy, START)) is answer
