"""A user's function of one point on the many points of a grid, with what can be wrong with it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from genwgp.checks import reason, shape_text
from genwgp.errors import InputError


def on_points(field: str, function: Callable, allowed: str) -> Callable[[np.ndarray], np.ndarray]:
    """A map from points (n, d) to the function's values (n,), numpy float64; +inf is a value, NaN and -inf are not.

    `function`: one point (d,) -> scalar, written with jax.numpy. The map raises InputError naming `field` otherwise.
    """
    batched = jax.jit(jax.vmap(lambda x: jnp.asarray(function(x), dtype=x.dtype)))

    def values_at(points: np.ndarray) -> np.ndarray:
        try:
            values = np.asarray(batched(jnp.asarray(points, dtype=float)), dtype=np.float64)
        except Exception as error:  # whatever the user's function raises; `from None` keeps jax's traceback out
            raise InputError(field, reason(error), allowed) from None
        if values.shape != (len(points),):
            raise InputError(field, f"shape {shape_text(values.shape[1:])} for one point", allowed)
        if np.any(np.isnan(values) | (values == -np.inf)):
            where = points[np.argmax(np.isnan(values) | (values == -np.inf))].tolist()
            raise InputError(field, f"NaN or -inf at {where}", "a number or +inf everywhere")
        return values

    return values_at
