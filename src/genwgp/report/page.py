"""One HTML file that shows a run: verdict, the path in motion, curves, comparison, settings; it needs no network."""

import base64
import gzip
import json
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import genwgp
from genwgp.io.derived import MARK
from genwgp.io.figures import known
from genwgp.io.folder import replace_file, writing
from genwgp.io.summary import summary
from genwgp.report import parts
from genwgp.report.parts import escape
from genwgp.report.payload import payload
from genwgp.report.scene import Scene, scene

WEB = files("genwgp.report") / "web"
SCRIPTS = ("state.js", "figures.js", "histograms.js", "density.js", "curves.js", "controls.js", "start.js")


def write_page(
    solution: Any,
    file: str | Path,
    run: dict[str, Any] | None = None,
    comparison: dict[str, Any] | None = None,
    shown: Scene | None = None,
) -> Path:
    """Write a page about a solution. RunFolderError if it cannot be written.

    run: what `genwgp.io.read_run` says of its folder (date, versions, machine), if there is one. comparison: the record
    that `genwgp.io.read_comparison` finds there. shown: the path as it moves, computed unless it is given.
    """
    text = page(solution, run, comparison, shown)
    with writing(file):
        replace_file(Path(file), text.encode())
    return Path(file)


def page(
    solution: Any,
    run: dict[str, Any] | None = None,
    comparison: dict[str, Any] | None = None,
    shown: Scene | None = None,
) -> str:
    """The whole page as text."""
    figures = summary(solution)
    shown = scene(solution.path) if shown is None else shown
    template = Template(_web("page.html"))
    return template.substitute(
        mark=f'{MARK} {escape(genwgp.__version__)}">',
        title=escape(figures["problem"]),
        about=escape(parts.about(figures, run)),
        verdict=parts.verdict(figures),
        cards=parts.cards(known(figures), figures),
        picture=parts.picture_title(shown),
        caption=parts.caption(shown),
        pairs=parts.pair_choice(shown),
        comparison="" if comparison is None else parts.comparison(comparison, solution.path.dim),
        nodes=parts.nodes(solution.path),
        origin=parts.origin(solution, run),
        style=_web("page.css"),
        theme=_web("theme.js"),
        data=_json(payload(solution.path, shown, figures, comparison)),
        library=_library(),
        script="\n".join(_web(name) for name in SCRIPTS),
    )


def _web(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


def _json(value: dict[str, Any]) -> str:
    """JSON that nothing can end early inside of a script element."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _library() -> str:
    """Plotly's script, compressed: 2 MB instead of 5; browsers can unpack it."""
    from plotly.offline import get_plotlyjs  # only a page needs it

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), 9, mtime=0)).decode()
