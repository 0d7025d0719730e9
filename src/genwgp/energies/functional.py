"""A user's own functional of the density, by its first variation."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import function, reason
from genwgp.errors import InputError
from genwgp.parts import over_particles

ALLOWED = "a function of a point (d,), log rho there () and particles (m, d) that returns one number, in jax.numpy"
SIGNIFICANT = 6.0  # standard errors from which two means are different
DIRECTIONS = 4  # random velocities along which they are compared

Point = Float[Array, " d"]
Points = Float[Array, "n d"]
Particles = Float[Array, "m d"]
Number = Float[Array, ""]
Numbers = Float[Array, " n"]


class Functional(eqx.Module):
    """E[rho], the mean over x of rho of value(x, log rho(x), y), by its first variation.

    `first_variation`: delta E / delta rho at one point x (d,), up to a constant; `value`: what E is the mean of, there.
    Both are called with (x, log rho(x), y), y (m, d) particles of rho for what depends on all of it, and return one
    number, written with jax.numpy, twice differentiable. The force -grad delta E / delta rho follows from the score
    u = grad log rho, which particles carry: -(df/dx + df/dl u). A first variation that itself contains derivatives of
    rho would need its higher derivatives, which they do not carry.

    Examples: chi-square divergence to a density pi, value = rho / pi and first variation 2 rho / pi; a function of the
    mean m, value = G(m) and first variation grad G(m) . x.
    Source: L. Ambrosio, N. Gigli, G. Savare, Gradient Flows, 2nd ed., Birkhaeuser, 2008, section 10.4.
    InputError unless both are functions; a Problem checks at samples of its start that they are finite, and that one is
    the derivative of the other.
    """

    first_variation: Callable
    value: Callable

    def __init__(self, first_variation: Callable, value: Callable):
        self.first_variation = function("Functional.first_variation", first_variation, ALLOWED)
        self.value = function("Functional.value", value, ALLOWED)

    def potential(self, y: Particles, x: Point, log_density: Number) -> Number:
        """The first variation at one point."""
        return jnp.asarray(self.first_variation(x, log_density, y), dtype=x.dtype)

    def with_force(self, y: Particles, x: Point, log_density: Number, score: Point) -> Float[Array, " f"]:
        """Its gradient along the density, and itself: (d + 1,)."""
        f, (by_x, by_l) = jax.value_and_grad(self.potential, (1, 2))(y, x, log_density)
        return jnp.append(by_x + by_l * score, f)

    def per_particle(self, y: Particles, x: Points, log_density: Numbers) -> Numbers:
        """What E is the mean of."""
        at = lambda p: jnp.asarray(self.value(p[0], p[1], y), dtype=x.dtype)
        return over_particles(at, (x, log_density))

    def check(self, x: Points, log_density: Numbers, score: Points) -> None:
        """InputError unless both return finite numbers there, and first_variation is the derivative of value."""
        for name in ("first_variation", "value"):
            self._check_numbers(name, x, log_density)
        self._check_derivative(x, log_density, score)

    def _check_numbers(self, name: str, x: Points, log_density: Numbers) -> None:
        field, one = f"Functional.{name}", getattr(self, name)
        try:
            shape = getattr(jax.eval_shape(one, x[0], log_density[0], x), "shape", None)
            if shape != ():
                raise InputError(field, f"a function that returns shape {shape}", ALLOWED)
            at = lambda p: jnp.asarray(one(p[0], p[1], x), dtype=x.dtype)
            found = jax.jit(lambda p: over_particles(jax.value_and_grad(at), p))((x, log_density))
        except InputError:
            raise
        except Exception as error:  # whatever the user's function raises; `from None` keeps jax's traceback out
            raise InputError(field, reason(error), ALLOWED) from None
        if not all(np.all(np.isfinite(a)) for a in jax.tree.leaves(found)):
            raise InputError(field, "a value or a derivative that is not finite", "finite at samples of the start")

    def _check_derivative(self, x: Points, log_density: Numbers, score: Points) -> None:
        """dE/dt as particles move by a velocity w, with log rho by -div w, is the mean of grad f . w."""
        force = jax.jit(lambda p: over_particles(lambda p: self.with_force(x, *p)[:-1], p))((x, log_density, score))
        mean = lambda x, log_density: self.per_particle(x, x, log_density).mean()
        by_x, by_l = jax.jit(jax.grad(mean, (0, 1)))(x, log_density)
        for w, divergence in _velocities(x):
            moved = len(x) * np.asarray((by_x * w).sum(1) - by_l * divergence, dtype=np.float64)
            said = np.asarray((force * w).sum(1), dtype=np.float64)
            difference = moved - said
            noise = difference.std() / np.sqrt(len(x)) + 1e-4 * np.abs(said).mean()
            if abs(difference.mean()) > SIGNIFICANT * noise:
                given = f"dE/dt = {said.mean():.4g} by it, {moved.mean():.4g} by value, +-{noise:.2g}, along a velocity"
                raise InputError("Functional.first_variation", given, "the first variation of the mean of value")


def _velocities(x: Points) -> list[tuple[Any, Any]]:
    """Velocity fields with their divergences: a dilation, and waves as long as the density."""
    centred = np.asarray(x) - np.asarray(x).mean(0)
    size, rng = np.sqrt((centred**2).mean()), np.random.default_rng(0)
    fields = [(centred, np.full(len(centred), float(centred.shape[1])))]
    for _ in range(DIRECTIONS):
        along, k = rng.normal(size=(2, centred.shape[1]))
        phase = centred @ k / size + rng.uniform(0, 2 * np.pi)
        fields.append((size * np.cos(phase)[:, None] * along, -np.sin(phase) * (along @ k)))
    return [(jnp.asarray(w, x.dtype), jnp.asarray(div, x.dtype)) for w, div in fields]
