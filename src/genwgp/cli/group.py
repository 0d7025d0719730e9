"""How the command line ends: errors as one line on stderr, and an exit code that says what happened."""

import atexit
import signal
import sys
import threading
from typing import Any

from typer.core import TyperGroup

from genwgp.errors import GenwgpError, InputError

OK, BAD_INPUT, NOT_CONVERGED, INTERRUPTED = 0, 2, 3, 130


class Interrupted(Exception):
    """Ctrl-C in a command."""


class OneLineGroup(TyperGroup):
    """Commands whose mistakes end in one line on stderr and code 2, and whose interruption ends in 130.

    What is neither an error of genwgp nor one of the command line is a fault of the program and keeps its traceback.
    """

    def main(self, *arguments: Any, standalone_mode: bool = True, **options: Any) -> Any:
        if not standalone_mode:
            return super().main(*arguments, standalone_mode=False, **options)
        atexit.register(_deaf)  # runs before what was registered earlier, by jax for example
        sys.exit(self._run(*arguments, **options))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is None and not cmd_name.startswith("-") and not ctx.resilient_parsing:  # completion says nothing
            raise InputError("command", cmd_name, ", ".join(self.commands))
        return command

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # typer would end without a word
            raise Interrupted from None

    def _run(self, *arguments: Any, **options: Any) -> int:
        try:
            code = super().main(*arguments, standalone_mode=False, **options)
        except GenwgpError as error:
            return _complain(str(error))
        except (KeyboardInterrupt, Interrupted):
            return _complain("interrupted", INTERRUPTED)
        except Exception as error:
            # typer brings its own copy of click in new versions and imports it in old ones: told by what it offers.
            if type(error).__name__ == "Abort":
                return _complain("interrupted", INTERRUPTED)
            if not hasattr(error, "format_message"):
                raise
            return _complain(error.format_message())  # pyright: ignore[reportAttributeAccessIssue]
        return code if isinstance(code, int) else OK


def _deaf() -> None:
    """Ctrl-C while Python clears up would only print a traceback."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _complain(message: str, code: int = BAD_INPUT) -> int:
    print("genwgp: " + " ".join(message.split()), file=sys.stderr)
    return code
