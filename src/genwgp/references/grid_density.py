"""A density that is known on the cells of a mesh."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.linalg import solve_banded

from genwgp.initial.base import AbstractDensity, Points, compiled, sobol
from genwgp.references.mesh import Mesh, left, right

FLAT = 1e-6  # a log-slope over a cell below which the place in the cell is uniform
ONE = 1 - 2.0**-23  # the last number before one in float32: a quantile stays inside


class GridDensity(AbstractDensity):
    """rho at the centres of the cells of a mesh, in one or two dimensions, as a density.

    With `smooth`, log rho is a cubic spline through the centres: log_prob and score are continuous, the score with a
    continuous derivative. Without (densities with compact support), rho is interpolated linearly, and the score jumps.
    Outside the box rho = 0: log_prob is -inf there, and the score 0. `mean` (d,) and `covariance` (d, d) are sums over
    the cells, `on_grid` the axes and the values rho (*cells). Samples are drawn cell by cell, and in a cell with the
    slope of log rho; they have the moments of the density up to the fourth power of the cells' size.
    """

    dim: int = eqx.field(static=True)
    smooth: bool = eqx.field(static=True)
    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]
    values: Float[Array, "..."]  # rho at the centres
    _low: Float[Array, " d"]  # the first centre
    _spacing: Float[Array, " d"]
    _table: Float[Array, "..."]  # spline coefficients of log rho, or rho
    _cumulative: Float[Array, " cells"]  # probability of the cells up to and with each, row by row
    _rows: Float[Array, " rows"]  # the same, whole rows of the first axis
    _slopes: Float[Array, "cells d"]  # of log rho over a cell

    def __init__(self, mesh: Mesh, log_rho: np.ndarray, smooth: bool = True):
        rho = np.exp(log_rho)
        probability = rho * mesh.volume
        centres = mesh.centres.reshape(-1, mesh.dim)
        mean = probability.ravel() @ centres
        masses, slopes = _cells(rho, log_rho) if smooth else (rho, np.zeros((rho.size, mesh.dim)))
        cumulative = np.cumsum(masses.ravel()) / masses.sum()
        table = spline_coefficients(log_rho) if smooth else rho
        final = lambda a: jnp.asarray(a, dtype=float)
        self.dim, self.smooth = mesh.dim, smooth
        self.mean = final(mean)
        self.covariance = final((centres - mean).T @ ((centres - mean) * probability.reshape(-1, 1)))
        self.values, self._table = final(rho), final(table)
        self._low, self._spacing = final([axis[0] for axis in mesh.axes]), final(mesh.spacing)
        self._cumulative, self._rows = final(cumulative), final(cumulative.reshape(mesh.cells[0], -1)[:, -1])
        self._slopes = final(slopes)

    @property
    def axes(self) -> list[np.ndarray]:
        """The centres of the cells along each axis, numpy float64."""
        low, spacing = np.asarray(self._low, dtype=np.float64), np.asarray(self._spacing, dtype=np.float64)
        return [a + h * np.arange(n) for a, h, n in zip(low, spacing, self.values.shape, strict=True)]

    @property
    def on_grid(self) -> tuple[list[np.ndarray], np.ndarray]:
        """The axes, and rho at the centres (*cells), numpy."""
        return self.axes, np.asarray(self.values)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        return self._place(jax.random.uniform(key, (n, self.dim)))

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64: scrambled Sobol points through the quantiles of the axes, one by one."""
        return np.asarray(self._place(jnp.asarray(sobol(seed, n, self.dim), dtype=float)), dtype=np.float64)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x); -inf outside the box."""
        return compiled(self._log_prob, self._points(x))

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """grad log rho(x), of the interpolation; 0 outside the box."""
        return compiled(jax.grad(self._log_prob), self._points(x))

    def _log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        place = (x - self._low) / self._spacing
        size = jnp.asarray(self.values.shape, dtype=place.dtype)
        inside = jnp.all((place >= -0.5) & (place <= size - 0.5))
        place = jnp.where(inside, place, 0.0)
        first = jnp.clip(jnp.floor(place), 0, size - 2)
        value = self._interpolate(first.astype(int), place - first)
        return jnp.where(inside, value if self.smooth else jnp.log(jnp.maximum(value, 0.0)), -jnp.inf)

    def _interpolate(self, first: Any, fraction: Float[Array, " d"]) -> Float[Array, ""]:
        weigh = _cubic if self.smooth else _linear
        block = jax.lax.dynamic_slice(self._table, list(first), (len(weigh(fraction[0])),) * self.dim)
        for part in fraction:  # each contraction takes away the first axis
            block = jnp.tensordot(weigh(part), block, axes=1)
        return block

    @eqx.filter_jit
    def _place(self, uniform: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """The quantile of the first axis, then that of the second in its row; what is left places in the cell."""
        row, left_over = _quantile(self._rows, 0.0, 1.0, jnp.minimum(uniform[:, 0], ONE))
        cell, index, rest = row, [row], [left_over]
        if self.dim == 2:
            width, end = self.values.shape[1], self._rows[row]
            before = jnp.where(row > 0, self._rows[row - 1], 0.0)
            cell, left_over = _quantile(self._cumulative, before, end, jnp.minimum(uniform[:, 1], ONE))
            cell = jnp.clip(cell, row * width, row * width + width - 1)
            index, rest = [row, cell - row * width], [rest[0], left_over]
        inside = _tilted(jnp.stack(rest, axis=-1), self._slopes[cell])
        return self._low + self._spacing * (jnp.stack(index, axis=-1).astype(inside.dtype) + inside)


def _quantile(cumulative: Array, start: Any, end: Any, uniform: Array) -> tuple[Array, Array]:
    """The cell where the cumulative probability passes start + uniform (end - start), and the share of it passed."""
    target = start + uniform * (end - start)
    cell = jnp.minimum(jnp.searchsorted(cumulative, target, side="right"), len(cumulative) - 1)
    before = jnp.where(cell > 0, cumulative[cell - 1], 0.0)
    return cell, jnp.clip((target - before) / jnp.maximum(cumulative[cell] - before, 1e-300), 0.0, 1.0)


def _tilted(uniform: Array, slope: Array) -> Array:
    """The quantile, in (-1/2, 1/2), of the density exp(slope z) on a cell."""
    steep = jnp.where(jnp.abs(slope) > FLAT, slope, 1.0)
    return jnp.where(jnp.abs(slope) > FLAT, jnp.log1p(uniform * jnp.expm1(steep)) / steep, uniform) - 0.5


def _cells(rho: np.ndarray, log_rho: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of rho over the cells, rho + h^2 lap rho / 24 within bounds, and the log-slopes over a cell (cells, d)."""
    masses, slopes = rho.copy(), []
    for axis in range(rho.ndim):
        jump = right(rho, axis) - left(rho, axis)
        left(masses, axis)[...] += jump / 24
        right(masses, axis)[...] -= jump / 24
        slopes.append(np.clip(np.gradient(log_rho, axis=axis), -30, 30).ravel())
    return np.clip(masses, 0.5 * rho, 2 * rho), np.stack(slopes, axis=-1)


