"""Divergences between densities whose logarithms are known: over samples, and on grids in one and two dimensions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from genwgp.checks import finite_array, integer
from genwgp.diagnostics.distances.samples import Samples
from genwgp.errors import InputError
from genwgp.references.box import tensor_grid

LOST = 1e-6  # of p, where q vanishes: less than this is the rim of a grid on which q was computed
SIZE = {1: 2049, 2: 129}  # points of a grid along an axis

LogDensity = Callable[[Any], Any]  # points (n, d) -> (n,)


class Estimate(NamedTuple):
    """A mean over samples and its standard error."""

    value: float
    error: float


class GridDistances(NamedTuple):
    """Distances of p and q over a box: `l1` from 0 to 2, `kl` in nats, and the mass of each in the box."""

    l1: float
    kl: float
    mass: float
    other_mass: float


def kl_divergence(log_p: LogDensity, log_q: LogDensity, x: Samples) -> Estimate:
    """KL(p || q) = int p log(p / q) in nats, the mean of log p - log q over samples x (n, d) of p, n >= 2.

    Both densities normalised; functions of points (n, d) that return (n,). Infinite where q vanishes at a sample;
    slightly negative by its error where p and q are close. InputError if log p or log q is NaN, or log p is infinite.
    """
    return _mean(_log_ratio(log_p, log_q, x, "x"))


def symmetric_kl(log_p: LogDensity, log_q: LogDensity, x: Samples, y: Samples) -> Estimate:
    """KL(p || q) + KL(q || p) in nats, from samples x (n, d) of p and y (m, d) of q. Errors as for `kl_divergence`.

    Source: Jeffreys, Proc. R. Soc. Lond. A 186 (1946) 453. (Half of this sum is also in use.)
    """
    forward, backward = _mean(_log_ratio(log_p, log_q, x, "x")), _mean(_log_ratio(log_q, log_p, y, "y"))
    return Estimate(forward.value + backward.value, float(np.hypot(forward.error, backward.error)))


def grid_distances(log_p: LogDensity, log_q: LogDensity, box: Any, size: int | None = None) -> GridDistances:
    """L1 = int |p - q| and KL(p || q) = int p log(p / q) - p + q, by the trapezoid rule on a grid over the box.

    `box` (d, 2), d = 1 or 2: lower and upper end of each axis; `size` points an axis (2049 and 129). Functions of
    points (n, d) that return (n,). The terms -p + q cancel where the box holds all of the mass, and keep KL from being
    negative where it does not. Where a log-density is not finite the density counts as 0: `mass` and `other_mass` say
    what the grid has seen. KL is infinite where q vanishes on more than 1e-6 of p; on less, that part does not count.
    InputError for other boxes or shapes.
    """
    box = finite_array("box", box, (None, 2))
    if len(box) not in SIZE or np.any(box[:, 0] >= box[:, 1]):
        raise InputError("box", box.tolist(), "one or two axes, lower ends below upper ends")
    size = SIZE[len(box)] if size is None else integer("size", size, least=2)
    points = tensor_grid(box, size)
    weight = _trapezoid(box, size)
    p, q = (_density(field, function, points) for field, function in (("log_p", log_p), ("log_q", log_q)))
    both = (p > 0) & (q > 0)
    alone = float(weight @ np.where(q > 0, 0, p))
    ratio = np.log(p[both]) - np.log(q[both])
    kl = (weight * p)[both] @ ratio + weight @ np.where(q > 0, q - p, 0) if alone < LOST else np.inf
    return GridDistances(float(weight @ np.abs(p - q)), float(kl), float(weight @ p), float(weight @ q))


def _trapezoid(box: np.ndarray, size: int) -> Float[np.ndarray, " n"]:
    """Quadrature weights of the points of `tensor_grid`."""
    weight = np.ones(1)
    for low, high in box:
        axis = np.full(size, (high - low) / (size - 1))
        axis[[0, -1]] /= 2
        weight = np.outer(weight, axis).ravel()
    return weight


def _density(field: str, function: LogDensity, points: np.ndarray) -> Float[np.ndarray, " n"]:
    values = _values(field, function, points)
    return np.exp(np.where(np.isfinite(values), values, -np.inf))


def _log_ratio(log_p: LogDensity, log_q: LogDensity, x: Samples, field: str) -> Float[np.ndarray, " n"]:
    points = finite_array(field, x, (None, None))
    if len(points) < 2:
        raise InputError(field, f"{len(points)} samples", "at least 2")
    p, q = _values("log_p", log_p, points), _values("log_q", log_q, points)
    if not np.all(np.isfinite(p)) or np.any(np.isnan(q)) or np.any(q == np.inf):
        raise InputError(field, "samples where a log-density is NaN or infinite", "samples of the first density")
    return p - q


def _values(field: str, function: LogDensity, points: np.ndarray) -> Float[np.ndarray, " n"]:
    values = np.asarray(function(jnp.asarray(points, dtype=float)), dtype=np.float64)
    if values.shape != (len(points),):
        raise InputError(field, f"shape {values.shape} for points {points.shape}", f"shape ({len(points)},)")
    return values


def _mean(values: Float[np.ndarray, " n"]) -> Estimate:
    if np.any(np.isinf(values)):
        return Estimate(float("inf"), float("nan"))
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))
