"""Problem files, run folders and checkpoints with faults in them, one for each seed; what reads them must say so."""

import contextlib
import copy
import hashlib
import io
import json
import random
import shutil
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import safetensors.numpy
import xarray

import genwgp as gw
from genwgp.cli.report import report_run
from genwgp.cli.stored import show_run
from genwgp.cli.task import Options, resumed_task
from genwgp.diagnostics import Certificate, Comparison
from genwgp.errors import GenwgpError
from genwgp.io import (
    Checkpoint,
    ProblemFile,
    SolveSection,
    comparison_record,
    load,
    read_begun,
    read_curves,
    read_problem,
    toml_source,
    write_comparison,
)
from genwgp.io.arrays import read_arrays
from genwgp.io.plain import decode
from genwgp.report.scene import scene
from genwgp.solvers import sweep
from genwgp.solvers.run import Run

SMALL = gw.CausalSweep(pool=1024, train=1024, test=1024, segments=2)
ODD = (None, True, -1, 0, 1, 7, 2**70, -0.5, 1e308, 1e-308, "", "x", "\0", "9" * 5000, [], {}, [1], [[]], {"a": 1})
ODD += ({"$float": "nan"}, {"$float": "x"}, [1, [2]], ["x"], "gaussian", "inf", [0.5, -0.5], [1e400], [[1, 2], [3]])
PIECES = ("=", "[", "]", "{", "}", '"', "'", "\n", "#", ".", ",", "\0", "\x7f", "nan", "-inf", "1e999", "[[a]]", "x[9]")
PIECES += ("**", "(", "é", "0x_", "norm2", "true", "2020-01-01", "\\u0000", "mean", "initial.", "=\n", "99999999999999")
SOURCE = 'potential = {gallery = "ornstein-uhlenbeck"}'
TEXTS = (
    'potential.expression = "x[0]**2 + k*x[1]**2"\nconstants.k = 0.5\nentropy.diffusion = 1\n'
    'initial = {kind = "gaussian", mean = [0.0, 1.5], covariance = [[0.1, 0.0], [0.0, 0.2]]}\n',
    '[interaction]\nkind = "morse"\nattraction = 1.0\nattraction_length = 2.0\n[internal]\nkind = "porous-medium"\n'
    'm = 2.0\n[initial]\nkind = "mixture"\nweights = [0.5, 0.5]\nmeans = [[-1.0], [1.0]]\ncovariances = 0.1\n',
    'potential = {gallery = "ornstein-uhlenbeck", parameters = {dim = 2}}\n[solve]\nlayers = 3\nseed = 1\n'
    'action = "finite-horizon"\nhorizon = 2.0\nmethod = "adam"\n',
    'name = "two"\ninteraction.expression = "norm2(z)"\nentropy.diffusion = 0.5\n'
    '[initial]\nkind = "samples"\nfile = "missing.csv"\n',
)


def outcome(read: Callable[[], Any]) -> str:
    """How a reading ends: "read" or "refused", in one line; whatever else it raises is a fault."""
    text = None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            read()
    except GenwgpError as error:
        text = str(error)
    assert text is None or len(text.splitlines()) == 1, f"an error that is not one line: {text!r}"
    return "read" if text is None else "refused"


def bytes_with_faults(draw: random.Random, content: bytes) -> bytes:
    """Bits flipped, the end cut off, a part removed, doubled or replaced by noise."""
    changed, n = bytearray(content), max(1, len(content))
    a, b = sorted((draw.randrange(n), draw.randrange(n)))
    match draw.randrange(5):
        case 0:
            for _ in range(draw.choice((1, 1, 3, 30))):
                changed[draw.randrange(n)] ^= 1 << draw.randrange(8)
        case 1:
            del changed[a:]
        case 2:
            del changed[a:b]
        case 3:
            changed[a:a] = changed[a : min(b, a + 200)]
        case 4:
            changed[a : a + 8] = draw.randbytes(8)
    return bytes(changed)


