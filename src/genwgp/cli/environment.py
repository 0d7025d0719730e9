"""What the command line sets up around a computation: precision and the cache of compiled code."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax


@contextmanager
def precision(float64: bool) -> Iterator[None]:
    """float64 (or float32) inside the block; the setting of the process stays as it is."""
    with jax.enable_x64(float64):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block ends, where it can (in the main thread): what was computed is not lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
