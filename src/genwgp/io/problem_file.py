"""Problems in TOML: an energy as text or from the gallery, a start, and how to solve."""

import difflib
import os
import tomllib
from typing import Any, Literal, NamedTuple

import pydantic
from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from genwgp import problems
from genwgp.energies import AbstractInteraction, AbstractInternal, Entropy, FreeEnergy
from genwgp.errors import InputError
from genwgp.initial import AbstractDensity
from genwgp.io.energy_sections import InteractionSection, InternalSection, interaction_of, internal_of
from genwgp.io.expression import Expression
from genwgp.io.initial_section import InitialSection, initial_of, without_file
from genwgp.problem import Problem
from genwgp.references import QuadratureReference

MAX_CHARACTERS = 1_000_000
QUADRATURE = 2  # dimensions in which log Z is known by quadrature
PositiveFloat = pydantic.types.PositiveFloat


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class PotentialSection(_Section):
    """[potential]: `expression`, or `gallery` with `parameters`."""

    expression: str | None = None
    gallery: str | None = None
    parameters: dict[str, Any] = {}


class EntropySection(_Section):
    """[entropy]: D of the entropy D int rho log rho."""

    diffusion: PositiveFloat


class SolveSection(_Section):
    """[solve]: what `genwgp solve` uses unless its options say otherwise; None where the file says nothing."""

    layers: PositiveInt | None = None
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    action: Literal["geometric", "finite-horizon"] | None = None
    horizon: PositiveFloat | None = None
    method: Literal["sweep", "adam"] | None = None


class ProblemText(_Section):
    """A whole file."""

    name: str | None = Field(default=None, min_length=1, max_length=80)
    potential: PotentialSection | None = None
    interaction: InteractionSection | None = None
    internal: InternalSection | None = None
    entropy: EntropySection | None = None
    initial: InitialSection | None = None
    constants: dict[str, float | list[float]] = {}
    solve: SolveSection = SolveSection()


class ProblemFile(NamedTuple):
    """A problem and what its file says about solving it; `overrides` make the text say all, without a data file."""

    problem: Problem
    solve: SolveSection
    overrides: dict[str, Any]


def read_problem(
    text: str, overrides: dict[str, Any] | None = None, name: str = "problem", folder: str | os.PathLike = "."
) -> ProblemFile:
    """The problem that a TOML text describes; `overrides` replaces entries by dotted names: {"entropy.diffusion": 2.0}.

    `name` is for a text that gives none; a data file is looked for from `folder` on. InputError, one line that names
    the field, for text that is not TOML, unknown or misspelt fields (with the likely one), values of the wrong kind,
    and whatever Problem and `from_samples` refuse.
    """
    content = _parse(text)
    for field, value in (overrides or {}).items():
        _override(content, field, value)
    try:
        parsed = ProblemText.model_validate(content)
    except pydantic.ValidationError as error:
        raise _as_input_error(error) from None
    problem = _build(parsed, name, folder)
    return ProblemFile(problem, parsed.solve, (overrides or {}) | without_file(parsed.initial, problem.initial))


def _parse(text: str) -> dict[str, Any]:
    if len(text) > MAX_CHARACTERS:
        raise InputError("TOML", f"{len(text)} characters", f"at most {MAX_CHARACTERS}")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError("TOML", text, "lists and tables that are not nested so deeply") from None
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise InputError("TOML", str(error), "valid TOML, see https://toml.io") from None


def _override(content: dict[str, Any], field: str, value: Any) -> None:
    *tables, last = field.split(".")
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise InputError(field, value, f"a field; {table} is not a table")
    content[last] = value


def _build(parsed: ProblemText, name: str, folder: str | os.PathLike) -> Problem:
    potential = parsed.potential
    if potential is not None and (potential.expression is None) == (potential.gallery is None):
        given = "both" if potential.gallery else "neither"
        raise InputError("potential", given, "one of expression and gallery")
    if potential is not None and potential.gallery is not None:
        return _from_gallery(parsed, potential, folder)
    if potential is not None and potential.parameters:
        raise InputError("potential.parameters", list(potential.parameters), "none beside expression: use [constants]")
    if potential is None and parsed.interaction is None and parsed.entropy is None and parsed.internal is None:
        raise InputError("potential", "nothing", "[potential], [interaction], [internal] or [entropy]: an energy")
    if parsed.entropy is None and parsed.internal is None and parsed.interaction is None:
        raise InputError("entropy", "nothing", "[entropy] with diffusion = D, a number above 0")
    if parsed.initial is None:
        raise InputError("initial", "nothing", '[initial] with kind = "gaussian", "mixture" or "samples"')
    initial = initial_of(parsed.initial, folder)
    expression = None if potential is None else Expression(potential.expression or "", initial.dim, parsed.constants)
    energy = FreeEnergy(expression, *_others(parsed, initial.dim))
    return _problem(energy, initial, parsed.name or name)


