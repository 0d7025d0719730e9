"""The maximum mean discrepancy, which compares samples in any dimension without couplings or densities."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial.distance import pdist

from genwgp.checks import positive_number
from genwgp.diagnostics.distances.samples import Samples, pair
from genwgp.errors import InputError

BATCH = 128  # rows of the kernel matrix at a time: memory is this times the number of samples
MEDIAN_OF = 1000  # samples of each set whose distances the bandwidth is the median of


def mmd2(x: Samples, y: Samples, bandwidth: float | None = None) -> float:
    """The unbiased estimate of MMD^2 with the kernel k(a, b) = exp(-|a - b|^2 / (2 h^2)), h the bandwidth.

    MMD^2 = E k(X, X') + E k(Y, Y') - 2 E k(X, Y), means over different samples, so that it has mean 0 where x (n, d)
    and y (m, d) have the same law; hence it can be negative. It has no unit. `bandwidth`: a length; by default
    `median_bandwidth(x, y)`. Time of order (n + m)^2, memory of order n + m.
    InputError for fewer than two samples, other shapes, values that are not finite, a bandwidth that is not above 0.
    Source: Gretton, Borgwardt, Rasch, Scholkopf and Smola, J. Mach. Learn. Res. 13 (2012) 723, lemma 6.
    """
    first, second = pair(x, y, least=2)
    h = median_bandwidth(first, second) if bandwidth is None else positive_number("bandwidth", bandwidth)
    a, b = jnp.asarray(first / h, dtype=float), jnp.asarray(second / h, dtype=float)
    n, m = len(first), len(second)
    # The n terms k(x_i, x_i) = 1 are taken out of the sums within a sample.
    within = (float(_sum(a, a)) - n) / (n * (n - 1)) + (float(_sum(b, b)) - m) / (m * (m - 1))
    return within - 2 * float(_sum(a, b)) / (n * m)


def median_bandwidth(x: Samples, y: Samples) -> float:
    """The median of the distances between all samples of x and y together; over the first 1000 of each where more.

    InputError where it is zero, since most samples are the same. Source: Gretton et al. (2012), section 8.
    """
    first, second = pair(x, y)
    median = float(np.median(pdist(np.concatenate([first[:MEDIAN_OF], second[:MEDIAN_OF]]))))
    if median == 0:
        raise InputError("bandwidth", "samples most of which are the same", "a number above 0")
    return median


@eqx.filter_jit
def _sum(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> Float[Array, ""]:
    """sum_ij exp(-|a_i - b_j|^2 / 2)."""
    row = lambda point: jnp.sum(jnp.exp(-0.5 * jnp.sum((point - b) ** 2, axis=-1)))
    return jnp.sum(jax.lax.map(row, a, batch_size=BATCH))
