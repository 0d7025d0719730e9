"""How the mean field at particles changes when the particles that make it move."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial import KDTree

from genwgp.energies import AbstractInteraction, FreeEnergy, Functional
from genwgp.energies.sums import total
from genwgp.layers.base import State
from genwgp.mesh import Tall
from genwgp.parts import Rows, over_particles, over_rows

FEW = 256  # particles of the cloud that its derivative looks at; they are the first of a low-discrepancy sequence


def felt(energy: FreeEnergy, places: list[State], y, change, root_weight) -> Rows | Tall:
    """Change (n, 2 (d + 1), q) of the equations of particles, given at both Radau points, as y (m, 2, d) move.

    `change` (m, 2, d, q): of y. For each point grad (W * rho) changes by the mean of -Hess W(x - y) dy, W * rho by that
    of -grad W(x - y) . dy. Of a W that is steep around zero pairs closer than neighbours among y do not count: they
    tell nothing about a density, and a derivative of Newton's method need not be exact.
    """
    W = energy.interaction
    closest = [0.0 if W is None else _closest(W, y[:, place]) for place in range(2)]
    moved = change.transpose(1, 0, 2, 3).reshape(2, -1, change.shape[-1])
    stand = jnp.asarray(y.transpose(1, 0, 2))
    return _felt(energy, stand, jnp.asarray(closest), jnp.asarray(moved), (tuple(places), root_weight))


@over_rows
def _felt(energy: FreeEnergy, y: Float[Array, "2 m d"], closest: Float[Array, " 2"], change, particles):
    """The same; products of all pairs of a batch with all columns at once."""
    places, root_weight = particles
    rows = []
    for place, state in enumerate(places):
        kernels = []
        if energy.interaction is not None:
            kernels.append(_kernels(energy.interaction, y[place], closest[place], state.x))
        if energy.functional is not None:
            kernels.append(_functional_kernels(energy.functional, y[place], state))
        moved = total(kernels).reshape(root_weight.size, -1) @ change[place]
        rows.append(moved.reshape(*root_weight.shape, -1) * root_weight[:, :, None])
    return jnp.concatenate(rows, 1)


def _closest(interaction: AbstractInteraction, y: Float[np.ndarray, "m d"]) -> float:
    """Distance below which pairs do not count."""
    return float(np.median(KDTree(y).query(y, 2)[0][:, 1])) if interaction.core else 0.0


def _functional_kernels(functional: Functional, y: Float[Array, "m d"], state: State):
    """Derivative of (grad f, f) by each of y, as (n, d + 1, m, d)."""
    return over_particles(lambda z: jax.jacrev(functional.with_force)(y, z.x, z.log_density, z.score), state)


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
