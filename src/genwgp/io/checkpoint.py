"""The state of a solve in its folder while it runs, so that another process goes on where one was killed.

RUN/checkpoint/begun.json     what is solved: problem, settings, key; written once, with the folder
              steps-N         what the steps after those of the file before have added, up to step N
              state-N         what else the next step needs
              MANIFEST.json   the files that belong together, with their sums; replaced last, as a whole
              lock            held by the process that writes here
"""

import datetime
import hashlib
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np

import genwgp
from genwgp.errors import InputError, RunFolderError
from genwgp.io import folder as files
from genwgp.io.arrays import arrays_bytes, read_arrays
from genwgp.io.lock import Lock
from genwgp.io.plain import decode, encode
from genwgp.io.sources import check_fingerprint, fingerprint
from genwgp.path.stored import from_stored, to_stored
from genwgp.problem import Problem
from genwgp.solvers.keeper import Keeper, Kept

FORMAT = 2  # of checkpoints; raised when versions could not read what others have written
LOCK = "lock"
SHARE = 0.02  # of the time that may go into writing
BEGUN = {"problem": dict, "settings": dict, "key": dict, "dtype": str, "date": str}


class Checkpoint:
    """A folder that a solve keeps its state in: a new one, or one that an earlier process has begun.

    `source`: where the problem came from, as `save` takes it. `tell`: gets a line about what cannot be kept; the solve
    goes on all the same. By default it is a warning. `new`: the folder must not exist yet.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        source: dict[str, Any] | None = None,
        tell: Callable[[str], None] | None = None,
        new: bool = False,
    ):
        self.folder, self.source, self.new = Path(folder), source, new
        self.tell = _warn if tell is None else tell

    @contextmanager
    def open(self, problem: Problem, settings: dict[str, Any], key: Any) -> Iterator[Keeper]:
        """What the solver gives its state to; nobody else writes there meanwhile.

        RunFolderError for a folder that is something else, damaged, in use or of another problem; InputError for
        settings other than those that it was begun with.
        """
        begun = _description(problem, settings, key, self.source)
        if created := self.new or not is_begun(self.folder):
            _create(self.folder, begun)
        keeper = _FolderKeeper(self.folder, begun, self.tell)
        try:
            _compare(read_begun(self.folder), begun, problem, self.folder)
            keeper.read()
            yield keeper
        except BaseException:
            keeper.close()
            if created and not keeper.state:  # no solution comes, and there is nothing to go on from
                _remove(self.folder)
            raise
        keeper.close()


def is_begun(folder: str | os.PathLike) -> bool:
    """Whether a solve was begun in a folder, and may go on."""
    try:
        return (Path(folder) / files.CHECKPOINT / files.BEGUN).is_file()
    except (OSError, ValueError):
        return False


def read_begun(folder: str | os.PathLike) -> dict[str, Any]:
    """What is solved in a folder that `is_begun`: problem, settings, key, dtype, date. RunFolderError if not."""
    place = Path(folder) / files.CHECKPOINT
    if not is_begun(folder):
        known = files.is_folder(Path(folder))
        text = "holds no solve that was begun: nothing to resume" if known else "no such run folder"
        raise RunFolderError(f"{folder}: {text}")
    content = files.read_json(place / files.BEGUN)
    files.check_format(folder, content, FORMAT)
    wrong = next((name for name, kind in BEGUN.items() if not isinstance(content.get(name), kind)), None)
    if wrong is None and not {"name", "dim", "source", "fingerprint"} <= set(content["problem"]):
        wrong = "problem"
    if wrong is not None:
        raise RunFolderError(f"{folder}: damaged; {wrong} is missing in {files.BEGUN}")
    return content


def read_about(folder: str | os.PathLike) -> dict[str, Any]:
    """How far the solve in a folder has come, as its last manifest says: empty before the first step."""
    manifest = _read_manifest(Path(folder))
    return {} if manifest is None else decode(manifest["about"])


def belongs(folder: str | os.PathLike, problem: Problem, settings: dict[str, Any]) -> bool:
    """Whether the solve that was begun in a folder is that of these: then its result may be saved there."""
    if not is_begun(folder):
        return False
    begun = read_begun(folder)
    return begun["settings"] == encode("settings", settings) and _is_same(begun, problem, Path(folder))


@contextmanager
def finishing(folder: str | os.PathLike, keep: bool) -> Iterator[None]:
    """A block that saves the result of a solve that was begun in a folder; `keep`: its checkpoint, for more."""
    lock = Lock(Path(folder) / files.CHECKPOINT / LOCK, Path(folder), _warn)
    try:
        yield
    finally:
        lock.release()
    if not keep:
        shutil.rmtree(Path(folder) / files.CHECKPOINT, ignore_errors=True)


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def _description(problem: Problem, settings: dict[str, Any], key: Any, source: dict[str, Any] | None) -> dict[str, Any]:
    """The content of begun.json."""
    return {
        "format": FORMAT,
        "genwgp": genwgp.__version__,
        "date": _now(),
        "problem": {
            "name": problem.name,
            "dim": problem.dim,
            "source": encode("problem_source", source),
            "fingerprint": encode("fingerprint", fingerprint(problem)),
        },
        "settings": encode("settings", settings),
        "key": {"data": np.asarray(jax.random.key_data(key)).tolist(), "kind": str(jax.random.key_impl(key))},
        "dtype": str(jax.numpy.zeros(()).dtype),
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _create(folder: Path, begun: dict[str, Any]) -> None:
    """The folder with its description: both at once, or RunFolderError."""
    with files.new_folder(folder, names=()) as temporary:
        place = temporary / files.CHECKPOINT
        place.mkdir()
        files.write_json(place / files.BEGUN, begun)


def _remove(folder: Path) -> None:
    """The folder as it was begun, unless something else is in it."""
    shutil.rmtree(folder / files.CHECKPOINT, ignore_errors=True)
    with suppress(OSError):
        folder.rmdir()


def _compare(stored: dict[str, Any], given: dict[str, Any], problem: Problem, folder: Path) -> None:
    """InputError or RunFolderError unless both are the same solve."""
    for part in ("settings", "key", "dtype"):
        before, now = _flat(stored[part], part), _flat(given[part], part)
        for name in {**before, **now}:
            if before.get(name) != now.get(name):
                field = name.removeprefix("settings.")
                raise InputError(field, now.get(name), f"{before.get(name)}, with which {folder} was begun")
    if not _is_same(stored, problem, folder):
        raise RunFolderError(f"{folder}: the problem given is not the one that the solve was begun with")


def _is_same(begun: dict[str, Any], problem: Problem, folder: Path) -> bool:
    try:
        check_fingerprint(problem, decode(begun["problem"]["fingerprint"]), begun["dtype"], folder)
    except RunFolderError:
        return False
    return True


def _flat(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, dict) and value:
        return {key: v for part, entry in value.items() for key, v in _flat(entry, f"{name}.{part}").items()}
    return {name: value}


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of the last state, None where none was written yet."""
    file = folder / files.CHECKPOINT / files.MANIFEST
    if not file.is_file():
        return None
    manifest = files.read_json(file)
    files.check_format(folder, manifest, FORMAT)
    kinds = {"files": dict, "steps": list, "state": str, "about": dict, "seconds": int | float, "count": int}
    wrong = next((name for name, kind in kinds.items() if not isinstance(manifest.get(name), kind)), None)
    if wrong is not None:
        raise RunFolderError(f"{folder}: damaged; {wrong} is missing in {files.CHECKPOINT}/{file.name}")
    about = decode(manifest["about"])
    if not isinstance(about, dict) or not all(isinstance(number, int | float) for number in about.values()):
        raise RunFolderError(f"{folder}: damaged; about holds no numbers in {files.CHECKPOINT}/{file.name}")
    return manifest


