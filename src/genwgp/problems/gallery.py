"""Named problems by name and parameters."""

import inspect
from collections.abc import Callable
from typing import Any

from genwgp.errors import InputError
from genwgp.problem import Problem
from genwgp.problems import (
    aggregation,
    banana,
    clusters,
    desai_zwanzig,
    diffusion,
    double_wells,
    eight_schools,
    gaussian_mixture,
    gaussian_process,
    keller_segel,
    logistic_regression,
    mckean_vlasov,
    ornstein_uhlenbeck,
    phi4_lattice,
    products,
    quartic_aggregation,
    ring,
    rosenbrock,
)

# name -> (builder, source); the summary is the first line of the builder's docstring, the parameters its own.
_GALLERY: dict[str, tuple[Callable[..., Problem], str]] = {
    "ornstein-uhlenbeck": (ornstein_uhlenbeck.gaussian, ornstein_uhlenbeck.SOURCE),
    "ornstein-uhlenbeck-mixture": (ornstein_uhlenbeck.mixture, ornstein_uhlenbeck.SOURCE),
    "tilted-double-well": (double_wells.tilted, double_wells.SOURCE),
    "double-well-1d": (double_wells.one_dimensional, double_wells.SOURCE),
    "gaussian-mixture": (gaussian_mixture.four_modes, gaussian_mixture.SOURCE),
    "eight-modes": (gaussian_mixture.eight_modes, gaussian_mixture.SOURCE),
    "scattered-modes": (gaussian_mixture.scattered_modes, gaussian_mixture.SOURCE),
    "banana": (banana.banana, banana.SOURCE),
    "ring": (ring.ring, ring.SOURCE),
    "rosenbrock": (rosenbrock.rosenbrock, rosenbrock.SOURCE),
    "many-wells": (products.many_wells, products.SOURCE_WELLS),
    "styblinski-tang": (products.styblinski_tang, products.SOURCE_STYBLINSKI),
    "eight-schools": (eight_schools.eight_schools, eight_schools.SOURCE),
    "logistic-regression": (logistic_regression.logistic_regression, logistic_regression.SOURCE),
    "phi4-lattice": (phi4_lattice.phi4_lattice, phi4_lattice.SOURCE),
    "gaussian-process": (gaussian_process.gaussian_process, gaussian_process.SOURCE),
    "mckean-vlasov": (mckean_vlasov.mckean_vlasov, mckean_vlasov.SOURCE),
    "desai-zwanzig": (desai_zwanzig.desai_zwanzig, desai_zwanzig.SOURCE),
    "keller-segel": (keller_segel.keller_segel, keller_segel.SOURCE),
    "aggregation-disk": (aggregation.disk, aggregation.SOURCE),
    "aggregation-annulus": (aggregation.annulus, aggregation.SOURCE_ANNULUS),
    "aggregation-quartic": (quartic_aggregation.quartic, quartic_aggregation.SOURCE),
    "aggregation-diffusion": (clusters.clusters, clusters.SOURCE),
    "porous-medium": (diffusion.porous_medium, diffusion.SOURCE_POROUS),
    "fast-diffusion": (diffusion.fast_diffusion, diffusion.SOURCE_FAST),
    "heat": (diffusion.heat, diffusion.SOURCE_HEAT),
}


def names() -> list[str]:
    """The names that `get` knows."""
    return list(_GALLERY)


def get(name: str, **parameters: Any) -> Problem:
    """The problem of that name; `describe(name)` tells its parameters. InputError for an unknown name or parameter."""
    builder, _ = _entry(name)
    known = _parameters(builder)
    for parameter, value in parameters.items():
        if parameter not in known:
            raise InputError(f"{name}.{parameter}", value, f"the parameters {', '.join(known)}")
    return builder(**parameters)


def describe(name: str) -> tuple[str, dict[str, Any], str]:
    """A summary of one line, the parameters with their defaults, and the source. InputError for an unknown name."""
    builder, source = _entry(name)
    return (inspect.getdoc(builder) or "").splitlines()[0], _parameters(builder), source


def _entry(name: str) -> tuple[Callable[..., Problem], str]:
    if not isinstance(name, str) or name not in _GALLERY:
        raise InputError("problem", name, ", ".join(_GALLERY))
    return _GALLERY[name]


def _parameters(builder: Callable[..., Problem]) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(builder).parameters.items()}
