"""Problems whose coordinates, in some orthonormal basis, move in groups that do not feel each other.

With V(x) = sum_b V_b(E_b^T x), an entropy, and a start that is a product in the same coordinates, the gradient flow is
the product of the flows of the V_b: products stay products. Each has few dimensions, and is solved in these.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse.csgraph import connected_components

from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian, Mixture
from genwgp.layers.fields import Opaque
from genwgp.layers.restricted import Restricted
from genwgp.problem import Problem
from genwgp.solvers.features import hessian, potential, slope
from genwgp.solvers.frame import joint_axes

SEED, POINTS = 11, 128  # where V is looked at: points of the start, and of the start this much wider
WIDER = 1.0, 3.0
APART = 1e-9  # of an entry of a matrix over those on its diagonal beside it: below, it is rounding
ROUNDING = 1e-13  # the same over the largest of all
SUM = 1e-9  # of the range of V: by how much it may differ from the sum of its parts, and a part from one that is equal
TINY = 1e-300  # divides zeros
EXACT = 1e-14  # sine of a rotation that ends the search for axes
SWEEPS = 15  # over all pairs of axes: where there are groups, the search is over by then
FEW = 32  # Hessians that it sees


class Block(NamedTuple):
    """One of the flows: its problem in k dimensions, and the axes E (m, d, k) of the m groups that move as it says."""

    problem: Problem
    axes: Float[np.ndarray, "m d k"]


def blocks_of(problem: Problem) -> list[Block]:
    """The flows that a problem falls into: itself where it is one, or where it cannot be told. Must run in float64.

    In the coordinates as they are, or in a basis that makes the Hessians of V most nearly diagonal. That V is the sum
    which this says is checked at points of the start and of one three times as wide.
    """
    return _split(problem) or [Block(problem, np.eye(problem.dim)[None])]


def _split(problem: Problem) -> list[Block] | None:
    energy, start = problem.energy, problem.initial
    plain = energy.potential is not None and isinstance(energy.internal, Entropy) and not energy.interacting
    if not plain or problem.dim == 1 or not isinstance(start, Gaussian | Mixture):
        return None
    x = np.concatenate([start.widened(by).quasi_sample(SEED, POINTS) for by in WIDER])
    hessians = np.asarray(hessian(energy, x))
    if not np.isfinite(hessians).all():
        return None
    pull = np.asarray(slope(energy, np.asarray(start.mean)[None]))[0]
    bases = np.eye(problem.dim), _basis(hessians, start, pull)
    # Axes that V falls along at the start: groups that are mirror images of each other are equal then.
    ways = [_axes(basis * np.where(pull @ basis > 0, -1, 1), hessians, start) for basis in bases]
    for axes in sorted(ways, key=len, reverse=True):
        parts = [_part(problem, own, 1 / len(axes)) for own in axes]
        if len(axes) > 1 and _is_sum(energy, parts, axes, x):
            return _gathered(problem, _joined(parts, axes, x), hessians)
    return None


def _gathered(problem: Problem, blocks: list[Block], hessians: Float[np.ndarray, "n d d"]) -> list[Block] | None:
    """Different groups in which all is Gaussian as one: the few terms that carry one of them carry all. None: all are.

    Equal ones stay apart, so that one of them is solved for all.
    """
    calm = [_is_calm(block, hessians) for block in blocks]
    if all(calm):
        return None
    alone = [block for block, still in zip(blocks, calm, strict=True) if still and len(block.axes) == 1]
    if len(alone) < 2:
        return blocks
    axes = np.concatenate([block.axes[0] for block in alone], 1)
    groups = sum(len(block.axes) for block in blocks)
    whole = Block(_part(problem, axes, len(alone) / groups), axes[None])
    return [block for block in blocks if not any(block is one for one in alone)] + [whole]


def _is_calm(block: Block, hessians: Float[np.ndarray, "n d d"]) -> bool:
    """Whether a group starts as a Gaussian, and its potential is quadratic."""
    bent = block.axes[0].T @ hessians @ block.axes[0]
    still = np.ptp(bent, axis=0).max() <= APART * np.abs(hessians).max()
    return isinstance(block.problem.initial, Gaussian) and bool(still)


def _axes(
    basis: Float[np.ndarray, "d d"], hessians: Float[np.ndarray, "n d d"], start: Gaussian | Mixture
) -> list[Float[np.ndarray, "d _"]]:
    """Those of the groups that nothing ties together."""
    groups = _groups(_linked(basis.T @ hessians @ basis) | _tied(start, basis))
    return [basis[:, group] for group in groups]


def _basis(
    hessians: Float[np.ndarray, "n d d"], start: Gaussian | Mixture, pull: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "d d"]:
    """Axes on which the Hessians and the start fall apart most nearly, those of the space where these change apart.

    That space holds what differs between the Hessians, and between the modes of a mixture, and what their means make of
    it: across it V is quadratic, the start Gaussian, and neither ties it to the rest. `pull`: grad V at the mean.
    """
    means, covariances = _modes(start)
    families = [family / np.abs(family).max() for family in (hessians, covariances)]
    central = [family.mean(0) for family in families]
    apart = [(family - mean).reshape(-1, len(mean)) for family, mean in zip(families, central, strict=True)]
    centred = means - means.mean(0)
    space = _span([*apart, centred / max(np.abs(centred).max(), TINY)])
    while (wider := _span([space.T, *(space.T @ mean for mean in central)])).shape != space.shape:
        space = wider
    rest = np.linalg.qr(space, "complete")[0][:, space.shape[1] :]
    every = np.concatenate(
        [families[0][:: max(1, len(hessians) // FEW)], families[1], *(np.outer(m, m)[None] for m in centred)]
    )
    calm = _joint(rest, np.stack(central))
    return np.concatenate([_along(calm, np.stack(central), pull), _joint(space, every)], 1)


def _modes(start: Gaussian | Mixture) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, "m d d"]]:
    """Means and covariances."""
    if isinstance(start, Gaussian):
        return np.asarray(start.mean)[None], np.asarray(start.covariance)[None]
    return np.asarray(start.means), np.asarray(start.covariances)


def _span(rows: list[Float[np.ndarray, "_ d"]]) -> Float[np.ndarray, "d k"]:
    """An orthonormal basis of what the rows span, but for rounding."""
    _, size, axes = np.linalg.svd(np.linalg.qr(np.concatenate(rows), "r"))
    return axes[: len(size)][size > APART * size.max(initial=1.0)].T


def _along(axes: Float[np.ndarray, "d k"], matrices: Float[np.ndarray, "n d d"], pull: Float[np.ndarray, " d"]):
    """The axes, where they may be turned without a change of the matrices, one of them along the pull.

    The others, without any, are equal.
    """
    sizes = np.stack([np.einsum("dk,de,ek->k", axes, matrix, axes) for matrix in matrices], 1)
    for row in np.unique(sizes.round(9), axis=0):
        same = np.flatnonzero(np.abs(sizes - row).max(1) < 2e-9)
        own = axes[:, same].T @ pull
        turned = np.linalg.qr(np.column_stack([own, np.eye(len(own))]))[0]
        axes[:, same] = axes[:, same] @ turned
    return axes


def _joint(space: Float[np.ndarray, "d k"], matrices: Float[np.ndarray, "n d d"]) -> Float[np.ndarray, "d k"]:
    return space @ joint_axes(space.T @ matrices @ space, EXACT, SWEEPS) if space.shape[1] else space


def _linked(matrices: Float[np.ndarray, "n d d"]) -> Bool[np.ndarray, "d d"]:
    """Which coordinates any of the matrices ties together."""
    largest = np.abs(matrices).max(0)
    diagonal = np.sqrt(np.diagonal(largest))
    return largest > APART * np.outer(diagonal, diagonal) + ROUNDING * largest.max()


def _tied(start: Gaussian | Mixture, basis: Float[np.ndarray, "d d"]) -> Bool[np.ndarray, "d d"]:
    """Which coordinates a start ties together: by a covariance, or because both differ between its modes."""
    means, covariances = _modes(start)
    means, covariances = means @ basis, basis.T @ covariances @ basis
    differ = _differ(means, covariances)
    return _linked(covariances) | np.outer(differ, differ)


def _differ(means: Float[np.ndarray, "m k"], covariances: Float[np.ndarray, "m k k"]) -> Bool[np.ndarray, " k"]:
    """In which coordinates the modes of a mixture do."""
    size = np.abs(means).max() + np.sqrt(np.abs(covariances).max())
    return (np.ptp(means, axis=0) > APART * size) | (np.ptp(covariances, axis=0).max(0) > APART * size**2)


def _groups(linked: Bool[np.ndarray, "d d"]) -> list[Int[np.ndarray, " k"]]:
    """The coordinates in connected groups."""
    count, label = connected_components(linked, directed=False)
    return [np.flatnonzero(label == one) for one in range(count)]


def _part(problem: Problem, axes: Float[np.ndarray, "d k"], share: float) -> Problem:
    """The problem on a flat through the mean of the start, with a share of V there, so that potentials add up to V."""
    start, V = problem.initial, problem.energy.potential
    assert isinstance(start, Gaussian | Mixture)
    assert V is not None
    centre = np.asarray(start.mean)
    level = (1 - share) * float(V(jnp.asarray(centre)))
    restricted = Restricted(Opaque(V), *map(jnp.asarray, (centre, axes, level)))
    return Problem(FreeEnergy(restricted, problem.energy.internal), _marginal(start, axes), problem.name)


def _marginal(start: Gaussian | Mixture, axes: Float[np.ndarray, "d k"]) -> Gaussian | Mixture:
    means, covariances = _modes(start)
    means, covariances = means @ axes, axes.T @ covariances @ axes
    if isinstance(start, Gaussian) or not _differ(means, covariances).any():
        return Gaussian(means[0], covariances[0])
    return Mixture(start.weights, means, covariances)


def _is_sum(energy: FreeEnergy, parts: list[Problem], axes: list[np.ndarray], x: Float[np.ndarray, "n d"]) -> bool:
    whole = np.asarray(potential(energy, x))
    summed = sum(np.asarray(potential(part.energy, x @ own)) for part, own in zip(parts, axes, strict=True))
    return bool(np.abs(whole - summed).max() <= SUM * np.ptp(whole))


def _joined(parts: list[Problem], axes: list[np.ndarray], x: Float[np.ndarray, "n d"]) -> list[Block]:
    """Equal ones as one block."""
    found: list[tuple[Problem, list[np.ndarray]]] = []
    for part, own in zip(parts, axes, strict=True):
        equal = next((others for first, others in found if _equal(first, part, x @ own)), None)
        if equal is None:
            found.append((part, [own]))
        else:
            equal.append(own)
    return [Block(part, np.stack(own)) for part, own in found]


def _equal(one: Problem, other: Problem, y: Float[np.ndarray, "n k"]) -> bool:
    """Whether two parts start alike and their potentials differ by a constant at points like y."""
    start, another = one.initial, other.initial
    assert isinstance(start, Gaussian | Mixture)
    assert isinstance(another, Gaussian | Mixture)
    (means, covariances), (others, spreads) = _modes(start), _modes(another)
    size = np.sqrt(np.abs(covariances).max())
    near = lambda a, b, size: a.shape == b.shape and np.abs(a - b).max() <= SUM * size
    if not (near(means, others, size) and near(covariances, spreads, size**2)):
        return False
    weights = [density.weights for density in (start, another) if isinstance(density, Mixture)]
    if not all(np.array_equal(own, weights[0]) for own in weights):
        return False
    V, W = (np.asarray(potential(part.energy, y)) for part in (one, other))
    return bool(np.ptp(V - W) <= SUM * np.ptp(V))
