"""The rest of a flow by the modes of its generator: splines, modes, the hand-over, layers of both kinds."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.energies import GaussianInteraction, PorousMedium
from genwgp.layers.base import State
from genwgp.layers.fields import AbstractTerm
from genwgp.layers.relaxation import LogRatio, Splines, Switched, relaxed
from genwgp.layers.velocity import VelocityLayer
from genwgp.path.stored import from_stored, to_stored
from genwgp.references import FiniteVolume
from genwgp.solvers import relaxation as modal
from genwgp.solvers import run as running
from genwgp.solvers.assembly import Way, assemble
from genwgp.solvers.particles import Choice, initial_state
from genwgp.solvers.relaxation import Modes, basis, linear, modes_of, relaxation
from genwgp.solvers.segment import advance, grad_mu, velocity
from genwgp.solvers.settings import CausalSweep
from genwgp.solvers.sweep import sweep
from test_checkpoint import Memory

LEAST = CausalSweep(pool=1024, train=1024, test=1024)
RNG = np.random.default_rng(0)
SHIFTED = {1: np.array([[0.3]]), 2: np.array([[0.3, -0.2]])}


def grid(d):
    return Splines(jnp.full(d, -2.0), jnp.full(d, 0.25), (21,) * d)


def stiff(d):
    """V = sum_i a_i x_i^2 / 2: the modes are Hermite polynomials, of rates sum_i n_i a_i."""
    a = jnp.asarray([1.0, 1.7][:d])
    return gw.FreeEnergy(lambda x: 0.5 * jnp.sum(a.astype(x.dtype) * x**2), gw.Entropy(0.8))


@cache
def modes(d) -> Modes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modal, "SPLINES", {1: 400, 2: 900})  # fewer in the plane: their algebra grows with the cube
        found = modes_of(stiff(d), np.array([[-1.0] * d, [1.0] * d]))
    assert found is not None
    return found


def wells():
    """Two wells, half of the mass in one of them: the other one fills over the barrier."""
    V = lambda x: 3 * (x[0] ** 2 - 1) ** 2 + 0.3 * x[0]
    return gw.Problem(gw.FreeEnergy(V, gw.Entropy(1.0)), gw.initial.Gaussian([-0.7], 0.35**2), "wells")


@pytest.mark.parametrize("d", [1, 2])
def test_closed_forms_of_a_ratio_of_densities_are_its_derivatives(d):
    term = LogRatio(jnp.asarray(0.7), grid(d))
    c = jnp.asarray(np.append(0.2 * RNG.normal(size=term.size - 1), 0.4))
    x, u = jnp.asarray(RNG.uniform(-1.9, 1.9, (2, 5, d)))
    at = lambda rates: jax.jit(jax.vmap(lambda x, u: rates(c, x, u)))(x, u)
    for one, other in zip(at(term.rates), at(lambda *where: AbstractTerm.rates(term, *where)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("d", [1, 2])
def test_splines_are_one_together_and_the_same_on_the_host_as_in_layers(d):
    splines, x = grid(d), RNG.uniform(-2, 2, (50, d))
    value, *gradient = basis(splines, x)
    np.testing.assert_allclose(value.sum(1), 1, atol=1e-12)
    c = RNG.normal(size=splines.size)
    jets = jax.vmap(lambda x: splines.jets(jnp.asarray(c)[None], jnp.ones(1), x))(jnp.asarray(x))
    np.testing.assert_allclose(jets[0], value @ c, atol=1e-11)
    np.testing.assert_allclose(jets[1], np.stack([slope @ c for slope in gradient], 1), atol=1e-9)
    beyond = splines.jets(jnp.asarray(c)[None], jnp.ones(1), jnp.full(d, 7.0))
    assert np.isfinite(beyond[0])
    assert not np.any(beyond[1])  # nothing moves there


@pytest.mark.parametrize("d", [1, 2])
def test_modes_of_a_quadratic_potential_have_the_known_rates(d):
    """Besides others of the tails, where there is hardly any mass and pi is held up."""
    rates, a = modes(d).rates, [1.0, 1.7][:d]
    exact = np.sort([sum(n * b for n, b in zip(np.unravel_index(k, (6,) * d), a, strict=True)) for k in range(1, 6**d)])
    nearest = rates[np.abs(rates - exact[:4, None]).argmin(1)]
    np.testing.assert_allclose(nearest, exact[:4], rtol=2e-3)


@pytest.mark.parametrize("d", [1, 2])
def test_the_rest_of_an_exact_flow_is_known(d):
    """A Gaussian of the equilibrium's covariance relaxes as its mean does; what v leaves of the force tells."""
    energy, covariance = stiff(d), np.diag(0.8 / np.array([1.0, 1.7][:d]))
    at = lambda t: gw.initial.Gaussian(SHIFTED[d][0] * np.exp(-np.array([1.0, 1.7][:d]) * t), covariance)
    x = at(0.0).quasi_sample(0, 2048)
    choice = Choice(np.arange(2048), initial_state(at(0.0), x), np.full(2048, 1 / 2048))
    known = relaxation(energy, modes(d), choice, time=1.0)
    for t in (0.0, 0.5, 3.0):
        here = initial_state(at(t), at(t).quasi_sample(1, 512))
        force = grad_mu(energy, here)
        left = velocity(known.segment(1.0 + t, 0.0), 1.0, here) + force
        assert np.sqrt((left**2).mean()) < 1.5e-2 * np.sqrt((force**2).mean())
    chi2 = np.expm1((SHIFTED[d][0] ** 2 / np.diag(covariance)).sum())
    assert known.divergence(1.0) == pytest.approx(0.5 * np.log1p(chi2), rel=3e-3)


