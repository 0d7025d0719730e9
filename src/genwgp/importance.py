"""Importance sampling from log-weights log w (n,): normaliser, means with errors, resampling, bounds.

In float64 on the host: weights spread over many orders of magnitude, and there are few of them.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

LogWeights = Float[np.ndarray, " n"]


class Estimate(NamedTuple):
    """A mean over the equilibrium and its standard error, both of the shape of the function that was averaged."""

    value: np.ndarray
    standard_error: np.ndarray


class Bounds(NamedTuple):
    """lower <= log Z <= upper, each with the standard error of its estimate; NaN for an upper one that is not known."""

    lower: float
    lower_error: float
    upper: float
    upper_error: float


def normaliser(log_weight: LogWeights) -> tuple[float, float, float]:
    """log mean w, its standard error by the delta method, and the effective sample size as a share of 1.

    The share is (sum w)^2 / (n sum w^2): Kong, Liu and Wong, J. Amer. Statist. Assoc. 89 (1994) 278.
    """
    top = log_weight.max()
    w = np.exp(log_weight - top)
    share = w.sum() ** 2 / (w**2).sum() / len(w)
    return float(top + np.log(w.mean())), float(np.sqrt(max(1 / share - 1, 0) / len(w))), float(share)


def expectation(values: Float[np.ndarray, "n *shape"], log_weight: LogWeights) -> Estimate:
    """Self-normalised estimate m = sum_i w_i f_i, sum_i w_i = 1, with the error (sum_i w_i^2 (f_i - m)^2)^(1/2).

    The error is that of the ratio of two means by the delta method. The bias is of order 1/n, below it.
    Source: Owen, Monte Carlo Theory, Methods and Examples (2013), section 9.2.
    """
    w = np.exp(log_weight - log_weight.max())
    w = (w / w.sum()).reshape(-1, *[1] * (values.ndim - 1))
    values = np.where(w > 0, values, 0.0)  # what has no weight does not count, infinite or not
    mean = (w * values).sum(axis=0)
    return Estimate(mean, np.sqrt((w**2 * (values - mean) ** 2).sum(axis=0)))


def systematic(log_weight: LogWeights, n: int, offset: float) -> Int[np.ndarray, " {n}"]:
    """Indices of n draws with probabilities in proportion to w, by systematic resampling; offset uniform in [0, 1).

    Draw i is where the cumulated weights pass (i + offset) / n: index j comes floor(n w_j) or ceil(n w_j) times.
    Source: Kitagawa, J. Comput. Graph. Statist. 5 (1996) 1.
    """
    cumulated = np.cumsum(np.exp(log_weight - log_weight.max()))
    places = (np.arange(n) + offset) / n
    found = np.searchsorted(cumulated / cumulated[-1], places, side="right")
    return np.minimum(found, len(cumulated) - 1)  # the last place may round to 1


def mean_and_error(values: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """The mean of independent values and its standard error."""
    if not np.isfinite(values).all():
        return float(values.mean()), float("nan")
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
