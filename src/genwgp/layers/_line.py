"""A smooth monotone map of the line with closed-form slopes and an inverse that cannot fail."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.layers._elements import NEAR, SPAN, bounded
from genwgp.layers.base import State

ITERATIONS = 200  # bisection alone would need 60; Newton's method takes 5


class MonotoneMap(eqx.Module):
    """A map of R whose slope passes smoothly through prescribed positive values between `w` knots:

        m'(x) = s_0 + sum_j (s_j - s_{j-1}) sigmoid(k (x - c_j)),   s_j = exp(theta a_j),   a_j bounded,
        m(x)  = x + (s_0 - 1) (x - c_1) + sum_j (s_j - s_{j-1}) softplus(k (x - c_j)) / k.

    The knots c_j are ordered and share one sharpness k, so the slope is a convex combination of the s_j: positive, and
    as small or as large anywhere as e^{+-BOUND}. C-infinity; straight outside of the knots. It takes the place of
    couplings in one dimension, where there is no second coordinate to condition on.
    """

    first: Float[Array, "*K"]
    gaps: Float[Array, "*K v"]  # c_{j+1} - c_j = exp(gaps_j), v = w - 1
    sharpness: Float[Array, "*K"]  # log of k times the mean gap
    slopes: Float[Array, "*K u"]  # a_0 .. a_w before they are bounded, u = w + 1

    @classmethod
    def create(cls, key: PRNGKeyArray, width: int) -> "MonotoneMap":
        """Near the identity, with knots evenly spread over (-SPAN, SPAN)."""
        gap = 2 * SPAN / (width + 1)
        slopes = NEAR * jax.random.normal(key, (width + 1,))
        return cls(jnp.full((), gap - SPAN, dtype=float), jnp.full(width - 1, np.log(gap)), jnp.zeros(()), slopes)

    def forward(self, x, theta):
        y, slope = self._map(x[0], theta)
        return y[None], jnp.log(slope)

    def inverse(self, y, theta):
        x = _invert(self, theta, y[0])
        _, slope = self._map(x, theta)
        return x[None], -jnp.log(slope)

    def transport(self, state: State, theta) -> State:
        """u' = (u - (log m')') / m'."""
        x = state.x[0]
        y, slope = self._map(x, theta)
        bend = jax.grad(lambda x: jnp.log(self._map(x, theta)[1]))(x)
        return State(y[None], state.log_density - jnp.log(slope), (state.score - bend) / slope)

    def _map(self, x: Float[Array, ""], theta) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """m(x) and m'(x)."""
        width = self.slopes.shape[0] - 1
        steps = jnp.concatenate([self.first[None], jnp.exp(self.gaps)])
        knots = jnp.cumsum(steps)
        k = jnp.exp(self.sharpness) * max(width - 1, 1) / (knots[-1] - knots[0] if width > 1 else 1)
        s = jnp.exp(theta * bounded(self.slopes))
        z = k * (x - knots)
        y = x + (s[0] - 1) * (x - knots[0]) + jnp.sum(jnp.diff(s) * jax.nn.softplus(z)) / k
        return y, s[0] + jnp.sum(jnp.diff(s) * jax.nn.sigmoid(z))


@jax.custom_jvp
def _invert(line: MonotoneMap, theta: Float[Array, ""], y: Float[Array, ""]) -> Float[Array, ""]:
    """x with m(x) = y: Newton's method inside a bracket, bisection whenever a step leaves it or is slow.

    The bracket holds the root because the slopes lie between min s_j and max s_j; each step at least halves it or
    halves the step before. Source: `rtsafe` of Press et al., Numerical Recipes, section 9.4.
    """
    s = jnp.exp(theta * bounded(line.slopes))
    gap = y - line._map(y, theta)[0]
    ends = y + gap / jnp.min(s), y + gap / jnp.max(s)
    margin = 4 * jnp.finfo(y.dtype).eps * (1 + jnp.abs(y) + jnp.abs(gap) / jnp.min(s))
    low, high = jnp.minimum(*ends) - margin, jnp.maximum(*ends) + margin

    def unfinished(carry):
        x, _, _, step, count = carry
        return (jnp.abs(step) > 0.5 * jnp.finfo(y.dtype).eps * (1 + jnp.abs(x))) & (count < ITERATIONS)

    def improve(carry):
        x, low, high, last, count = carry
        value, slope = line._map(x, theta)
        error = value - y
        low, high = jnp.where(error < 0, x, low), jnp.where(error > 0, x, high)
        newton = x - error / slope
        trusted = (newton >= low) & (newton <= high) & (2 * jnp.abs(error) <= jnp.abs(last * slope))
        new = jnp.where(trusted, newton, 0.5 * (low + high))
        return new, low, high, new - x, count + 1

    start = (0.5 * (low + high), low, high, high - low, 0)
    return jax.lax.while_loop(unfinished, improve, start)[0]


@_invert.defjvp
def _invert_jvp(primals, tangents):
    """dx = (dy - dm) / m'(x), dm the change of m at fixed x: derivatives of every order follow."""
    line, theta, y = primals
    line_dot, theta_dot, y_dot = tangents
    x = _invert(line, theta, y)
    (_, slope), (change, _) = jax.jvp(lambda line, theta: line._map(x, theta), (line, theta), (line_dot, theta_dot))
    return x, (y_dot - change) / slope
