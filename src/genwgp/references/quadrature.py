"""The equilibrium exp(-V/D) / Z in one and two dimensions, by the trapezoid rule on a box found automatically."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import finite_array, function, integer, positive_number, reason, shape_text
from genwgp.energies.free_energy import POTENTIAL
from genwgp.errors import InputError
from genwgp.initial.base import Points, sobol
from genwgp.parts import default_float
from genwgp.references.box import DEPTH, find_box, tensor_grid
from genwgp.references.evaluate import on_points

FIRST, LAST = {1: 257, 2: 129}, {1: 65537, 2: 2049}  # points per axis; each refinement halves the spacing
PIECES = 64  # points in a cell that tell how much of it lies in a set
BATCH = 65536  # points at a time, to bound the memory
OBSERVABLE = "a function of one point, shape (d,), written with jax.numpy"
SLACK = 1e4  # a last change within SLACK times the tolerance is a result; one above it is an error


class Grid(NamedTuple):
    """Points (n, d), their spacing (d,), the equilibrium's probability of each cell (n,), log Z, its last change."""

    points: np.ndarray
    spacing: np.ndarray
    probability: np.ndarray
    log_normaliser: float
    change: float


class QuadratureReference:
    """log Z = log int exp(-V/D) and means under the equilibrium, by the tensor trapezoid rule.

    `potential`: V, one point (d,) -> scalar, written with jax.numpy; `D` > 0; `dim`: 1 or 2; `box`: (d, 2), the lower
    and upper end of each axis, where the search for the region V - min V < 45 D starts (by default 32 to either side
    of 0): it grows until it holds the region, then shrinks to it. The spacing is halved until log Z changes by
    less than 1e-10 (1e-6 in float32). For smooth V the rule converges faster than any power of the spacing. Computed
    when first asked.
    InputError if exp(-V/D) cannot be integrated, V is NaN somewhere, or log Z does not settle.
    """

    def __init__(self, potential: Callable, D: float, dim: int, box: Any = None):
        self.potential = function("QuadratureReference.potential", potential, POTENTIAL)
        self.D = positive_number("QuadratureReference.D", D)
        self.dim = integer("QuadratureReference.dim", dim)
        if self.dim > 2:
            raise InputError("QuadratureReference.dim", dim, "1 or 2: the grid grows as a power of the dimension")
        self.box = None if box is None else finite_array("QuadratureReference.box", box, (self.dim, 2))
        if self.box is not None and np.any(self.box[:, 0] >= self.box[:, 1]):
            raise InputError("QuadratureReference.box", self.box.tolist(), "lower ends below upper ends")
        self._values = on_points("QuadratureReference.potential", potential, POTENTIAL)

    @property
    def log_normaliser(self) -> float:
        """log Z of exp(-V/D)."""
        return self._grid.log_normaliser

    @property
    def equilibrium_free_energy(self) -> float:
        """F* = -D log Z."""
        return -self.D * self.log_normaliser

    def density(self, t: Any) -> None:
        """None: the path to the equilibrium is not known here."""
        return None

    def equilibrium_log_prob(self, x: Points) -> Float[Array, "*n"]:
        """-V(x)/D - log Z at one point (d,) or a batch (n, d)."""
        points = jnp.asarray(x, dtype=float)
        if points.ndim not in (1, 2) or points.shape[-1] != self.dim:
            allowed = f"{shape_text((self.dim,))} or {shape_text((None, self.dim))}"
            raise InputError("x", f"shape {shape_text(points.shape)}", allowed)
        potential = lambda x: jnp.asarray(self.potential(x), dtype=x.dtype)
        values = potential(points) if points.ndim == 1 else jax.vmap(potential)(points)
        return -values / self.D - self.log_normaliser

    @cached_property
    def log_sobolev(self) -> float:
        """lam, with KL(rho || rho_*) <= ||grad mu||^2 / (2 lam D) for every rho; on a line only, else InputError.

        D / (2 B) in the units of V'': the least that Barthe and Roberto's criterion allows it to be. With m the median,
        B is the larger, of both tails, of sup_{x > m} T(x) log(1 + e^2 / T(x)) int_m^x 1 / rho_*, T(x) = rho_*(y > x).
        It is at most sixteen times below the best constant, and a quarter of it for a Gaussian. Source: Studia Math.
        159 (2003) 481-497, theorem 3.
        """
        if self.dim != 1:
            raise InputError("QuadratureReference.log_sobolev", f"dim = {self.dim}", "one dimension")
        grid = self._grid
        mass, density = grid.probability, grid.probability / grid.spacing[0]
        below = np.cumsum(mass) - 0.5 * mass
        middle = int(np.searchsorted(below, 0.5))
        left, right = slice(middle, None, -1), slice(middle, None)
        return self.D / (2 * max(_muckenhoupt(density[side], grid.spacing[0]) for side in (left, right)))

    def expectation(self, observable: Callable) -> np.ndarray:
        """The mean of a function of one point (d,) -> array, written with jax.numpy, under the equilibrium."""
        points = jnp.asarray(self._grid.points, dtype=float)
        try:
            values = np.asarray(jax.jit(lambda x: jax.lax.map(observable, x, batch_size=BATCH))(points))
        except Exception as error:  # whatever the user's function raises; `from None` keeps jax's traceback out
            raise InputError("observable", reason(error), OBSERVABLE) from None
        return np.tensordot(self._grid.probability, values.astype(np.float64), axes=1)

    def mode_weight(self, predicate: Callable) -> float:
        """The equilibrium's probability of the set where predicate(x), one point (d,) -> bool, holds.

        Each cell counts by the share of 64 evenly spread points in it that lie in the set.
        """
        shifts = jnp.asarray((sobol(0, PIECES, self.dim) - 0.5) * self._grid.spacing, dtype=float)
        return float(self.expectation(lambda x: jnp.mean(jnp.asarray(jax.vmap(predicate)(x + shifts), dtype=float))))

    @cached_property
    def _grid(self) -> Grid:
        box = find_box(self._values, self.dim, DEPTH * self.D, self.box)
        tolerance = 1e-10 if default_float() == jnp.float64 else 1e-6
        size, last = FIRST[self.dim], -np.inf
        while True:
            points, log_weight = self._log_cells(box, size)
            top = log_weight.max()
            log_z = float(top + np.log(np.sum(np.exp(log_weight - top))))
            change, last = abs(log_z - last), log_z
            if change < tolerance or size >= LAST[self.dim]:
                break
            size = 2 * size - 1
        if not change < SLACK * tolerance:
            allowed = "a function smooth enough for quadrature"
            raise InputError("QuadratureReference.potential", f"log Z still changing by {change:.2g}", allowed)
        spacing = (box[:, 1] - box[:, 0]) / (size - 1)
        return Grid(points, spacing, np.exp(log_weight - log_z), log_z, change)

    def _log_cells(self, box: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Grid points and the log of exp(-V/D) times the cell; V is negligible at the rim, so all cells are alike."""
        points = tensor_grid(box, size)
        spacing = (box[:, 1] - box[:, 0]) / (size - 1)
        return points, -self._values(points) / self.D + np.sum(np.log(spacing))


def _muckenhoupt(density: Float[np.ndarray, " n"], spacing: float) -> float:
    """B of one tail: densities from the median outwards."""
    tail = np.cumsum(density[::-1])[::-1] * spacing - 0.5 * spacing * density
    seen = (density > 0) & (tail > 0)
    density, tail = density[seen], tail[seen]
    across = spacing * (np.cumsum(1 / density) - 0.5 / density - 0.5 / density[0])
    return float(np.max(tail * np.log1p(np.exp(2) / tail) * across))
