"""The section [initial] of a problem file: a start by its numbers, or by the samples that it is fitted to."""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from genwgp.errors import InputError
from genwgp.initial import AbstractDensity, Gaussian, Mixture, from_samples

WANTED = {
    "gaussian": ("mean", "covariance"),
    "mixture": ("weights", "means", "covariances"),
    "samples": ("file",),
}


class InitialSection(BaseModel):
    """[initial]: a Gaussian by mean and covariance, a mixture by weights, means and covariances, or a file of samples.

    Covariances are one variance, a list of variances or a matrix; those of a mixture one variance, one for each
    component, or a matrix for each. The file is one that `from_samples` reads.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    kind: Literal["gaussian", "mixture", "samples"]
    mean: Any = None
    covariance: Any = None
    weights: Any = None
    means: Any = None
    covariances: Any = None
    file: str | None = Field(default=None, min_length=1)


def initial_of(section: InitialSection, folder: str | os.PathLike) -> AbstractDensity:
    """The start that a section describes, its file looked for from `folder` on; InputErrors name the field of it."""
    wanted = WANTED[section.kind]
    for field in (field for fields in WANTED.values() for field in fields):
        value = getattr(section, field)
        if (value is None) == (field in wanted):
            article = "" if section.kind == "samples" else "a "
            given = "nothing" if value is None else value
            raise InputError(f"initial.{field}", given, f"{', '.join(wanted)} for {article}{section.kind}")
    try:
        if section.kind == "samples":
            return from_samples(Path(folder) / str(section.file))
        if section.kind == "mixture":
            return Mixture(section.weights, section.means, section.covariances)
        return Gaussian(section.mean if isinstance(section.mean, list) else [section.mean], section.covariance)
    except InputError as error:
        place, _, field = error.field.partition(".")
        if place == "from_samples":  # about the file, or that its library is missing
            field = "file" if field else "kind"
        raise InputError(f"initial.{field}", error.given, error.allowed) from None


def without_file(section: InitialSection | None, initial: AbstractDensity) -> dict[str, Any]:
    """Overrides with which a text describes the same start by its numbers: none unless it is fitted to a file.

    With them a run can be read where the file has changed or is not there.
    """
    if section is None or section.kind != "samples":
        return {}
    kind = "mixture" if isinstance(initial, Mixture) else "gaussian"
    return {"initial": {"kind": kind, **{field: getattr(initial, field).tolist() for field in WANTED[kind]}}}
