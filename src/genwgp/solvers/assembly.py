"""From the segments of a sweep to K layers of equal Wasserstein length, with their clock."""

from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genwgp.layers.fields import AbstractTerm, Bumps, Field, LogMixture, ModulatedPotential, Quadratic, Waves
from genwgp.layers.product import ProductLayer
from genwgp.layers.relaxation import Switched, relaxed
from genwgp.layers.velocity import VelocityLayer
from genwgp.solvers.segment import Segment, constant

LEAST = 4  # pieces that a layer has room for; in powers of two, for few shapes are compiled then
CELLS = 64  # equal parts of a segment, whose speeds hardly change
CUBIC = np.linalg.inv(np.vander(np.array([0, 1, 2, 3]) / 3, increasing=True))  # values at thirds -> coefficients


class Way(NamedTuple):
    """Segments, one after the other, and the speeds at s = 0, 1/3, 2/3, 1 of each."""

    segments: list[Segment]
    speeds: list[np.ndarray]

    @property
    def ends(self) -> np.ndarray:
        """Physical times of their starts, and of the end."""
        return np.concatenate([[0.0], np.cumsum([float(segment.duration) for segment in self.segments])])

    @property
    def cells(self) -> np.ndarray:
        """What each of CELLS equal parts of each segment adds to the arclength."""
        rows = [float(segment.duration) * lengths(v) for segment, v in zip(self.segments, self.speeds, strict=True)]
        return np.concatenate(rows)


class Piece(NamedTuple):
    """The part of segment j between the fractions a and b of its duration."""

    j: int
    a: float
    b: float


def assemble(way: Way, K: int) -> VelocityLayer:
    """K stacked layers; the logarithm of the speed inside a segment is the cubic through its four values."""
    return _layers(way.segments, _cuts(way, K))


def assemble_product(ways: list[Way], axes: list[np.ndarray], until: float, K: int) -> ProductLayer:
    """K stacked layers of flows that go on side by side, up to a time; one that is over before it stays at rest.

    `axes`: (m, d, k) of each, for the groups of coordinates that move as it says. Layers are equidistant in the length
    of them all: its square is the sum of those of the groups.
    """
    ways = [_resting(way, until) for way in ways]
    times = _times(ways, [len(own) for own in axes], until, K)
    parts = tuple(_layers(way.segments, _positions(way, times)) for way in ways)
    return ProductLayer(parts, tuple(jnp.asarray(np.stack([own] * K)) for own in axes))


def _resting(way: Way, until: float) -> Way:
    """With a segment in which nothing moves, should it end earlier."""
    left = until - way.ends[-1]
    if not left > 0:
        return way
    field = Field(tuple(term for term in way.segments[0].field.terms if isinstance(term, Quadratic)))
    rest = constant(field, np.zeros(field.size))._replace(duration=np.array(left))
    return Way([*way.segments, rest], [*way.speeds, np.zeros(4)])


def _times(ways: list[Way], groups: list[int], until: float, K: int) -> np.ndarray:
    """Times (K + 1,) of nodes equidistant in the length of all groups together."""
    grids = [np.concatenate([np.linspace(a, b, CELLS + 1)[:-1] for a, b in pairwise(way.ends)]) for way in ways]
    known = np.unique(np.append(np.concatenate(grids), until))
    known = known[known <= until]
    square = np.zeros(len(known) - 1)
    for way, grid, count in zip(ways, grids, groups, strict=True):
        along = np.interp(known, np.append(grid, way.ends[-1]), np.concatenate([[0.0], np.cumsum(way.cells)]))
        square += count * np.diff(along) ** 2
    return np.interp(np.linspace(0, 1, K + 1), *_increasing(np.sqrt(square), known))


