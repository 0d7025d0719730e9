"""Functions of a batch of particles, evaluated in parts of one shape, on all cores at once."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh
from jaxtyping import Array, Float
from threadpoolctl import threadpool_limits

from genwgp import mesh

# Particles at a time. BLOCK: on a processor, whose cache they fit. LARGE_BLOCK: on an accelerator; WIDE_BLOCK: there,
# where each has a row for every equation and a column for every feature.
BLOCK, LARGE_BLOCK, WIDE_BLOCK = 64, 4096, 512
PART, LARGE_PART = 256, 16_384  # of one call: memory stays bounded, and a few cores have the same share of a batch
CHUNK = 2048  # rows of one product of matrices, at least
# On a processor. Without YNNPACK, whose calls take longer than products of a few numbers: float32 took twice as long as
# float64 with it, and takes half as long without. Without fusion emitters: as fast, and compiled in three quarters of
# the time.
OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "", "xla_cpu_use_fusion_emitters": False}


def on_host() -> bool:
    """Whether jax computes on the processor, where its arrays are numpy's at no cost."""
    return jax.default_backend() == "cpu"


def default_float() -> np.dtype:
    """The floats that jax computes with: float64 or float32, as it is set."""
    return np.dtype(jax.dtypes.canonicalize_dtype(float))


def where_it_is(array: Any) -> Any:
    """An array for algebra, where jax has it; on a processor of numpy, whose products of matrices are faster."""
    return np.asarray(array) if on_host() else jnp.asarray(array)


def over_particles(function: Callable, particles: Any) -> Any:
    """`function` of one particle at all of a batch; large ones in blocks that stay in the processor's cache."""
    block = BLOCK if on_host() else LARGE_BLOCK
    if jax.tree.leaves(particles)[0].shape[0] <= (4 * block if on_host() else block):
        return jax.vmap(function)(particles)
    return jax.lax.map(function, particles, batch_size=block)


def over_wide(function: Callable, particles: Any) -> Any:
    """`function` of one particle, which returns a whole matrix, at all of a batch."""
    return jax.lax.map(function, particles, batch_size=BLOCK if on_host() else WIDE_BLOCK)


def compiled(function: Callable) -> Callable:
    """`function` compiled for a call that nothing else is compiled around, as these computations need it.

    On an accelerator products of float32 matrices are of float32: jax would take TensorFloat32, of three digits.
    """

    @wraps(function)
    def precise(*arguments: Any, **named: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return function(*arguments, **named)

    @cache
    def made() -> Callable:
        return eqx.filter_jit(precise, compiler_options=_options())  # pyright: ignore[reportCallIssue]

    return wraps(function)(lambda *arguments, **named: made()(*arguments, **named))


@cache
def _options() -> dict[str, Any] | None:
    """Of XLA's compiler, those of OPTIONS that this version knows."""
    return {name: value for name, value in OPTIONS.items() if _known({name: value})} if on_host() else None


def _known(option: dict[str, Any]) -> bool:
    try:
        jax.jit(lambda x: x, compiler_options=option).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def over_parts(function: Callable) -> Callable:
    """`function(*shared, particles)`, compiled; particles: a pytree of arrays (n, ...), as is what it returns.

    XLA runs the loop of one call over blocks of particles on hardly more than one core of a processor; parts in
    threads use all of them: 1.7 to 2.2 times faster on two. The result does not depend on their number: parts have the
    same size everywhere, and the last one is filled up, so that code compiled once serves batches of every size.
    Floats among `shared` are traced, whole numbers are compiled in. Where jax traces an argument there is one part.
    On an accelerator parts are larger, and what they return stays there.
    """
    in_parts = each_part(function)
    inside, over_devices = eqx.filter_jit(function), mesh.gathered(function)

    @wraps(function)
    def joined(*arguments: Any) -> Any:
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(arguments)):
            return inside(*map(_traceable, arguments))
        if (devices := mesh.current()) is not None:
            return _on_devices(devices, over_devices, arguments)
        n = len(jax.tree.leaves(arguments[-1])[0])
        return jax.tree.map(lambda *a: jnp.asarray(_join(a)[:n]), *in_parts(*arguments))

    return joined


def each_part(function: Callable) -> Callable:
    """The same without the joining: a list of what it returns of each part, in numpy on a processor.

    Of no particles there is one.
    """
    alone, over_devices = compiled(function), mesh.stacked(function)

    @wraps(function)
    def in_parts(*arguments: Any) -> list[Any]:
        if (devices := mesh.current()) is not None:
            return _each_on_devices(devices, over_devices, arguments)
        *shared, particles = arguments
        shared = [_traceable(a) for a in shared]
        particles = jax.tree.map(where_it_is, particles)
        n = len(jax.tree.leaves(particles)[0])
        if n == 0:
            particles = jax.tree.map(lambda a: np.zeros((1, *a.shape[1:]), a.dtype), particles)
        size = min(_most(), 1 << max(n - 1, 0).bit_length())
        exact = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue] (of this thread alone)

        def part(start: int) -> Any:
            index = np.minimum(np.arange(start, start + size), max(n - 1, 0))
            with jax.enable_x64(exact):
                return jax.tree.map(where_it_is, alone(*shared, jax.tree.map(lambda a: a[index], particles)))

        # An accelerator is told one part after the other and does not make this thread wait.
        each = _threads().map if on_host() else map
        return list(each(part, range(0, max(n, 1), size)))

    return in_parts


