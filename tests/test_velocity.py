"""Velocity-field layers far from all particles: the density of the flow that they are, or none at all."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genwgp.initial import Gaussian
from genwgp.layers._adaptive import adaptive
from genwgp.layers.fields import AbstractTerm, Field
from genwgp.layers.velocity import VelocityLayer
from genwgp.path.density import PathDensity

TIME = 0.5


class Quartic(AbstractTerm):
    """phi = c sum x_i^4 / 4. With c = -1, x' = -x^3: from infinity it takes the time 1 / (2 x^2) to x."""

    @property
    def size(self) -> int:
        return 1

    def value(self, c, x):
        return c[0] * jnp.sum(x**4) / 4


def one_layer(c: float, duration: float = TIME, segments: int = 2) -> VelocityLayer:
    """Constant coefficients in segments of equal duration, of two Runge-Kutta steps each; stacked, as in a path."""
    coefficients = jnp.full((1, segments, 1), c, dtype=float)
    return VelocityLayer(
        field=Field((Quartic(),)),
        start=coefficients,
        stop=coefficients,
        duration=jnp.full((1, segments), duration / segments, dtype=float),
        substeps=jnp.full((1, segments), 2, dtype=jnp.int32),
        count=jnp.asarray([segments], dtype=jnp.int32),
    )


def density(start: Gaussian) -> PathDensity:
    layers = one_layer(-1.0)
    return PathDensity(layers=layers, initial=start, position=jnp.asarray(1.0, dtype=float), time=TIME, arclength=1.0)  # pyright: ignore


def exact(start: Gaussian, y: np.ndarray) -> Any:
    """log rho and score of the start's density moved by x' = -x^3: x_0 = y / sqrt(1 - 2 t y^2) in each coordinate."""

    def log_rho(y):
        left = 1 - 2 * TIME * y**2
        return start.log_prob(y / jnp.sqrt(left)) - 1.5 * jnp.sum(jnp.log(left))

    return jax.vmap(jax.value_and_grad(log_rho))(jnp.asarray(y))


START = Gaussian([0.2, -0.1], 0.3)


def test_the_density_is_that_of_the_flow_up_to_where_it_ends():
    """It ends at 1; what arrives at 0.995 comes from 10, which is 18 standard deviations of the start away."""
    y = np.stack([np.array([0.0, 0.3, 0.8, 0.95, 0.99, 0.995]), np.full(6, -0.4)], axis=1)
    rho = density(START)
    log_rho, score = exact(START, y)
    assert float(log_rho.min()) < -150
    np.testing.assert_allclose(rho.log_prob(y), log_rho, rtol=2e-4, atol=2e-6)
    np.testing.assert_allclose(rho.score(y)[:-1], score[:-1], rtol=1e-3)
    np.testing.assert_allclose(rho.score(y)[-1], score[-1], rtol=2e-2)


