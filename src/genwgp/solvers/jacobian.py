"""How the collocation equations change with the coefficients of a segment: their derivative through the whole motion.

Along a segment z = (x, u) follows dz/ds = h f(z; c(s)), f = (v, -grad div v - (grad v)^T u). A change of c(s) makes

    d(dz)/ds = h (A dz + b dc(s)),   A = df/dz (2 d, 2 d),   b = (B; -S) (2 d, p), the tangents of the field,
    dr = (grad v + Hess V) dx + D du + B dc                  of r = v + grad V + D u at a Radau point,

integrated on the steps of the segment, c(s) = (1 - l) c_1 + l c_2 with l = (s - 1/3) / (2/3). It must follow the
motion: particles cross several bumps within a segment, and a quadrature at the Radau points alone is wrong by as much
as the derivative itself there, so that Newton's method stalls at a hundredth of the force.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.actions.profile import BLOCK
from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.solvers.segment import FIRST, Segment, advance_point, integrator_steps

COARSER = 2  # steps of the motion in one of its derivative, of which Newton's method needs less accuracy


class _Linear(NamedTuple):
    """d(dz)/ds = matrix dz + forcing (dc_1, dc_2) at one place of a particle's way; `still`: tangent of v there."""

    matrix: Float[Array, "e e"]
    forcing: Float[Array, "e q"]
    still: Float[Array, "d q"]


@eqx.filter_jit
def jacobian(energy: FreeEnergy, segment: Segment, state: State, root_weight) -> Float[Array, "n e q"]:
    """Derivative of the weighted residuals at both Radau points (2 d) by both coefficients (2 p), for n particles."""

    def rows(particle):
        z, weight = particle
        change = jnp.zeros((2 * z.x.shape[0], 2 * segment.field.size), z.x.dtype)
        places = jnp.asarray([0, FIRST, 1], z.x.dtype)

        def to_next(carry, ends):
            carry = _carried(segment, carry, *ends)
            return carry, _residual_change(energy, segment, *carry)

        start = (z, change, _linear(segment, z, places[0]))
        parts = jax.lax.scan(to_next, start, (places[:-1], places[1:]))[1]
        return weight * parts.reshape(-1, change.shape[1])

    return jax.lax.map(rows, (state, root_weight), batch_size=BLOCK)


def _residual_change(energy: FreeEnergy, segment: Segment, z: State, change, here: _Linear):
    """dr (d, 2 p) at a particle whose (x, u) changes by `change` (2 d, 2 p)."""
    d = z.x.shape[0]
    curvature = jax.jacfwd(lambda x: energy.gradient(x[None], z.score[None])[0])(z.x)
    moved = (here.matrix[:d, :d] / segment.duration + curvature) @ change[:d]
    return moved + energy.diffusion * change[d:] + here.still


def _linear(segment: Segment, z: State, s) -> _Linear:
    c, h = segment.coefficients(s), segment.duration
    still, source = segment.field.tangent(c, z.x, z.score)
    slope, bend = jax.jacfwd(lambda x: segment.field.rates(c, x, z.score)[::2])(z.x)
    late = (s - FIRST) / (1 - FIRST)
    both = lambda a: jnp.concatenate([(1 - late) * a, late * a], 1)
    matrix = h * jnp.block([[slope, jnp.zeros_like(slope)], [-bend, -slope]])
    return _Linear(matrix, both(h * jnp.concatenate([still, -source])), both(still))


def _carried(segment: Segment, carry: tuple[State, Array, _Linear], start, stop) -> tuple[State, Array, _Linear]:
    """A particle from s = start to s = stop with its change, by Runge-Kutta steps of fourth order."""
    steps = jnp.maximum(1, (integrator_steps(segment, stop - start) + 1) // COARSER)
    ds = (stop - start) / steps.astype(start.dtype)

    def half_step(z, s):
        z = advance_point(segment, z, s, s + ds / 2)
        return z, z

    def step(i, carry):
        z, change, first = carry
        s = start + i.astype(start.dtype) * ds
        z, way = jax.lax.scan(half_step, z, jnp.stack([s, s + ds / 2]))
        both = jax.vmap(lambda z, s: _linear(segment, z, s))(way, jnp.stack([s + ds / 2, s + ds]))
        middle, last = (jax.tree.map(lambda a, k=k: a[k], both) for k in (0, 1))
        k1 = first.matrix @ change + first.forcing
        k2 = middle.matrix @ (change + ds / 2 * k1) + middle.forcing
        k3 = middle.matrix @ (change + ds / 2 * k2) + middle.forcing
        k4 = last.matrix @ (change + ds * k3) + last.forcing
        return z, change + ds / 6 * (k1 + 2 * k2 + 2 * k3 + k4), last

    return jax.lax.fori_loop(0, steps, step, carry)
