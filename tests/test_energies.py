"""Laws of free energies: gradients against finite differences, estimates against closed forms, refused inputs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import genwgp as gw
from genwgp.energies import (
    CustomInternal,
    Entropy,
    FastDiffusion,
    FreeEnergy,
    GaussianInteraction,
    Interaction,
    InteractionSum,
    InternalSum,
    LogarithmicInteraction,
    MorseInteraction,
    NewtonianInteraction,
    PorousMedium,
    PowerInteraction,
    QuadraticInteraction,
    QuarticInteraction,
)
from genwgp.errors import InputError


def quartic(x):
    return jnp.sum(x**4) / 4 + jnp.sin(x[0]) * x[-1]


ENERGIES = {
    "potential": lambda: FreeEnergy(potential=quartic),
    "entropy": lambda: FreeEnergy(internal=Entropy(0.7)),
    "both": lambda: FreeEnergy(quartic, Entropy(0.7)),
    "constant potential": lambda: FreeEnergy(lambda x: 3, Entropy(2)),
    "tilted-double-well": lambda: gw.problems.get("tilted-double-well", diffusion=0.5).energy,
    "gaussian-mixture": lambda: gw.problems.get("gaussian-mixture").energy,
    "porous medium": lambda: FreeEnergy(quartic, PorousMedium(2.5, 0.7)),
    "fast diffusion": lambda: FreeEnergy(quartic, FastDiffusion(0.75)),
    "sum of internal energies": lambda: FreeEnergy(None, InternalSum(Entropy(0.3), PorousMedium(2.0))),
    "user's internal energy": lambda: FreeEnergy(None, CustomInternal(lambda rho: rho**3 + rho**2)),
    "banana": lambda: gw.problems.get("banana").energy,
    "ornstein-uhlenbeck": lambda: gw.problems.get("ornstein-uhlenbeck").energy,
}


INTERACTIONS = {
    "user's": Interaction(lambda z: jnp.log(1 + z @ z)),
    "quadratic": QuadraticInteraction(0.8),
    "quartic": QuarticInteraction(0.5, 1.3),
    "gaussian": GaussianInteraction(-2.0, 0.7),
    "morse": MorseInteraction(),
    "power": PowerInteraction(2.0, 0.0),
    "power, odd": PowerInteraction(3.0, 1.0),
    "power, whole": PowerInteraction(4.0, 2.0),
    "logarithmic": LogarithmicInteraction(-1.5),
    "newtonian": NewtonianInteraction(2, 2.0),
    "sum": InteractionSum(QuadraticInteraction(), GaussianInteraction(1.0, 0.5)),
}
CLOUD = gw.Gaussian([0.5, 0.0], [[1.2, -0.3], [-0.3, 0.6]]).sample(jax.random.key(7), 40)

slope, potential = eqx.filter_jit(FreeEnergy.gradient), eqx.filter_jit(FreeEnergy.chemical_potential)
BUILT = {name: build() for name, build in ENERGIES.items()}
BUILT |= {name: FreeEnergy(quartic, Entropy(0.4), W).among(CLOUD) for name, W in INTERACTIONS.items()}


@pytest.mark.parametrize("name", BUILT)
@given(seed=st.integers(0, 2**31))
def test_gradient_is_the_finite_difference_of_the_chemical_potential(name, seed):
    energy, rho, step = BUILT[name], gw.Gaussian([0.3, -0.2], [[1.0, 0.4], [0.4, 0.8]]), 1e-5
    x = rho.sample(jax.random.key(seed), 3)
    gradient = slope(energy, x, rho.log_prob(x), rho.score(x))
    for axis in range(2):
        shift = np.eye(2)[axis] * step
        high, low = (potential(energy, y, rho.log_prob(y)) for y in (x + shift, x - shift))
        np.testing.assert_allclose(gradient[:, axis], (high - low) / (2 * step), rtol=1e-6, atol=1e-6)


def test_value_of_a_gaussian_is_the_closed_form():
    D, variance = 0.5, np.array([0.5, 2.0])
    energy = FreeEnergy(lambda x: 0.5 * x @ x, Entropy(D))
    rho = gw.Gaussian(np.zeros(2), variance)
    x = jnp.asarray(rho.quasi_sample(0, 2**14))
    exact = 0.5 * variance.sum() - 0.5 * D * np.log((2 * np.pi * np.e) ** 2 * variance.prod())
    assert float(energy.value(x, rho.log_prob(x))) == pytest.approx(exact, abs=1e-3)
    np.testing.assert_allclose(energy.value(x, rho.log_prob(x)), energy.per_particle(x, rho.log_prob(x)).mean())


def test_dissipation_vanishes_at_the_equilibrium_only():
    energy = FreeEnergy(lambda x: 0.5 * x @ x, Entropy(1.0))
    for variance, exact in ((1.0, 0.0), (4.0, 2 * (2.0 - 0.5) ** 2)):
        rho = gw.Gaussian([0.0, 0.0], variance)
        x = jnp.asarray(rho.quasi_sample(1, 2**12))
        assert float(energy.dissipation(x, rho.log_prob(x), rho.score(x))) == pytest.approx(exact, rel=5e-3, abs=1e-12)


@pytest.mark.parametrize("name", INTERACTIONS)
def test_mean_field_is_the_mean_over_pairs(name):
    """Moments, blocks and the sum over pairs agree; among themselves particles leave themselves out."""
    W = INTERACTIONS[name]
    x = gw.Gaussian([0.3, -0.2], 0.8).sample(jax.random.key(1), 300)  # more than one block
    alone = FreeEnergy(interaction=W)
    among = alone.among(CLOUD)
    pairs = jax.jit(lambda x, y: jax.vmap(lambda a: jax.vmap(lambda b: W(a - b))(y))(x))
    forces = jax.jit(lambda x, y: jax.vmap(lambda a: jax.vmap(lambda b: jax.grad(W)(a - b))(y))(x))
    nothing = jnp.zeros(300)
    np.testing.assert_allclose(among.per_particle(x, nothing), 0.5 * pairs(x, CLOUD).mean(1), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(among.drift(x), forces(x, CLOUD).mean(1), rtol=1e-9, atol=1e-12)
    others = 1 - np.eye(300)
    own = (np.asarray(pairs(x, x)) * others).sum(1) / 299
    np.testing.assert_allclose(alone.chemical_potential(x, nothing), own, rtol=1e-9, atol=1e-12)
    push = (np.asarray(forces(x, x)) * others[:, :, None]).sum(1) / 299
    np.testing.assert_allclose(alone.drift(x), push, rtol=1e-9, atol=1e-12)


def test_the_gradient_is_the_first_variation_of_the_interaction():
    """d F / d eps for particles x + eps w is the mean of grad mu . w, also where it is differentiated by jax."""
    energy = FreeEnergy(interaction=GaussianInteraction(-2.0, 0.7))
    x, w = CLOUD, jnp.sin(CLOUD[:, ::-1])
    change = jax.jvp(lambda x: energy.value(x, jnp.zeros(40)), (x,), (w,))[1]
    backwards = jnp.sum(jax.grad(lambda x: energy.value(x, jnp.zeros(40)))(x) * w)
    expected = jnp.mean(jnp.sum(energy.drift(x) * w, 1))
    np.testing.assert_allclose([change, backwards], expected, rtol=1e-10)


def test_newtonian_interactions_solve_the_poisson_equation():
    """lap W = 0 away from zero, and the flux of grad W through a sphere is the strength."""
    for dim, sphere in ((2, 2 * np.pi), (3, 4 * np.pi)):
        W, z = NewtonianInteraction(dim, 2.0, 1e-4), jnp.arange(1.0, dim + 1)
        r = jnp.linalg.norm(z)
        assert abs(float(jnp.trace(jax.hessian(W)(z)))) < 1e-6
        assert float(jax.grad(W)(z) @ z / r * sphere * r ** (dim - 1)) == pytest.approx(2.0, rel=1e-6)


def test_many_particles_need_no_matrix_of_pairs():
    """20,000 particles: their pairs alone would take 3 GiB; what jax takes beside its arguments is far below."""
    energy = FreeEnergy(interaction=GaussianInteraction(-2.0, 0.7))
    x = jax.ShapeDtypeStruct((20_000, 2), jnp.float64)
    total = lambda x: energy.value(x, jnp.zeros(20_000))
    for function in (energy.drift, jax.grad(total)):
        needed = jax.jit(function).lower(x).compile().memory_analysis()
        assert needed is not None
        assert needed.temp_size_in_bytes < 100 * 2**20


def test_internal_energies_on_grids_and_particles_agree():
    rho = jnp.asarray([1e-3, 0.2, 1.0, 3.0])
    for internal in (Entropy(0.7), PorousMedium(2.5, 0.7), FastDiffusion(0.75), CustomInternal(lambda r: r**3)):
        np.testing.assert_allclose(internal.per_particle(jnp.log(rho)) * rho, internal.value(rho), rtol=1e-12)
        shift = internal.chemical_potential(jnp.log(rho)) - internal.derivative(rho)
        np.testing.assert_allclose(shift, shift[0] * jnp.ones(4), atol=1e-12)  # a constant, which moves nothing
        bend = jax.vmap(jax.grad(lambda r, internal=internal: internal.derivative(r)))(rho)
        np.testing.assert_allclose(internal.slope(jnp.log(rho)), rho * bend, rtol=1e-10)


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("PorousMedium.m", lambda: PorousMedium(1.0)),
        ("FastDiffusion.m", lambda: FastDiffusion(1.2)),
        ("FastDiffusion.m", lambda: gw.Problem(FreeEnergy(quartic, FastDiffusion(0.4)), gw.Gaussian([0.0, 0.0], 1))),
        ("CustomInternal.U", lambda: CustomInternal(lambda rho: -(rho**2))),
        ("InternalSum", lambda: InternalSum()),
        ("InteractionSum", lambda: InteractionSum(quartic)),  # pyright: ignore[reportArgumentType]
        ("PowerInteraction.repulsion", lambda: PowerInteraction(1.0, 2.0)),
        ("GaussianInteraction.length", lambda: GaussianInteraction(1.0, 0.0)),
        ("LogarithmicInteraction.epsilon", lambda: LogarithmicInteraction(1.0, 0.0)),
        ("NewtonianInteraction.dim", lambda: NewtonianInteraction(0)),
        ("FreeEnergy.interaction", lambda: FreeEnergy(interaction=2.0)),  # pyright: ignore[reportArgumentType]
    ],
)
def test_unusable_parts_are_refused(field, make):
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("interaction", "dim", "exact"),
    [
        (LogarithmicInteraction(1.0, 0.05), 1, np.log),
        (LogarithmicInteraction(1.0, 0.05), 2, np.log),
        (LogarithmicInteraction(1.0, 0.05), 3, np.log),
        (NewtonianInteraction(1, 2.0, 0.05), 1, lambda r: r),
        (NewtonianInteraction(2, 2 * np.pi, 0.05), 2, np.log),
        (NewtonianInteraction(5, 1.0, 0.05), 5, lambda r: -1 / (8 * np.pi**2 * r**3)),
        (PowerInteraction(1.0, -0.5, 1.0, 0.05), 2, lambda r: r + 2 / r**0.5),
        (MorseInteraction(1.0, 0.5, 1.0, 2.0, 0.05), 2, lambda r: np.exp(-r) - 0.5 * np.exp(-r / 2)),
    ],
)
def test_regularisation_keeps_the_integral_and_leaves_little_from_afar(interaction, dim, exact):
    def error(r):
        return np.asarray(jax.vmap(lambda r: interaction(r * jnp.eye(dim)[0]))(jnp.asarray(r))) - exact(np.asarray(r))

    r = np.geomspace(1e-6, 20, 40_001) * interaction.core
    shells = error(r) * r**dim
    assert abs(shells.sum()) < 0.15 * np.abs(shells).sum()
    assert abs(error([1.0])[0]) < 2 * interaction.core**4


def test_regularisation_of_the_unit_disk():
    """Of the disk in equilibrium: F and the virial of pairs, by quadrature over their distances."""
    interaction = PowerInteraction(2.0, 0.0, 1.0, 0.05)
    r = (np.arange(200_000) + 0.5) * 1e-5
    pairs = 2 * r / np.pi * (2 * np.arccos(r / 2) - r / 2 * np.sqrt(4 - r**2)) * 1e-5
    W, slope = jax.vmap(jax.value_and_grad(lambda r: interaction(jnp.asarray([r, 0.0]))))(jnp.asarray(r))
    assert pairs.sum() == pytest.approx(1, abs=1e-6)
    assert abs(0.5 * pairs @ (np.asarray(W) - r**2 / 2 + np.log(r))) < 2e-5
    assert abs(pairs @ (np.asarray(slope) * r - r**2 + 1)) < 2e-4


def test_kinds_that_do_not_fit_the_dimension_are_refused():
    start = gw.Gaussian([0.0, 0.0], 1.0)
    with pytest.raises(InputError, match=r"^NewtonianInteraction\.dim: .* 2"):
        gw.Problem(FreeEnergy(quartic, Entropy(1.0), NewtonianInteraction(3)), start)
    with pytest.raises(InputError, match=r"^PowerInteraction: .*\^-2 in dimension 2.* above -2"):
        gw.Problem(FreeEnergy(quartic, Entropy(1.0), PowerInteraction(1.0, -2.0)), start)


@pytest.mark.parametrize(
    ("W", "words"),
    [
        (lambda z: z[0], "an even function"),
        (lambda z: jnp.log(z @ z), "regularise"),
        (lambda z: jnp.sqrt(z @ z), "regularise"),
        (lambda z: z, "returns one number"),
        (lambda z: jnp.where(z[0] > 0, jnp.inf, 0.0), "finite"),
    ],
)
def test_interactions_are_checked_with_the_problem(W, words):
    with pytest.raises(InputError, match=words) as caught:
        gw.Problem(FreeEnergy(quartic, Entropy(1.0), W), gw.Gaussian([0.0, 0.0], 1.0))
    assert caught.value.field == "energy.interaction"
    assert "\n" not in str(caught.value)


def test_relative_entropy_is_zero_at_its_target():
    """D KL(rho || pi) for two Gaussians, with an unnormalised target."""
    pi, rho, D = gw.Gaussian([0.5], 0.8), gw.Gaussian([0.0], 0.5), 0.7
    energy = gw.RelativeEntropy(lambda x: pi.log_prob(x) + 3.0, D)
    x = jnp.asarray(rho.quasi_sample(0, 2**14))
    kl = 0.5 * (0.5 / 0.8 + 0.25 / 0.8 - 1 + np.log(0.8 / 0.5))
    assert float(energy.value(x, rho.log_prob(x))) == pytest.approx(D * (kl - 3.0), abs=1e-3)
    y = jnp.asarray(pi.quasi_sample(0, 256))
    assert float(energy.dissipation(y, pi.log_prob(y), pi.score(y))) < 1e-20
    assert energy.diffusion == D


def test_diffusion_is_that_of_the_entropy():
    assert FreeEnergy(quartic, PorousMedium(2.0)).diffusion == 0.0
    assert FreeEnergy(quartic).diffusion == 0.0
    assert FreeEnergy(quartic, Entropy(0.25)).diffusion == 0.25


def test_one_dtype_in_float32():
    with jax.enable_x64(False):
        x = jnp.ones((4, 2))
        energy = FreeEnergy(quartic, Entropy(0.7))
        assert energy.gradient(x, x[:, 0], x).dtype == energy.value(x, x[:, 0]).dtype == jnp.float32


@pytest.mark.parametrize("D", [0, -1.0, float("nan"), float("inf"), "1", None, [1.0]])
def test_entropy_refuses(D):
    with pytest.raises(InputError, match=r"^Entropy\.D: got .*above 0$"):
        Entropy(D)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("FreeEnergy", {}),
        ("FreeEnergy.potential", {"potential": 3.0}),
        ("FreeEnergy.internal", {"internal": 1.0}),
        ("FreeEnergy.internal", {"potential": quartic, "internal": quartic}),
    ],
)
def test_free_energy_refuses(field, arguments):
    with pytest.raises(InputError) as caught:
        FreeEnergy(**arguments)
    assert caught.value.field == field
    assert "\n" not in str(caught.value)
