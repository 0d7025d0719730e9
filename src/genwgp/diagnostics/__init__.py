"""What tells whether a path is right: figures over held-out particles, and a verdict."""

from genwgp.diagnostics.measure import Measurement as Measurement
from genwgp.diagnostics.measure import gap_of as gap_of
from genwgp.diagnostics.measure import measure as measure
from genwgp.diagnostics.verdict import verdict as verdict

__all__ = ["Measurement", "gap_of", "measure", "verdict"]
