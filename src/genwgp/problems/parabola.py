"""The isotropic parabola, which several problems have as their confinement."""

import equinox as eqx
from jaxtyping import Array, Float


class Parabola(eqx.Module):
    """V(x) = stiffness |x|^2 / 2."""

    stiffness: float

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return 0.5 * self.stiffness * (x @ x)
