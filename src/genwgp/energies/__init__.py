"""Free energies: what a Wasserstein gradient flow goes down."""

from genwgp.energies.data import SumOverData as SumOverData
from genwgp.energies.free_energy import FreeEnergy as FreeEnergy
from genwgp.energies.free_energy import RelativeEntropy as RelativeEntropy
from genwgp.energies.functional import Functional as Functional
from genwgp.energies.interaction import AbstractInteraction as AbstractInteraction
from genwgp.energies.interaction import Interaction as Interaction
from genwgp.energies.interaction import InteractionSum as InteractionSum
from genwgp.energies.internal import AbstractInternal as AbstractInternal
from genwgp.energies.internal import CustomInternal as CustomInternal
from genwgp.energies.internal import Entropy as Entropy
from genwgp.energies.internal import FastDiffusion as FastDiffusion
from genwgp.energies.internal import InternalSum as InternalSum
from genwgp.energies.internal import PorousMedium as PorousMedium
from genwgp.energies.kernels import GaussianInteraction as GaussianInteraction
from genwgp.energies.kernels import LogarithmicInteraction as LogarithmicInteraction
from genwgp.energies.kernels import MorseInteraction as MorseInteraction
from genwgp.energies.kernels import NewtonianInteraction as NewtonianInteraction
from genwgp.energies.kernels import PowerInteraction as PowerInteraction
from genwgp.energies.kernels import QuadraticInteraction as QuadraticInteraction
from genwgp.energies.kernels import QuarticInteraction as QuarticInteraction
from genwgp.energies.random_batch import RandomBatch as RandomBatch

__all__ = [
    "AbstractInteraction",
    "AbstractInternal",
    "CustomInternal",
    "Entropy",
    "FastDiffusion",
    "FreeEnergy",
    "Functional",
    "GaussianInteraction",
    "Interaction",
    "InteractionSum",
    "InternalSum",
    "LogarithmicInteraction",
    "MorseInteraction",
    "NewtonianInteraction",
    "PorousMedium",
    "PowerInteraction",
    "QuadraticInteraction",
    "QuarticInteraction",
    "RandomBatch",
    "RelativeEntropy",
    "SumOverData",
]
