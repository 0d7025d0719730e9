"""Coordinates that suit the particles or the potential: whitened ones, and axes on which it is most nearly a sum."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from genwgp.layers.fields import Waves

SWEEPS, SMALL = 40, 1e-6  # over all pairs of axes, at most; sine of a rotation that is small enough to end them


class Frame(NamedTuple):
    """Coordinates y in which particles x = mean + root y have mean 0 and covariance 1."""

    mean: Float[np.ndarray, " d"]
    root: Float[np.ndarray, "d d"]

    @classmethod
    def of(cls, x: Float[np.ndarray, "n d"]) -> "Frame":
        return cls(x.mean(0), np.linalg.cholesky(np.cov(x, rowvar=False)))

    def points(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        return np.linalg.solve(self.root, (x - self.mean).T).T

    def inside(self, waves: Waves) -> tuple[np.ndarray, np.ndarray]:
        """Weights and offsets of the waves as functions of y."""
        weight = np.asarray(waves.weight)
        return weight @ self.root, np.asarray(waves.offset) + weight @ self.mean

    def outside(self, weight: Float[np.ndarray, "p d"], offset: Float[np.ndarray, " p"]) -> Waves:
        weight = np.linalg.solve(self.root.T, weight.T).T
        return Waves(jnp.asarray(weight), jnp.asarray(offset - weight @ self.mean))


def joint_axes(
    matrices: Float[np.ndarray, "n d d"], small: float = SMALL, sweeps: int = SWEEPS
) -> Float[np.ndarray, "d d"]:
    """Orthonormal columns E with E^T A E as nearly diagonal as one E can make all symmetric matrices A.

    Least sum of squares off the diagonals, by Jacobi rotations. For the Hessians of V(x) = sum_i f_i(e_i . x) these are
    the e_i, but for those among which V is quadratic. Source: J.-F. Cardoso and A. Souloumiac, Jacobi angles for
    simultaneous diagonalization, SIAM J. Matrix Anal. Appl. 17 (1996) 161.
    """
    axes = np.linalg.eigh(matrices.mean(0))[1]
    A = axes.T @ matrices @ axes
    d, largest = len(axes), 1.0
    for _ in range(sweeps):
        if largest < small:
            break
        largest = 0.0
        for i in range(d - 1):
            for j in range(i + 1, d):
                rotation = _rotation(A[:, i, i] - A[:, j, j], 2 * A[:, i, j])
                largest = max(largest, abs(rotation[1, 0]))
                A[:, [i, j], :] = rotation.T @ A[:, [i, j], :]
                A[:, :, [i, j]] = A[:, :, [i, j]] @ rotation
                axes[:, [i, j]] = axes[:, [i, j]] @ rotation
    return axes


def _rotation(difference: Float[np.ndarray, " n"], twice: Float[np.ndarray, " n"]) -> Float[np.ndarray, "2 2"]:
    """The rotation of two axes that leaves least off the diagonal: difference A_ii - A_jj, twice A_ij."""
    x, y = difference @ difference - twice @ twice, 2 * difference @ twice
    angle = 0.5 * np.arctan2(y, x + np.hypot(x, y))
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
