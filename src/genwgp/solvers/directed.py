"""Matrices of features whose gradients keep their directions: a number for each particle and feature, not d + 1.

With grad f_j(x) = sum_r a_rj(x) g_rj (`layers.fields.AbstractDirected`) the rows of grad f at all particles are the
numbers a and the directions g apart, and products need no vectors:

    sum_i grad f_j(x_i) . grad f_k(x_i) = sum_rs (a_r^T a_s)_jk (g_rj . g_sk),

a d-th of the memory and of the work. In the derivative of the motion (`simplified`) they are multiplied by the matrices
M = grad v + Hess V of the particles, which turn them. Here

    M g = Mean g + (g . (M - Mean) g / |g|^2) g,

exactly what it is where M is the same for all, or each g an eigenvector of what differs: for a potential that is a sum
along g but for a quadratic form, as lattices and products are. Elsewhere Newton's steps are only less good.
"""

from itertools import accumulate, product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.layers.fields import AbstractDirected, AbstractTerm, Field
from genwgp.mesh import Tall
from genwgp.parts import Rows, over_particles, over_parts, over_rows, over_wide
from genwgp.solvers.jacobian import MEMORY

DENSE = 3  # dimensions up to which whole rows cost little
OTHERS = 4  # features of other kinds, with a row for each equation, that a field may have besides
NUMBERS = 8  # for each particle and feature, in all of the matrices of a segment


class Strand(NamedTuple):
    """sum over its columns of amplitude_ij direction_j: of neighbouring features, from one direction of each."""

    first: int
    amplitude: Rows | Tall
    direction: Float[np.ndarray, "q d"]

    @property
    def columns(self) -> slice:
        return slice(self.first, self.first + len(self.direction))


class Block(NamedTuple):
    """Columns with a row for each equation."""

    first: int
    matrix: Rows | Tall
    size: int

    @property
    def columns(self) -> slice:
        return slice(self.first, self.first + self.size)

    def vectors(self) -> list[Float[np.ndarray, "n e"]]:
        return [self.matrix.times(unit) for unit in np.eye(self.size)]


class Directed(NamedTuple):
    """A matrix (n, d + 1, p) of strands, the last row `level` (n, 1, p), and blocks, whose columns of that are zero."""

    strands: list[Strand]
    level: Rows | Tall
    blocks: list[Block]
    size: int

    def inner(self, other: "Directed") -> Float[np.ndarray, "p p"]:
        """A^T B."""
        return products([(self, other)])[0]

    def transposed(self, rows: Float[np.ndarray, "n e"]) -> Float[np.ndarray, " p"]:
        """A^T r."""
        found = np.array(self.level.transposed(rows[:, -1:]))
        for strand in self.strands:
            along = strand.amplitude.transposed(rows[:, None, :-1])
            found[strand.columns] += (along * strand.direction).sum(1)
        for block in self.blocks:
            found[block.columns] += block.matrix.transposed(rows)
        return found

    def times(self, c: Float[np.ndarray, " p"]) -> Float[np.ndarray, "n e"]:
        """A c."""
        level = self.level.times(c)
        found = np.concatenate([np.zeros((len(level), self.strands[0].direction.shape[1])), level], 1)
        for strand in self.strands:
            found[:, :-1] += strand.amplitude.times(c[strand.columns, None] * strand.direction)[:, 0]
        for block in self.blocks:
            found += block.matrix.times(c[block.columns])
        return found


def products(pairs: list[tuple[Directed, Directed]]) -> list[Float[np.ndarray, "p p"]]:
    """A^T B of each pair; amplitudes that several of them have are multiplied once."""
    found = [np.array(a.level.inner(b.level)) for a, b in pairs]
    amplitudes = list({id(s.amplitude): s.amplitude for pair in pairs for one in pair for s in one.strands}.values())
    for i, left in enumerate(amplitudes):
        for right in amplitudes[i:]:
            gram = left.inner(right)
            for (a, b), out in zip(pairs, found, strict=True):
                _add(out, gram, _having(a, left), _having(b, right))
                if left is not right:
                    _add(out, gram.T, _having(a, right), _having(b, left))
    for (a, b), out in zip(pairs, found, strict=True):
        _add_blocks(out, a, b)
    return found


def _having(matrix: Directed, amplitude: Any) -> list[Strand]:
    return [strand for strand in matrix.strands if strand.amplitude is amplitude]


def _add(out: np.ndarray, gram: np.ndarray, lefts: list[Strand], rights: list[Strand]) -> None:
    for a, b in product(lefts, rights):
        out[a.columns, b.columns] += gram * (a.direction @ b.direction.T)


def _add_blocks(out: np.ndarray, a: Directed, b: Directed) -> None:
    """What blocks have in common with everything; that of two blocks once."""
    mine = np.zeros(a.size, bool)
    for block in a.blocks:
        out[block.columns] += np.stack([b.transposed(vector) for vector in block.vectors()])
        mine[block.columns] = True
    for block in b.blocks:
        other = np.stack([a.transposed(vector) for vector in block.vectors()], 1)
        out[:, block.columns] += np.where(mine[:, None], 0, other)


def is_directed(field: Field, dim: int) -> bool:
    """Whether such matrices are for a field: of many dimensions, nearly all features with directions that they keep."""
    return dim > DENSE and sum(term.size for term in field.terms if not isinstance(term, AbstractDirected)) <= OTHERS


