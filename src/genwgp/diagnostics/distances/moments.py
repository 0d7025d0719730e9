"""Distances that see only means and covariances."""

from typing import Any

import numpy as np
from jaxtyping import Float

from genwgp.checks import finite_array, positive_definite
from genwgp.diagnostics.distances.samples import Samples, pair
from genwgp.errors import InputError


def gaussian_wasserstein(mean: Any, covariance: Any, other_mean: Any, other_covariance: Any) -> float:
    """W2 of N(m, S) and N(n, T), a length: |m - n|^2 + tr S + tr T - 2 tr (S^1/2 T S^1/2)^1/2, the root of it.

    Means (d,), covariances (d, d), symmetric positive definite; InputError otherwise. Between other densities with
    these moments it is a lower bound of W2. With S = A A' and T = B B' it is computed as the least |A - B U|, U
    orthogonal, which loses no digits where S and T are close.
    Sources: Gelbrich, Math. Nachr. 147 (1990) 185; Bhatia, Jain and Lim, Expo. Math. 37 (2019) 165.
    """
    m = finite_array("mean", mean, (None,))
    n = finite_array("other_mean", other_mean, (len(m),))
    A = _root(positive_definite("covariance", covariance, len(m)))
    B = _root(positive_definite("other_covariance", other_covariance, len(m)))
    left, _, right = np.linalg.svd(B.T @ A)
    return float(np.sqrt(np.sum((m - n) ** 2) + np.sum((A - B @ left @ right) ** 2)))


def relative_mean_error(x: Samples, y: Samples) -> float:
    """|mean x - mean y| / (tr cov y)^(1/2), the error of the mean over the size of y, its spread around its mean.

    x (n, d), y (m, d), at least two of each; InputError otherwise, or if the samples y are all the same.
    """
    first, second = pair(x, y, least=2)
    size = _not_zero(np.trace(_covariance(second)))
    return float(np.linalg.norm(first.mean(0) - second.mean(0)) / np.sqrt(size))


def relative_covariance_error(x: Samples, y: Samples) -> float:
    """||cov x - cov y|| / ||cov y|| in the Frobenius norm (root of the sum of squares of the entries).

    x (n, d), y (m, d), at least two of each; InputError otherwise, or if the samples y are all the same.
    """
    first, second = pair(x, y, least=2)
    target = _covariance(second)
    return float(np.linalg.norm(_covariance(first) - target) / _not_zero(np.linalg.norm(target)))


def _root(matrix: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """A with A A' = S."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(values)


def _covariance(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "d d"]:
    return np.atleast_2d(np.cov(x, rowvar=False))


def _not_zero(size: Any) -> float:
    if size == 0:
        raise InputError("y", "samples that are all the same", "samples with a spread")
    return float(size)
