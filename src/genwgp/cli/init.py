"""`genwgp init`: a problem file to begin from."""

from importlib.resources import files
from pathlib import Path

from genwgp.errors import InputError


def write_template(name: str) -> None:
    """Write the commented problem file under a name that does not exist yet, and say how to solve it."""
    file = Path(name)
    if file.suffix != ".toml":
        raise InputError("FILE", name, "a name that ends in .toml")
    text = files("genwgp.io").joinpath("template.toml").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise InputError("FILE", name, "the name of a file that does not exist yet") from None
    except OSError as error:
        raise InputError("FILE", f"{name} ({error.strerror or error})", "a file that can be written") from None
    print(f"{file}\nEdit it, then: genwgp solve {file}")
