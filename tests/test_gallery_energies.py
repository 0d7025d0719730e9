"""What the references of the gallery's interactions and internal energies say, checked without them."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

import genwgp as gw
from equations import equation_residual
from genwgp.energies import LogarithmicInteraction, PowerInteraction, QuadraticInteraction, QuarticInteraction
from genwgp.errors import InputError
from genwgp.references import (
    Annulus,
    Barenblatt,
    FiniteVolume,
    Heat,
    KellerSegel,
    NewtonianAggregation,
    PathTo,
    QuarticAggregation,
    RadialQuartic,
    SelfConsistent,
    Sphere,
    StudentProfile,
    reference_for,
)

few = settings(max_examples=3)
MODES = gw.Mixture([0.5, 0.3, 0.2], [[0.0], [1.5], [-1.5]], [0.16, 0.09, 0.04])
ROUND, LONG = gw.Gaussian([0.3, -0.1], 0.35**2), gw.Gaussian([0.3, -0.1], [[0.25, 0.1], [0.1, 0.15]])
SINGULAR = lambda z: 0.5 * (z @ z) - 0.5 * jnp.log(z @ z)  # W of NewtonianAggregation
WELL = lambda x: 0.25 * x[0] ** 4 - 0.5 * x[0] ** 2


@pytest.mark.parametrize("d", [1, 3])
@few
@given(share=st.floats(0.1, 0.9), t=st.floats(0.0, 3.0), stiffness=st.sampled_from([0.0, 0.7]), D=st.floats(0.2, 3.0))
def test_fast_diffusion_satisfies_its_equation(d, share, t, stiffness, D):
    m, b = d / (d + 2) + share * 2 / (d + 2), np.linspace(-0.3, 0.4, d)
    path = Barenblatt(d, m, 0.7, D, stiffness, centre=np.linspace(0.5, 1.0, d), b=b)

    def mu(t, x):
        return stiffness * jnp.sum((x - b) ** 2) / 2 + D * m / (m - 1) * jnp.exp((m - 1) * path.density(t).log_prob(x))

    residual, rate = equation_residual(path, mu, jnp.asarray(t), jnp.linspace(-0.6, 1.1, d))
    assert abs(residual) < 1e-7 * (1 + abs(rate))


def test_the_heat_equation_of_a_mixture():
    path = Heat(MODES, 0.7)
    residual, rate = equation_residual(
        path, lambda t, x: 0.7 * path.density(t).log_prob(x), jnp.asarray(0.1), jnp.ones(1)
    )
    assert abs(residual) < 1e-10 * (1 + abs(rate))
    log_prob = jax.jit(lambda x: path.density(0.1).log_prob(x))
    rho = lambda x: float(jnp.exp(log_prob(jnp.array([x]))))
    assert float(path.free_energy(0.1)) == pytest.approx(quad(lambda x: 0.7 * rho(x) * np.log(rho(x)), -9, 9)[0])
    for call in (path.density, path.free_energy):
        with pytest.raises(InputError, match=r"^t: got inf"):
            call(np.inf)


@pytest.mark.parametrize("d", [1, 3])
def test_student_profiles_have_the_moments_of_their_samples(d):
    rho = StudentProfile(np.linspace(-1, 1, d), 1.3, d / 2 + 4)
    for x in (np.asarray(rho.sample(jax.random.key(0), 20_000)), rho.quasi_sample(1, 20_000)):
        np.testing.assert_allclose(x.mean(axis=0), rho.mean, atol=0.03)
        np.testing.assert_allclose(np.cov(x, rowvar=False).reshape(d, d), rho.covariance, atol=0.03)
    x = jnp.linspace(-0.5, 2.0, d)
    np.testing.assert_allclose(rho.score(x), jax.grad(lambda x: rho.log_prob(x))(x), rtol=1e-9)
    wide = rho.widened(2.0)
    np.testing.assert_allclose(wide.covariance, 4 * rho.covariance)
    sphere = 2 * math.pi ** (d / 2) / math.gamma(d / 2)
    profile = lambda r: sphere * r ** (d - 1) * float(jnp.exp(wide.log_prob(wide.mean + r * jnp.eye(d)[0])))
    assert quad(profile, 0, np.inf)[0] == pytest.approx(1.0, abs=1e-7)


def test_fast_diffusion_free_energy_is_its_integral():
    m, stiffness, D = 0.7, 1.3, 0.6
    path = Barenblatt(1, m, 0.8, D, stiffness, centre=[0.5], b=[-0.2])
    log_prob = jax.jit(lambda x: path.density(0.4).log_prob(x))
    rho = lambda x: float(jnp.exp(log_prob(jnp.array([x]))))
    summand = lambda x: stiffness * (x + 0.2) ** 2 / 2 * rho(x) + D * rho(x) ** m / (m - 1)
    expected = quad(summand, -np.inf, np.inf)[0]
    assert float(path.free_energy(0.4)) == pytest.approx(expected, rel=1e-6)
    assert Barenblatt(1, m, 0.8).equilibrium_free_energy == -np.inf
    assert path.dissipation(np.inf) == pytest.approx(0.0, abs=1e-20)


EXACT: dict[str, Any] = {
    "fast diffusion": Barenblatt(3, 0.8, 0.8, 0.7),
    "fast diffusion in a parabola": Barenblatt(2, 0.75, 0.5, 0.7, 1.2, centre=[0.4, 0.0]),
    "heat of a Gaussian": Heat(LONG, 0.7),
    "heat of a mixture": Heat(MODES, 0.7),
    "disk": NewtonianAggregation(ROUND),
    "quartic": QuarticAggregation(gw.Gaussian(np.ones(3), 0.3), 0.0),
    "quartic, scaled": QuarticAggregation(gw.Gaussian([0.5, 0.0], 0.3), 0.0, attraction=2.0, repulsion=0.5),
}


@pytest.mark.parametrize("name", EXACT)
def test_free_energy_decays_at_the_rate_of_the_dissipation(name):
    path, step = EXACT[name], 1e-4
    for t in (0.1, 0.7):
        slope = (float(path.free_energy(t + step)) - float(path.free_energy(t - step))) / (2 * step)
        assert slope == pytest.approx(-float(path.dissipation(t)), rel=2e-6)
    assert path.log_normaliser is None
    assert path.equilibrium_free_energy < float(path.free_energy(2.0))
    assert path.describe().startswith("exact: ")


def test_a_gaussian_becomes_a_disk():
    """Its density fits its samples, the second moment, what is known along particles, and finite volumes."""
    path = NewtonianAggregation(ROUND)
    for t in (0.0, 0.4, 2.0, 40.0):
        rho: Any = path.density(t)
        x = jnp.asarray(rho.quasi_sample(0, 2048))
        np.testing.assert_allclose(np.cov(x, rowvar=False), rho.covariance, atol=2e-3)
        assert float(jnp.trace(rho.covariance)) == pytest.approx(float(path.second_moment(t)), rel=1e-9)
        along = path.log_density_along(ROUND.log_prob(ROUND.quasi_sample(0, 2048)), t)
        if t < 10:  # later the rim is thinner than rounding
            np.testing.assert_allclose(rho.log_prob(x), along, rtol=1e-7, atol=1e-7)
            score = jax.vmap(jax.grad(lambda x, rho=rho: rho.log_prob(x)))(x[:20])
            np.testing.assert_allclose(rho.score(x[:20]), score, rtol=1e-6, atol=1e-9)
    assert float(path.free_energy(40.0)) == pytest.approx(path.equilibrium_free_energy, abs=1e-9)
    mesh = FiniteVolume(ROUND, None, SINGULAR, box=path.support, cells=64)
    _, rho = mesh.density(0.4).on_grid
    exact = np.exp(np.asarray(path.density(0.4).log_prob(mesh.mesh.centres.reshape(-1, 2)))).reshape(rho.shape)  # pyright: ignore[reportOptionalMemberAccess]
    assert np.abs(rho - exact).sum() * mesh.mesh.volume < 0.02
    assert mesh.free_energy(0.4) == pytest.approx(float(path.free_energy(0.4)), abs=2e-3)


@pytest.mark.parametrize("charge", [0.0, 0.3])
def test_the_second_moment_of_aggregation_in_the_plane(charge):
    start = gw.Mixture([0.5, 0.5], [[1.3, 0.4], [-1.3, -0.4]], 0.3**2) if charge else LONG
    path = NewtonianAggregation(start, charge)
    V = (lambda x: -0.5 * charge * jnp.log(x @ x + 1e-4)) if charge else None
    mesh = FiniteVolume(start, V, SINGULAR, box=path.support, cells=64)
    for t in (0.0, 0.5):
        assert np.trace(mesh.density(t).covariance) == pytest.approx(float(path.second_moment(t)), abs=3e-3)
    assert path.density(0.0) is None
    with pytest.raises(InputError, match=r"^t: got 0\.5"):
        path.free_energy(0.5)
    assert float(path.second_moment(np.inf)) == pytest.approx(float(np.trace(path.equilibrium.covariance)))


@pytest.mark.parametrize("charge", [0.0, 0.25])
def test_patches_are_equilibria(charge):
    """No force inside, from the pairs of a sample; and F from pairs of two samples."""
    path = NewtonianAggregation(gw.Gaussian([0.0, 0.0], 0.2), charge)
    rho = path.equilibrium
    x, y = (jnp.asarray(rho.quasi_sample(seed, 2**13)) for seed in (0, 1))
    V = lambda x: -0.5 * charge * jnp.log(x @ x)
    energy = gw.FreeEnergy(V, interaction=PowerInteraction(2.0, 0.0, epsilon=1e-3))
    force = energy.among(y).drift(x[:200] * 0.97 + 0.03 * x[:200] / jnp.linalg.norm(x[:200], axis=1, keepdims=True))
    assert float(jnp.sqrt(jnp.mean(jnp.sum(force**2, 1)))) < 0.06
    F = energy.among(y).value(x, rho.log_prob(x))
    assert float(F) == pytest.approx(path.equilibrium_free_energy, abs=2e-3)
    assert path.dissipation(np.inf) == 0.0
    assert path.free_energy(np.inf) == path.equilibrium_free_energy


def test_shifts_of_the_annulus_grow():
    """Circles around a (inner) and b (outer): da/dt = g (b - a) - a, db/dt = g (b - a) - g a / (g + 1)."""
    g = 0.25  # the charge
    growth = np.linalg.eigvals(np.array([[-g - 1, g], [-g - g / (g + 1), g]])).max()
    assert growth == pytest.approx((np.sqrt(1 + 4 * g / (g + 1)) - 1) / 2)
    # The rates of these formulas, at points of the two circles, from the field of the uniform disks.
    a, b, n = np.array([1e-5, 0.0]), np.array([3e-5, 0.0]), np.array([1.0, 0.0])
    mean = (g + 1) * b - g * a
    inner, outer = a + np.sqrt(g) * n, b + np.sqrt(g + 1) * n
    field = lambda x, c, area: (x - c) * min(1.0, area / ((x - c) @ (x - c)))
    velocity = lambda x: -(x - mean) + field(x, b, g + 1) - field(x, a, g) + g * x / (x @ x)
    assert velocity(inner)[0] / 1e-5 == pytest.approx(g * 2 - 1, abs=1e-4)
    assert velocity(outer)[0] / 1e-5 == pytest.approx(g * 2 - g / (g + 1), abs=1e-4)


@pytest.mark.parametrize(("d", "a", "c", "D"), [(1, 1.0, 1.0, 0.1), (2, 1.0, 1.0, 0.02), (5, 2.0, 0.7, 0.05)])
def test_the_equilibrium_of_quartic_aggregation_is_one(d, a, c, D):
    path = QuarticAggregation(gw.Gaussian(0.3 * np.ones(d), 0.4), D, a, c)
    rho = path.equilibrium
    assert isinstance(rho, RadialQuartic)
    x = jnp.asarray(rho.quasi_sample(0, 2**14))
    np.testing.assert_allclose(
        np.cov(x, rowvar=False).reshape(d, d), rho.covariance, atol=2e-3 * np.trace(rho.covariance)
    )
    energy = gw.FreeEnergy(None, gw.Entropy(D), QuarticInteraction(a, c))
    assert float(energy.dissipation(x, rho.log_prob(x), rho.score(x))) < 1e-5
    assert float(energy.value(x, rho.log_prob(x))) == pytest.approx(path.equilibrium_free_energy, abs=1e-3 * D + 1e-5)
    np.testing.assert_allclose(rho.score(x[0]), jax.grad(lambda x: rho.log_prob(x))(x[0]), rtol=1e-9)
    np.testing.assert_allclose(np.mean(np.asarray(rho.sample(jax.random.key(0), 8192)), 0), rho.mean, atol=0.04)


def test_quartic_aggregation_on_a_mesh():
    start = gw.Gaussian([0.4], 0.6)
    path = QuarticAggregation(start, 0.1)
    mesh = FiniteVolume(start, None, QuarticInteraction(), gw.Entropy(0.1), box=path.support, cells=256)
    assert mesh.free_energy(np.inf) == pytest.approx(path.equilibrium_free_energy, abs=1e-4)
    np.testing.assert_allclose(mesh.density(np.inf).covariance, path.equilibrium.covariance, rtol=1e-3)
    assert path.density(3.0) is None


@pytest.mark.parametrize(("d", "a", "c"), [(2, 1.0, 1.0), (5, 2.0, 0.5)])
def test_quartic_aggregation_without_diffusion(d, a, c):
    """Particles moved by their own field are where the exact map has them, and its density obeys the equation."""
    start = gw.Gaussian(0.5 * np.ones(d), 0.3)
    path, energy = QuarticAggregation(start, 0.0, a, c), gw.FreeEnergy(interaction=QuarticInteraction(a, c))
    x = jnp.asarray(start.quasi_sample(0, 8192))
    velocity, h = jax.jit(lambda x: -energy.drift(x)), 0.02
    for _ in range(50):
        k1 = velocity(x)
        k2 = velocity(x + h / 2 * k1)
        k3 = velocity(x + h / 2 * k2)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(x + h * k3))
    rho = path.density(1.0)
    np.testing.assert_allclose(rho.quasi_sample(0, 8192), x, atol=2e-3)
    assert float(energy.value(x, x[:, 0])) == pytest.approx(path.free_energy(1.0), abs=1e-4)
    assert float(energy.dissipation(x, x[:, 0], x)) == pytest.approx(path.dissipation(1.0), rel=2e-2)
    score = jax.grad(lambda x: rho.log_prob(x))
    point, step = rho.mean + 0.25 * jnp.eye(d)[0], 1e-4
    np.testing.assert_allclose(rho.score(point), score(point), rtol=1e-9)
    k = a * (1 + 2 / d) * float(rho.second) - c
    change = (path.density(1 + step).log_prob(point) - path.density(1 - step).log_prob(point)) / (2 * step)
    z = point - rho.mean
    divergence = a * (d + 2) * (z @ z) + k * d
    assert float(change) == pytest.approx(float(divergence + (a * z @ z + k) * z @ rho.score(point)), rel=1e-5)
    end: Any = path.density(np.inf)
    assert isinstance(end, Sphere)
    assert end.radius == pytest.approx(np.sqrt(c * d / (2 * a * (d + 1))))
    np.testing.assert_allclose(np.cov(end.quasi_sample(0, 4096), rowvar=False), end.covariance, atol=5e-3)
    assert path.free_energy(60.0) == pytest.approx(path.equilibrium_free_energy, abs=1e-6)
    assert rho.log_prob(rho.mean + 5.0) == -jnp.inf


@pytest.mark.parametrize(("D", "mean"), [(0.2, 0.851479), (0.3, 0.705495)])
def test_desai_zwanzig_has_the_published_means(D, mean):
    for start in (0.05, 0.5, 3.0):
        path = SelfConsistent(WELL, 1.0, D, start)
        np.testing.assert_allclose(path.means, [-mean, 0.0, mean], atol=1e-6)
        assert path.equilibrium_mean == pytest.approx(mean, abs=1e-6)
        assert SelfConsistent(WELL, 1.0, D, -start).equilibrium_mean == -path.equilibrium_mean
    assert SelfConsistent(WELL, 1.0, D, 0.0).equilibrium_mean == 0.0
    assert path.equilibrium_free_energy < path.free_energy_of(0.0)
    rho = path.equilibrium
    x = jnp.linspace(-1.5, 1.5, 7)[:, None]
    force = x**3 - x + x - path.equilibrium_mean + D * rho.score(x)
    np.testing.assert_allclose(force, 0.0, atol=1e-5)
    y = jnp.asarray(rho.quasi_sample(0, 2**14))
    energy = gw.FreeEnergy(WELL, gw.Entropy(D), QuadraticInteraction())
    assert float(energy.value(y, rho.log_prob(y))) == pytest.approx(path.equilibrium_free_energy, abs=1e-4)


def test_above_the_critical_diffusion_there_is_one_equilibrium():
    assert len(SelfConsistent(WELL, 1.0, 0.4569, 1.0).means) == 3
    assert SelfConsistent(WELL, 1.0, 0.457, 1.0).means.tolist() == [0.0]


def test_desai_zwanzig_on_a_mesh_goes_to_the_side_of_its_start():
    problem = gw.problems.get("desai-zwanzig", mean=-0.2)
    known: Any = problem.reference
    mesh = FiniteVolume.of(problem, cells=256)
    assert mesh.free_energy(np.inf) == pytest.approx(known.equilibrium_free_energy, abs=1e-4)
    assert float(mesh.density(np.inf).mean[0]) == pytest.approx(known.equilibrium_mean, abs=1e-3)
    best: Any = reference_for(problem)
    assert isinstance(best, PathTo)
    assert best.equilibrium_free_energy == known.equilibrium_free_energy == best.free_energy(np.inf)
    assert best.density(0.1).dim == 1
    assert best.dissipation(np.inf) == 0.0
    assert best.log_normaliser is None
    assert "finite volumes" in best.describe()
    assert "self-consistent" in best.describe()


def test_the_second_moment_of_keller_segel():
    """Linear in time below and above the critical chi, on a mesh, with the infinite kernel and a regularised one."""
    box = LONG.mean[:, None] + np.array([-3.0, 3.0])
    for chi in (4 * math.pi, 10 * math.pi):
        path = KellerSegel(LONG, chi)
        rate = float(path.second_moment(0.05) - path.second_moment(0.0)) / 0.05
        assert rate == pytest.approx(4 - chi / (2 * math.pi))
        for W in (
            lambda z, chi=chi: chi / (4 * math.pi) * jnp.log(z @ z),
            LogarithmicInteraction(chi / (2 * math.pi), 0.05),
        ):
            mesh = FiniteVolume(LONG, None, W, gw.Entropy(1.0), box=box, cells=64)
            change = np.trace(mesh.density(0.02).covariance) - np.trace(mesh.density(0.0).covariance)
            assert change / 0.02 == pytest.approx(rate, abs=0.03)
    assert path.blow_up == pytest.approx(0.4)
    with pytest.raises(InputError, match=r"^t: got 0\.41"):
        path.second_moment(0.41)
    assert KellerSegel(LONG, 4 * math.pi).blow_up == np.inf
    assert path.density(0.1) is None
    with pytest.raises(InputError, match=r"^t: got 0\.1"):
        path.free_energy(0.1)


def test_keller_segel_warns_from_the_critical_chi_on():
    with pytest.warns(UserWarning, match=r"chi = 50.3 is not below 8 pi D = 50.2655: .* before t ="):
        gw.problems.get("keller-segel", chi=50.3, diffusion=2.0)
    with pytest.warns(UserWarning, match="as t grows"):
        gw.problems.get("keller-segel", chi=8 * math.pi)
    gw.problems.get("keller-segel", chi=50.0, diffusion=2.0)


def test_a_box_without_walls_must_hold_the_density():
    arguments: Any = {
        "potential": None,
        "interaction": None,
        "internal": gw.Entropy(1.0),
        "box": [[-4, 4]],
        "cells": 64,
    }
    start = gw.Gaussian([0.0], 0.25)
    assert FiniteVolume(start, **arguments).density(1.0).dim == 1
    with pytest.raises(InputError, match=r"^FiniteVolume\.box: "):
        FiniteVolume(start, walls=False, **arguments).density(1.0)


def test_two_clusters_hold_and_merge():
    mesh = FiniteVolume.of(gw.problems.get("aggregation-diffusion"), cells=32)
    spread = lambda t: np.diag(mesh.density(t).covariance)
    assert spread(2.0)[0] > 10 * spread(2.0)[1]  # still apart
    assert spread(10.0)[0] < 1.2 * spread(10.0)[1]
    assert mesh.dissipation(6.0) > 2 * mesh.dissipation(1.0)  # when they feel each other


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mckean-vlasov", {"dim": 3, "attraction": -0.5}),
        ("mckean-vlasov", {}),
        ("porous-medium", {"dim": 3, "m": 3.0}),
        ("porous-medium", {"stiffness": 0.0}),
        ("fast-diffusion", {"dim": 1, "m": 0.6}),
        ("fast-diffusion", {}),
        ("heat", {"dim": 1}),
        ("heat", {"dim": 4}),
        ("aggregation-disk", {"epsilon": 1e-3}),
        ("aggregation-quartic", {"dim": 5, "diffusion": 0.0}),
    ],
)
def test_problems_with_a_known_path_begin_on_it(name, parameters):
    """Density, F and dissipation at t = 0 are those of the energy over particles of the start."""
    problem = gw.problems.get(name, **parameters)
    reference: Any = problem.reference
    assert reference_for(problem) is reference
    x = jnp.asarray(problem.initial.quasi_sample(0, 2**13))
    log_density, score = problem.initial.log_prob(x), problem.initial.score(x)
    np.testing.assert_allclose(reference.density(0).log_prob(x[:50]), log_density[:50], rtol=1e-9)
    value, loss = problem.energy.value(x, log_density), problem.energy.dissipation(x, log_density, score)
    assert float(value) == pytest.approx(float(reference.free_energy(0)), rel=1e-2, abs=1e-2)
    assert float(loss) == pytest.approx(float(reference.dissipation(0)), rel=5e-2)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("mckean-vlasov", {"dim": 3}), ("porous-medium", {}), ("fast-diffusion", {}), ("aggregation-quartic", {"dim": 5})],
)
def test_no_force_at_a_known_equilibrium(name, parameters):
    problem = gw.problems.get(name, **parameters)
    reference: Any = problem.reference
    rho = reference.density(np.inf)
    x = jnp.asarray(rho.quasi_sample(0, 2**13))
    x = x[jnp.isfinite(rho.log_prob(x))]
    assert float(problem.energy.dissipation(x, rho.log_prob(x), rho.score(x))) < 1e-4
    value = problem.energy.value(x, rho.log_prob(x))
    assert float(value) == pytest.approx(reference.equilibrium_free_energy, rel=2e-2)


def test_the_annulus_is_reached_by_its_start_on_a_mesh():
    problem = gw.problems.get("aggregation-annulus")
    known: Any = problem.reference
    assert isinstance(known.equilibrium, Annulus)
    mesh = FiniteVolume.of(problem, box=known.support, cells=64)
    assert mesh.free_energy(3.0) == pytest.approx(known.equilibrium_free_energy, abs=0.01)
    assert mesh.free_energy(0.0) > known.equilibrium_free_energy + 0.2
    best: Any = reference_for(problem)
    np.testing.assert_allclose(best.path.mesh.box, known.support)


@pytest.mark.parametrize(
    ("field", "build"),
    [
        ("Heat.start", lambda: Heat(1.0, 1.0)),  # pyright: ignore[reportArgumentType]
        ("Heat.D", lambda: Heat(ROUND, 0.0)),
        ("StudentProfile.radius", lambda: StudentProfile([0.0], -1.0, 3.0)),
        ("StudentProfile.power", lambda: StudentProfile([0.0], 1.0, 1.5)),
        ("Barenblatt.m", lambda: Barenblatt(2, 0.5, 1.0)),
        ("Annulus.inner", lambda: Annulus([0.0, 0.0], 2.0, 1.0)),
        ("Sphere.radius", lambda: Sphere([0.0], 0.0)),
        ("NewtonianAggregation.start", lambda: NewtonianAggregation(gw.Gaussian([0.0], 1.0))),
        ("NewtonianAggregation.start", lambda: NewtonianAggregation(ROUND, 0.3)),
        ("NewtonianAggregation.charge", lambda: NewtonianAggregation(ROUND, -0.3)),
        ("QuarticAggregation.start", lambda: QuarticAggregation(LONG, 0.1)),
        ("QuarticAggregation.D", lambda: QuarticAggregation(ROUND, -0.1)),
        ("QuarticAggregation.repulsion", lambda: QuarticAggregation(ROUND, 0.1, repulsion=0.0)),
        ("SelfConsistent.strength", lambda: SelfConsistent(WELL, -1.0, 0.3, 1.0)),
        ("SelfConsistent.potential", lambda: SelfConsistent(lambda x: x[0] ** 4 + x[0], 1.0, 0.3, 1.0).means),
        ("SelfConsistent.potential", lambda: SelfConsistent(lambda x: 0 * x[0], 1.0, 0.3, 1.0).means),
        ("KellerSegel.chi", lambda: KellerSegel(ROUND, 0.0)),
        ("KellerSegel.start", lambda: KellerSegel(MODES, 1.0)),
        ("t", lambda: QuarticAggregation(ROUND, 0.1).dissipation(1.0)),
        ("t", lambda: SelfConsistent(WELL, 1.0, 0.3, 1.0).density(-1.0)),
    ],
)
def test_inputs_refused(field, build):
    with pytest.raises(InputError) as caught:
        build()
    assert caught.value.field == field
    assert "\n" not in str(caught.value)
