"""Problems: what they hold, and that everything wrong is found at once, in one line."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flowjax.distributions import StandardNormal

import genwgp as gw
from genwgp.errors import InputError

START = gw.Gaussian([1.0, -1.0], 0.5)


def bowl(x):
    return 0.5 * jnp.sum(x**2)


def energy(potential=bowl):
    return gw.FreeEnergy(potential, gw.Entropy(1.0))


def test_a_problem_holds_its_parts():
    problem = gw.Problem(energy(), START)
    assert problem.initial is START
    assert (problem.dim, problem.name, problem.reference) == (2, "problem", None)


def test_a_density_of_flowjax_starts_a_problem():
    problem = gw.Problem(energy(), StandardNormal((3,)), name="other")
    assert problem.dim == 3
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(problem.initial.score(x), -x, rtol=1e-12)


def test_constant_and_integer_potentials_are_potentials():
    for value in (3, 2.5, np.float64(1.0)):
        assert gw.Problem(energy(lambda x, value=value: value), START).dim == 2


def test_a_diffusion_without_potential_is_a_problem():
    assert gw.Problem(gw.FreeEnergy(internal=gw.Entropy(1.0)), START).energy.potential is None


def test_float32():
    with jax.enable_x64(False):
        problem = gw.Problem(energy(), gw.Gaussian([1.0, -1.0], 0.5))
        x = problem.initial.sample(jax.random.key(0), 3)
        assert problem.energy.gradient(x, problem.initial.score(x)).dtype == jnp.float32


POTENTIALS = {
    "a vector": (lambda x: x**2, r"got a function that returns shape \(2,\)"),
    "one number in a list": (lambda x: jnp.sum(x, keepdims=True), r"returns shape \(1,\)"),
    "nothing": (lambda x: None, "returns a NoneType"),
    "a pair": (lambda x: (x[0], x[1]), "returns a tuple"),
    "NaN": (lambda x: jnp.sqrt(-jnp.sum(x**2)), r"got V = nan at \("),
    "infinite": (lambda x: 1 / (0 * x[0]), r"got V = "),
    "NaN at some samples": (lambda x: jnp.log(x[0] - 1.0), r"got V = nan at \(0\.\d+, "),
    "gradient NaN": (lambda x: jnp.sqrt(0 * x[0]), "got grad V = "),
    "numpy": (lambda x: np.sum(np.asarray(x) ** 2), "cannot trace.*jax.numpy"),
    "math": (lambda x: math.exp(x[0]), "cannot trace.*jax.numpy"),
    "float": (lambda x: float(x[0]) ** 2, "cannot trace.*jax.numpy"),
    "branch": (lambda x: x[0] if x[0] > 0 else -x[0], "cannot trace.*jax.numpy"),
    "three coordinates": (lambda x: x @ jnp.eye(3) @ x, r"TypeError: .*one point, shape \(2,\)"),
    "two points": (lambda x, y: x @ y, "TypeError"),
    "raises": (lambda x: 1 / 0, "ZeroDivisionError"),
    "complex": (lambda x: jax.lax.complex(x[0], x[1]), "returns complex numbers"),
    "a truth value": (lambda x: x[0] > 0, "returns bool numbers"),
}


@pytest.mark.parametrize("name", POTENTIALS)
def test_potential_refused(name):
    potential, message = POTENTIALS[name]
    with pytest.raises(InputError, match=message) as caught:
        gw.Problem(energy(potential), START)
    assert caught.value.field == "energy.potential"
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("energy", {"energy": bowl}),
        ("energy", {"energy": None}),
        ("initial", {"initial": np.zeros((10, 2))}),
        ("initial", {"initial": None}),
        ("name", {"name": ""}),
        ("name", {"name": 3}),
        ("reference", {"reference": "exact"}),
        ("reference", {"reference": START}),
    ],
)
def test_parts_refused(field, arguments):
    with pytest.raises(InputError) as caught:
        gw.Problem(**({"energy": energy(), "initial": START} | arguments))
    assert caught.value.field == field
    assert "\n" not in str(caught.value)
