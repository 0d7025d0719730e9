"""Matrices of features with fixed directions, against those with a row for every equation."""

import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.layers import fields
from genwgp.solvers import collocation, directed, jacobian, simplified
from genwgp.solvers.particles import initial_state

N, DIM = 200, 5
RNG = np.random.default_rng(0)
START = gw.Gaussian(np.zeros(DIM), 1.0)
AXES = np.linalg.qr(RNG.normal(size=(DIM, DIM)))[0]


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape))


def bowl(x):
    return 0.7 * x @ x + 0.3 * x[0] * x[1]


def sum_along_axes(x):
    """Not quadratic along the axes, and coupled by a quadratic form."""
    return bowl(x) + jnp.sum((x @ jnp.asarray(AXES, x.dtype)) ** 4)


def tangled(x):
    return bowl(x) + (x[0] - x[1] ** 2) ** 2


def potential_itself(potential):
    none = fields.Bumps(jnp.zeros((0, DIM)), jnp.zeros((0, DIM, DIM)))
    one = jnp.asarray(2.0)
    return fields.ModulatedPotential(fields.Opaque(potential), one, one, jnp.zeros((1, DIM)), none)


ALONG_AXES = fields.Waves(jnp.asarray(np.concatenate([AXES.T, 0.5 * AXES.T])), normal(2 * DIM))
ACROSS = fields.Waves(normal(7, DIM), normal(7))
STATE = initial_state(START, normal(N, DIM))
ROOT = np.abs(RNG.normal(size=(N, 2)))[:, [0] * DIM + [1]]


def matrices(potential, field, c):
    energy = gw.FreeEnergy(potential, gw.Entropy(0.8))
    whole = simplified._columns(energy, field, c, (STATE, ROOT))
    return whole, simplified._linear(energy, field, c, STATE, ROOT)


def of_quadratic(field):
    """Coefficients of a velocity whose gradient is the same everywhere."""
    return np.where(np.arange(field.size) < field.terms[0].size, RNG.normal(size=field.size), 0.0)


CASES = {
    "all features, Hess V constant": (bowl, (fields.Quadratic(normal(DIM)), potential_itself(bowl), ACROSS)),
    "waves along the axes of a sum": (sum_along_axes, (ALONG_AXES, potential_itself(sum_along_axes))),
}


@pytest.mark.parametrize(("potential", "terms"), CASES.values(), ids=CASES)
def test_matrices_do_what_those_with_whole_rows_do(potential, terms):
    field = fields.Field(terms)
    assert directed.is_directed(field, DIM)
    c = of_quadratic(field) if isinstance(terms[0], fields.Quadratic) else np.zeros(field.size)
    (b, e), linear = matrices(potential, field, c)
    step, rows = RNG.normal(size=field.size), RNG.normal(size=(N, DIM + 1))
    for whole, found in ((b, linear.still), (e, linear.moved)):
        for expected, value in (
            (whole.times(step), found.times(step)),
            (whole.transposed(rows), found.transposed(rows)),
        ):
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    for expected, value in zip((b.inner(b), b.inner(e), e.inner(e)), linear.products, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())


def test_products_are_those_of_one_matrix_where_it_is_not_exact():
    """So that the normal equations stay positive: E as it is taken, whatever it leaves out."""
    field = fields.Field((fields.Quadratic(normal(DIM)), potential_itself(tangled), ACROSS))
    (_, e), linear = matrices(tangled, field, 0.1 * np.asarray(normal(field.size)))
    columns = np.stack([linear.moved.times(unit).ravel() for unit in np.eye(field.size)], 1)
    whole = np.stack([e.times(unit).ravel() for unit in np.eye(field.size)], 1)
    assert np.abs(columns - whole).max() > 1e-3 * np.abs(whole).max()
    np.testing.assert_allclose(linear.products[2], columns.T @ columns, rtol=1e-9, atol=1e-9 * np.abs(whole).max() ** 2)
    still = np.stack([linear.still.times(unit).ravel() for unit in np.eye(field.size)], 1)
    np.testing.assert_allclose(linear.products[1], still.T @ columns, rtol=1e-9, atol=1e-9 * np.abs(whole).max() ** 2)


def test_the_explicit_fit_is_the_same(monkeypatch):
    field = fields.Field((fields.Quadratic(normal(DIM)), potential_itself(tangled), ACROSS))
    energy, part = gw.FreeEnergy(tangled, gw.Entropy(0.8)), (STATE, ROOT)
    fits = []
    for kind in (True, False):
        monkeypatch.setattr(collocation, "is_directed", lambda *_, kind=kind: kind)
        fits.append(collocation.explicit_fit(energy, field, np.zeros(field.size), part, part, (1e-4, 1e-2)))
    found, expected = fits
    np.testing.assert_allclose(found.coefficients, expected.coefficients, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.held_out, expected.held_out, rtol=1e-9)


def test_they_are_for_many_dimensions_and_take_a_fraction_of_the_memory():
    field = fields.Field((fields.Quadratic(jnp.zeros(50)), fields.Waves(jnp.zeros((1000, 50)), jnp.zeros(1000))))
    assert directed.is_directed(field, 50)
    assert directed.affordable(field) > 10 * jacobian.affordable(field, 50)
    flat = fields.Field((fields.Quadratic(jnp.zeros(2)),))
    assert not directed.is_directed(flat, 2)
    bumps = fields.Bumps(normal(5, DIM), jnp.zeros((5, DIM, DIM)))
    assert not directed.is_directed(fields.Field((ACROSS, bumps)), DIM)
