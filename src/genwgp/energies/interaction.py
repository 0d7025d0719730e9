"""Interactions 1/2 iint W(x - y) rho(x) rho(y): forces between all pairs of particles.

A density is seen by an interaction as a `cloud`: particles y (m, d) of it, or moments of them where these are enough.
The sum over pairs is never held as a matrix: particles are looked at in blocks, forwards and in the reverse pass, so
that memory is O(m) for any number of them.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import function
from genwgp.energies.sums import checked, total

INTERACTION = "an even function W of one difference x - y, shape (d,), that returns one number, written with jax.numpy"

Cloud = Any  # what `see` makes of particles
Point = Float[Array, " d"]
Number = Float[Array, ""]


class AbstractInteraction(eqx.Module):
    """W, an even function of a difference z (d,), finite and differentiable at z = 0."""

    @abstractmethod
    def __call__(self, z: Point) -> Number:
        """W(z)."""

    def see(self, y: Float[Array, "m d"]) -> Cloud:
        """What is needed of particles y of a density."""
        return y

    def potential(self, cloud: Cloud, x: Point) -> Number:
        """(W * rho)(x): the mean of W(x - y)."""
        return jnp.mean(jax.vmap(lambda y: self(x - y))(cloud))

    @property
    def core(self) -> float:
        """Length within which W is not what it stands for: epsilon of a regularised one, 0 of others.

        Beyond a few of it W may still be steep, so that single close pairs tell nothing about the density.
        """
        return 0.0


class Interaction(AbstractInteraction):
    """A user's W: one difference (d,) -> scalar, even, written with jax.numpy. A Problem checks that it is even."""

    W: Callable

    def __init__(self, W: Callable):
        self.W = function("Interaction.W", W, INTERACTION)

    def __call__(self, z):
        return jnp.asarray(self.W(z), dtype=z.dtype)


class InteractionSum(AbstractInteraction):
    """The sum of interactions. InputError for anything else, or for none."""

    parts: tuple[AbstractInteraction, ...]

    def __init__(self, *parts: AbstractInteraction):
        allowed = "interactions, such as genwgp.QuadraticInteraction()"
        self.parts = checked("InteractionSum", parts, AbstractInteraction, allowed)

    def __call__(self, z):
        return total(part(z) for part in self.parts)

    def see(self, y):
        return tuple(part.see(y) for part in self.parts)

    def potential(self, cloud, x):
        return total(part.potential(seen, x) for part, seen in zip(self.parts, cloud, strict=True))

    @property
    def core(self) -> float:
        return max(part.core for part in self.parts)
