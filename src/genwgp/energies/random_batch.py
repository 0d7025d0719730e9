"""An interaction with a random batch of the other particles instead of all: O(n size) for any number n of them."""

import jax
from jaxtyping import PRNGKeyArray

from genwgp.checks import integer
from genwgp.energies.interaction import AbstractInteraction
from genwgp.errors import InputError


class RandomBatch(AbstractInteraction):
    """W * rho as the mean over a random `size` of the particles of rho, drawn by `key`: an unbiased estimate.

    Its error is that of `size` particles, and the work for n of them O(n size) instead of O(n^2). The same particles
    are drawn each time, so that along a path the force stays smooth; the Langevin reference draws others in each step,
    so that errors average out. Fewer particles than `size` are all taken. Source: S. Jin, L. Li, J.-G. Liu, Random
    batch methods for interacting particle systems, J. Comput. Phys. 400 (2020) 108877.
    InputError unless `interaction` is one and size a whole number above 0.
    """

    interaction: AbstractInteraction
    size: int
    key: PRNGKeyArray

    def __init__(self, interaction: AbstractInteraction, size: int, key: PRNGKeyArray | None = None):
        if not isinstance(interaction, AbstractInteraction):
            raise InputError("RandomBatch.interaction", interaction, "an interaction, such as genwgp.Interaction(W)")
        self.interaction, self.size = interaction, integer("RandomBatch.size", size)
        self.key = jax.random.key(0) if key is None else key

    def __call__(self, z):
        return self.interaction(z)

    def see(self, y):
        return self.interaction.see(y if len(y) <= self.size else self._drawn(y))

    def _drawn(self, y):
        return jax.random.choice(self.key, y, (self.size,), replace=False)

    def potential(self, cloud, x):
        return self.interaction.potential(cloud, x)

    @property
    def core(self) -> float:
        return self.interaction.core
