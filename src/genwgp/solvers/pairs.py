"""How the mean field at particles changes when the particles that make it move."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial import KDTree

from genwgp.energies import AbstractInteraction, FreeEnergy, Functional
from genwgp.energies.sums import total
from genwgp.layers.base import State
from genwgp.parts import over_particles, over_parts

FEW = 256  # particles of the cloud that its derivative looks at; they are the first of a low-discrepancy sequence


def felt(energy: FreeEnergy, places: list[State], y, change, root_weight) -> Float[np.ndarray, "n e q"]:
    """Change of the equations of particles, given at both Radau points, as particles y (m, 2, d) move.

    `change` (m, 2, d, q): of y. For each point grad (W * rho) changes by the mean of -Hess W(x - y) dy, W * rho by that
    of -grad W(x - y) . dy. Of a W that is steep around zero pairs closer than neighbours among y do not count: they
    tell nothing about a density, and a derivative of Newton's method need not be exact.
    """
    rows = []
    for place, state in enumerate(places):
        stand = jnp.asarray(y[:, place])
        kernels = []
        if energy.interaction is not None:
            closest = _closest(energy.interaction, y[:, place])
            kernels.append(np.asarray(_kernels(energy.interaction, stand, closest, state.x)))
        if energy.functional is not None:
            kernels.append(np.asarray(_functional_kernels(energy.functional, stand, state)))
        moved = total(kernels).reshape(root_weight.size, -1) @ change[:, place].reshape(-1, change.shape[-1])
        rows.append(moved.reshape(*root_weight.shape, -1) * root_weight[:, :, None])
    return np.concatenate(rows, 1)


def _closest(interaction: AbstractInteraction, y: Float[np.ndarray, "m d"]) -> float:
    """Distance below which pairs do not count."""
    return float(np.median(KDTree(y).query(y, 2)[0][:, 1])) if interaction.core else 0.0


@over_parts
def _functional_kernels(functional: Functional, y: Float[Array, "m d"], state: State):
    """Derivative of (grad f, f) by each of y, as (n, d + 1, m, d)."""
    return over_particles(lambda z: jax.jacrev(functional.with_force)(y, z.x, z.log_density, z.score), state)


@over_parts
def _kernels(interaction: AbstractInteraction, y: Float[Array, "m d"], least, x: Float[Array, "n d"]):
    """-(Hess W, grad W)(x - y) / m, as (n, d + 1, m, d)."""

    def pair(x, y):
        z = x - y
        counts = jnp.where(z @ z < least**2, 0.0, -1.0 / y_count)
        return counts * jnp.concatenate([jax.hessian(interaction)(z), jax.grad(interaction)(z)[None]])

    y_count = y.shape[0]
    return over_particles(lambda x: jax.vmap(lambda y: pair(x, y), out_axes=1)(y), x)


def few_of(cloud: State) -> State:
    """The particles whose motion the derivative looks at."""
    return jax.tree.map(lambda a: a[:FEW], cloud)
