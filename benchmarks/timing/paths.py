"""Paths to time: of K layers of a case's field, and exact ones of Ornstein-Uhlenbeck in any dimension."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import genwgp as gw
from genwgp.layers.base import State
from genwgp.layers.fields import Bumps, Field, ModulatedPotential, Opaque, Quadratic
from genwgp.layers.velocity import VelocityLayer
from genwgp.parts import over_particles, over_parts
from genwgp.path import chain
from genwgp.path.density import PathDensity
from genwgp.solvers.segment import FIRST
from timing.cases import SUBSTEPS, Case

LAYERS, LAST = 12, 0.95  # of a path; share of the way that exact ones go, as 1 - exp(-t)
EXACT_SUBSTEPS = 4


@over_parts
def forward(layers: VelocityLayer, position, state: State) -> State:
    """Particles with log-density and score, from the start through all layers."""
    step = lambda layer, theta, state: layer.transport(state, theta)
    return over_particles(lambda z: chain._fold(layers, position, z, step), state)


def repeated(case: Case, K: int = LAYERS) -> VelocityLayer:
    """K layers of the case's field, of one segment of 8 steps each; hardly anything moves."""
    c, field = case.segment.first, case.field
    stacked = lambda a: jnp.broadcast_to(a, (K, 1, *a.shape))
    return VelocityLayer(
        field=jax.tree.map(stacked, field),
        start=stacked(c),
        stop=stacked(c),
        duration=jnp.full((K, 1), float(case.segment.duration) / K),
        substeps=jnp.full((K, 1), SUBSTEPS, jnp.int32),
        count=jnp.ones(K, jnp.int32),
    )


def exact(problem: gw.Problem, K: int = LAYERS) -> PathDensity:
    """The end of the path of Ornstein-Uhlenbeck, coefficients exact at both Radau points of each layer.

    phi = -V - D log rho_t up to a constant: V has the coefficient -1, the quadratic D S^-1 and -D S^-1 m.
    """
    potential, d, reference = problem.energy.potential, problem.dim, problem.reference
    times = -np.log(1 - LAST * np.arange(K + 1) / K)
    at = lambda t: np.stack([_coefficients(reference.density(one), problem.energy.diffusion) for one in t])
    radau, stop = at(times[:-1] + FIRST * np.diff(times)), at(times[1:])
    start = radau - FIRST / (1 - FIRST) * (stop - radau)
    none = Bumps(jnp.zeros((0, d)), jnp.zeros((0, d, d)))
    shift, scale = jnp.asarray(0.0), jnp.asarray(1.0)
    whole = ModulatedPotential(Opaque(potential), shift, scale, jnp.zeros((1, d)), none)
    one = Field((Quadratic(jnp.zeros(d)), whole))
    layers = VelocityLayer(
        field=jax.tree.map(lambda a: jnp.broadcast_to(a, (K, 1, *a.shape)), one),
        start=jnp.asarray(start[:, None]),
        stop=jnp.asarray(stop[:, None]),
        duration=jnp.asarray(np.diff(times)[:, None]),
        substeps=jnp.full((K, 1), EXACT_SUBSTEPS, jnp.int32),
        count=jnp.ones(K, jnp.int32),
    )
    return PathDensity(  # pyright: ignore[reportCallIssue]
        layers=layers, initial=problem.initial, position=jnp.asarray(float(K)), time=float(times[-1]), arclength=1.0
    )


def _coefficients(rho: gw.Gaussian, diffusion: float) -> Float[np.ndarray, " p"]:
    precision = diffusion * np.linalg.inv(np.asarray(rho.covariance))
    upper = precision[np.triu_indices(len(precision))]
    return np.concatenate([upper, -precision @ np.asarray(rho.mean), [0.0, -1.0]])


def start(problem: gw.Problem, n: int) -> State:
    x = problem.initial.sample(jax.random.key(0), n)
    return State(x, problem.initial.log_prob(x), problem.initial.score(x))


def in_bits(tree: Any, bits: int) -> Any:
    """Arrays of floats in float32 or float64."""
    dtype = jnp.float32 if bits == 32 else jnp.float64
    return jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, tree)


def evaluated(rho: PathDensity, n: int) -> tuple[Array, Array, Array]:
    """n samples with log-density and score there."""
    x = rho.sample(jax.random.key(1), n)
    return x, rho.log_prob(x), rho.score(x)
