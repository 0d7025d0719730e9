"""Actions of paths of densities, the statistics they are computed from, and what is minimised with them."""

from genwgp.actions.clouds import clouds_along as clouds_along
from genwgp.actions.finite_horizon import FiniteHorizonAction as FiniteHorizonAction
from genwgp.actions.geometric import GeometricAction as GeometricAction
from genwgp.actions.profile import Nodes as Nodes
from genwgp.actions.profile import Profile as Profile
from genwgp.actions.profile import profile_and_nodes as profile_and_nodes
from genwgp.actions.profile import profile_of as profile_of
from genwgp.actions.terms import Terminal as Terminal
from genwgp.actions.terms import equal_speed as equal_speed
from genwgp.actions.terms import speed_spread as speed_spread
from genwgp.actions.terms import terminal_condition as terminal_condition

__all__ = [
    "FiniteHorizonAction",
    "GeometricAction",
    "Nodes",
    "Profile",
    "Terminal",
    "equal_speed",
    "profile_and_nodes",
    "profile_of",
    "speed_spread",
    "terminal_condition",
]