def over_rows(function: Callable) -> Callable:
    """`function(*shared, particles)` whose results are matrices (n, e, q), as what normal equations are made of.

    On a mesh they stay on its devices (`mesh.Tall`); elsewhere they are in one place (`Rows`).
    """
    in_parts, over_devices = each_part(function), mesh.tall(function)

    @wraps(function)
    def rows(*arguments: Any) -> Any:
        n = len(jax.tree.leaves(arguments[-1])[0])
        if (devices := mesh.current()) is None:
            return jax.tree.map(lambda *a: Rows(_join(a)[:n]), *in_parts(*arguments))
        shared = mesh.everywhere(devices, tuple(map(_traceable, arguments[:-1])))
        _, batches = mesh.rounds(devices, arguments[-1], _share(n, devices))
        count = mesh.everywhere(devices, np.asarray(n))
        parts = [over_devices(devices, shared, particles, place, count) for particles, place in batches]
        return jax.tree.map(lambda *a: mesh.Tall(devices, list(a), n), *parts)

    return rows


class Rows(eqx.Module):
    """A matrix (n, e, q) with e rows for each of n particles, in one place: what `mesh.Tall` is on devices.

    On a processor of numpy, which sees that A^T A is symmetric and takes a quarter of the time of jax's general
    product; else on the accelerator, and only its products come to the host. Its sums are those of chunks of rows, in
    threads of their own: the libraries' threads wait for work in loops that take the time from those of `in_parts`
    (`blas_alone`), and what they find depends on their number.
    """

    matrix: Float[np.ndarray | Array, "n e q"]

    @property
    def flat(self) -> Float[np.ndarray | Array, "r q"]:
        return self.matrix.reshape(-1, self.matrix.shape[-1])

    def __add__(self, other: Any) -> "Rows":
        return Rows(self.matrix + other.matrix)

    def __rmul__(self, factor: float) -> "Rows":
        return Rows(factor * self.matrix)

    def inner(self, other: Any) -> Float[np.ndarray, "q k"]:
        """A^T B."""
        a, b = self.flat, other.flat
        if not isinstance(a, np.ndarray):
            return np.asarray(a.T @ b)
        size = max(CHUNK, a.shape[1])  # not more products at a time than the matrix has numbers
        chunks = [slice(start, start + size) for start in range(0, len(a), size)]
        return sum(
            _threads().map(lambda rows: a[rows].T @ b[rows], chunks), np.zeros((a.shape[1], b.shape[1]), a.dtype)
        )

    def transposed(self, rows: Float[np.ndarray, "n e *k"]) -> Float[np.ndarray, "q *k"]:
        """A^T r, for one right side or several."""
        return np.asarray(self.flat.T @ rows.reshape(-1, *rows.shape[2:]))

    def times(self, c: Float[np.ndarray, "q *k"]) -> Float[np.ndarray, "n e *k"]:
        """A c."""
        return np.asarray(self.flat @ c).reshape(*self.matrix.shape[:2], *c.shape[1:])


def blas_alone() -> threadpool_limits:
    """While this context is entered, linear algebra of the host takes one thread a call.

    numpy and scipy each bring threads that wait for work in loops: factors of a few hundred rows took nine times as
    long beside those of `in_parts` as with one thread.
    """
    return threadpool_limits(1, user_api="blas")


def _join(parts: tuple) -> Any:
    return (np if on_host() else jnp).concatenate(parts)


def _most() -> int:
    """Particles of one call."""
    return PART if on_host() else LARGE_PART


def _share(n: int, devices: Mesh) -> int:
    return mesh.share(n, devices.size, BLOCK, _most())


def _on_devices(devices: Mesh, function: Callable, arguments: tuple) -> Any:
    """What `over_parts` joins, from rounds over the devices."""
    *shared, particles = arguments
    n = len(jax.tree.leaves(particles)[0])
    shared = mesh.everywhere(devices, tuple(map(_traceable, shared)))
    n, batches = mesh.rounds(devices, particles, _share(n, devices))
    found = [function(devices, shared, batch) for batch, _ in batches]
    return jax.tree.map(lambda *a: jnp.asarray(np.concatenate([np.asarray(part) for part in a])[:n]), *found)


def _each_on_devices(devices: Mesh, function: Callable, arguments: tuple) -> list[Any]:
    """What `each_part` returns: parts of equal size, a power of two, for whatever number of devices."""
    *shared, particles = arguments
    n = len(jax.tree.leaves(particles)[0])
    size = min(_most(), 1 << max(n // devices.size, 1).bit_length() - 1)
    shared = mesh.everywhere(devices, tuple(map(_traceable, shared)))
    n, batches = mesh.rounds(devices, particles, size)
    found = [jax.tree.map(np.asarray, function(devices, shared, batch)) for batch, _ in batches]
    parts = [jax.tree.map(lambda a, i=i: a[i], part) for part in found for i in range(devices.size)]
    return parts[: -(-n // size)]


def make_room(share: float = 0.5) -> None:
    """Drop compiled code where this share of a process's memory maps is used: XLA crashes where none is left.

    Linux allows 65,530 of them unless told otherwise, and each compiled function takes about twenty: some fifty runs.
    """
    try:
        limit = int(Path("/proc/sys/vm/max_map_count").read_text())
        used = Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:  # a system without such a limit
        return
    if used > share * limit:
        jax.clear_caches()


def _traceable(argument: Any) -> Any:
    return jnp.asarray(argument, dtype=float) if isinstance(argument, float) else argument


@cache
def _threads() -> ThreadPoolExecutor:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(cores, "genwgp")
