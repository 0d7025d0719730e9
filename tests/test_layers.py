"""Laws that every layer obeys, over a dictionary of constructors, in one and three dimensions and both precisions."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from genwgp.errors import InputError
from genwgp.layers import AbstractLayer, CouplingLayer, State, stack_layers
from genwgp.layers._elements import BOUND, AffineCouplings, TriangularAffine
from genwgp.layers._line import MonotoneMap


class Case(NamedTuple):
    """How to make a layer that is far from the identity, from a key and d; how exact its inverse is in float64."""

    make: Callable[[jax.Array, int], AbstractLayer]
    exact: float = 1e-12


def perturbed(layer, key, size: float):
    """The layer with normal noise on every array, so that nothing is zero or symmetric by construction."""
    flat, rebuilt = ravel_pytree(layer)  # one draw, since each of its own is compiled
    return rebuilt(flat + size * jax.random.normal(key, flat.shape, flat.dtype))


@functools.partial(jax.jit, static_argnums=1)
def coupling(key, dim: int) -> CouplingLayer:
    return perturbed(CouplingLayer.create(key, dim, width=6, couplings=2), key, 0.3)


LAYERS = {"coupling": Case(coupling)}
DIMENSIONS = (1, 3)
THETAS = (0.0, 0.3, 1.0)
POINTS = 6


def as_dtype(tree, dtype):
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, tree)


def pushed_log_density(layer, theta, y):
    """log density at y of the standard normal pushed through the layer, from the inverse alone."""
    x, log_det = layer.inverse(y, theta)
    return -0.5 * jnp.sum(x**2) - 0.5 * x.shape[0] * math.log(2 * math.pi) + log_det


def everything(layer, theta, x):
    """All that the laws compare, at one particle x of the standard normal."""
    y, log_det = layer.forward(x, theta)
    back, back_log_det = layer.inverse(y, theta)
    start = State(x, -0.5 * jnp.sum(x**2) - 0.5 * x.shape[0] * math.log(2 * math.pi), -x)
    end = layer.transport(start, theta)
    generic = AbstractLayer.transport(layer, start, theta)
    log_density, score = jax.value_and_grad(lambda y: pushed_log_density(layer, theta, y))(y)
    jacobian = jax.jacfwd(lambda x: layer.forward(x, theta)[0])(x)
    h = jnp.asarray(1e-5, x.dtype)
    ahead, behind = layer.forward(x, theta + h)[0], layer.forward(x, theta - h)[0]
    volume = jax.jvp(lambda theta: layer.forward(x, theta)[1], (theta,), (jnp.ones_like(theta),))[1]
    divergence = jnp.trace(jax.jacfwd(lambda y: layer.velocity(y, theta))(y))
    return dict(
        x=x, y=y, log_det=log_det, back=back, back_log_det=back_log_det, end=end, generic=generic,
        log_density=log_density, score=score, slogdet=jnp.linalg.slogdet(jacobian)[1],
        velocity=layer.velocity(y, theta), difference=(ahead - behind) / (2 * h), volume=volume, divergence=divergence,
    )  # fmt: skip


@functools.cache
def measured(name: str, dim: int, dtype) -> dict:
    """`everything` for each theta and several particles, leading axes (theta, particle)."""
    layer = as_dtype(LAYERS[name].make(jax.random.key(dim), dim), dtype)
    x = jax.random.normal(jax.random.key(7), (POINTS, dim)).astype(dtype)
    over = jax.vmap(jax.vmap(everything, (None, None, 0)), (None, 0, None))
    return jax.jit(over)(layer, jnp.asarray(THETAS, dtype), x)


@pytest.fixture(params=[(name, dim) for name in LAYERS for dim in DIMENSIONS], ids=lambda p: f"{p[0]}-{p[1]}d")
def case(request):
    name, dim = request.param
    return measured(name, dim, jnp.float64), LAYERS[name].exact


def test_inverse_undoes_forward(case):
    found, exact = case
    np.testing.assert_allclose(found["back"], np.broadcast_to(found["x"], found["back"].shape), atol=100 * exact)
    np.testing.assert_allclose(found["back_log_det"], -found["log_det"], atol=100 * exact)


def test_the_layer_is_far_from_the_identity_and_theta_zero_is_the_identity(case):
    found, _ = case
    np.testing.assert_array_equal(found["y"][0], found["x"][0])
    np.testing.assert_array_equal(found["log_det"][0], 0)
    assert np.max(np.abs(found["y"][2] - found["x"][2])) > 0.1
    assert np.max(np.abs(found["log_det"][2])) > 0.05


def test_log_det_is_that_of_the_jacobian(case):
    found, exact = case
    np.testing.assert_allclose(found["log_det"], found["slogdet"], atol=100 * exact)


def test_transport_carries_log_density_and_score(case):
    found, exact = case
    for end in (found["end"], found["generic"]):
        np.testing.assert_allclose(end.x, found["y"], atol=100 * exact)
        np.testing.assert_allclose(end.log_density, found["log_density"], atol=1000 * exact)
        np.testing.assert_allclose(end.score, found["score"], rtol=1e-9, atol=1e4 * exact)


def test_velocity_is_the_derivative_in_theta(case):
    found, exact = case
    np.testing.assert_allclose(found["velocity"], found["difference"], rtol=1e-6, atol=1e-8 + 1e5 * exact)


def test_divergence_of_the_velocity_is_the_growth_of_volume(case):
    found, exact = case
    np.testing.assert_allclose(found["divergence"], found["volume"], rtol=1e-8, atol=1e4 * exact)


@pytest.mark.parametrize("dim", DIMENSIONS)
@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_float32_and_agrees_with_float64(name, dim):
    single, double = measured(name, dim, jnp.float32), measured(name, dim, jnp.float64)
    for field in ("y", "log_det", "back", "back_log_det", "velocity"):
        assert single[field].dtype == jnp.float32
        np.testing.assert_allclose(single[field], double[field], rtol=2e-4, atol=2e-5, err_msg=field)
    for a, b in zip(single["end"], double["end"], strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@functools.cache
def round_trip(dim: int):
    layer = CouplingLayer.create(jax.random.key(0), dim, width=6, couplings=2)

    def trip(seed, size, theta, y):
        shaken = perturbed(layer, jax.random.key(seed), size)
        x, _ = shaken.inverse(y, theta)
        return x, shaken.forward(x, theta)[0]

    return jax.jit(trip)


@pytest.mark.parametrize("dim", [1, 2])
@given(seed=st.integers(0, 2**31), size=st.floats(0, 2), theta=st.floats(0, 1), y=st.floats(-100, 100))
def test_forward_undoes_the_inverse_of_extreme_layers(dim, seed, size, theta, y):
    target = y * np.linspace(1.0, 0.5, dim)
    x, again = round_trip(dim)(seed, size, theta, jnp.asarray(target))
    assert np.all(np.isfinite(x))
    scale = np.exp(BOUND) * (1 + np.max(np.abs(x)) + abs(y))
    np.testing.assert_allclose(again, target, atol=1e-10 * scale)


@given(seed=st.integers(0, 2**31), size=st.floats(0.1, 30), theta=st.floats(0, 1))
def test_the_map_of_the_line_rises_everywhere_by_a_bounded_slope(seed, size, theta):
    line = perturbed(MonotoneMap.create(jax.random.key(0), 5), jax.random.key(seed), size)
    # Knots an e^30 apart leave no digits for the slopes between: what is random here are the slopes.
    knots = (jnp.asarray(-2.0), jnp.zeros(4), jnp.asarray(0.5))
    line = eqx.tree_at(lambda m: (m.first, m.gaps, m.sharpness), line, knots)
    slopes = jax.vmap(lambda x: line._map(x, jnp.asarray(theta))[1])(jnp.linspace(-50, 50, 401))
    assert np.all(slopes >= np.exp(-BOUND * theta) * (1 - 1e-9))
    assert np.all(slopes <= np.exp(BOUND * theta) * (1 + 1e-9))


def test_a_new_layer_is_near_the_identity():
    for dim in (1, 4):
        layer, x = CouplingLayer.create(jax.random.key(1), dim, 8, 2), jnp.linspace(-2.0, 1.0, dim)
        y, _ = eqx.filter_jit(layer.forward)(x, jnp.asarray(1.0))
        assert 0 < np.max(np.abs(y - x)) < 0.05


def test_the_triangular_part_reaches_a_rotation():
    layer = CouplingLayer.create(jax.random.key(1), 2, width=2, couplings=1)
    layer = eqx.tree_at(lambda m: m.nonlinear, layer, jax.tree.map(jnp.zeros_like, layer.nonlinear))
    # [[c, -s], [s, c]] = diag(1/c, c) (I + U) (I + L) has L = tan, U = -sin cos here.
    angle = 0.7
    c, s = np.cos(angle), np.sin(angle)
    lower, upper = jnp.array([[0.0, 0.0], [s / c, 0.0]]), jnp.array([[0.0, -s * c], [0.0, 0.0]])
    raw = BOUND * np.arctanh(np.array([-np.log(c), np.log(c)]) / BOUND)
    layer = eqx.tree_at(lambda m: m.linear, layer, TriangularAffine(lower, upper, jnp.asarray(raw), jnp.zeros(2)))
    x = jnp.array([0.4, -1.3])
    np.testing.assert_allclose(layer.forward(x, jnp.asarray(1.0))[0], np.array([[c, -s], [s, c]]) @ x, atol=1e-12)


def test_affine_coupling_is_that_of_flowjax():
    """The same network in flowjax's Coupling, whose kept coordinates come first, with the same bounded scale."""
    bijections = pytest.importorskip("flowjax.bijections")

    class Bounded(bijections.AbstractBijection):
        shift: jax.Array
        raw: jax.Array
        shape: tuple = ()
        cond_shape: None = None

        def transform_and_log_det(self, x, condition=None):
            s = BOUND * jnp.tanh(self.raw / BOUND)
            return x * jnp.exp(s) + self.shift, s

        def inverse_and_log_det(self, y, condition=None):
            s = BOUND * jnp.tanh(self.raw / BOUND)
            return (y - self.shift) * jnp.exp(-s), -s

    ours = jax.jit(lambda a, b: perturbed(AffineCouplings.create(a, 4, 7, 1), b, 0.5))(
        jax.random.key(3), jax.random.key(4)
    )
    kept, moved = np.array([0, 2]), np.array([1, 3])
    zero = jnp.zeros(())
    theirs = bijections.Coupling(
        jax.random.key(0), transformer=Bounded(zero, zero), untransformed_dim=2, dim=4,
        nn_width=7, nn_depth=1, nn_activation=jnp.tanh,
    )  # fmt: skip

    def pairs(a):  # (shift, raw) of each moved coordinate, one after the other
        return jnp.stack([a[1, moved], a[0, moved]], axis=1).reshape(4, *a.shape[2:])

    weights = [ours.hidden[0][:, kept], ours.hidden_bias[0], pairs(ours.out[0]), pairs(ours.out_bias[0])]
    theirs = eqx.tree_at(lambda m: [a for n in m.conditioner.layers for a in (n.weight, n.bias)], theirs, weights)
    x, order = jnp.array([0.3, -1.2, 0.8, 2.0]), np.concatenate([kept, moved])
    y, log_det = eqx.filter_jit(ours.forward)(x, jnp.asarray(1.0))
    their_y, their_log_det = eqx.filter_jit(theirs.transform_and_log_det)(x[order])
    np.testing.assert_allclose(y[order], their_y, atol=1e-13)
    np.testing.assert_allclose(log_det, their_log_det, atol=1e-13)
    assert abs(float(log_det)) > 0.01


