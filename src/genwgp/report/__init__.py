"""Pictures of solutions as PNG files, and pages that show them in motion."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genwgp.report.comparison import draw_comparison as draw_comparison
    from genwgp.report.draw import draw_all as draw_all
    from genwgp.report.hero_picture import hero as hero
    from genwgp.report.page import write_page as write_page

__all__ = ["draw_all", "draw_comparison", "hero", "write_page"]

# Imported when they are asked for: matplotlib takes half a second, and most commands draw nothing.
_HOMES = {"draw_all": "draw", "draw_comparison": "comparison", "hero": "hero_picture", "write_page": "page"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'genwgp.report' has no attribute {name!r}")
    globals()[name] = found = getattr(import_module(f"genwgp.report.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
