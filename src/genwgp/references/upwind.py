"""The scheme of Carrillo, Chertock and Huang for every internal energy, and for none."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from genwgp.energies.internal import AbstractInternal
from genwgp.references.mesh import Mesh

COURANT = 0.9
LIMITER = 2.0  # theta of the minmod limiter, 1 (most diffusive) to 2
TINY = 1e-300


class Upwind:
    """d rho/dt = div(rho grad xi), xi = V + W * rho + D U'(rho): second order, explicit, for compact supports.

    Fluxes u^+ rho_i^E + u^- rho_j^W through the face of cells i and j, with u = -(xi_j - xi_i) / h and rho linear in
    each cell (central slopes, limited by minmod where a value would be negative); the third-order strong-stability
    preserving Runge-Kutta method with the step of the positivity bound h / (2 d max |u|) and of diffusion,
    h^2 / (2 d max rho U''(rho)). F of the space discretisation decreases.
    Source: J. A. Carrillo, A. Chertock, Y. Huang, Commun. Comput. Phys. 17 (2015) 233-258.
    """

    doublings = 16  # of time, while a steady state is looked for: the steps stay short

    def __init__(self, mesh: Mesh, V: np.ndarray, internal: AbstractInternal | None, kernel: Any = None):
        self.mesh, self._internal = mesh, internal
        self._kernel = kernel  # a Convolution or None
        with jax.enable_x64(True):
            transform = None if kernel is None else jnp.asarray(kernel.transform)
            self._data = (jnp.asarray(V, dtype=float), jnp.asarray(mesh.spacing, dtype=float), transform)

    def first_step(self) -> float:
        """Unused: every step is that of the bounds."""
        return np.inf

    def march(self, rho: np.ndarray, duration: float, step: float) -> tuple[np.ndarray, float]:
        """rho after `duration`."""
        with jax.enable_x64(True):
            after = _march(
                self._settings, self._data, jnp.asarray(rho, dtype=float), jnp.asarray(duration, dtype=float)
            )
            result = np.asarray(after)
            return result * (rho.sum() / result.sum()), step  # the rounding of many steps

    def free_energy(self, rho: np.ndarray) -> float:
        """F = sum of rho (V + W * rho / 2) + D U(rho) over the cells."""
        with jax.enable_x64(True):
            return float(_free_energy(self._settings, self._data, jnp.asarray(rho, dtype=float))) * self.mesh.volume

    def dissipation(self, rho: np.ndarray) -> float:
        """-dF/dt of the scheme: the sum over the faces of flux times u."""
        with jax.enable_x64(True):
            faces = _faces(self._settings, self._data, jnp.asarray(rho, dtype=float))
            return float(sum(jnp.sum(flux * u) for flux, u in faces)) * self.mesh.volume

    @property
    def _settings(self) -> "Settings":
        kernel = self._kernel
        return Settings(self._internal, None if kernel is None else (tuple(kernel.shape), tuple(kernel.first)))


class Settings(eqx.Module):
    """What is compiled in: the internal energy, and the shape of the transform with where its result begins."""

    internal: Any
    transform: Any = eqx.field(static=True)


def _mean_field(settings: Settings, data: tuple, rho: jax.Array) -> jax.Array:
    """W * rho, 0 without W."""
    if settings.transform is None:
        return jnp.zeros_like(rho)
    shape, first = settings.transform
    result = jnp.fft.irfftn(data[2] * jnp.fft.rfftn(rho, shape), shape)
    return jax.lax.slice(result, first, [a + n for a, n in zip(first, rho.shape, strict=True)])


def _free_energy(settings: Settings, data: tuple, rho: jax.Array) -> jax.Array:
    inner = 0.0 if settings.internal is None else jnp.sum(settings.internal.value(rho))
    return jnp.sum(rho * (data[0] + 0.5 * _mean_field(settings, data, rho))) + inner


def _faces(settings: Settings, data: tuple, rho: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
    """Flux and velocity at the inner faces of each axis."""
    xi = data[0] + _mean_field(settings, data, rho)
    if settings.internal is not None:
        xi = xi + settings.internal.derivative(rho)
    result = []
    for axis in range(rho.ndim):
        u = -jnp.diff(xi, axis=axis) / data[1][axis]
        rise = _half_rise(rho, axis)
        east, west = _part(rho + rise, axis, None, -1), _part(rho - rise, axis, 1, None)
        result.append((jnp.maximum(u, 0) * east + jnp.minimum(u, 0) * west, u))
    return result


def _half_rise(rho: jax.Array, axis: int) -> jax.Array:
    """h/2 times the slope in each cell: central, or minmod where a central one would give a negative value."""
    jump = jnp.diff(rho, axis=axis)
    widths = [(0, 0)] * rho.ndim
    widths[axis] = (1, 1)
    padded = jnp.pad(jump, widths)
    before, behind = _part(padded, axis, None, -1), _part(padded, axis, 1, None)
    central = (before + behind) / 4
    steps = jnp.stack([LIMITER * before / 2, central, LIMITER * behind / 2])
    minmod = jnp.where(jnp.all(steps > 0, axis=0), jnp.min(steps, axis=0), 0.0)
    minmod = jnp.where(jnp.all(steps < 0, axis=0), jnp.max(steps, axis=0), minmod)
    return jnp.where(jnp.abs(central) > rho, minmod, central)


def _part(a: jax.Array, axis: int, start: int | None, stop: int | None) -> jax.Array:
    return a[(slice(None),) * axis + (slice(start, stop),)]


@eqx.filter_jit
def _march(settings: Settings, data: tuple, rho: jax.Array, duration: jax.Array) -> jax.Array:
    step = partial(_step, settings, data)
    return jax.lax.while_loop(lambda s: s[1] > 0, lambda s: step(*s), (rho, duration))[0]


def _step(settings: Settings, data: tuple, rho: jax.Array, left: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One step of the Runge-Kutta method, within `left`; and what is left."""
    spacing = data[1]

    def rate(rho, faces):
        result = jnp.zeros_like(rho)
        for axis, (flux, _) in enumerate(faces):
            widths = [(0, 0)] * rho.ndim
            widths[axis] = (1, 1)
            result = result - jnp.diff(jnp.pad(flux, widths), axis=axis) / spacing[axis]
        return result

    faces = _faces(settings, data, rho)
    dt = jnp.minimum(_longest(settings, data, rho, faces), left)
    one = rho + dt * rate(rho, faces)
    two = 0.75 * rho + 0.25 * (one + dt * rate(one, _faces(settings, data, one)))
    three = rho / 3 + 2 / 3 * (two + dt * rate(two, _faces(settings, data, two)))
    return three, jnp.where(dt < left, left - dt, 0.0)


def _longest(settings: Settings, data: tuple, rho: jax.Array, faces: list) -> jax.Array:
    """The step of the bounds."""
    spacing, rates = data[1], []
    diffusion = jnp.zeros(())
    if settings.internal is not None:
        _, curvature = jax.jvp(settings.internal.derivative, (rho,), (jnp.ones_like(rho),))
        diffusion = jnp.max(jnp.where(rho > TINY, rho * curvature, 0.0))
    for axis, (_, u) in enumerate(faces):
        speed = jnp.max(jnp.abs(u))
        rates.append(2 * rho.ndim * jnp.maximum(speed / spacing[axis], diffusion / spacing[axis] ** 2))
    return COURANT / jnp.maximum(jnp.max(jnp.stack(rates)), TINY)
