"""W * rho on a mesh, by the fast Fourier transform."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from scipy import fft

from genwgp.errors import InputError
from genwgp.references.evaluate import on_points
from genwgp.references.mesh import Mesh

FIELD = "FiniteVolume.interaction"
INTERACTION = "a function W of one difference x - y, shape (d,), that returns one number, written with jax.numpy"
PIECES = 16  # per axis: midpoints of a cell over which a kernel that is singular at zero is averaged there
ASYMMETRY = 1e-9


class Convolution:
    """rho -> sum_j W(x_i - x_j) rho_j cell, exact for the cells' values up to rounding.

    Where W is infinite at zero, as logarithms are, or regularised, its mean over the cell stands
    there. InputError if W is not symmetric, or not finite at another difference of two centres.
    """

    def __init__(self, interaction: Callable, mesh: Mesh):
        offsets = mesh.offsets()
        shape = offsets.shape[:-1]
        kernel = _kernel(interaction, offsets.reshape(-1, mesh.dim), mesh).reshape(shape)
        if np.max(np.abs(kernel - np.flip(kernel))) > ASYMMETRY * np.max(np.abs(kernel)):
            raise InputError(FIELD, "W(z) that differs from W(-z)", "a symmetric function")
        self.shape = [fft.next_fast_len(n + m - 1, real=True) for n, m in zip(shape, mesh.cells, strict=True)]
        self.transform = np.asarray(fft.rfftn(kernel * mesh.volume, self.shape))
        self.first = [n - 1 for n in mesh.cells]  # where W * rho begins in the long product

    def __call__(self, rho: np.ndarray) -> np.ndarray:
        """W * rho at the cells' centres."""
        product = np.asarray(fft.irfftn(self.transform * np.asarray(fft.rfftn(rho, self.shape)), self.shape))
        return product[tuple(slice(a, a + n) for a, n in zip(self.first, rho.shape, strict=True))]


def _kernel(interaction: Callable, offsets: np.ndarray, mesh: Mesh) -> np.ndarray:
    middle = len(offsets) // 2
    others = np.delete(offsets, middle, axis=0)
    at = on_points(FIELD, interaction, INTERACTION)
    values = at(others)
    if not np.all(np.isfinite(values)):
        where = others[np.argmin(np.isfinite(values))].tolist()
        raise InputError(FIELD, f"W = inf at {where}", "finite values, but at zero")
    return np.insert(values, middle, _at_zero(interaction, mesh))


def _at_zero(interaction: Callable, mesh: Mesh) -> float:
    """W(0), or its mean over the cell around zero where it is infinite or regularised."""
    wrapped = on_points(FIELD, lambda z: _finite_or_inf(interaction, z), INTERACTION)
    value = wrapped(np.zeros((1, mesh.dim)))[0]
    if np.isfinite(value) and not getattr(interaction, "core", 0.0):
        return float(value)
    parts = (np.arange(PIECES) + 0.5) / PIECES - 0.5
    points = np.stack(np.meshgrid(*[parts] * mesh.dim, indexing="ij"), axis=-1).reshape(-1, mesh.dim) * mesh.spacing
    return float(on_points(FIELD, interaction, INTERACTION)(points).mean())


def _finite_or_inf(interaction: Callable, z):
    """W(z), with +inf for -inf: an attraction may be singular too."""
    value = jnp.asarray(interaction(z), dtype=z.dtype)
    return jnp.where(jnp.isfinite(value), value, jnp.inf)
