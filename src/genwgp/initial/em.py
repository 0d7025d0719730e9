"""Mixtures of Gaussians by expectation maximisation, their number of components chosen by samples not fitted to."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from genwgp.checks import installed

CANDIDATES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # components
PER_COMPONENT = 5  # samples for each component and each of d + 1, at least, for a candidate to be tried
CARRIED = 2  # samples for each of d + 1 whose weight a component carries, at least: fewer are outliers
WORSE = 2  # candidates in a row that are no better than one before: the end of the search
STARTS, SEED = 2, 0
NARROWEST = 1e-3**2  # added to all variances, of samples of variance one: what keeps components from being points
CHANGE, ITERATIONS = 1e-4, 100  # of the mean log-likelihood, at which EM ends, and at most
LAST_CHANGE = 1e-5  # the same where the chosen one is fitted to all samples


class Choice(NamedTuple):
    """A fitted mixture, and the log-likelihoods (m,) of the held-out samples under it and under one Gaussian."""

    mixture: Any  # sklearn.mixture.GaussianMixture: weights_ (k,), means_ (k, d), covariances_ (k, d, d)
    log_likelihood: np.ndarray
    single_gaussian: np.ndarray


def choose(train: Float[np.ndarray, "n d"], held_out: Float[np.ndarray, "m d"]) -> Choice:
    """The mixture fitted to `train` that the held-out samples favour; both have variances about one.

    Among 1, 2, 3, 4, 6, 8, 12, ... components, the fewest whose mean log-likelihood of the held-out samples is within
    one standard error of the best one's (the error is that of the mean difference, sample by sample), and not below
    that of one Gaussian. The search ends after two candidates that are no better than one before, and with 5 (d + 1)
    samples for each component. InputError without scikit-learn.
    Sources: Dempster, Laird and Rubin, J. R. Stat. Soc. B 39 (1977) 1; the rule of one standard error: Breiman,
    Friedman, Olshen and Stone, Classification and Regression Trees (1984), section 3.4.3.
    """
    kind = _library()
    most = max(1, len(train) // (PER_COMPONENT * (train.shape[1] + 1)))
    tried: list[tuple[Any, np.ndarray]] = []
    best, since = -np.inf, 0
    for k in (k for k in CANDIDATES if k <= most):
        start = kind(k, n_init=STARTS, random_state=SEED, tol=CHANGE, max_iter=ITERATIONS, reg_covar=NARROWEST)
        mixture = _without_outliers(_fit(start, train), train, CHANGE)
        values = mixture.score_samples(held_out)
        tried.append((mixture, values))
        since = 0 if values.mean() > best else since + 1
        best = max(best, values.mean())
        if since == WORSE:
            break
    single, top = tried[0][1], max((values for _, values in tried), key=np.mean)
    mixture, values = next(pair for pair in tried if pair[1].mean() >= single.mean() and _as_good(pair[1], top))
    return Choice(mixture, values, single)


def refine(mixture: Any, x: Float[np.ndarray, "n d"]) -> Any:
    """The mixture, its EM continued on the samples x."""
    everything = np.ones(len(mixture.weights_), dtype=bool)
    return _without_outliers(_continued(mixture, x, everything, LAST_CHANGE), x, LAST_CHANGE)


def _as_good(values: np.ndarray, top: np.ndarray) -> bool:
    difference = top - values
    return difference.mean() <= difference.std(ddof=1) / np.sqrt(len(difference))


def _without_outliers(mixture: Any, x: np.ndarray, change: float) -> Any:
    """The mixture without components of a few samples each, which the others take over as EM goes on.

    Such a component is a spike, as narrow as it may be, around a sample or two far from the others.
    """
    while not np.all(kept := mixture.weights_ * len(x) >= CARRIED * (x.shape[1] + 1)):
        mixture = _continued(mixture, x, kept, change)
    return mixture


def _continued(mixture: Any, x: np.ndarray, kept: np.ndarray, change: float) -> Any:
    """EM on the samples x, from the components `kept` of a mixture on."""
    start = _library()(
        int(kept.sum()),
        weights_init=mixture.weights_[kept] / mixture.weights_[kept].sum(),
        means_init=mixture.means_[kept],
        precisions_init=mixture.precisions_[kept],
        random_state=SEED,
        tol=change,
        max_iter=ITERATIONS,
        reg_covar=NARROWEST,
    )
    return _fit(start, x)


def _fit(mixture: Any, x: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # scikit-learn itself needs it

    # One thread: sums in one order, so that the same samples always give the same fit; and for matrices as small as
    # these, threads that wait for each other on a busy machine take a hundred times longer.
    with warnings.catch_warnings(), threadpool_limits(1):
        # A fit that could still be improved is no mistake: the held-out samples judge it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(x)


def _library() -> Any:
    """The class of scikit-learn; it takes a second to import, and only this needs it."""
    with installed("from_samples", "scikit-learn", "data"):
        from sklearn.mixture import GaussianMixture

        return GaussianMixture
