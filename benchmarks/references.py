"""How good the references are: orders of convergence against exact paths, and errors of the defaults.

    python benchmarks/references.py

writes benchmarks/results/references.md: finite volumes against exact solutions on three meshes, the default mesh on
problems of the gallery, and Langevin particles against an exact path. Takes some minutes.
"""

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tables import machine, markdown

import genwgp as gw
from genwgp.energies import PorousMedium
from genwgp.references import (
    Barenblatt,
    FiniteVolume,
    Langevin,
    LogarithmicAggregation,
    McKeanVlasov,
    OrnsteinUhlenbeck,
)

TABLE = Path(__file__).parent / "results" / "references.md"
SMOOTH = 0.2  # of the largest density: below, fronts of compact supports are near
ENTROPY, PRESSURE = gw.Entropy(1.0), PorousMedium(2.0)
GALLERY = ["ornstein-uhlenbeck", "ornstein-uhlenbeck-mixture", "tilted-double-well", "banana", "double-well-1d"]


def parabola(x: Any) -> Any:
    return 0.5 * jnp.sum(x**2)


def weak(z: Any) -> Any:
    return 0.25 * jnp.sum(z**2)


def logarithmic(z: Any) -> Any:
    return 0.5 * jnp.sum(z**2) - 0.5 * jnp.log(jnp.sum(z**2))


def cases() -> list[tuple[str, Any, Any, tuple[int, int, int]]]:
    """Name, exact path, finite volumes by cells, cells."""
    narrow, modes = gw.Gaussian([1.5], 0.3**2), gw.Mixture([0.4, 0.6], [[-1.0], [1.0]], 0.1**2)
    line, square, wide = [[-3.0, 3.0]], [[-3.0, 3.0]] * 2, [[-2.0, 2.0]] * 2
    plane = gw.Gaussian([1.0, -1.0], [0.3, 0.2])
    A = np.array([[1.0, 0.4], [0.4, 0.8]])
    tilted = lambda x: 0.5 * x @ jnp.asarray(A) @ x
    free, confined = Barenblatt(1, 2.0, 0.75), Barenblatt(1, 2.0, 0.75, stiffness=1.0, centre=[0.375])
    flat = Barenblatt(2, 2.0, 0.75, stiffness=1.0, centre=[0.375, 0.0])
    disk = LogarithmicAggregation.create(2, 1.5)
    mean_field = McKeanVlasov([[1.0]], [0.0], [[0.5]], 1.0, narrow)
    make = lambda *parts, **settings: lambda n: FiniteVolume(*parts, cells=n, **settings)
    entropic, porous = {"internal": ENTROPY}, {"internal": PRESSURE}
    process = lambda A, start: OrnsteinUhlenbeck(A, np.zeros(len(A)), 1.0, start)
    return [
        ("Ornstein-Uhlenbeck", process([[1.0]], narrow), make(narrow, parabola, **entropic), (128, 256, 512)),
        ("the same, narrow modes", process([[1.0]], modes), make(modes, parabola, **entropic), (256, 512, 1024)),
        ("the same, d = 2", process(A, plane), make(plane, tilted, **entropic), (64, 128, 256)),
        ("McKean-Vlasov", mean_field, make(narrow, parabola, weak, **entropic), (128, 256, 512)),
        ("Barenblatt, m = 2", free, make(free.start, box=line, **porous), (128, 256, 512)),
        ("the same in a parabola", confined, make(confined.start, parabola, box=line, **porous), (128, 256, 512)),
        ("the same, d = 2", flat, make(flat.start, parabola, box=square, **porous), (48, 96, 192)),
        ("disk, logarithmic W", disk, make(disk.start, None, logarithmic, box=wide), (32, 64, 128)),
    ]


def energy_of(exact: Any, path: FiniteVolume, t: float) -> float:
    """F of the exact path: its closed form, or the sum over a mesh that resolves it (Ornstein-Uhlenbeck only)."""
    if not isinstance(getattr(exact, "start", None), gw.Mixture):
        return float(exact.free_energy(t))
    points = path.mesh.centres.reshape(-1, path.dim)
    log_rho = np.asarray(exact.density(t).log_prob(points))
    V = 0.5 * np.einsum("ni,ij,nj->n", points - exact.b, exact.A, points - exact.b)
    return float(np.sum(np.exp(log_rho) * (V + exact.D * log_rho))) * path.mesh.volume


def errors(exact: Any, path: FiniteVolume, t: float, drop: float) -> np.ndarray:
    """Of F over its drop, of mean and covariance over the larger of the start's spread and its way, of rho in L1."""
    rho, known, start = path.density(t), exact.density(t), exact.density(0)
    scale = np.sqrt(np.trace(start.covariance) + np.sum((np.asarray(start.mean) - np.asarray(known.mean)) ** 2))
    points = path.mesh.centres.reshape(-1, path.dim)
    expected = np.exp(np.asarray(known.log_prob(points))).reshape(path.mesh.cells)
    inside = expected > SMOOTH * expected.max()
    return np.array(
        [
            abs(path.free_energy(t) - energy_of(exact, path, t)) / drop,
            np.max(np.abs(np.asarray(rho.mean - known.mean))) / scale,
            np.max(np.abs(np.asarray(rho.covariance - known.covariance))) / float(jnp.max(jnp.abs(known.covariance))),
            np.sum(np.abs(rho.on_grid[1] - expected)[inside]) * path.mesh.volume,
        ]
    )


