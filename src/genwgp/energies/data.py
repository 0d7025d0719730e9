"""Potentials that are sums over data, all of it or batches at random."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.checks import function, integer
from genwgp.errors import InputError

DATA = "an array, or a tuple or dict of arrays, with as many rows each: one or more"
TERM = "a function of a point, shape (d,), and a row of the data that returns one number, written with jax.numpy"
PRIOR = "a function of one point, shape (d,), that returns one number, written with jax.numpy, or None"


class SumOverData(eqx.Module):
    """V(x) = prior(x) + sum_i term(x, row_i), i over the n rows of `data`: minus a log-posterior, for one.

    `term`: a point (d,) and a row -> scalar; rows are what is left of the arrays of `data` without their first axis, in
    the same tuple or dict. `prior`: a point -> scalar, None: 0. Rows are summed `tile` at a time, and computed again
    for derivatives, so that the memory of a point is that of one tile, however many there are. With at most one tile
    the code of V shows that it is a sum over linear forms, where it is: third derivatives cost no more than a gradient.
    `Adam(batch=...)` takes rows at random in each step. InputError for functions or data that are none, or not finite.
    """

    term: Callable
    data: Any
    prior: Callable | None
    tile: int = eqx.field(static=True)

    def __init__(self, term: Callable, data: Any, prior: Callable | None = None, tile: int = 4096):
        self.term = function("SumOverData.term", term, TERM)
        self.prior = None if prior is None else function("SumOverData.prior", prior, PRIOR)
        self.data, self.tile = _checked(data), integer("SumOverData.tile", tile)

    @property
    def rows(self) -> int:
        """n."""
        return len(jax.tree.leaves(self.data)[0])

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        if self.rows <= self.tile:
            return self._prior(x) + self.over(self.data, x).sum()
        full = self.rows // self.tile * self.tile
        tiles = jax.tree.map(lambda a: a[:full].reshape(-1, self.tile, *a.shape[1:]), self.data)
        rest = jax.tree.map(lambda a: a[full:], self.data)
        add = jax.checkpoint(lambda total, rows: (total + self.over(rows, x).sum(), None))
        start = self._prior(x) + (self.over(rest, x).sum() if full < self.rows else 0)
        return jax.lax.scan(add, start, tiles)[0]

    def over(self, rows: Any, x: Float[Array, " d"]) -> Float[Array, " m"]:
        """The terms of some rows."""
        in_type = lambda a: a.astype(x.dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a
        rows = jax.tree.map(lambda a: in_type(jnp.asarray(a)), rows)
        return jax.vmap(lambda row: jnp.asarray(self.term(x, row), x.dtype))(rows)

    def drawn(self, key: PRNGKeyArray, size: int) -> "TwoBatches":
        """V estimated from `size` rows at random, twice and independently; rows may be drawn more than once."""
        index = jax.random.randint(key, (2, size), 0, self.rows)
        first, second = (Batch(self, jax.tree.map(lambda a, i=i: jnp.asarray(a)[i], self.data)) for i in index)
        return TwoBatches(first, second)

    def _prior(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return jnp.zeros_like(x, shape=()) if self.prior is None else jnp.asarray(self.prior(x), x.dtype)


class Batch(eqx.Module):
    """An unbiased estimate of a sum over data: prior(x) + n mean of term(x, row) over the rows that it has."""

    whole: SumOverData
    chosen: Any

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return self.whole._prior(x) + self.whole.rows * self.whole.over(self.chosen, x).mean()


class TwoBatches(eqx.Module):
    """The mean of two independent estimates of one potential. E grad V_1 . grad V_2 = |grad V|^2, which E |grad V_1|^2
    exceeds by the variance of the gradient: norms are to be taken of both together."""

    first: Batch
    second: Batch

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return 0.5 * (self.first(x) + self.second(x))


def _checked(data: Any) -> Any:
    """The data as numpy arrays."""
    try:
        arrays = jax.tree.map(np.asarray, data)
        leaves = jax.tree.leaves(arrays)
        rows = {len(leaf) for leaf in leaves}
    except TypeError:  # a number has no rows
        rows, leaves = set(), []
    if len(rows) != 1 or 0 in rows:
        given = f"{len(leaves)} arrays of {', '.join(map(str, sorted(rows)))} rows" if leaves else data
        raise InputError("SumOverData.data", given, DATA)
    for leaf in leaves:
        if leaf.dtype.kind not in "biuf":
            raise InputError("SumOverData.data", f"an array of {leaf.dtype}", "numbers")
        if not np.isfinite(leaf).all():
            raise InputError("SumOverData.data", "NaN or infinity", "finite numbers")
    return arrays
