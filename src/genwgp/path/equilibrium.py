"""The equilibrium: the last node of a path, with what importance weights and a few steps of a chain make of it."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp import importance
from genwgp.checks import finite_array, integer, reason
from genwgp.energies import FreeEnergy
from genwgp.errors import InputError
from genwgp.importance import Bounds, Estimate
from genwgp.initial.base import Points
from genwgp.path import chain
from genwgp.path.density import PathDensity
from genwgp.path.hamiltonian import ACCEPTANCE, Polished, polished

PROBES, PROBE_SEED = 4096, 9002  # particles that feel the mean field of an interaction
POOL, LEAST_POOL = 4, 1024  # samples that one is chosen from, and all of them at least
AVERAGED = "a function of one point, shape (d,), that returns numbers, written with jax.numpy"


class Equilibrium(PathDensity):
    """The last node as a sampler of exp(-V/D)/Z, with what importance weights say about it.

    With an interaction V + W * rho of the last node stands for V, here and below: where the density is stationary, it
    is the equilibrium of its own mean field. `energy`: in that mean field.
    log_normaliser: log Z = log mean exp(-V/D - log rho) over held-out particles; its standard error beside it.
    effective_sample_size: (sum w)^2 / sum w^2 over their number, 1 where the last node is the equilibrium.
    pareto_k: how heavy the tail of these weights is, `genwgp.diagnostics.pareto_k`: what the weights give can be
    trusted below 0.7. NaN in runs saved before there was this figure.
    free_energy: F of the equilibrium, -D log Z without interaction. All NaN without an entropy, and where neither a
    potential nor an interaction confines; then the methods below raise InputError.

    `sample` draws from the last node itself. `resample`, `expectation` and `polish` correct what it is off by.
    """

    energy: FreeEnergy
    log_normaliser: float = eqx.field(static=True)
    log_normaliser_error: float = eqx.field(static=True)
    effective_sample_size: float = eqx.field(static=True)
    pareto_k: float = eqx.field(static=True)

    @property
    def normalisable(self) -> bool:
        """Whether there is an equilibrium exp(-V/D)/Z that the last node can be weighed against."""
        return self.energy.gibbs and not np.isnan(self.log_normaliser)

    @property
    def free_energy(self) -> float:
        """F of the equilibrium: -D log Z, less half of the mean of W * rho, which V + W * rho counts twice."""
        total = -self.energy.diffusion * self.log_normaliser
        if self.energy.interaction is None:
            return total
        x = jnp.asarray(self.initial.quasi_sample(PROBE_SEED, PROBES), dtype=float)
        return total - float(_mean_interaction(self.energy, chain.push(self.layers, self.position, x)))

    def log_weights(self, x: Points, log_density: Float[Array | np.ndarray, "*n"] | None = None) -> Float[Array, "*n"]:
        """log w = -V(x)/D - log rho(x) of points, whose mean of w over samples of the last node is Z.

        `log_density`: log rho(x) where it is known, as `sample_and_log_prob` gives it; else it is computed.
        """
        self._gibbs()
        points = self._points(x)
        batch = jnp.atleast_2d(points)
        known = self.log_prob(batch) if log_density is None else jnp.atleast_1d(jnp.asarray(log_density, batch.dtype))
        values = -self.energy.chemical_potential(batch, known) / self.energy.diffusion
        return values[0] if points.ndim == 1 else values

    def log_target(self, x: Points) -> Float[Array, "*n"]:
        """log exp(-V(x)/D)/Z of points, Z by `log_normaliser`: the density that `resample` and `polish` draw from."""
        points = self._points(x)
        return self.log_weights(points, jnp.zeros_like(points[..., 0])) - self.log_normaliser

    def weights(self, x: Points, log_density: Float[Array | np.ndarray, "*n"] | None = None) -> Float[Array, " n"]:
        """Importance weights of samples x (n, d) for exp(-V/D)/Z; they sum to one. `log_density` as above."""
        return jax.nn.softmax(self.log_weights(x, log_density))

    def resample(self, key: PRNGKeyArray, n: int, pool: int | None = None) -> Float[Array, "n d"]:
        """`n` samples of exp(-V/D)/Z by sampling-importance-resampling (SIR), in random order.

        They are chosen from `pool` samples of the last node (default 4 n, at least 1024), in proportion to their
        weights, by systematic resampling. Their distribution tends to the equilibrium as the pool grows, with an error
        of order 1 / (pool times the effective sample size). A sample comes twice only where its weight is above
        pool / n times the mean one. Not to be trusted where pareto_k is above 0.7.
        Sources: Rubin, J. Amer. Statist. Assoc. 82 (1987) 543; Kitagawa, J. Comput. Graph. Statist. 5 (1996) 1.
        """
        return self.resample_with_weights(key, n, pool)[0]

    def resample_with_weights(
        self, key: PRNGKeyArray, n: int, pool: int | None = None
    ) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """The samples (n, d) that `resample` gives, and log w (n,) of each, which it was chosen by."""
        n = integer("n", n)
        pool = max(POOL * n, LEAST_POOL) if pool is None else integer("pool", pool, least=n)
        draw, choose, order = jax.random.split(key, 3)
        x, log_weight = self._weighted(draw, pool)
        if not np.isfinite(log_weight.max()):
            raise InputError("equilibrium", "weights that are not finite", "a finite V where the last node is sampled")
        chosen = importance.systematic(log_weight, n, float(jax.random.uniform(choose)))
        taken = jax.random.permutation(order, jnp.asarray(chosen))
        return x[taken], jnp.asarray(log_weight[np.asarray(taken)], x.dtype)

    def expectation(self, f: Callable, key: PRNGKeyArray, n: int) -> Estimate:
        """int f exp(-V/D)/Z dx and its standard error, by self-normalised importance sampling with `n` samples.

        `f`: one point (d,) -> numbers of any shape, written with jax.numpy; value and error have this shape. The error
        is that of the delta method, (sum_i w_i^2 (f_i - m)^2)^(1/2) with weights w_i that sum to one. Value and error
        can be trusted where pareto_k is below 0.7; for an f that grows fast, `genwgp.diagnostics.pareto_k` of
        log w + log |f| should be too. InputError for an f that jax cannot evaluate at one point.
        """
        x, log_weight = self._weighted(key, integer("n", n, least=2))
        try:
            values = np.asarray(_at_points(f, x), dtype=np.float64)
        except Exception as error:  # code of the user may raise anything: the message says what
            raise InputError("f", reason(error), AVERAGED) from None
        return importance.expectation(values, log_weight)

    def log_normaliser_bounds(self, key: PRNGKeyArray, n: int = 8192, exact: Points | None = None) -> Bounds:
        """Numbers that log Z is between, each with a standard error: (lower, lower_error, upper, upper_error).

        lower = E_rho[log w] = log Z - KL(rho || exp(-V/D)/Z), over `n` samples of the last node rho (evidence lower
        bound): it always holds. upper = E[log w] = log Z + KL(exp(-V/D)/Z || rho), over samples of the equilibrium
        itself, `exact` (m, d) (evidence upper bound): it holds only if they are that, independent of each other, such
        as those of an exact sampler, or of `polish` once its chains have forgotten their start. They also show modes
        that the path has missed, which no weight of its own samples does. NaN without `exact`. Infinite where the last
        node has no density at one of them. At the equilibrium itself both are log Z.
        """
        lower = importance.mean_and_error(self._weighted(key, integer("n", n, least=2))[1])
        if exact is None:
            return Bounds(*lower, float("nan"), float("nan"))
        x = finite_array("exact", exact, (None, self.dim))
        if len(x) < 2:
            raise InputError("exact", "one sample", "two samples (m, d) of the equilibrium or more")
        self._gibbs()
        return Bounds(*lower, *importance.mean_and_error(np.asarray(self.log_weights(x), dtype=np.float64)))

    def polish(
        self, key: PRNGKeyArray, x: Points, steps: int = 20, leaps: int = 8, acceptance: float = ACCEPTANCE
    ) -> Polished:
        """x (n, d) after `steps` steps of Hamiltonian Monte Carlo, each point a chain of its own; needs blackjax.

        Every step leaves exp(-V/D)/Z invariant, in the mean field of the last node where there is an interaction; so
        samples of the last node come closer to it, and what chains can reach in that time becomes right. They do not
        carry mass over high barriers: `resample` first. A step is 1 to 2 leaps - 1 leapfrog steps of a size between 0
        and the largest one, both drawn anew each time, so that chains neither return to their start nor stand in steep
        tails; with leaps=1 it is the Metropolis-adjusted Langevin algorithm. The largest size and the metric, the
        covariance of the last node, come from other samples of the last node: the size by dual averaging to the mean
        `acceptance`. Returns x, the acceptance rate and the largest size. Memory does not grow with `steps`.
        InputError without blackjax (`pip install 'genwgp[mcmc]'`) or for x that are not finite.
        Sources: Neal, Handbook of Markov Chain Monte Carlo (2011), chapter 5; Hoffman and Gelman, J. Mach. Learn. Res.
        15 (2014) 1593, section 3.2.
        """
        self._gibbs()
        points = jnp.asarray(finite_array("x", x, (None, self.dim)), dtype=float)
        drawn, run = jax.random.split(key)
        others = lambda n: self._finite(self.sample(drawn, n))
        return polished(self.energy, others, run, points, steps, leaps, acceptance)

    def _weighted(self, key: PRNGKeyArray, n: int) -> tuple[Float[Array, "m d"], Float[np.ndarray, " m"]]:
        """Samples of the last node with their log-weights; without those that were lost on the way."""
        self._gibbs()
        x, log_density = self.sample_and_log_prob(key, n)
        arrived = np.isfinite(np.asarray(x)).all(axis=1)
        x, log_density = x[arrived], log_density[arrived]
        return x, np.asarray(self.log_weights(x, log_density), dtype=np.float64)

    def _finite(self, x: Float[Array, "n d"]) -> Float[Array, "m d"]:
        return x[np.isfinite(np.asarray(x)).all(axis=1)]

    def _gibbs(self) -> None:
        if not self.normalisable:
            allowed = "an entropy with a potential or an interaction that confines: then it is exp(-(V + W * rho)/D)/Z"
            raise InputError("equilibrium", "an energy without such an equilibrium", allowed)


@eqx.filter_jit
def _at_points(f: Callable, x: Float[Array, "n d"]) -> Array:
    return jax.vmap(f)(x)


@eqx.filter_jit
def _mean_interaction(energy: FreeEnergy, x: Float[Array, "n d"]) -> Float[Array, ""]:
    """1/2 int (W * rho) rho, by the mean over particles in the mean field of others."""
    alone = FreeEnergy(interaction=energy.interaction).seeing(energy.cloud)
    return alone.value(x, jnp.zeros_like(x, shape=x.shape[:1]))
