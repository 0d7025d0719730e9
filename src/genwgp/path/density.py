"""A density of a path: samples, log-density and score at one place of it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from genwgp.checks import is_traced
from genwgp.initial import AbstractDensity
from genwgp.initial.base import Points
from genwgp.layers.base import AbstractLayer
from genwgp.path import chain

REDRAWN = 3  # times that samples which are carried to infinity are drawn again
ASTRAY = 1e3  # times the arclength: what moved farther went to infinity, but for the end of the path


class PathDensity(AbstractDensity):
    """The start's density pushed forward to a position k + theta of the path.

    `time`: physical time (length^2 / energy), infinite at the equilibrium; `arclength`: Wasserstein length from the
    start. Costs of log_prob and score are O(K) layers.
    """

    layers: AbstractLayer
    initial: AbstractDensity
    position: Float[Array, ""]
    time: float = eqx.field(static=True)
    arclength: float = eqx.field(static=True)

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.initial.dim

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples: samples of the start, moved.

        Where the layers carry a sample of the start to infinity, beyond the tails that they were fitted to, or a
        thousand times farther than the arclength on the way there, another is drawn. Where that does not help either
        they stay as they are, at infinity NaN; so they do where jax traces the key.
        """
        return self._drawn(key, n, lambda x: (chain.push(self.layers, self.position, x),))[0]

    def sample_and_log_prob(self, key: PRNGKeyArray, n: int) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """The samples (n, d) that `sample` gives, and log rho (n,) at them, found on the way there.

        As `log_prob` of them but for the integrators' errors, and much faster: it need not go back to the start.
        """
        return self._drawn(key, n, self.carried)

    def carried(self, x0: Float[Array, "n d"]) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """Particles of the start, moved to here, and log rho (n,) at them."""
        return chain.push_density(self.layers, self.initial, self.position, x0)

    def _drawn(self, key: PRNGKeyArray, n: int, move: Callable[[Array], tuple[Array, ...]]) -> Any:
        """Samples of the start, moved: arrays whose first is where they are; those that are lost drawn again."""
        at_start = lambda key, n: jnp.asarray(self.initial.sample(key, n), dtype=float)
        x0 = at_start(key, n)
        moved = move(x0)
        if is_traced(moved[0]):
            return moved
        for again in range(REDRAWN):
            lost = np.flatnonzero(self.astray(x0, moved[0]))
            if not lost.size:
                break
            others = at_start(jax.random.fold_in(key, again), lost.size)
            x0, *moved = (a.at[lost].set(b) for a, b in zip((x0, *moved), (others, *move(others)), strict=True))
        return tuple(moved)

    def astray(self, x0: Float[Any, "n d"], x: Float[Any, "n d"]) -> Bool[np.ndarray, " n"]:
        """Which particles x (n, d), at x0 (n, d) at the start, are nowhere that the flow leads to; NaN is nowhere.

        Those with |x - x0| above 1000 times the arclength, which is at least the root mean square of |x - x0|.
        """
        x0, x = np.asarray(x0), np.asarray(x)
        rounding = np.finfo(x.dtype).eps * np.abs(x0).max(initial=0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            return ~(np.linalg.norm(x - x0, axis=1) <= ASTRAY * (self.arclength + rounding))

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x), normalised; x one point (d,) or a batch (n, d).

        It is the density of the path as it was found, everywhere: of what its layers make of the start. They were
        fitted to particles and go on smoothly beyond, so that far out, at densities below any particle's, it may
        differ much from the exact flow's. -inf, density 0, where the layers carry no particle: backwards the flow from
        x reaches infinity in finite time, or becomes too steep to follow. NaN only for x that is not finite.
        """
        return self._of_points(chain.log_density, x)

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """grad log rho(x); NaN where log_prob is -inf, and at points as far out which only the way back reaches."""
        return self._of_points(chain.score, x)

    def _of_points(self, function, x: Points) -> Array:
        points = self._points(x)
        values = function(self.layers, self.initial, self.position, jnp.atleast_2d(points))
        return values[0] if points.ndim == 1 else values
