"""Coupling layers: smooth normalizing-flow layers with closed-form inverses, trained by gradient descent."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.checks import integer
from genwgp.errors import InputError
from genwgp.layers._elements import AffineCouplings, TriangularAffine
from genwgp.layers._line import MonotoneMap
from genwgp.layers.base import AbstractLayer, State


class CouplingLayer(AbstractLayer):
    """Several affine couplings with alternating masks, then a triangular affine map; for d = 1 a monotone map instead.

    theta multiplies every log-scale and every shift (`AffineCouplings`, `TriangularAffine`, `MonotoneMap`), so f_0 is
    the identity exactly, f_1 the layer, and inverse and log-determinant are closed forms for every theta (for d = 1
    the inverse is a guaranteed iteration to rounding error). C-infinity; positions in the units of the problem.
    """

    nonlinear: AffineCouplings | MonotoneMap
    linear: TriangularAffine

    @classmethod
    def create(cls, key: PRNGKeyArray, dim: int, width: int = 32, couplings: int = 4) -> "CouplingLayer":
        """A random layer near the identity, in jax's default dtype.

        `width`: tanh units of each coupling's network (d = 1: knots); `couplings`: how many (d = 1: of no effect).
        InputError unless dim and couplings are whole numbers >= 1 and width one >= 2.
        """
        dim, width = integer("CouplingLayer.dim", dim), integer("CouplingLayer.width", width, least=2)
        couplings = integer("CouplingLayer.couplings", couplings)
        if dim == 1:
            return cls(MonotoneMap.create(key, width), TriangularAffine.create(dim))
        return cls(AffineCouplings.create(key, dim, width, couplings), TriangularAffine.create(dim))

    def forward(self, x, theta):
        theta = jnp.asarray(theta, x.dtype)
        x, first = self.nonlinear.forward(x, theta)
        y, second = self.linear.forward(x, theta)
        return y, first + second

    def inverse(self, y, theta):
        theta = jnp.asarray(theta, y.dtype)
        y, first = self.linear.inverse(y, theta)
        x, second = self.nonlinear.inverse(y, theta)
        return x, first + second

    def velocity(self, y, theta):
        theta = jnp.asarray(theta, y.dtype)
        x, _ = self.inverse(y, theta)
        return self._speed(x, theta)

    def transport(self, state: State, theta: Float[Array, ""]) -> State:
        """As the base class says, from the forward pass alone: half of its cost."""
        theta = jnp.asarray(theta, state.x.dtype)
        return self.linear.transport(self.nonlinear.transport(state, theta), theta)

    def visit(self, start: State, here: State, before, theta) -> tuple[State, Float[Array, " d"]]:
        """As the base class says; the velocity where a particle arrives is known without the inverse."""
        theta = jnp.asarray(theta, start.x.dtype)
        return self.transport(start, theta), self._speed(start.x, theta)

    def _speed(self, x: Float[Array, " d"], theta: Float[Array, ""]) -> Float[Array, " d"]:
        """d f_theta(x) / d theta."""
        return jax.jvp(lambda theta: self.forward(x, theta)[0], (theta,), (jnp.ones_like(theta),))[1]


def stack_layers(layers: Sequence[AbstractLayer] | Callable[[PRNGKeyArray], AbstractLayer], K, key=None):
    """`K` layers as one pytree with a leading axis K on every array.

    `layers`: a sequence of K layers of the same structure, or a function that makes one layer from a random key; then
    `key` is split K ways. InputError if the length is not K or the layers differ in structure.
    """
    K = integer("stack_layers.K", K)
    if callable(layers):
        if key is None:
            raise InputError("stack_layers.key", key, "a random key, jax.random.key(...), for a function of keys")
        return eqx.filter_vmap(layers)(jax.random.split(key, K))
    structures = {jax.tree.structure(eqx.filter(layer, eqx.is_array)) for layer in layers}
    shapes = {tuple(a.shape for a in jax.tree.leaves(eqx.filter(layer, eqx.is_array))) for layer in layers}
    if len(layers) != K or len(structures) != 1 or len(shapes) != 1:
        given = f"{len(layers)} layers of {len(structures)} structures and {len(shapes)} sets of shapes"
        raise InputError("stack_layers.layers", given, f"{K} layers of one structure and one set of shapes")
    return jax.tree.map(lambda *leaves: jnp.stack(leaves) if eqx.is_array(leaves[0]) else leaves[0], *layers)
