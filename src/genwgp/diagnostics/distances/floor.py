"""What a distance of samples is, and what it is where there is no difference."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from genwgp.checks import integer

Statistic = Callable[[Any, Any], Any]


def noise_floor(
    statistic: Statistic, reference: Any, n: int, key: PRNGKeyArray, repeats: int = 4
) -> Float[np.ndarray, "repeats *shape"]:
    """statistic(x, y) of two independent sets of n samples of the reference, `repeats` times.

    `reference`: anything with sample(key, n) -> (n, d). `statistic`: a number or an array (of several statistics).
    A distance between samples of two laws that is no larger than this says nothing about the laws. Its mean is the
    floor; its spread says how much one such distance varies by chance. InputError for n or repeats below 1.
    """
    return between_draws(statistic, reference, reference, n, key, repeats)


def between_draws(
    statistic: Statistic, first: Any, second: Any, n: int, key: PRNGKeyArray, repeats: int = 4
) -> Float[np.ndarray, "repeats *shape"]:
    """statistic(x, y) of n samples x of the first density and y of the second, all independent, `repeats` times."""
    n, repeats = integer("n", n), integer("repeats", repeats)
    keys = (jax.random.split(jax.random.fold_in(key, i)) for i in range(repeats))
    values = [statistic(first.sample(one, n), second.sample(other, n)) for one, other in keys]
    return np.asarray(values, dtype=np.float64)
