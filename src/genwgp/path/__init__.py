"""Wasserstein paths: chains of layers with their densities, scores and particles, and the clock along them."""

from genwgp.importance import Bounds as Bounds
from genwgp.importance import Estimate as Estimate
from genwgp.path.density import PathDensity as PathDensity
from genwgp.path.equilibrium import Equilibrium as Equilibrium
from genwgp.path.hamiltonian import Polished as Polished
from genwgp.path.path import Curves as Curves
from genwgp.path.path import WassersteinPath as WassersteinPath

__all__ = ["Bounds", "Curves", "Equilibrium", "Estimate", "PathDensity", "Polished", "WassersteinPath"]
