"""A density as a distribution of flowjax or of numpyro."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import installed
from genwgp.errors import InputError
from genwgp.initial import AbstractDensity
from genwgp.path import Equilibrium, PathDensity


def to_flowjax(density: AbstractDensity) -> Any:
    """A density, such as `path.at(time=1.0)` or `path.equilibrium`, as a flowjax distribution.

    It is a `flowjax.distributions.AbstractDistribution` of shape (d,), unconditional, with the same samples' law,
    log-density and, by jax.grad of log_prob, score. It has no parameters to train: derivatives are those in x. Of an
    equilibrium it is the last node itself, without weights. The start of the path must draw samples under jax.jit.
    InputError for anything but a density, and without flowjax (`pip install 'genwgp[flowjax]'`).
    """
    density = _plain("to_flowjax", density)
    with installed("to_flowjax", "flowjax", "flowjax"):
        from genwgp.export._flowjax import FlowjaxDensity
    return FlowjaxDensity(density)


def to_numpyro(density: AbstractDensity) -> Any:
    """A density as a numpyro distribution: event shape (d,), support R^d; otherwise as `to_flowjax`.

    It may be a prior in a numpyro model, and NUTS or SVI differentiate through its log_prob.
    InputError for anything but a density, and without numpyro (`pip install 'genwgp[numpyro]'`).
    """
    density = _plain("to_numpyro", density)
    with installed("to_numpyro", "numpyro", "numpyro"):
        from genwgp.export._numpyro import NumpyroDensity
    return NumpyroDensity(density)


@eqx.filter_custom_jvp
def log_prob_with_score(x: Float[Array, " d"], density: AbstractDensity) -> Float[Array, ""]:
    """log rho(x) at one point, whose derivative is the score: layers that are flows have no other way back."""
    return density.log_prob(x)


@log_prob_with_score.def_jvp
def _(primals: Any, tangents: Any) -> tuple[Any, Any]:
    x, density = primals
    value = density.log_prob(x)
    if tangents[0] is None:
        return value, jnp.zeros_like(value)
    return value, jnp.sum(density.score(x) * tangents[0])


def _plain(field: str, density: Any) -> AbstractDensity:
    """The density, without what an equilibrium has beside it."""
    if not isinstance(density, AbstractDensity):
        raise InputError(field, density, "a density: path.at(...), path.equilibrium, or one of genwgp.initial")
    if isinstance(density, Equilibrium):
        names = ("layers", "initial", "position", "time", "arclength")
        return PathDensity(**{name: getattr(density, name) for name in names})  # pyright: ignore[reportCallIssue]
    return density
