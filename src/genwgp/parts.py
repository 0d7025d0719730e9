"""Functions of a batch of particles, evaluated in parts of one shape, on all cores at once."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

BLOCK = 64  # particles at a time: what they need fits the processor's cache
PART, LARGE_PART = 512, 16_384  # particles of one call, on a processor and on an accelerator: memory stays bounded


def over_particles(function: Callable, particles: Any) -> Any:
    """`function` of one particle at all of a batch; large ones in blocks that stay in the processor's cache."""
    if jax.tree.leaves(particles)[0].shape[0] <= 4 * BLOCK:
        return jax.vmap(function)(particles)
    return jax.lax.map(function, particles, batch_size=BLOCK)


def over_parts(function: Callable) -> Callable:
    """`function(*shared, particles)`, compiled; particles: a pytree of arrays (n, ...), as is what it returns.

    XLA runs the loop of one call over blocks of particles on hardly more than one core of a processor; parts in
    threads use all of them: 1.7 to 2.2 times faster on two. The result does not depend on their number: parts have the
    same size everywhere, and the last one is filled up, so that code compiled once serves batches of every size.
    Floats among `shared` are traced, whole numbers are compiled in. Where jax traces an argument there is one part.
    """
    in_parts = each_part(function)
    compiled = eqx.filter_jit(function)

    @wraps(function)
    def joined(*arguments: Any) -> Any:
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(arguments)):
            return compiled(*map(_traceable, arguments))
        n = len(jax.tree.leaves(arguments[-1])[0])
        return jax.tree.map(lambda *a: jnp.asarray(np.concatenate(a)[:n]), *in_parts(*arguments))

    return joined


def each_part(function: Callable) -> Callable:
    """The same without the joining: a list, in numpy, of what it returns of each part. Of no particles there is one."""
    compiled, seen = eqx.filter_jit(function), set()

    @wraps(function)
    def in_parts(*arguments: Any) -> list[Any]:
        *shared, particles = arguments
        shared = [_traceable(a) for a in shared]
        particles = jax.tree.map(np.asarray, particles)
        n = len(jax.tree.leaves(particles)[0])
        if n == 0:
            particles = jax.tree.map(lambda a: np.zeros((1, *a.shape[1:]), a.dtype), particles)
        size = min(PART if jax.default_backend() == "cpu" else LARGE_PART, 1 << max(n - 1, 0).bit_length())
        exact = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue] (of this thread alone)

        def part(start: int) -> Any:
            index = np.minimum(np.arange(start, start + size), max(n - 1, 0))
            with jax.enable_x64(exact):
                return jax.tree.map(np.asarray, compiled(*shared, jax.tree.map(lambda a: a[index], particles)))

        starts = range(0, max(n, 1), size)
        key = _signature((shared, jax.tree.map(lambda a: a[:1], particles)), size, exact)
        if key is None or key not in seen:
            # Compiled by one thread: two that compile and store the same code at once have crashed jax's cache.
            first = [part(0)]
            seen.add(key)
            return first + list(_threads().map(part, starts[1:]))
        return list(_threads().map(part, starts))

    return in_parts


def _signature(arguments: Any, *others: Any) -> Any:
    """What decides whether code must be compiled; None where that cannot be told."""
    leaves, tree = jax.tree.flatten(arguments)
    shapes = tuple((a.shape, a.dtype) if eqx.is_array(a) or isinstance(a, np.ndarray) else a for a in leaves)
    try:
        hash(found := (tree, shapes, others))
    except TypeError:
        return None
    return found


def _traceable(argument: Any) -> Any:
    return jnp.asarray(argument, dtype=float) if isinstance(argument, float) else argument


@cache
def _threads() -> ThreadPoolExecutor:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(cores, "genwgp")
