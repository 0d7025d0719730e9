"""The errors that genwgp raises on purpose; each message is one line that says what to change."""

from typing import Any

__all__ = ["GenwgpError", "InputError", "NotConvergedError", "RunFolderError"]


class GenwgpError(Exception):
    """Base of every error raised on purpose by genwgp."""


class InputError(GenwgpError, ValueError):
    """An argument that cannot be used: names the field, what was given and what is allowed."""

    def __init__(self, field: str, given: object, allowed: str):
        self.field, self.given, self.allowed = field, given, allowed
        super().__init__(f"{field}: got {_short(given)}; allowed: {allowed}")


class NotConvergedError(GenwgpError, RuntimeError):
    """A solve that ended without success; the best path so far is in `.solution`."""

    def __init__(self, message: str, solution: Any):
        self.solution = solution
        super().__init__(message)


class RunFolderError(GenwgpError):
    """A run folder that exists already, is incomplete or damaged, or was written by a newer version."""


def _short(given: object, limit: int = 80) -> str:
    text = " ".join(str(given).split()) or "nothing"
    return text if len(text) <= limit else text[: limit - 3] + "..."
