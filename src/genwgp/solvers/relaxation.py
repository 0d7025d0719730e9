"""The way to the equilibrium of a potential with an entropy, where it is linear: modes that decay each at its own rate.

With pi = exp(-V/D) / Z the ratio f = rho / pi follows f_t = L f = D lap f - grad V . grad f, linear, and symmetric in
L^2(pi). In a space of splines Galerkin's equations are

    M c' = -K c,   M_jk = int B_j B_k pi,   K_jk = D int grad B_j . grad B_k pi,

so that f = 1 + sum_k a_k exp(-lam_k t) psi_k with lam_k > 0 and K psi_k = lam_k M psi_k: no step is too long for that,
however steep V is where mass crosses a barrier, and how much is on the wrong side of it is known without a particle
there. v = -grad mu = -D grad log f. In one and two dimensions, where splines resolve f.
Source: Pavliotis, Stochastic Processes and Applications (2014), sections 4.5 and 4.7.
"""

from functools import reduce
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy import sparse as sp
from scipy.sparse import csr_array

from genwgp.energies import FreeEnergy
from genwgp.layers.fields import Field
from genwgp.layers.relaxation import DEGREE, LogRatio, Splines, pieces
from genwgp.solvers.features import potential
from genwgp.solvers.particles import Choice
from genwgp.solvers.segment import FIRST, Segment, grad_mu, potentials

SPLINES, MOST_CELLS = {1: 400, 2: 2400}, {1: 400, 2: 96}  # by dimension, about; cells on an axis: all are in memory
DEEP = 25.0  # they are where V is less than so many D above its least value,
FLOOR = float(np.exp(-16))  # and weighted by pi and so much of its largest value: f stays smooth in the tails
WIDER, TIMES, COARSE = 0.25, 24, {1: 512, 2: 64}  # how much a box that cuts pi off grows, how often, points on an axis
COARSER, SURE = 0.7, 3e-4  # cells on an axis to compare with, over all; difference of rates that is none
NODES = 4  # of Gauss's rule in each cell, along each axis
GONE = 60.0  # rate times the age of a flow from which nothing but noise is left of a mode
FAST = 3.0  # rate times the duration of a segment up to which a mode is cubic in it
RANK = 1e-12  # eigenvalues of M, of unit diagonal, that are zero but for rounding
# Weights of f^2 and of its third differences, where no particle says what f is: there is hardly any mass.
FLAT, ROUGH = 1e-7, 1e-4
MIXED = 1e-5  # share of pi that is mixed with rho: f stays positive where rounding would decide


class Modes(NamedTuple):
    """Modes of pi in a space of splines, those of them that are `active` where pi is not negligible.

    mass: M; prior: what a fit adds to its squares, c . prior c; rates (m,) > 0, ascending; functions (p, m), the modes,
    orthonormal in L^2(pi) and to the constants.
    """

    splines: Splines
    active: Int[np.ndarray, " p"]
    mass: Float[np.ndarray, "p p"]
    prior: Float[np.ndarray, "p p"]
    rates: Float[np.ndarray, " m"]
    functions: Float[np.ndarray, "p m"]


class Relaxation(NamedTuple):
    """f at `time`, 1 + sum_j excess_j B_j over the active splines, and after it: each mode decays at its rate.

    functions: all coefficients (p, m) of the modes.
    """

    excess: Float[np.ndarray, " q"]
    time: float
    field: Field
    rates: Float[np.ndarray, " m"]
    functions: Float[np.ndarray, "p m"]
    amplitudes: Float[np.ndarray, " m"]

    @classmethod
    def of(cls, modes: Modes, D: float, excess: Float[np.ndarray, " q"], time: float) -> "Relaxation":
        functions = np.zeros((modes.splines.size, len(modes.rates)))
        functions[modes.active] = modes.functions
        field = Field((LogRatio(jnp.asarray(D), modes.splines),))
        amplitudes = np.where(modes.rates * time < GONE, modes.functions.T @ (modes.mass @ excess), 0)
        return cls(excess, time, field, modes.rates, functions, amplitudes)

    def segment(self, t: float, h: float) -> Segment:
        """The flow from t to t + h, f the cubic in time with the right values and slopes at both ends.

        Linear for modes that decay faster than a cubic can: soon there is nothing left of them.
        """
        a = self._left(t)
        b, fast = a * np.exp(-self.rates * h), np.where(self.rates * h < FAST, self.rates * h, 0)
        rise = np.where(fast > 0, b - a, 0)
        bends = -fast * a - rise, 2 * rise + fast * (a + b)
        still = [self.functions @ bend for bend in bends]
        at = lambda s: np.concatenate([self.functions @ (a + s * (b - a)), *still, [s]])
        return Segment(self.field, at(FIRST), at(1.0), np.array(h), np.array(1))

    def divergence(self, t: float) -> float:
        """log(1 + chi^2) / 2, int (f - 1)^2 pi = chi^2: near the equilibrium KL(rho || pi), farther from it below."""
        return float(0.5 * np.log1p((self._left(t) ** 2).sum()))

    def _left(self, t: float) -> Float[np.ndarray, " m"]:
        return self.amplitudes * np.exp(-self.rates * (t - self.time))