def affordable(field: Field) -> int:
    """Particles whose matrices fit the memory."""
    return int(MEMORY // (8 * NUMBERS * field.size))


def standing(field: Field, c, state: State, root_weight) -> Directed:
    """B = (grad f, f) at particles that stand, times the roots of their weights (n, d + 1): the same for all of r."""
    strands, level, blocks = _still(field, c, (state, _of_both(root_weight)))
    return Directed(_strands(field, strands), level, _blocks(field, blocks), field.size)


def linearised(energy: FreeEnergy, field: Field, c, state: State, root_weight) -> tuple[Directed, Directed]:
    """B and E of `simplified`, times the roots of the weights as in `standing`."""
    M, total = (np.asarray(a) for a in _slopes(energy, field, c, state))
    finite = np.isfinite(M).all((1, 2))
    mean = M[finite].mean(0) if finite.any() else np.zeros(M.shape[1:])
    a, b, levels, blocks = _moving(energy, field, c, mean, (state, _of_both(root_weight), M, total))
    still = Directed(_strands(field, a), levels[0], _blocks(field, [pair[0] for pair in blocks]), field.size)
    turned = [strand._replace(direction=strand.direction @ mean.T) for strand in still.strands]
    moved = Directed([*turned, *_strands(field, b)], levels[1], _blocks(field, [p[1] for p in blocks]), field.size)
    return still, moved


def _of_both(root_weight) -> tuple[np.ndarray, np.ndarray]:
    """Of r and of q."""
    return np.asarray(root_weight)[:, 0], np.asarray(root_weight)[:, -1]


def _placed(field: Field) -> list[tuple[AbstractTerm, int]]:
    """Each term and where its columns begin."""
    return list(zip(field.terms, [0, *accumulate(term.size for term in field.terms)], strict=False))


def _strands(field: Field, amplitudes: list[list[Rows | Tall]]) -> list[Strand]:
    terms = [(t, first) for t, first in _placed(field) if isinstance(t, AbstractDirected)]
    found = []
    for (term, first), of_term in zip(terms, amplitudes, strict=True):
        found += [Strand(first, a, g) for a, g in zip(of_term, np.asarray(term.directions), strict=True)]
    return found


def _blocks(field: Field, matrices: list[Rows | Tall]) -> list[Block]:
    terms = [(t, first) for t, first in _placed(field) if not isinstance(t, AbstractDirected)]
    return [Block(first, matrix, term.size) for (term, first), matrix in zip(terms, matrices, strict=True)]


@over_parts
def _slopes(energy: FreeEnergy, field: Field, c, state: State) -> tuple[Float[Array, "n d d"], Float[Array, "n d"]]:
    """M = grad v + Hess V and v + grad V at particles."""

    def at(z):
        def total(x):
            found = field.rates(c, x, z.score)[0] + energy.drift(x[None])[0]
            return found, found

        return jax.jacfwd(total, has_aux=True)(z.x)

    return over_particles(at, state)


@over_rows
def _still(field: Field, c, particles):
    """Of each term with directions its amplitudes (1, p), of each other one its columns; all values (1, p)."""

    def at(particle):
        z, (root, level) = particle
        strands, values, blocks = [], [], []
        for term, own in zip(field.terms, field.split(c), strict=True):
            if isinstance(term, AbstractDirected):
                value, gradient, _, _ = term.along(z.x, z.score)
                strands.append([root * row[None] for row in gradient])
                values.append(level * value)
            else:
                tangent = term.tangent(own, z.x, z.score)
                blocks.append(jnp.concatenate([root * tangent.velocity, level * tangent.value[None]]))
                values.append(jnp.zeros_like(tangent.value))
        return strands, jnp.concatenate(values)[None], blocks

    return over_wide(at, particles)


@over_rows
def _moving(energy: FreeEnergy, field: Field, c, mean, particles):
    """The same of B, and of E what is along the directions themselves."""
    by = jnp.zeros_like if energy.internal is None else energy.internal.slope

    def at(particle):
        z, (root, level), M, total = particle
        slope = by(z.log_density)
        a, b, still, moved, blocks = [], [], [], [], []
        for term, own in zip(field.terms, field.split(c), strict=True):
            if isinstance(term, AbstractDirected):
                value, gradient, divergence, source = term.along(z.x, z.score)
                bent = gradient * term.stretch(M - mean) - slope * source
                a.append([root * row[None] for row in gradient])
                b.append([root * row[None] for row in bent])
                still.append(level * value)
                moved.append(level * ((gradient * (term.directions @ total)).sum(0) - slope * divergence))
            else:
                tangent = term.tangent(own, z.x, z.score)
                bent = M @ tangent.velocity - slope * tangent.source
                raised = total @ tangent.velocity - slope * tangent.divergence
                rows = (tangent.velocity, tangent.value), (bent, raised)
                blocks.append([jnp.concatenate([root * v, level * q[None]]) for v, q in rows])
                still.append(jnp.zeros_like(tangent.value))
                moved.append(jnp.zeros_like(tangent.value))
        return a, b, [jnp.concatenate(one)[None] for one in (still, moved)], blocks

    return over_wide(at, particles)
