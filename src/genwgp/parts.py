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

# Particles at a time. BLOCK: on a processor, whose cache they fit. LARGE_BLOCK: on an accelerator; WIDE_BLOCK: there,
# where each has a row for every equation and a column for every feature.
BLOCK, LARGE_BLOCK, WIDE_BLOCK = 64, 4096, 512
PART, LARGE_PART = 512, 16_384  # of one call: memory stays bounded


def on_host() -> bool:
    """Whether jax computes on the processor, where its arrays are numpy's at no cost."""
    return jax.default_backend() == "cpu"


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

    On an accelerator products of float32 matrices are of float32: jax would take TensorFloat32, of three digits. On a
    processor without YNNPACK, whose calls take longer than products of a few numbers: float32 took twice as long as
    float64 with it, and takes half as long without.
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
def _options() -> dict[str, str] | None:
    """Of XLA's compiler, as far as this version knows them."""
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options if on_host() else None


def over_parts(function: Callable) -> Callable:
    """`function(*shared, particles)`, compiled; particles: a pytree of arrays (n, ...), as is what it returns.

    XLA runs the loop of one call over blocks of particles on hardly more than one core of a processor; parts in
    threads use all of them: 1.7 to 2.2 times faster on two. The result does not depend on their number: parts have the
    same size everywhere, and the last one is filled up, so that code compiled once serves batches of every size.
    Floats among `shared` are traced, whole numbers are compiled in. Where jax traces an argument there is one part.
    On an accelerator parts are larger, and what they return stays there.
    """
    in_parts = each_part(function)
    inside = eqx.filter_jit(function)

    @wraps(function)
    def joined(*arguments: Any) -> Any:
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(arguments)):
            return inside(*map(_traceable, arguments))
        n = len(jax.tree.leaves(arguments[-1])[0])
        join = np.concatenate if on_host() else jnp.concatenate
        return jax.tree.map(lambda *a: jnp.asarray(join(a)[:n]), *in_parts(*arguments))

    return joined


def each_part(function: Callable) -> Callable:
    """The same without the joining: a list of what it returns of each part, in numpy on a processor.

    Of no particles there is one.
    """
    alone = compiled(function)

    @wraps(function)
    def in_parts(*arguments: Any) -> list[Any]:
        *shared, particles = arguments
        shared = [_traceable(a) for a in shared]
        particles = jax.tree.map(where_it_is, particles)
        n = len(jax.tree.leaves(particles)[0])
        if n == 0:
            particles = jax.tree.map(lambda a: np.zeros((1, *a.shape[1:]), a.dtype), particles)
        size = min(PART if on_host() else LARGE_PART, 1 << max(n - 1, 0).bit_length())
        exact = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue] (of this thread alone)

        def part(start: int) -> Any:
            index = np.minimum(np.arange(start, start + size), max(n - 1, 0))
            with jax.enable_x64(exact):
                return jax.tree.map(where_it_is, alone(*shared, jax.tree.map(lambda a: a[index], particles)))

        # An accelerator is told one part after the other and does not make this thread wait.
        each = _threads().map if on_host() else map
        return list(each(part, range(0, max(n, 1), size)))

    return in_parts


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