class _FolderKeeper(Keeper):
    """Writes what a solver gives it, no more often than SHARE of the time allows."""

    def __init__(self, folder: Path, begun: dict[str, Any], tell: Callable[[str], None]):
        self.folder, self.place, self.begun, self.tell = folder, folder / files.CHECKPOINT, begun, tell
        self.lock = self._locked()
        self.pending: tuple[Kept, dict[str, Any]] | None = None
        self.began, self.seconds, self.next, self.told = time.perf_counter(), 0.0, 0.0, set()
        self._forget()

    def _locked(self) -> Lock:
        with files.writing(self.folder):
            return Lock(self.place / LOCK, self.folder, self.tell)

    def _forget(self) -> None:
        """Nothing is written yet: steps in the files, the names of those, the state's file, sums."""
        self.count, self.steps, self.state, self.sums = 0, [], "", {}

    def read(self) -> None:
        """Find what an earlier process has written. RunFolderError if it is damaged."""
        manifest = _read_manifest(self.folder)
        if manifest is None:
            return
        self.count, self.steps, self.state = manifest["count"], manifest["steps"], manifest["state"]
        self.sums, self.seconds = manifest["files"], float(manifest["seconds"])
        for name in (*self.steps, self.state):
            if not isinstance(name, str) or Path(name).name != name:
                raise RunFolderError(f"{self.folder}: damaged; {name} is no file of a checkpoint")
            files.verify_file(self.place, name, self.sums.get(name))

    def resume(self, potential: Callable | None, take: Callable[[Kept], None]) -> None:
        if not self.state:
            return
        with files.reading(self.folder, "its checkpoint"):
            steps = [step for name in self.steps for step in self._part(name, potential)]
            if len(steps) != self.count:
                raise ValueError(f"{len(steps)} steps instead of {self.count}")
            take(Kept(steps, self._part(self.state, potential)))

    def _part(self, name: str, potential: Callable | None) -> Any:
        arrays, header = read_arrays(self.place / name)
        return from_stored(arrays, decode(header["static"]), potential, on_host=False)

    def keep(self, kept: Kept, about: dict[str, Any]) -> None:
        self.pending = kept, about
        if time.perf_counter() >= self.next:
            self.flush()

    def flush(self) -> None:
        if self.pending is None:
            return
        began = time.perf_counter()
        try:
            self._write(*self.pending)
        except OSError as error:
            self._say(f"the state of the solve cannot be written there ({error.strerror or error}); it goes on")
        else:
            self.pending = None
        now = time.perf_counter()
        self.next = now + (now - began) * (1 / SHARE - 1)

    def _say(self, text: str) -> None:
        """A line, the first time."""
        if text not in self.told:
            self.told.add(text)
            self.tell(f"{self.folder}: {text}")

    def _write(self, kept: Kept, about: dict[str, Any]) -> None:
        if not is_begun(self.folder):
            self._begin_again()
        count, old = len(kept.steps), self.state
        if count > self.count:
            self.steps = [*self.steps, self._put(f"steps-{count}.safetensors", tuple(kept.steps[self.count :]))]
            self.count = count
        self.state = self._put(f"state-{count}.safetensors", kept.state)
        files.sync(self.place)
        self._put_manifest(about)
        if old not in ("", self.state):
            (self.place / old).unlink(missing_ok=True)

    def _put(self, name: str, value: Any) -> str:
        arrays, static = to_stored(value)
        content = arrays_bytes(arrays, {"static": encode("static", static)})
        files.replace_file(self.place / name, content)
        self.sums[name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        return name

    def _put_manifest(self, about: dict[str, Any]) -> None:
        manifest = {
            "format": FORMAT,
            "genwgp": genwgp.__version__,
            "date": _now(),
            "seconds": self.seconds + time.perf_counter() - self.began,
            "about": encode("about", about),
            "count": self.count,
            "steps": self.steps,
            "state": self.state,
            "files": {name: self.sums[name] for name in (*self.steps, self.state)},
        }
        files.replace_file(self.place / files.MANIFEST, files.json_text(manifest).encode())
        files.sync(self.place)

    def _begin_again(self) -> None:
        """Somebody has removed the folder; what the solver gave says all, and it is made again."""
        self._say("was removed while the solve ran; it is made again")
        self.lock.release()
        self._forget()
        self.place.mkdir(parents=True, exist_ok=True)
        files.write_json(self.place / files.BEGUN, self.begun)
        self.lock = Lock(self.place / LOCK, self.folder, self.tell)

    def close(self) -> None:
        """Write what is left and let others in."""
        self.flush()
        self.lock.release()
