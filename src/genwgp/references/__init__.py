"""What is known about a problem without solving it: exact paths and equilibria. Nothing here uses a solver."""

from genwgp.references.base import ExactSolution as ExactSolution
from genwgp.references.choose import reference_for as reference_for
from genwgp.references.ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from genwgp.references.quadrature import QuadratureReference as QuadratureReference

__all__ = ["ExactSolution", "OrnsteinUhlenbeck", "QuadratureReference", "reference_for"]
