"""Pictures of solutions, as PNG files."""

from genwgp.report.comparison import draw_comparison as draw_comparison
from genwgp.report.draw import draw_all as draw_all
from genwgp.report.hero import hero as hero

__all__ = ["draw_all", "draw_comparison", "hero"]
