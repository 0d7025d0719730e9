"""Densities to start from: Gaussians, Gaussian mixtures, fits to samples, and anything with `sample` and `log_prob`."""

from genwgp.initial.base import AbstractDensity as AbstractDensity
from genwgp.initial.fitted import FitQuality as FitQuality
from genwgp.initial.fitted import FittedGaussian as FittedGaussian
from genwgp.initial.fitted import FittedMixture as FittedMixture
from genwgp.initial.fitted import from_samples as from_samples
from genwgp.initial.foreign import as_density as as_density
from genwgp.initial.gaussian import Gaussian as Gaussian
from genwgp.initial.mixture import Mixture as Mixture

__all__ = [
    "AbstractDensity",
    "FitQuality",
    "FittedGaussian",
    "FittedMixture",
    "Gaussian",
    "Mixture",
    "as_density",
    "from_samples",
]
