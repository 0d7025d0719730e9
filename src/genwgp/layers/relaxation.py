"""Fields of a density that is near its equilibrium: rho = f pi, f a tensor product of splines."""

from collections.abc import Callable
from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.interpolate import BSpline, PPoly

from genwgp.layers.fields import AbstractTerm, Field

DEGREE = 5  # grad lap f, which moves scores, is continuous
DERIVATIVES = 4  # of order 0 to 3


@cache
def pieces() -> np.ndarray:
    """Polynomials (r, i, k) of the uniform B-splines on one cell: r-th derivative, i-th spline, times t^k, t in [0, 1).

    The first of them is the one that ends there.
    """
    spline = PPoly.from_spline(BSpline.basis_element(np.arange(DEGREE + 2), extrapolate=False))
    own = np.searchsorted(spline.x, np.arange(DEGREE + 1), side="right") - 1  # its pieces on cells 0, 1, ...
    rows = np.array([spline.c[::-1, own[DEGREE - i]] for i in range(DEGREE + 1)])
    found = [rows]
    for _ in range(DERIVATIVES - 1):
        rows = np.concatenate([rows[:, 1:] * np.arange(1, DEGREE + 1), np.zeros((DEGREE + 1, 1))], 1)
        found.append(rows)
    return np.array(found)


class Splines(eqx.Module):
    """A grid of `shape` uniform B-splines of degree five, from `low` (d,), with cells of the size `step` (d,).

    The first and last five of each axis reach beyond the grid; outside of it nothing changes any more.
    """

    low: Float[Array, " d"]
    step: Float[Array, " d"]
    shape: tuple[int, ...] = eqx.field(static=True)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def derivatives(
        self, c: Float[Array, "m p"], share: Float[Array, " m"], x: Float[Array, " d"]
    ) -> Float[Array, "*r"]:
        """sum_ij share_i c_ij B_j and its mixed derivatives at x: entry (r, s) differentiates r times by x_1, s by x_2.

        Of one and two dimensions.
        """
        cells = jnp.asarray([n - DEGREE for n in self.shape], x.dtype)
        wanted = (x - self.low) / self.step
        place = jnp.clip(wanted, 0, cells * (1 - 1e-6))
        inside = place == wanted
        first = jnp.floor(place).astype(jnp.int32)
        corner, size = [jnp.zeros_like(first[0]), *first], (len(c),) + (DEGREE + 1,) * len(self.shape)
        near = jax.lax.dynamic_slice(c.reshape(-1, *self.shape), corner, size)
        near = jnp.tensordot(share, near, 1)
        inner, orders = place - first.astype(x.dtype), np.arange(DERIVATIVES)
        powers = jnp.stack([inner**k for k in range(DEGREE + 1)], 1)
        by_axis = jnp.einsum("rik,dk->dri", jnp.asarray(pieces(), x.dtype), powers)
        by_axis = by_axis / (self.step[:, None] ** jnp.asarray(orders, x.dtype))[:, :, None]
        moving = inside[:, None] | jnp.asarray(orders == 0)  # beyond the grid the value at its edge goes on
        by_axis = jnp.where(moving[:, :, None], by_axis, 0)
        for weights in by_axis:
            near = jnp.moveaxis(jnp.tensordot(weights, near, (1, 0)), 0, -1)
        return near

    def jets(self, c: Float[Array, "m p"], share: Float[Array, " m"], x: Float[Array, " d"]):
        """Value, gradient, Hessian, Laplacian, gradient of the Laplacian of the same sum."""
        at = self.derivatives(c, share, x)
        d = x.shape[0]
        if d == 1:
            return at[0], at[1:2], at[2:3, None], at[2], at[3:4]
        hessian = jnp.array([[at[2, 0], at[1, 1]], [at[1, 1], at[0, 2]]])
        slope = jnp.array([at[3, 0] + at[1, 2], at[2, 1] + at[0, 3]])
        return at[0, 0], jnp.array([at[1, 0], at[0, 1]]), hessian, at[2, 0] + at[0, 2], slope


class LogRatio(AbstractTerm):
    """phi = -weight log f,  f = 1 + sum_j (c_j + tau (1 - tau) (q_j + tau p_j)) B_j(x), B_j splines.

    With weight = D it is -mu of the density f exp(-V/D) / Z, but for a constant. The coefficients, in which it is not
    linear, are c, q, p and tau: where c and tau are linear in time, f is cubic.
    """

    weight: Float[Array, ""]
    splines: Splines

    @property
    def size(self) -> int:
        return 3 * self.splines.size + 1

    def value(self, c, x):
        return -self.weight * jnp.log(1 + self._jets(c, x)[0])

    def rates(self, c, x, u):
        """With g = grad f / f and H = Hess f / f: lap log f = tr H - |g|^2, Hess log f = H - g g',

        grad lap log f = grad lap f / f - (lap f / f) g - 2 (H - g g') g.
        """
        value, *rest = self._jets(c, x)
        g, H, trace, slope = (part / (1 + value) for part in rest)
        bend = lambda w: (H * w).sum(1) - g * (g * w).sum()
        source = slope - trace * g - 2 * bend(g) + bend(u)
        return -self.weight * g, -self.weight * (trace - (g**2).sum()), -self.weight * source

    def _jets(self, c, x):
        parts, tau = c[:-1].reshape(3, -1), c[-1]
        return self.splines.jets(parts, jnp.stack([jnp.ones_like(tau), tau * (1 - tau), tau**2 * (1 - tau)]), x)


def relaxed(field: Any) -> bool:
    """Whether a field is that of such a density."""
    return any(isinstance(term, LogRatio) for term in field.terms)


class Switched(eqx.Module):
    """The field of one kind of segment or of the other, with the coefficients of both, of which those of one count.

    `late` says which. A batch of particles in the same segment evaluates that one only.
    """

    early: Field
    relaxed: Field
    late: Bool[Array, "*K"]

    def either(self, early: Callable, relaxed: Callable, c: Float[Array, "*n p"], *arguments: Any) -> Any:
        """What a function of (field, c, ...) makes of the field that counts."""
        cut = self.early.size
        first = lambda c, *rest: early(self.early, c[..., :cut], *rest)
        second = lambda c, *rest: relaxed(self.relaxed, c[..., cut:], *rest)
        return jax.lax.cond(self.late, second, first, c, *arguments)

    def velocity(self, c: Float[Array, " p"], x: Float[Array, " d"]) -> Float[Array, " d"]:
        """grad phi."""
        return self.either(Field.velocity, Field.velocity, c, x)
