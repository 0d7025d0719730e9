"""Particles over the devices of a mesh: each has its share of them, and all have everything else.

Functions of one particle at all of a batch need no communication but for what comes back: it is gathered, so that the
host, which chooses steps and solves small systems, sees the same numbers whatever the number of devices. What is tall,
a row or more for each particle, stays where it was made (`Tall`), and only its products with itself and with vectors
come back, summed over the devices. All of it works across processes: each runs the same program on the host.

Batches that the devices do not divide are filled up with copies of their last particle, which are cut off, or have
rows of zeros.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from genwgp.checks import integer
from genwgp.errors import InputError

AXIS = "particles"
SHARED, SPLIT = PartitionSpec(), PartitionSpec(AXIS)
FORCED = "XLA_FLAGS=--xla_force_host_platform_device_count="
_mesh: ContextVar[Mesh | None] = ContextVar("mesh", default=None)


def current() -> Mesh | None:
    """The mesh that particles are on; None where there is none."""
    return _mesh.get()


def mesh_of(devices: Any) -> Mesh | None:
    """The mesh of so many devices, of all processes together; None for None. InputError where there are fewer."""
    if devices is None:
        return None
    there = jax.devices()
    if integer("devices", devices) > len(there):
        allowed = f"a whole number from 1 to {len(there)}, the devices of jax here"
        raise InputError("devices", devices, f"{allowed}; to try it on processors, start with {FORCED}{devices}")
    if jax.process_count() > 1 and devices != len(there):
        raise InputError("devices", devices, f"{len(there)}, all devices of the {jax.process_count()} processes")
    return jax.make_mesh((devices,), (AXIS,), (AxisType.Auto,), devices=there[:devices])


@contextmanager
def on(mesh: Mesh | None) -> Iterator[None]:
    """A block in which particles are on the mesh."""
    token = _mesh.set(mesh)
    try:
        yield
    finally:
        _mesh.reset(token)


def rounds(mesh: Mesh, particles: Any, size: int) -> tuple[int, list[tuple[Any, np.ndarray]]]:
    """How many particles there are; `size` of them for each device at a time, with their places in the batch."""
    particles = jax.tree.map(np.asarray, particles)
    n = len(jax.tree.leaves(particles)[0])
    together, split = size * mesh.size, NamedSharding(mesh, SPLIT)
    found = []
    for start in range(0, max(n, 1), together):
        place = np.arange(start, start + together)
        index = np.minimum(place, n - 1)
        found.append((jax.tree.map(lambda a, index=index: _put(a[index], split), particles), _put(place, split)))
    return n, found


def share(n: int, devices: int, block: int, most: int) -> int:
    """Particles of one device at a time: an equal share in whole blocks, or as many as it may take."""
    return min(most, block * -(-max(n, 1) // (devices * block)))


def everywhere(mesh: Mesh, tree: Any) -> Any:
    """The arrays of a tree on all devices."""
    whole = NamedSharding(mesh, SHARED)
    return jax.tree.map(lambda leaf: _put(leaf, whole) if eqx.is_array(leaf) else leaf, tree)


def _put(array: Any, sharding: NamedSharding) -> Array:
    """Each device takes its part of what is the same on all hosts."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return jax.device_put(array, sharding)
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _mapped(mesh: Mesh, function: Callable, specs: Any, out: Any) -> Callable:
    """The function of each device's share, its products of float32 matrices in float32 on accelerators too."""

    @wraps(function)
    def precise(*arguments: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return function(*arguments)

    return jax.shard_map(precise, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False)


def gathered(function: Callable) -> Callable:
    """`function(*shared, particles)` with each device's particles on it; its results on all of them, compiled."""

    @eqx.filter_jit
    def compiled(mesh: Mesh, shared: tuple, particles: Any) -> Any:
        arrays, static = eqx.partition(shared, eqx.is_array)

        def local(arrays, particles):
            found = function(*eqx.combine(arrays, static), particles)
            return jax.tree.map(lambda a: jax.lax.all_gather(a, AXIS, tiled=True), found)

        return _mapped(mesh, local, (SHARED, SPLIT), SHARED)(arrays, particles)

    return compiled


def stacked(function: Callable) -> Callable:
    """The same for a function of all particles of a device: its results, one device after the other, compiled."""
    return gathered(wraps(function)(lambda *arguments: jax.tree.map(lambda a: a[None], function(*arguments))))


def tall(function: Callable) -> Callable:
    """The same, but results stay where they are, zero for places beyond `n`, compiled."""

    @eqx.filter_jit
    def compiled(mesh: Mesh, shared: tuple, particles: Any, place: Array, n: Array) -> Any:
        arrays, static = eqx.partition(shared, eqx.is_array)

        def local(arrays, particles, place, n):
            found = function(*eqx.combine(arrays, static), particles)
            return jax.tree.map(lambda a: jnp.where((place < n).reshape(-1, *[1] * (a.ndim - 1)), a, 0), found)

        return _mapped(mesh, local, (SHARED, SPLIT, SPLIT, SHARED), SPLIT)(arrays, particles, place, n)

    return compiled


class Tall:
    """A matrix (n, e, q) with e rows for each of n particles, over the devices of a mesh, in one part a round."""

    def __init__(self, mesh: Mesh, parts: list[Array], n: int):
        self.mesh, self.parts, self.n = mesh, parts, n

    def __add__(self, other: Any) -> "Tall":
        return Tall(self.mesh, [a + b for a, b in zip(self.parts, other.parts, strict=True)], self.n)

    def __rmul__(self, factor: float) -> "Tall":
        return Tall(self.mesh, [factor * a for a in self.parts], self.n)

    def inner(self, other: Any) -> Float[np.ndarray, "q k"]:
        """A^T B: local products, then one sum over the devices."""
        pairs = zip(self.parts, other.parts, strict=True)
        return np.asarray(sum(np.asarray(_inner(self.mesh, a, b)) for a, b in pairs))

    def transposed(self, rows: Float[np.ndarray, "n e *k"]) -> Float[np.ndarray, "q *k"]:
        """A^T r, for one right side or several."""
        size, shape = len(self.parts[0]), rows.shape[2:]
        filled = np.zeros((size * len(self.parts), rows.shape[1], int(np.prod(shape))))
        filled[: self.n] = rows.reshape(*rows.shape[:2], -1)
        split = NamedSharding(self.mesh, SPLIT)
        parts = [_put(filled[i * size : (i + 1) * size], split) for i in range(len(self.parts))]
        return self.inner(Tall(self.mesh, parts, self.n)).reshape(-1, *shape)

    def times(self, c: Float[np.ndarray, "q *k"]) -> Float[np.ndarray, "n e *k"]:
        """A c."""
        whole = everywhere(self.mesh, np.asarray(c))
        return np.concatenate([np.asarray(_times(self.mesh, a, whole)) for a in self.parts])[: self.n]


@partial(jax.jit, static_argnums=0)
def _inner(mesh: Mesh, a: Array, b: Array) -> Array:
    local = lambda a, b: jax.lax.psum(a.reshape(-1, a.shape[-1]).T @ b.reshape(-1, b.shape[-1]), AXIS)
    return _mapped(mesh, local, (SPLIT, SPLIT), SHARED)(a, b)


@partial(jax.jit, static_argnums=0)
def _times(mesh: Mesh, a: Array, c: Array) -> Array:
    local = lambda a, c: jax.lax.all_gather(a @ c, AXIS, tiled=True)
    return _mapped(mesh, local, (SPLIT, SHARED), SHARED)(a, c)
