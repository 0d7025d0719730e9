"""The adapter to flowjax, which is imported here."""

from typing import ClassVar

import equinox as eqx
from flowjax.distributions import AbstractDistribution
from jaxtyping import Array, PRNGKeyArray

from genwgp.export.distributions import log_prob_with_score
from genwgp.initial import AbstractDensity


class FlowjaxDensity(AbstractDistribution):
    """A density of genwgp; flowjax maps the two methods below over batches."""

    density: AbstractDensity
    shape: tuple[int, ...] = eqx.field(static=True)
    cond_shape: ClassVar[None] = None

    def __init__(self, density: AbstractDensity):
        self.density, self.shape = density, (density.dim,)

    def _log_prob(self, x: Array, condition: Array | None = None) -> Array:
        return log_prob_with_score(x, self.density)

    def _sample(self, key: PRNGKeyArray, condition: Array | None = None) -> Array:
        return self.density.sample(key, 1)[0]
