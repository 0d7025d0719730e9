"""Densities of a path and samples of an equilibrium for other libraries, which are imported only when asked for."""

from genwgp.export.distributions import to_flowjax as to_flowjax
from genwgp.export.distributions import to_numpyro as to_numpyro
from genwgp.export.inference_data import to_inference_data as to_inference_data

__all__ = ["to_flowjax", "to_inference_data", "to_numpyro"]
