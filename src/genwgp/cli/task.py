"""What `genwgp solve` is asked to do: problem, settings, folder; from options and files, or as it was begun."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from genwgp import solvers
from genwgp.actions import FiniteHorizonAction, GeometricAction
from genwgp.cli.given import FORMS, Given, problem_of, settings_of
from genwgp.errors import InputError, RunFolderError
from genwgp.io import SolveSection, check_new_folder, problem_from_source
from genwgp.io.folder import BEGUN, reading
from genwgp.io.plain import decode
from genwgp.mesh import mesh_of

LAYERS, SEED = 12, 0
METHODS = {"sweep": solvers.CausalSweep, "adam": solvers.Adam}
ACTIONS = {"geometric": GeometricAction, "finite-horizon": FiniteHorizonAction}


class Options(NamedTuple):
    """The options of the command as they were given."""

    problem: str | None
    out: str | None
    resume: str | None
    solve: SolveSection
    settings: list[str]
    pictures: bool
    quiet: bool
    as_json: bool
    float32: bool
    devices: int | None = None
    distributed: bool = False


class Task(NamedTuple):
    """A solve: arguments of `genwgp.solve` besides the problem; `new`: its folder does not exist yet."""

    given: Given
    arguments: dict[str, Any]
    folder: Path
    new: bool


def new_task(options: Options) -> Task:
    """What the options, and where they say nothing, the file of the problem, ask for; in a folder that is free."""
    if options.problem is None:
        raise InputError("PROBLEM", "nothing", FORMS)
    settings = settings_of(options.settings)
    given = problem_of(options.problem, settings.problem)
    chosen = merged(options.solve, given.solve)
    mesh_of(options.devices)  # refused before anything is written
    key = jax.random.key(SEED if chosen.seed is None else chosen.seed)
    arguments = {"key": key, "devices": options.devices, **arguments_of(chosen, settings.method)}
    return Task(given, arguments, check_new_folder(options.out or free_folder(given.problem.name)), True)


def merged(first: SolveSection, second: SolveSection) -> SolveSection:
    """The options, and where they say nothing, the file."""
    return second.model_copy(update=_said(first))


def resumed_task(folder: str, begun: dict[str, Any], options: Options) -> Task:
    """What was begun in the folder. InputError for an option that says something else."""
    if options.out is not None:
        raise InputError("--out", options.out, "nothing beside --resume, which goes on in its own folder")
    asked = settings_of(options.settings)
    with reading(folder, BEGUN):
        arguments, said = _begun_with(begun)
    for name, value in _said(options.solve).items():
        _check_same(f"--{name}", value, said[name], folder)
    for name, value in asked.method.items():
        _check_same(f"--set method.{name}", value, getattr(arguments["method"], name, "no such setting"), folder)
    if options.devices is not None:
        _check_same("--devices", options.devices, arguments["devices"], folder)
    if options.float32 and begun["dtype"] != "float32":
        raise InputError("--float32", "single precision", f"{begun['dtype']}, with which {folder} was begun")
    given = _problem(folder, begun["problem"]["source"], options.problem, asked.problem)
    return Task(given, arguments, Path(folder), False)


def _begun_with(begun: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of `genwgp.solve`, and the same as options of the command say them."""
    stored = decode(begun["settings"])
    action, method = dict(stored["action"]), dict(stored["method"])
    acted, kind = _named(ACTIONS, action.pop("name")), _named(METHODS, method.pop("name"))
    data = jnp.asarray(begun["key"]["data"], dtype="uint32")
    arguments = {
        "layers": stored["layers"],
        "key": jax.random.wrap_key_data(data, impl=begun["key"]["kind"]),
        "action": ACTIONS[acted](**action),
        "method": METHODS[kind](**method),
        "devices": stored.get("devices"),
    }
    said = {"layers": stored["layers"], "seed": stored["seed"], "horizon": action.get("T")}
    return arguments, said | {"action": acted, "method": kind}


def _named(kinds: dict[str, Any], name: str) -> str:
    """What the options call a class."""
    return next(option for option, kind in kinds.items() if kind.__name__ == name)


def _problem(folder: str, source: dict[str, Any] | None, text: str | None, parameters: dict[str, Any]) -> Given:
    """The problem of a solve that was begun; a user's Python is run only where `text` names it."""
    with reading(folder, "the source of its problem"):
        source = dict(source or {})
        stored = dict(decode(source.get("parameters", source.get("overrides", {}))))
    for name, value in parameters.items():
        _check_same(f"--set {name}", value, stored.get(name, "nothing"), folder)
    if text is not None:
        given = problem_of(text, stored)
        if given.source["kind"] == source.get("kind") == "gallery":
            _check_same("PROBLEM", given.source["name"], source["name"], folder)
        return given
    if source.get("kind") not in ("gallery", "toml"):
        made = f"{source['path']}:{source['function']}" if source.get("kind") == "module" else "module.py:function"
        unasked = "its problem was made in Python, which is not run unasked"
        raise RunFolderError(f"{folder}: {unasked}: genwgp solve {made} --resume {folder}")
    return Given(problem_from_source(source, folder), source, SolveSection())


def _check_same(option: str, value: Any, before: Any, folder: str) -> None:
    if value != before:
        raise InputError(option, value, f"{before}, with which {folder} was begun")


def _said(section: SolveSection) -> dict[str, Any]:
    """What the section does say."""
    return {name: value for name, value in section.model_dump().items() if value is not None}


def arguments_of(chosen: SolveSection, method: dict[str, Any]) -> dict[str, Any]:
    """Layers, action and method of `solve`; InputError for a horizon without its action, or unknown settings."""
    finite = chosen.action == "finite-horizon"
    if chosen.horizon is not None and not finite:
        raise InputError("--horizon", chosen.horizon, "only with --action finite-horizon")
    if finite and chosen.horizon is None:
        raise InputError("--horizon", "nothing", "the physical time of the whole path, with --action finite-horizon")
    action = FiniteHorizonAction(chosen.horizon) if chosen.horizon is not None else GeometricAction()
    if chosen.method is None and method:
        raise InputError("--method", "nothing", f"one of {', '.join(METHODS)}, for --set method.NAME=value")
    by = None if chosen.method is None else _method(chosen.method, method)
    return {"layers": chosen.layers or LAYERS, "action": action, "method": by}


def _method(name: str, settings: dict[str, Any]) -> Any:
    kind = METHODS[name]
    known = list(kind.__dataclass_fields__)
    for setting, value in settings.items():
        if setting not in known:
            raise InputError(f"--set method.{setting}", value, f"the settings of {name}: {', '.join(known)}")
    return kind(**settings)


def free_folder(name: str) -> Path:
    """runs/NAME, or the first of runs/NAME-2, runs/NAME-3, ... that does not exist."""
    base = Path("runs") / (re.sub(r"[^\w.-]+", "-", name).strip(".-") or "problem")
    folder, count = base, 1
    while folder.exists():
        count += 1
        folder = base.with_name(f"{base.name}-{count}")
    return folder
