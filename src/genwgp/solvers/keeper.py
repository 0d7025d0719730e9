"""What a solver gives out while it runs so that another process can go on where it was cut off."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Kept(NamedTuple):
    """`steps`: what each step has added, in order. `state`: what the next step needs besides.

    Modules of a path, dicts with texts as keys, tuples, arrays and plain values, as `path.stored` takes them.
    """

    steps: list[Any]
    state: dict[str, Any]


class Keeper:
    """Keeps nothing, for a solve without a checkpoint. `seconds`: what earlier processes have spent on this solve."""

    seconds = 0.0

    def resume(self, potential: Callable | None, take: Callable[[Kept], None]) -> None:
        """Call `take` with what an earlier process has kept, if it has; `potential` goes where the user's V was."""

    def keep(self, kept: Kept, about: dict[str, Any]) -> None:
        """To be called after each step; nothing of `kept` may change later. `about`: a few numbers to show."""

    def flush(self) -> None:
        """Keep what was given last, whatever it costs: no step will follow."""


def fitting(fresh: Any, stored: Any) -> Any:
    """`stored`, an array; ValueError unless it has the shape and the type of `fresh`."""
    if (fresh.shape, fresh.dtype) != (stored.shape, stored.dtype):
        raise ValueError(f"{stored.dtype} of shape {stored.shape} instead of {fresh.dtype} of shape {fresh.shape}")
    return stored
