"""What every reference offers."""

from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import is_traced
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity


class ExactSolution(Protocol):
    """The equilibrium exp(-V/D) / Z of a potential V, and, where it is known, the path to it."""

    @property
    def log_normaliser(self) -> float | None:
        """log Z, Z = int exp(-V/D); None where it is not known."""
        ...

    @property
    def equilibrium_free_energy(self) -> float | None:
        """F of the equilibrium, F* = -D log Z, the least F; None where it is not known."""
        ...

    def density(self, t: Any) -> AbstractDensity | None:
        """The exact density at physical time t >= 0; None where it is not known."""
        ...


def time_of(t: Any) -> float:
    """`t` as a float; InputError unless it is one real number in [0, inf]."""
    if not (np.ndim(t) == 0 and np.asarray(t).dtype.kind in "iuf" and np.asarray(t) >= 0):
        raise InputError("t", t, "one time, at least 0 (inf: the equilibrium)")
    return float(t)


def time_in(t: Any) -> Float[Array, ""]:
    """`t` for closed forms: checked by `time_of` unless jax is tracing it."""
    return jnp.asarray(t if is_traced(t) else time_of(t), dtype=float)


def is_finite(t: Any) -> bool:
    """Whether a time is finite; one that jax is tracing counts as finite."""
    return is_traced(t) or bool(np.isfinite(t))


def without_functional(reference: str, energy: Any) -> Any:
    """The energy; InputError if it has a functional of a user, which this reference cannot treat."""
    if getattr(energy, "functional", None) is not None:
        raise InputError("energy.functional", "a functional", f"none: {reference} follows V, W and internal energies")
    return energy
