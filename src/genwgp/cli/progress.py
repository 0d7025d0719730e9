"""Progress of a solve on stderr: one line that changes in a terminal, a line now and then elsewhere."""

import math
import time
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner

from genwgp.io.figures import clock

if TYPE_CHECKING:
    from genwgp.solvers import Event

EVERY = 5.0  # seconds between lines where the output is no terminal


class Progress:
    """A context that is called with every Event of a solve; `quiet`: shows nothing; `residual`: what it is there."""

    def __init__(
        self, name: str, quiet: bool = False, console: Console | None = None, residual: str = "relative residual"
    ):
        self.name, self.quiet, self.residual = name, quiet, residual
        self.console = Console(stderr=True, highlight=False) if console is None else console
        self.live: Live | None = None
        self.pending, self.printed = "", -math.inf

    def __enter__(self) -> Self:
        if not self.quiet and self.console.is_terminal:
            self.live = Live(Spinner("dots", self._line("compiling")), console=self.console, transient=True)
            self.live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.live is not None:
            self.live.stop()
        if self.pending and not self.quiet:
            self._print(self.pending)

    def __call__(self, event: "Event") -> None:
        if self.quiet:
            return
        self.pending = self._line(describe(event, self.residual))
        if self.live is not None:
            self.live.update(Spinner("dots", self.pending))
        elif time.monotonic() - self.printed >= EVERY:
            self._print(self.pending)

    def _line(self, text: str) -> str:
        return f"{self.name}: {text}"

    def _print(self, text: str) -> None:
        # `soft_wrap`: a line of a log stays one line however narrow the terminal is said to be.
        self.console.print(text, soft_wrap=True, markup=False)
        self.pending, self.printed = "", time.monotonic()


def describe(event: "Event", residual: str) -> str:
    """An event in one line; figures that are not known are left out."""
    parts = [f"step {event.step}"] if event.step else []  # steps count from one
    figures = {"loss": event.loss, "action": event.action, "F": event.free_energy, residual: event.residual}
    parts += [f"{name} {value:.4g}" for name, value in figures.items() if _known(value)]
    if _known(event.speed_spread):
        parts.append(f"speed spread {100 * event.speed_spread:.1f} %")
    if _known(event.seconds_left) and math.isfinite(event.seconds_left):
        parts.append(f"{clock(event.seconds_left)} left")
    if event.message:
        parts.append(" ".join(event.message.split()))
    return "  ".join(parts)


def part_event(done: int, of: int, seconds: float) -> "Event":
    """So many of the places of a path are done, after so many seconds."""
    from genwgp.solvers import Event

    nothing = math.nan
    left = seconds / done * (of - done)
    return Event(0, nothing, nothing, nothing, nothing, nothing, left, f"place {done} of {of}")


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)
