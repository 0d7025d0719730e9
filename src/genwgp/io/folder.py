"""Run folders on disk: new ones appear whole or not at all, and what is read back is what was written."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import genwgp
from genwgp.checks import reason
from genwgp.errors import GenwgpError, InputError, RunFolderError
from genwgp.io.derived import remove_derived

FORMAT = 2  # raised when versions could not read what others have written
MANIFEST = "MANIFEST.json"
LAYERS, CURVES, RUN, LOG = "layers.safetensors", "path.nc", "run.json", "log.csv"
FILES = (LAYERS, CURVES, RUN, LOG)
CHECKPOINT, BEGUN = "checkpoint", "begun.json"  # the folder of a solve that goes on, and what says which it is
PARTIAL = ".partial-"


def check_new_folder(folder: str | os.PathLike) -> Path:
    """The folder as a path, after making its parents; RunFolderError if it exists or could not be written.

    To be called before anything is computed.
    """
    if not str(folder).strip():
        raise InputError("folder", repr(folder), "the name of a folder that does not exist yet")
    path = Path(folder)
    try:
        if (path / CHECKPOINT / BEGUN).is_file():
            raise RunFolderError(f"{path}: a solve was begun there: {going_on(path)}, or remove it")
        if path.exists() or path.is_symlink():
            raise RunFolderError(f"{path}: exists already; give another folder or remove it")
        path.parent.mkdir(parents=True, exist_ok=True)
        _partial(path).rmdir()  # asking the system by trying is the only answer that holds for every user and disk
    except (OSError, ValueError) as error:  # ValueError: a name that no system has, with a zero byte
        raise RunFolderError(f"{path!s}: cannot be written ({_reason(error)})") from None
    return path


@contextmanager
def new_folder(folder: str | os.PathLike, names: Sequence[str] = FILES, begun: bool = False) -> Iterator[Path]:
    """A temporary sibling to write `names` into; with their manifest it is renamed to `folder` when the block ends.

    `begun`: the folder may be there already, as a solve was begun in it; then the files go into it, the manifest last.
    If the block raises, nothing is left. If the process is killed, a hidden `.NAME.partial-XXXX` is left, which
    `verify` never accepts.
    """
    final = Path(folder) if begun else check_new_folder(folder)
    with writing(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = _partial(final)
        try:
            yield temporary
            if names:
                _write_manifest(temporary, names)
            _publish(temporary, final, names)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync(final.parent)


def _publish(temporary: Path, final: Path, names: Sequence[str]) -> None:
    if not final.exists():
        os.rename(temporary, final)
        return
    (final / MANIFEST).unlink(missing_ok=True)  # of the path so far, of a solve that has gone on
    remove_derived(final)  # a page of that path would be taken for one of this
    for name in (*names, MANIFEST):
        os.replace(temporary / name, final / name)
    sync(final)


def verify(folder: str | os.PathLike) -> Path:
    """The folder as a path; RunFolderError unless it is complete, undamaged and of a format this version reads."""
    path = Path(folder)
    if not str(folder).strip() or not is_folder(path):  # Path("") is the folder that we are in
        raise RunFolderError(f"{str(folder) or repr('')}: no such run folder")
    if PARTIAL in path.resolve().name:
        raise RunFolderError(f"{path}: incomplete; what an interrupted save has left")
    manifest = _read_manifest(path)
    if not isinstance(manifest.get("files"), dict):
        raise RunFolderError(f"{path}: damaged; {MANIFEST} lacks files")
    check_format(path, manifest, FORMAT)
    for name in FILES:
        verify_file(path, name, manifest["files"].get(name))
    return path


def check_format(folder: str | os.PathLike, content: dict[str, Any], known: int) -> None:
    """RunFolderError unless a file of a folder says that it is in the format that this version knows."""
    written = content.get("format")
    if not isinstance(written, int):
        raise RunFolderError(f"{folder}: damaged; it lacks the number of its format")
    if written > known:
        writer = f"genwgp {content.get('genwgp', 'of unknown version')}"
        text = f"written by {writer} in format {written}, this version reads up to {known}: update genwgp"
        raise RunFolderError(f"{folder}: {text}")
    if written < known:
        text = f"written before the first release, in format {written}, which is not read: solve it again"
        raise RunFolderError(f"{folder}: {text}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; RunFolderError if it is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise RunFolderError(f"{path.parent}: damaged; {path.name} cannot be read") from None
    if not isinstance(content, dict):
        raise RunFolderError(f"{path.parent}: damaged; {path.name} holds no JSON object")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object."""
    path.write_text(json_text(content), encoding="utf-8")


def json_text(content: dict[str, Any]) -> str:
    """A JSON object, readable, one entry a line."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@contextmanager
def reading(folder: object, what: str) -> Iterator[None]:
    """RunFolderError where content that this version does not understand makes a block fail, however it does."""
    try:
        yield
    except GenwgpError:
        raise
    except Exception as error:  # files of others may hold anything
        raise RunFolderError(f"{folder}: damaged; {what} is not understood ({reason(error)})") from None


@contextmanager
def writing(target: str | os.PathLike, what: str = "") -> Iterator[None]:
    """RunFolderError that names the target, or `what` of it, for what the system says while it is written."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(f"{target}: {what}cannot be written ({_reason(error)})") from None


def replace_file(file: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, in the place of one of that name; its folder is made. OSError."""
    temporary = file.with_name(f".{file.name}{PARTIAL}{secrets.token_hex(4)}")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary.write_bytes(content)
        sync(temporary)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def is_folder(path: Path) -> bool:
    """Whether a folder is there; False too for names that the system refuses to look up."""
    try:
        return path.is_dir()
    except OSError:
        return False


def going_on(folder: str | os.PathLike) -> str:
    """How a solve that was begun in a folder goes on, in words."""
    return f"`genwgp solve --resume {folder}` goes on with it"


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _partial(folder: Path) -> Path:
    temporary = folder.parent / f".{folder.name}{PARTIAL}{secrets.token_hex(4)}"
    temporary.mkdir()
    return temporary


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not (folder / MANIFEST).is_file() and (folder / CHECKPOINT / BEGUN).is_file():
        raise RunFolderError(f"{folder}: unfinished; {going_on(folder)}")
    if not (folder / MANIFEST).is_file():
        raise RunFolderError(f"{folder}: incomplete; no {MANIFEST}, so it is no run folder or its save was interrupted")
    return read_json(folder / MANIFEST)


def _write_manifest(folder: Path, names: Sequence[str]) -> None:
    files = {}
    for name in names:
        sync(folder / name)
        files[name] = {"sha256": _sha256(folder / name), "bytes": (folder / name).stat().st_size}
    write_json(folder / MANIFEST, {"format": FORMAT, "genwgp": genwgp.__version__, "files": files})
    sync(folder / MANIFEST)
    sync(folder)


def verify_file(folder: Path, name: str, entry: Any) -> None:
    """RunFolderError unless a file of a folder is what its manifest says."""
    if not isinstance(entry, dict) or not (folder / name).is_file():
        raise RunFolderError(f"{folder}: incomplete; {name} is missing")
    try:
        same = _sha256(folder / name) == entry.get("sha256")
    except OSError as error:
        raise RunFolderError(f"{folder}: {name} cannot be read ({error.strerror or error})") from None
    if not same:
        raise RunFolderError(f"{folder}: damaged; {name} is not what was written (SHA-256 differs from {MANIFEST})")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Ask the system to put a file, or a folder's list of names, on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
