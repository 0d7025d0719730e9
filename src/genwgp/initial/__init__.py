"""Densities to start from: Gaussians, Gaussian mixtures, and anything with `sample` and `log_prob`."""

from genwgp.initial.base import AbstractDensity as AbstractDensity
from genwgp.initial.foreign import as_density as as_density
from genwgp.initial.gaussian import Gaussian as Gaussian
from genwgp.initial.mixture import Mixture as Mixture

__all__ = ["AbstractDensity", "Gaussian", "Mixture", "as_density"]
