"""What the script of a page draws, as JSON: curves exactly, arrays of a scene in 16 bits."""

import base64
import math
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from genwgp.diagnostics.measure import SPENT
from genwgp.diagnostics.verdict import DIRECTION
from genwgp.io.curves import CURVES
from genwgp.report import style
from genwgp.report.curves import positive, spent_energy, time_ticks
from genwgp.report.density import CAP
from genwgp.report.scene import Scene

SHADES = 24  # of a colour scale
LEVELS = 65535
ROOM = 0.08  # of the time axis, between the last finite time and infinity
PANELS = (  # curve, heading, unit, whether its axis is logarithmic
    ("free_energy", "Free energy F", "energy", False),
    ("dissipation", "Dissipation", "energy²/length²", True),
    ("speed", "Speed", "energy/length", True),
    ("direction_residual", "Direction residual", "", True),
)
DISTANCES = ("wasserstein", "sliced", "mean_error", "covariance_error")


def payload(path: Any, shown: Scene, figures: dict[str, Any], comparison: dict[str, Any] | None) -> dict[str, Any]:
    """All of it as plain values; infinite times and what is not known are None."""
    axis = TimeAxis(path.times, shown.times)
    curves = {name: _plain(getattr(path, name)) for name in CURVES if name != "layer_lengths"}
    return {
        "dim": path.dim,
        "coordinates": shown.coordinates.tolist(),
        "pair": shown.pair if len(shown.coordinates) > 1 else None,
        "box": shown.box.tolist(),
        "frames": {"arclength": _plain(shown.arclength), "times": _plain(shown.times), "at": axis.places(shown.times)},
        "particles": packed(shown.particles),
        "densities": None if shown.densities is None else packed(shown.densities),
        "target": None if shown.target is None else packed(shown.target),
        "cap": CAP,
        "target_name": shown.target_name,
        "curves": {**curves, "at": axis.places(path.times)},
        "ticks": axis.ticks,
        "panels": [
            {"name": name, "title": title, "unit": unit, "log": log and positive(np.asarray(getattr(path, name)))}
            for name, title, unit, log in PANELS
        ],
        "equilibrium": _number(figures.get("equilibrium_free_energy")),
        "direction": DIRECTION,
        "judged": (spent_energy(path) < SPENT).tolist(),
        "comparison": None if comparison is None else _compared(comparison, axis, path.dim),
        "shades": {"light": _shades(style.heat()), "dark": _shades(style.colours("magma"))},
    }


class TimeAxis:
    """Time linear up to the first step and logarithmic beyond, with a place for infinity; as positions on a line."""

    def __init__(self, *times: np.ndarray):
        every = np.concatenate([np.asarray(some, dtype=np.float64) for some in times])
        positive = every[np.isfinite(every) & (every > 0)]
        nodes = np.asarray(times[0], dtype=np.float64)
        steps = nodes[np.isfinite(nodes) & (nodes > 0)]
        self.unit = float(steps.min() if len(steps) else positive.min() if len(positive) else 1.0)
        last = float(positive.max()) if len(positive) else self.unit
        self.end = float(np.arcsinh(last / self.unit)) * (1 + ROOM)
        self.ticks = [[float(np.arcsinh(t / self.unit)), f"{t:g}"] for t in time_ticks(self.unit, last)]
        if np.isinf(every).any():
            self.ticks.append([self.end, "∞"])

    def places(self, times: np.ndarray) -> list[float | None]:
        """Where times are on the axis; None, which is not drawn, for what is no time."""
        values = np.arcsinh(np.asarray(times, dtype=np.float64) / self.unit)
        return _plain(np.where(np.isinf(values), self.end, values))


def packed(values: np.ndarray) -> dict[str, Any]:
    """An array as 16-bit levels between its extremes, little-endian and base64: right to 1/131070 of its range."""
    low, high = float(values.min()), float(values.max())
    levels = np.rint((values - low) / ((high - low) or 1.0) * LEVELS).astype("<u2")
    return {"shape": list(values.shape), "low": low, "high": high, "data": base64.b64encode(levels.tobytes()).decode()}


def _compared(record: dict[str, Any], axis: TimeAxis, dim: int) -> dict[str, Any]:
    """Distances over their floors and the free energy of the reference, at the places of the comparison."""
    ratios = {}
    for name in DISTANCES:
        if name != "sliced" or dim > 1:  # on a line it is the exact distance
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios[name] = _plain(_array(record[name]) / _array(record[f"{name}_floor"]))
    return {
        "arclength": _plain(_array(record["arclength"])),
        "times": _plain(_array(record["times"])),
        "at": axis.places(_array(record["times"])),
        "free_energy": _plain(_array(record["reference_free_energy"])),
        "ratios": ratios,
    }


def _array(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def _plain(values: np.ndarray) -> list[float | None]:
    return [_number(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _shades(colours: Any) -> list[list[Any]]:
    """A colour scale that goes by the square root: fractions of the largest value, and their colours."""
    return [[float(share**2), to_hex(colours(share))] for share in np.linspace(0.0, 1.0, SHADES)]
