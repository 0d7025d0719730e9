"""Potentials that are sums over data: tiles, batches, and training on these."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.actions import profile_of
from genwgp.additive import additive
from genwgp.errors import InputError
from genwgp.layers.base import State
from genwgp.layers.coupling import CouplingLayer, stack_layers

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 3)), RNG.integers(0, 2, 50).astype(float)


def logistic(w, row):
    x, y = row
    return jnp.logaddexp(0, x @ w) - y * (x @ w)


def gaussian(w):
    return 0.5 * w @ w


def posterior(**options: Any) -> gw.SumOverData:
    return gw.SumOverData(logistic, (X, Y), gaussian, **options)


@pytest.mark.parametrize("tile", [1, 7, 25, 50, 4096])
def test_tiles_add_up(tile):
    """The sum and its first two derivatives, whatever is left over for a last tile."""
    V, w = posterior(tile=tile), jnp.asarray([0.3, -0.5, 1.0])
    expected = lambda w: jnp.logaddexp(0, X @ w).sum() - Y @ (X @ w) + 0.5 * w @ w
    for of in (lambda f: f, jax.grad, jax.hessian):
        np.testing.assert_allclose(of(V)(w), of(expected)(w), rtol=1e-12)


def test_one_tile_shows_that_it_is_a_sum_over_linear_forms():
    assert additive(posterior(), jnp.zeros(3)) is not None


def test_memory_is_that_of_a_tile():
    """Of the gradient, by what jax plans: a sum over 100,000 rows in tiles of 1000 keeps no number for each row."""
    wide = np.zeros((100_000, 3))
    V = gw.SumOverData(lambda w, row: jnp.cos(row @ w) ** 2, wide, tile=1000)
    arrays, static = eqx.partition(V, eqx.is_array_like)
    slope = jax.jit(lambda arrays, w: jax.grad(eqx.combine(arrays, static))(w))
    planned = slope.lower(arrays, jnp.zeros(3)).compile().memory_analysis()
    assert planned is not None
    assert planned.temp_size_in_bytes < 20 * 1000 * 8


def test_batches_are_right_in_the_mean_and_so_is_the_norm_by_two_of_them():
    """The square of one gradient is larger by its variance; the product of two is not."""
    V, w = posterior(), jnp.asarray([0.3, -0.5, 1.0])
    both = jax.vmap(lambda key: tuple(jax.grad(half)(w) for half in (V.drawn(key, 5).first, V.drawn(key, 5).second)))
    one, other = (np.asarray(g) for g in both(jax.random.split(jax.random.key(0), 20_000)))
    exact = np.asarray(jax.grad(V)(w))
    error = one.std(0) / np.sqrt(len(one))
    assert (np.abs(one.mean(0) - exact) < 5 * error).all()
    product, square = (one * other).sum(1), (one**2).sum(1)
    assert abs(product.mean() - exact @ exact) < 5 * product.std() / np.sqrt(len(one))
    bias = square.mean() - exact @ exact
    assert bias == pytest.approx(one.var(0).sum(), rel=0.05)
    assert bias > 20 * square.std() / np.sqrt(len(one))


def test_norms_along_a_path_have_no_bias():
    """||grad mu||^2 in the layers and at the end, over many draws, against all data."""
    V, start = posterior(), gw.Gaussian(np.zeros(3), 1.0)
    energy = gw.FreeEnergy(V, gw.Entropy(1.0))
    chain = stack_layers(lambda k: CouplingLayer.create(k, 3, 4, 1), 2, jax.random.key(0))
    x = jnp.asarray(start.quasi_sample(0, 64))
    state = State(x, start.log_prob(x), start.score(x))

    @jax.jit
    def profile(key):
        drawn = eqx.tree_at(lambda e: e.potential, energy, V.drawn(key, 10))
        found = profile_of(chain, drawn, state, points=1)
        return found.force2, found.power, found.end_force2, found.free_energy

    exact = profile_of(chain, energy, state, points=1)
    draws = [np.asarray(a) for a in jax.lax.map(profile, jax.random.split(jax.random.key(1), 4000))]
    for found, whole in zip(draws, (exact.force2, exact.power, exact.end_force2, exact.free_energy), strict=True):
        error = found.std(0) / np.sqrt(len(found)) + 1e-9
        assert (np.abs(found.mean(0) - np.asarray(whole)) < 5 * error).all()


def test_adam_learns_from_batches():
    """The mean of a Gaussian from 400 observations, four in a step: beside the exact posterior, as from all of them."""
    y = RNG.normal(2.0, 1.0, (400, 1))
    V = gw.SumOverData(lambda w, y: 0.5 * ((y - w) ** 2).sum() / 20, y, gaussian)
    precision = 1 + 400 / 20
    mean = y.sum() / 20 / precision
    problem = gw.Problem(gw.FreeEnergy(V, gw.Entropy(1.0)), gw.Gaussian([0.0], 1.0))
    adam = gw.Adam(steps=400, particles=128, width=4, couplings=1, points=1, learning_rate=1e-2, batch=4)
    solution = gw.solve(problem, layers=2, method=adam, throw=False)
    x = np.asarray(solution.path.equilibrium.sample(jax.random.key(0), 4000))
    assert x.mean() == pytest.approx(mean, abs=0.25 / np.sqrt(precision))
    assert x.std() == pytest.approx(1 / np.sqrt(precision), rel=0.2)
    assert solution.settings["method"]["batch"] == 4


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("SumOverData.term", lambda: gw.SumOverData(1.0, X)),  # pyright: ignore[reportArgumentType]
        ("SumOverData.prior", lambda: gw.SumOverData(logistic, X, 1.0)),  # pyright: ignore[reportArgumentType]
        ("SumOverData.data", lambda: gw.SumOverData(logistic, (X, Y[:-1]))),
        ("SumOverData.data", lambda: gw.SumOverData(logistic, ())),
        ("SumOverData.data", lambda: gw.SumOverData(logistic, 3.0)),
        ("SumOverData.data", lambda: gw.SumOverData(logistic, X[:0])),
        ("SumOverData.data", lambda: gw.SumOverData(logistic, np.where(X > 2, np.nan, X))),
        ("SumOverData.data", lambda: gw.SumOverData(logistic, ["a", "b"])),
        ("SumOverData.tile", lambda: gw.SumOverData(logistic, X, tile=0)),
        ("Adam.batch", lambda: gw.Adam(batch=0)),
    ],
)
def test_what_is_no_sum_is_refused(field, make):
    with pytest.raises(InputError, match=f"^{field}"):
        make()


@pytest.mark.parametrize(
    ("V", "batch", "allowed"), [(gaussian, 5, "no genwgp.SumOverData"), (posterior(), 51, "at most")]
)
def test_batches_are_of_data(V, batch, allowed, tmp_path):
    problem = gw.Problem(gw.FreeEnergy(V, gw.Entropy(1.0)), gw.Gaussian(np.zeros(3), 1.0))
    with pytest.raises(InputError, match=rf"^Adam\.batch: .*{allowed}"):
        gw.solve(problem, method=gw.Adam(batch=batch), checkpoint=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_term_that_returns_no_number_is_refused_by_the_problem():
    energy = gw.FreeEnergy(gw.SumOverData(lambda w, row: row * w, X), gw.Entropy(1.0))
    with pytest.raises(InputError, match=r"^energy\.potential"):
        gw.Problem(energy, gw.Gaussian(np.zeros(3), 1.0))
