"""Potentials split into functions of linear forms: their derivatives, and what is not such a sum."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwgp.additive import additive

DIM = 4
A = jnp.asarray(np.random.default_rng(0).normal(size=(6, DIM)))
S = A.T @ A


def whole(V, x, u):
    """The same by differentiating V as a whole."""
    value = lambda x: jnp.asarray(V(x), x.dtype)
    laplacian = lambda x: jnp.trace(jax.hessian(value)(x))
    return jax.grad(value)(x), laplacian(x), jax.grad(laplacian)(x) + jax.hessian(value)(x) @ u


SUMS = {
    "logistic regression": lambda x: jnp.logaddexp(0, -(A @ x)).sum() + 0.5 * (x @ x),
    "softplus and where": lambda x: jax.nn.softplus(A @ x).sum() + jnp.where(x > 0, x**3, 0).sum() + x[0],
    "log sigmoid, einsum": lambda x: -jax.nn.log_sigmoid(x @ A.T).sum() + jnp.einsum("i,ij,j->", x, S, x),
    "quadratic form": lambda x: 0.5 * (x - 1) @ S @ (x - 1) + x[0] * x[1],
    "poisson": lambda x: jnp.exp(0.3 * (A @ x)).sum() - (A @ x).sum() + jnp.log1p(x[0] ** 2),
    "student": lambda x: -jax.scipy.stats.t.logpdf(A @ x, 3.0).sum(),
    "normal": lambda x: -jax.scipy.stats.norm.logpdf(A @ x, 1.0, 2.0).sum(),
    "neighbours": lambda x: ((x - jnp.roll(x, 1)) ** 2).sum() + (x**4).sum() + (x[:-1] * x[1:]).sum(),
    "a row at a time": lambda x: jax.vmap(lambda a: jnp.log1p((a @ x) ** 2))(A).sum(),
    "inner product": lambda x: (lambda z: z @ jnp.tanh(z) + jnp.sin(z) @ jnp.sin(z))(A @ x),
    "cumulative": lambda x: jnp.tanh(jnp.cumsum(x)).sum(),
    "the same predictor again": lambda x: jnp.where(jnp.abs(A @ x) < 1, (A @ x) ** 2 / 2, jnp.abs(A @ x) - 0.5).sum(),
    "scattered": lambda x: jnp.tanh(jnp.zeros(6).at[1:5].add(x)).sum(),
    "convolved": lambda x: (jnp.convolve(x, A[0]) ** 4).sum(),
    "whitened": lambda x: jax.scipy.stats.multivariate_normal.logpdf(x, A[0], S + jnp.eye(DIM)),
    "compiled": lambda x: jax.jit(lambda y: jnp.cosh(y).sum())(2 * x),
    "linear": lambda x: x @ A[0],
    "one coordinate": lambda x: (x[2] ** 2 - 1) ** 2,
    "constant": lambda x: 3.0,
}
OTHERS = {
    "product of cosines": lambda x: jnp.cos(x[0]) * jnp.cos(x[1]),
    "banana": lambda x: (x[1] - x[0] ** 2) ** 2,
    "power of a square": lambda x: (x @ x) ** 2,
    "norm": jnp.linalg.norm,
    "softmax": lambda x: jax.nn.logsumexp(A @ x),
    "funnel": lambda x: x[1] ** 2 * jnp.exp(-x[0]),
    "cholesky": lambda x: jnp.log(jnp.diag(jnp.linalg.cholesky(S + jnp.outer(x, x)))).sum(),
    "loop": lambda x: jax.lax.fori_loop(0, 3, lambda _, y: jnp.sin(y), x).sum(),
}


@cache
def both(name):
    """What the split finds, and what the whole gives, at many points."""
    V = SUMS[name]
    split = additive(V, jnp.ones(DIM))
    assert split is not None
    return jax.jit(jax.vmap(lambda x, u: (split.rates(x, u), whole(V, x, u))))


@pytest.mark.parametrize("name", SUMS)
@given(seed=st.integers(0, 1000))
def test_derivatives_are_those_of_the_whole(name, seed):
    x, u = np.random.default_rng(seed).normal(size=(2, 5, DIM))
    for found, exact in zip(*both(name)(x, u), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_such_sum_is_not_taken_for_one(name):
    assert additive(OTHERS[name], jnp.ones(DIM)) is None


def test_numbers_that_jax_traces_may_be_in_it():
    x, u = jnp.arange(1.0, 5.0), jnp.ones(DIM)
    V = lambda k: lambda x: jnp.cosh(k * (A @ x) / 10).sum()
    split = jax.jit(lambda k: additive(V(k), x).rates(x, u))  # pyright: ignore[reportOptionalMemberAccess]
    for found, exact in zip(split(0.7), whole(V(0.7), x, u), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-10)


def test_an_infinite_value_stays_one():
    """V = -log x: outside of where it is defined nothing finite may come out."""
    split = additive(lambda x: -jnp.log(x).sum(), jnp.ones(DIM))
    assert split is not None
    assert not np.isfinite(split.rates(jnp.asarray([0.0, 1.0, 1.0, 1.0]), jnp.ones(DIM))[0]).all()
