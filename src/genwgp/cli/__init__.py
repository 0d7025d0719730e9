"""The command line `genwgp`."""

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genwgp.cli.commands import app as app

__all__ = ["app", "main"]


def main() -> None:
    """The console script. Its imports take seconds, in which Ctrl-C ends it as at any other time: in one line."""
    waiting = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else Ctrl-C is meant to do nothing
    if waiting:
        signal.signal(signal.SIGINT, _leave)
    from genwgp.cli.commands import app

    try:
        if waiting:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        app()
    except KeyboardInterrupt:  # before the commands listen to it
        _leave()


def _leave(*_: object) -> None:
    """End at once: an exception may be lost, or become another one, in the middle of an import."""
    os.write(2, b"genwgp: interrupted\n")
    os._exit(130)


def __getattr__(name: str) -> Any:
    if name == "app":
        from genwgp.cli.commands import app

        return app
    raise AttributeError(f"module 'genwgp.cli' has no attribute {name!r}")
