"""Potentials and units that break numerical codes: what the defaults of `solve` make of them.

    python benchmarks/faults.py [WORD ...]

writes benchmarks/results/faults.md: for each what was tried, what is expected and what happened. With words, only the
groups whose names have one of them; the other rows stay. The exit code is 1 where something else happened.
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tables import earlier, machine, markdown

import genwgp as gw
from genwgp.errors import GenwgpError

TABLE = Path(__file__).parent / "results" / "faults.md"
SOLVED, SAME, REFUSED, TOLD = "solved", "as the base", "refused", "solved, or not with a reason"
FIRST = "the base"
PARTICLES = 2048  # that are compared
# The largest difference from the base: other rounding chooses other ridges and ends at another gap, as other seeds do.
WITHIN = 1e-2
HEADER = ["tried", "expected", "result", "gap, nats", "ESS", "differs by", "s", "as expected", "message"]
ANGLE = 0.7


class Units(NamedTuple):
    """The base problem in other coordinates and units: x' = scale R x + shift, V' = energy V + constant."""

    scale: float = 1.0
    shift: float = 0.0
    angle: float = 0.0
    energy: float = 1.0
    constant: float = 0.0

    def rotation(self, dim: int) -> np.ndarray:
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, -s], [s, c]]) if dim == 2 else np.eye(dim)


class Case(NamedTuple):
    """One row: its name, what is expected, how its problem is made, and in which units of the base that one is."""

    name: str
    expected: str
    make: Callable[[], gw.Problem]
    units: Units | None = None


class End(NamedTuple):
    """How a solve ended."""

    result: str
    message: str
    solution: Any = None


class Group(NamedTuple):
    """Cases with one action; those in other units are compared with the one that is called the base."""

    name: str
    action: Any
    cases: list[Case]


def double_well(x):
    return 2 * (x[0] ** 2 - 1) ** 2 + 0.2 * x[0]


def banana(x):
    return 0.5 * x[0] ** 2 + 2 * (x[1] - 0.5 * x[0] ** 2) ** 2


def in_units(V: Callable, mean: list[float], deviation: float, D: float, units: Units) -> gw.Problem:
    """The flow of V from N(mean, deviation^2 I), in these units."""
    R, a, b, k, c = units.rotation(len(mean)), units.scale, units.shift, units.energy, units.constant
    inverse = R.T / a

    def potential(x):
        return k * V(inverse @ (x - b)) + c

    start = gw.Gaussian(a * R @ np.array(mean) + b, (a * deviation) ** 2)
    return gw.Problem(gw.FreeEnergy(potential, gw.Entropy(k * D)), start)


def well(name: str, expected: str = SAME, D: float = 1.0, **units: float) -> Case:
    """The double well on a line, from its left side."""
    chosen = Units(**units)
    compared = chosen if expected == SAME else None
    return Case(name, expected, lambda: in_units(double_well, [-1.0], 0.3, D, chosen), compared)


def curved(name: str, expected: str = SAME, **units: float) -> Case:
    """A curved well in the plane."""
    chosen = Units(**units)
    return Case(name, expected, lambda: in_units(banana, [0.5, 1.0], 0.3, 1.0, chosen), chosen)


def own(name: str, expected: str, V: Callable, deviation: float = 0.3, mean: float = 0.0, dim: int = 1) -> Case:
    """A potential of its own, D = 1."""
    start = lambda: gw.Gaussian(np.full(dim, mean), deviation**2)
    return Case(name, expected, lambda: gw.Problem(gw.FreeEnergy(V, gw.Entropy(1.0)), start()))


def box(x):
    return jnp.where(jnp.abs(x[0]) < 2, 0.5 * x[0] ** 2, jnp.inf)


def half_line(x):
    """Minus the logarithm of a Gamma density: NaN at x < 0, where no particle comes."""
    return x[0] - 3 * jnp.log(x[0])


GROUPS = [
    Group(
        "double well",
        None,
        [
            well(FIRST, SOLVED),
            well("V + 1e6", constant=1e6),
            well("moved by 1e3", shift=1e3),
            well("lengths x 1e-3", scale=1e-3),
            well("lengths x 1e3", scale=1e3),
            well("energies x 1e-3, D = 1e-3", energy=1e-3),
            well("energies x 1e3, D = 1e3", energy=1e3),
            well("D = 0.1: a barrier of 20 D", TOLD, D=0.1),
            well("D = 1e-3", TOLD, D=1e-3),
            well("D = 10", SOLVED, D=10.0),
            well("D = 1e3", SOLVED, D=1e3),
        ],
    ),
    Group(
        "curved well in the plane, to T = 0.1",
        gw.FiniteHorizonAction(0.1),
        [
            curved(FIRST, SOLVED),
            curved("turned by 0.7", angle=ANGLE),
            curved("lengths x 1e-3, energies x 1e-6", scale=1e-3, energy=1e-6),
            curved("lengths x 1e3, energies x 1e6", scale=1e3, energy=1e6),
        ],
    ),
    Group("overflow", None, [own("V = exp(x^4) from N(0, 0.3^2)", SOLVED, lambda x: jnp.exp(x[0] ** 4))]),
    Group(
        "overflow at the start", None, [own("V = exp(x^4) from N(0, 10^2)", REFUSED, lambda x: jnp.exp(x[0] ** 4), 10)]
    ),
    Group("kink", None, [own("V = abs(x) from N(1, 0.3^2)", TOLD, lambda x: jnp.abs(x[0]), mean=1.0)]),
    Group("plateau", None, [own("V = max(abs(x) - 2, 0)^2", SOLVED, lambda x: jnp.maximum(jnp.abs(x[0]) - 2, 0) ** 2)]),
    Group("flat", None, [own("V = 0", REFUSED, lambda x: 0 * x[0])]),
    Group("flat far away", None, [own("V = -exp(-x^2)", REFUSED, lambda x: -jnp.exp(-(x[0] ** 2)))]),
    Group("flat, to T = 0.5", gw.FiniteHorizonAction(0.5), [own("V = 0, to T = 0.5", SOLVED, lambda x: 0 * x[0])]),
    Group("wall", None, [own("V = inf outside of (-2, 2), from N(0, 0.3^2)", REFUSED, box)]),
    Group("wall at the start", None, [own("V = inf outside of (-2, 2), from N(0, 2^2)", REFUSED, box, 2.0)]),
    Group("half line", None, [own("V = x - 3 log x from N(3, 0.3^2)", SOLVED, half_line, mean=3.0)]),
]


def particles(path: Any, units: Units) -> np.ndarray:
    """Where the same particles are at the nodes, (K + 1, n, d), in the units of the base."""
    R, n = units.rotation(path.dim), jax.random.normal(jax.random.key(3), (PARTICLES, path.dim))
    start = path.initial
    x0 = start.mean + jnp.sqrt(start.covariance[0, 0]) * (n @ R.T)  # isotropic: turned with the rest
    x = np.stack([np.asarray(path.transport(x0, node=k)) for k in range(len(path.arclength))])
    return (x - units.shift) @ R / units.scale


def difference(path: Any, units: Units, base: Any) -> float:
    """The largest of: particles apart over their displacement, drop of F, arclength and times, each at the nodes."""
    x, y = particles(path, units), particles(base, Units())
    rms = lambda a: np.sqrt((a**2).sum(-1).mean(-1))
    apart = rms(x[1:] - y[1:]) / rms(y[1:] - y[:1])
    drop = lambda path: np.asarray(path.free_energy[0] - path.free_energy[1:])
    energy = np.abs(drop(path) / units.energy - drop(base)) / drop(base)[-1]
    length = abs(path.arclength[-1] / units.scale / base.arclength[-1] - 1)
    inside = lambda path: np.asarray(path.times[1:-1])
    clock = np.abs(inside(path) * units.energy / units.scale**2 / inside(base) - 1)
    return float(max(apart.max(), energy.max(), length, clock.max()))


def tried(group: Group) -> list[list[str]]:
    """The rows of a group, whose problems are compiled together where they are of one structure."""
    made = [_made(case) for case in group.cases]
    ended = iter(_ended([problem for problem in made if isinstance(problem, gw.Problem)], group.action))
    rows, base = [], None
    for case, problem in zip(group.cases, made, strict=True):
        end = next(ended) if isinstance(problem, gw.Problem) else End("refused", str(problem))
        if case.name == FIRST and end.solution is not None:
            base = end.solution.path
        rows.append(_row(group, case, end, base))
        print(" | ".join(rows[-1]), flush=True)
    return rows


def _made(case: Case) -> gw.Problem | GenwgpError:
    try:
        return case.make()
    except GenwgpError as error:
        return error


def _ended(problems: list[gw.Problem], action: Any) -> list[End]:
    """How each of them ended; a fault of the program is one of the answers."""
    ends: list[End] = []

    def tell(row: gw.Row) -> None:
        ends.append(End(row.result, row.message, row.solution))
        print(row.parameters["problem"], row.result, row.message, f"{row.figures.get('seconds', 0):.0f} s", flush=True)

    while len(ends) < len(problems):
        try:
            gw.solve_many(problems[len(ends) :], action=action, each=tell)
        except Exception as error:  # which is what is looked for
            traceback.print_exc()
            ends.append(End("traceback", f"{type(error).__name__}: {error}"))
    return ends


def _row(group: Group, case: Case, end: End, base: Any) -> list[str]:
    solution, compared = end.solution, case.units is not None and base is not None and end.solution is not None
    figures = {} if solution is None else {**solution.diagnostics, **solution.stats}
    apart = difference(solution.path, case.units, base) if compared else np.nan
    result = "converged, with NaN" if end.result == "converged" and not _finite(solution) else end.result
    figure = lambda name, form: f"{figures[name]:{form}}" if np.isfinite(figures.get(name, np.nan)) else ""
    return [
        f"{group.name}: {case.name}",
        case.expected,
        result,
        figure("gap", ".1e"),
        figure("effective_sample_size", ".4f"),
        f"{apart:.1e}" if np.isfinite(apart) else "",
        figure("seconds", ".0f"),
        "yes" if as_expected(case.expected, result, apart) else "no",
        " ".join(end.message.split()).replace("|", "\\|"),
    ]


def as_expected(expected: str, result: str, apart: float) -> bool:
    """Whether a case ended as it should; every result but convergence has a message."""
    return {
        SOLVED: result == "converged",
        SAME: result == "converged" and apart < WITHIN,
        REFUSED: result == "refused",
        TOLD: result in ("converged", "not_converged"),
    }[expected]


def _finite(solution: Any) -> bool:
    """Whether everything that a converged path says is a number."""
    path = solution.path
    curves = (path.times[:-1], path.arclength, path.free_energy, path.dissipation, path.speed)
    return all(np.isfinite(np.asarray(curve)).all() for curve in curves)


NOTES = f"""
All defaults of `solve`; seed 0, float64. `gap`: of the last node to the equilibrium, by importance weights; `ESS`
likewise. `differs by`: from the base of the group, in its units: the largest of the distance of {PARTICLES} particles
over their displacement, of the drop of F over the whole drop, and of arclength and times, relative, over all nodes;
expected: below {WITHIN:g}. Seconds include compilation, which the cases of a group share.
"""


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    words = sys.argv[1:]
    known = earlier(TABLE) if words else {}
    for group in GROUPS:
        if not words or any(word in group.name for word in words):
            known |= {row[0]: row for row in tried(group)}
            write([known[label] for label in _labels() if label in known])
    sys.exit(any(row[7] != "yes" for row in known.values()))


def _labels() -> list[str]:
    return [f"{group.name}: {case.name}" for group in GROUPS for case in group.cases]


def write(rows: list[list[str]]) -> None:
    title, table = "# Potentials and units that break numerical codes", markdown(HEADER, rows)
    TABLE.write_text(f"{title}\n\n{table}\n{NOTES}\nMachine: {machine()}.\n", encoding="utf-8")


if __name__ == "__main__":
    main()
