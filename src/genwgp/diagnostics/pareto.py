"""The Pareto-k diagnostic of importance weights: how heavy their tail is."""

import numpy as np
from jaxtyping import Array, Float, Real

from genwgp.checks import shape_text
from genwgp.errors import InputError

TRUSTED = 0.7  # what weights with a smaller k give; for fewer than 2000 of them less
LEAST = 5  # values that a tail is fitted to
ROUNDING = 64 * np.finfo(np.float64).eps  # between weights that count as equal, over the largest


def pareto_k(log_weights: Real[np.ndarray | Array, "..."]) -> float:
    """Shape k of the generalised Pareto distribution that fits the largest importance weights, from log w (n,).

    Weights with the tail index a, P(w > t) ~ t^-a, have k = 1/a: the mean of w^p exists for p < 1/k. Below 0.5 the
    variance of an importance-sampling estimate is finite; up to 0.7 (for n < 2000 up to 1 - 1/log10 n) estimates and
    their errors can be trusted; from 1 on not even the mean exists. The tail is the largest min(n/5, 3 sqrt(n))
    weights. -inf where these are equal, inf where fewer than five stand out (so always for n < 21), NaN where a weight
    is NaN. InputError unless log_weights is one batch of numbers.
    Sources: Vehtari, Simpson, Gelman, Yao and Gabry, J. Mach. Learn. Res. 25 (2024) no. 72; the fit: Zhang and
    Stephens, Technometrics 51 (2009) 316.
    """
    log_w = np.array(log_weights, dtype=np.float64)
    if log_w.ndim != 1 or not log_w.size:
        raise InputError("log_weights", f"shape {shape_text(log_w.shape)}", "numbers of shape (n,)")
    top = log_w.max()
    if np.isnan(top):
        return float("nan")
    if np.isinf(top):
        return float("inf")
    log_w = np.sort(log_w - top)
    length = int(np.ceil(min(len(log_w) / 5, 3 * np.sqrt(len(log_w)))))
    # No weights below the least number: where the cutoff is one of them, the tail would be a single value in disguise.
    cutoff = np.exp(max(log_w[-min(length + 1, len(log_w))], np.log(np.finfo(np.float64).tiny)))
    if 1 - cutoff < ROUNDING and len(log_w) > 1:
        return -float("inf")
    tail = np.exp(log_w[-length:]) - cutoff
    tail = tail[tail > 0]
    return _generalised_pareto_shape(tail) if len(tail) >= LEAST else float("inf")


def _generalised_pareto_shape(x: Float[np.ndarray, " m"]) -> float:
    """The shape of P(X > x) = (1 + k x / sigma)^(-1/k) that fits excesses x > 0, sorted.

    The posterior mean of -k/sigma = b under the profile likelihood, by quadrature over a prior that the data scale;
    then k = mean log(1 - b x), drawn to 0.5 with the weight of ten excesses, as Vehtari et al. do.
    """
    m = len(x)
    points = 30 + int(np.sqrt(m))
    quartile = x[int(m / 4 + 0.5) - 1]
    b = (1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))) / (3 * quartile) + 1 / x[-1]
    k = np.log1p(-b[:, None] * x).mean(axis=1)
    log_likelihood = m * (np.log(-b / k) - k - 1)
    posterior = np.exp(log_likelihood - log_likelihood.max())
    mean = b @ posterior / posterior.sum()
    shape = np.log1p(-mean * x).mean()
    return float((m * shape + 10 * 0.5) / (m + 10))
