"""A segment of the sweep: a field whose coefficients are linear in time, and how particles move along it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.layers.fields import Field
from genwgp.layers.velocity import rates, runge_kutta
from genwgp.parts import over_particles, over_parts

FIRST = 1 / 3  # the first Radau point, in units of the segment; the second is its end


class Segment(NamedTuple):
    """A solved or trial segment: its field, coefficients at the Radau points, physical duration, integrator steps."""

    field: Field
    first: Float[Array, " p"]
    second: Float[Array, " p"]
    duration: Float[Array, ""]
    substeps: Int[Array, ""]

    def coefficients(self, s):
        return self.first + (self.second - self.first) * (s - FIRST) / (1 - FIRST)

    def changed(self, step) -> "Segment":
        """With other coefficients: a step (2, p) added, of both Radau points."""
        return self._replace(first=self.first + step[0], second=self.second + step[1])


def constant(field: Field, c: Float[Array, " p"]) -> Segment:
    """A segment whose coefficients are the same all along: for equations at particles that stand still."""
    return Segment(field, c, c, jnp.asarray(1, dtype=float), jnp.asarray(1))


def integrator_steps(segment: Segment, share) -> Int[Array, ""]:
    """How many of the segment's `substeps` a share of it takes, at least one."""
    return jnp.maximum(1, jnp.round(jnp.asarray(segment.substeps, dtype=float) * share)).astype(segment.substeps.dtype)


def advance_point(segment: Segment, state: State, start, stop) -> State:
    """One particle from s = start to s = stop, in its share of the segment's `substeps` integrator steps."""

    def derivative(s, state):
        change = rates(segment.field, segment.coefficients(s), state)
        return jax.tree.map(lambda k: segment.duration * k, change)

    return runge_kutta(derivative, state, start, stop, integrator_steps(segment, stop - start))


@over_parts
def advance(segment: Segment, start, stop, state: State) -> State:
    """A batch of particles from s = start to s = stop."""
    return over_particles(lambda z: advance_point(segment, z, start, stop), state)


@over_parts
def rates_at(segment: Segment, s, state: State) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
    """v = grad phi and grad div v + (grad v)^T u at particles that stand at s: together, to be compiled once."""
    c = segment.coefficients(s)
    return over_particles(lambda z: segment.field.rates(c, z.x, z.score)[::2], state)


def velocity(segment: Segment, s: float, state: State) -> Float[Array, "n d"]:
    """grad phi at particles that stand at s."""
    return rates_at(segment, s, state)[0]


@over_parts
def velocity_gradient(segment: Segment, state: State) -> Float[Array, "n d d"]:
    """grad v at particles that stand at the end of the segment."""
    at = lambda z: jax.jacfwd(lambda x: segment.field.rates(segment.second, x, z.score)[0])(z.x)
    return over_particles(at, state)


def stiffness(segment: Segment, state: State) -> Float[Array, " n"]:
    """|grad v u| / |u| at the start of the segment: how stiff its equations are at each particle."""
    with_u, without = (rates_at(segment, 0.0, state._replace(score=a * state.score))[1] for a in (1.0, 0.0))
    return jnp.linalg.norm(with_u - without, axis=1) / (jnp.linalg.norm(state.score, axis=1) + 1e-300)


def equations_at(energy: FreeEnergy, segment: Segment, s, state: State) -> Float[Array, "n e"]:
    """(v + grad mu, phi + mu) at particles that stand at s: both vanish on the flow, with the constant in phi right."""
    c = segment.coefficients(s)
    at = lambda z: (segment.field.rates(c, z.x, z.score)[0], segment.field.value(c, z.x))
    v, phi = over_particles(at, state)
    level = phi + energy.chemical_potential(state.x, state.log_density)
    return jnp.concatenate([v + energy.gradient(*state), level[:, None]], 1)


equations = over_parts(equations_at)


@over_parts
def grad_mu(energy: FreeEnergy, state: State) -> Float[Array, "n d"]:
    """grad mu at particles, `energy` with a mean field of its own or without interaction."""
    return energy.gradient(*state)


@over_parts
def summands(energy: FreeEnergy, state: State) -> Float[Array, " n"]:
    """What F is the mean of, at particles; the energy as in `grad_mu`."""
    return energy.per_particle(state.x, state.log_density)


@over_parts
def potentials(energy: FreeEnergy, state: State) -> Float[Array, " n"]:
    """mu at particles, up to a constant; the energy as in `grad_mu`."""
    return energy.chemical_potential(state.x, state.log_density)
