"""[interaction] and [internal] of a problem file."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from genwgp.energies import (
    AbstractInteraction,
    AbstractInternal,
    Entropy,
    FastDiffusion,
    GaussianInteraction,
    Interaction,
    InternalSum,
    LogarithmicInteraction,
    MorseInteraction,
    NewtonianInteraction,
    PorousMedium,
    PowerInteraction,
    QuadraticInteraction,
    QuarticInteraction,
)
from genwgp.errors import InputError
from genwgp.io.expression import Expression

# What each kind is made by, and the fields that it may have; those left out have the default of the class.
KINDS: dict[str, tuple[Callable[..., AbstractInteraction], tuple[str, ...]]] = {
    "quadratic": (QuadraticInteraction, ("strength",)),
    "quartic": (QuarticInteraction, ("attraction", "repulsion")),
    "gaussian": (GaussianInteraction, ("strength", "length")),
    "morse": (
        MorseInteraction,
        ("attraction", "repulsion", "attraction_length", "repulsion_length", "epsilon"),
    ),
    "power": (PowerInteraction, ("attraction", "repulsion", "strength", "epsilon")),
    "logarithmic": (LogarithmicInteraction, ("strength", "epsilon")),
    "newtonian": (NewtonianInteraction, ("strength", "epsilon")),
}
FIELD = "interaction"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class InteractionSection(_Section):
    """[interaction]: `expression` in z = x - y, or `kind` with its numbers."""

    expression: str | None = None
    kind: Literal["quadratic", "quartic", "gaussian", "morse", "power", "logarithmic", "newtonian"] | None = None
    strength: float | None = None
    length: float | None = None
    attraction: float | None = None
    repulsion: float | None = None
    attraction_length: float | None = None
    repulsion_length: float | None = None
    epsilon: float | None = None


class InternalSection(_Section):
    """[internal]: D int rho^m / (m - 1); the entropy has its own section, [entropy]."""

    kind: Literal["porous-medium", "fast-diffusion"]
    m: float
    diffusion: float = 1.0


def interaction_of(section: InteractionSection, dim: int, constants: dict[str, Any]) -> AbstractInteraction:
    """The interaction that a section describes; InputError that names its field."""
    numbers = {
        name: value
        for name in InteractionSection.model_fields
        if name not in ("expression", "kind") and (value := getattr(section, name)) is not None
    }
    if (section.expression is None) == (section.kind is None):
        raise InputError(FIELD, "both" if section.kind else "neither", "one of expression and kind")
    if section.kind is None:
        if numbers:
            raise InputError(f"{FIELD}.{next(iter(numbers))}", next(iter(numbers.values())), "none beside expression")
        try:
            return Interaction(Expression(section.expression or "", dim, constants, "z"))
        except InputError as error:
            field = error.field.replace("potential.expression", f"{FIELD}.expression")
            raise InputError(field, error.given, error.allowed) from None
    make, allowed = KINDS[section.kind]
    for name, value in numbers.items():
        if name not in allowed:
            raise InputError(f"{FIELD}.{name}", value, f"{', '.join(allowed)} for the kind {section.kind}")
    fixed = {"dim": dim} if section.kind == "newtonian" else {}
    try:
        return make(**fixed, **numbers)
    except InputError as error:
        raise InputError(f"{FIELD}.{error.field.rpartition('.')[2]}", error.given, error.allowed) from None


def internal_of(section: InternalSection | None, diffusion: float | None) -> AbstractInternal | None:
    """The internal energy of [internal] and [entropy] together; InputError that names its field."""
    parts: list[AbstractInternal] = [] if diffusion is None else [Entropy(diffusion)]
    if section is not None:
        make = PorousMedium if section.kind == "porous-medium" else FastDiffusion
        try:
            parts.append(make(section.m, section.diffusion))
        except InputError as error:
            name = {"m": "m", "D": "diffusion"}[error.field.rpartition(".")[2]]
            raise InputError(f"internal.{name}", error.given, error.allowed) from None
    if len(parts) < 2:
        return parts[0] if parts else None
    return InternalSum(*parts)
