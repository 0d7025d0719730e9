"""What this machine can do, measured in the same run: products of matrices, exponentials, memory."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from timing.stopwatch import Timing, Work, elapsed, measured

ROUNDS = 64  # exponentials one after the other
FLOOR = ["s", "floor (s)", "time / floor", "with exp", "cores / floor", "MiB"]  # what `against_floor` gives


class Rates(NamedTuple):
    """Per second: floating point operations in products of matrices, exponentials, bytes read and written."""

    matmul64: float
    matmul32: float
    exp64: float
    exp32: float
    bandwidth: float

    def floor(self, work: Work, bits: int = 64, transcendentals: bool = False) -> float:
        """The least seconds for this work: its flops at the rate of matmul, or its bytes at that of memory.

        With `transcendentals` those come on top of the flops, at their own rate.
        """
        seconds = work.flops / (self.matmul64 if bits == 64 else self.matmul32)
        if transcendentals:
            seconds += work.transcendentals / (self.exp64 if bits == 64 else self.exp32)
        return max(seconds, work.bytes / self.bandwidth)


class Machine(NamedTuple):
    """Rates by the clock, and by the seconds of all cores together (of no meaning on an accelerator)."""

    clock: Rates
    cores: Rates

    def against_floor(self, timing: Timing, work: Work, bits: int = 64) -> list[str]:
        """Cells of a row."""
        floor, with_exp = (self.clock.floor(work, bits, on_top) for on_top in (False, True))
        cells = [f"{timing.seconds:.3g}", f"{floor:.3g}", f"{timing.seconds / floor:.1f}"]
        cells.append(f"{timing.seconds / with_exp:.1f}")
        of_cores = timing.core_seconds / self.cores.floor(work, bits)
        return [*cells, "-" if accelerated() else f"{of_cores:.1f}", timing.memory]

    def text(self) -> str:
        a = Rates(*(rate / 1e9 for rate in self.clock))
        return (
            f"Rates of this run: matmul {a.matmul64:.0f} GFLOP/s in float64, {a.matmul32:.0f} in float32; "
            f"{a.exp64:.2f} and {a.exp32:.2f} billion exponentials a second; memory {a.bandwidth:.1f} GB/s."
        )


def accelerated() -> bool:
    return jax.default_backend() != "cpu"


def machine() -> Machine:
    n, longer = (8192, 64) if accelerated() else (2048, 1)
    matmul = [_matmul(n, dtype) for dtype in (jnp.float64, jnp.float32)]
    if not accelerated():  # numpy's library may be faster than XLA's
        matmul = [_best(own, _numpy_matmul(n, d)) for own, d in zip(matmul, (np.float64, np.float32), strict=True)]
    exp = [_exp(dtype, longer) for dtype in (jnp.float64, jnp.float32)]
    pairs = [*matmul, *exp, _bandwidth(2**28 if accelerated() else 2**25)]
    return Machine(Rates(*(pair[0] for pair in pairs)), Rates(*(pair[1] for pair in pairs)))


Pair = tuple[float, float]  # a rate by the clock and by the cores


def _rate(amount: float, call) -> Pair:
    elapsed(call)
    timing = measured(call)
    return amount / timing.seconds, amount / max(timing.core_seconds, 1e-9)


def _best(a: Pair, b: Pair) -> Pair:
    return max(a[0], b[0]), max(a[1], b[1])


def _matmul(n: int, dtype) -> Pair:
    a = jax.random.normal(jax.random.key(0), (n, n), dtype)
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision="highest"))
    return _rate(2 * n**3, lambda: product(a, a))


def _numpy_matmul(n: int, dtype) -> Pair:
    a = np.random.default_rng(0).normal(size=(n, n)).astype(dtype)
    b = a.copy()  # numpy sees a product of a matrix with itself
    return _rate(2 * n**3, lambda: a @ b)


def _exp(dtype, factor: int) -> Pair:
    """Of numbers that stay in the cache; each is the exponent of the next."""
    x = jnp.linspace(0, 1, 2**16 * factor, dtype=dtype)
    rounds = jax.jit(lambda x: jax.lax.fori_loop(0, ROUNDS, lambda i, x: jnp.exp(-x), x))
    return _rate(ROUNDS * x.size, lambda: rounds(x))


def _bandwidth(n: int) -> Pair:
    """a = b + 2 c of long arrays: two are read, one is written."""
    b = jnp.ones(n)
    c = b + 1
    triad = jax.jit(lambda b, c: b + 2 * c)
    return _rate(3 * n * b.dtype.itemsize, lambda: triad(b, c))
