"""The hybrid Rosenbrock density: blocks of coordinates, each a parabola of the one before, that share the first."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray
from scipy.special import ndtri

from genwgp.checks import finite_number, integer, positive_number
from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian
from genwgp.initial.base import AbstractDensity, Points, compiled, sobol
from genwgp.problem import Problem
from genwgp.references import KnownDensity

SOURCE = "Pagani, Wiegand and Nadarajah, Scand. J. Stat. 49 (2022) 657-680"


class HybridRosenbrock(eqx.Module):
    """V = a (x_1 - centre)^2 + b sum_j sum_i (x_{j,i} - x_{j,i-1}^2)^2, i = 2, ..., length, with x_{j,1} = x_1.

    A point is x_1, then the blocks j one after the other, length - 1 coordinates each.
    """

    a: float
    b: float
    centre: float
    length: int = eqx.field(static=True)

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        blocks = x[1:].reshape(-1, self.length - 1)
        before = jnp.concatenate([jnp.full_like(blocks[:, :1], x[0]), blocks[:, :-1]], axis=1)
        return self.a * (x[0] - self.centre) ** 2 + self.b * ((blocks - before**2) ** 2).sum()


class RosenbrockDensity(AbstractDensity):
    """exp(-V/D) / Z, a chain of Gaussians: x_1 ~ N(centre, D/2a), and x_{j,i} ~ N(x_{j,i-1}^2, D/2b) given the last."""

    dim: int = eqx.field(static=True)
    potential: HybridRosenbrock
    D: float

    @property
    def log_normaliser(self) -> float:
        """log Z = (log(pi D / a) + (d - 1) log(pi D / b)) / 2."""
        of = lambda stiffness: math.log(math.pi * self.D / stiffness)
        return 0.5 * (of(self.potential.a) + (self.dim - 1) * of(self.potential.b))

    @eqx.filter_jit
    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        return self._chained(jax.random.normal(key, (n, self.dim)))

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64: scrambled Sobol points through the same chain."""
        return np.asarray(self._chained(jnp.asarray(ndtri(sobol(seed, n, self.dim)), dtype=float)), dtype=np.float64)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """-V(x)/D - log Z."""
        return compiled(self._log_prob, self._points(x))

    def _log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return -self.potential(x) / self.D - self.log_normaliser

    def _chained(self, normal: Float[Array, "n d"]) -> Float[Array, "n d"]:
        V, width = self.potential, lambda stiffness: math.sqrt(0.5 * self.D / stiffness)
        first = V.centre + width(V.a) * normal[:, 0]
        noise = width(V.b) * normal[:, 1:].reshape(len(normal), -1, V.length - 1)
        columns = [jnp.broadcast_to(first[:, None], noise.shape[:2])]
        for i in range(V.length - 1):
            columns.append(columns[-1] ** 2 + noise[:, :, i])
        blocks = jnp.stack(columns[1:], axis=-1).reshape(len(normal), -1)
        return jnp.concatenate([first[:, None], blocks], axis=1)


def rosenbrock(
    blocks: int = 3, length: int = 2, a: float = 2.5, b: float = 1.0, centre: float = 1.0, diffusion: float = 1.0
) -> Problem:
    """Hybrid Rosenbrock: V = a (x_1 - 1)^2 + b sum (x_{j,i} - x_{j,i-1}^2)^2, parabolas of parabolas, from N(0, I).

    d = 1 + `blocks` (`length` - 1). The default is three parabolas in four dimensions that share x_1 ~ N(1, 0.45^2),
    each 0.71 wide at D = 1. Longer blocks are bent again and again; in the source's figures a = 0.05 and b = 5, with
    parabolas out to x_1 = 7, 0.3 wide.
    """
    name = "rosenbrock"
    blocks, length = integer(f"{name}.blocks", blocks), integer(f"{name}.length", length, least=2)
    a, b = positive_number(f"{name}.a", a), positive_number(f"{name}.b", b)
    potential = HybridRosenbrock(a, b, finite_number(f"{name}.centre", centre), length)
    D, dim = positive_number(f"{name}.diffusion", diffusion), 1 + blocks * (length - 1)
    end = RosenbrockDensity(dim, potential, D)
    reference = KnownDensity(end, end.log_normaliser, D)
    return Problem(FreeEnergy(potential, Entropy(D)), Gaussian(np.zeros(dim), 1.0), name, reference)
