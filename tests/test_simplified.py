"""The simplified Newton method against the one with the whole Jacobian, and the features that it is for."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import cho_solve

import genwgp as gw
from genwgp import parts
from genwgp.layers import fields
from genwgp.parts import PART
from genwgp.solvers import collocation as col
from genwgp.solvers import simplified
from genwgp.solvers.features import Features, at_rest
from genwgp.solvers.mean_field import MeanField
from genwgp.solvers.particles import initial_state
from genwgp.solvers.segment import Segment, velocity
from genwgp.solvers.simplified import Linearised, _factor, _move, implicit_start, simplified_newton

D, DIM = 0.7, 4
START = gw.Gaussian(np.full(DIM, 0.3), 0.5)
HEIGHT = np.array([0.5, 0.8, 1.1, 0.3])


def wells(x):
    return jnp.asarray(HEIGHT, x.dtype) @ (x**2 - 1) ** 2 + 0.2 * x.sum()


@cache
def fitted(seed=None):
    """An energy, turned at random where there is a seed, its rich field at particles of the start, and those."""
    turn = turned(seed)
    energy = gw.FreeEnergy(lambda x: wells(jnp.asarray(turn, x.dtype) @ x), gw.Entropy(D))
    x = START.quasi_sample(1, 2 * PART + 100)
    features = Features(energy, START, x)
    assert features.rich
    return energy, features.place(energy, x, None, np.random.default_rng(0)), initial_state(START, x)


def turned(seed):
    return np.eye(DIM) if seed is None else np.linalg.qr(np.random.default_rng(seed).normal(size=(DIM, DIM)))[0]


def started(h):
    """What both methods are given: a segment with the velocities that the force has at its start all along."""
    energy, field, state = fitted()
    root = jnp.full((len(state.x), DIM + 1), len(state.x) ** -0.5)
    rest = at_rest(field)
    fit = col.explicit_fit(energy, field, rest, (state, root), (state, root), (1e-8,))
    c = jnp.asarray(fit.coefficients[0])
    penalty = col.Penalty(1e-8 * fit.diagonal, np.asarray(rest))
    return MeanField(energy, None), Segment(field, c, c, jnp.asarray(h), jnp.asarray(2)), state, root, penalty


def linearised(mean_field, segment, state, root):
    return Linearised().at(mean_field.now(), segment.field, segment.first, state, root)


def test_both_newton_methods_find_the_same_velocities():
    mean_field, segment, state, root, penalty = started(0.002)
    now = col.collocate(mean_field, segment, state, root, penalty)
    linear = linearised(mean_field, segment, state, root)
    cheaper, stages, history, settled = simplified_newton(linear, mean_field, segment, now, state, root, penalty, 0.0)
    assert settled
    assert stages.residuals.shape == (len(state.x), 2, DIM + 1)
    assert history[0] == now.size
    whole, best, _ = col.solve_segment(mean_field, segment, now, state, root, penalty)
    assert best.size < 0.02 * now.size
    assert stages.size < 0.02 * now.size
    for s in (0.0, 1.0):
        a, b = (np.asarray(velocity(one, s, state)) for one in (cheaper, whole))
        assert np.sqrt(((a - b) ** 2).mean()) < 2e-3 * np.sqrt((b**2).mean())


def test_the_implicit_start_is_damped_where_forces_are_steep():
    """On a segment in which the velocity of its start would throw particles far past their rest."""
    mean_field, segment, state, root, penalty = started(0.2)
    rest = segment._replace(first=0 * segment.first, second=0 * segment.second)
    stages = lambda segment: col.collocate(mean_field, segment, state, root, penalty)
    damped = implicit_start(linearised(mean_field, rest, state, root), rest, stages(rest), penalty)
    assert damped is not None
    thrown, still, start = (stages(one).size for one in (segment, rest, damped))
    assert start < 0.6 * min(thrown, still)


def test_damping_does_not_depend_on_units():
    """Columns of one unit times a factor: the solution divided by it. A column that nothing sees stays at zero."""
    field = fields.Field((fields.Quadratic(jnp.zeros(2)), fields.Waves(jnp.ones((3, 2)), jnp.arange(3.0))))
    rng = np.random.default_rng(2)
    assert list(field.units) == [0, 0, 0, 1, 1, 2, 3, 3, 3]
    matrix, rest = rng.normal(size=(50, field.size)), rng.normal(size=50)
    matrix[:, -1] = 0
    factors = np.array([1e7, 1.0, 1e-7, 1e4])[field.units]

    def solution(matrix):
        return cho_solve(col.cholesky(matrix.T @ matrix, np.zeros(field.size), field), matrix.T @ rest)

    expected = solution(matrix)
    np.testing.assert_allclose(factors * solution(matrix * factors), expected, rtol=1e-9)
    assert expected[-1] == 0


def test_steps_are_the_same_where_jax_computes_on_an_accelerator(monkeypatch):
    """Whose arrays stay there: here it is the processor that is taken for one. No derivative of the motion."""
    mean_field, segment, state, root, penalty = started(0.002)
    now = col.collocate(mean_field, segment, state, root, penalty)
    n, both, equations = now.residuals.shape
    matrix = np.random.default_rng(0).normal(size=(n, both * equations, 2 * segment.field.size))
    monkeypatch.setattr(col, "jacobian", lambda *_: parts.Rows(parts.where_it_is(matrix)))

    def steps():
        factor = col.factorise(mean_field, segment, state, root, penalty)
        newton, promised = col.newton_direction(factor, segment, now, penalty)
        model = linearised(mean_field, segment, state, root)
        move = _move(model, _factor(model, segment, penalty), segment, penalty, [now.residuals.swapaxes(0, 1)], [])
        # What the steps do: their coefficients are not determined to rounding.
        return factor, [newton, promised, *(model.still.times(one) for one in move)]

    host, expected = steps()
    monkeypatch.setattr(parts, "on_host", lambda: False)
    there, found = steps()
    assert isinstance(host.jacobian, parts.Rows)
    assert isinstance(host.jacobian.matrix, np.ndarray)
    assert isinstance(there.jacobian, parts.Rows)
    assert isinstance(there.jacobian.matrix, jax.Array)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-7 * np.abs(b).max())


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_steps_that_are_too_long_for_it_end_at_the_best_of_them():
    mean_field, segment, state, root, penalty = started(0.2)
    now = col.collocate(mean_field, segment, state, root, penalty)
    linear = linearised(mean_field, segment, state, root)
    found = simplified_newton(linear, mean_field, segment, now, state, root, penalty, 0.0)
    assert not found.settled
    assert np.isfinite(found.stages.size)
    assert len(found.history) > 2
    most = lambda stages: col.size_of_most(stages.squares)
    assert most(found.stages) <= most(now)
    again = col.collocate(mean_field, found.segment, state, root, penalty)
    np.testing.assert_array_equal(again.residuals, found.stages.residuals)


def test_matrices_are_made_once_for_attempts_that_differ_in_their_duration(monkeypatch):
    """And anew for other velocities or other weights; no more are kept than are asked for in turn."""
    mean_field, segment, state, root, _ = started(0.002)
    made, kept = [], Linearised()
    make = simplified._linear
    monkeypatch.setattr(simplified, "_linear", lambda *given: made.append(None) or make(*given))
    at = lambda c, root: kept.at(mean_field.now(), segment.field, c, state, root)
    first = at(segment.first, root)
    assert at(segment.first, root) is first
    assert len(made) == 1
    fewer = root.at[0].set(0)
    assert at(segment.first, fewer) is not first
    at(0 * segment.first, root)
    assert len(made) == 3
    assert at(segment.first, root) is not first
    columns = np.stack([first.still.times(unit).ravel() for unit in np.eye(segment.field.size)], 1)
    gram = columns.T @ columns
    np.testing.assert_allclose(first.products[0], gram, rtol=1e-9, atol=1e-9 * np.abs(gram).max())


@pytest.mark.parametrize("seed", [0, 1])
def test_waves_lie_along_the_axes_of_a_sum(seed):
    """However the sum is turned; they then fit the force of a product, grad V + D score, but for their resolution."""
    turn, (_, field, _) = turned(seed), fitted(seed)
    waves = field.terms[-1]
    assert isinstance(waves, fields.Waves)
    weight = np.asarray(waves.weight)
    direction = np.abs(weight @ turn.T) / np.linalg.norm(weight, axis=1, keepdims=True)
    on_axes = direction.max(1) > 1 - 1e-6
    assert np.all(np.bincount(direction[on_axes].argmax(1)) == on_axes.sum() // DIM)
    assert on_axes.sum() >= 0.4 * len(on_axes)
    x = np.linspace(-1.2, 1.5, 400)
    for axis in range(DIM):
        own = on_axes & (direction.argmax(1) == axis)
        t = x[:, None] * (weight[own] @ turn[axis]) + np.asarray(waves.offset)[own]
        table = np.concatenate([np.exp(-0.5 * t**2), np.ones((400, 1)), x[:, None], x[:, None] ** 2], 1)
        target = np.tanh(2 * x)
        assert np.abs(table @ np.linalg.lstsq(table, target, rcond=1e-10)[0] - target).max() < 1e-3
