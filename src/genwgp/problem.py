"""A problem: a free energy and the density to start from."""

import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp import indices
from genwgp.checks import reason
from genwgp.energies.free_energy import POTENTIAL, FreeEnergy
from genwgp.energies.interaction import INTERACTION, AbstractInteraction, Interaction
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity
from genwgp.initial.foreign import as_density
from genwgp.initial.gaussian import Gaussian
from genwgp.initial.mixture import Mixture
from genwgp.references.base import ExactSolution

PROBES = 64
SAMPLES = 1024  # that compare a functional with its first variation
ODD = 1e-5  # difference of W(z) and W(-z), over the largest W, that is rounding in float32
REFERENCE = ("log_normaliser", "equilibrium_free_energy", "density")


class Problem(eqx.Module):
    """Follow the gradient flow of `energy` from `initial` to the equilibrium.

    `energy`: a FreeEnergy. `initial`: a density of `genwgp.initial` or anything with `sample` and `log_prob`.
    `name`: for reports. `reference`: an object of `genwgp.references` with what is known exactly, or None.

    Everything that can be wrong with them is found here, at 64 samples of the start: InputError if V or W cannot be
    traced by jax, does not return one number, or if V, W, their gradients, log rho or the score is not finite there; if
    W is not even, or not differentiable at zero; if the internal energy has no flow in d dimensions; and if V, W or log
    rho depends on an entry outside of an array, which jax would replace by the nearest one without a word. A functional
    is looked at at 1024 samples.
    """

    energy: FreeEnergy
    initial: AbstractDensity
    name: str
    reference: ExactSolution | None

    def __init__(self, energy: Any, initial: Any, name: str = "problem", reference: Any = None):
        if not isinstance(energy, FreeEnergy):
            raise InputError("energy", energy, "genwgp.FreeEnergy(potential=..., internal=genwgp.Entropy(D))")
        if not isinstance(name, str) or not name.strip():
            raise InputError("name", repr(name), "a text that is not empty")
        # Looked up without evaluating: a reference may compute its normaliser only when it is asked.
        if reference is not None and any(inspect.getattr_static(reference, part, None) is None for part in REFERENCE):
            raise InputError("reference", reference, "None or an object of genwgp.references")
        self.energy, self.initial, self.name, self.reference = energy, as_density(initial), name, reference
        points = np.asarray(self.initial.sample(jax.random.key(0), PROBES))  # few: numpy has nothing to compile
        _check_initial(self.initial, points)
        if energy.potential is not None:
            _check_potential(energy.potential, points)
        if energy.interaction is not None:
            _check_interaction(energy.interaction, points)
        if energy.internal is not None:
            energy.internal.check_dimension(self.initial.dim)
        if energy.functional is not None:
            many = self.initial.sample(jax.random.key(1), SAMPLES)
            energy.functional.check(many, self.initial.log_prob(many), self.initial.score(many))

    @property
    def dim(self) -> int:
        """d, the dimension of the space."""
        return self.initial.dim


def _check_initial(initial: AbstractDensity, points: Float[np.ndarray, "n d"]) -> None:
    if not np.all(np.isfinite(points)):
        raise InputError("initial.sample", "samples that are not finite", "finite samples")
    own = isinstance(initial, Gaussian | Mixture)  # what a user has not written is compiled once for all of its kind
    both = lambda x: (initial.log_prob(x), initial.score(x))
    log_density, score = both(points) if own else jax.jit(both)(points)
    if not np.all(np.isfinite(log_density)) or not np.all(np.isfinite(score)):
        raise InputError("initial", "log_prob or score that is NaN or infinite at a sample", "finite where sampled")
    if own:
        return  # and needs no check of its indices
    try:
        traced, _ = indices.trace(initial.log_prob, points[0])
    except IndexError as error:
        raise InputError("initial.log_prob", reason(error), indices.ALLOWED) from None
    if (index := indices.outside(initial.log_prob, traced, points)) is not None:
        raise InputError("initial.log_prob", index, indices.ALLOWED)


