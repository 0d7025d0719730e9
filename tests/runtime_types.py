"""The checker of shapes and dtypes at run time: beartype, on every function whose signature names arrays.

Plain types (D: float, name: str) are left to pyright and to the package's own InputErrors, which tests must be able
to reach; an int counts as a float, as for static checkers.
"""

import typing

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function):
    """Check `function` at run time if its signature names arrays."""
    hints = getattr(function, "__annotations__", {}).values()
    return _check(function) if any(map(_names_arrays, hints)) else function


def _names_arrays(hint: object) -> bool:
    if isinstance(hint, type) and hint.__module__.startswith("jaxtyping"):
        return True
    return any(map(_names_arrays, typing.get_args(hint)))