def linear(energy: FreeEnergy, dim: int) -> bool:
    """Whether f follows a linear equation, in a space of so few dimensions that splines resolve it."""
    return energy.gibbs and not energy.interacting and dim in SPLINES


def modes_of(energy: FreeEnergy, near: Float[np.ndarray, "n d"]) -> Modes | None:
    """The modes of pi; `near`: particles around which it is looked for.

    None where it has no end near them, or where fewer splines find the slowest mode at another rate.
    """
    box = _box(energy, near)
    if box is None:
        return None
    found, coarse = (_modes_in(energy, box, fineness) for fineness in (1.0, COARSER))
    return found if abs(coarse.rates[0] / found.rates[0] - 1) < SURE else None


def _modes_in(energy: FreeEnergy, box: tuple, fineness: float) -> Modes:
    splines, points, weights = _grid(energy, box[0], box[1], fineness)
    value, *gradient = basis(splines, points)
    active = np.flatnonzero(np.diff(value.tocsc().indptr))
    value, *gradient = (_columns(part, active) for part in (value, *gradient))
    gram = lambda parts, w: np.sum([(part.T @ (part * w[:, None])).toarray() for part in parts], 0)
    mass, flat = gram([value], weights), gram([value], np.full(len(weights), 1 / len(weights)))
    stiffness = energy.diffusion * gram(gradient, weights)
    scale = 1 / np.sqrt(np.diag(mass))
    size, axes = np.linalg.eigh(mass * scale * scale[:, None])
    kept = size > RANK * size[-1]
    white = scale[:, None] * axes[:, kept] / np.sqrt(size[kept])
    rates, turn = np.linalg.eigh(white.T @ stiffness @ white)
    rough = _roughness(splines.shape)[active][:, active].toarray()
    # The first mode is constant: f = 1 is there without it.
    return Modes(splines, active, mass, FLAT * flat + ROUGH * rough, np.maximum(rates[1:], 0), white @ turn[:, 1:])


def relaxation(energy: FreeEnergy, modes: Modes, choice: Choice, time: float) -> Relaxation:
    """f at a time, from the particles of `choice`.

    Least squares of what f = exp(mu / D), up to a factor, and grad f = f grad mu / D say; errors are relative to f,
    those of f itself over the size of the density.
    """
    D, x, weight = energy.diffusion, np.asarray(choice.state.x), choice.weight
    mu, force = np.asarray(potentials(energy, choice.state)), grad_mu(energy, choice.state) / D
    value, *gradient = (_columns(part, modes.active) for part in basis(modes.splines, x))
    over = np.exp(-(mu - np.median(mu)) / D)
    relative = value * over[:, None]
    of_values = weight / (weight @ (x - weight @ x) ** 2).mean()
    gram, right = relative.T @ (relative * of_values[:, None]), relative.T @ of_values
    for slope, own in zip(gradient, force.T, strict=True):
        left = slope * over[:, None] - relative * own[:, None]
        gram = gram + left.T @ (left * weight[:, None])
    c = np.linalg.solve(gram.toarray() + modes.prior, right)
    excess = (1 - MIXED) * (c / modes.mass.sum(0).dot(c) - 1)
    return Relaxation.of(modes, D, excess, time)