def wider(layer):
    """The same layer with other shapes."""
    return jax.tree.map(lambda a: jnp.stack([a, a]), layer)


def test_stacked_layers_are_the_layers():
    layers = [coupling(jax.random.key(i), 1) for i in range(3)]
    stacked = stack_layers(layers, 3)
    for i, layer in enumerate(layers):
        assert eqx.tree_equal(jax.tree.map(lambda a, i=i: a[i], stacked), layer)
    made = jax.jit(lambda key: stack_layers(lambda k: coupling(k, 1), 4, key))(jax.random.key(2))
    last = coupling(jax.random.split(jax.random.key(2), 4)[3], 1)
    assert eqx.tree_equal(jax.tree.map(lambda a: a[3], made), last)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CouplingLayer.create(jax.random.key(0), 0), r"CouplingLayer\.dim: got 0"),
        (lambda: CouplingLayer.create(jax.random.key(0), 2, width=1), r"CouplingLayer\.width: got 1"),
        (lambda: CouplingLayer.create(jax.random.key(0), 2, couplings=0), r"CouplingLayer\.couplings: got 0"),
        (lambda: stack_layers(lambda key: CouplingLayer.create(key, 2), 2), r"stack_layers\.key"),
        (lambda: stack_layers([], 1), r"stack_layers\.layers: got 0 layers"),
        (lambda: stack_layers([line := coupling(jax.random.key(0), 1), wider(line)], 2), "2 sets of shapes"),
        (lambda: stack_layers([coupling(jax.random.key(0), d) for d in DIMENSIONS], 2), "2 structures"),
    ],
)
def test_wrong_input_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
