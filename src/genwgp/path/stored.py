"""Modules as arrays by name and plain values, and back: only the classes named here are ever made."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from genwgp.clock import Clock
from genwgp.errors import RunFolderError
from genwgp.layers import fields, velocity
from genwgp.layers._elements import AffineCouplings, TriangularAffine
from genwgp.layers._line import MonotoneMap
from genwgp.layers.coupling import CouplingLayer
from genwgp.layers.product import ProductLayer
from genwgp.layers.relaxation import LogRatio, Splines, Switched
from genwgp.layers.restricted import Restricted

LAYERS = (
    velocity.VelocityLayer,
    ProductLayer,
    CouplingLayer,
    AffineCouplings,
    TriangularAffine,
    MonotoneMap,
    fields.Field,
    Switched,
)
TERMS = (
    fields.Quadratic,
    fields.Bumps,
    fields.Waves,
    fields.ModulatedPotential,
    fields.LogMixture,
    LogRatio,
    Splines,
    Restricted,
)


def _known() -> dict[str, type]:
    from genwgp.path.path import Curves  # which needs this file to be stored

    return {kind.__name__: kind for kind in (*LAYERS, *TERMS, Clock, Curves)}


def to_stored(value: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by dotted name, and the tree that they belong to, of plain values."""
    arrays: dict[str, np.ndarray] = {}

    def plain(value: Any, name: str) -> Any:
        match value:
            case fields.Opaque():
                return {"potential": True}
            case eqx.Module():
                parts = {f.name: plain(getattr(value, f.name), f"{name}.{f.name}") for f in dataclasses.fields(value)}
                return {"class": type(value).__name__, "fields": parts}
            case dict():
                return {"dict": {key: plain(part, f"{name}.{key}" if name else key) for key, part in value.items()}}
            case tuple():
                return {"tuple": [plain(part, f"{name}.{i}") for i, part in enumerate(value)]}
            case bool() | int() | float() | str() | None:
                return {"value": value}
        arrays[name] = np.asarray(value)
        return {"array": name}

    tree = plain(value, "")
    return arrays, tree


def from_stored(
    arrays: dict[str, np.ndarray], tree: dict[str, Any], potential: Callable | None, on_host: bool = True
) -> Any:
    """The inverse; `potential` goes where the user's V was. RunFolderError for anything unknown.

    `on_host`: arrays outside of layers are numpy's.
    """
    known = _known()

    def build(node: Any, on_host: bool) -> Any:
        match node:
            case {"class": str(name), "fields": dict(parts)} if name in known:
                kind, host = known[name], name in ("Clock", "Curves")
                if set(parts) != {f.name for f in dataclasses.fields(kind)}:
                    raise RunFolderError(f"damaged; {name} has the fields {', '.join(parts)}")
                made = object.__new__(kind)
                for field, part in parts.items():
                    object.__setattr__(made, field, build(part, host))
                return made
            case {"dict": dict(parts)}:
                return {key: build(part, on_host) for key, part in parts.items()}
            case {"tuple": list(parts)}:
                return tuple(build(part, on_host) for part in parts)
            case {"potential": True} if potential is not None:
                return fields.Opaque(potential)
            case {"value": value}:
                return value
            case {"array": str(name)} if name in arrays:
                return arrays[name] if on_host else jnp.asarray(arrays[name])
        raise RunFolderError(f"damaged; unknown part of a path: {str(node)[:80]}")

    return build(tree, on_host)
