"""The path: layers, the start, the clock, and curves along the nodes."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import integer, shape_text
from genwgp.clock import Clock
from genwgp.energies import FreeEnergy
from genwgp.errors import InputError
from genwgp.initial import AbstractDensity
from genwgp.layers.base import AbstractLayer
from genwgp.parts import default_float
from genwgp.path import chain
from genwgp.path.density import PathDensity
from genwgp.path.equilibrium import Equilibrium
from genwgp.path.stored import from_stored, to_stored
from genwgp.problem import Problem

Numbers = Float[np.ndarray, "..."]


NODE_CURVES = ("times", "arclength", "free_energy", "dissipation", "speed", "direction_residual")
CLOUD, CLOUD_SEED = 4096, 9001  # particles that stand for the density in an interaction


class Curves(eqx.Module):
    """What was measured along a path over held-out particles: (nodes,) = (K + 1,), (K,) for layers, or a number.

    times, arclength, free_energy, dissipation, speed, direction_residual: as `WassersteinPath` has them.
    equilibrium: (log Z, its standard error, effective sample size as a share of 1, Pareto k), NaN where there is none.
    """

    times: Float[np.ndarray, " nodes"]
    arclength: Float[np.ndarray, " nodes"]
    free_energy: Float[np.ndarray, " nodes"]
    dissipation: Float[np.ndarray, " nodes"]
    speed: Float[np.ndarray, " nodes"]
    direction_residual: Float[np.ndarray, " nodes"]
    layer_lengths: Float[np.ndarray, " K"]
    equilibrium: Float[np.ndarray, " 4"]


class WassersteinPath(eqx.Module):
    """The path of densities from the start to the equilibrium (or to a horizon), as K layers between K + 1 nodes.

    times (K+1,): physical time, length^2 / energy; infinite at the last node where that stands for the equilibrium,
    which the gradient flow reaches only in infinite time.
    arclength (K+1,): Wasserstein length from the start. free_energy (K+1,): F. dissipation (K+1,): int |grad mu|^2 rho.
    speed (K+1,): ||v|| in L2(rho) per unit of physical time. layer_lengths (K,). direction_residual (K+1,):
    || v/||v|| + grad mu/||grad mu|| ||, 0 on the gradient flow, sqrt(2) for directions that have nothing to do with
    each other.
    All measured on particles that the solver did not train on.
    """

    layers: AbstractLayer
    initial: AbstractDensity
    energy: FreeEnergy
    clock: Clock
    curves: Curves

    @property
    def dim(self) -> int:
        """d, the dimension of the space."""
        return self.initial.dim

    @property
    def times(self) -> Numbers:
        return self.curves.times

    @property
    def arclength(self) -> Numbers:
        return self.curves.arclength

    @property
    def free_energy(self) -> Numbers:
        return self.curves.free_energy

    @property
    def dissipation(self) -> Numbers:
        return self.curves.dissipation

    @property
    def speed(self) -> Numbers:
        return self.curves.speed

    @property
    def direction_residual(self) -> Numbers:
        return self.curves.direction_residual

    @property
    def layer_lengths(self) -> Numbers:
        return self.curves.layer_lengths

    def at(self, *, time: float | None = None, arclength: float | None = None, node: int | None = None) -> PathDensity:
        """The density at one of: a physical time, an arclength, a node. InputError outside of the path."""
        position = self._position(time, arclength, node)
        when, length = (self.clock.value_at(name, position) for name in ("time", "arclength"))
        place = jnp.asarray(position, dtype=float)
        return PathDensity(  # pyright: ignore[reportCallIssue]  (dim is a property)
            layers=self.layers, initial=self.initial, position=place, time=when, arclength=length
        )

    def transport(
        self,
        x0: Float[np.ndarray | Array, "n d"],
        *,
        time: float | None = None,
        arclength: float | None = None,
        node: int | None = None,
    ) -> Float[Array, "n d"]:
        """Where particles that start at x0 (n, d) are at a time, an arclength or a node."""
        position = jnp.asarray(self._position(time, arclength, node), dtype=float)
        return chain.push(self.layers, position, self._starts(x0))

    def trajectories(
        self,
        x0: Float[np.ndarray | Array, "n d"],
        *,
        time: Sequence[float] | np.ndarray | None = None,
        arclength: Sequence[float] | np.ndarray | None = None,
    ) -> Float[np.ndarray, "m n d"]:
        """Where particles that start at x0 (n, d) are at m times or m arclengths, in any order.

        The same as `transport` to each of them, at the cost of about one: every layer is passed once. InputError for
        places outside of the path.
        """
        given = {name: v for name, v in (("time", time), ("arclength", arclength)) if v is not None}
        if len(given) != 1 or np.ndim(*given.values()) != 1:
            raise InputError("trajectories", ", ".join(given) or "nothing", "a sequence of one of time=, arclength=")
        ((name, values),) = given.items()
        position = np.array([self.clock.position_of(name, value) for value in values])
        layer = np.minimum(position.astype(int), len(self.layer_lengths) - 1)
        slot = np.array([np.count_nonzero(layer[:i] == k) for i, k in enumerate(layer)], dtype=int)
        theta = np.zeros((len(self.layer_lengths), slot.max(initial=0) + 1))
        theta[layer, slot] = position - layer
        inside = chain.push_through(self.layers, jnp.asarray(theta, dtype=float), self._starts(x0))
        return np.asarray(inside)[:, layer, slot].swapaxes(0, 1)

    def _starts(self, x0) -> Float[Array, "n d"]:
        x = jnp.asarray(x0, dtype=float)
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise InputError("x0", f"shape {shape_text(x.shape)}", f"a batch {shape_text((None, self.dim))}")
        return x

    @property
    def equilibrium(self) -> Equilibrium:
        """The last node, with its log-normaliser, effective sample size, Pareto k and weights."""
        K = len(self.layer_lengths)
        when, length = (self.clock.value_at(name, K) for name in ("time", "arclength"))
        log_z, error, share, *tail = map(float, self.curves.equilibrium)
        return Equilibrium(  # pyright: ignore[reportCallIssue]
            layers=self.layers,
            initial=self.initial,
            position=jnp.asarray(float(K), dtype=float),
            time=when,
            arclength=length,
            energy=self.energy_at(node=K),
            log_normaliser=log_z,
            log_normaliser_error=error,
            effective_sample_size=share,
            pareto_k=tail[0] if tail else float("nan"),  # older run folders have none
        )

    def energy_at(
        self, *, time: float | None = None, arclength: float | None = None, node: int | None = None
    ) -> FreeEnergy:
        """The free energy in the mean field of the path there, from 4096 particles of the start; the energy itself
        where there is no interaction."""
        if not self.energy.interacting:
            return self.energy
        x0 = self.initial.quasi_sample(CLOUD_SEED, CLOUD)
        return self.energy.among(self.transport(x0, time=time, arclength=arclength, node=node))

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """All arrays by name and the rest as plain values, for files; the start and the energy are the problem's."""
        return to_stored({"layers": self.layers, "clock": self.clock, "curves": self.curves})

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], static: dict[str, Any], problem: Problem) -> "WassersteinPath":
        """The inverse of `to_arrays`. RunFolderError for content that is not a path."""
        parts = from_stored(arrays, static, problem.energy.potential)
        return cls(parts["layers"], problem.initial, problem.energy, parts["clock"], parts["curves"])

    def check(self) -> None:
        """ValueError or TypeError unless the parts of a path that was read belong together; nothing is computed.

        That is, where one point cannot be carried along the layers, as far as shapes and types say; or where curves and
        clock have not the lengths that the layers ask for.
        """
        K = len(self.curves.layer_lengths)
        nodes = {name: getattr(self.curves, name).shape for name in NODE_CURVES}
        if any(shape != (K + 1,) for shape in nodes.values()) or self.curves.equilibrium.shape not in ((3,), (4,)):
            raise ValueError(f"curves of shapes {nodes} for {K} layers")
        knots = {name: getattr(self.clock, name) for name in ("position", "time", "arclength")}
        curves = [getattr(self.curves, name) for name in (*NODE_CURVES, "layer_lengths", "equilibrium")]
        if any(a.dtype.kind != "f" for a in (*curves, *knots.values())):
            raise TypeError("curves or a clock that are no floating-point numbers")
        if len({a.shape for a in knots.values()}) > 1 or self.clock.position.ndim != 1 or not len(self.clock.position):
            raise ValueError("a clock whose knots do not belong together")
        for a in knots.values():
            if not np.isfinite(a).all() or (np.diff(a) < 0).any():
                raise ValueError("a clock that goes backwards")
        leaves = [leaf for leaf in jax.tree.leaves(self.layers) if eqx.is_array(leaf)]
        if any(leaf.shape[:1] != (K,) for leaf in leaves):
            raise ValueError(f"layers that are not {K} in number")
        if not all(bool(jnp.isfinite(leaf).all()) for leaf in leaves):
            raise ValueError("numbers in the layers that are not finite")
        if len({leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)}) > 1:
            raise TypeError("layers in more than one precision")
        point = jax.ShapeDtypeStruct((1, self.dim), default_float())
        moved = jax.eval_shape(lambda x: chain.push(self.layers, jnp.asarray(float(K), dtype=float), x), point)
        if moved != point:
            raise ValueError(f"layers that carry a point of {self.dim} coordinates to {moved.shape}")

    def _position(self, time: float | None, arclength: float | None, node: int | None) -> float:
        given = {k: v for k, v in (("time", time), ("arclength", arclength), ("node", node)) if v is not None}
        if len(given) != 1:
            raise InputError("at", ", ".join(given) or "nothing", "one of time=, arclength=, node=")
        if node is None:
            ((name, value),) = given.items()
            return self.clock.position_of(name, value)
        K = len(self.layer_lengths)
        if integer("node", node, least=0) > K:
            raise InputError("node", node, f"a whole number from 0 to {K}")
        return float(node)
