"""Solvers: from a problem to its path."""

from genwgp.solvers.adam import Adam as Adam
from genwgp.solvers.solution import Event as Event
from genwgp.solvers.solution import Result as Result
from genwgp.solvers.solution import Solution as Solution
from genwgp.solvers.solve import solve as solve
from genwgp.solvers.sweep import CausalSweep as CausalSweep

__all__ = ["Adam", "CausalSweep", "Event", "Result", "Solution", "solve"]