def spline_coefficients(values: np.ndarray) -> np.ndarray:
    """Coefficients, two more than values along each axis, of the uniform cubic spline through the values.

    (c_{i-1} + 4 c_i + c_{i+1}) / 6 = y_i, and the third derivative vanishes at the ends: exact for parabolas.
    """
    for axis in range(values.ndim):
        n = values.shape[axis]
        band = np.zeros((7, n + 2))
        band[2, 2:], band[3, 1:-1], band[4, :-2] = 1 / 6, 4 / 6, 1 / 6  # above, on and below the diagonal
        for offset, weight in enumerate((1.0, -3.0, 3.0, -1.0)):
            band[3 - offset, offset] = weight
            band[3 + offset, n + 1 - offset] = weight
        rows = np.moveaxis(values, axis, 0).reshape(n, -1)
        ends = np.zeros((1, rows.shape[1]))
        solved = solve_banded((3, 3), band, np.concatenate([ends, rows, ends]))
        shape = (n + 2, *np.moveaxis(values, axis, 0).shape[1:])
        values = np.moveaxis(solved.reshape(shape), 0, axis)
    return values


def _cubic(u: Array) -> Array:
    """Weights of four coefficients at the fraction u between the second and the third."""
    return jnp.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3]) / 6


def _linear(u: Array) -> Array:
    return jnp.stack([1 - u, u])
