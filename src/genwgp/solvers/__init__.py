"""Solvers: from a problem to its path."""

from genwgp.solvers.adam import Adam as Adam
from genwgp.solvers.many import Row as Row
from genwgp.solvers.many import Table as Table
from genwgp.solvers.many import solve_many as solve_many
from genwgp.solvers.settings import CausalSweep as CausalSweep
from genwgp.solvers.solution import Event as Event
from genwgp.solvers.solution import Result as Result
from genwgp.solvers.solution import Solution as Solution
from genwgp.solvers.solve import solve as solve

__all__ = ["Adam", "CausalSweep", "Event", "Result", "Row", "Solution", "Table", "solve", "solve_many"]
