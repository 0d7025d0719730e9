"""The sum over pairs of an interaction: memory and time for many particles, beside a bare loop over tiles.

    python benchmarks/pairs.py

writes benchmarks/results/pairs.md.
"""

import resource
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tables import machine, markdown

from genwgp.energies import FreeEnergy, GaussianInteraction

TABLE = Path(__file__).parent / "results" / "pairs.md"
N, LARGE, TILE, REPEATS = 12_000, 50_000, 64, 3
NOTES = f"""
Force of a Gaussian interaction, W = -2 exp(-|z|^2 / 0.98), on {N} particles in the plane by all of them, float64.
`bare loop`: the closed form of grad W in a jitted loop over tiles of {TILE} x {N}, with nothing around it.
`F, reverse`: gradient of F by the particles, through the sum over pairs. Times: the least of {REPEATS}. Memory: largest
resident size of the process so far, jax and what it compiled included, with {LARGE} particles, once; a matrix of their
pairs alone would take {LARGE**2 * 8 / 2**30:.0f} GiB.
"""


def bare(x: Any) -> Any:
    n = len(x)

    def tile(block: Any) -> Any:
        z = block[:, None, :] - x[None, :, :]
        weight = 2.0 / 0.49 * jnp.exp(-0.5 / 0.49 * (z**2).sum(-1))
        return (weight[:, :, None] * z).sum(1) / (n - 1)

    return jax.lax.map(tile, jnp.pad(x, ((0, -n % TILE), (0, 0))).reshape(-1, TILE, 2)).reshape(-1, 2)[:n]


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    energy = FreeEnergy(interaction=GaussianInteraction(-2.0, 0.7))
    x, many = (jax.random.normal(jax.random.key(0), (n, 2)) for n in (N, LARGE))
    value = lambda x: energy.value(x, jnp.zeros(len(x)))
    rows, found, first = [], {}, 0.0
    for name, function in {"bare loop": bare, "drift": energy.drift, "F": value, "F, reverse": jax.grad(value)}.items():
        compiled = jax.jit(lambda x, function=function: function(x))
        found[name] = jax.block_until_ready(compiled(x))
        seconds = min(_timed(compiled, x) for _ in range(REPEATS))
        jax.block_until_ready(compiled(many))
        first = first or seconds
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append([name, f"{seconds:.2f}", f"{seconds / first:.2f}", f"{memory:.2f}"])
        print(rows[-1], flush=True)
    np.testing.assert_allclose(found["drift"], found["bare loop"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["F, reverse"] * N, found["drift"], rtol=1e-9, atol=1e-12)
    table = markdown(["what", "s", "over bare loop", "memory so far (GiB)"], rows)
    TABLE.write_text(f"# Sums over pairs\n\n{table}\n{NOTES}\nMachine: {machine()}.\n", encoding="utf-8")


def _timed(compiled: Any, x: Any) -> float:
    began = time.perf_counter()
    jax.block_until_ready(compiled(x))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
