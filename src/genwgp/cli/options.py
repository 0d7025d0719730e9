"""Values of options, from text: each reader names the option, what was given and what is allowed."""

from collections.abc import Callable, Iterable

from genwgp.errors import InputError

SEEDS = 2**32  # seeds are below this


def whole(option: str, text: str | None, least: int, most: int | None = None) -> int | None:
    """A whole number from `least` to `most`; None where the option is not given."""
    if text is None:
        return None
    allowed = f"a whole number, at least {least}" if most is None else f"a whole number from {least} to {most}"
    try:
        value = int(text)
    except ValueError:
        raise InputError(option, text, allowed) from None
    if value < least or (most is not None and value > most):
        raise InputError(option, text, allowed)
    return value


def wholes(option: str, text: str, least: int, most: int) -> list[int]:
    """Whole numbers with commas between them."""
    return [value for part in text.split(",") if (value := whole(option, part.strip(), least, most)) is not None]


def number(option: str, text: str | None, allowed: str, holds: Callable[[float], bool]) -> float | None:
    """A number for which `holds`, which `allowed` says in words; None where the option is not given."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        raise InputError(option, text, allowed) from None
    if not holds(value):
        raise InputError(option, text, allowed)
    return value


def choice(option: str, text: str | None, names: Iterable[str]) -> str | None:
    """One of the names; None where the option is not given."""
    if text is not None and text not in (known := list(names)):
        raise InputError(option, text, " or ".join(known))
    return text


def not_empty(option: str, text: str | None, allowed: str) -> str | None:
    """A text that is not empty; None where the option is not given."""
    if text is not None and not text.strip():
        raise InputError(option, text, allowed)
    return text
