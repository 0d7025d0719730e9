"""Bayesian logistic regression on data that everyone has."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import minimize
from scipy.special import expit

from genwgp.checks import installed, one_of, positive_number
from genwgp.energies import Entropy, FreeEnergy
from genwgp.initial import Gaussian
from genwgp.problem import Problem

SOURCE = "Gelman et al., Bayesian Data Analysis, 3rd ed. (2013), chapter 16; the data of scikit-learn 1.9"
DATA = ("breast-cancer", "digits")


class LogisticPosterior(eqx.Module):
    """V = D (sum_i softplus(-s_i a_i . x) + |x|^2 / 2 w^2 + d log(2 pi w^2) / 2) = -D log p(s, x).

    `rows`: s_i a_i, predictors with a one before them, times the class s_i = -1 or 1. `width`: w, of the prior.
    """

    rows: Float[np.ndarray, "n d"]
    width: float
    D: float

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        margin = jnp.asarray(self.rows, x.dtype) @ x
        prior = 0.5 * (x / self.width) @ (x / self.width) + 0.5 * len(x) * math.log(2 * math.pi * self.width**2)
        return self.D * (jax.nn.softplus(-margin).sum() + prior)


def logistic_regression(data: str = "breast-cancer", prior_scale: float = 1.0, diffusion: float = 1.0) -> Problem:
    """Logistic regression in 31-D: posterior of the coefficients, V = -D log p(y, x), from Laplace's approximation.

    Standardised predictors and an intercept, prior N(0, prior_scale^2 I). `data`: "breast-cancer", or "digits", the
    images of a 3 against those of an 8, without pixels that never change. The start is the Gaussian around the mode
    whose covariance is the inverse of the Hessian there. Needs scikit-learn (`pip install 'genwgp[data]'`).
    """
    name = "logistic-regression"
    rows = rows_of(f"{name}.data", one_of(f"{name}.data", data, DATA))
    D, width = positive_number(f"{name}.diffusion", diffusion), positive_number(f"{name}.prior_scale", prior_scale)
    return Problem(FreeEnergy(LogisticPosterior(rows, width, D), Entropy(D)), Gaussian(*laplace(rows, width)), name)


def laplace(rows: Float[np.ndarray, "n d"], width: float) -> tuple[np.ndarray, np.ndarray]:
    """The mode of the posterior, and the inverse of -Hess log p there: numpy, so that nothing is compiled for them."""
    value = lambda x: np.logaddexp(0, -rows @ x).sum() + 0.5 * x @ x / width**2
    slope = lambda x: -rows.T @ expit(-rows @ x) + x / width**2
    curvature = lambda x: (rows.T * (expit(rows @ x) * expit(-rows @ x))) @ rows + np.eye(len(x)) / width**2
    found = minimize(value, np.zeros(rows.shape[1]), jac=slope, hess=curvature, method="trust-exact", tol=1e-10)
    return found.x, np.linalg.inv(curvature(found.x))


def rows_of(field: str, data: str) -> Float[np.ndarray, "n d"]:
    """s_i a_i of the data set."""
    with installed(field, "scikit-learn", "data"):
        from sklearn import datasets
    found: Any = datasets.load_breast_cancer() if data == "breast-cancer" else datasets.load_digits()
    a, label = found.data, found.target
    if data == "digits":
        chosen = (label == 3) | (label == 8)
        a, label = a[chosen], label[chosen] == 3
        a = a[:, a.std(0) > 0]
    standard = (a - a.mean(0)) / a.std(0)
    return np.where(label, 1.0, -1.0)[:, None] * np.hstack([np.ones((len(a), 1)), standard])
