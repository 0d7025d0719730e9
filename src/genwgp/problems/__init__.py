"""The gallery: named problems, each with its energy, start, reference and source."""

from genwgp.problems.gallery import describe as describe
from genwgp.problems.gallery import get as get
from genwgp.problems.gallery import names as names

__all__ = ["describe", "get", "names"]
