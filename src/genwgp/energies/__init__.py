"""Free energies: what a Wasserstein gradient flow goes down."""

from genwgp.energies.free_energy import FreeEnergy as FreeEnergy
from genwgp.energies.internal import Entropy as Entropy

__all__ = ["Entropy", "FreeEnergy"]