def _check_potential(potential: Callable, points: Float[np.ndarray, "n d"]) -> None:
    """InputError unless V of one point is one number, finite with a finite gradient at the points."""
    allowed = POTENTIAL.replace("(d,)", f"({points.shape[1]},)")
    _check_function("energy.potential", "V", potential, points, allowed, "samples of the start")


def _check_interaction(interaction: AbstractInteraction, points: Float[np.ndarray, "n d"]) -> None:
    """InputError unless W of one difference is one number, finite with a finite gradient, zero included, and even."""
    function = interaction.W if isinstance(interaction, Interaction) else interaction
    field, allowed = "energy.interaction", INTERACTION.replace("(d,)", f"({points.shape[1]},)")
    z = points[::2] - points[1::2]
    _check_function(field, "W", function, z, allowed, "differences of samples of the start")
    zero = np.zeros_like(z[:1])
    regularised = "finite with a finite gradient at z = 0: regularise it, as with sqrt(z @ z + 1e-4) for |z|"
    at_zero = _values_and_gradients(function, zero)
    if not all(np.all(np.isfinite(part)) for part in at_zero):
        given = f"W = {float(at_zero[0][0]):.3g}, grad W = {np.asarray(at_zero[1][0])} at z = 0"
        raise InputError(field, given, regularised)
    there, back = (np.asarray(_values_and_gradients(function, a)[0], dtype=np.float64) for a in (z, -z))
    worst = int(np.argmax(np.abs(there - back)))
    if np.abs(there - back)[worst] > ODD * np.abs(there).max():
        where = ", ".join(f"{coordinate:.3g}" for coordinate in np.asarray(z[worst]))
        given = f"W(z) = {there[worst]:.6g} and W(-z) = {back[worst]:.6g} at z = ({where})"
        raise InputError(field, given, "an even function: forces between two particles are opposite")


def _check_function(field: str, name: str, potential: Callable, points, allowed: str, where: str) -> None:
    """InputError unless a function of one point is one number, finite with a finite gradient at the points."""
    try:
        traced, value = indices.trace(potential, points[0])
    except InputError:  # of a named kind, which knows better what is wrong
        raise
    except Exception as error:  # whatever the user's function raises; `from None` keeps jax's traceback out
        raise InputError(field, reason(error), allowed) from None
    if getattr(value, "shape", None) != ():
        raise InputError(field, f"a function that returns {_kind(value)}", allowed)
    if not (jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)):
        kind = "complex" if jnp.issubdtype(value.dtype, jnp.complexfloating) else str(value.dtype)
        raise InputError(field, f"a function that returns {kind} numbers", allowed)
    try:
        values, gradients = _values_and_gradients(potential, points)
    except Exception as error:
        raise InputError(field, reason(error), f"{allowed}, differentiable by jax") from None
    if not np.all(np.isfinite(values)):
        raise InputError(field, _first(points, values, name), f"finite values at {where}")
    if not np.all(np.isfinite(gradients)):
        raise InputError(field, _first(points, gradients, f"grad {name}"), f"a finite gradient at {where}")
    if (index := indices.outside(potential, traced, points)) is not None:
        raise InputError(field, index, f"{allowed}; {indices.ALLOWED}")


@eqx.filter_jit
def _values_and_gradients(function: Callable, points):
    return jax.vmap(jax.value_and_grad(_as_float(function)))(points)


def _as_float(potential: Callable) -> Callable:
    return lambda x: jnp.asarray(potential(x), dtype=x.dtype)


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" if shape is None else f"shape {shape}"


def _first(points: Array, values: Array, name: str) -> str:
    """The first point where a value is not finite, in words."""
    bad = int(np.argmin(np.isfinite(np.asarray(values)).reshape(len(points), -1).all(axis=1)))
    where = ", ".join(f"{coordinate:.3g}" for coordinate in np.asarray(points[bad]))
    return f"{name} = {np.asarray(values)[bad]} at ({where})"
