"""Densities of other libraries: anything with `sample` and `log_prob`."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.checks import integer, reason, shape_text
from genwgp.errors import InputError
from genwgp.initial.base import AbstractDensity, Points

PROBES = 8
ALLOWED = "a density of genwgp.initial, or an object with sample(key, n) or sample(key, (n,)) and log_prob(x)"
WRITE_WITH_JAX = "log_prob of one point, shape (d,), returns one number, written with jax.numpy"


class Foreign(AbstractDensity):
    """The density of another library; made by `as_density`, which finds out how to call it."""

    source: Any
    dim: int = eqx.field(static=True)
    takes_shape: bool = eqx.field(static=True)  # sample(key, (n,)) rather than sample(key, n)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        return jnp.asarray(self.source.sample(key, (n,) if self.takes_shape else n), dtype=float)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x) as the library gives it, point by point."""
        return self._pointwise(lambda point: jnp.asarray(self.source.log_prob(point), dtype=float), x)


def as_density(obj: Any, dim: int | None = None) -> AbstractDensity:
    """`obj` as an AbstractDensity; its own densities pass through, others with `sample` and `log_prob` are wrapped.

    `sample(key, n)` is tried first, then `sample(key, (n,))` (flowjax, numpyro), with a jax key; both must give (n, d).
    `log_prob` is called with one point (d,), under jax transformations. InputError if samples have another shape or are
    not finite, if log_prob is not one finite number or not differentiable by jax there, or if `dim` is not its d.
    """
    density = obj if isinstance(obj, AbstractDensity) else _wrap(obj)
    if dim is not None and density.dim != integer("dim", dim):
        raise InputError("initial", f"a density in {density.dim} dimensions", f"one in {dim} dimensions")
    return density


def _wrap(obj: Any) -> Foreign:
    if isinstance(obj, type) or not all(callable(getattr(obj, name, None)) for name in ("sample", "log_prob")):
        raise InputError("initial", obj, ALLOWED)
    samples, takes_shape = _first_samples(obj)
    density = Foreign(obj, samples.shape[1], takes_shape)
    _check_log_prob(density, jnp.asarray(samples, dtype=float))
    return density


def _first_samples(obj: Any) -> tuple[np.ndarray, bool]:
    """Samples (PROBES, d) and whether the object wants a shape; InputError if neither way of calling gives them."""
    given = []
    for takes_shape in (False, True):
        count: Any = (PROBES,) if takes_shape else PROBES
        try:
            samples = np.asarray(obj.sample(jax.random.key(0), count), dtype=np.float64)
        except Exception as error:  # foreign code may raise anything: the message says what
            given.append(f"sample(key, {count}) raised {reason(error)}")
            continue
        if samples.ndim == 2 and samples.shape[0] == PROBES and samples.shape[1] > 0:
            if not np.all(np.isfinite(samples)):
                raise InputError("initial.sample", "samples that are not finite", "finite samples")
            return samples, takes_shape
        given.append(f"sample(key, {count}) of shape {shape_text(samples.shape)}")
    raise InputError("initial.sample", given[-1], f"samples of shape (n, d); {ALLOWED}")


def _check_log_prob(density: Foreign, samples: Array) -> None:
    value = _attempt(lambda: jax.eval_shape(density.source.log_prob, samples[0]))
    if getattr(value, "shape", None) != ():
        raise InputError("initial.log_prob", f"shape {getattr(value, 'shape', value)} for one point", WRITE_WITH_JAX)
    values, scores = _attempt(lambda: (density.log_prob(samples), density.score(samples)))
    if not np.all(np.isfinite(values)) or not np.all(np.isfinite(scores)):
        allowed = "finite log_prob with finite gradient where it is sampled"
        raise InputError("initial.log_prob", "NaN or infinite value or gradient at a sample", allowed)


def _attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # as above; `from None` keeps jax's traceback out of the message
        raise InputError("initial.log_prob", reason(error), WRITE_WITH_JAX) from None
