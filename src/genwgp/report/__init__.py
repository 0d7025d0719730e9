"""Pictures of solutions, as PNG files."""

from genwgp.report.draw import draw_all as draw_all
from genwgp.report.hero import hero as hero

__all__ = ["draw_all", "hero"]