def _others(parsed: ProblemText, dim: int) -> tuple[AbstractInternal | None, AbstractInteraction | None]:
    """The internal energy and the interaction of a file."""
    internal = internal_of(parsed.internal, None if parsed.entropy is None else parsed.entropy.diffusion)
    section = parsed.interaction
    return internal, None if section is None else interaction_of(section, dim, parsed.constants)


def _from_gallery(parsed: ProblemText, potential: PotentialSection, folder: str | os.PathLike) -> Problem:
    """A gallery problem, its entropy and start replaced where the file gives them; its reference goes with either."""
    if parsed.constants:
        raise InputError("constants", list(parsed.constants), "none beside gallery: use potential.parameters")
    for name in ("interaction", "internal"):
        if getattr(parsed, name) is not None:
            raise InputError(name, "a section", "none beside gallery, whose problems have their own")
    gallery: Any = potential.gallery
    try:
        base = problems.get(gallery, **potential.parameters)
    except InputError as error:
        field = "potential.gallery" if error.field == "problem" else f"potential.parameters ({error.field})"
        raise _renamed(error, field) from None
    name = parsed.name or base.name
    if parsed.entropy is None and parsed.initial is None:
        return Problem(base.energy, base.initial, name, base.reference)
    internal = base.energy.internal if parsed.entropy is None else Entropy(parsed.entropy.diffusion)
    initial = base.initial if parsed.initial is None else initial_of(parsed.initial, folder)
    return _problem(FreeEnergy(base.energy.potential, internal, base.energy.interaction), initial, name)


def _problem(energy: FreeEnergy, initial: AbstractDensity, name: str) -> Problem:
    reference, V = None, energy.potential
    if V is not None and energy.interaction is None and energy.diffusion and initial.dim <= QUADRATURE:
        reference = QuadratureReference(V, energy.diffusion, initial.dim)  # computed only when it is asked
    try:
        return Problem(energy, initial, name, reference)
    except InputError as error:
        names = {"energy.potential": "potential", "energy.interaction": "interaction", "FastDiffusion.m": "internal.m"}
        raise _renamed(error, names.get(error.field, error.field)) from None


def _renamed(error: InputError, field: str) -> InputError:
    """The same error about a field as the file calls it."""
    return InputError(field, error.given, error.allowed)


def _as_input_error(error: pydantic.ValidationError) -> InputError:
    """The first thing that pydantic found, in one line."""
    errors = error.errors(include_url=False, include_context=False)
    # A misspelt field also leaves its own name missing: the misspelling is what the user wants to know.
    first = next((entry for entry in errors if entry["type"] == "extra_forbidden"), errors[0])
    location = [str(part) for part in first["loc"] if part not in ("float", "list[float]")]
    more = f" ({error.error_count() - 1} more errors)" if error.error_count() > 1 else ""
    field = ".".join(location)
    if first["type"] == "missing":
        return InputError(field, "nothing", f"{_describe(location)}{more}")
    if first["type"] == "extra_forbidden":
        known = _fields(location[:-1])
        close = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return InputError(field, first["input"], f"{hint}the fields are {', '.join(known)}{more}")
    return InputError(field, first["input"], first["msg"].removeprefix("Input should be ") + more)


def _model(location: list[str]) -> type[BaseModel]:
    """The section that a location leads to."""
    sections: dict[str, type[BaseModel]] = {
        "potential": PotentialSection,
        "interaction": InteractionSection,
        "internal": InternalSection,
        "entropy": EntropySection,
        "initial": InitialSection,
        "solve": SolveSection,
    }
    return sections.get(location[0], ProblemText) if location else ProblemText


def _fields(location: list[str]) -> list[str]:
    return list(_model(location).model_fields)


def _describe(location: list[str]) -> str:
    fields = ", ".join(_fields(location)) if location[0] in ProblemText.model_fields else "a value"
    return f"[{location[0]}] with {fields}"
