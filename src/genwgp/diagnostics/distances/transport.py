"""Wasserstein distances W2 between samples: exact, along lines, and in one dimension."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist
from scipy.special import ndtri

from genwgp.checks import finite_array, installed, integer
from genwgp.diagnostics.distances.samples import Samples, pair
from genwgp.errors import InputError
from genwgp.initial.base import sobol

PAIRS = 10**8  # of samples in an exact distance, whose costs and plan are two matrices of this size: 1.6 GB
ITERATIONS = 10**9  # of the network simplex: it ends by itself long before
BATCH = 32  # directions at a time, to bound the memory


def wasserstein(x: Samples, y: Samples) -> float:
    """W2(x, y) = min_pi (sum_ij pi_ij |x_i - y_j|^2)^(1/2) over the couplings pi of the samples, a length; exact.

    x (n, d), y (m, d); each sample of x weighs 1/n, each of y 1/m. In one dimension by sorting, else by the network
    simplex of POT in time between (n + m)^2 and (n + m)^3 and memory of order n m.
    InputError for other shapes, values that are not finite, n m > 10^8, or if POT is not installed (for d > 1).
    Sources: Bonneel, van de Panne, Paris and Heidrich, ACM Trans. Graph. 30 (2011) 158; Flamary et al., POT: Python
    Optimal Transport, J. Mach. Learn. Res. 22 (2021) 78.
    """
    first, second = pair(x, y)
    if first.shape[1] == 1:
        return wasserstein_1d(first[:, 0], second[:, 0])
    if len(first) * len(second) > PAIRS:
        given = f"{len(first)} and {len(second)} samples"
        raise InputError("wasserstein", given, f"at most {PAIRS:,} pairs; sliced_wasserstein takes any number")
    with installed("wasserstein", "POT", "transport"):
        import ot  # takes a second to import, and only this distance needs it
    # Not by |x|^2 - 2 x.y + |y|^2, whose rounding would be 1e-8 of a distance in the result.
    cost: Any = ot.emd2([], [], cdist(first, second, "sqeuclidean"), numItermax=ITERATIONS)
    return float(np.sqrt(max(cost, 0.0)))


def wasserstein_1d(x: Samples, y: Samples) -> float:
    """W2 of samples on the line, (int_0^1 |X(u) - Y(u)|^2 du)^(1/2) with the quantile functions X, Y; exact, a length.

    x (n,), y (m,); n and m may differ. InputError for other shapes or values that are not finite.
    Source: Santambrogio, Optimal Transport for Applied Mathematicians (2015), proposition 2.17.
    """
    first, second = (finite_array(field, value, (None,)) for field, value in (("x", x), ("y", y)))
    return float(np.sqrt(_on_lines(first[:, None], second[:, None])[0]))


def sliced_wasserstein(x: Samples, y: Samples, directions: int = 256, seed: int = 0) -> float:
    """SW2(x, y) = (mean over unit vectors w of W2^2(w.x, w.y))^(1/2), a length.

    x (n, d), y (m, d). The mean goes over `directions` quasi-random unit vectors, which `seed` draws, the same for
    all samples; each W2 on a line is exact. Time of order n log n, memory of order n. SW2 <= W2; for translations
    SW2 = W2 / sqrt(d), up to the finite number of directions. InputError for other shapes, values that are not finite.
    Source: Bonneel, Rabin, Peyre and Pfister, J. Math. Imaging Vision 51 (2015) 22.
    """
    first, second = pair(x, y)
    vectors = unit_vectors(integer("directions", directions), first.shape[1], integer("seed", seed, least=0)).T
    blocks = (vectors[:, i : i + BATCH] for i in range(0, directions, BATCH))
    return float(np.sqrt(np.concatenate([_on_lines(first @ block, second @ block) for block in blocks]).mean()))


def unit_vectors(count: int, dim: int, seed: int) -> Float[np.ndarray, "count dim"]:
    """Unit vectors spread evenly over the sphere: scrambled Sobol points through the normal quantile, normalised."""
    normal = ndtri(sobol(seed, count, dim))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def quantile_coupling(n: int, m: int) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """The monotone coupling of n and m sorted samples: pairs (i, j) and the share of the mass that each carries.

    Both quantile functions are constant between consecutive multiples of 1/n and 1/m, counted here in units of 1/(nm).
    """
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    return (ends - 1) // m, (ends - 1) // n, np.diff(ends, prepend=0) / (n * m)


def _on_lines(x: Float[np.ndarray, "n L"], y: Float[np.ndarray, "m L"]) -> Float[np.ndarray, " L"]:
    """W2^2 of the samples on each of L lines."""
    i, j, share = quantile_coupling(len(x), len(y))
    return share @ (np.sort(x, axis=0)[i] - np.sort(y, axis=0)[j]) ** 2
