"""Whether there is an equilibrium to end at: something that holds a density together, without walls in its way."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.energies import FreeEnergy
from genwgp.parts import default_float
from genwgp.problem import Problem

STRETCHED = (1e2, 1e3, 1e4)  # how far the start is pulled apart
PARTICLES = 1024
RAYS, REACH, HALVINGS = 64, 12, 60  # from the start's mean: as far as 2^12 times a particle's distance from it
REACHED = 10.0  # (V - min V) / D of a place where the equilibrium still has mass


def spreads(problem: Problem) -> bool:
    """Whether F only falls as the start is pulled apart by 100, 1000 and 10,000.

    Stretched by L about its mean, rho(x) becomes rho(x / L) / L^d: an entropy gains -D d log L, which a potential or
    an interaction must outgrow (of F of Keller-Segel chi / (4 pi) log L does, for chi > 8 pi D alone).
    """
    x = np.asarray(problem.initial.quasi_sample(0, PARTICLES), dtype=default_float())
    log_density, centre = np.asarray(problem.initial.log_prob(x)), x.mean(0)
    thinned = lambda L: log_density - x.shape[1] * float(np.log(L))
    stretched = lambda L: float(_value(problem.energy, centre + L * (x - centre), thinned(L)))
    with np.errstate(invalid="ignore"):  # beyond a wall both are infinite
        return bool(np.all(np.diff([stretched(L) for L in STRETCHED]) < 0))


@eqx.filter_jit
def _value(energy: FreeEnergy, x, log_density) -> Float[Array, ""]:
    return energy.value(x, log_density)


def wall(problem: Problem) -> str | None:
    """Where V jumps from values that the density reaches to infinity or NaN, in words; None where it does not.

    The flow ends at such a wall (it would have to be reflected), but the force there says nothing of it. V is looked at
    along rays from the mean of the start through particles of it. Where V grows beyond all bounds before, as
    exp(x^4) does, or the logarithm at the end of a half line, no particle gets there. With an entropy and without an
    interaction, which may hold the density back; else None.
    """
    energy = problem.energy
    if energy.potential is None or energy.interacting or not energy.diffusion > 0:
        return None
    x = np.asarray(problem.initial.quasi_sample(0, RAYS), dtype=default_float())
    centre, L = x.mean(0), 2.0 ** np.arange(REACH + 1)
    at = lambda L: centre + np.asarray(L, x.dtype)[:, None] * (x - centre)
    values = jax.jit(jax.vmap(lambda x: jnp.asarray(energy.potential(x), x.dtype)))  # pyright: ignore[reportOptionalCall]
    V = np.stack([np.asarray(values(at(np.full(RAYS, far)))) for far in L])
    ends = ~np.isfinite(V)
    rays = ends[1:].any(0) & ~ends[0]
    if not rays.any():
        return None
    first = np.argmax(ends, axis=0)
    inside, outside = np.where(rays, L[first - 1], 1.0), np.where(rays, L[first], 1.0)
    for _ in range(HALVINGS):
        middle = 0.5 * (inside + outside)
        finite = np.isfinite(np.asarray(values(at(middle))))
        inside, outside = np.where(finite, middle, inside), np.where(finite, outside, middle)
    height = np.asarray(values(at(inside))) - np.min(V[~ends])
    ray = int(np.argmin(np.where(rays, height, np.inf)))
    if not height[ray] < REACHED * energy.diffusion:
        return None
    where = ", ".join(f"{coordinate:.3g}" for coordinate in np.asarray(at(outside))[ray])
    beyond = float(np.asarray(values(at(outside)))[ray])
    return f"V jumps to {beyond} at ({where}), where it is only {height[ray] / energy.diffusion:.2g} D above its least"
