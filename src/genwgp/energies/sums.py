"""What sums of interactions and sums of internal energies share."""

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Any

from genwgp.errors import InputError


def checked(name: str, parts: tuple[Any, ...], kind: type, allowed: str) -> tuple[Any, ...]:
    """The parts; InputError unless there are some, all of this kind."""
    for part in parts:
        if not isinstance(part, kind):
            raise InputError(name, part, allowed)
    if not parts:
        raise InputError(name, "nothing", allowed)
    return parts


def total(values: Iterable[Any]) -> Any:
    """Their sum, in their own type: no zero to begin with."""
    return reduce(add, values)
