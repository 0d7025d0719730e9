"""What an interaction sees of the density along a path, from particles other than those that feel it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.energies import FreeEnergy
from genwgp.energies.interaction import Cloud
from genwgp.layers.base import AbstractLayer
from genwgp.parts import over_particles


@eqx.filter_jit
def clouds_along(layers: AbstractLayer, energy: FreeEnergy, x: Float[Array, "m d"], points: int = 3) -> Cloud:
    """What the interaction sees of particles that start at x, in each layer of a stacked chain: (K, q + 2) entries, at
    its start, at its q quadrature points (`AbstractLayer.quadrature`) and at its end. None where nothing
    interacts."""
    if not energy.interacting:
        return None
    arrays, static = eqx.partition(layers, eqx.is_array)

    def through(x, layer):
        layer = eqx.combine(layer, static)
        theta = layer.quadrature(points)[0].astype(x.dtype)
        at = lambda theta: over_particles(lambda x: layer.forward(x, theta)[0], x)
        ways = jnp.concatenate([x[None], jax.lax.map(at, jnp.append(theta, jnp.ones_like(theta[0])))])
        return ways[-1], jax.lax.map(energy.see, ways)

    return jax.lax.scan(through, x, arrays)[1]
