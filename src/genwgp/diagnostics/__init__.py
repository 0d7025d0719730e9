"""What tells whether a path is right: figures over held-out particles, a verdict, and comparisons with references."""

from genwgp.diagnostics.certificate import Certificate as Certificate
from genwgp.diagnostics.certificate import certificate as certificate
from genwgp.diagnostics.compare import Comparison as Comparison
from genwgp.diagnostics.compare import compare as compare
from genwgp.diagnostics.measure import Measurement as Measurement
from genwgp.diagnostics.measure import gap_of as gap_of
from genwgp.diagnostics.measure import measure as measure
from genwgp.diagnostics.pareto import pareto_k as pareto_k
from genwgp.diagnostics.verdict import verdict as verdict

__all__ = [
    "Certificate",
    "Comparison",
    "Measurement",
    "certificate",
    "compare",
    "gap_of",
    "measure",
    "pareto_k",
    "verdict",
]
