"""Samples as users have them: arrays, and files in CSV and in NumPy's formats."""

import csv
import io
import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from genwgp.checks import reason, shape_text
from genwgp.errors import InputError

FIELD = "from_samples.x"
ARRAY = "numbers of shape (n, d) or (n,), or the path of a .csv, .npz or .npy file"
CSV = "numbers separated by commas, as many in every line, below one header line at most"
LEAST, LEAST_PER_DIMENSION = 50, 10
SMALLEST, LARGEST = 1e-100, 1e100  # of the range of a column: squares of these are still float64 numbers
CONSTANT = 1e-12  # range of a column over its largest number: below, it is rounding
COLLINEAR = 1e-10  # smallest eigenvalue of the correlations: a column is others plus 1e-5 of its own spread
NOT_COORDINATES = ("log_density", "weight")  # columns of what `genwgp sample` writes, beside the coordinates


class Samples(NamedTuple):
    """Samples `x` (n, d) in float64, and `group` (n,): the different rows, counted from 0 as they come."""

    x: Float[np.ndarray, "n d"]
    group: Int[np.ndarray, " n"]


def read_samples(given: Any) -> Samples:
    """The samples of an array (n, d) or (n,), or of a file; InputError in one line for what cannot be fitted.

    Refused are what is not numbers of this shape or not such a file, NaN and infinities, fewer than
    max(50, 10 (d + 1)) different samples, and columns that are constant or linear combinations of others.
    """
    values, names, source = given, [], ""
    if isinstance(given, str | os.PathLike):
        values, names = _from_file(Path(given))
        source = f"{Path(given).name}: "
    x = _as_array(values, source)
    labels = [f"column {j}" + (f" ({names[j]})" if j < len(names) else "") for j in range(x.shape[1])]
    _check_finite(x, labels, source)
    _, first, inverse = np.unique(x, axis=0, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[inverse.reshape(-1)]
    _check_count(len(x), int(group.max()) + 1, x.shape[1], source)
    _check_columns(x, labels, source)
    return Samples(x, group)


def _as_array(values: Any, source: str) -> Float[np.ndarray, "n d"]:
    try:
        array = np.asarray(values)
    except Exception:  # ragged lists, traced arrays, objects whose conversion fails: not an array, whatever the cause
        raise InputError(FIELD, f"{source}{values}", ARRAY) from None
    if array.dtype.kind not in "iuf":
        raise InputError(FIELD, f"{source}an array of {array.dtype}", ARRAY)
    if array.ndim not in (1, 2) or array.size == 0:
        raise InputError(FIELD, f"{source}shape {shape_text(array.shape)}", ARRAY)
    return np.array(array, dtype=np.float64, order="C").reshape(len(array), -1)  # one order: sums in one order


def _check_finite(x: np.ndarray, labels: list[str], source: str) -> None:
    wrong = np.argwhere(~np.isfinite(x))
    if len(wrong):
        row, column = wrong[0]
        rows = len(np.unique(wrong[:, 0]))
        more = f", and more in {rows - 1} other rows" if rows > 1 else ""
        given = f"{source}{x[row, column]} in row {row}, {labels[column]}{more}"
        raise InputError(FIELD, given, "finite numbers (rows and columns count from 0)")


def _check_count(n: int, different: int, dim: int, source: str) -> None:
    least = max(LEAST, LEAST_PER_DIMENSION * (dim + 1))
    if different < least:
        repeated = f", {different} of them different" if n >= least else ""
        allowed = f"at least {least} different samples, one a row, in {dim} dimensions"
        raise InputError(FIELD, f"{source}{n} samples{repeated}", allowed)


def _check_columns(x: np.ndarray, labels: list[str], source: str) -> None:
    """InputError unless the covariance of the samples is one that a Gaussian can have."""
    with np.errstate(over="ignore"):
        spread = np.ptp(x, axis=0)
    for label, width, largest in zip(labels, spread, np.abs(x).max(axis=0), strict=True):
        if width <= CONSTANT * largest:
            raise InputError(FIELD, f"{source}{label} is constant", "columns that vary: leave this one out")
        if not SMALLEST <= width <= LARGEST:
            allowed = f"columns whose numbers range over {SMALLEST:g} to {LARGEST:g}: change its unit"
            raise InputError(FIELD, f"{source}{label} ranges over {width:.3g}", allowed)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.corrcoef(x / spread, rowvar=False)))
    if values[0] < COLLINEAR:
        label = labels[int(np.argmax(np.abs(vectors[:, 0])))]
        raise InputError(FIELD, f"{source}{label} is a linear combination of others", "columns without this one")


