"""The eight schools: a hierarchical model whose scale decides how far its other parameters may go, a funnel."""

import math
from typing import Any

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
        log_joint = log_marginal(mesh.axes[0])
        self.log_evidence = float(np.logaddexp.reduce(log_joint) + math.log(mesh.volume))
        self.log_tau = GridDensity(mesh, log_joint - self.log_evidence)

    @eqx.filter_jit
    def sample(self, key: PRNGKeyArray, n: int) -> Float[Array, "n d"]:
        """`n` independent samples."""
        keys = jax.random.split(key, 3)
        log_tau = self.log_tau.sample(keys[0], n)
        tau = jnp.exp(log_tau)
        centre, precision = common_effect(tau)
        mu = centre[:, None] + jax.random.normal(keys[1], (n, 1)) / jnp.sqrt(precision[:, None])
        # Of (theta - mu) / tau, whose prior is N(0, 1): nothing overflows where tau is small.
        precision = 1 + (tau / ERROR) ** 2
        z = tau * (EFFECT - mu) / ERROR**2 / precision
        z += jax.random.normal(keys[2], (n, len(EFFECT))) / jnp.sqrt(precision)
        return jnp.concatenate([mu, log_tau, mu + tau * z if self.joint.centred else z], axis=1)

    def log_prob(self, x: Points) -> Float[Array, "*n"]:
        """log p(y, x) - log p(y)."""
        return compiled(self._log_prob, self._points(x))

    def _log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        return self.joint(x) - self.log_evidence


def log_half_cauchy(log_tau: Float[Array, ""]) -> Float[Array, ""]:
    """log of the density of log tau, where tau has a half-Cauchy density of scale one: 2 tau / pi / (1 + tau^2)."""
    return math.log(2 / math.pi) + log_tau - jax.nn.softplus(2 * log_tau)


def common_effect(tau: Float[Array | np.ndarray, "n 1"]) -> tuple[Any, Any]:
    """Mean and precision of mu given tau and y, (n,) each."""
    weight = 1 / (ERROR**2 + tau**2)
    precision = 1 + weight.sum(-1)
    return (weight * EFFECT).sum(-1) / precision, precision


def log_marginal(log_tau: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """log p(y, log tau): given both mu and tau, y_j ~ N(mu, sigma_j^2 + tau^2), and mu is integrated out.

    On the host, where there is nothing to compile: log p(y, mu, log tau) at the mean of mu, less its log-density there.
    """
    tau = np.exp(log_tau)[:, None]
    mu, precision = common_effect(tau)
    variance = ERROR**2 + tau**2
    data = (EFFECT - mu[:, None]) ** 2 / variance + np.log(2 * np.pi * variance * UNIT**2)
    prior = math.log(2 / math.pi) + log_tau - np.logaddexp(0, 2 * log_tau)
    return prior - 0.5 * (data.sum(1) + mu**2 + np.log(precision))


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
