"""What is known about a problem without the solver: exact paths, equilibria, and other ways to compute them."""

from genwgp.references.aggregation import LogarithmicAggregation as LogarithmicAggregation
from genwgp.references.ball import Ball as Ball
from genwgp.references.barenblatt import Barenblatt as Barenblatt
from genwgp.references.base import ExactSolution as ExactSolution
from genwgp.references.choose import PathTo as PathTo
from genwgp.references.choose import reference_for as reference_for
from genwgp.references.finite_volume import FiniteVolume as FiniteVolume
from genwgp.references.grid_density import GridDensity as GridDensity
from genwgp.references.heat import Heat as Heat
from genwgp.references.keller_segel import KellerSegel as KellerSegel
from genwgp.references.known_end import KnownDensity as KnownDensity
from genwgp.references.langevin import Langevin as Langevin
from genwgp.references.langevin import ParticleDensity as ParticleDensity
from genwgp.references.mckean_vlasov import McKeanVlasov as McKeanVlasov
from genwgp.references.newtonian import NewtonianAggregation as NewtonianAggregation
from genwgp.references.ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from genwgp.references.patch import SpreadGaussian as SpreadGaussian
from genwgp.references.product import ProductDensity as ProductDensity
from genwgp.references.product import ProductPath as ProductPath
from genwgp.references.quadrature import QuadratureReference as QuadratureReference
from genwgp.references.quartic import QuarticAggregation as QuarticAggregation
from genwgp.references.radial import FocusedGaussian as FocusedGaussian
from genwgp.references.radial import RadialQuartic as RadialQuartic
from genwgp.references.self_consistent import SelfConsistent as SelfConsistent
from genwgp.references.shapes import Annulus as Annulus
from genwgp.references.shapes import Sphere as Sphere
from genwgp.references.student import StudentProfile as StudentProfile

__all__ = [
    "Annulus",
    "Ball",
    "Barenblatt",
    "ExactSolution",
    "FiniteVolume",
    "FocusedGaussian",
    "GridDensity",
    "Heat",
    "KellerSegel",
    "KnownDensity",
    "Langevin",
    "LogarithmicAggregation",
    "McKeanVlasov",
    "NewtonianAggregation",
    "OrnsteinUhlenbeck",
    "ParticleDensity",
    "PathTo",
    "ProductDensity",
    "ProductPath",
    "QuadratureReference",
    "QuarticAggregation",
    "RadialQuartic",
    "SelfConsistent",
    "Sphere",
    "SpreadGaussian",
    "StudentProfile",
    "reference_for",
]
