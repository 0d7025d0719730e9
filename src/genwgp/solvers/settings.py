"""Settings of the causal sweep."""

from dataclasses import dataclass

from genwgp.checks import integer, positive_number
from genwgp.errors import InputError

ENOUGH_FOR = 4  # equations for each coefficient, whatever memory that takes
LEAST = 1024  # particles: fewer than features, or hardly more, would be fitted instead of the flow


@dataclass(frozen=True)
class CausalSweep:
    """Settings of the sweep; the defaults are for every problem. InputError for numbers out of range.

    pool, train, test: particles that may be trained on, that each segment is trained on, that measure. cloud: those
    that stand for the density in an interaction.
    equations: in up to three dimensions no more particles are trained on than make so many for each coefficient.
    tolerance: residual over speed between the collocation points that a step aims at.
    gap: the sweep ends when F - F* is below this many units of D (KL divergence to the equilibrium, in nats).
    left: without an entropy, and with an interaction besides, it ends when so much of the drop of F is left, judged by
    the decay of ||grad mu||.
    segments: at most so many.
    """

    pool: int = 12288
    train: int = 3072
    test: int = 8192
    cloud: int = 4096
    equations: int = 12
    tolerance: float = 0.02
    gap: float = 2e-5
    left: float = 1e-6
    segments: int = 300

    def __post_init__(self):
        for name in ("pool", "train", "test", "cloud"):
            integer(f"CausalSweep.{name}", getattr(self, name), least=LEAST)
        integer("CausalSweep.equations", self.equations, least=ENOUGH_FOR)
        integer("CausalSweep.segments", self.segments)
        for name in ("tolerance", "gap", "left"):
            positive_number(f"CausalSweep.{name}", getattr(self, name))
        if self.train > self.pool:
            raise InputError("CausalSweep.train", self.train, f"at most pool, {self.pool}")
