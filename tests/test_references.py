"""References: exact paths against the Fokker-Planck equation, quadrature against closed forms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

import genwgp as gw
from genwgp.errors import InputError
from genwgp.references import OrnsteinUhlenbeck, QuadratureReference


def random_spd(rng, d, low, high):
    basis, _ = np.linalg.qr(rng.normal(size=(d, d)))
    return (basis * rng.uniform(low, high, d)) @ basis.T


def random_process(rng, d, D, mixture):
    A, b = random_spd(rng, d, 0.4, 3.0), rng.normal(size=d)
    if not mixture:
        return OrnsteinUhlenbeck(A, b, D, gw.Gaussian(rng.normal(size=d), random_spd(rng, d, 0.3, 2.0)))
    covariances = np.stack([random_spd(rng, d, 0.3, 2.0) for _ in range(2)])
    return OrnsteinUhlenbeck(A, b, D, gw.Mixture([0.3, 0.7], rng.normal(size=(2, d)), covariances))


@jax.jit
def fokker_planck_residual(process, t, x):
    """d log rho/dt - [lap V + D lap log rho + grad log rho . (grad V + D grad log rho)], zero on the exact path."""

    def log_density(t, x):
        return process.density(t).log_prob(x)

    def potential(x):
        return 0.5 * (x - process.b) @ process.A @ (x - process.b)

    rate = jax.grad(log_density, argnums=0)(t, x)
    score, curvature = jax.grad(log_density, argnums=1)(t, x), jax.hessian(log_density, argnums=1)(t, x)
    flux = jax.grad(potential)(x) + process.D * score
    return rate - (jnp.trace(jax.hessian(potential)(x)) + process.D * jnp.trace(curvature) + score @ flux), rate


@pytest.mark.parametrize("mixture", [False, True], ids=["gaussian", "mixture"])
@pytest.mark.parametrize("d", [1, 2, 3])
@given(seed=st.integers(0, 2**31), t=st.floats(0.01, 3.0), D=st.floats(0.2, 3.0))
def test_the_exact_density_satisfies_its_fokker_planck_equation(d, mixture, seed, t, D):
    rng = np.random.default_rng(seed)
    process = random_process(rng, d, D, mixture)
    residual, rate = fokker_planck_residual(process, jnp.asarray(t), jnp.asarray(rng.normal(size=d)))
    assert abs(residual) < 1e-8 * (1 + abs(rate))


@pytest.mark.parametrize("mixture", [False, True], ids=["gaussian", "mixture"])
def test_it_starts_at_the_start_and_ends_at_the_equilibrium(mixture):
    rng = np.random.default_rng(1)
    process, x = random_process(rng, 3, 0.6, mixture), rng.normal(size=(7, 3))
    np.testing.assert_allclose(process.density(0).log_prob(x), process.start.log_prob(x), rtol=1e-9)
    centred = x - np.asarray(process.b)
    gibbs = -0.5 * np.einsum("ni,ij,nj->n", centred, process.A, centred) / process.D - process.log_normaliser
    np.testing.assert_allclose(process.density(np.inf).log_prob(x), gibbs, rtol=1e-9)
    assert process.equilibrium_free_energy == pytest.approx(-0.6 * process.log_normaliser)


def test_free_energy_decays_at_the_rate_of_the_dissipation_to_its_end():
    process = random_process(np.random.default_rng(2), 3, 0.6, mixture=False)
    slope, loss = jax.jit(jax.grad(lambda t: process.free_energy(t))), jax.jit(lambda t: process.dissipation(t))
    for t in jnp.array([0.0, 0.3, 2.0]):
        np.testing.assert_allclose(slope(t), -loss(t), rtol=1e-9)
    assert float(process.free_energy(np.inf)) == pytest.approx(process.equilibrium_free_energy)
    energy = gw.FreeEnergy(lambda x: 0.5 * (x - process.b) @ process.A @ (x - process.b), gw.Entropy(process.D))
    rho = process.density(0.3)
    x = jnp.asarray(rho.quasi_sample(0, 2**14))
    assert float(energy.value(x, rho.log_prob(x))) == pytest.approx(float(process.free_energy(0.3)), rel=1e-3)
    assert float(energy.dissipation(x, rho.log_prob(x), rho.score(x))) == pytest.approx(
        float(process.dissipation(0.3)), rel=5e-3
    )


def line_mixture(widths) -> gw.Mixture:
    return gw.Mixture([0.3, 0.7], [[-1.0], [0.5]], [[[width**2]] for width in widths])


@pytest.mark.parametrize("widths", [(0.1, 0.1), (0.6, 0.3), (1.0, 2e-3)])
def test_the_free_energy_of_a_mixture_on_the_line_is_that_of_scipy(widths):
    """One mode may lie, very narrow, inside the other."""
    process = OrnsteinUhlenbeck([[1.3]], [0.2], 0.7, line_mixture(widths))
    for t in (0.0, 0.4):
        rho: Any = process.density(t)
        means, spreads = np.asarray(rho.means)[:, 0], np.sqrt(np.asarray(rho.covariances)[:, 0, 0])
        p = lambda x, means=means, spreads=spreads: np.array([0.3, 0.7]) @ stats.norm.pdf(x, means, spreads)

        def integrand(x, p=p):
            return p(x) * (0.65 * (x - 0.2) ** 2 + 0.7 * np.log(p(x) + 1e-300))

        breaks = sorted(m + z * s for m, s in zip(means, spreads, strict=True) for z in (-6, -2, 0, 2, 6))
        exact, _ = integrate.quad(integrand, -9, 9, points=breaks, limit=1000, epsabs=1e-11)
        assert float(process.free_energy(t)) == pytest.approx(exact, abs=1e-7)
        assert process.free_energy_error(t) < 1e-8


def test_the_free_energy_of_a_mixture_in_the_plane_is_the_sum_over_a_grid():
    process = random_process(np.random.default_rng(2), 2, 0.6, mixture=True)
    rho: Any = process.density(0.2)
    x = np.stack(np.meshgrid(*[np.linspace(-9, 9, 901)] * 2, indexing="ij"), -1)
    parts = zip(rho.weights, rho.means, rho.covariances, strict=True)
    p = sum(float(w) * stats.multivariate_normal(np.asarray(m), np.asarray(S)).pdf(x) for w, m, S in parts)  # pyright: ignore
    centred = x - np.asarray(process.b)
    energy = 0.5 * np.einsum("...i,ij,...j", centred, np.asarray(process.A), centred) + 0.6 * np.log(p + 1e-300)
    assert float(process.free_energy(0.2)) == pytest.approx(float((p * energy).sum()) * 0.02**2, abs=1e-8)


def test_the_free_energy_of_a_mixture_in_many_dimensions_has_a_standard_error():
    """Modes that differ in the first coordinate only: F is that of the line and of four Gaussians."""
    dim, D = 5, 0.7
    line = OrnsteinUhlenbeck([[1.3]], [0.2], D, line_mixture((0.3, 0.3)))
    means = np.pad([[-1.0], [0.5]], ((0, 0), (0, dim - 1)))
    process = OrnsteinUhlenbeck(1.3 * np.eye(dim), [0.2] * dim, D, gw.Mixture([0.3, 0.7], means, 0.3**2))
    side = OrnsteinUhlenbeck([[1.3]], [0.2], D, gw.Gaussian([0.0], 0.3**2))
    errors = []
    for t in (0.0, 0.1, 0.5):
        exact = float(line.free_energy(t)) + (dim - 1) * float(side.free_energy(t))
        error = process.free_energy_error(t)
        assert 0 < error < 1e-3 * D
        errors.append((float(process.free_energy(t)) - exact) / error)
    assert 0 < np.max(np.abs(errors)) < 4


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_the_free_energy_of_a_mixture_decays_at_the_rate_of_the_dissipation_to_its_end(dim):
    process, h = random_process(np.random.default_rng(2), dim, 0.6, mixture=True), 1e-3
    for t in (0.1, 0.8):
        slope = (float(process.free_energy(t + h)) - float(process.free_energy(t - h))) / (2 * h)
        assert -slope == pytest.approx(float(process.dissipation(t)), rel=1e-4 if dim <= 2 else 5e-3)
    assert float(process.free_energy(np.inf)) == pytest.approx(process.equilibrium_free_energy)
    assert float(process.dissipation(np.inf)) == pytest.approx(0, abs=1e-9)


def test_modes_of_too_different_widths_are_refused():
    plane = gw.Mixture([0.5, 0.5], [[0.0, 0.0], [0.3, 0.0]], [1.0, 1e-4])
    process = OrnsteinUhlenbeck(np.eye(2), np.zeros(2), 1.0, plane)
    with pytest.raises(InputError, match=r"deviations from 0\.01 to 1; allowed: widths within a factor 28 in 2 dim"):
        process.free_energy(0.0)
    assert np.isfinite(process.free_energy(0.1))


def test_the_free_energy_of_a_mixture_in_single_precision():
    double = float(random_process(np.random.default_rng(2), 2, 0.6, mixture=True).free_energy(0.2))
    with jax.enable_x64(False):
        single = random_process(np.random.default_rng(2), 2, 0.6, mixture=True)
        assert float(single.free_energy(0.2)) == pytest.approx(double, abs=1e-4)


@pytest.mark.parametrize("t", [-1.0, float("nan"), "1", [0.0, 1.0], None])
def test_times_refused(t):
    process = random_process(np.random.default_rng(0), 1, 1.0, mixture=False)
    with pytest.raises(InputError, match=r"^t: got .*at least 0"):
        process.density(t)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("OrnsteinUhlenbeck.A", {"A": np.eye(3)}),
        ("OrnsteinUhlenbeck.A", {"A": [[1.0, 0.0], [0.0, -1.0]]}),
        ("OrnsteinUhlenbeck.b", {"b": [0.0]}),
        ("OrnsteinUhlenbeck.D", {"D": 0.0}),
        ("OrnsteinUhlenbeck.start", {"start": "N(0, I)"}),
    ],
)
def test_process_refused(field, arguments):
    usual = {"A": np.eye(2), "b": [0.0, 0.0], "D": 1.0, "start": gw.Gaussian([0.0, 0.0], 1.0)}
    with pytest.raises(InputError) as caught:
        OrnsteinUhlenbeck(**(usual | arguments))
    assert caught.value.field == field


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize(("scale", "centre"), [(1.0, 0.0), (1e-3, 0.4), (1.0, 25.0), (300.0, -1000.0)])
def test_quadrature_of_a_gaussian_is_the_closed_form_wherever_it_lies(dim, scale, centre):
    D = 0.7
    reference = QuadratureReference(lambda x: 0.5 * jnp.sum(((x - centre) / scale) ** 2), D, dim)
    assert reference.log_normaliser == pytest.approx(0.5 * dim * np.log(2 * np.pi * D * scale**2), abs=1e-9)
    assert reference.equilibrium_free_energy == -D * reference.log_normaliser
    np.testing.assert_allclose(reference.expectation(lambda x: x), np.full(dim, centre), atol=1e-9 * (1 + abs(centre)))
    assert reference.mode_weight(lambda x: x[0] > centre) == pytest.approx(0.5, abs=3e-4)
    assert reference.density(1.0) is None


def test_quadrature_of_a_correlated_gaussian_and_its_log_density():
    process = random_process(np.random.default_rng(3), 2, 0.4, mixture=False)
    reference = QuadratureReference(
        lambda x: 0.5 * (x - process.b) @ process.A @ (x - process.b), process.D, 2, box=[[-1.0, 3.0], [-2.0, 2.0]]
    )
    assert reference.log_normaliser == pytest.approx(process.log_normaliser, abs=1e-9)
    x = np.random.default_rng(4).normal(size=(5, 2))
    exact = process.density(np.inf)
    np.testing.assert_allclose(reference.equilibrium_log_prob(x), exact.log_prob(x), rtol=1e-9)
    np.testing.assert_allclose(reference.equilibrium_log_prob(x[0]), exact.log_prob(x[0]), rtol=1e-9)
    with pytest.raises(InputError, match=r"^x: got shape \(3,\)"):
        reference.equilibrium_log_prob(np.zeros(3))


def test_quadrature_of_a_kink():
    kink = QuadratureReference(lambda x: jnp.abs(x[0]), 1.0, 1)
    assert kink.log_normaliser == pytest.approx(np.log(2), abs=1e-6)


@pytest.mark.parametrize(("stiffness", "D"), [(1.0, 1.0), (3.0, 0.5)])
def test_the_log_sobolev_constant_of_a_gaussian(stiffness, D):
    """The best one is the stiffness; the criterion gives at least an eighth of it, and never more."""
    found = QuadratureReference(lambda x: 0.5 * stiffness * jnp.sum(x**2), D, 1).log_sobolev
    assert stiffness / 8 < found <= stiffness


WELL = QuadratureReference(lambda x: 2 * (x[0] ** 2 - 1) ** 2 + 0.2 * x[0], 0.7, 1)


@given(tilt=st.floats(-3, 3), wave=st.floats(-2, 2))
def test_the_log_sobolev_inequality(tilt, wave):
    """KL <= ||grad mu||^2 / (2 lam D) of densities near the equilibrium of a double well and far from it."""
    x, D = np.linspace(-4, 4, 4001), WELL.D
    log_rho = tilt * x + wave * np.sin(2 * x) - (2 * (x**2 - 1) ** 2 + 0.2 * x) / D
    rho = np.exp(log_rho - log_rho.max())
    rho /= rho.sum()
    log_ratio = np.log(rho / (x[1] - x[0])) - np.asarray(WELL.equilibrium_log_prob(x[:, None]))
    force = D * (tilt + 2 * wave * np.cos(2 * x))
    assert rho @ log_ratio <= rho @ force**2 / (2 * WELL.log_sobolev * D) + 1e-9


def test_the_log_sobolev_constant_is_not_far_from_the_best():
    """Mass moved from one well to the other is nearly the slowest way down."""
    x, D = np.linspace(-4, 4, 4001), WELL.D
    rho = np.exp(np.asarray(WELL.equilibrium_log_prob(x[:, None]))) * (x[1] - x[0])
    step = np.cumsum(np.where(np.abs(x) < 1, 1 / np.maximum(rho, 1e-9), 0))  # flat where mass is, steep on the barrier
    f = 2 * (step - step.min()) / np.ptp(step) - 1
    moved = rho * (1 + 0.3 * (f - rho @ f))
    force = D * np.gradient(np.log(moved / rho), x)
    best = (moved @ force**2) / (2 * D * (moved @ np.log(moved / rho)))
    assert best / 16 < WELL.log_sobolev < best


def test_the_log_sobolev_constant_in_the_plane_is_not_known():
    with pytest.raises(InputError, match=r"^QuadratureReference.log_sobolev: got dim = 2; allowed: one dimension"):
        QuadratureReference(lambda x: jnp.sum(x**2), 1.0, 2).log_sobolev  # noqa: B018


def test_quadrature_in_float32():
    with jax.enable_x64(False):
        reference = QuadratureReference(lambda x: 0.5 * jnp.sum(x**2), 1.0, 2)
        assert reference.log_normaliser == pytest.approx(np.log(2 * np.pi), abs=1e-6)


@pytest.mark.parametrize(
    ("potential", "message"),
    [
        (lambda x: -jnp.sum(x**2), "grows in all directions"),
        (lambda x: 0.0, "grows in all directions"),
        (lambda x: jnp.log(x[0]), "got NaN"),
        (lambda x: jnp.inf + x[0], "no finite value"),
        (lambda x: jnp.where(x[0] < 0, jnp.inf, x[0] ** 2), "log Z still changing"),
        (lambda x: x**2, r"got shape \(1,\) for one point"),
        (lambda x: np.exp(np.asarray(x[0])), "cannot trace"),
    ],
)
def test_quadrature_refuses_potentials(potential, message):
    with pytest.raises(InputError, match=message) as caught:
        QuadratureReference(potential, 1.0, 1).log_normaliser  # noqa: B018
    assert caught.value.field == "QuadratureReference.potential"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("potential", {"potential": 1.0}),
        ("D", {"D": -1.0}),
        ("dim", {"dim": 3}),
        ("dim", {"dim": 0}),
        ("dim", {"dim": 1.0}),
        ("box", {"box": [0.0, 1.0]}),
        ("box", {"box": [[1.0, 0.0]]}),
    ],
)
def test_quadrature_refuses_arguments(field, arguments):
    with pytest.raises(InputError) as caught:
        QuadratureReference(**({"potential": lambda x: x[0] ** 2, "D": 1.0, "dim": 1} | arguments))
    assert caught.value.field == f"QuadratureReference.{field}"


def test_observables_must_be_written_with_jax():
    reference = QuadratureReference(lambda x: x[0] ** 2, 1.0, 1)
    with pytest.raises(InputError, match=r"^observable: got .*jax\.numpy"):
        reference.mode_weight(lambda x: bool(x[0] > 0))
