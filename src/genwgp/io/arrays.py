"""Arrays by name and the tree of plain values that they belong to, in one safetensors file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from genwgp.errors import RunFolderError

HEADER = "genwgp"  # key of the JSON in the header of the file


def arrays_bytes(arrays: dict[str, np.ndarray], header: dict[str, Any]) -> bytes:
    """The content of a safetensors file with these arrays and a JSON object in its header."""
    # In C order: the format has no strides. (ascontiguousarray would give numbers an axis.)
    ordered = {name: np.array(array, order="C") for name, array in arrays.items()}
    return safetensors.numpy.save(ordered, metadata={HEADER: json.dumps(header, allow_nan=False)})


def read_arrays(file: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a file and the object in its header. RunFolderError if it is not one of ours."""
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            header = json.loads((opened.metadata() or {})[HEADER])
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RecursionError) as error:
        raise RunFolderError(f"{file.parent}: damaged; {file.name} cannot be read ({error})") from None
    if not isinstance(header, dict):
        raise RunFolderError(f"{file.parent}: damaged; the header of {file.name} holds no JSON object")
    return arrays, header
