"""How many operations the kernels need, from what XLA counts in their loop-free parts, and by hand.

By hand, for one particle, two operations a multiply-add, p features of a kind:

    rates    quadratic  4 d^2                                  (Q y, Q u)
             bumps      p (4 d^2 + 6 d (d+1) + 7 d + 8)        (y, three sums of affine maps, elementwise), p exp
             waves      p (8 d + 20)                           (w.x, w.u, two sums along w, elementwise), p exp
    tangent  quadratic  6 d p                                  (y and u into each column)
             bumps      p (6 d^2 + 14 d + 8)                   p exp
             waves      p (6 d + 20)                           p exp

XLA's count of the same terms agrees within a factor of 1.5 (the table `Work` shows it).

The loops, e = 2 d + 1, S steps:

    transport            4 S rates                             four stages of a Runge-Kutta step
    residuals            4 S rates + 2 equations
    Jacobian             M (2 linear + rates) + 4 S rates + linear + 16 M e^2 p + 8 (d+1) e p
                         M = S / 2 steps of the derivative; linear: tangent and the derivative of rates by x; each step
                         moves 2 p columns by one (e, e) and three (e, 3 e) products; two changes of the equations
    normal equations     n q (q + 1),   n = 2 (d+1) N rows, q = 2 p columns, one triangle
    Cholesky             q^3 / 3
"""

from collections.abc import Iterator

import jax
import numpy as np

from genwgp.layers.fields import AbstractTerm, Bumps, Quadratic, Waves
from genwgp.solvers.jacobian import COARSER, _linear
from genwgp.solvers.segment import FIRST, equations_at
from timing.cases import SUBSTEPS, Case, first
from timing.stopwatch import Work, counted

BATCH = 64  # particles of a count


def by_hand(term: AbstractTerm, dim: int) -> tuple[float, float] | None:
    """Operations of rates and tangent of a term at one particle; None for a potential of the user's."""
    d, p = dim, term.size
    if isinstance(term, Quadratic):
        return 4.0 * d**2, 6.0 * d * p
    if isinstance(term, Bumps):
        return p * (4.0 * d**2 + 6 * d * (d + 1) + 7 * d + 8), p * (6.0 * d**2 + 14 * d + 8)
    if isinstance(term, Waves):
        return p * (8.0 * d + 20), p * (6.0 * d + 20)
    return None


def rates(part, c, state) -> Work:
    """Of a field or a term with coefficients c, for one particle."""
    few = first(state, BATCH)
    at = lambda part, c, state: jax.vmap(lambda z: part.rates(c, z.x, z.score))(state)
    return counted(at, part, c, few).times(1 / BATCH)


def tangent(part, c, state) -> Work:
    few = first(state, BATCH)
    at = lambda part, c, state: jax.vmap(lambda z: part.tangent(c, z.x, z.score))(state)
    return counted(at, part, c, few).times(1 / BATCH)


def equations(case: Case) -> Work:
    at = lambda energy, segment, state: equations_at(energy, segment, FIRST, state)
    return counted(at, case.run.energy, case.segment, first(case.state, BATCH)).times(1 / BATCH)


def gradient(case: Case) -> Work:
    at = lambda energy, state: energy.gradient(*state)
    return counted(at, case.run.energy, first(case.state, BATCH)).times(1 / BATCH)


def standing(case: Case) -> Work:
    """Tangent and equations, which share what they can."""
    return tangent(case.field, case.segment.first, case.state).plus(equations(case))


def linear(case: Case) -> Work:
    at = lambda segment, state: jax.vmap(lambda z: _linear(segment, z, z.log_density * 0))(state)
    return counted(at, case.segment, first(case.state, BATCH)).times(1 / BATCH)


def substeps() -> tuple[int, int]:
    """Steps of the motion and of its derivative along a segment, as the two ways to the Radau points take them."""
    motion = [max(1, round(SUBSTEPS * share)) for share in (FIRST, 1 - FIRST)]
    coarse = [max(1, (n + 1) // COARSER) for n in motion]
    inside = [m * max(1, round(SUBSTEPS * share / m)) for m, share in zip(coarse, (FIRST, 1 - FIRST), strict=True)]
    return sum(inside), sum(coarse)


def residuals(case: Case) -> Work:
    steps = sum(max(1, round(SUBSTEPS * share)) for share in (FIRST, 1 - FIRST))
    return rates(case.field, case.segment.first, case.state).times(4 * steps).plus(equations(case).times(2))


def jacobian(case: Case) -> Work:
    steps, coarse = substeps()
    d, p = case.dim, case.field.size
    e, one, along = 2 * d + 1, rates(case.field, case.segment.first, case.state), linear(case)
    moved = Work(16.0 * coarse * e**2 * p + 8.0 * (d + 1) * e * p)
    return one.times(4 * steps + coarse).plus(along.times(2 * coarse + 1)).plus(moved)


def terms(case: Case) -> Iterator[list[str]]:
    """Rows of the table that compares XLA's counts with those by hand."""
    for term, c in zip(case.field.terms, case.field.split(case.segment.first), strict=True):
        hand = by_hand(term, case.dim) or (np.nan, np.nan)
        cells = []
        for found, expected in zip((rates(term, c, case.state), tangent(term, c, case.state)), hand, strict=True):
            over = "-" if np.isnan(expected) else f"{found.flops / expected:.2f}"
            cells += [f"{found.flops:.3g}", over, f"{found.transcendentals:.3g}"]
        yield [case.label, type(term).__name__, str(term.size), *cells]


def size_of(*shapes: tuple[int, ...]) -> float:
    """Bytes of float64 arrays."""
    return 8.0 * float(sum(np.prod(shape) for shape in shapes))
