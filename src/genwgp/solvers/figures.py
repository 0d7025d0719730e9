"""What a sweep measures of its particles, and what it found."""

from typing import NamedTuple

import numpy as np

from genwgp.diagnostics import gap_of
from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.solvers.segment import Segment, potentials

TINY = 1e-100  # added to the force, which is 0 at a start in equilibrium; its square does not underflow


class Figures(NamedTuple):
    """What is measured on the test particles at the end of a segment; `residual` is over the force, `gap` in nats."""

    time: float
    duration: float
    arclength: float
    free_energy: float
    gap: float
    force: float
    residual: float
    probe: float
    substeps: int
    lost: int
    seconds: float


class Outcome(NamedTuple):
    """Segments with the speed at s = 0, 1/3, 2/3, 1 of each, figures at their ends, how it ended and why."""

    segments: list[Segment]
    speeds: list[np.ndarray]
    figures: list[Figures]
    status: str
    message: str


def together(parts: list[Figures], counts: list[int], last: Figures) -> Figures:
    """Figures of the whole from those of its parts, `last` that of the one which has moved."""
    total = lambda values: float(np.dot(counts, list(values)))
    force = np.sqrt(total(part.force**2 for part in parts))
    return Figures(
        time=min(part.time for part in parts),
        duration=last.duration,
        arclength=np.sqrt(total(part.arclength**2 for part in parts)),
        free_energy=total(part.free_energy for part in parts),
        gap=total(part.gap for part in parts),
        force=force,
        residual=np.sqrt(total((part.residual * part.force) ** 2 for part in parts)) / max(force, TINY),
        probe=last.probe,
        substeps=last.substeps,
        lost=sum(part.lost for part in parts),
        seconds=last.seconds,
    )


@np.errstate(over="ignore", invalid="ignore")  # of particles that are lost, as in what follows
def rms(a) -> float:
    """Root mean square length of vectors (n, d)."""
    return float(np.sqrt(np.mean((np.asarray(a) ** 2).sum(1))))


@np.errstate(over="ignore", invalid="ignore")
def trimmed_rms(a, share: float = 0.005) -> float:
    """`rms` without the worst share of the particles."""
    e = np.sort((np.asarray(a) ** 2).sum(1))
    return float(np.sqrt(e[: max(1, int(len(e) * (1 - share)))].sum() / len(e)))


def energy_gap(energy: FreeEnergy, state: State) -> float:
    """KL(rho || exp(-(V + W * rho) / D) / Z) in nats, estimated as log mean exp(w) - mean w with w = -mu / D.

    Zero where rho is stationary; without interaction this is F - F* over D. The normaliser is estimated by importance
    weights on the same particles: their noise cancels to second order, so that gaps far below the sampling noise of F
    are seen. NaN without an entropy.
    """
    if not energy.gibbs:
        return np.nan
    return gap_of(-np.asarray(potentials(energy, state)) / energy.diffusion)
