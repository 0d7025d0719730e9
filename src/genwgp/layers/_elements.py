"""The pieces of a coupling layer: affine couplings, a triangular affine map, a monotone map of the line.

Each is a family of maps of one point x (d,), the identity exactly at theta = 0, with
    forward(x, theta)        y and log |det grad f(x)|
    inverse(y, theta)        x and log |det grad f^{-1}(y)|
    transport(state, theta)  (x, log rho, score) carried forwards, in closed form: no inverse is computed
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.layers.base import State

BOUND = 2.0  # of log-scales: one layer stretches or shrinks a direction by at most e^2 in each of its pieces
NEAR = 1e-3  # size of the random output weights of a new coupling
SPAN = 3.0  # the knots of a new map of the line lie in (-SPAN, SPAN)


def bounded(raw: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """A smooth monotone map of the reals into (-BOUND, BOUND), the identity near 0."""
    return BOUND * jnp.tanh(raw / BOUND)


class AffineCouplings(eqx.Module):
    """`m` affine couplings; coupling j keeps the coordinates a = {i : i + j even} and moves the others, b:

        y_a = x_a,   y_b = x_b exp(theta s(x_a)) + theta t(x_a),   log-det = theta sum s,

    with (s, t) from a network of one hidden layer of `w` tanh units, s bounded. Source: Dinh, Sohl-Dickstein and
    Bengio, "Density estimation using Real NVP", ICLR 2017; smooth activations, since the action is built on the score.
    """

    hidden: Float[Array, "*K m w d"]
    hidden_bias: Float[Array, "*K m w"]
    out: Float[Array, "*K m 2 d w"]
    out_bias: Float[Array, "*K m 2 d"]

    @classmethod
    def create(cls, key: PRNGKeyArray, dim: int, width: int, couplings: int) -> "AffineCouplings":
        """Random hidden units, outputs near zero."""
        first, second, third = jax.random.split(key, 3)
        kept = max(1.0, dim / 2)
        hidden = jax.random.normal(first, (couplings, width, dim)) / np.sqrt(kept)
        bias = jax.random.uniform(second, (couplings, width), minval=-1.0, maxval=1.0)
        out = jax.random.normal(third, (couplings, 2, dim, width)) * (NEAR / np.sqrt(width))
        return cls(hidden, bias, out, jnp.zeros((couplings, 2, dim)))

    @property
    def count(self) -> int:
        return self.hidden.shape[-3]

    def _coefficients(self, j: int, x: Float[Array, " d"]) -> tuple[Float[Array, " d"], Float[Array, " d"]]:
        """(s, t) of coupling j, zero where coordinates are kept."""
        kept = jnp.asarray((np.arange(x.shape[0]) + j) % 2 == 0, x.dtype)
        units = jnp.tanh(self.hidden[j] @ (kept * x) + self.hidden_bias[j])
        scale, shift = (self.out[j] @ units + self.out_bias[j]) * (1 - kept)
        return bounded(scale), shift

    def forward(self, x, theta):
        log_det = jnp.zeros_like(theta)
        for j in range(self.count):
            s, t = self._coefficients(j, x)
            x, log_det = x * jnp.exp(theta * s) + theta * t, log_det + theta * jnp.sum(s)
        return x, log_det

    def inverse(self, y, theta):
        log_det = jnp.zeros_like(theta)
        for j in reversed(range(self.count)):
            s, t = self._coefficients(j, y)  # of the kept coordinates, which are the same in x and y
            y, log_det = (y - theta * t) * jnp.exp(-theta * s), log_det - theta * jnp.sum(s)
        return y, log_det

    def transport(self, state: State, theta) -> State:
        """u'_b = e^{-theta s} u_b,  u'_a = u_a - theta (grad s)' (1 + u_b x_b) - theta (grad t)' e^{-theta s} u_b."""
        x, log_density, u = state
        for j in range(self.count):
            (s, t), pull_back = jax.vjp(lambda x, j=j: self._coefficients(j, x), x)
            shrunk = u * jnp.exp(-theta * s)
            (slope,) = pull_back((1 + u * x, shrunk))
            x, u = x * jnp.exp(theta * s) + theta * t, shrunk - theta * slope
            log_density = log_density - theta * jnp.sum(s)
        return State(x, log_density, u)


class TriangularAffine(eqx.Module):
    """y = exp(theta a) * (I + theta U) (I + theta L) x + theta b, L strictly lower, U strictly upper, a bounded.

    Log-det theta sum a. Every matrix with leading minors that are positive is reached at theta = 1, rotations among
    them (by less than a right angle in one layer).
    """

    lower: Float[Array, "*K d d"]
    upper: Float[Array, "*K d d"]
    log_scale: Float[Array, "*K d"]
    shift: Float[Array, "*K d"]

    @classmethod
    def create(cls, dim: int) -> "TriangularAffine":
        """The identity."""
        return cls(jnp.zeros((dim, dim)), jnp.zeros((dim, dim)), jnp.zeros(dim), jnp.zeros(dim))

    def _factors(self, theta) -> tuple[Float[Array, "d d"], Float[Array, "d d"]]:
        unit = jnp.eye(self.shift.shape[0], dtype=self.shift.dtype)
        return unit + theta * jnp.tril(self.lower, -1), unit + theta * jnp.triu(self.upper, 1)

    def forward(self, x, theta):
        a = theta * bounded(self.log_scale)
        if x.shape[0] > 1:
            lower, upper = self._factors(theta)
            x = upper @ (lower @ x)
        return jnp.exp(a) * x + theta * self.shift, jnp.sum(a)

    def inverse(self, y, theta):
        a = theta * bounded(self.log_scale)
        x = jnp.exp(-a) * (y - theta * self.shift)
        if y.shape[0] > 1:
            lower, upper = self._factors(theta)
            x = _inverse(lower, lower=True) @ (_inverse(upper, lower=False) @ x)
        return x, -jnp.sum(a)

    def transport(self, state: State, theta) -> State:
        """u' = e^{-a} (I + theta U)^{-T} (I + theta L)^{-T} u."""
        y, log_det = self.forward(state.x, theta)
        u = state.score
        if u.shape[0] > 1:
            lower, upper = self._factors(theta)
            u = (u @ _inverse(lower, lower=True)) @ _inverse(upper, lower=False)
        return State(y, state.log_density - log_det, jnp.exp(-theta * bounded(self.log_scale)) * u)


def _inverse(matrix: Float[Array, "d d"], lower: bool) -> Float[Array, "d d"]:
    """Of a unit triangular matrix. Shared by all particles, where derivatives of a solve would be one for each."""
    unit = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    return solve_triangular(matrix, unit, lower=lower, unit_diagonal=True)