def _increasing(steps: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The length along the path over the whole, at these places; the places where the path stands still all along."""
    length = np.concatenate([[0.0], np.cumsum(steps)])
    if not length[-1] > 0:
        length = known
    # A piece that stands still gets a length that only keeps the order.
    length = length / length[-1] + 1e-12 * np.arange(len(length))
    return length / length[-1], known


def _positions(way: Way, times: np.ndarray) -> np.ndarray:
    """Positions j + s of these times in the sequence of segments."""
    return np.interp(times, way.ends, np.arange(len(way.ends), dtype=float))


def _layers(segments: list[Segment], cuts: np.ndarray) -> VelocityLayer:
    """Stacked layers between positions j + s in the sequence of segments."""
    segments = _alike(segments)
    pieces = [_pieces(*ends) for ends in pairwise(cuts)]
    room = max(LEAST, 1 << (max(map(len, pieces)) - 1).bit_length())
    layers = [_layer(segments, row, room) for row in pieces]
    return _stacked(layers)


def _cuts(way: Way, K: int) -> np.ndarray:
    """Positions j + s in the sequence of segments, K + 1 of them, equidistant in arclength."""
    cells = way.cells
    # Linear in cells this small: a smooth interpolant would not do where segments of different durations meet.
    cuts = np.interp(np.linspace(0, 1, K + 1), *_increasing(cells, np.arange(len(cells) + 1) / CELLS))
    return np.concatenate([[0.0], cuts[1:-1], [float(len(way.segments))]])


def lengths(speeds: np.ndarray) -> np.ndarray:
    """What each of CELLS equal parts of a segment adds to its length, over its duration.

    Flows that decay have exponential speeds, of which the logarithm is interpolated exactly.
    """
    if not speeds.max() > 0:
        return np.zeros(CELLS)
    middle = (np.arange(CELLS) + 0.5) / CELLS
    logarithm = np.log(np.maximum(speeds, 1e-12 * speeds.max()))
    return np.exp(np.vander(middle, 4, increasing=True) @ (CUBIC @ logarithm)) / CELLS


def _pieces(start: float, stop: float) -> list[Piece]:
    first, last = int(np.floor(start)), int(np.ceil(stop))
    rows = [Piece(j, max(start - j, 0.0), min(stop - j, 1.0)) for j in range(first, last)]
    return [piece for piece in rows if piece.b - piece.a > 1e-12] or rows[:1]


def _layer(segments: list[Segment], pieces: list[Piece], room: int) -> VelocityLayer:
    """One layer of these pieces; short ones are filled up with copies that take no time."""
    padded = pieces + [Piece(pieces[-1].j, 1.0, 1.0)] * (room - len(pieces))
    chosen = [segments[piece.j] for piece in padded]
    duration = np.array([float(s.duration) * (p.b - p.a) for s, p in zip(chosen, padded, strict=True)])
    steps = [max(1, int(np.ceil(int(s.substeps) * (p.b - p.a) - 1e-9))) for s, p in zip(chosen, padded, strict=True)]
    at = lambda end: [s.coefficients(getattr(p, end)) for s, p in zip(chosen, padded, strict=True)]
    return VelocityLayer(
        field=_stacked([s.field for s in chosen]),
        start=jnp.asarray(np.stack(at("a"))),
        stop=jnp.asarray(np.stack(at("b"))),
        duration=jnp.asarray(duration, dtype=float),
        substeps=jnp.asarray(np.array(steps, dtype=np.int32)),
        count=jnp.asarray(np.array(len(pieces), dtype=np.int32)),
    )


def _stacked(trees: list) -> Any:
    """Trees of one structure as one, whose arrays have a leading axis; by numpy, which compiles nothing for it."""
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *trees)


def _alike(segments: list[Segment]) -> list[Segment]:
    """The same segments, their fields all of one structure."""
    late = [relaxed(segment.field) for segment in segments]
    union = _union([segment.field for segment, is_late in zip(segments, late, strict=True) if not is_late])
    if not any(late):
        return [_widened(segment, union) for segment in segments]
    other = segments[late.index(True)].field
    return [_switched(segment, union, other, is_late) for segment, is_late in zip(segments, late, strict=True)]


def _switched(segment: Segment, union: Field, other: Field, late: bool) -> Segment:
    """A segment before, or after, the density is near the equilibrium, with room for the other kind's coefficients."""
    early = union if late else (segment := _widened(segment, union)).field
    none = np.zeros(union.size if late else other.size)
    padded = lambda c: np.concatenate([none, c] if late else [c, none])
    field: Any = Switched(early, segment.field if late else other, jnp.asarray(late))
    return segment._replace(field=field, first=padded(segment.first), second=padded(segment.second))


def _union(fields: list[Field]) -> Field:
    """A field with every kind of term that one of them has, with room for the features of each."""
    terms: dict[type, AbstractTerm] = {}
    for field in fields:
        for term in field.terms:
            terms[type(term)] = _larger(terms.get(type(term), term), term)
    return Field(tuple(terms.values()))


def _larger(one: Any, other: Any) -> AbstractTerm:
    if isinstance(one, ModulatedPotential):
        offset = max(one.offset, other.offset, key=len)
        return replace(other, offset=offset, bumps=_larger(one.bumps, other.bumps))
    return other if other.size >= one.size else one


def _widened(segment: Segment, like: Field) -> Segment:
    """The segment in the terms of a field that may have more of them or more features, those with zero coefficients."""
    if jax.tree.structure(segment.field) == jax.tree.structure(like) and _shapes(segment.field) == _shapes(like):
        return segment
    own = {type(term): i for i, term in enumerate(segment.field.terms)}
    given = [segment.field.split(np.asarray(c)) for c in (segment.first, segment.second)]
    terms, parts = [], []
    for term in like.terms:
        i = own.get(type(term))
        if i is not None:
            terms.append(_filled(segment.field.terms[i], term))
            parts.append([_placed(segment.field.terms[i], term, c[i]) for c in given])
        else:
            # Zero coefficients are no potential, but for the mixture, which has a weight.
            terms.append(replace(term, weight=jnp.zeros_like(term.weight)) if isinstance(term, LogMixture) else term)
            parts.append([np.zeros(term.size)] * 2)
    first, second = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    return segment._replace(field=Field(tuple(terms)), first=first, second=second)


def _shapes(field: Field) -> list[tuple[int, ...]]:
    return [leaf.shape for leaf in jax.tree.leaves(field)]


def _filled(own: Any, like: Any) -> AbstractTerm:
    """A term that begins with its own features, and has those of `like` beyond them."""
    if isinstance(own, ModulatedPotential):
        offset = jnp.concatenate([own.offset, like.offset[len(own.offset) :]])
        return replace(own, offset=offset, bumps=_filled(own.bumps, like.bumps))
    if own.size == like.size:
        return own
    if isinstance(own, Bumps | Waves):
        return jax.tree.map(lambda few, many: jnp.concatenate([few, many[len(few) :]]), own, like)
    raise ValueError(f"a {type(own).__name__} of {own.size} features where others have {like.size}")


def _placed(own: Any, like: Any, c: np.ndarray) -> np.ndarray:
    """The coefficients of a term where its features are in the one that `_filled` makes of it."""
    if isinstance(own, ModulatedPotential):  # a row for each offset, a column for V alone and for each bump
        rows = np.zeros((len(like.offset), like.bumps.size + 1))
        rows[: len(own.offset), : own.bumps.size + 1] = c.reshape(len(own.offset), -1)
        return rows.ravel()
    return np.concatenate([c, np.zeros(like.size - c.size)])
