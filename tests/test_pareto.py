"""The Pareto-k diagnostic: tails of known index, the fit of ArviZ, and what has no tail."""

import numpy as np
import pytest
from scipy import stats

from genwgp.diagnostics import pareto_k
from genwgp.errors import InputError
from quiet_arviz import arviz

TAILS = {
    "Student, nu = 1.5": (stats.t(1.5), 1 / 1.5),
    "Student, nu = 3": (stats.t(3), 1 / 3),
    "Cauchy": (stats.t(1), 1.0),
    "Pareto, a = 0.7": (stats.pareto(0.7), 1 / 0.7),
    "exponential": (stats.expon(), 0.0),
    "uniform": (stats.uniform(), -1.0),
}


def log_weights(name: str, n: int, seed: int = 0) -> np.ndarray:
    law: stats.rv_continuous = TAILS[name][0]  # pyright: ignore[reportAssignmentType]
    return np.log(np.abs(law.rvs(size=n, random_state=np.random.default_rng(seed))))


@pytest.mark.parametrize("name", TAILS)
def test_the_tail_index_of_known_laws(name):
    """300 largest of 10,000, or 3000 of a million: the shape is right to its noise, (1 + k) / sqrt(M)."""
    k = TAILS[name][1]
    assert pareto_k(log_weights(name, 10_000)) == pytest.approx(k, abs=4 * (1 + abs(k)) / np.sqrt(300))
    assert pareto_k(log_weights(name, 10**6)) == pytest.approx(k, abs=4 * (1 + abs(k)) / np.sqrt(3000))


@pytest.mark.parametrize("n", [21, 100, 1000, 8192])
@pytest.mark.parametrize("name", TAILS)
def test_it_is_that_of_arviz(name, n):
    for seed in range(5):
        log_w = log_weights(name, n, seed)
        assert pareto_k(log_w) == pytest.approx(float(arviz.psislw(log_w)[1]), rel=1e-9, abs=1e-9)


def test_it_does_not_depend_on_the_scale_or_the_order():
    log_w = log_weights("Cauchy", 2000)
    k = pareto_k(log_w)
    assert pareto_k(log_w[::-1] + 900.0) == pytest.approx(k, rel=1e-9)
    assert pareto_k(0.5 * log_w) == pytest.approx(k / 2, abs=0.06)


def test_weights_without_a_tail():
    rounding = 1e-15 * np.random.default_rng(0).normal(size=1000)
    assert pareto_k(rounding) == pareto_k(np.zeros(100)) == -np.inf
    assert pareto_k(np.array([0.0] + 999 * [-1e4])) == np.inf  # one sample has it all
    assert pareto_k(np.array([0.0] + 999 * [-np.inf])) == np.inf
    assert pareto_k(np.arange(20.0)) == np.inf  # too few
    assert pareto_k(np.array([0.0, np.inf])) == np.inf
    assert np.isnan(pareto_k(np.array([0.0, np.nan, 1.0])))
    assert np.isfinite(pareto_k(np.where(np.arange(2000) < 1000, -np.inf, log_weights("Cauchy", 2000))))


@pytest.mark.parametrize("given", [np.zeros((2, 3)), np.zeros(0), np.zeros(())])
def test_what_is_no_batch_of_weights(given):
    with pytest.raises(InputError, match=r"^log_weights: got shape"):
        pareto_k(given)