def basis(splines: Splines, x: Float[np.ndarray, "n d"]) -> list[csr_array]:
    """Matrices (n, p) of the values of all splines at points, and of their derivatives by each coordinate."""
    n, d = x.shape
    cells = np.array(splines.shape) - DEGREE
    place = np.clip((x - np.asarray(splines.low)) / np.asarray(splines.step), 0, cells * (1 - 1e-6))
    first = np.floor(place).astype(int)
    powers = (place - first)[..., None] ** np.arange(DEGREE + 1)
    along = np.einsum("rik,ndk->rdni", pieces()[:2], powers)
    index = [np.expand_dims(first[:, [a]] + np.arange(DEGREE + 1), _others(a, d)) for a in range(d)]
    column = np.ravel_multi_index(np.broadcast_arrays(*index), splines.shape).reshape(n, -1)
    found = []
    for orders in [np.zeros(d, int), *np.eye(d, dtype=int)]:
        parts = [along[r, a] / float(splines.step[a]) ** r for a, r in enumerate(orders)]
        entries = reduce(np.multiply, [np.expand_dims(part, _others(a, d)) for a, part in enumerate(parts)])
        start = np.arange(n + 1) * column.shape[1]
        found.append(csr_array((entries.ravel(), column.ravel(), start), shape=(n, splines.size)))
    return found


def _others(axis: int, d: int) -> tuple[int, ...]:
    """The axes of a tensor of points and d indices, but for the first and that of the given index."""
    return tuple(1 + other for other in range(d) if other != axis)


def _columns(matrix: csr_array, active: Int[np.ndarray, " p"]) -> csr_array:
    return matrix.tocsc()[:, active].tocsr()


def _roughness(shape: tuple[int, ...]) -> csr_array:
    """The matrix of the squared third differences of coefficients along each axis."""
    parts = []
    for axis, n in enumerate(shape):
        third = np.diff(np.eye(n), 3, 0)
        along = [sp.coo_array(third.T @ third) if other == axis else sp.eye_array(m) for other, m in enumerate(shape)]
        parts.append(reduce(sp.kron, along))
    return csr_array(sum(parts))


def _box(energy: FreeEnergy, near: Float[np.ndarray, "n d"]):
    """Corners of the box where pi is not negligible; None if that has no end."""
    low, high = near.min(0), near.max(0)
    for _ in range(TIMES):
        axes = [np.linspace(a, b, COARSE[len(low)]) for a, b in zip(low, high, strict=True)]
        x, V = _heights(energy, axes)
        x, apart = x[DEEP * energy.diffusion > V], (high - low) / (COARSE[len(low)] - 1)
        if not len(x):
            return None
        below, above = x.min(0) <= low, x.max(0) >= high
        if below.any() or above.any():
            wider = WIDER * (high - low)
            low, high = low - wider * below, high + wider * above
            continue
        tight = x.min(0) - 2 * apart, x.max(0) + 2 * apart
        if np.all(tight[1] - tight[0] > 0.3 * (high - low)):
            return tight
        low, high = tight
    return None


def _grid(energy: FreeEnergy, low: Float[np.ndarray, " d"], high: Float[np.ndarray, " d"], fineness: float):
    """Splines on a box, the points of Gauss's rule in its cells where pi is not negligible, weights that make them pi.

    As many cells as leave so many splines where it is not.
    """
    d, share = len(low), 1.0
    node, gauss = np.polynomial.legendre.leggauss(NODES)
    for _ in range(2):
        cells = int(np.clip((SPLINES[d] / max(share, 1e-9)) ** (1 / d) - DEGREE, 8, MOST_CELLS[d]))
        cells = max(8, int(fineness * cells))
        step = (high - low) / cells
        middle = np.arange(cells)[:, None] + 0.5 * (1 + node)
        x, V = _heights(energy, [a + h * middle.ravel() for a, h in zip(low, step, strict=True)])
        inside = DEEP * energy.diffusion > V
        share = float(inside.mean())
    w = np.prod(np.meshgrid(*[np.tile(gauss, cells)] * d, indexing="ij"), 0).ravel()[inside]
    w *= np.exp(-V[inside] / energy.diffusion) + FLOOR
    return Splines(jnp.asarray(low), jnp.asarray(step), (cells + DEGREE,) * d), x[inside], w / w.sum()


def _heights(energy: FreeEnergy, axes: list[Float[np.ndarray, " m"]]):
    """Points of a grid, and V above its least value at them, infinite where it is not finite."""
    x = np.stack([a.ravel() for a in np.meshgrid(*axes, indexing="ij")], 1)
    V = np.asarray(potential(energy, x))
    V = np.where(np.isfinite(V), V, np.inf)
    return x, V - V.min(initial=np.finfo(float).max)