def _from_file(path: Path) -> tuple[Any, list[str]]:
    """What a file holds, and the names of its columns where it has a header."""
    form = path.suffix.lower()
    if form not in (".csv", ".npz", ".npy"):
        raise InputError(FIELD, path, "a file that ends in .csv, .npz or .npy")
    try:
        if form == ".csv":
            return _from_csv(path.name, path.read_text(encoding="utf-8-sig"))
        return _from_numpy(path), []
    except InputError:
        raise
    except UnicodeDecodeError:
        raise InputError(FIELD, f"{path.name}: bytes that are not UTF-8", "a CSV file in UTF-8") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:  # ValueError: a name that no system has, too
        why = getattr(error, "strerror", None) or reason(error)
        raise InputError(FIELD, path, f"a {form} file that can be read ({why})") from None
    except Exception as error:  # a damaged archive may raise anything
        raise InputError(FIELD, path, f"a {form} file that can be read ({reason(error)})") from None


def _from_numpy(path: Path) -> np.ndarray:
    with path.open("rb") as file:  # opened here: numpy does not close what turns out to be no archive
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            return archive
        names = list(archive)
        if "x" not in names and len(names) != 1:
            given = f"{path.name} with arrays {', '.join(names)}" if names else f"{path.name} without arrays"
            raise InputError(FIELD, given, "one array, or one that is called x")
        return archive["x" if "x" in names else names[0]]


def _from_csv(name: str, text: str) -> tuple[np.ndarray, list[str]]:
    """The numbers of a CSV text (n, d) and its header; without the columns that are not coordinates."""
    first = next((line for line in io.StringIO(text) if line.strip()), "")
    entries = next(csv.reader([first]), [])
    header = [entry.strip() for entry in entries] if entries and not any(map(_is_number, entries)) else []
    body = text[text.index(first) + len(first) :] if header else text
    if not body.strip():
        raise InputError(FIELD, f"{name} without numbers", CSV)
    try:
        values = np.loadtxt(io.StringIO(body), delimiter=",", ndmin=2, comments=None, quotechar='"')
    except ValueError as error:
        raise InputError(FIELD, f"{name} {_mistake(text, bool(header)) or reason(error)}", CSV) from None
    if header and len(header) != values.shape[1]:
        raise InputError(FIELD, f"{name}: {len(header)} names above {values.shape[1]} columns", CSV)
    kept = [j for j in range(values.shape[1]) if not header or header[j] not in NOT_COORDINATES]
    return values[:, kept], [header[j] for j in kept] if header else []


def _mistake(text: str, has_header: bool) -> str | None:
    """The first line that is no data, with its number as editors count."""
    rows = csv.reader(io.StringIO(text))
    size, seen = None, False
    for row in rows:
        if not any(entry.strip() for entry in row):
            continue
        if has_header and not seen:
            seen = True
            continue
        wrong = next((entry for entry in row if not _is_number(entry)), None)
        if wrong is not None:
            return f"line {rows.line_num}: {wrong!r}"
        if size is not None and len(row) != size:
            return f"line {rows.line_num}: {len(row)} numbers instead of {size}"
        size = len(row)
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