def convergence(t: float = 0.3) -> str:
    header = [
        "exact path",
        "cells per axis",
        "F",
        "mean",
        "covariance",
        "rho, L1",
        "order of F",
        "of rho",
        "mass - 1",
        "s",
    ]
    rows = []
    for name, exact, build, sizes in cases():
        last = None
        for n in sizes:
            began, path = time.process_time(), build(n)
            drop = path.free_energy(0) - exact.equilibrium_free_energy
            found = errors(exact, path, t, drop)
            order = np.full(4, np.nan) if last is None else np.log2(last / found)
            mass = path.density(t).on_grid[1].sum() * path.mesh.volume - 1
            seconds = f"{time.process_time() - began:.1f}"
            orders = ["" if np.isnan(o) else f"{o:.2f}" for o in order[[0, 3]]]
            rows.append([name, str(n), *(f"{e:.1e}" for e in found), *orders, f"{mass:.0e}", seconds])
            print(" | ".join(rows[-1]), flush=True)
            last = found
    return markdown(header, rows)


def defaults(times: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)) -> str:
    header = [
        "problem",
        "cells",
        *(f"F at t = {t:g}" for t in times),
        "largest error: F",
        "mean",
        "covariance",
        "F* error",
        "s",
    ]
    rows = []
    for name in GALLERY:
        problem = gw.problems.get(name)
        began, path = time.process_time(), FiniteVolume.of(problem)
        drop = path.free_energy(0) - path.equilibrium_free_energy
        F = [path.free_energy(t) for t in times]
        seconds = time.process_time() - began
        exact, known = problem.reference, problem.reference.density(0) is not None  # pyright: ignore
        if known:
            found = np.max([errors(exact, path, t, drop) for t in times], axis=0)
        else:
            found = by_extrapolation(problem, path, times, drop)
        star = path.equilibrium_free_energy - exact.equilibrium_free_energy  # pyright: ignore
        cells = " x ".join(map(str, path.mesh.cells))
        cells += "" if known else " (error by extrapolation)"
        rows.append(
            [name, cells, *(f"{f:.6f}" for f in F), *(f"{e:.1e}" for e in found[:3]), f"{star:.0e}", f"{seconds:.0f}"]
        )
        print(" | ".join(rows[-1]), flush=True)
    return markdown(header, rows)


def by_extrapolation(problem: gw.Problem, path: FiniteVolume, times: tuple[float, ...], drop: float) -> np.ndarray:
    """A third of the difference to half as many cells along each axis: the error of the finer mesh, of order two."""
    coarse = FiniteVolume.of(problem, box=path.mesh.box, cells=[n // 2 for n in path.mesh.cells])
    rows = []
    for t in times:
        fine, other = path.density(t), coarse.density(t)
        scale = float(
            jnp.sqrt(jnp.trace(path.density(0).covariance) + jnp.sum((path.density(0).mean - fine.mean) ** 2))
        )
        rows.append(
            [
                abs(path.free_energy(t) - coarse.free_energy(t)) / drop / 3,
                float(jnp.max(jnp.abs(fine.mean - other.mean))) / scale / 3,
                float(jnp.max(jnp.abs(fine.covariance - other.covariance)) / jnp.max(jnp.abs(fine.covariance))) / 3,
            ]
        )
    return np.max(rows, axis=0)


def particles(t: float = 1.0) -> str:
    problem = gw.problems.get("ornstein-uhlenbeck", dim=5)
    exact = problem.reference.density(t)  # pyright: ignore
    header = ["step h", "steps", "bias of the mean", "of the covariance", "error of the mean", "of the covariance", "s"]
    rows = []
    for step in (0.4, 0.2, 0.1, None):
        began, path = time.process_time(), Langevin.of(problem, particles=200_000, step=step)
        rho, bias = path.density(t), path.bias(t)
        gaps = [bias.mean, bias.covariance, rho.mean - exact.mean, rho.covariance - exact.covariance]  # pyright: ignore
        row = [
            f"{path.step:.3g}",
            str(int(np.ceil(t / path.step))),
            *(f"{float(jnp.max(jnp.abs(g))):.1e}" for g in gaps),
        ]
        rows.append([*row, f"{time.process_time() - began:.0f}"])
        print(" | ".join(rows[-1]), flush=True)
    return markdown(header, rows)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    orders, errors_of_defaults, langevin = convergence(), defaults(), particles()
    text = f"""# References against exact paths

## Finite volumes, three meshes, t = 0.3

{orders}

Errors: F over its drop to the equilibrium; the mean over the root of the start's variance plus its way squared;
covariances over the largest entry; rho in L1, where it is above a fifth of its maximum (away from fronts and, for the
disk, from the jump at its edge). Orders: log2 of the ratio to the row above.

## Finite volumes, default mesh

{errors_of_defaults}

Largest errors at these times, over the same scales. Where no exact path is known: a third of the difference to half as
many cells along each axis. Seconds of one core, with compilation, for F at all these times.

## Langevin particles, Ornstein-Uhlenbeck, d = 5, t = 1

{langevin}

200000 particles: sampling noise is about 3e-3. Bias: steps h against h/2 with the same noise; the answers are those of
h/2, with a third of this bias. The last row is the default step.

Machine: {machine()}.
"""
    TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