def test_beyond_it_the_density_is_zero_and_has_no_score():
    rho = density(START)
    y = np.array([[1.001, 0.0], [0.0, -1.2], [30.0, 1e4], [1e200, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(np.isneginf(rho.log_prob(y)), [True] * 4 + [False])
    np.testing.assert_array_equal(np.isnan(rho.score(y)).all(axis=1), [True] * 4 + [False])
    assert np.isneginf(rho.log_prob(y[0]))


def test_points_that_are_not_finite_have_no_density():
    found = density(START).log_prob(np.array([[np.nan, 0.0], [np.inf, 0.0], [0.1, 0.1]]))
    np.testing.assert_array_equal(np.isnan(found), [True, True, False])


def test_the_whole_mass_is_inside():
    line = np.linspace(-1.01, 1.01, 405)
    points = np.stack([a.ravel() for a in np.meshgrid(line, line, indexing="ij")], axis=1)
    rho = np.exp(np.asarray(density(START).log_prob(points)))
    assert rho.sum() * (line[1] - line[0]) ** 2 == pytest.approx(1.0, abs=1e-6)


def test_single_precision_knows_the_same():
    y = np.array([[0.0, 0.3], [0.9, -0.4], [1.1, 0.0]])
    log_rho, _ = exact(START, y[:2])
    with jax.enable_x64(False):
        found = density(Gaussian([0.2, -0.1], 0.3)).log_prob(y)
        assert found.dtype == jnp.float32
    np.testing.assert_allclose(found[:2], log_rho, rtol=1e-4)
    assert np.isneginf(found[2])


def test_the_inverse_undoes_a_flow_whose_own_steps_are_fine():
    layer: Any = jax.tree.map(lambda a: a[0], eqx.filter(one_layer(-1.0), eqx.is_array))
    layer = eqx.tree_at(lambda layer: layer.substeps, layer, jnp.full(2, 200, dtype=jnp.int32))
    x, theta = jnp.array([1.5, -0.7]), jnp.asarray(0.8)
    y, log_det = layer.forward(x, theta)
    back, back_log_det = layer.inverse(y, theta)
    np.testing.assert_allclose(back, x, rtol=1e-5)
    np.testing.assert_allclose(back_log_det, -log_det, atol=1e-5)


@pytest.mark.parametrize("stop", [2.0, -1.0])
def test_adaptive_steps_follow_either_way(stop):
    """y' = a (y - sin s) + cos s, y = sin s + e^{a s}, in a pytree of two places, stiff in one of them."""
    rates = {"slow": jnp.asarray(-0.5), "fast": jnp.asarray([-20.0 * np.sign(stop)])}
    follow = lambda s, y: jax.tree.map(lambda a, y: a * (y - jnp.sin(s)) + jnp.cos(s), rates, y)
    start = jax.tree.map(jnp.ones_like, rates)
    found = jax.jit(lambda y: adaptive(follow, y, jnp.asarray(0.0), jnp.asarray(stop), jnp.asarray(3)))(start)
    wanted = jax.tree.map(lambda a: jnp.sin(stop) + jnp.exp(a * stop), rates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found, wanted)


@pytest.mark.parametrize(("start", "lost"), [(0.4, False), (0.49, False), (0.51, True), (5.0, True), (np.inf, True)])
def test_adaptive_steps_end_where_the_solution_does(start, lost):
    """y' = y^2 is y0 / (1 - y0 s), infinite at s = 1 / y0; what is carried with it, int 2 y ds, ends there, too."""
    follow = lambda s, y: (y[0] ** 2, 2 * y[0][0])
    begin = (jnp.asarray([start]), jnp.asarray(0.0))
    y, volume = adaptive(follow, begin, jnp.asarray(0.0), jnp.asarray(2.0), jnp.asarray(4))
    assert bool(np.isnan(y[0])) == bool(np.isnan(volume)) == lost
    if not lost:
        np.testing.assert_allclose([y[0], volume], [start / (1 - 2 * start), -2 * np.log(1 - 2 * start)], rtol=1e-3)


def test_a_particle_that_trembles_at_the_origin_is_not_lost():
    """Velocities that are nothing but rounding, at 0, where errors have nothing to be small against."""
    noise = lambda s: 1e-12 * jnp.sin(1e9 * s + 1)
    follow = lambda s, y: (jnp.stack([noise(s), noise(2 * s)]), noise(3 * s))
    y, volume = adaptive(follow, (jnp.zeros(2), jnp.zeros(())), jnp.asarray(0.0), jnp.asarray(1.0), jnp.asarray(2))
    assert np.all(np.abs(y) < 1e-11)
    assert abs(volume) < 1e-11


def test_adaptive_steps_may_be_differentiated():
    follow = lambda s, y: -(y**3)
    at = lambda y: adaptive(follow, y, jnp.asarray(0.0), jnp.asarray(1.0), jnp.asarray(2))
    _, slope = jax.jvp(at, (jnp.asarray(0.7),), (jnp.asarray(1.0),))
    np.testing.assert_allclose(slope, (1 + 2 * 0.7**2) ** -1.5, rtol=5e-4)
