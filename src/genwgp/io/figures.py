"""The figures of a summary in words: what each is called, its unit, and what one should know beside it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from genwgp.diagnostics.pareto import TRUSTED
from genwgp.diagnostics.verdict import DIRECTION, DISSIPATION
from genwgp.initial import FitQuality


class Named(NamedTuple):
    """How a figure of `summary` is shown: its key and label, the number as text, unit and note."""

    key: str
    label: str
    text: Callable[[Any], str]
    unit: str = ""
    note: str = ""

    def line(self, value: Any) -> str:
        """All of it on one line."""
        number = f"{self.text(value)} {self.unit}".rstrip()
        return f"{number}, {self.note}" if self.note else number


def clock(seconds: float) -> str:
    """Seconds as 0:42, 12:05 or 1:02:03."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def real(value: float) -> str:
    """A number with five digits behind the point, or six in all where it is large."""
    return f"{value:.5f}" if abs(value) < 1e4 else f"{value:.6g}"


FIGURES = (
    Named("problem", "problem", str),
    Named("dim", "dimensions", str),
    Named("start", "start", lambda v: str(FitQuality(**v))),
    Named("layers", "layers", str),
    Named("result", "result", str),
    Named("message", "", str),
    Named("free_energy_start", "F at the start", real, "energy"),
    Named("free_energy_end", "F at the end", real, "energy", "estimate over particles"),
    Named("equilibrium_free_energy", "F* = -D log Z", real, "energy", "by importance weights"),
    Named("reference_free_energy", "F* of the reference", real, "energy"),
    Named("log_normaliser", "log Z", real),
    Named("effective_sample_size", "effective samples", lambda v: f"{100 * v:.2f}", "%"),
    Named(
        "pareto_k",
        "Pareto k",
        lambda v: f"{v:.2f}",
        note=f"of the importance weights (to be trusted: below {TRUSTED})",
    ),
    Named("action", "action", lambda v: f"{v:.4g}", "energy"),
    Named("action_second_form", "action, second form", lambda v: f"{v:.4g}", "energy"),
    Named("length", "path length", lambda v: f"{v:.5g}", "length"),
    Named("speed_spread", "speed spread", lambda v: f"{100 * v:.2f}", "%", "adjacent layers at most"),
    Named(
        "direction_residual",
        "direction residual",
        lambda v: f"{v:.3g}",
        note=f"largest before 99 % of the drop of F (converged: below {DIRECTION})",
    ),
    Named(
        "dissipation_error",
        "F against dissipation",
        lambda v: f"{100 * v:.2g}",
        "%",
        f"largest difference in a layer before 99 % of the drop of F (converged: below {100 * DISSIPATION:.0f} %)",
    ),
    Named("lost", "particles lost", lambda v: f"{100 * v:.2f}", "%", "carried to infinity: others are drawn instead"),
    Named("seconds", "time", lambda v: f"{v:.1f} s ({clock(v)})"),
)


def known(summary: dict[str, Any]) -> list[tuple[Named, Any]]:
    """The figures that a summary has, with their values."""
    return [(figure, summary[figure.key]) for figure in FIGURES if summary.get(figure.key) not in (None, "")]
