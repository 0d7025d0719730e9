"""What every density offers: samples, log-density and score."""

from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Real

from genwgp.checks import positive_number, shape_text
from genwgp.errors import InputError

Points = Real[Array | np.ndarray, "..."]  # (d,) or (n, d); other shapes are InputErrors
WIDENING_SAMPLES = 4096  # for the moments of a density that has no closed form


class AbstractDensity(eqx.Module):
    """A probability density rho on R^d. Points are one point (d,) or a batch (n, d)."""

    dim: eqx.AbstractVar[int]

    @abstractmethod
    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""

    @abstractmethod
    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x), normalised."""

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """grad log rho(x), by automatic differentiation unless a density knows a closed form."""
        return self._pointwise(jax.grad(lambda point: self.log_prob(point)), x)

    def quasi_sample(self, seed: int, n: int) -> np.ndarray:
        """`n` points (n, d), numpy float64, spread more evenly than samples where a density can; else samples."""
        return np.asarray(self.sample(jax.random.key(seed), n), dtype=np.float64)

    def widened(self, factor: float) -> "AbstractDensity":
        """The same centre with standard deviations times `factor`: here a Gaussian with the moments of samples."""
        from genwgp.initial.gaussian import Gaussian  # a Gaussian is itself an AbstractDensity

        factor = positive_number("widened.factor", factor)
        x = self.quasi_sample(0, max(WIDENING_SAMPLES, 32 * self.dim))
        return Gaussian(x.mean(axis=0), factor**2 * np.cov(x, rowvar=False).reshape(self.dim, self.dim))

    def _pointwise(self, function: Callable[[Array], Array], x: Points) -> Array:
        """Apply a function of one point to a point or to a batch; InputError if x is neither."""
        points = self._points(x)
        return function(points) if points.ndim == 1 else jax.vmap(function)(points)

    def _points(self, x: Points) -> Float[Array, "*n d"]:
        """x as jax's default float; InputError unless it is a point or a batch."""
        points = jnp.asarray(x, dtype=float)
        if points.ndim not in (1, 2) or points.shape[-1] != self.dim:
            allowed = f"one point {shape_text((self.dim,))} or a batch {shape_text((None, self.dim))}"
            raise InputError("x", f"shape {shape_text(points.shape)}", allowed)
        return points


@eqx.filter_jit
def compiled(method: Callable[[Array], Array], points: Float[Array, "*n d"]) -> Array:
    """Apply a method of one point, of a density whose leaves are arrays, to a point or a batch; compiled once a shape.

    A method, not a lambda: equinox sees the arrays inside it, so that equal shapes find the compiled code again.
    """
    return method(points) if points.ndim == 1 else jax.vmap(method)(points)


def sobol(seed: int, n: int, dim: int) -> np.ndarray:
    """`n` scrambled Sobol points in the open unit cube, (n, dim)."""
    from scipy.stats import qmc  # here, as it takes a second, and commands that only read need no points

    engine = qmc.Sobol(dim, scramble=True, rng=np.random.default_rng(seed))
    # Drawn as a power of two, whose balance is the point of the sequence, and cut to n.
    points = engine.random_base2(max(n - 1, 0).bit_length())[:n]
    # The engine's lattice of 2^-30 includes 0, where the normal quantile is infinite: take the cells' centres.
    return points + 2.0**-31