def tree_with_faults(draw: random.Random, tree: Any) -> Any:
    """A field of it removed, of another kind or out of range, somewhere; `tree` itself is changed."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            places.append((node, key))
            if isinstance(value, dict | list):
                walk(value)

    walk(tree)
    for _ in range(draw.choice((1, 1, 2))):
        node, key = draw.choice(places)
        with contextlib.suppress(KeyError, IndexError):  # of what is gone already
            if draw.random() < 0.3:
                del node[key]
            else:
                node[key] = draw.choice(ODD)
    return tree


def read_text_with_faults(seed: int) -> str:
    """A problem file: its characters, or the fields that it comes to."""
    draw = random.Random(seed)
    text = draw.choice(TEXTS)
    if draw.random() < 0.5:
        content = tree_with_faults(draw, tomllib.loads(text))
        return outcome(lambda: read_problem("", content))
    for _ in range(draw.choice((1, 1, 2, 5))):
        a = draw.randrange(len(text))
        text = (
            text[:a] + draw.choice((draw.choice(PIECES), "", draw.choice(TEXTS))) + text[a + draw.choice((0, 1, 9)) :]
        )
    return outcome(lambda: read_problem(text))


def make_folders(place: Path) -> tuple[Path, Path]:
    """A run folder, and one that a solve was begun in, with a step in each of two files."""
    problem = _own_problem().problem
    options: dict[str, Any] = {"layers": 2, "method": SMALL, "throw": False}
    opened = Checkpoint(place / "begun", toml_source(SOURCE, {}))
    solution = gw.solve(problem, **options, checkpoint=opened)
    gw.save(solution, place / "whole", source=toml_source(SOURCE, {}))
    return place / "whole", place / "begun"


def with_comparison(run: Path, place: Path) -> Path:
    """A copy of a run folder with a comparison in it, of three places."""
    shutil.copytree(run, place)
    three, some = np.array([0.1, 0.2, np.inf]), np.array([0.1, 0.2, 0.3])
    figures = {name: some for name in Comparison._fields} | {"times": three}
    numbers = dict.fromkeys(("gap", "effective_sample_size", "log_normaliser", "reference_log_normaliser"), 0.5)
    found = Comparison(**{**figures, **numbers, "samples": 100, "missing": {"l1": "no reason"}})
    bounds = Certificate(three, three, three, 0.5, True, 0.5, 0.1, 0.1)
    write_comparison(comparison_record(found, reference_description="made up", certificate=bounds._asdict()), place)
    return place


class Folder:
    """A folder whose files get faults, one seed at a time, in a copy."""

    def __init__(self, original: Path, copy: Path, inside: str = ""):
        self.original, self.copy, self.inside = original, copy, inside

    def with_faults(self, draw: random.Random) -> None:
        """The copy, fresh but for faults in one file, half of the time with sums that say that they belong there."""
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.original, self.copy)
        place = self.copy / self.inside
        names = sorted(file.name for file in place.iterdir() if file.stat().st_size)
        file = place / draw.choice(names)
        if draw.random() < 0.4:
            file.write_bytes(bytes_with_faults(draw, file.read_bytes()))
            # What reads netCDF is not asked about bytes that the sums would have refused.
            if file.suffix == ".nc":
                return
        elif file.suffix == ".json":
            text = json.dumps(tree_with_faults(draw, json.loads(file.read_text())))
            file.write_text(text)
        elif file.suffix == ".safetensors":
            _arrays_with_faults(draw, file)
        elif file.suffix == ".nc":
            _curves_with_faults(draw, file)
        if file.name != "MANIFEST.json":
            _sum_again(place, file)


def _arrays_with_faults(draw: random.Random, file: Path) -> None:
    arrays, header = read_arrays(file)
    name = draw.choice(sorted(arrays))
    match draw.randrange(6):
        case 0:
            header = tree_with_faults(draw, header)
        case 1:
            del arrays[name]
        case 2:
            arrays[name] = arrays[name][..., :-1] if arrays[name].ndim else arrays[name][None]
        case 3:
            arrays[name] = arrays[name].astype(draw.choice(("float32", "int8", "int64", "bool")))
        case 4:
            arrays[name] = np.full_like(arrays[name], draw.choice((np.nan, np.inf, -1)) if _floats(arrays[name]) else 0)
        case 5:
            arrays[name] = np.zeros((2, *arrays[name].shape), arrays[name].dtype)
    metadata = {"genwgp": json.dumps(header)}
    file.write_bytes(safetensors.numpy.save({k: np.array(a, order="C") for k, a in arrays.items()}, metadata))


def _floats(array: np.ndarray) -> bool:
    return array.dtype.kind == "f"


def _curves_with_faults(draw: random.Random, file: Path) -> None:
    with xarray.open_dataset(file, engine="h5netcdf", decode_timedelta=False) as data:
        curves = data.load()
    name = draw.choice(sorted(map(str, curves.data_vars)))
    match draw.randrange(4):
        case 0:
            curves = curves.drop_vars(name)
        case 1:
            curves[name] = curves[name].isel({curves[name].dims[0]: 0}, drop=True)
        case 2:
            curves[name] = curves[name].astype("int32", casting="unsafe") if curves[name].isnull().sum() == 0 else 1
        case 3:
            curves[name] = (("other",), np.arange(draw.randrange(4), dtype=float))
    with np.errstate(invalid="ignore"):
        curves.to_netcdf(file, engine="h5netcdf")


def _sum_again(place: Path, file: Path) -> None:
    manifest = json.loads((place / "MANIFEST.json").read_text())
    if file.name in manifest["files"]:
        content = file.read_bytes()
        manifest["files"][file.name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        (place / "MANIFEST.json").write_text(json.dumps(manifest))


def read_run_with_faults(seed: int, folder: Folder) -> str:
    """A run folder: shown, as text or JSON, and loaded with its own problem or a given one."""
    draw = random.Random(seed)
    folder.with_faults(draw)
    with (
        mock.patch("genwgp.io.sources.read_problem", _read_once),
        mock.patch("genwgp.io.runs.read_curves", _curves_once),
        mock.patch("genwgp.cli.stored.read_curves", _curves_once),
    ):
        shown = outcome(lambda: show_run(str(folder.copy), draw.random() < 0.5))
        return f"{shown} and {outcome(lambda: load(folder.copy))}"


def page_with_faults(seed: int, folder: Folder) -> str:
    """A run folder with a comparison: its page, of few places."""
    draw = random.Random(seed)
    folder.with_faults(draw)
    few = lambda path, steps, tell: scene(path, 2, 8, 20)
    with (
        mock.patch("genwgp.io.sources.read_problem", _read_once),
        mock.patch("genwgp.cli.report.scene", few),
        mock.patch("genwgp.cli.stored.use_compilation_cache"),
        mock.patch("genwgp.report.page._library", return_value=""),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        return outcome(lambda: report_run(str(folder.copy), None, None, None, None, None))


SEEN: dict[bytes, xarray.Dataset] = {}


def _curves_once(file: Path) -> xarray.Dataset:
    """The curves of a file with the same content as one before: xarray takes a tenth of a second to open one."""
    content = file.read_bytes()
    if content not in SEEN:
        SEEN[content] = read_curves(file)
    return SEEN[content]


def _read_once(text: str, overrides: dict[str, Any]) -> ProblemFile:
    """The problem of the folders made once: each new one would be compiled again."""
    return _own_problem() if (text, overrides) == (SOURCE, {}) else read_problem(text, overrides)


@cache
def _own_problem() -> ProblemFile:
    return read_problem(SOURCE)


def read_checkpoint_with_faults(seed: int, folder: Folder) -> str:
    """A folder that a solve was begun in: shown, and taken up as far as the next step."""
    draw = random.Random(seed)
    folder.with_faults(draw)
    shown = outcome(lambda: show_run(str(folder.copy), draw.random() < 0.5))

    def resume() -> None:
        begun = read_begun(folder.copy)
        options = Options(None, None, str(folder.copy), SolveSection(), [], False, True, False, False)
        task = resumed_task(str(folder.copy), begun, options)
        problem, again = task.given.problem, copy.copy(fresh_run())
        again.segments, again.speeds, again.figures, again.features = [], [], [], copy.copy(again.features)
        all_of = sweep._All([again], [1])
        with Checkpoint(folder.copy).open(problem, decode(begun["settings"]), task.arguments["key"]) as keeper:
            keeper.resume(problem.energy.potential, all_of.resume)

    with mock.patch("genwgp.io.sources.read_problem", _read_once):
        return f"{shown} and {outcome(resume)}"


@cache
def fresh_run() -> Run:
    """The solve that was begun, before its first step."""
    return Run(_own_problem().problem, SMALL, 0, np.inf)
