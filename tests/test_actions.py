"""Both actions on Gaussian paths in closed form, their laws, and profiles of chains of layers."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import genwgp as gw
from genwgp.actions import (
    FiniteHorizonAction,
    GeometricAction,
    Profile,
    equal_speed,
    profile_of,
    speed_spread,
    terminal_condition,
)
from genwgp.errors import InputError
from genwgp.initial import Gaussian
from genwgp.layers import CouplingLayer, State, stack_layers
from genwgp.layers.base import AbstractLayer
from genwgp.references import OrnsteinUhlenbeck

OU = OrnsteinUhlenbeck(
    np.array([[2.0, 0.6], [0.6, 0.8]]), np.array([0.3, -0.5]), 0.7, Gaussian([1.5, 1.0], [[0.5, -0.3], [-0.3, 1.2]])
)
HORIZON = 1.5


def exact_curve(t):
    rho = OU.density(t)
    return rho.mean, rho.covariance


def wrong_curve(t):
    """The same ends and another way between them: the straight line in mean and covariance."""
    (m0, s0), (m1, s1) = exact_curve(jnp.asarray(0.0)), exact_curve(jnp.asarray(HORIZON))
    return m0 + t / HORIZON * (m1 - m0), s0 + t / HORIZON * (s1 - s0)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def gaussian_profile(curve, clock, layers: int = 12) -> Profile:
    """The profile of a path of Gaussians (mean, covariance) = curve(t), t = clock(s), s in [0, 1], in V of OU.

    The velocity is the gradient field m' + L (x - m) with L S + S L = S' and L symmetric.
    """
    node, weight = np.polynomial.legendre.leggauss(4)
    times = jax.vmap(clock)(jnp.arange(layers + 1) / layers)

    def statistics(s):
        t, rate = jax.value_and_grad(clock)(s)
        (m, S), (dm, dS) = jax.jvp(curve, (t,), (rate / layers,))
        unit = jnp.eye(2)
        L = jnp.linalg.solve(jnp.kron(unit, S) + jnp.kron(S, unit), dS.ravel()).reshape(2, 2)
        slope, force = OU.A - OU.D * jnp.linalg.inv(S), OU.A @ (m - OU.b)
        speed2 = dm @ dm + jnp.trace(L @ S @ L)
        return speed2, force @ force + jnp.trace(slope @ S @ slope), dm @ force + jnp.trace(L @ S @ slope)

    def free_energy(t):
        m, S = curve(t)
        x, (_, log_det) = m - OU.b, jnp.linalg.slogdet(2 * np.pi * np.e * S)
        return 0.5 * (x @ OU.A @ x + jnp.trace(OU.A @ S)) - 0.5 * OU.D * log_det

    s = jnp.asarray((np.arange(layers)[:, None] + 0.5 * (node + 1)) / layers)
    speed2, force2, power = jax.vmap(jax.vmap(statistics))(s)
    weights = jnp.broadcast_to(0.5 * weight, s.shape)
    end = statistics(jnp.ones(()))[1]
    return Profile(weights, speed2, force2, power, jax.vmap(free_energy)(times), end, jnp.diff(times))


def uniform(s):
    return HORIZON * s


def stretched(s):
    return HORIZON * jnp.expm1(2 * s) / np.expm1(2.0)


@pytest.mark.parametrize("clock", [uniform, stretched])
@pytest.mark.parametrize("action", [GeometricAction(), FiniteHorizonAction(HORIZON)], ids=lambda a: type(a).__name__)
def test_actions_vanish_on_the_gradient_flow(action, clock):
    # Inside a layer the clock of `stretched` is not linear in theta: the finite-horizon action sees that, a little.
    profile = gaussian_profile(exact_curve, clock)
    drop = float(profile.free_energy[0] - profile.free_energy[-1])
    linear = clock is uniform or isinstance(action, GeometricAction)
    assert drop > 1
    assert abs(float(action.value(profile))) < (1e-13 if linear else 2e-3) * drop
    assert abs(float(action.second_form(profile))) < (1e-9 if linear else 2e-3) * drop


@pytest.mark.parametrize("curve", [exact_curve, wrong_curve])
def test_the_two_forms_agree(curve):
    profile = gaussian_profile(curve, uniform, layers=20)
    for action in (GeometricAction(), FiniteHorizonAction(HORIZON)):
        np.testing.assert_allclose(action.value(profile), action.second_form(profile), atol=1e-9)


def test_geometric_action_does_not_depend_on_the_clock():
    values = [float(GeometricAction().value(gaussian_profile(wrong_curve, c, 40))) for c in (uniform, stretched)]
    assert values[0] > 0.01
    np.testing.assert_allclose(values[0], values[1], rtol=1e-6)
    finite = FiniteHorizonAction(HORIZON)
    timed = [float(finite.value(gaussian_profile(wrong_curve, c, 40))) for c in (uniform, stretched)]
    assert min(timed) > values[0]  # the geometric action is the infimum over clocks
    assert abs(timed[0] - timed[1]) > 1e-3


def test_standing_still_has_no_action_but_a_worse_end():
    identity = gaussian_profile(lambda t: exact_curve(0 * t), uniform)
    truth = gaussian_profile(exact_curve, uniform)
    S = GeometricAction()
    assert float(S.value(identity)) == 0
    losses = [float(S.value(p) + terminal_condition(p).free_energy) for p in (identity, truth)]
    assert losses[0] > losses[1] + 1
    assert float(terminal_condition(truth).force2) < float(terminal_condition(identity).force2)
    # In finite time standing still costs T / 2 times the dissipation.
    expected = 0.5 * HORIZON * float(OU.dissipation(0.0))
    np.testing.assert_allclose(FiniteHorizonAction(HORIZON).value(identity), expected, rtol=1e-12)


def test_translation_against_the_force_has_its_closed_forms():
    """N(a + c t, D) in V = x^2/2: grad mu = a + c t, S_T = ((c+a+cT)^3 - (c+a)^3) / (6 c), S_geo = 2 dF."""
    a, c, T, K = 0.8, 0.5, 2.0, 5
    node, weight = np.polynomial.legendre.leggauss(2)
    m = a + c * T * (np.arange(K)[:, None] + 0.5 * (node + 1)) / K
    step, ends = c * T / K, a + c * T * np.arange(K + 1) / K
    profile = Profile(
        np.broadcast_to(weight / 2, m.shape), np.full(m.shape, step**2), m**2, step * m, ends**2 / 2, ends[-1] ** 2,
        FiniteHorizonAction(T).durations(K),
    )  # fmt: skip
    expected = ((c + a + c * T) ** 3 - (c + a) ** 3) / (6 * c)
    np.testing.assert_allclose(FiniteHorizonAction(T).value(profile), expected, rtol=1e-13)
    np.testing.assert_allclose(FiniteHorizonAction(T).second_form(profile), expected, rtol=1e-13)
    np.testing.assert_allclose(GeometricAction().value(profile), (a + c * T) ** 2 - a**2, rtol=1e-13)
    np.testing.assert_allclose(profile.layer_lengths, np.full(K, step), rtol=1e-13)


unit = st.floats(0, 1)
table = st.lists(st.tuples(unit, unit, st.floats(-1, 1), st.floats(1e-3, 10)), min_size=1, max_size=6)


@given(rows=table, scale=st.floats(1e-6, 1e6))
def test_actions_are_not_negative(rows, scale):
    speed, force, cosine, time = (np.array(column)[:, None] for column in zip(*rows, strict=True))
    speed, force = speed * scale, force * scale
    nodes = np.zeros(len(rows) + 1)
    profile = Profile(
        np.ones_like(speed), speed**2, force**2, cosine * speed * force, nodes, force[-1, 0] ** 2, time[:, 0]
    )
    slack = 1e-12 * scale**2 * len(rows)
    assert float(GeometricAction().value(profile)) >= -slack
    finite = float(FiniteHorizonAction(1.0).value(profile))
    assert finite >= float(GeometricAction().value(profile)) - 1e5 * slack
    assert float(equal_speed(profile)) >= 0


def lengths_profile(lengths) -> Profile:
    squares = jnp.asarray(lengths)[:, None] ** 2
    return Profile(jnp.ones_like(squares), squares, squares, -squares, jnp.zeros(len(lengths) + 1), 0.0)


def test_equal_speed_and_spread_are_their_formulas():
    profile = lengths_profile([1.0, 2.0, 3.0])
    np.testing.assert_allclose(equal_speed(profile), 0.25, rtol=1e-14)
    np.testing.assert_allclose(speed_spread(profile), 1.0, rtol=1e-14)
    for even in ([2.0, 2.0, 2.0], [3.0], [0.0, 0.0]):
        assert float(equal_speed(lengths_profile(even))) == 0
        assert float(speed_spread(lengths_profile(even))) == 0
    assert float(speed_spread(lengths_profile([0.0, 1.0]))) == np.inf


def test_gradients_are_finite_where_the_path_stands_still():
    def loss(lengths):
        profile = lengths_profile(lengths)
        return GeometricAction().value(profile) + equal_speed(profile) + profile.layer_lengths.sum()

    assert np.all(np.isfinite(jax.grad(loss)(jnp.zeros(3))))


# ---- profiles of chains of layers


def problem():
    def potential(x):
        return 0.5 * (x - OU.b) @ OU.A @ (x - OU.b) + 0.1 * jnp.sum(jnp.cos(x))

    return gw.FreeEnergy(potential, gw.Entropy(OU.D))


@functools.cache
def particles(n: int = 64) -> State:
    x = OU.start.sample(jax.random.key(0), n)
    return jax.jit(lambda x: State(x, OU.start.log_prob(x), OU.start.score(x)))(x)


@functools.partial(jax.jit, static_argnums=1)
def chain(size: float, K: int = 3) -> CouplingLayer:
    layers = stack_layers(lambda key: CouplingLayer.create(key, 2, width=4, couplings=1), K, jax.random.key(1))
    flat, rebuilt = ravel_pytree(layers)  # one draw, since each of its own is compiled
    return rebuilt(flat + size * jax.random.normal(jax.random.key(2), flat.shape))


class Plain(AbstractLayer):
    """A coupling layer that offers what every layer must and nothing else."""

    layer: CouplingLayer

    def forward(self, x, theta):
        return self.layer.forward(x, theta)

    def inverse(self, y, theta):
        return self.layer.inverse(y, theta)

    def velocity(self, y, theta):
        return self.layer.velocity(y, theta)


@pytest.mark.parametrize("wrap", [lambda layers: layers, Plain], ids=["coupling", "plain"])
def test_profile_is_that_of_a_loop_over_the_layers(wrap):
    energy, layers, state, K = problem(), chain(0.3), particles(), 3
    profile = eqx.filter_jit(profile_of)(wrap(layers), energy, state, 2, jnp.ones(K))

    @jax.jit
    def follow(layer, state, theta):
        end = jax.vmap(lambda s: AbstractLayer.transport(layer, s, theta))(state)
        return end, jax.vmap(lambda y: layer.velocity(y, theta))(end.x), energy.gradient(*end)

    free_energy = [float(energy.value(state.x, state.log_density))]
    for k in range(K):
        layer = jax.tree.map(lambda a, k=k: a[k], layers)
        for q, theta in enumerate(0.5 + np.array([-0.5, 0.5]) / np.sqrt(3)):
            _, v, force = follow(layer, state, jnp.asarray(theta))
            for found, a, b in ((profile.speed2, v, v), (profile.force2, force, force), (profile.power, v, force)):
                np.testing.assert_allclose(found[k, q], np.mean(np.sum(a * b, 1)), rtol=1e-9)
        state, _, force = follow(layer, state, jnp.asarray(1.0))
        free_energy.append(float(energy.value(state.x, state.log_density)))
    np.testing.assert_allclose(profile.free_energy, free_energy, rtol=1e-11)
    np.testing.assert_allclose(profile.end_force2, np.mean(np.sum(force**2, 1)), rtol=1e-9)
    np.testing.assert_allclose(profile.weights, 0.5)
    assert profile.durations is not None


def test_profile_is_differentiable_also_at_the_identity():
    energy, state = problem(), particles()

    @jax.jit
    def loss(layers):
        profile = profile_of(layers, energy, state, 2)
        value = GeometricAction().value(profile) + terminal_condition(profile).free_energy + equal_speed(profile)
        return value + terminal_condition(profile).force2

    slope = jax.jit(jax.grad(loss))
    assert all(np.all(np.isfinite(a)) for a in jax.tree.leaves(slope(jax.tree.map(jnp.zeros_like, chain(0.0)))))
    layers, direction = chain(0.3), chain(1.0)

    @jax.jit
    def shifted(h):
        return loss(jax.tree.map(lambda a, b: a + h * b, layers, direction))

    along = sum(float(jnp.vdot(a, b)) for a, b in zip(*map(jax.tree.leaves, (slope(layers), direction)), strict=True))
    h = 1e-5
    np.testing.assert_allclose(along, (shifted(h) - shifted(-h)) / (2 * h), rtol=1e-6)


@pytest.mark.parametrize("T", [0.0, -1.0, np.inf, np.nan, "long"])
def test_a_horizon_must_be_positive(T):
    with pytest.raises(InputError, match=r"FiniteHorizonAction\.T"):
        FiniteHorizonAction(T)


def test_profiles_and_actions_name_what_does_not_fit():
    good = lengths_profile([1.0, 2.0])
    with pytest.raises(InputError, match=r"Profile\.durations: got None"):
        FiniteHorizonAction(1.0).value(good)
    square = jnp.ones((2, 1))
    with pytest.raises(InputError, match=r"Profile.free_energy: got shape \(2,\); allowed: shape \(3,\)"):
        Profile(square, square, square, square, jnp.zeros(2), 0.0)
    with pytest.raises(InputError, match=r"Profile\.weights"):
        Profile(jnp.ones(2), square, square, square, jnp.zeros(3), 0.0)
