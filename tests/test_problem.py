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
        assert problem.energy.gradient(x, problem.initial.log_prob(x), problem.initial.score(x)).dtype == jnp.float32


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
    "an index": (lambda x: x[5] ** 2, "index 5 out of bounds for axis 0 with size 2; allowed.*shape \\(2,\\)"),
    "a negative index": (lambda x: x[-3], "index -3 out of bounds for axis 0 with size 2"),
    "an index of a table": (lambda x: x[0] * jnp.ones((3, 4))[1, 4], "index 4 out of bounds for axis 1 with size 4"),
    "a truth value": (lambda x: x[0] > 0, "returns bool numbers"),
}


TABLE = np.linspace(0.0, 1.0, 10)
COMPUTED = {  # indices that jax computes: clamped without a word, and found because V depends on what they read
    "an array": (lambda x: jnp.sum(x[jnp.array([0, 5])]), "index 5 out of bounds for axis 0 with size 2"),
    "an array of numpy": (lambda x: jnp.sum(x[np.array([-3, 1])]), "index -3 out of bounds for axis 0 with size 2"),
    "neighbours": (lambda x: jnp.sum((x[jnp.arange(2) + 1] - x) ** 2), "index 2 out of bounds for axis 0 with size 2"),
    "a loop": (lambda x: jax.lax.fori_loop(0, 3, lambda i, s: s + x[i], 0.0), "index 2 out of .* size 2"),
    "a scan": (lambda x: jax.lax.scan(lambda s, i: (s + x[i], None), 0.0, jnp.arange(3))[0], "index 2 out of"),
    "a branch": (lambda x: jax.lax.cond(x[0] > 1, lambda: x[jnp.argmax(x) + 2], lambda: x[0]), "index [23] out of"),
    "a table": (lambda x: jnp.asarray(TABLE)[jnp.asarray(20 + x[0], int)], r"index 2\d out of .* axis 0 with size 10"),
}
POTENTIALS |= COMPUTED


@pytest.mark.parametrize("name", POTENTIALS)
def test_potential_refused(name):
    potential, message = POTENTIALS[name]
    with pytest.raises(InputError, match=message) as caught:
        gw.Problem(energy(potential), START)
    assert caught.value.field == "energy.potential"
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@jax.custom_vjp
def custom(x):
    return jnp.sum(x[jnp.array([1, 0])] ** 2)


custom.defvjp(lambda x: (custom(x), x), lambda x, slope: (2 * slope * x,))
INDEXED = {
    "from the end": lambda x: x[-1] + x[-2] + jnp.sum(x[jnp.array([-1, -2])]),
    "slices, as in numpy": lambda x: jnp.sum(x[0:7]),
    "a table between its entries": lambda x: jnp.interp(x[0], jnp.arange(10.0), TABLE),
    "the nearest entry, by name": lambda x: jnp.take(x, 7, mode="clip") + x.at[9].get(mode="clip"),
    "around, by name": lambda x: jnp.take(x, 7, mode="wrap"),
    "masked afterwards": lambda x: jnp.sum(jnp.where(jnp.arange(4) < 2, x[jnp.arange(4)], 0.0)),
    "masked in a loop": lambda x: jax.lax.fori_loop(0, 4, lambda i, s: s + jnp.where(i < 2, x[i], 0.0), 0.0),
    "branches": lambda x: jax.lax.cond(x[0] > 0, lambda: x[jnp.argmax(x)], lambda: x[-1]),
    "a branch not taken": lambda x: jax.lax.cond(jnp.argmax(x) > 5, lambda: x[jnp.argmax(x) + 5], lambda: x[0]),
    "rolled": lambda x: jnp.sum(x * jnp.roll(x, 1)) + jnp.sum(x * jnp.roll(x, jnp.argmax(x))),
    "sorted": lambda x: x[jnp.argsort(x)][0] + jnp.median(x),
    "its own derivative": custom,
    "recomputed": jax.checkpoint(lambda x: jnp.sum(x[jnp.array([0, 1])] ** 2)),
}


@pytest.mark.parametrize("name", INDEXED)
def test_indices_that_do_no_harm_pass(name):
    assert gw.Problem(energy(INDEXED[name]), START).dim == 2
    assert not jax.config.jax_check_static_indices  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("index", [5, np.array([5])])
def test_indices_of_a_start_are_checked(index):
    class Foreign:
        sample = staticmethod(lambda key, n: jax.random.normal(key, (n, 2)))
        log_prob = staticmethod(lambda x: -0.5 * jnp.sum(x[index] ** 2))

    with pytest.raises(InputError, match=r"^initial\.log_prob: got .*index 5 out of bounds for axis 0 with size 2"):
        gw.Problem(energy(), Foreign())


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
