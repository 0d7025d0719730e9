"""Hyperparameters of a Gaussian process on a line, whose likelihood a Kalman filter gives exactly."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from genwgp.checks import installed, integer, positive_number
from genwgp.energies import RelativeEntropy
from genwgp.initial import Gaussian
from genwgp.problem import Problem

SOURCE = (
    "Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), section 5.4; the filter: Hartikainen and "
    "Sarkka, MLSP 2010, 379-384; the data: Efron et al., Ann. Stat. 32 (2004) 407-499"
)


class ProcessPosterior(eqx.Module):
    """log p(y, x), x = (log l, log a, log s): y ~ N(0, K + s^2 I), K_ij = a^2 exp(-|t_i - t_j| / l), x ~ N(0, I).

    `gap`: t_i - t_{i-1} of places in order, 0 for the first. The process is Markov: given its value at t_{i-1} it is
    Gaussian at t_i, with the mean shrunk by r = exp(-gap / l), and the filter takes a number of steps linear in theirs.
    """

    gap: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]

    def __call__(self, x: Float[Array, " 3"]) -> Float[Array, ""]:
        length, (signal, noise) = jnp.exp(x[0]), jnp.exp(2 * x[1:])

        def step(before: tuple[Array, Array], row: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
            (mean, variance), (gap, y) = before, row
            mean = mean * jnp.exp(-gap / length)
            variance = variance * jnp.exp(-2 * gap / length) - signal * jnp.expm1(-2 * gap / length)
            total = variance + noise
            gain = variance / total
            return (mean + gain * (y - mean), gain * noise), norm.logpdf(y, mean, jnp.sqrt(total))

        rows = (jnp.asarray(self.gap, x.dtype), jnp.asarray(self.y, x.dtype))
        _, terms = jax.lax.scan(step, (jnp.zeros_like(signal), signal), rows)
        return terms.sum() + norm.logpdf(x).sum()


def gaussian_process(rows: int = 100, diffusion: float = 1.0) -> Problem:
    """Gaussian process in 3-D: posterior of (log length, log amplitude, log noise), V = -D log p(y, x), from the prior.

    Progression of diabetes against the body mass index of the first `rows` patients of the data, both standardised;
    kernel a^2 exp(-|t - t'| / l), noise N(0, s^2), the prior of x = (log l, log a, log s) N(0, I). Needs scikit-learn
    (`pip install 'genwgp[data]'`).
    """
    name = "gaussian-process"
    rows, D = integer(f"{name}.rows", rows, least=2, most=442), positive_number(f"{name}.diffusion", diffusion)
    with installed(f"{name}.rows", "scikit-learn", "data"):
        from sklearn import datasets
    found: Any = datasets.load_diabetes()
    t, y = (np.asarray(a[:rows], dtype=np.float64) for a in (found.data[:, 2], found.target))
    t, y = ((a - a.mean()) / a.std() for a in (t, y))
    order = np.argsort(t, kind="stable")
    joint = ProcessPosterior(np.diff(t[order], prepend=t[order[0]]), y[order])
    return Problem(RelativeEntropy(joint, D), Gaussian(np.zeros(3), 1.0), name)
