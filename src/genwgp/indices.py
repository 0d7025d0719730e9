"""Indices outside of an array. jax moves them to the nearest entry without a word; here they are found in what users
write, before anything is computed with it.

An index that is a plain number is refused while jax traces. One that jax computes (arrays of indices, loops) may be
outside on purpose, where `jnp.where` or `lax.cond` discards the entry afterwards. So the entry is replaced by NaN: it
was used if NaN arrives in the result.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, jaxpr_as_fun, subjaxprs
from jaxtyping import Array, Float

STATIC = "jax_check_static_indices"
ALLOWED = "indices inside of the arrays"
CLAMPED = lax.GatherScatterMode.PROMISE_IN_BOUNDS  # what x[i] is; jnp.take and others that name a mode mean it
FILLED = lax.GatherScatterMode.FILL_OR_DROP


def trace(function: Callable, point: Float[Array | np.ndarray, " d"]) -> tuple[ClosedJaxpr, Any]:
    """The function as jax traces it at one point, and the shapes that it returns; no numbers are computed.

    IndexError for an index that is a number outside of its array, and whatever the function raises.
    """
    before = getattr(jax.config, STATIC)
    jax.config.update(STATIC, True)
    try:
        return jax.make_jaxpr(function, return_shape=True)(point)
    finally:
        jax.config.update(STATIC, before)


def outside(function: Callable, traced: ClosedJaxpr, points: Float[Array | np.ndarray, "n d"]) -> str | None:
    """The first index that the function's value at a point depends on and that is outside of its array, in words.

    `function`: one point (d,) -> one number, finite at the points; `traced`: what `trace` gave for it. None if there is
    no such index. Compiles only if the function computes indices at all.
    """
    if not _computes_indices(traced.jaxpr):
        return None
    run = jaxpr_as_fun(_filled(traced))
    values = jax.jit(jax.vmap(lambda x: run(x)[0]))(points)
    wrong = np.isnan(np.asarray(values, dtype=np.float64))
    return _describe(function, jnp.asarray(points[int(np.argmax(wrong))])) if wrong.any() else None


def _computes_indices(jaxpr: Jaxpr) -> bool:
    return any(map(_is_read, jaxpr.eqns)) or any(map(_computes_indices, subjaxprs(jaxpr)))


def _is_read(equation: JaxprEqn) -> bool:
    """Whether it reads at an index that jax would clamp, from an array that can hold NaN."""
    kind = equation.primitive
    clamped = kind is lax.dynamic_slice_p or (kind is lax.gather_p and equation.params["mode"] == CLAMPED)
    return clamped and jnp.issubdtype(equation.outvars[0].aval.dtype, jnp.inexact)  # pyright: ignore[reportAttributeAccessIssue]


def _filled(part: Any) -> Any:
    """A jaxpr, or a parameter that holds some, with NaN where an index is outside."""
    if isinstance(part, ClosedJaxpr):
        return part.replace(jaxpr=_filled(part.jaxpr))
    if isinstance(part, Jaxpr):
        return part.replace(eqns=list(map(_filled_equation, part.eqns)))
    return tuple(map(_filled, part)) if type(part) is tuple else part  # the branches of a cond


def _filled_equation(equation: JaxprEqn) -> JaxprEqn:
    if not _is_read(equation):
        return equation.replace(params={name: _filled(value) for name, value in equation.params.items()})
    if equation.primitive is lax.gather_p:
        return equation.replace(params={**equation.params, "mode": FILLED, "fill_value": np.nan})
    call = jax.jit(partial(_filled_slice, equation.params["slice_sizes"]))
    (made,) = jax.make_jaxpr(call)(*(variable.aval for variable in equation.invars)).eqns
    return made.replace(invars=equation.invars, outvars=equation.outvars)


def _filled_slice(sizes: tuple[int, ...], x: Array, *start: Array) -> Array:
    inside = [(at >= 0) & (at <= n - size) for at, n, size in zip(start, x.shape, sizes, strict=True)]
    found = lax.dynamic_slice(x, start, sizes, allow_negative_indices=False)
    return jnp.where(jnp.all(jnp.array(inside)), found, jnp.asarray(jnp.nan, x.dtype))


def _describe(function: Callable, point: Float[Array, " d"]) -> str:
    from jax.experimental import checkify  # only for the message: it also objects to indices that do no harm

    error, _ = checkify.checkify(function, errors=checkify.index_checks)(point)
    found = re.search(r"index (-?\d+) is out of bounds for axis (\d+) with size (\d+)", error.get() or "")
    if found is None:
        return "an index outside of its array"
    index, axis, size = map(int, found.groups())
    # Where jax reports a negative one, it has added the size already, as for x[-1].
    return f"index {index - size if index < 0 else index} out of bounds for axis {axis} with size {size}"
