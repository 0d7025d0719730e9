"""Starts from data: mixtures of Gaussians fitted to samples, which know how well they fit."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, Int

from genwgp.errors import InputError
from genwgp.initial import em
from genwgp.initial.data import FIELD, read_samples
from genwgp.initial.gaussian import Gaussian
from genwgp.initial.mixture import Mixture

HELD_OUT = 0.2  # of the different samples
MOST = 20_000  # samples on each side that the components are chosen with
CHECKED, DRAWS, FLOORS, DIRECTIONS = 4000, 8, 32, 64  # of the sliced distances
SEED = 0


class FitQuality(NamedTuple):
    """How well a density fits the samples that it was fitted to, by the part of them that was held out.

    All figures but `samples` and `components` are those of the fit to the others, before it went on with all.
    """

    samples: int
    held_out: int
    components: int
    log_likelihood: float  # mean of log rho over the held-out samples, nats
    standard_error: float  # of this mean
    single_gaussian: float  # the same mean under one Gaussian
    distance: float  # sliced W2 of samples of the fit to the held-out ones, in standard deviations; mean of 8 draws
    noise_floor: float  # the same between two sets of samples of the fit, as many: mean of 32 pairs
    noise_most: float  # ... and the largest of them

    @property
    def ratio(self) -> float:
        """Distance over noise floor: about 1 where the held-out samples could be samples of the fit."""
        return self.distance / self.noise_floor

    @property
    def tells_apart(self) -> bool:
        """Whether the held-out samples are farther from samples of the fit than any of 32 such sets are."""
        return self.distance > self.noise_most

    def __str__(self) -> str:
        """One line."""
        density = "one Gaussian" if self.components == 1 else f"{self.components} Gaussians"
        other = "" if self.components == 1 else f" (one Gaussian: {self.single_gaussian:.4g})"
        likelihood = (
            f"{self.log_likelihood:.4g} +- {self.standard_error:.1g} nats per sample on {self.held_out} held out{other}"
        )
        distance = f"sliced W2 {self.ratio:.2f} of its noise floor"
        return f"{density} fitted to {self.samples} samples: log-likelihood {likelihood}, {distance}"


class FittedGaussian(Gaussian):
    """A Gaussian that `from_samples` has fitted; `quality` says how well."""

    quality: FitQuality = eqx.field(static=True)

    def __init__(self, mean: Any, covariance: Any, quality: FitQuality):
        super().__init__(mean, covariance)
        self.quality = quality


class FittedMixture(Mixture):
    """A mixture that `from_samples` has fitted; `quality` says how well."""

    quality: FitQuality = eqx.field(static=True)

    def __init__(self, weights: Any, means: Any, covariances: Any, quality: FitQuality):
        super().__init__(weights, means, covariances)
        self.quality = quality


def from_samples(x: Any) -> FittedGaussian | FittedMixture:
    """A mixture of Gaussians with full covariances, or one Gaussian, fitted to samples.

    `x`: an array (n, d), or (n,) for d = 1, or the path of a file: `.csv` (one header line at most; columns called
    `log_density` and `weight`, which `genwgp sample` writes, are left out), `.npy`, or `.npz` with an array `x` or
    with one array only. The number of components is the smallest that a fifth of the samples, held out, does not
    tell from the best one (at most 20,000 of them, and as many of the others); the fit goes on with all samples from
    there. Samples that are the same, as those of a Markov chain, are on the same side. The same samples give the same
    fit. `.quality` is a `FitQuality`.

    No component is narrower than a thousandth of the standard deviation of the samples, in any direction.
    InputError for NaN and infinities, fewer than max(50, 10 (d + 1)) different samples, columns that are constant or
    linear combinations of others, files that are no such files, or if scikit-learn is not installed.
    """
    samples = read_samples(x)
    centre = samples.x.mean(axis=0)
    factor = np.linalg.cholesky(np.atleast_2d(np.cov(samples.x, rowvar=False)))
    # In coordinates of covariance one, whatever the units are: EM starts from distances, and its floor is a length.
    z = np.linalg.solve(factor, (samples.x - centre).T).T
    train, held_out = _split(z, samples.group)
    choice = em.choose(train, held_out)
    final = em.refine(choice.mixture, z)
    quality = _quality(choice, held_out, factor, len(z), len(final.weights_))
    means = centre + final.means_ @ factor.T
    covariances = factor @ final.covariances_ @ factor.T
    try:
        if len(means) == 1:
            return FittedGaussian(means[0], covariances[0], quality)
        return FittedMixture(final.weights_, means, covariances, quality)
    except InputError as error:
        sizes = ", ".join(f"{size:.2g}" for size in samples.x.std(axis=0))
        allowed = f"columns of similar sizes: change their units ({error.field} would not be positive definite)"
        raise InputError(FIELD, f"standard deviations {sizes}", allowed) from None


def _split(
    z: Float[np.ndarray, "n d"], group: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, "m d"]]:
    """Samples to fit to and samples held out, in random order; the same ones are on the same side."""
    different = int(group.max()) + 1
    place = np.random.default_rng(SEED).permutation(different)[group]
    order = np.argsort(place, kind="stable")
    end = np.searchsorted(place[order], round(HELD_OUT * different))
    return z[order[end:]][:MOST], z[order[:end]][:MOST]


def _quality(choice: em.Choice, held_out: np.ndarray, factor: np.ndarray, samples: int, components: int) -> FitQuality:
    volume = float(np.sum(np.log(np.diagonal(factor))))  # log rho(x) = log rho(z) - log det L
    values = choice.log_likelihood - volume
    distance, floor = _distances(choice.mixture, held_out[:CHECKED])
    return FitQuality(
        samples=samples,
        held_out=len(held_out),
        components=components,
        log_likelihood=float(values.mean()),
        standard_error=float(values.std(ddof=1) / np.sqrt(len(values))),
        single_gaussian=float((choice.single_gaussian - volume).mean()),
        distance=distance,
        noise_floor=float(floor.mean()),
        noise_most=float(floor.max()),
    )


def _distances(mixture: Any, held_out: Float[np.ndarray, "m d"]) -> tuple[float, Float[np.ndarray, " pairs"]]:
    """Mean sliced W2 of samples of a mixture to the held-out ones, as many, and all between two sets of them."""
    from genwgp.diagnostics import distances  # which imports densities

    density = Mixture(mixture.weights_ / mixture.weights_.sum(), mixture.means_, mixture.covariances_)
    directions = DIRECTIONS if density.dim > 1 else 1
    sliced = lambda a, b: distances.sliced_wasserstein(a, b, directions)
    own, other = jax.random.split(jax.random.key(SEED))
    floor = distances.noise_floor(sliced, density, len(held_out), own, FLOORS)
    keys = jax.random.split(other, DRAWS)
    found = [sliced(density.sample(key, len(held_out)), held_out) for key in keys]
    return float(np.mean(found)), floor
