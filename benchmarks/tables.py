"""What the benchmarks' result files share: a table in Markdown, and where it was measured."""

import platform

import jax
import numpy as np

import genwgp as gw


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """The device and the versions."""
    versions = f"genwgp {gw.__version__}, jax {jax.__version__}, numpy {np.__version__}"
    return f"{jax.devices()[0].device_kind} ({platform.machine()}), {versions}, Python {platform.python_version()}"
