"""How far apart two densities are, from samples, log-densities or moments, and how far sampling alone takes them."""

from genwgp.diagnostics.distances.divergences import Estimate as Estimate
from genwgp.diagnostics.distances.divergences import GridDistances as GridDistances
from genwgp.diagnostics.distances.divergences import grid_distances as grid_distances
from genwgp.diagnostics.distances.divergences import kl_divergence as kl_divergence
from genwgp.diagnostics.distances.divergences import symmetric_kl as symmetric_kl
from genwgp.diagnostics.distances.floor import between_draws as between_draws
from genwgp.diagnostics.distances.floor import noise_floor as noise_floor
from genwgp.diagnostics.distances.kernel import median_bandwidth as median_bandwidth
from genwgp.diagnostics.distances.kernel import mmd2 as mmd2
from genwgp.diagnostics.distances.moments import gaussian_wasserstein as gaussian_wasserstein
from genwgp.diagnostics.distances.moments import relative_covariance_error as relative_covariance_error
from genwgp.diagnostics.distances.moments import relative_mean_error as relative_mean_error
from genwgp.diagnostics.distances.transport import sliced_wasserstein as sliced_wasserstein
from genwgp.diagnostics.distances.transport import wasserstein as wasserstein
from genwgp.diagnostics.distances.transport import wasserstein_1d as wasserstein_1d

__all__ = [
    "Estimate",
    "GridDistances",
    "between_draws",
    "gaussian_wasserstein",
    "grid_distances",
    "kl_divergence",
    "median_bandwidth",
    "mmd2",
    "noise_floor",
    "relative_covariance_error",
    "relative_mean_error",
    "sliced_wasserstein",
    "symmetric_kl",
    "wasserstein",
    "wasserstein_1d",
]
