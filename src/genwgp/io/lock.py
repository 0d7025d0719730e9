"""One process at a time: a lock that ends with its process, however that ends."""

import os
from collections.abc import Callable
from pathlib import Path

from genwgp.errors import RunFolderError


class Lock:
    """The lock on a file, held from here until `release`. RunFolderError that names `folder` where another holds it.

    `tell` gets a line where the file system has no locks: then nothing would notice a second process.
    """

    def __init__(self, file: Path, folder: Path, tell: Callable[[str], None]):
        self._handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(self._handle)
        except (BlockingIOError, PermissionError):
            self.release()
            raise RunFolderError(f"{folder}: in use; another process is solving into it") from None
        except OSError as error:
            tell(f"{folder}: its file system has no locks ({error.strerror}): start no second solve in it")

    def release(self) -> None:
        """Let others have it."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None


def _lock(handle: int) -> None:
    """OSError where it is held, or cannot be."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
