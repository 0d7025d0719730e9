"""Particles over devices: time of a Newton step for one problem and for one that grows, and what is communicated.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 python benchmarks/scaling.py [devices ...]

writes benchmarks/results/scaling.md. Bytes are counted in the compiled code of every function that a step calls.
"""

import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tables import machine, markdown

import genwgp as gw
from genwgp import mesh
from genwgp.layers.fields import Field, Quadratic, Waves
from genwgp.solvers import collocation as col
from genwgp.solvers.mean_field import MeanField
from genwgp.solvers.particles import initial_state
from genwgp.solvers.segment import Segment

TABLE = Path(__file__).parent / "results" / "scaling.md"
DEVICES, PARTICLES, FEATURES, REPEATS = (1, 2, 4, 8), 3072, 192, 3
SIZES = {"f64": 8, "f32": 4, "s64": 8, "s32": 4, "pred": 1}
COLLECTIVE = re.compile(r"= (.+?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(")
NOTES = f"""
A step: the Jacobian of the collocation equations through the motion of the particles, in the plane, of {FEATURES} waves
and a quadratic; the normal matrix, its factor on the host, the direction, and the equations at the trial. `strong`:
{PARTICLES} particles in all; `weak`: {PARTICLES} for each device. Times: the least of {REPEATS}, in seconds. Devices
that a processor is divided into share its cores and its memory: more of them than cores gain nothing, and one of them
uses hardly more than one core. Communication: the largest result of each kind of collective operation in what is
compiled, counted where XLA is told to write it (`--xla_dump_to`); gathers are those of one round of particles.
"""


def problem(n: int) -> tuple[MeanField, Segment, Any, Any, col.Penalty]:
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape))
    field = Field((Quadratic(jnp.zeros(2)), Waves(draw(FEATURES, 2), draw(FEATURES))))
    energy = gw.FreeEnergy(lambda x: (x @ x) ** 2, gw.Entropy(1.0))
    state = initial_state(gw.Gaussian(np.zeros(2), 1.0), draw(n, 2))
    segment = Segment(field, 0.01 * draw(field.size), 0.01 * draw(field.size), jnp.asarray(0.05), jnp.asarray(8))
    penalty = col.Penalty(np.full(field.size, 1e-6), np.zeros(field.size))
    return MeanField(energy, None), segment, state, jnp.full((n, 3), n**-0.5), penalty


def step(mean_field: MeanField, segment: Segment, state: Any, weight: Any, penalty: col.Penalty) -> float:
    stages = col.collocate(mean_field, segment, state, weight, penalty)
    factor = col.factorise(mean_field, segment, state, weight, penalty)
    direction, _ = col.newton_direction(factor, segment, stages, penalty)
    trial = segment._replace(first=segment.first + direction[0], second=segment.second + direction[1])
    return col.collocate(mean_field, trial, state, weight, penalty).size


def seconds(devices: int, n: int) -> float:
    given = problem(n)
    with mesh.on(mesh.mesh_of(devices)):
        step(*given)  # compiles
        return min(_timed(*given) for _ in range(REPEATS))


def _timed(*given: Any) -> float:
    began = time.perf_counter()
    step(*given)
    return time.perf_counter() - began


def communicated(folder: Path) -> dict[str, dict[str, int]]:
    """Bytes of collective operations by the compiled function, from the code that XLA was told to write."""
    found: dict[str, dict[str, int]] = {}
    for file in folder.glob("*after_optimizations.txt"):
        name = re.sub(r"^module_\d+\.(.+?)\..*$", r"\1", file.name)
        for shapes, kind in COLLECTIVE.findall(file.read_text(encoding="utf-8")):
            of = found.setdefault(name, {})
            of[kind] = max(of.get(kind, 0), sum(map(_bytes, re.findall(r"(\w+)\[([\d,]*)\]", shapes))))
    return found


def _bytes(shape: tuple[str, str]) -> int:
    kind, sizes = shape
    return SIZES.get(kind, 0) * int(np.prod([int(size) for size in sizes.split(",") if size], dtype=int))


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_enable_compilation_cache", False)  # what is read back is not written out
    chosen = tuple(map(int, sys.argv[1:])) or tuple(n for n in DEVICES if n <= len(jax.devices()))
    rows = []
    for devices in chosen:
        strong, weak = seconds(devices, PARTICLES), seconds(devices, devices * PARTICLES)
        rows.append([str(devices), f"{strong:.2f}", f"{weak:.2f}"])
        print(rows[-1], flush=True)
    parts = [markdown(["devices", "strong", "weak"], rows)]
    if (flags := re.search(r"--xla_dump_to=(\S+)", os.environ.get("XLA_FLAGS", ""))) is not None:
        volumes = communicated(Path(flags[1]))
        lines = [[name, kind, f"{size:,}"] for name, of in sorted(volumes.items()) for kind, size in of.items()]
        parts.append(markdown(["function", "operation", "bytes"], lines))
    print(parts[-1])
    cores, load = os.cpu_count(), os.getloadavg()[0]  # where others compute too, times say little
    text = "\n\n".join(parts)
    TABLE.write_text(
        f"# Particles over devices\n\n{text}\n{NOTES}\nMachine: {machine()}, {cores} cores, load {load:.1f}.\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
