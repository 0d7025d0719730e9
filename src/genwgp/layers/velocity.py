"""Velocity-field layers: the flow of a gradient field over an interval of physical time."""

from abc import abstractmethod

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from genwgp.layers._adaptive import adaptive
from genwgp.layers.base import AbstractLayer, State
from genwgp.layers.fields import Field
from genwgp.layers.relaxation import Switched, relaxed


def rates(field: Field, c: Float[Array, " p"], state: State) -> State:
    """Time derivative of (x, log rho, u):  x' = v,  (log rho)' = -div v,  u' = -(grad v)^T u - grad div v."""
    v, divergence, source = field.rates(c, state.x, state.score)
    return State(v, -divergence, -source)


def runge_kutta(derivative, y, start: Float[Array, ""], stop: Float[Array, ""], steps: Int[Array, ""]):
    """Classical fourth-order Runge-Kutta from `start` to `stop` in `steps` equal steps, y any pytree.

    The stages are a loop, so that the derivative, which may be long, is compiled once instead of four times.
    """
    ds = (stop - start) / steps.astype(start.dtype)
    place, share = (jnp.asarray(a, start.dtype) for a in ([0, 1 / 2, 1 / 2, 1], [1 / 6, 1 / 3, 1 / 3, 1 / 6]))
    shift = lambda y, a, k: jax.tree.map(lambda v, w: v + a * w, y, k)

    def step(i, y):
        s = start + i.astype(start.dtype) * ds

        def stage(j, carry):
            last, end = carry
            slope = derivative(s + place[j] * ds, shift(y, place[j] * ds, last))
            return slope, shift(end, share[j] * ds, slope)

        nothing = jax.tree.map(jnp.zeros_like, y)
        return jax.lax.fori_loop(0, len(place), stage, (nothing, y))[1]

    return jax.lax.fori_loop(0, steps, step, y)


def integrator(field: Field):
    """Steps chosen by the solver; near the equilibrium by each particle.

    There those that cross a barrier take many of them, and the others few.
    """
    return adaptive if relaxed(field) else runge_kutta


class AbstractFlow(AbstractLayer):
    """A layer that is a flow: it has a clock of its own, and theta is the fraction of its time."""

    @property
    @abstractmethod
    def time(self) -> Float[Array, "*K"]:
        """Physical time that a layer takes, or each of a stack."""

    def _composite(self, left: Float[Array, " s"], width: Float[Array, " s"], points: int):
        """Nodes and weights of the base class's rule in each of some intervals, one after the other."""
        node, weight = (a.astype(width.dtype) for a in AbstractLayer.quadrature(self, points))
        return (left[:, None] + width[:, None] * node).ravel(), (width[:, None] * weight).ravel()


class VelocityLayer(AbstractFlow):
    """The flow of v = grad phi(x; c(s)) through `count` consecutive segments of physical time.

    In segment j, of length duration[j], the coefficients are linear in time from start[j] to stop[j]. theta is the
    fraction of the layer's whole duration, so that theta and physical time are proportional. Forward, `substeps[j]`
    steps of fourth order a segment, chosen by the solver, are enough for the particles that it has seen; near the
    equilibrium (`integrator`) each particle chooses its own. The inverse integrates the same equations backwards,
    perhaps from where no particle ever was, so it chooses its own steps; both agree to the integrators' errors. Where a
    flow backwards reaches infinity before the layer begins, no particle arrives: x and the log-determinant are NaN
    there. Log-determinant: int div v dt. Arrays carry a leading axis of segments; a layer with fewer of them than its
    neighbours is padded, `count` says how many are real.
    """

    field: Field | Switched
    start: Float[Array, "*K s p"]
    stop: Float[Array, "*K s p"]
    duration: Float[Array, "*K s"]
    substeps: Int[Array, "*K s"]
    count: Int[Array, "*K"]

    @property
    def time(self):
        return self.duration.sum(-1)

    def forward(self, x, theta):
        return self._flow(_position_and_volume, (x, jnp.zeros_like(x, shape=())), 0, theta)

    def inverse(self, y, theta):
        return self._flow(_position_and_volume, (y, jnp.zeros_like(y, shape=())), theta, 0, adaptive)

    def transport(self, state, theta):
        return self._flow(rates, state, 0, theta)

    def retrace(self, state, theta):
        return self._flow(rates, state, 0, theta, adaptive)

    def visit(self, start, here, before, theta):
        """As the base class says: a flow goes on from where the particle is."""
        inside = self._flow(rates, here, before, theta)
        return inside, self.velocity(inside.x, theta)

    def velocity(self, y, theta):
        theta = jnp.asarray(theta, y.dtype)
        field, c, h, _, before = self._segment(self._index(theta))
        return self.time * field.velocity(_between(c, self._fraction(theta, h, before)), y)

    def quadrature(self, points):
        """Composite Gauss-Legendre rule, `points` nodes in each segment; padded segments get weight zero."""
        left = jnp.cumsum(self.duration) - self.duration
        return self._composite(left / self.time, self.duration / self.time, points)

    def _segment(self, j):
        pick = lambda a: jax.lax.dynamic_index_in_dim(a, j, keepdims=False)
        field = jax.tree.map(pick, self.field)
        ends = jnp.stack([pick(self.start), pick(self.stop)])
        h, n = pick(self.duration), pick(self.substeps)
        before = jnp.where(jnp.arange(self.duration.size, dtype=j.dtype) < j, self.duration, 0).sum()
        return field, ends, h, n, before

    def _fraction(self, theta, h, before):
        return jnp.clip((theta * self.time - before) / jnp.where(h > 0, h, 1), 0, 1)

    def _index(self, theta):
        """The segment that theta lies in, at a joint the earlier one."""
        passed = jnp.cumsum(self.duration) < theta * self.time
        return jnp.minimum(passed.sum(dtype=self.count.dtype), self.count - 1)

    def _flow(self, derivative, y, start, stop, integrate=runge_kutta):
        """Carry y from theta = start to theta = stop, either way."""
        dtype = self.duration.dtype
        a, b = jnp.asarray(start, dtype), jnp.asarray(stop, dtype)
        first, last = self._index(jnp.minimum(a, b)), self._index(jnp.maximum(a, b))

        def body(i, y):
            i = i.astype(first.dtype)
            field, c, h, n, before = self._segment(jnp.where(a <= b, first + i, last - i))
            enter, leave = self._fraction(a, h, before), self._fraction(b, h, before)
            steps = jnp.maximum(1, jnp.ceil(n.astype(dtype) * jnp.abs(leave - enter))).astype(n.dtype)

            def by(integrate):
                def carried(field, c, y):
                    rate = lambda s, y: derivative(field, _between(c, s), y)
                    return integrate(lambda s, y: jax.tree.map(lambda k: h * k, rate(s, y)), y, enter, leave, steps)

                return carried

            if isinstance(field, Switched):
                return field.either(by(integrate), by(adaptive), c, y)
            return by(integrate)(field, c, y)

        return jax.lax.fori_loop(0, jnp.where(a == b, 0, last - first + 1), body, y)


def _between(ends: Float[Array, "2 p"], s: Float[Array, ""]) -> Float[Array, " p"]:
    """The coefficients at s on a segment."""
    return ends[0] + s * (ends[1] - ends[0])


def _position_and_volume(field: Field, c, z):
    x, _ = z
    v, divergence, _ = field.rates(c, x, jnp.zeros_like(x))
    return v, divergence
