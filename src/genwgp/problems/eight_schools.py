"""The eight schools: a hierarchical model whose scale decides how far its other parameters may go, a funnel."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from genwgp.checks import positive_number, truth
from genwgp.energies import RelativeEntropy
from genwgp.initial import Gaussian
from genwgp.initial.base import AbstractDensity, Points, compiled
from genwgp.problem import Problem
from genwgp.references import GridDensity, KnownDensity
from genwgp.references.mesh import Mesh

SOURCE = "Rubin, J. Educ. Stat. 6 (1981) 377-401; Gelman et al., Bayesian Data Analysis, 3rd ed. (2013), section 5.5"
UNIT = 5.0  # points: the scales of the priors of mu and tau
EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]) / UNIT
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]) / UNIT
RANGE, CELLS = (-36.0, 8.0), 4096  # of log(tau / UNIT): the posterior falls as tau below it, as tau^-8 above


class EightSchools(eqx.Module):
    """log p(y, x), x = (mu, log tau, z_1, ..., z_8), of the model below, all in units of five points but y.

    y_j ~ N(theta_j, sigma_j^2), theta_j ~ N(mu, tau^2), mu ~ N(0, 5^2), tau ~ half-Cauchy(5). z_j is theta_j if
    `centred`, else (theta_j - mu) / tau.
    """

    centred: bool

    def __call__(self, x: Float[Array, " 10"]) -> Float[Array, ""]:
        mu, log_tau, z = x[0], x[1], x[2:]
        tau = jnp.exp(log_tau)
        theta = z if self.centred else mu + tau * z
        schools = norm.logpdf(z, mu, tau) if self.centred else norm.logpdf(z)
        effect, error = (jnp.asarray(a, x.dtype) for a in (EFFECT, ERROR))
        data = norm.logpdf(effect, theta, error) - math.log(UNIT)
        return norm.logpdf(mu) + log_half_cauchy(log_tau) + jnp.sum(schools + data)


class SchoolsPosterior(AbstractDensity):
    """p(x | y): log tau on a grid, and Gaussians given what is before them: mu, then every z_j."""

    dim: int = eqx.field(static=True)
    joint: EightSchools
    log_evidence: float
    log_tau: GridDensity

    def __init__(self, centred: bool):
        self.dim, self.joint = 2 + len(EFFECT), EightSchools(centred)
        mesh = Mesh(np.array([RANGE]), (CELLS,))
        log_joint = np.asarray(log_marginal(mesh.axes[0]), dtype=np.float64)
        self.log_evidence = float(np.logaddexp.reduce(log_joint) + math.log(mesh.volume))
        self.log_tau = GridDensity(mesh, log_joint - self.log_evidence)

    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        keys = jax.random.split(key, 3)
        log_tau = self.log_tau.sample(keys[0], n)
        centre, precision = common_effect(log_tau)
        mu = centre[:, None] + jax.random.normal(keys[1], (n, 1)) / jnp.sqrt(precision[:, None])
        # Of (theta - mu) / tau, whose prior is N(0, 1): nothing overflows where tau is small.
        tau = jnp.exp(log_tau)
        precision = 1 + (tau / ERROR) ** 2
        z = tau * (EFFECT - mu) / ERROR**2 / precision
        z += jax.random.normal(keys[2], (n, len(EFFECT))) / jnp.sqrt(precision)
        return jnp.concatenate([mu, log_tau, mu + tau * z if self.joint.centred else z], axis=1)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log p(y, x) - log p(y)."""
        return compiled(self._log_prob, self._points(x))

    def _log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return self.joint(x) - self.log_evidence


def log_half_cauchy(log_tau: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """log of the density of log tau, where tau has a half-Cauchy density of scale one: 2 tau / pi / (1 + tau^2)."""
    return math.log(2 / math.pi) + log_tau - jax.nn.softplus(2 * log_tau)


def common_effect(log_tau: Float[Array, "*n 1"]) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """Mean and precision of mu given tau and y."""
    weight = 1 / (ERROR**2 + jnp.exp(2 * log_tau))
    precision = 1 + weight.sum(-1)
    return (weight * EFFECT).sum(-1) / precision, precision


def log_marginal(log_tau: Float[np.ndarray, " n"]) -> Float[Array, " n"]:
    """log p(y, log tau): given both mu and tau, y_j ~ N(mu, sigma_j^2 + tau^2), and mu is integrated out."""
    scale = jnp.asarray(log_tau)[:, None]
    mean, precision = common_effect(scale)
    spread = jnp.sqrt(ERROR**2 + jnp.exp(2 * scale))
    at_mean = norm.logpdf(mean) + (norm.logpdf(EFFECT, mean[:, None], spread) - math.log(UNIT)).sum(1)
    return at_mean + 0.5 * jnp.log(2 * jnp.pi / precision) + log_half_cauchy(scale[:, 0])


def eight_schools(centred: bool = False, diffusion: float = 1.0) -> Problem:
    """Eight schools in 10-D: posterior of (mu, log tau, z), V = -D log p(y, x), from N(0, I); `centred`: a funnel.

    mu ~ N(0, 5^2), tau ~ half-Cauchy(5), theta_j ~ N(mu, tau^2), y_j ~ N(theta_j, sigma_j^2); x is in units of five
    points, in which N(0, I) is the prior of mu and z. z_j is (theta_j - mu) / tau, or theta_j itself if `centred`.
    """
    name = "eight-schools"
    D = positive_number(f"{name}.diffusion", diffusion)
    end = SchoolsPosterior(truth(f"{name}.centred", centred))
    energy = RelativeEntropy(end.joint, D)
    return Problem(energy, Gaussian(np.zeros(end.dim), 1.0), name, KnownDensity(end, end.log_evidence, D))
