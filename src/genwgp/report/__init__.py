"""Pictures of solutions as PNG files, and pages that show them in motion."""

from genwgp.report.comparison import draw_comparison as draw_comparison
from genwgp.report.draw import draw_all as draw_all
from genwgp.report.hero import hero as hero
from genwgp.report.page import write_page as write_page

__all__ = ["draw_all", "draw_comparison", "hero", "write_page"]
