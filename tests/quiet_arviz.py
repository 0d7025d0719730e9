"""ArviZ without its warning of the day, which it notes in a file that two processes must not write at once."""

import contextlib
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # about what its next version will change
    with contextlib.suppress(FileNotFoundError):  # another process was faster: from now on the file is there
        import arviz
    import arviz

__all__ = ["arviz"]
