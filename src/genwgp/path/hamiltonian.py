"""Steps of Hamiltonian Monte Carlo that leave exp(-V/D)/Z invariant, by blackjax."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from genwgp.checks import installed, integer, positive_number
from genwgp.energies import FreeEnergy
from genwgp.errors import InputError
from genwgp.parts import PART, over_particles, over_parts

ACCEPTANCE = 0.8  # mean acceptance rate that the step size is found for
CHAINS, ROUNDS = PART, 50  # that find it: as many as share compiled code with others
METRIC = 2048  # samples whose covariance is the metric
Points = Float[Array, "n d"]
Count = Int[Array, ""]


class Polished(NamedTuple):
    """x (n, d) after the steps; their mean acceptance rate; the largest leapfrog step, in standard deviations."""

    x: Points
    acceptance: float
    step_size: float


def polished(
    energy: FreeEnergy,
    others: Callable[[int], Points],
    key: PRNGKeyArray,
    x: Points,
    steps: int,
    leaps: int,
    acceptance: float,
) -> Polished:
    """`Equilibrium.polish`; `others(n)`: samples to find metric and step size by, which x must not depend on."""
    steps, leaps = integer("steps", steps), integer("leaps", leaps)
    if positive_number("acceptance", acceptance) >= 1:
        raise InputError("acceptance", acceptance, "a number between 0 and 1")
    with installed("polish", "blackjax", "mcmc"):
        import blackjax  # noqa: F401  (takes a second to import, and only this needs it)
    pool = others(max(METRIC, 16 * x.shape[1]))
    metric = jnp.asarray(np.cov(np.asarray(pool, dtype=np.float64), rowvar=False).reshape(x.shape[1], -1), x.dtype)
    tuning, running = jax.random.split(key)
    # As arrays: other numbers of steps need no other code. blackjax relies on the promotion of its own.
    with jax.numpy_dtype_promotion("standard"):
        move = lambda key, x, *numbers: _chains(energy, metric, *map(jnp.asarray, numbers), (x, _seeds(key, x)))
        step_size = _step_size(move, leaps, float(acceptance), tuning, pool[:CHAINS])
        x, accepted = move(running, x, step_size, leaps, steps)
    return Polished(x, float(np.mean(np.asarray(accepted, dtype=np.float64))), step_size)


def _step_size(move: Callable, leaps: int, acceptance: float, key: PRNGKeyArray, x: Points) -> float:
    """The one at which a batch of chains accepts that share, by dual averaging of the mean over them."""
    from blackjax.adaptation.step_size import dual_averaging_adaptation

    init, update, final = dual_averaging_adaptation(acceptance)
    state = init(x.shape[1] ** -0.25)
    for i in range(ROUNDS):
        x, accepted = move(jax.random.fold_in(key, i), x, float(jnp.exp(state.log_step_size)), leaps, 1)
        state = update(state, float(np.nan_to_num(accepted).mean()))
    return float(final(state))


def _seeds(key: PRNGKeyArray, x: Points) -> UInt32[Array, "n 2"]:
    """A key for each chain, as data."""
    return jax.random.bits(key, (len(x), 2), np.uint32)


@over_parts
def _chains(energy, metric, step_size, leaps: Count, steps: Count, particles: tuple[Points, UInt32[Array, "n 2"]]):
    """Where chains are after the steps, and their acceptance rates."""
    import blackjax

    log_density = lambda x: -energy.landscape(x) / energy.diffusion
    # A number of leapfrog steps that is always the same may return where it came from.
    drawn = lambda key: jax.random.randint(key, (), 1, 2 * leaps)
    kernel = blackjax.dynamic_hmc.build_kernel(integration_steps_fn=drawn)

    def chain(particle: Any) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        x, seed = particle
        first, rounds = jax.random.split(jax.random.wrap_key_data(seed, impl="threefry2x32"))

        def one(i: Any, carry: Any) -> Any:
            sizing, moving = jax.random.split(jax.random.fold_in(rounds, i))
            # A size that is right where the mass is is too large in steep tails: there chains would stand for ever.
            size = step_size * jax.random.uniform(sizing, (), x.dtype)
            state, info = kernel(moving, carry[0], log_density, size, metric)
            return state, carry[1] + info.acceptance_rate

        start = blackjax.dynamic_hmc.init(x, log_density, first)
        state, rate = jax.lax.fori_loop(0, steps, one, (start, jnp.zeros_like(x, shape=())))
        return state.position, rate / steps

    return over_particles(chain, particles)
