"""What is minimised together with an action: the equilibrium at the end, equal speed in between."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.actions.profile import Profile


class Terminal(NamedTuple):
    """F at the last node (energy) and ||grad mu||^2 there ((energy / length)^2), which vanishes in equilibrium."""

    free_energy: Float[Array, ""]
    force2: Float[Array, ""]


def terminal_condition(profile: Profile) -> Terminal:
    """The equilibrium as the end: F[rho_1] is least there, and ||grad mu|| in L2(rho_1) vanishes.

    Without it the path that stands still would be a minimiser of the geometric action (Liu and Zhou, arXiv 2604.11519).
    """
    return Terminal(profile.free_energy[-1], profile.end_force2)


def equal_speed(profile: Profile) -> Float[Array, ""]:
    """Mean over adjacent layers of ((l_{k+1} - l_k) / mean l)^2, l the layers' lengths; a number without units.

    Zero when the nodes are equidistant in the Wasserstein metric; 0 for a single layer or a path without length.
    """
    lengths = profile.layer_lengths
    if lengths.shape[0] < 2:
        return jnp.zeros((), lengths.dtype)
    mean = jnp.mean(lengths)
    return jnp.mean((jnp.diff(lengths) / jnp.where(mean > 0, mean, 1)) ** 2)


def speed_spread(profile: Profile) -> Float[Array, ""]:
    """Max over adjacent layers of |l_{k+1} / l_k - 1|: a number without units, 0 for equidistant nodes.

    0 for a single layer or where neither of two neighbours has length; inf where only the second has.
    """
    lengths = profile.layer_lengths
    if lengths.shape[0] < 2:
        return jnp.zeros((), lengths.dtype)
    first, second = lengths[:-1], lengths[1:]
    moved = first > 0
    ratio = jnp.abs(second / jnp.where(moved, first, 1) - 1)
    return jnp.max(jnp.where(moved, ratio, jnp.where(second > 0, jnp.inf, 0)))
