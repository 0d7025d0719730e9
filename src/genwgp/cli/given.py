"""The problem that the command line names: a gallery name, a TOML file, or a function of a Python file or module."""

import difflib
import importlib
import importlib.util
import re
import sys
import tomllib
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from genwgp import problems
from genwgp.errors import GenwgpError, InputError
from genwgp.io import SolveSection, gallery_source, module_source, read_problem, toml_source
from genwgp.problem import Problem

FIELD = "PROBLEM"
FORMS = "a gallery name (genwgp list), problem.toml, module.py:function or package.module:function"
METHOD = "method."  # settings of the method, not of the problem


class Given(NamedTuple):
    """A problem, where it came from, and what its file says about solving it."""

    problem: Problem
    source: dict[str, Any]
    solve: SolveSection


class Settings(NamedTuple):
    """What `--set` gave: parameters of the problem and settings of the method."""

    problem: dict[str, Any]
    method: dict[str, Any]


def settings_of(texts: list[str]) -> Settings:
    """`--set name=value` texts, values as TOML writes them, else as text; InputError for one without `=`."""
    return _settings(texts, _value)


def grid_of(texts: list[str]) -> Settings:
    """`--set name=value,value,...` texts, each with the list of its values; InputError as in `settings_of`."""
    return _settings(texts, _values)


def _settings(texts: list[str], read: Callable[[str], Any]) -> Settings:
    problem, method = {}, {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.-]*", name):
            raise InputError("--set", text, "name=value")
        target = method if name.startswith(METHOD) else problem
        target[name.removeprefix(METHOD)] = read(value.strip())
    return Settings(problem, method)


def problem_of(text: str, parameters: dict[str, Any]) -> Given:
    """The problem that `text` names, with parameters; InputError in one line for everything that is wrong with it."""
    module, colon, function = text.rpartition(":")
    if colon and function.isidentifier() and module:
        problem = _call(_function(module, function), text, parameters)
        return Given(problem, module_source(module, function, parameters), SolveSection())
    if text.endswith(".py"):
        raise InputError(FIELD, text, f"{text}:function, where function returns a genwgp.Problem")
    if text.endswith(".toml") or _is_file(text):
        content = _read(Path(text))
        parsed = read_problem(content, parameters, name=Path(text).stem or "problem", folder=Path(text).parent)
        return Given(parsed.problem, toml_source(content, parsed.overrides), parsed.solve)
    if text not in problems.names():
        close = difflib.get_close_matches(text, problems.names(), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InputError(FIELD, repr(text), f"{hint}{FORMS}")
    return Given(problems.get(text, **parameters), gallery_source(text, parameters), SolveSection())


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # a name that the system refuses to look up
        return False


def _value(text: str) -> Any:
    """A value as TOML writes it, else the text."""
    return _toml(text, text)


def _values(text: str) -> list[Any]:
    """Values with commas between them, those inside of a TOML list or text not counted."""
    return _toml(f"[{text}]", None) or [_value(part.strip()) for part in text.split(",")]


def _toml(text: str, otherwise: Any) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return otherwise
    return parsed["value"] if list(parsed) == ["value"] else otherwise


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(FIELD, str(file), "a TOML file in UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(FIELD, str(file), f"a TOML file that can be read ({reason})") from None


def _function(module: str, function: str) -> Callable[..., Any]:
    """The function of a file, or of a module that Python finds from here; runs the file as an import does."""
    is_file = module.endswith(".py")
    if is_file and not _is_file(module):
        raise InputError(FIELD, module, "a Python file that exists")
    sys.path.insert(0, str(Path(module).resolve().parent) if is_file else str(Path.cwd()))
    try:
        loaded = _import_file(Path(module)) if is_file else importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise InputError(FIELD, f"{module}: {_where(error)}", "a file or module that Python can import") from None
    finally:
        sys.path.pop(0)
    found = getattr(loaded, function, None)
    if not callable(found):
        raise InputError(FIELD, f"{module}:{function}", f"a function of {module}")
    return found


def _import_file(file: Path) -> Any:
    name = f"_genwgp_problem_{file.stem}"  # its own name: a user's json.py must not stand in for Python's
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # as an import does: dataclasses look their module up there
    specification.loader.exec_module(module)
    return module


def _call(function: Callable[..., Any], text: str, parameters: dict[str, Any]) -> Problem:
    try:
        problem = function(**parameters)
    except GenwgpError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(FIELD, f"{text}: {_where(error)}", "a function that returns a genwgp.Problem") from None
    if not isinstance(problem, Problem):
        raise InputError(FIELD, f"{text} returned {type(problem).__name__}", "a function that returns a genwgp.Problem")
    return problem


def _where(error: BaseException) -> str:
    """An exception of the user's code with the line it came from."""
    steps = traceback.extract_tb(error.__traceback__)
    frames = [step for step in steps if step.filename != __file__ and "importlib" not in step.filename]
    where = f" ({Path(frames[-1].filename).name} line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
