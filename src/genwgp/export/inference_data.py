"""Samples of a path's densities as ArviZ InferenceData."""

import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

import genwgp
from genwgp.checks import installed, integer
from genwgp.errors import InputError
from genwgp.path import Equilibrium, PathDensity
from genwgp.solvers import Solution

SOURCES = "a solution, its path.equilibrium, or a density path.at(...) of it"
FIGURES = ("log_normaliser", "log_normaliser_error", "effective_sample_size", "pareto_k")


def to_inference_data(
    source: Any,
    key: PRNGKeyArray,
    draws: int = 1000,
    resampled: bool = True,
    names: Sequence[str] | None = None,
) -> Any:
    """`draws` independent samples, one chain, as `arviz.InferenceData` with the groups posterior and sample_stats.

    `source`: a solution stands for its equilibrium. Of an equilibrium the samples are `resample`d by their weights;
    with resampled=False they are plain ones of the last node, and are to be weighted by sample_stats.log_weight (to be
    smoothed by arviz.psislw, say). Of any other place of a path they are plain ones of its density.
    posterior: `x` (chain, draw, x_dim), or `names`, one for each coordinate, as variables (chain, draw).
    sample_stats (chain, draw): log_density, log rho of the path; lp, which is -(V + W * rho)/D at the equilibrium, up
    to log Z, else log_density; and there log_weight = lp - log_density, which resampled draws have used up.
    Attributes of both groups: the library and its version, seed (the data of `key`), draws ("resampled" or "plain"),
    time and arclength, the figures of an equilibrium; of a solution also the problem, the result and the seed of the
    solve (NaN where none is recorded).
    InputError without arviz (`pip install 'genwgp[arviz]'`), for other sources, or for other numbers of names than d.
    """
    density = source.path.equilibrium if isinstance(source, Solution) else source
    if not isinstance(density, PathDensity):
        raise InputError("to_inference_data", source, SOURCES)
    draws, names = integer("draws", draws), _checked(names, density.dim)
    arviz = _arviz()
    end = density if isinstance(density, Equilibrium) and density.normalisable else None
    if end is not None and resampled:
        x, log_weight = end.resample_with_weights(key, draws)
        log_target = end.log_weights(x, jnp.zeros_like(log_weight))
        statistics = {"lp": log_target, "log_density": log_target - log_weight, "log_weight": log_weight}
    else:
        x, log_density = density.sample_and_log_prob(key, draws)
        statistics = {"lp": log_density, "log_density": log_density}
        if end is not None:
            log_weight = end.log_weights(x, log_density)
            statistics |= {"lp": log_weight + log_density, "log_weight": log_weight}
    attributes = _attributes(source, density, key)
    attributes["draws"] = "plain" if end is None or not resampled else "resampled"
    columns = {"x": np.asarray(x)} if names is None else dict(zip(names, np.asarray(x).T, strict=True))
    one_chain = lambda arrays: {name: np.asarray(array)[None] for name, array in arrays.items()}
    return arviz.from_dict(
        posterior=one_chain(columns),
        sample_stats=one_chain(statistics),
        dims={"x": ["x_dim"]} if names is None else None,
        posterior_attrs=attributes,
        sample_stats_attrs=attributes,
    )


def _checked(names: Any, dim: int) -> list[str] | None:
    if names is None:
        return None
    given = [names] if isinstance(names, str) else list(names)
    if len(given) != dim or len(set(given)) != dim or not all(isinstance(name, str) for name in given):
        raise InputError("names", given, f"{dim} different names, one for each coordinate")
    return given


def _attributes(source: Any, density: PathDensity, key: PRNGKeyArray) -> dict[str, Any]:
    """Where the samples are from, as netCDF can hold it."""
    attributes: dict[str, Any] = {
        "inference_library": "genwgp",
        "inference_library_version": genwgp.__version__,
        "seed": np.asarray(jax.random.key_data(key)),
        "time": density.time,
        "arclength": density.arclength,
    }
    if isinstance(density, Equilibrium):
        attributes |= {name: getattr(density, name) for name in FIGURES}
    if isinstance(source, Solution):
        solve_seed = source.settings.get("seed")
        attributes |= {"problem": source.problem.name, "result": str(source.result.value)}
        attributes["solve_seed"] = float("nan") if solve_seed is None else solve_seed
    return attributes


def _arviz() -> Any:
    """The library; the warning that its next version is another one says nothing about what is used here."""
    with installed("to_inference_data", "arviz", "arviz"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz

        return arviz
