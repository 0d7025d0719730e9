"""Laws of free energies: gradients against finite differences, estimates against closed forms, refused inputs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import genwgp as gw
from genwgp.energies import Entropy, FreeEnergy
from genwgp.errors import InputError


def quartic(x):
    return jnp.sum(x**4) / 4 + jnp.sin(x[0]) * x[-1]


ENERGIES = {
    "potential": lambda: FreeEnergy(potential=quartic),
    "entropy": lambda: FreeEnergy(internal=Entropy(0.7)),
    "both": lambda: FreeEnergy(quartic, Entropy(0.7)),
    "constant potential": lambda: FreeEnergy(lambda x: 3, Entropy(2)),
    "tilted-double-well": lambda: gw.problems.get("tilted-double-well", diffusion=0.5).energy,
    "gaussian-mixture": lambda: gw.problems.get("gaussian-mixture").energy,
    "banana": lambda: gw.problems.get("banana").energy,
    "ornstein-uhlenbeck": lambda: gw.problems.get("ornstein-uhlenbeck").energy,
}


slope, summand = eqx.filter_jit(FreeEnergy.gradient), eqx.filter_jit(FreeEnergy.per_particle)
BUILT = {name: build() for name, build in ENERGIES.items()}


@pytest.mark.parametrize("name", BUILT)
@given(seed=st.integers(0, 2**31))
def test_gradient_is_the_finite_difference_of_the_chemical_potential(name, seed):
    energy, rho, step = BUILT[name], gw.Gaussian([0.3, -0.2], [[1.0, 0.4], [0.4, 0.8]]), 1e-5
    x = rho.sample(jax.random.key(seed), 3)
    gradient = slope(energy, x, rho.score(x))
    for axis in range(2):
        shift = np.eye(2)[axis] * step
        high, low = (summand(energy, y, rho.log_prob(y)) for y in (x + shift, x - shift))
        np.testing.assert_allclose(gradient[:, axis], (high - low) / (2 * step), rtol=1e-6, atol=1e-6)


def test_value_of_a_gaussian_is_the_closed_form():
    D, variance = 0.5, np.array([0.5, 2.0])
    energy = FreeEnergy(lambda x: 0.5 * x @ x, Entropy(D))
    rho = gw.Gaussian(np.zeros(2), variance)
    x = jnp.asarray(rho.quasi_sample(0, 2**14))
    exact = 0.5 * variance.sum() - 0.5 * D * np.log((2 * np.pi * np.e) ** 2 * variance.prod())
    assert float(energy.value(x, rho.log_prob(x))) == pytest.approx(exact, abs=1e-3)
    np.testing.assert_allclose(energy.value(x, rho.log_prob(x)), energy.per_particle(x, rho.log_prob(x)).mean())


def test_dissipation_vanishes_at_the_equilibrium_only():
    energy = FreeEnergy(lambda x: 0.5 * x @ x, Entropy(1.0))
    for variance, exact in ((1.0, 0.0), (4.0, 2 * (2.0 - 0.5) ** 2)):
        rho = gw.Gaussian([0.0, 0.0], variance)
        x = jnp.asarray(rho.quasi_sample(1, 2**12))
        assert float(energy.dissipation(x, rho.score(x))) == pytest.approx(exact, rel=5e-3, abs=1e-12)


def test_diffusion_is_that_of_the_entropy():
    assert FreeEnergy(quartic).diffusion == 0.0
    assert FreeEnergy(quartic, Entropy(0.25)).diffusion == 0.25


def test_one_dtype_in_float32():
    with jax.enable_x64(False):
        x = jnp.ones((4, 2))
        energy = FreeEnergy(quartic, Entropy(0.7))
        assert energy.gradient(x, x).dtype == energy.value(x, x[:, 0]).dtype == jnp.float32


@pytest.mark.parametrize("D", [0, -1.0, float("nan"), float("inf"), "1", None, [1.0]])
def test_entropy_refuses(D):
    with pytest.raises(InputError, match=r"^Entropy\.D: got .*above 0$"):
        Entropy(D)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("FreeEnergy", {}),
        ("FreeEnergy.potential", {"potential": 3.0}),
        ("FreeEnergy.internal", {"internal": 1.0}),
        ("FreeEnergy.internal", {"potential": quartic, "internal": quartic}),
    ],
)
def test_free_energy_refuses(field, arguments):
    with pytest.raises(InputError) as caught:
        FreeEnergy(**arguments)
    assert caught.value.field == field
    assert "\n" not in str(caught.value)
