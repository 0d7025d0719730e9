"""Paths of energies with an interaction, of other internal energies, and of none, against exact paths."""

from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
import pytest

import genwgp as gw
from genwgp.energies import FreeEnergy, PorousMedium, QuadraticInteraction
from genwgp.references import Barenblatt, McKeanVlasov
from genwgp.solvers.figures import Figures
from genwgp.solvers.run import Failure, Run

SMALL = gw.CausalSweep(pool=1024, train=1024, test=1024, cloud=1024)


def parabola(x):
    return 0.5 * x @ x


def moments(path, start, time):
    x = np.asarray(path.transport(start.quasi_sample(3, 8192), time=time))
    return x.mean(0), np.cov(x.T)


@pytest.mark.parametrize("kernel", [QuadraticInteraction(2.0), lambda z: z @ z], ids=["moments", "pairs"])
def test_mckean_vlasov(kernel):
    start = gw.Gaussian([1.5, -1.0], [[0.3, 0.1], [0.1, 0.2]])
    exact = McKeanVlasov(np.eye(2), np.zeros(2), 2 * np.eye(2), 1.0, start)
    problem = gw.Problem(FreeEnergy(parabola, gw.Entropy(1.0), kernel), start)
    path = gw.solve(problem, gw.FiniteHorizonAction(0.1), layers=2, method=SMALL).path
    for time in (0.05, 0.1):
        (mean, covariance), rho = moments(path, start, time), exact.density(time)
        np.testing.assert_allclose(mean, rho.mean, atol=2e-3)
        np.testing.assert_allclose(covariance, rho.covariance, atol=2e-3)
    drop = float(exact.free_energy(0) - exact.free_energy(0.1))
    assert path.free_energy[0] - path.free_energy[-1] == pytest.approx(drop, rel=3e-3)
    assert path.dissipation[-1] == pytest.approx(float(exact.dissipation(0.1)), rel=1e-2)


def test_porous_medium_into_a_compact_equilibrium():
    exact = Barenblatt(2, 2.0, 0.7, stiffness=1.0)
    problem = gw.Problem(FreeEnergy(parabola, PorousMedium(2.0)), exact.start, "porous", exact)
    solution = gw.solve(problem, layers=2, method=SMALL)
    path = solution.path
    assert solution.result == gw.Result.CONVERGED
    assert solution.diagnostics["left"] < 1e-4
    assert path.times[-1] == np.inf
    _, covariance = moments(path, exact.start, float("inf"))
    np.testing.assert_allclose(covariance, exact.density(np.inf).covariance, atol=3e-3)
    _, covariance = moments(path, exact.start, 0.1)
    np.testing.assert_allclose(covariance, exact.density(0.1).covariance, atol=1e-3)
    assert np.isnan(solution.diagnostics["gap"])  # there is no exp(-V/D)/Z


def test_pure_aggregation_needs_no_density():
    """No internal energy: moments along the path, which tends to two points, without a NaN anywhere."""
    problem = gw.problems.get("aggregation-quartic", dim=1, diffusion=0.0)
    path_of: Any = problem.reference
    solution = gw.solve(problem, gw.FiniteHorizonAction(0.4), layers=2, method=SMALL, throw=False)
    (mean, covariance), exact = moments(solution.path, problem.initial, 0.4), path_of.density(0.4)
    np.testing.assert_allclose(mean, exact.mean, atol=2e-3)
    np.testing.assert_allclose(covariance, exact.covariance, atol=2e-3)
    drop = float(path_of.free_energy(0) - path_of.free_energy(0.4))
    assert solution.path.free_energy[0] - solution.path.free_energy[-1] == pytest.approx(drop, rel=0.01)
    assert np.isfinite(solution.path.dissipation).all()
    assert np.isnan(solution.diagnostics["gap"])


def test_blow_up_is_seen():
    """Particles so dense that all would fit into the regularised core of an attraction; not before.

    Of the motion that makes them so dense nothing is computed: the end of a segment is as it is given.
    """
    attraction = gw.LogarithmicInteraction(strength=8.0, epsilon=0.1)
    problem = gw.Problem(FreeEnergy(None, gw.Entropy(1.0), attraction), gw.Gaussian([0.0, 0.0], 1.0))
    with jax.enable_x64(True):
        run = Run(problem, SMALL, 0, 1.0)
        end = Figures(0.1, 0.1, 0.1, 0.0, 1.0, 1.0, 0.0, 0.0, 1, 0, 0.0)
        run.figures, run.speeds, start = [end], [np.ones(4)], run.test.log_density
        # log rho at its peak is -log(2 pi), and 2 log s above it when lengths are divided by s; the core holds all mass
        # from 1 / epsilon^2 = 100 on: s = 25.1.
        for shrunk, seen in ((1.0, False), (24.0, False), (26.0, True)):
            run.test = run.test._replace(log_density=start + 2 * np.log(shrunk))
            with pytest.raises(Failure, match="blows up") if seen else nullcontext():
                assert run.ended() is None
