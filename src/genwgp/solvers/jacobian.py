"""How the collocation equations change with the coefficients of a segment: their derivative through the whole motion.

Along a segment z = (x, u, l), l = log rho, follows dz/ds = h f(z; c(s)), f = (v, -grad div v - (grad v)^T u, -div v).
A change of c(s) makes

    d(dz)/ds = h (A dz + b dc(s)),   A = df/dz,   b = df/dc,
    dr = (grad v + Hess V) dx + D du + (d v / d c) dc          of r = v + grad V + D u at a Radau point,
    dq = (v + grad V) . dx + D dl + (d phi / d c) dc           of q = phi + V + D l there,

for V and an entropy; in general V is V + W * rho, D is the slope of mu by l, and l has a share in dr where the slope
depends on it. Particles that make the mean field W * rho move too (`pairs`). The change is integrated on the steps of
the segment, c(s) = (1 - l) c_1 + l c_2 with l = (s - 1/3) / (2/3). It must follow the motion: particles cross several
bumps within a segment, and a quadrature at the Radau points alone is wrong by as much as the derivative itself there,
so that Newton's method stalls at a hundredth of the force.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.layers.fields import Field
from genwgp.mesh import Tall
from genwgp.parts import Rows, over_parts, over_rows, over_wide
from genwgp.solvers.mean_field import MeanField
from genwgp.solvers.pairs import felt, few_of
from genwgp.solvers.segment import FIRST, Segment, advance, advance_point, integrator_steps

MEMORY = 1e9  # bytes of the matrices of a segment
COARSER = 2  # steps of the motion in one of its derivative, of which Newton's method needs less accuracy


def affordable(field: Field, dim: int, memory: float = MEMORY) -> int:
    """Particles whose Jacobian fits the memory: it has 4 p (d + 1) numbers of each."""
    return int(memory // (32 * field.size * (dim + 1)))


class _Linear(NamedTuple):
    """d(dz)/ds = matrix dz + forcing dc(s) at one place s of a particle's way.

    `still`: tangent of (v, phi) there; `late`: share of c_2 in c(s); `rate`: dz/ds.
    """

    matrix: Float[Array, "e e"]
    forcing: Float[Array, "e p"]
    still: Float[Array, "f p"]
    late: Float[Array, ""]
    rate: State


def jacobian(mean_field: MeanField, segment: Segment, state: State, root_weight) -> Rows | Tall:
    """Derivative (n, 2 (d + 1), 2 p) of the weighted equations at both Radau points by both coefficients.

    `root_weight` (n, d + 1): roots of the weights of the equations.
    """
    local = _local(mean_field.at_radau(segment), segment, (state, root_weight))
    if mean_field.cloud is None or not mean_field.energy.interacting:
        return local
    first = advance(segment, 0.0, FIRST, state)
    places = [first, advance(segment, FIRST, 1.0, first)]
    y, change = (np.asarray(a) for a in _motion(segment, few_of(mean_field.cloud)))
    return local + felt(mean_field.energy, places, y, change, root_weight)


@over_parts
def _motion(segment: Segment, particles: State):
    """Where particles are at both Radau points (n, 2, d), and how that changes with the coefficients (n, 2, d, 2 p)."""

    def way(z):
        def to_next(carry, ends):
            carry = _carried(segment, carry, *ends)
            here, change, _ = carry
            return carry, (here.x, jnp.concatenate([one[: z.x.shape[0]] for one in change], 1))

        return jax.lax.scan(to_next, _unchanged(segment, z), _stages(z))[1]

    return over_wide(way, particles)


def _unchanged(segment: Segment, z: State):
    """What `_carried` starts from: the particle, no change of it, and room for its linear equation."""
    change = jnp.zeros((2, 2 * z.x.shape[0] + 1, segment.field.size), z.x.dtype)
    room = jax.eval_shape(lambda z: _linear(segment, z, jnp.zeros_like(z.x, shape=())), z)
    return z, change, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), room)


def _stages(z: State):
    """Starts and stops of the ways to the Radau points."""
    places = jnp.asarray([0, FIRST, 1], z.x.dtype)
    return places[:-1], places[1:]


@over_rows
def _local(energy: FreeEnergy, segment: Segment, particles) -> Float[Array, "n e q"]:
    """Their derivative at particles in a mean field that stays; what the energy sees has an axis of Radau points."""

    def rows(particle):
        z, weight = particle

        def to_next(carry, part):
            start, stop, cloud = part
            carry = _carried(segment, carry, start, stop)
            return carry, weight[:, None] * _equations_change(energy.seeing(cloud), segment, *carry)

        parts = jax.lax.scan(to_next, _unchanged(segment, z), (*_stages(z), energy.cloud))[1]
        return parts.reshape(2 * weight.size, -1)

    return over_wide(rows, particles)


def _equations_change(energy: FreeEnergy, segment: Segment, z: State, change, here: _Linear):
    """(dr, dq) (d + 1, 2 p) at a particle whose (x, u, l) changes by `change` (2, 2 d + 1, p)."""
    d, h = z.x.shape[0], segment.duration
    drift = lambda x: energy.drift(x[None])[0]
    slope = here.matrix[:d, :d] / h + jax.jacfwd(drift)(z.x)
    by_x = jnp.concatenate([slope, (here.rate.x / h + drift(z.x))[None]])
    by_z = jnp.concatenate([by_x, _by_score_and_density(energy, z)], 1)
    if energy.functional is not None:
        of = jax.jacfwd(energy.functional.with_force, (1, 3, 2))(energy.cloud[1], z.x, z.log_density, z.score)
        by_z = by_z + jnp.concatenate([of[0], of[1], of[2][:, None]], 1)
    return jnp.concatenate([by_z @ one + w * here.still for one, w in zip(change, _shares(here), strict=True)], 1)


def _by_score_and_density(energy: FreeEnergy, z: State) -> Float[Array, "f f"]:
    """Derivative of (grad mu, mu) at a particle by (u, l): slope(l) of both, and that of slope(l) u by l."""
    d = z.x.shape[0]
    if energy.internal is None:
        return jnp.zeros((d + 1, d + 1), z.x.dtype)
    slope, bend = jax.jvp(energy.internal.slope, (z.log_density,), (jnp.ones_like(z.log_density),))
    return (slope * jnp.eye(d + 1, dtype=z.x.dtype)).at[:d, d].set(bend * z.score)


def _shares(here: _Linear):
    """Of c_1 and c_2 in c(s)."""
    return 1 - here.late, here.late


def _linear(segment: Segment, z: State, s) -> _Linear:
    c, h = segment.coefficients(s), jnp.asarray(segment.duration)
    value, still, divergence, source = segment.field.tangent(c, z.x, z.score)

    def moves(x):
        now = segment.field.rates(c, x, z.score)
        return now, now

    (slope, expansion, bend), (v, div, w) = jax.jacfwd(moves, has_aux=True)(z.x)
    none, column = jnp.zeros_like(slope), jnp.zeros_like(z.x)[:, None]
    matrix = jnp.block(
        [[slope, none, column], [-bend, -slope, column], [-expansion[None], column.T, jnp.zeros_like(column[:1])]]
    )
    forcing = jnp.concatenate([still, -source, -divergence[None]])
    late = (s - FIRST) / (1 - FIRST)
    rate = State(h * v, -h * div, -h * w)
    return _Linear(h * matrix, h * forcing, jnp.concatenate([still, value[None]]), late, rate)


def _carried(segment: Segment, carry: tuple[State, Array, _Linear], start, stop) -> tuple[State, Array, _Linear]:
    """A particle from s = start to s = stop with its change, by steps of fourth order."""
    steps = jnp.maximum(1, (integrator_steps(segment, stop - start) + 1) // COARSER)
    ds = (stop - start) / steps.astype(start.dtype)

    def step(i, carry):
        z, change, first = carry
        s = start + i.astype(start.dtype) * ds
        end = advance_point(segment, z, s, s + ds)

        def equation(j, known):
            """At the start of all, at the end, half-way: one after the other, so that it is compiled once."""
            slopes = [jax.tree.map(lambda a, k=k: a[k], known.rate) for k in (0, 1)]
            # Hermite's cubic between the ends, right to the fourth order as the steps are.
            between = lambda a, b, f, g: (a + b) / 2 + ds / 8 * (f - g)
            places = jax.tree.map(lambda *a: jnp.stack(a), z, end, jax.tree.map(between, z, end, *slopes))
            ways = jnp.stack([jnp.zeros_like(ds), ds, ds / 2])
            found = _linear(segment, jax.tree.map(lambda a: a[j], places), s + ways[j])
            return jax.tree.map(lambda all, one: all.at[j].set(one), known, found)

        known = jax.tree.map(lambda a: jnp.stack([a, a, a]), first)
        known = jax.lax.fori_loop(jnp.where(s == 0, 0, 1), 3, equation, known)
        first, last, middle = (jax.tree.map(lambda a, k=k: a[k], known) for k in range(3))
        return end, _changed(change, first, middle, last, ds), last

    return jax.lax.fori_loop(0, steps, step, carry)


def _changed(change, first: _Linear, middle: _Linear, last: _Linear, ds) -> Float[Array, "2 e p"]:
    """The change after a step: Phi(1, 0) change + int Phi(1, s) b(s) ds by Simpson's rule, Phi the propagator of A.

    Simpson's rule on small matrices, instead of a Runge-Kutta method on the many columns of b.
    """
    a0, a1, a2 = first.matrix, middle.matrix, last.matrix
    late = (-a0 + 6 * a1 + 3 * a2) / 8  # A in the middle of the second half
    whole, half = _propagator(a0, a1, a2, ds), _propagator(a1, late, a2, ds / 2)
    nodes = ((first, whole), (middle, 4 * half), (last, jnp.eye(len(a0), dtype=a0.dtype)))
    columns = jnp.concatenate([here.forcing for here, _ in nodes])

    def stage(k, one):
        forced = jnp.concatenate([ds / 6 * _shares(here)[k] * phi for here, phi in nodes], 1)
        return whole @ one + forced @ columns

    return jnp.stack([stage(k, one) for k, one in enumerate(change)])


def _propagator(start, middle, end, ds) -> Float[Array, "e e"]:
    """Phi after ds, d Phi / ds = A(s) Phi, from A at the start, in the middle and at the end: a Runge-Kutta step."""
    one = jnp.eye(len(start), dtype=start.dtype)
    k1 = start
    k2 = middle @ (one + ds / 2 * k1)
    k3 = middle @ (one + ds / 2 * k2)
    k4 = end @ (one + ds * k3)
    return one + ds / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
