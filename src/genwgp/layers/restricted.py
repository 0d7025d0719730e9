"""A potential on a flat through one point, as a function of coordinates in the flat."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.layers.fields import Opaque


class Restricted(eqx.Module):
    """V_b(y) = V(c + E (y - E^T c)) - level, y in k dimensions; the columns of E (d, k) are orthonormal."""

    potential: Opaque
    centre: Float[Array, "*n d"]
    axes: Float[Array, "*n d k"]
    level: Float[Array, "*n"]

    def __call__(self, y: Float[Array, " k"]) -> Float[Array, ""]:
        x = self.centre + self.axes @ (y - self.centre @ self.axes)
        return jnp.asarray(self.potential.function(x), y.dtype) - self.level

    @property
    def function(self) -> "Restricted":
        """Itself: a term holds it as it holds an `Opaque`."""
        return self


def held(potential: Callable) -> Opaque | Restricted:
    """A potential as terms hold it."""
    return potential if isinstance(potential, Restricted) else Opaque(potential)


def given(potential: Callable | None) -> Callable | None:
    """The user's V in it."""
    return potential.potential.function if isinstance(potential, Restricted) else potential
