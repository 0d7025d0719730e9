"""Means under Gamma distributions, for functions that may be singular at zero or vary over many scales."""

import math

import numpy as np

REACH, SIZE = 4.8, 241  # of the variable in which the rule is a trapezoid rule: weights fall doubly exponentially


def gamma_rule(shape: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes y (n,) and weights (n,), which sum to one: means of f(y), y ~ Gamma(shape), density y^(shape-1) e^-y.

    The trapezoid rule in u with y = exp(u - exp(-u)): H. Takahasi, M. Mori, Publ. RIMS 9 (1974) 721-741.
    """
    u = np.linspace(-REACH, REACH, SIZE)
    log_y = u - np.exp(-u)
    y = np.exp(log_y)
    weight = np.exp(shape * log_y - y - math.lgamma(shape)) * (1 + np.exp(-u))
    return y, weight / weight.sum()
