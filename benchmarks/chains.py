"""Posteriors by Markov chains: draws of the no-U-turn sampler, and the evidence from them by bridge sampling."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import arviz
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.infer import MCMC, NUTS
from scipy.special import logsumexp

import genwgp as gw

CHAINS, WARMUP, DRAWS = 4, 1000, 2500
PROPOSALS = 20_000
ROUNDS, STAYS = 1000, 1e-10


class Draws(NamedTuple):
    """Draws of chains (n, d), the worst R-hat and the least effective number of them; log Z with its standard error."""

    x: Float[np.ndarray, "n d"]
    r_hat: float
    effective: float
    divergent: int
    log_z: float
    log_z_error: float
    seconds: float


def chains(problem: gw.Problem, key: Any) -> Draws:
    """Draws of exp(-V/D) / Z from chains that begin at samples of the start."""
    began = time.perf_counter()
    potential, D = problem.energy.potential, problem.energy.diffusion
    assert potential is not None
    sampler = NUTS(potential_fn=lambda x: potential(x) / D)
    run = MCMC(
        sampler,
        num_warmup=WARMUP,
        num_samples=DRAWS,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    at, go, cross = jax.random.split(key, 3)
    run.run(go, init_params=problem.initial.sample(at, CHAINS), extra_fields=("diverging",))
    x = np.asarray(run.get_samples(group_by_chain=True))
    data = arviz.convert_to_dataset(x)
    effective = min(float(arviz.ess(data, method=method).x.min()) for method in ("bulk", "tail"))
    log_density = jax.jit(jax.vmap(lambda x: -potential(x) / D))
    log_z = bridge(log_density, x, effective, cross)
    divergent = int(np.sum(run.get_extra_fields()["diverging"]))
    seconds = time.perf_counter() - began
    return Draws(x.reshape(-1, problem.dim), float(arviz.rhat(data).x.max()), effective, divergent, *log_z, seconds)


def bridge(
    log_density: Callable, x: Float[np.ndarray, "chains draws d"], effective: float, key: Any
) -> tuple[float, float]:
    """log int exp(log_density) and its standard error, from draws x, of which so many are effective.

    The proposal is a Gaussian with the moments of the first half of each chain; the second half is compared with it, by
    the bridge of least variance. Sources: Meng and Wong, Stat. Sinica 6 (1996) 831-860; the error, with the effective
    number of draws: Fruehwirth-Schnatter, Econom. J. 7 (2004) 143-167.
    """
    half = x.shape[1] // 2
    first, second = (part.reshape(-1, x.shape[2]) for part in (x[:, :half], x[:, half:]))
    proposal = gw.Gaussian(first.mean(0), np.cov(first, rowvar=False))
    ratio = lambda points: np.asarray(log_density(points) - proposal.log_prob(points))
    own, other = ratio(jnp.asarray(second)), ratio(proposal.sample(key, PROPOSALS))
    n = min(0.5 * effective, len(own))
    share = np.log([n / (n + PROPOSALS), PROPOSALS / (n + PROPOSALS)])
    log_z = float(np.median(own))
    for _ in range(ROUNDS):
        above, below = (
            a - np.logaddexp(share[0] + r, share[1] + log_z) for a, r in ((other, other), (np.zeros_like(own), own))
        )
        last, log_z = log_z, float(logsumexp(above) - np.log(len(above)) - logsumexp(below) + np.log(len(below)))
        if abs(log_z - last) < STAYS:
            break
    parts = [np.exp(part - part.max()) for part in (above, below)]
    variances = [np.var(part) / np.mean(part) ** 2 for part in parts]
    return log_z, float(np.sqrt(variances[0] / PROPOSALS + variances[1] / n))
