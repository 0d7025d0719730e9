"""What is known about a problem without the solver: exact paths, equilibria, and other ways to compute them."""

from genwgp.references.aggregation import LogarithmicAggregation as LogarithmicAggregation
from genwgp.references.ball import Ball as Ball
from genwgp.references.barenblatt import Barenblatt as Barenblatt
from genwgp.references.base import ExactSolution as ExactSolution
from genwgp.references.choose import reference_for as reference_for
from genwgp.references.finite_volume import FiniteVolume as FiniteVolume
from genwgp.references.grid_density import GridDensity as GridDensity
from genwgp.references.langevin import Langevin as Langevin
from genwgp.references.langevin import ParticleDensity as ParticleDensity
from genwgp.references.mckean_vlasov import McKeanVlasov as McKeanVlasov
from genwgp.references.ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from genwgp.references.product import ProductDensity as ProductDensity
from genwgp.references.product import ProductPath as ProductPath
from genwgp.references.quadrature import QuadratureReference as QuadratureReference

__all__ = [
    "Ball",
    "Barenblatt",
    "ExactSolution",
    "FiniteVolume",
    "GridDensity",
    "Langevin",
    "LogarithmicAggregation",
    "McKeanVlasov",
    "OrnsteinUhlenbeck",
    "ParticleDensity",
    "ProductDensity",
    "ProductPath",
    "QuadratureReference",
    "reference_for",
]
