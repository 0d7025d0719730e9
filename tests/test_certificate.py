"""The a-posteriori bound: never below the true error, and what it is made of."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from exact_path import exact_problem
from genwgp.cli.compare import _bound, _certified
from genwgp.diagnostics.certificate import _grown, _least_convexity, certificate
from genwgp.diagnostics.distances import gaussian_wasserstein
from genwgp.errors import InputError

SMALL = gw.CausalSweep(pool=1024, train=1024, test=1024)


@pytest.fixture(scope="module")
def solution() -> Any:
    """Every layer is an affine map, so that the path stays Gaussian whatever its velocity is off by."""
    return gw.solve(exact_problem(), gw.FiniteHorizonAction(2.0), layers=4, method=SMALL)


def scaled(path, factor):
    """The path with all velocities times a factor, on the same clock."""
    where = lambda path: (path.layers.start, path.layers.stop)
    return eqx.tree_at(where, path, replace_fn=lambda c: factor * c)


def gaussian_at(path, node):
    """Mean and covariance at a node, from where an affine map takes the corners of a simplex."""
    corners = jnp.concatenate([jnp.zeros((1, path.dim)), jnp.eye(path.dim)])
    image = np.asarray(path.transport(corners, node=node))
    A, b = (image[1:] - image[0]).T, image[0]
    start = path.initial
    return A @ np.asarray(start.mean) + b, A @ np.asarray(start.covariance) @ A.T


def errors(path, problem):
    """Exact W2 to the true flow at the nodes."""
    found = []
    for node, t in enumerate(path.layers.duration.sum(-1).cumsum()):
        true = problem.reference.density(float(t))
        mean, covariance = gaussian_at(path, node + 1)
        found.append(float(gaussian_wasserstein(mean, covariance, true.mean, true.covariance)))
    return np.array([0.0, *found])


@pytest.mark.parametrize("factor", [1.0, 0.9, 1.2])
def test_the_true_error_is_below_the_bound(solution, factor):
    path = scaled(solution.path, factor)
    found, true = certificate(path, 0.6), errors(path, solution.problem)
    assert found.times[0] == 0
    np.testing.assert_allclose(np.diff(found.times), path.layers.duration.sum(-1))
    assert np.all(true <= found.bound + 1e-7)
    assert not found.estimated
    if factor != 1:
        assert true[-1] > 0.02
        assert np.all(found.bound[1:] < 10 * true[1:])
        slope = np.sqrt(path.dissipation)  # of the unscaled path, along which v = -grad mu nearly
        assert found.residual[0] == pytest.approx(abs(factor - 1) * slope[0], rel=0.02)
    else:
        assert found.bound[-1] < 0.01 * path.arclength[-1]


def test_bounds_at_any_time(solution):
    nodes = certificate(solution.path, 0.6)
    np.testing.assert_array_equal(certificate(solution.path, 0.6, nodes.times).bound, nodes.bound)
    inside = 0.5 * (nodes.times[1:] + nodes.times[:-1])
    found = certificate(solution.path, 0.6, [*inside, np.inf])
    assert np.all(found.residual[:-1] > 0)
    # B' = e - L B with e <= the largest of the layer: between the nodes it neither jumps nor falls faster than it may.
    decay = np.exp(-0.6 * (inside - nodes.times[:-1]))
    assert np.all(found.bound[:-1] >= nodes.bound[:-1] * decay)
    after = np.exp(-0.6 * (nodes.times[1:] - inside))
    assert np.all(found.bound[:-1] * after <= nodes.bound[1:] * (1 + 1e-12))
    assert found.bound[-1] == found.distance_to_equilibrium
    for times in (2.1, -1.0, [[1.0]], "soon", np.nan):
        with pytest.raises(InputError, match=r"^times: .* from 0 to 2, the end of the clock"):
            certificate(solution.path, 0.6, times)


def test_convexity_is_estimated_from_the_hessian(solution):
    found = gw.certificate(solution.path)
    assert found.estimated
    assert found.convexity == pytest.approx(0.6)
    force2 = solution.path.dissipation[-1]
    assert found.distance_to_equilibrium == pytest.approx(np.sqrt(force2) / 0.6, rel=0.05)
    assert found.divergence_to_equilibrium == pytest.approx(force2 / 1.2, rel=0.05)
    end, true = solution.problem.reference.density(np.inf), gaussian_at(solution.path, 4)
    distance = float(gaussian_wasserstein(*true, end.mean, end.covariance))
    assert 0.3 * found.distance_to_equilibrium < distance < found.distance_to_equilibrium
    assert gw.certificate(solution.path, -0.5).distance_to_equilibrium == np.inf


@pytest.mark.parametrize("factor", [1.0, 0.9])
def test_a_log_sobolev_constant_bounds_what_convexity_cannot(solution, factor):
    path = scaled(solution.path, factor)
    without, found = certificate(path, -10.0), certificate(path, -10.0, log_sobolev=0.6)
    true = errors(path, solution.problem)
    assert without.distance_to_equilibrium == np.inf
    assert np.all(true <= found.bound)
    assert np.all(found.bound <= without.bound)
    # W2 to the equilibrium at most from both sides of it: e^(-0.6 t) of what it is at the start, and ||grad mu|| / 0.6.
    assert found.bound[-1] < 0.01 * without.bound[-1]
    assert found.bound[-1] < np.sqrt(path.dissipation[0]) / 0.6
    if factor == 1:
        assert found.divergence_to_equilibrium == pytest.approx(path.dissipation[-1] / 1.2, rel=0.05)


@pytest.mark.parametrize("constant", [-1.0, 0.0, np.nan, "large"])
def test_a_log_sobolev_constant_is_positive(solution, constant):
    with pytest.raises(InputError, match=r"^log_sobolev: "):
        certificate(solution.path, log_sobolev=constant)


def test_a_log_sobolev_constant_is_that_of_a_potential_with_an_entropy(solution):
    energy = gw.FreeEnergy(solution.problem.energy.potential, gw.PorousMedium(2.0))
    path = eqx.tree_at(lambda p: p.energy, solution.path, energy)
    with pytest.raises(InputError, match=r"^log_sobolev: .* entropy"):
        certificate(path, log_sobolev=0.5)


@pytest.mark.parametrize("L", [2.0, 1e-15, -1.5])
def test_a_constant_residual_adds_up_as_it_should(L):
    t = np.linspace(0.0, 3.0, 7)
    exact = 0.2 * t if abs(L) < 1e-9 else 0.2 * (1 - np.exp(-L * t)) / L
    np.testing.assert_allclose(_grown(t, np.full(7, 0.2), L), exact, rtol=1e-12)


def test_an_interaction_that_repels_takes_from_the_convexity(solution):
    for strength, expected in ((0.3, 0.6), (-0.2, 0.4)):
        energy = gw.FreeEnergy(solution.problem.energy.potential, gw.Entropy(1.0), gw.QuadraticInteraction(strength))
        path = eqx.tree_at(lambda p: p.energy, solution.path, energy)
        assert _least_convexity(path) == pytest.approx(expected)


def test_what_is_not_known_must_be_given(solution):
    path, V = solution.path, solution.problem.energy.potential
    custom = eqx.tree_at(lambda p: p.energy, path, gw.FreeEnergy(V, gw.CustomInternal(lambda rho: rho**2)))
    for convexity, refused in ((None, custom), (jnp.nan, path)):
        with pytest.raises(InputError, match=r"^convexity: ") as caught:
            certificate(refused, convexity)
        assert "\n" not in str(caught.value)
    assert np.isfinite(certificate(custom, 0.1).bound).all()


def test_paths_without_a_clock_of_their_own_are_refused(solution):
    path = eqx.tree_at(lambda p: p.layers, solution.path, jnp.zeros(3))
    with pytest.raises(InputError, match=r"^path: .* causal sweep"):
        certificate(path)


def test_what_compare_says_of_it(solution):
    assert _certified(eqx.tree_at(lambda p: p.layers, solution.path, jnp.zeros(3))) is None
    assert _bound(None) == ""
    found = _certified(solution.path)
    assert found is not None
    words = _bound(found)
    assert words.count("at t = ") == 2
    assert "at t = 2, from the residual, for L = 0.6" in words
    assert "nothing at t = 2" in _bound(certificate(solution.path, -50.0))
