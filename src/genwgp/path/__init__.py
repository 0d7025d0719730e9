"""Wasserstein paths: chains of layers with their densities, scores and particles, and the clock along them."""

from genwgp.path.density import Equilibrium as Equilibrium
from genwgp.path.density import PathDensity as PathDensity
from genwgp.path.path import Curves as Curves
from genwgp.path.path import WassersteinPath as WassersteinPath

__all__ = ["Curves", "Equilibrium", "PathDensity", "WassersteinPath"]
