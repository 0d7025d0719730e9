"""Whether anything holds a density together: without it there is no equilibrium to end at."""

import jax
import jax.numpy as jnp
import numpy as np

from genwgp.problem import Problem

STRETCHED = (1e2, 1e3, 1e4)  # how far the start is pulled apart
PARTICLES = 1024


def spreads(problem: Problem) -> bool:
    """Whether F only falls as the start is pulled apart by 100, 1000 and 10,000.

    Stretched by L about its mean, rho(x) becomes rho(x / L) / L^d: an entropy gains -D d log L, which a potential or
    an interaction must outgrow (of F of Keller-Segel chi / (4 pi) log L does, for chi > 8 pi D alone).
    """
    x = jnp.asarray(problem.initial.quasi_sample(0, PARTICLES), dtype=float)
    log_density, centre = problem.initial.log_prob(x), x.mean(0)
    value = jax.jit(lambda x, log_density: problem.energy.value(x, log_density))  # an energy may hold arrays
    stretched = lambda L: float(value(centre + L * (x - centre), log_density - x.shape[1] * np.log(L).astype(x.dtype)))
    return bool(np.all(np.diff([stretched(L) for L in STRETCHED]) < 0))
