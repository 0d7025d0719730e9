"""What the command line sets up around a computation: precision and the cache of compiled code."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import jax


@contextmanager
def precision(float64: bool) -> Iterator[None]:
    """float64 (or float32) inside the block; the setting of the process stays as it is."""
    with jax.enable_x64(float64):
        yield


class Interrupts:
    """A context in which Ctrl-C asks for what was found so far, and does not lose it by impatience.

    The first one raises KeyboardInterrupt, as everywhere, which ends a solve with the path so far. While that is
    measured and written, a second one only counts and says so on stderr; a third one raises again. Inside of
    `waiting()` none raises: what is written is finished. Outside of the main thread nothing changes.
    """

    def __init__(self, quiet: bool = False):
        self.count, self.quiet, self._then = 0, quiet, ""

    def __enter__(self) -> Self:
        self.main = threading.current_thread() is threading.main_thread()
        self.before = signal.signal(signal.SIGINT, self._received) if self.main else None
        return self

    def __exit__(self, *_: object) -> None:
        if self.main:
            signal.signal(signal.SIGINT, self.before)

    @contextmanager
    def waiting(self, then: str) -> Iterator[None]:
        """A block in which Ctrl-C only counts; `then` says what happens next."""
        self._then = then
        try:
            yield
        finally:
            self._then = ""

    def repeat(self) -> None:
        """Raise what has been asked for: Python loses a KeyboardInterrupt that comes while it collects garbage."""
        if self.count:
            raise KeyboardInterrupt

    def _received(self, *_: object) -> None:
        self.count += 1
        if self._then:
            self._say(self._then)
        elif self.count == 2:
            self._say("still measuring the path so far, to write it; Ctrl-C once more ends at once, without it")
        else:
            if self.count == 1:
                self._say("the path so far, if there is a part of it, is measured and written")
            raise KeyboardInterrupt

    def _say(self, text: str) -> None:
        if not self.quiet:
            # Not print: this may come in the middle of another print, whose buffer takes no second writer.
            os.write(2, f"{chr(10) if os.isatty(2) else ''}genwgp: interrupted: {text}\n".encode())


def use_compilation_cache() -> None:
    """Keep compiled code in the user's cache folder, unless JAX_COMPILATION_CACHE_DIR or a program says where.

    A folder that cannot be made means no cache: the answer is the same, it takes longer.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # pyright: ignore[reportAttributeAccessIssue]
        return
    folder = cache_folder() / "genwgp" / "jax"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # A sweep compiles many functions that each take less than jax's threshold of one second.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def cache_folder() -> Path:
    """Where programs of this user keep what can be computed again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
