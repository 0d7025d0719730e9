"""What every layer offers: a family of diffeomorphisms, its density and score transport, its velocity."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class State(NamedTuple):
    """A particle with what it carries: position x (d,), log rho(x) () and score grad log rho(x) (d,).

    Batches carry a leading axis n on each part.
    """

    x: Float[Array, "*n d"]
    log_density: Float[Array, "*n"]
    score: Float[Array, "*n d"]


class AbstractLayer(eqx.Module):
    """A family of maps f_theta of R^d, theta in [0, 1], with f_0 the identity and f_1 the layer's map.

    All methods act on one point (d,); batches are made with `jax.vmap`, chains of layers with a leading axis on
    every array leaf and `jax.lax.scan`. `theta` is a scalar. The family is what gives a path between its nodes:
    physical time for a velocity-field layer, the fraction of the displacement for a normalizing-flow layer.
    """

    @abstractmethod
    def forward(self, x: Float[Array, " d"], theta: Float[Array, ""]) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        """y = f_theta(x) and log |det grad f_theta(x)|."""

    @abstractmethod
    def inverse(self, y: Float[Array, " d"], theta: Float[Array, ""]) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        """x = f_theta^{-1}(y) and log |det grad f_theta^{-1}(y)|."""

    @abstractmethod
    def velocity(self, y: Float[Array, " d"], theta: Float[Array, ""]) -> Float[Array, " d"]:
        """v = (d f_theta / d theta) (f_theta^{-1}(y)): the Eulerian velocity per unit of theta at y."""

    def transport(self, state: State, theta: Float[Array, ""]) -> State:
        """Carry (x, log rho, score) through f_theta; one vector-Jacobian product of the inverse map.

        log rho'(y) = log rho(x) + log|det grad f^{-1}(y)|
        u'(y) = (grad f^{-1}(y))^T u(x) + grad_y log|det grad f^{-1}(y)|
        """
        y, _ = self.forward(state.x, theta)
        (_, log_det), pull_back = jax.vjp(lambda y: self.inverse(y, theta), y)
        (score,) = pull_back((state.score, jnp.ones_like(log_det)))
        return State(y, state.log_density + log_det, score)

    def retrace(self, state: State, theta: Float[Array, ""]) -> State:
        """`transport` of a particle that `inverse` has found: where steps choose the accuracy, those of `inverse`."""
        return self.transport(state, theta)

    def visit(
        self, start: State, here: State, before: Float[Array, ""], theta: Float[Array, ""]
    ) -> tuple[State, Float[Array, " d"]]:
        """The particle carried to theta, and its velocity there.

        It was `start` at theta = 0 and `here` at theta = before <= theta: layers that are flows go on from there.
        """
        inside = self.transport(start, theta)
        return inside, self.velocity(inside.x, theta)

    def quadrature(self, points: int) -> tuple[Float[Array, " q"], Float[Array, " q"]]:
        """Nodes theta in (0, 1) and weights, summing to one, of the rule that integrates along this layer.

        Gauss-Legendre with `points` nodes unless a layer knows better (composite rules over its own steps).
        """
        node, weight = np.polynomial.legendre.leggauss(points)
        return jnp.asarray(0.5 * (node + 1.0)), jnp.asarray(0.5 * weight)
