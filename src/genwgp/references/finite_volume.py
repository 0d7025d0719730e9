"""The path on a mesh, in one and two dimensions: an independent solution of the partial differential equation."""

from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from genwgp.checks import finite_array, function, integer, positive_number
from genwgp.energies.free_energy import POTENTIAL
from genwgp.energies.internal import AbstractInternal, Entropy
from genwgp.errors import InputError, NotConvergedError
from genwgp.initial.foreign import as_density
from genwgp.references.automatic import INITIAL_FIELD, LOG_DENSITY, POTENTIAL_FIELD, automatic_box, automatic_cells
from genwgp.references.base import time_of, without_functional
from genwgp.references.convolution import INTERACTION, Convolution
from genwgp.references.evaluate import on_points
from genwgp.references.grid_density import GridDensity
from genwgp.references.implicit import Implicit
from genwgp.references.mesh import Mesh
from genwgp.references.scharfetter_gummel import SMALLEST, ScharfetterGummel
from genwgp.references.upwind import Upwind

UNRESOLVED = 0.05  # of the start's mass, by which the sum over the cells may miss one
LOST = 1e-8  # of the largest density, at the rim of a box found automatically
SETTLED = 1e-7  # change of rho in L1, while time doubles, in equilibrium
INTERNAL = "None, genwgp.Entropy(D), or another internal energy such as genwgp.PorousMedium(m)"


