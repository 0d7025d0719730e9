"""The particles that stand for the density in an interaction, and the energy among them along a segment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genwgp.energies import FreeEnergy
from genwgp.layers.base import State
from genwgp.solvers.segment import FIRST, Segment, advance


def carry(energy: FreeEnergy, segment: Segment, start: float, stop: float, state: State) -> State:
    """Particles moved along a segment; where no force depends on densities, they keep log-density and score as marks.

    Where nothing resists, densities may become singular: nothing is computed of them then.
    """
    moved = advance(segment, start, stop, state)
    felt = energy.internal is not None or energy.functional is not None
    return moved if felt else state._replace(x=moved.x)


class MeanField(NamedTuple):
    """An energy, and particles of the density at the start of a segment; None where there is no interaction."""

    energy: FreeEnergy
    cloud: State | None

    def now(self) -> FreeEnergy:
        """The energy among the particles where they stand."""
        return self.energy if self.cloud is None else self.energy.among(self.cloud.x)

    def at(self, segment: Segment, s: float) -> FreeEnergy:
        """The energy among them at s on the segment."""
        return self.moved(segment, s).now()

    def at_radau(self, segment: Segment) -> FreeEnergy:
        """The same at both Radau points: what is seen there has a leading axis of two."""
        if self.cloud is None:
            return self.energy
        first = carry(self.energy, segment, 0.0, FIRST, self.cloud)
        second = carry(self.energy, segment, FIRST, 1.0, first)
        seen = (self.energy.among(cloud.x).cloud for cloud in (first, second))
        stacked = jax.tree.map(lambda a, b: jnp.stack([a, b]), *seen)
        return self.energy.seeing(stacked)

    def moved(self, segment: Segment, s: float = 1.0) -> "MeanField":
        """The particles at s."""
        return self if self.cloud is None else self._replace(cloud=carry(self.energy, segment, 0.0, s, self.cloud))
