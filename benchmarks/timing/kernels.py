"""The kernels of a step of the sweep, with the work that each cannot do without."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from genwgp import parts
from genwgp.solvers import collocation, fitting, simplified
from genwgp.solvers.collocation import weighted_equations
from genwgp.solvers.jacobian import jacobian
from genwgp.solvers.segment import advance, grad_mu
from timing import work
from timing.cases import Case
from timing.rates import FLOOR
from timing.stopwatch import Work

HEADER = ["problem", "kernel", "N", "p", *FLOOR, "cold (s)", "cached (s)"]


class Kernel(NamedTuple):
    """A call to time, the number of its particles, and its work."""

    name: str
    call: Callable[[], Any]
    particles: int
    work: Work


def kernels(case: Case) -> Iterator[Kernel]:
    """One after the other; those that the solver has for such a dimension."""
    for name, make in _KERNELS.items():
        if (kernel := make(case)) is not None:
            yield Kernel(name, *kernel)


def _moved(array_shapes: tuple[tuple[int, ...], ...], each: Work, n: int) -> Work:
    return each.times(n)._replace(bytes=work.size_of(*array_shapes))


def _features(case: Case):
    n, d, p = len(case.state.x), case.dim, case.field.size
    call = lambda: collocation._standing(case.field, case.segment.first, (case.state, case.root))
    return call, n, _moved(((n, d + 1, p),), work.standing(case), n)


def _jacobian(case: Case):
    n, d, p = len(case.state.x), case.dim, case.field.size
    call = lambda: jacobian(case.run.mean_field, case.segment, case.state, case.root)
    return call, n, _moved(((n, 2 * (d + 1), 2 * p),), work.jacobian(case), n)


def _simplified(case: Case):
    if case.dim <= fitting.DENSE:
        return None
    n, d, p = len(case.state.x), case.dim, case.field.size
    call = lambda: simplified._columns(case.run.energy, case.field, case.segment.first, (case.state, case.root))
    # Two products of (d, d) and (1, d) with the columns besides the features.
    each = work.standing(case).plus(Work(2.0 * d * (d + 1) * p))
    return call, n, _moved(((2, n, d + 1, p),), each, n)


def _residuals(case: Case):
    n, d = len(case.state.x), case.dim
    call = lambda: weighted_equations(case.run.energy, case.segment, case.state, case.root)
    return call, n, _moved(((n, 2 * d + 1), (n, 2, d + 1)), work.residuals(case), n)


def _transport(case: Case):
    state = case.run.test
    n, d = len(state.x), case.dim
    call = lambda: advance(case.segment, 0.0, 1.0, state)
    each = work.rates(case.field, case.segment.first, state).times(4 * work.SUBSTEPS)
    return call, n, _moved(((2, n, 2 * d + 1),), each, n)


def _dissipation(case: Case):
    state = case.run.test
    n, d = len(state.x), case.dim
    return lambda: grad_mu(case.run.energy, state), n, _moved(((3, n, d),), work.gradient(case), n)


def _matrix(case: Case) -> np.ndarray:
    """Of the shape of a Jacobian, its numbers of no matter."""
    n, d, q = len(case.state.x), case.dim, 2 * case.field.size
    return np.random.default_rng(0).normal(size=(n, 2 * (d + 1), q))


def _normal(case: Case):
    matrix = _matrix(case)
    n, rows, q = matrix.shape
    flat = getattr(parts, "where_it_is", np.asarray)(matrix).reshape(-1, q)  # other versions: on the host
    call = lambda: np.asarray(flat.T @ flat)
    return call, n, Work(float(n * rows) * q * (q + 1), 0.0, work.size_of((n * rows, q), (q, q)))


def _cholesky(case: Case):
    flat = _matrix(case)[:256].reshape(-1, 2 * case.field.size)
    gram, q = flat.T @ flat, flat.shape[1]
    penalty = np.full(q, 1e-3 * gram.max())
    return lambda: collocation.cholesky(gram, penalty, case.field), 0, Work(q**3 / 3, 0.0, work.size_of((2, q, q)))


_KERNELS: dict[str, Callable[[Case], Any]] = {
    "dissipation": _dissipation,
    "transport": _transport,
    "residuals": _residuals,
    "features": _features,
    "simplified Jacobian": _simplified,
    "Jacobian": _jacobian,
    "normal equations": _normal,
    "Cholesky": _cholesky,
}
