"""Invertible layers: families of maps from the identity to the layer, with their density and score transport."""

from genwgp.layers.base import AbstractLayer as AbstractLayer
from genwgp.layers.base import State as State
from genwgp.layers.coupling import CouplingLayer as CouplingLayer
from genwgp.layers.coupling import stack_layers as stack_layers

__all__ = ["AbstractLayer", "CouplingLayer", "State", "stack_layers"]