class FiniteVolume:
    """d rho/dt = div(rho grad(V + W * rho + D U'(rho))) by finite volumes, no flux through the walls of a box.

    `initial`: a density in one or two dimensions. `potential`: V, one point (d,) -> scalar, or None. `interaction`: W,
    one difference (d,) -> scalar, symmetric, or None; W may be infinite at zero. `internal`: None, genwgp.Entropy(D),
    or another internal energy of genwgp.energies. `box` (d, 2) and `cells`, their number along each axis, one
    number or d of them: by default the box holds all but e^-36 of the start and of the equilibrium (e^-20 in two
    dimensions), with 4096 cells, or 288 along each axis, more for a narrow start (without entropy 400, or 128).
    `tolerance`: error of one step in time, in L1, with an entropy. `walls`: whether the density may reach the walls of
    a box given by hand.

    With an entropy: Scharfetter-Gummel fluxes, implicit steps of order four (see `Implicit`); without interaction the
    steady state is exactly exp(-V/D)/Z on the cells. Else: the scheme of Carrillo, Chertock and Huang (see `Upwind`),
    explicit. Both are of second order in space where the density is smooth, positive, and conserve mass up to rounding.
    Computed when first asked, from the nearest earlier time; answers are kept.
    InputError for what cannot be used: no energy, other dimensions, functions that jax cannot evaluate, V infinite in
    the box, W not symmetric, cells that do not resolve the start, a box without walls that the density leaves.
    """

    def __init__(
        self,
        initial: Any,
        potential: Callable | None = None,
        interaction: Callable | None = None,
        internal: AbstractInternal | None = None,
        box: Any = None,
        cells: Any = None,
        tolerance: float = 1e-5,
        walls: bool = True,
    ):
        self.initial = as_density(initial)
        self.dim = self.initial.dim
        if self.dim > 2:
            raise InputError(INITIAL_FIELD, f"{self.dim} dimensions", "1 or 2: the mesh grows as a power of it")
        if potential is None and interaction is None and internal is None:
            raise InputError("FiniteVolume", "no potential, interaction or internal energy", "at least one of them")
        if not (internal is None or isinstance(internal, AbstractInternal)):
            raise InputError("FiniteVolume.internal", internal, INTERNAL)
        self.potential = None if potential is None else function(POTENTIAL_FIELD, potential, POTENTIAL)
        self.interaction = (
            None if interaction is None else function("FiniteVolume.interaction", interaction, INTERACTION)
        )
        self.internal = internal
        self.tolerance = positive_number("FiniteVolume.tolerance", tolerance)
        self._box = None if box is None else finite_array("FiniteVolume.box", box, (self.dim, 2))
        self._walls = box is not None and walls
        if self._box is not None and np.any(self._box[:, 0] >= self._box[:, 1]):
            raise InputError("FiniteVolume.box", self._box.tolist(), "lower ends below upper ends")
        self._cells = self._counts(cells)
        self._V = None if potential is None else on_points(POTENTIAL_FIELD, potential, POTENTIAL)
        self._densities: dict[float, GridDensity] = {}

    @classmethod
    def of(cls, problem: Any, **settings: Any) -> "FiniteVolume":
        """The path of a problem: of its `energy` from its `initial`; `settings`: box, cells, tolerance, walls."""
        energy = without_functional("FiniteVolume", problem.energy)
        parts = {part: getattr(energy, part, None) for part in ("potential", "interaction", "internal")}
        return cls(problem.initial, **parts, **settings)

    @property
    def log_normaliser(self) -> float | None:
        """log Z, Z = int exp(-V/D), by the sum over the cells; None with an interaction or without an entropy."""
        return self._log_equilibrium[1] if self._linear else None

    @property
    def equilibrium_free_energy(self) -> float:
        """F of the equilibrium that the path reaches."""
        return self.free_energy(np.inf)

    def density(self, t: Any) -> GridDensity:
        """rho at time t in [0, inf]. At infinity the equilibrium: exact without interaction and with entropy, else the
        density that does not change any more while time doubles. NotConvergedError if there is none.
        """
        t = time_of(t)
        if t not in self._densities:
            self._densities[t] = GridDensity(self.mesh, self._log_rho(t), isinstance(self.internal, Entropy))
        return self._densities[t]

    def free_energy(self, t: Any) -> float:
        """F at time t, on the cells."""
        return self._scheme.free_energy(self._rho(time_of(t)))

    def dissipation(self, t: Any) -> float:
        """-dF/dt at time t, exactly that of the scheme before its steps in time."""
        return self._scheme.dissipation(self._rho(time_of(t)))

    def describe(self) -> str:
        """What was computed, in words."""
        flux = "Scharfetter-Gummel fluxes" if isinstance(self.internal, Entropy) else "second-order upwind fluxes"
        cells = " x ".join(map(str, self.mesh.cells))
        return f"finite volumes, {flux}, {cells} cells on {np.round(self.mesh.box, 4).tolist()}"

    @cached_property
    def mesh(self) -> Mesh:
        """The cells."""
        box = self._box
        if box is None:
            box = automatic_box(self.initial, self._V, self.internal, self.interaction is not None)
        entropy = isinstance(self.internal, Entropy)
        return Mesh(box, self._cells or automatic_cells(self.initial, entropy, box))

    @property
    def _linear(self) -> bool:
        return isinstance(self.internal, Entropy) and self.interaction is None

    @cached_property
    def _scheme(self) -> Any:
        """Where F, the dissipation and the steps in time come from."""
        mesh = self.mesh
        V = self._potential_on_cells
        convolution = None if self.interaction is None else Convolution(self.interaction, mesh)
        if isinstance(self.internal, Entropy):
            return ScharfetterGummel(mesh, V, self.internal.D, convolution)
        return Upwind(mesh, V, self.internal, convolution)

    @cached_property
    def _march(self) -> Any:
        scheme = self._scheme
        return Implicit(scheme, self.tolerance) if isinstance(scheme, ScharfetterGummel) else scheme

    @cached_property
    def _potential_on_cells(self) -> np.ndarray:
        if self._V is None:
            return np.zeros(self.mesh.cells)
        V = self._V(self.mesh.centres.reshape(-1, self.dim)).reshape(self.mesh.cells)
        if not np.all(np.isfinite(V)):
            where = self.mesh.centres[np.unravel_index(np.argmin(np.isfinite(V)), V.shape)].tolist()
            raise InputError(POTENTIAL_FIELD, f"V = inf at {where}", "finite values in the box")
        return V

    @cached_property
    def _log_start(self) -> np.ndarray:
        log_rho = -on_points(INITIAL_FIELD, lambda x: -self.initial.log_prob(x), LOG_DENSITY)(
            self.mesh.centres.reshape(-1, self.dim)
        ).reshape(self.mesh.cells)
        mass = float(np.sum(np.exp(log_rho))) * self.mesh.volume
        if not abs(mass - 1) < UNRESOLVED:
            given, allowed = f"mass {mass:.4g} of the start on {self.mesh.cells} cells", "a box and cells that give one"
            raise InputError("FiniteVolume.cells", given, allowed)
        return log_rho - np.log(mass)

    @cached_property
    def _log_equilibrium(self) -> tuple[np.ndarray, float]:
        """log rho_* on the cells and log Z, for the entropy without interaction."""
        assert isinstance(self.internal, Entropy)
        exponent = -self._potential_on_cells / self.internal.D
        log_z = float(np.logaddexp.reduce(exponent.ravel())) + np.log(self.mesh.volume)
        return exponent - log_z, log_z

    def _log_rho(self, t: float) -> np.ndarray:
        if t == 0:
            return self._log_start
        if t == np.inf and self._linear:
            return self._log_equilibrium[0]
        rho = self._rho(t)
        if isinstance(self.internal, Entropy):
            return np.log(np.maximum(rho, SMALLEST))
        with np.errstate(divide="ignore"):  # outside a compact support
            return np.log(rho)

    def _rho(self, t: float) -> np.ndarray:
        """rho on the cells."""
        if t == np.inf:
            return np.exp(self._log_equilibrium[0]) if self._linear else self._settled
        earlier = bisect_right(list(self._snapshots), t)
        last = list(self._snapshots)[earlier - 1]
        rho, step = self._snapshots[last]
        if last < t:
            rho, step = self._march.march(rho, t - last, step)
            self._check_rim(rho, t)
            self._snapshots = dict(sorted([*self._snapshots.items(), (t, (rho, step))]))
        return rho

    @cached_property
    def _snapshots(self) -> dict[float, tuple[np.ndarray, float]]:
        """rho on the cells and the step to go on with, by times in rising order."""
        return {0.0: (np.exp(self._log_start), self._march.first_step())}

    @cached_property
    def _settled(self) -> np.ndarray:
        """The steady state, by going on to twice the time until nothing changes."""
        rho = self._rho(0.0)
        loss = self._scheme.dissipation(rho)
        width = float(np.sqrt(np.trace(self.density(0.0).covariance)))
        t = width / np.sqrt(loss) if loss > 0 else 1.0
        for _ in range(self._march.doublings):
            before, rho, t = rho, self._rho(t), 2 * t
            if np.sum(np.abs(rho - before)) * self.mesh.volume < SETTLED:
                return rho
        raise NotConvergedError(f"the density still changes at t = {t / 2:.3g}", self.density(t / 2))

    def _check_rim(self, rho: np.ndarray, t: float) -> None:
        if self._walls:
            return  # they are where they were put
        for axis in range(self.dim):
            rim = np.take(rho, [0, -1], axis=axis).max() / rho.max()
            if rim > LOST:
                given = f"a density at its rim of {rim:.1g} of the largest at t = {t:.3g}"
                raise InputError("FiniteVolume.box", given, "a larger box, given by hand")

    def _counts(self, cells: Any) -> tuple[int, ...] | None:
        if cells is None:
            return None
        counts = (cells,) * self.dim if np.ndim(cells) == 0 else tuple(cells)
        if len(counts) != self.dim:
            raise InputError("FiniteVolume.cells", cells, f"one whole number or {self.dim} of them")
        return tuple(integer("FiniteVolume.cells", n, least=8) for n in counts)
