"""From the segments of a sweep to K layers of equal Wasserstein length, with their clock."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import PchipInterpolator

from genwgp.layers.fields import AbstractTerm, Bumps, Field, LogMixture, ModulatedPotential, Waves
from genwgp.layers.velocity import VelocityLayer
from genwgp.solvers.segment import Segment

LEAST = 4  # pieces that a layer has room for; in powers of two, for few shapes are compiled then
CUBIC = np.linalg.inv(np.vander(np.array([0, 1, 2, 3]) / 3, increasing=True))  # values at thirds -> coefficients


class Piece(NamedTuple):
    """The part of segment j between the fractions a and b of its duration."""

    j: int
    a: float
    b: float


def assemble(segments: list[Segment], speeds: list[np.ndarray], K: int) -> VelocityLayer:
    """K stacked layers; the logarithm of the speed inside a segment is the cubic through its four values."""
    union = _union([segment.field for segment in segments])
    segments = [_widened(segment, union) for segment in segments]
    cuts = _cuts(segments, speeds, K)
    pieces = [_pieces(cuts[k], cuts[k + 1]) for k in range(K)]
    room = max(LEAST, 1 << (max(map(len, pieces)) - 1).bit_length())
    layers = [_layer(segments, row, room) for row in pieces]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)


def _cuts(segments: list[Segment], speeds: list[np.ndarray], K: int) -> np.ndarray:
    """Positions j + s in the sequence of segments, K + 1 of them, equidistant in arclength."""
    cells = []
    for segment, values in zip(segments, speeds, strict=True):
        cells.append(float(segment.duration) * lengths(values))
    length = np.concatenate([[0.0], np.cumsum(np.concatenate(cells))])
    if not length[-1] > 0:  # a path that stands still has no arclength to divide: its time is
        return np.linspace(0.0, float(len(segments)), K + 1)
    # A piece that stands still gets a length that only keeps the order.
    length = length + length[-1] * 1e-12 * np.arange(len(length))
    position = np.arange(len(length)) / 8
    inner = PchipInterpolator(length, position)(np.linspace(0, length[-1], K + 1)[1:-1])
    return np.concatenate([[0.0], inner, [float(len(segments))]])


def lengths(speeds: np.ndarray) -> np.ndarray:
    """What each of eight equal parts of a segment adds to its length, over its duration.

    Flows that decay have exponential speeds, of which the logarithm is interpolated exactly.
    """
    if not speeds.max() > 0:
        return np.zeros(8)
    middle = (np.arange(64) + 0.5) / 64
    logarithm = np.log(np.maximum(speeds, 1e-12 * speeds.max()))
    return np.exp(np.vander(middle, 4, increasing=True) @ (CUBIC @ logarithm)).reshape(8, 8).mean(1) / 8


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
        field=jax.tree.map(lambda *leaves: jnp.stack(leaves), *(s.field for s in chosen)),
        start=jnp.stack(at("a")),
        stop=jnp.stack(at("b")),
        duration=jnp.asarray(duration),
        substeps=jnp.asarray(steps, dtype=jnp.int32),
        count=jnp.asarray(len(pieces), dtype=jnp.int32),
    )


def _union(fields: list[Field]) -> Field:
    """A field with every kind of term that one of them has, each with its most features."""
    terms: dict[type, AbstractTerm] = {}
    for field in fields:
        for term in field.terms:
            if type(term) not in terms or term.size >= terms[type(term)].size:
                terms[type(term)] = term
    return Field(tuple(terms.values()))


def _widened(segment: Segment, like: Field) -> Segment:
    """The segment in the terms of a field that may have more of them or more features, those with zero coefficients."""
    if jax.tree.structure(segment.field) == jax.tree.structure(like) and segment.field.size == like.size:
        return segment
    own = {type(term): term for term in segment.field.terms}
    terms, parts = [], []
    first, second = (segment.field.split(c) for c in (segment.first, segment.second))
    index = {type(term): i for i, term in enumerate(segment.field.terms)}
    for term in like.terms:
        kind = type(term)
        rows = [np.zeros(term.size), np.zeros(term.size)]
        if kind in own:
            terms.append(_filled(own[kind], term))
            for row, c in zip(rows, (first[index[kind]], second[index[kind]]), strict=True):
                row[: c.size] = np.asarray(c)
        else:
            # Zero coefficients are no potential, but for the mixture, which has a weight.
            terms.append(replace(term, weight=jnp.zeros_like(term.weight)) if isinstance(term, LogMixture) else term)
        parts.append(rows)
    a, b = (jnp.asarray(np.concatenate([rows[i] for rows in parts])) for i in (0, 1))
    return segment._replace(field=Field(tuple(terms)), first=a, second=b)


def _filled(own: AbstractTerm, like: AbstractTerm) -> AbstractTerm:
    """A term that begins with its own features, and has those of `like` beyond them."""
    if own.size == like.size:
        return own
    if isinstance(own, Bumps | Waves):
        return jax.tree.map(lambda few, many: jnp.concatenate([few, many[len(few) :]]), own, like)
    if isinstance(own, ModulatedPotential) and own.size == 1:  # V alone, which comes first in the other too
        return like
    raise ValueError(f"a {type(own).__name__} of {own.size} features where others have {like.size}")
