"""A density of a path: samples, log-density and score at one place of it, and the equilibrium with its weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.energies import FreeEnergy
from genwgp.initial import AbstractDensity
from genwgp.initial.base import Points
from genwgp.layers.base import AbstractLayer
from genwgp.path import chain

PROBES, PROBE_SEED = 4096, 9002  # particles that feel the mean field of an interaction
REDRAWN = 3  # times that samples which are carried to infinity are drawn again


@eqx.filter_jit
def mean_interaction(energy: FreeEnergy, x: Float[Array, "n d"]) -> Float[Array, ""]:
    """1/2 int (W * rho) rho, by the mean over particles in the mean field of others."""
    alone = FreeEnergy(interaction=energy.interaction).seeing(energy.cloud)
    return alone.value(x, jnp.zeros_like(x, shape=x.shape[:1]))


class PathDensity(AbstractDensity):
    """The start's density pushed forward to a position k + theta of the path.

    `time`: physical time (length^2 / energy), infinite at the equilibrium; `arclength`: Wasserstein length from the
    start. Costs of log_prob and score are O(K) layers.
    """

    layers: AbstractLayer
    initial: AbstractDensity
    position: Float[Array, ""]
    time: float = eqx.field(static=True)
    arclength: float = eqx.field(static=True)

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.initial.dim

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples: samples of the start, moved.

        Where the layers carry a sample of the start to infinity, beyond the tails that they were fitted to, another is
        drawn; NaN where that does not help either.
        """
        moved = self._moved(key, n)
        for again in range(REDRAWN):
            lost = np.flatnonzero(~np.isfinite(np.asarray(moved)).all(1))
            if not lost.size:
                break
            moved = moved.at[lost].set(self._moved(jax.random.fold_in(key, again), lost.size))
        return moved

    def _moved(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        x = jnp.asarray(self.initial.sample(key, n), dtype=float)
        return chain.push(self.layers, self.position, x)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log rho(x), normalised; x one point (d,) or a batch (n, d).

        It is the density of the path as it was found, everywhere: of what its layers make of the start. They were
        fitted to particles and go on smoothly beyond, so that far out, at densities below any particle's, it may
        differ much from the exact flow's. -inf, density 0, where the layers carry no particle: backwards the flow from
        x reaches infinity in finite time, or becomes too steep to follow. NaN only for x that is not finite.
        """
        return self._of_points(chain.log_density, x)

    def score(self, x: Points) -> Float[Array, "*n d"]:
        """grad log rho(x); NaN where log_prob is -inf, and at points as far out which only the way back reaches."""
        return self._of_points(chain.score, x)

    def _of_points(self, function, x: Points) -> Array:
        points = self._points(x)
        values = function(self.layers, self.initial, self.position, jnp.atleast_2d(points))
        return values[0] if points.ndim == 1 else values


class Equilibrium(PathDensity):
    """The last node as a sampler of exp(-V/D)/Z, with what importance weights say about it.

    With an interaction V + W * rho of the last node stands for V, here and below: where the density is stationary, it
    is the equilibrium of its own mean field. `energy`: in that mean field.
    log_normaliser: log Z = log mean exp(-V/D - log rho) over held-out particles; its standard error beside it.
    effective_sample_size: (sum w)^2 / sum w^2 over their number, 1 where the last node is the equilibrium.
    free_energy: F of the equilibrium, -D log Z without interaction. All NaN without an entropy, or where there is
    neither a potential nor an interaction.
    """

    energy: FreeEnergy
    log_normaliser: float = eqx.field(static=True)
    log_normaliser_error: float = eqx.field(static=True)
    effective_sample_size: float = eqx.field(static=True)

    @property
    def free_energy(self) -> float:
        """F of the equilibrium: -D log Z, less half of the mean of W * rho, which V + W * rho counts twice."""
        total = -self.energy.diffusion * self.log_normaliser
        if self.energy.interaction is None:
            return total
        x = jnp.asarray(self.initial.quasi_sample(PROBE_SEED, PROBES), dtype=float)
        return total - float(mean_interaction(self.energy, chain.push(self.layers, self.position, x)))

    def weights(self, x: Points) -> Float[Array, " n"]:
        """Importance weights of samples x (n, d) for exp(-V/D)/Z; they sum to one."""
        points = self._points(x)
        log_weight = -self.energy.chemical_potential(points, self.log_prob(points)) / self.energy.diffusion
        return jax.nn.softmax(log_weight)
