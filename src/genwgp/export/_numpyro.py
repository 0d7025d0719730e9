"""The adapter to numpyro, which is imported here."""

from math import prod

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray
from numpyro.distributions import Distribution, constraints
from numpyro.distributions.util import validate_sample

from genwgp.export.distributions import log_prob_with_score
from genwgp.initial import AbstractDensity


class NumpyroDensity(Distribution):
    """A density of genwgp: its arrays are the leaves of the pytree that numpyro makes of it, the rest is static."""

    support = constraints.real_vector  # pyright: ignore[reportAssignmentType]
    pytree_data_fields = ("arrays",)
    pytree_aux_fields = ("static",)

    def __init__(self, density: AbstractDensity, *, validate_args: bool | None = None):
        self.arrays, self.static = eqx.partition(density, eqx.is_array)
        super().__init__(batch_shape=(), event_shape=(density.dim,), validate_args=validate_args)

    @property
    def density(self) -> AbstractDensity:
        return eqx.combine(self.arrays, self.static)

    def sample(self, key: PRNGKeyArray | None, sample_shape: tuple[int, ...] = ()) -> Array:
        assert key is not None
        return self.density.sample(key, prod(sample_shape)).reshape(*sample_shape, -1)

    @validate_sample
    def log_prob(self, value: Array) -> Array:
        density = self.density
        flat = value.reshape(-1, value.shape[-1])
        return jax.vmap(lambda x: log_prob_with_score(x, density))(flat).reshape(value.shape[:-1])
