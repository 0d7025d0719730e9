"""Waves that learn: what they leave of a force, and where they are not worth their time."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.layers.base import State
from genwgp.layers.fields import Waves
from genwgp.solvers import learning
from genwgp.solvers.features import Features, waves_across
from genwgp.solvers.fitting import explicit_velocity
from genwgp.solvers.frame import Frame
from genwgp.solvers.learning import COUNT, Learner
from genwgp.solvers.particles import Choice
from genwgp.solvers.segment import grad_mu

DIM, COUNTED = 6, 1200
RNG = np.random.default_rng(3)
RIDGES, OFFSETS = RNG.normal(size=(20, DIM)) / 2, RNG.normal(size=20)


def potential(x):
    return jnp.logaddexp(0, jnp.asarray(RIDGES, x.dtype) @ x).sum() + 0.5 * (x @ x)


def ridges(x):
    """Log-density of ridges in directions that no one has told."""
    return jnp.tanh(2 * (jnp.asarray(RIDGES, x.dtype) @ x + jnp.asarray(OFFSETS, x.dtype))).sum()


class Case:
    """Particles of a Gaussian which carry another log-density."""

    def __init__(self, log_density):
        self.energy = gw.FreeEnergy(potential, gw.Entropy(1.0))
        start = gw.Gaussian(np.zeros(DIM), 1.0)
        self.features = Features(self.energy, start, start.quasi_sample(0, COUNTED))
        assert self.features.rich
        self.train, self.hold = (self._choice(start.quasi_sample(seed, COUNTED), log_density) for seed in (1, 2))

    def _choice(self, x, log_density):
        value = jax.vmap(jax.value_and_grad(log_density))
        return Choice(np.arange(len(x)), State(x, *value(x)), np.full(len(x), 1 / len(x)))

    def fit(self, field):
        return explicit_velocity(self.energy, self.features, None, field, self.train, self.hold)

    def size(self):
        """Of the force."""
        return float(np.linalg.norm(grad_mu(self.energy, self.train.state) * np.sqrt(self.train.weight)[:, None]))

    def field(self):
        x = np.asarray(self.train.state.x)
        return self.features.place(self.energy, x, None, np.random.default_rng(0))

    def learned(self, learner):
        return learner.field(self.energy, self.field(), self.fit, self.train, np.random.default_rng(1))[0]


@cache
def case():
    return Case(lambda x: ridges(x) - 0.5 * (x @ x))


@cache
def taught():
    learner = Learner()
    return learner, case().learned(learner)


def test_waves_that_learn_leave_less_of_a_force_than_those_placed_at_random():
    """Than as many, that is; so does the next segment, whose waves begin where these have ended."""
    (learner, field), made = taught(), case()
    x, rng = np.asarray(made.train.state.x), np.random.default_rng(5)
    random = learning.replaced(made.field(), waves_across(made.energy, x, rng, COUNT))
    assert made.fit(field).left < 0.6 * made.fit(random).left
    assert learner.waves is not None
    again = Learner()
    again.waves = learner.waves
    assert made.fit(made.learned(again)).left < 1.1 * made.fit(field).left


def test_only_waves_across_learn():
    plain, learned = case().field().terms[-1], taught()[1].terms[-1]
    assert isinstance(plain, Waves)
    assert isinstance(learned, Waves)
    along = learned.size - COUNT
    np.testing.assert_array_equal(learned.weight[:along], plain.weight[:along])


def test_nothing_is_learned_where_the_other_features_have_the_force():
    """V and the Gaussian start are among them; and where it did not pay it is not tried again at once."""
    made, learner = Case(lambda x: -0.5 * (x @ x)), Learner()
    field = made.field()
    assert learner.field(made.energy, field, made.fit, made.train, np.random.default_rng(1))[0] is field
    assert learner.waves is None
    assert learner.futile == 0


def test_what_does_not_pay_is_not_tried_again_before_much_more_is_left(monkeypatch):
    made, learner, fits = case(), Learner(), []
    monkeypatch.setattr(learning, "PAYS", 0.0)

    def fit(field):
        fits.append(field)
        return made.fit(field)

    field = made.field()
    for tries in range(2):
        assert learner.field(made.energy, field, fit, made.train, np.random.default_rng(1))[0] is field
        assert learner.waves is None
        assert learner.futile == made.fit(field).left / made.size()
        assert len(fits) == learning.BEGIN + 2 + tries


@pytest.mark.parametrize("seed", [0, 1])
def test_a_frame_changes_coordinates_not_waves(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(50, DIM)) @ rng.normal(size=(DIM, DIM)) + 3
    frame, waves = Frame.of(x), Waves(jnp.asarray(rng.normal(size=(4, DIM))), jnp.asarray(rng.normal(size=4)))
    y = frame.points(x)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-10)
    np.testing.assert_allclose(np.cov(y, rowvar=False), np.eye(DIM), atol=1e-10)
    weight, offset = frame.inside(waves)
    np.testing.assert_allclose(y @ weight.T + offset, x @ np.asarray(waves.weight).T + np.asarray(waves.offset))
    back = frame.outside(weight, offset)
    np.testing.assert_allclose(back.weight, waves.weight)
    np.testing.assert_allclose(back.offset, waves.offset)
