"""A segment of the sweep: a field whose coefficients are linear in time, and how particles move along it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.layers.fields import Field
from genwgp.layers.velocity import integrator, rates
from genwgp.parts import over_particles, over_parts

FIRST = 1 / 3  # the first Radau point, in units of the segment; the second is its end


class Segment(NamedTuple):
    """A solved or trial segment: its field, coefficients at the Radau points, physical duration, integrator steps.

    Numbers of numpy where nothing traces them: what is done with a few numbers needs no compilation.
    """

    field: Field
    first: Float[Array | np.ndarray, " p"]
    second: Float[Array | np.ndarray, " p"]
    duration: Float[Array | np.ndarray, ""]
    substeps: Int[Array | np.ndarray, ""]

    def coefficients(self, s) -> Any:
        return self.first + (self.second - self.first) * (s - FIRST) / (1 - FIRST)

    def changed(self, step) -> "Segment":
        """With other coefficients: a step (2, p) added, of both Radau points."""
        return self._replace(first=self.first + step[0], second=self.second + step[1])


def constant(field: Field, c: Float[Array | np.ndarray, " p"]) -> Segment:
    """A segment whose coefficients are the same all along: for equations at particles that stand still."""
    return Segment(field, c, c, np.ones(()), np.array(1))


def integrator_steps(segment: Segment, share) -> Int[Array, ""]:
    """How many of the segment's `substeps` a share of it takes, at least one."""
    return jnp.maximum(1, jnp.round(jnp.asarray(segment.substeps, dtype=float) * share)).astype(segment.substeps.dtype)


def advance_point(segment: Segment, state: State, start, stop) -> State:
    """One particle from s = start to s = stop, in its share of the segment's `substeps` integrator steps."""

    def derivative(s, state):
        change = rates(segment.field, segment.coefficients(s), state)
        return jax.tree.map(lambda k: segment.duration * k, change)

    return integrator(segment.field)(derivative, state, start, stop, integrator_steps(segment, stop - start))


@over_parts
def advance(segment: Segment, start, stop, state: State) -> State:
    """A batch of particles from s = start to s = stop."""
    return over_particles(lambda z: advance_point(segment, z, start, stop), state)


@over_parts
def rates_at(segment: Segment, s, state: State) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
    """v = grad phi and grad div v + (grad v)^T u at particles that stand at s: together, to be compiled once."""
    c = segment.coefficients(s)
    return over_particles(lambda z: segment.field.rates(c, z.x, z.score)[::2], state)


def velocity(segment: Segment, s: float, state: State) -> Float[np.ndarray, "n d"]:
    """grad phi at particles that stand at s."""
    return np.asarray(rates_at(segment, s, state)[0])


@over_parts
def velocity_gradient(segment: Segment, state: State) -> Float[Array, "n d d"]:
    """grad v at particles that stand at the end of the segment."""
    c = segment.coefficients(1.0)
    return over_particles(lambda z: jax.jacfwd(lambda x: segment.field.rates(c, x, z.score)[0])(z.x), state)


def stiffness(segment: Segment, state: State) -> Float[np.ndarray, " n"]:
    """|grad v u| / |u| at the start of the segment: how stiff its equations are at each particle."""
    u = np.asarray(state.score)
    with_u, without = (np.asarray(rates_at(segment, 0.0, state._replace(score=score))[1]) for score in (u, 0 * u))
    with np.errstate(invalid="ignore"):  # of particles that are lost
        return np.linalg.norm(with_u - without, axis=1) / (np.linalg.norm(u, axis=1) + 1e-300)


def equations_at(energy: FreeEnergy, segment: Segment, s, state: State) -> Float[Array, "n e"]:
    """(v + grad mu, phi + mu) at particles that stand at s: both vanish on the flow, with the constant in phi right."""
    c = segment.coefficients(s)
    at = lambda z: (segment.field.rates(c, z.x, z.score)[0], segment.field.value(c, z.x))
    v, phi = over_particles(at, state)
    level = phi + energy.chemical_potential(state.x, state.log_density)
    return jnp.concatenate([v + energy.gradient(*state), level[:, None]], 1)


equations = over_parts(equations_at)


def grad_mu(energy: FreeEnergy, state: State) -> Float[np.ndarray, "n d"]:
    """grad mu at particles, `energy` with a mean field of its own or without interaction."""
    return np.asarray(_grad_mu(energy, state))


@over_parts
def _grad_mu(energy: FreeEnergy, state: State) -> Float[Array, "n d"]:
    return energy.gradient(*state)


@over_parts
def summands(energy: FreeEnergy, state: State) -> Float[Array, " n"]:
    """What F is the mean of, at particles; the energy as in `grad_mu`."""
    return energy.per_particle(state.x, state.log_density)


@over_parts
def potentials(energy: FreeEnergy, state: State) -> Float[Array, " n"]:
    """mu at particles, up to a constant; the energy as in `grad_mu`."""
    return energy.chemical_potential(state.x, state.log_density)
