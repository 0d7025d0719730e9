"""What the pictures look at: frames of a path, windows that hold its mass, densities and potentials on grids."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genwgp.diagnostics.compare import places
from genwgp.errors import InputError
from genwgp.parts import over_particles, over_parts

SEED = 0  # pictures of the same solution are the same


class Frame(NamedTuple):
    """A density of the path, its time and arclength, and samples (n, d)."""

    density: Any
    time: float
    arclength: float
    samples: np.ndarray


def frames(path: Any, count: int, samples: int) -> list[Frame]:
    """The path at `count` places, equidistant in arclength from the start to the end."""
    found = []
    for i, place in enumerate([{"node": 0}, *places(path, count - 1)]):
        rho = path.at(**place)
        x = np.asarray(rho.sample(jax.random.key(SEED + i), samples))
        found.append(Frame(rho, float(rho.time), float(rho.arclength), x))
    return found


def window(samples: list[np.ndarray], share: float = 0.002, margin: float = 0.12) -> np.ndarray:
    """(d, 2): lower and upper ends that hold all but `share` of each set of samples on either side, with a margin.

    Samples that are not finite do not count; InputError where a set has no others.
    """
    samples = [x[np.all(np.isfinite(x), axis=1)] for x in samples]
    if not all(map(len, samples)):
        raise InputError("solution", "samples that are not finite", "a path whose samples are finite")
    low = np.min([np.quantile(x, share, axis=0) for x in samples], axis=0)
    high = np.max([np.quantile(x, 1 - share, axis=0) for x in samples], axis=0)
    edge = margin * np.maximum(high - low, 1e-12)
    return np.stack([low - edge, high + edge], axis=1)


def grid(box: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Axes a, b (size,) of a two-dimensional window and its points (size^2, 2), b along the rows."""
    a, b = np.linspace(box[0, 0], box[0, 1], size), np.linspace(box[1, 0], box[1, 1], size)
    A, B = np.meshgrid(a, b)
    return a, b, np.stack([A.ravel(), B.ravel()], axis=1)


def log_density(rho: Any, x: np.ndarray) -> np.ndarray:
    """log rho at points (n, d); -inf where it is not finite, outside of what the path has learned."""
    values = np.asarray(rho.log_prob(x))
    return np.where(np.isfinite(values), values, -np.inf)


@over_parts
def _landscape(energy: Any, x: Any) -> Any:
    return over_particles(lambda x: energy.landscape(x), x)


def equilibrium_shape(path: Any, x: np.ndarray) -> np.ndarray | None:
    """exp(-V/D) at points (n, d), over its largest value among them; None where there is no such equilibrium.

    With an interaction V + W * rho of the last node.
    """
    energy, end = path.energy, path.equilibrium
    if not end.normalisable:
        return None
    among = energy if not energy.interacting else end.energy
    values = np.asarray(_landscape(among, jnp.asarray(x, dtype=float)))
    finite = np.where(np.isfinite(values), values, np.inf)
    return np.exp(-(finite - finite.min()) / energy.diffusion)