def test_a_segment_is_right_to_high_order_in_time():
    """f is cubic in time: particles end where many short segments bring them."""
    energy, at = stiff(1), gw.initial.Gaussian([0.3], 0.8)
    state = initial_state(at, at.quasi_sample(0, 1024))
    known = relaxation(energy, modes(1), Choice(np.arange(1024), state, np.full(1024, 1 / 1024)), time=20.0)

    def end(pieces):
        z = State(*(a[:64] for a in state))
        for k in range(pieces):
            z = advance(known.segment(20 + 0.5 * k / pieces, 0.5 / pieces)._replace(substeps=np.array(8)), 0.0, 1.0, z)
        return z

    whole, parts = end(1), end(16)
    # With f linear in time they would be 3e-3 apart.
    np.testing.assert_allclose(whole.x, parts.x, atol=3e-4)
    np.testing.assert_allclose(whole.score, parts.score, atol=3e-3)


def test_potentials_without_an_end_have_no_modes():
    energy = gw.FreeEnergy(lambda x: -0.5 * x[0], gw.Entropy(1.0))
    assert modes_of(energy, np.array([[-1.0], [1.0]])) is None


@pytest.mark.parametrize(
    ("energy", "dim", "expected"),
    [
        (stiff(1), 1, True),
        (stiff(1), 3, False),
        (gw.FreeEnergy(lambda x: x[0] ** 2, PorousMedium(2.0)), 1, False),
        (gw.FreeEnergy(lambda x: x[0] ** 2, gw.Entropy(1.0), GaussianInteraction(1.0, 1.0)), 1, False),
        (gw.FreeEnergy(None, gw.Entropy(1.0)), 1, False),
    ],
    ids=["Fokker-Planck", "three dimensions", "porous medium", "interaction", "no potential"],
)
def test_what_is_linear(energy, dim, expected):
    assert linear(energy, dim) == expected


@pytest.fixture(scope="module")
def handed_over():
    """A sweep that hands over to the modes after its second segment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "RESOLVED", 1e-9)
        patch.setattr(running, "NO_WORSE", 1e9)
        return sweep(wells(), LEAST, 0)


def test_after_the_hand_over_the_free_energy_is_that_of_a_fine_grid(handed_over):
    problem = wells()
    assert handed_over.status in ("done", "stalled")
    assert handed_over.figures[-1].gap < 2e-3
    late = [relaxed(s.field) for s in handed_over.segments]
    assert not late[0]
    assert late[-1]
    assert sum(late) > 20
    fine = FiniteVolume(problem.initial, problem.energy.potential, internal=gw.Entropy(1.0))
    drop = handed_over.figures[0].free_energy - fine.equilibrium_free_energy
    for figures in handed_over.figures[3::5]:
        # 1024 particles: their noise in F is some 1e-3 of the drop
        assert abs(figures.free_energy - float(fine.free_energy(figures.time))) < 0.01 * drop


def test_layers_of_both_kinds_move_particles_as_their_segments_do(handed_over):
    layers = assemble(Way(handed_over.segments, handed_over.speeds), 3)
    assert isinstance(layers.field, Switched)
    stored = from_stored(*to_stored(layers), potential=wells().energy.potential)
    x = jnp.asarray(wells().initial.quasi_sample(3, 16))
    state = initial_state(wells().initial, x)
    for segment in handed_over.segments:
        state = advance(segment, 0.0, 1.0, state)
    for one, other in zip(jax.tree.leaves(stored), jax.tree.leaves(layers), strict=True):
        np.testing.assert_array_equal(one, other)
    y, back, volume = x, state.x, 0.0
    forward, inverse = (
        jax.jit(jax.vmap(move, (None, 0, None))) for move in (VelocityLayer.forward, VelocityLayer.inverse)
    )
    each = [jax.tree.map(lambda a, k=k: a[k], layers) for k in range(3)]
    for layer in each:
        y, change = forward(layer, y, jnp.ones(()))
        volume = volume + change
    for layer in reversed(each):
        back, _ = inverse(layer, back, jnp.ones(()))
    np.testing.assert_allclose(y, state.x, atol=1e-4)
    np.testing.assert_allclose(back, x, atol=1e-3)
    np.testing.assert_allclose(wells().initial.log_prob(x) - volume, state.log_density, atol=2e-3)


def test_a_sweep_that_was_cut_off_after_the_hand_over_goes_on(monkeypatch, handed_over):
    monkeypatch.setattr(running, "RESOLVED", 1e-9)
    monkeypatch.setattr(running, "NO_WORSE", 1e9)
    memory = Memory()
    told = []

    def stop(figures):
        told.append(figures)
        if len(told) == 6:
            raise KeyboardInterrupt

    assert sweep(wells(), LEAST, 0, on_segment=stop, keeper=memory).status == "interrupted"
    again = sweep(wells(), LEAST, 0, keeper=memory)
    assert len(again.segments) == len(handed_over.segments)
    for one, other in zip(jax.tree.leaves(again.segments), jax.tree.leaves(handed_over.segments), strict=True):
        np.testing.assert_array_equal(one, other)
