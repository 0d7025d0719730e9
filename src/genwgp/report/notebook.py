"""How a solution shows itself in a notebook: verdict, figures and one picture, as a piece of HTML."""

import base64
import io
from typing import Any

import numpy as np

from genwgp.errors import GenwgpError
from genwgp.io.figures import known
from genwgp.io.summary import summary
from genwgp.report import parts, style
from genwgp.report.density import density_picture

SHOWN = ("free_energy_start", "free_energy_end", "equilibrium_free_energy", "log_normaliser")
SHOWN += ("effective_sample_size", "direction_residual", "speed_spread", "seconds")
DPI = 60


def solution_html(solution: Any) -> str:
    """A heading, the verdict, a small table, and the densities as a PNG of some tens of kilobytes."""
    figures = summary(solution)
    rows = "".join(
        f'<tr><td style="text-align:left">{parts.escape(figure.label)}</td>'
        f'<td style="text-align:right">{parts.escape(figure.text(value))} {parts.escape(figure.unit)}</td></tr>'
        for figure, value in known(figures)
        if figure.key in SHOWN
    )
    title = f"<b>{parts.escape(figures['problem'])}</b>: {parts.escape(parts.about(figures, None))}"
    return f"<div><p>{title}</p>{parts.verdict(figures)}<table>{rows}</table>{_picture(solution.path)}</div>"


def _picture(path: Any) -> str:
    """The densities; nothing where they cannot be drawn, as on a path that is not finite."""
    if not np.all(np.isfinite(path.arclength)):
        return ""
    data = io.BytesIO()
    try:
        with style.styled():
            density_picture(path).savefig(data, dpi=DPI, format="png")
    except GenwgpError:
        return ""
    image = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="Densities along the path" style="max-width:100%" src="data:image/png;base64,{image}">'
