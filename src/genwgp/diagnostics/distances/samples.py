"""Two sets of samples, as every distance takes them."""

import numpy as np
from jaxtyping import Array, Float, Real

from genwgp.checks import finite_array, shape_text
from genwgp.errors import InputError

Samples = Real[Array | np.ndarray, "..."]  # (n, d); other shapes are InputErrors


def pair(x: Samples, y: Samples, least: int = 1) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "m d"]]:
    """x (n, d) and y (m, d) in float64; InputError unless finite, in one dimension d, at least `least` of each."""
    first, second = finite_array("x", x, (None, None)), finite_array("y", y, (None, None))
    if first.shape[1] != second.shape[1]:
        raise InputError("y", f"shape {shape_text(second.shape)}", f"shape {shape_text((None, first.shape[1]))}, as x")
    for field, samples in (("x", first), ("y", second)):
        if len(samples) < least:
            raise InputError(field, f"{len(samples)} samples", f"at least {least}")
    return first, second
