"""Equilibria whose last node is any density: a path that has no layer before its place."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import genwgp as gw
from genwgp.layers import CouplingLayer, stack_layers
from genwgp.path import Equilibrium, PathDensity


def last_node(rho: Any, energy: gw.FreeEnergy) -> Equilibrium:
    """An Equilibrium of this energy that samples rho itself; its figures are not measured."""
    layers = stack_layers(lambda key: CouplingLayer.create(key, rho.dim, 2, 1), 1, jax.random.key(0))
    figures = ("log_normaliser", "log_normaliser_error", "effective_sample_size", "pareto_k")
    place = {"position": jnp.asarray(0.0, dtype=float), "time": np.inf, "arclength": 0.0}
    nothing: dict[str, Any] = dict.fromkeys(figures, float("nan")) | {"log_normaliser": 0.0}
    return Equilibrium(layers=layers, initial=rho, energy=energy, **place, **nothing)


def without_weights(end: Equilibrium) -> PathDensity:
    """The same place as a density of the path."""
    names = ("layers", "initial", "position", "time", "arclength")
    parts: dict[str, Any] = {name: getattr(end, name) for name in names}
    return PathDensity(**parts)
