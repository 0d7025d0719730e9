"""Arclength and physical time along a path, and the way back from either to a place on it."""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import PchipInterpolator

from genwgp.errors import InputError

EDGE = 1e-9  # relative: rounding that may lie outside of the path


def logarithmic_mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(a - b) / log(a / b), a where they are equal; 0 where one is 0.

    int dl / g over a length l on which g goes linearly from a to b is l over the logarithmic mean of a and b.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    positive = (a > 0) & (b > 0)
    a, b = np.where(positive, a, 1.0), np.where(positive, b, 1.0)
    close = np.abs(a - b) < 1e-6 * (a + b)
    ratio = np.where(close, 2.0, a / b)
    return np.where(positive, np.where(close, 0.5 * (a + b), (a - b) / np.log(ratio)), 0.0)


def times_of(arclength: np.ndarray, force: np.ndarray) -> np.ndarray:
    """Physical times at points of a path, from dt = dl / ||grad mu|| with the logarithmic mean of ||grad mu||.

    Near the equilibrium ||grad mu|| falls linearly in the arclength, and for such a fall the rule is exact. Where the
    force is not finite, as particles were lost, time stands still.
    """
    known, steps = np.isfinite(force), np.diff(arclength)
    force = np.where(known, force, 1.0)
    mean = np.where(known[:-1] & known[1:], logarithmic_mean(force[:-1], force[1:]), np.inf)
    return np.concatenate([[0.0], np.cumsum(np.where(mean > 0, steps / np.where(mean > 0, mean, 1.0), np.inf))])


class Clock(eqx.Module):
    """Knots along a path: position k + theta (layer and place in it), physical time, arclength; none of them falls.

    `linear`: time is linear in theta between knots (velocity fields), else interpolated as arclength is, by monotone
    cubics (Fritsch and Carlson, SIAM J. Numer. Anal. 17 (1980) 238). `endless`: the last node stands for the
    equilibrium, at infinite time: times after the last knot's belong to it.
    """

    position: Float[np.ndarray | Array, " m"]
    time: Float[np.ndarray | Array, " m"]
    arclength: Float[np.ndarray | Array, " m"]
    linear: bool = eqx.field(static=True)
    endless: bool = eqx.field(static=True)

    def position_of(self, name: str, value: float) -> float:
        """The position where `name`, "time" or "arclength", has this value. InputError outside of the path."""
        knots = np.asarray(getattr(self, name), dtype=np.float64)
        top = np.inf if name == "time" and self.endless else knots[-1]
        number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"
        if not number or not 0 <= value <= top * (1 + EDGE):
            raise InputError(name, value, f"one number from 0 to {top:.6g}, the {name} of the path")
        return self._interpolate(knots, np.asarray(self.position), float(value), name)

    def value_at(self, name: str, position: float) -> float:
        """Time or arclength at a position."""
        if name == "time" and self.endless and position >= self.position[-1]:
            return float(np.inf)
        return self._interpolate(np.asarray(self.position), np.asarray(getattr(self, name)), position, name)

    def _interpolate(self, x: np.ndarray, y: np.ndarray, at: float, name: str) -> float:
        x, y = (np.asarray(a, dtype=np.float64) for a in (x, y))
        keep = np.concatenate([[True], np.diff(x) > 0])
        x, y, at = x[keep], y[keep], float(np.clip(at, x[0], x[-1]))
        if len(x) < 2 or (name == "time" and self.linear):
            return float(np.interp(at, x, y))
        return float(PchipInterpolator(x, y)(at))
