"""The gallery: every problem builds, is what it says, and has the reference its figures come from."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.errors import InputError
from genwgp.references import OrnsteinUhlenbeck, QuadratureReference, reference_for

NAMES = gw.problems.names()
FOKKER_PLANCK = ["ornstein-uhlenbeck", "ornstein-uhlenbeck-mixture", "tilted-double-well", "double-well-1d"]
PRODUCTS = ["many-wells", "styblinski-tang"]
MODES = ["eight-modes", "scattered-modes"]
ENDS = ["rosenbrock", "eight-schools"]  # of which the equilibrium is known as a density
POSTERIORS = [
    "logistic-regression",
    "gaussian-process",
    "phi4-lattice",
]  # and other targets of which nothing is known exactly
FOKKER_PLANCK += ["gaussian-mixture", "banana", "ring", *PRODUCTS, *MODES, *ENDS]  # a potential and an entropy
PROCESSES = ["ornstein-uhlenbeck", "ornstein-uhlenbeck-mixture"]


def exact(name, **parameters) -> OrnsteinUhlenbeck:
    reference = gw.problems.get(name, **parameters).reference
    assert isinstance(reference, OrnsteinUhlenbeck)
    return reference


def quadrature(name, **parameters) -> QuadratureReference:
    reference = gw.problems.get(name, **parameters).reference
    assert isinstance(reference, QuadratureReference)
    return reference


def test_names():
    interactions = {"mckean-vlasov", "desai-zwanzig", "keller-segel", "aggregation-disk", "aggregation-annulus"}
    interactions |= {"aggregation-quartic", "aggregation-diffusion"}
    assert set(NAMES) == {*FOKKER_PLANCK, *interactions, "porous-medium", "fast-diffusion", "heat", *POSTERIORS}


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_is_described_and_builds_from_its_defaults(name):
    summary, parameters, source = gw.problems.describe(name)
    assert summary
    assert "\n" not in summary
    assert source
    problem = gw.problems.get(name, **parameters)
    assert problem.name == name
    if isinstance(problem.energy.internal, gw.Entropy):
        assert problem.energy.diffusion == parameters["diffusion"]


@pytest.mark.parametrize("name", FOKKER_PLANCK)
def test_fokker_planck_problems_know_their_normaliser(name):
    problem = gw.problems.get(name)
    assert problem.energy.diffusion == 1.0
    if name in PRODUCTS + MODES + ENDS:
        reference = gw.problems.get(name).reference
    else:
        reference = exact(name) if name in PROCESSES else quadrature(name)
    assert reference is not None
    assert reference.log_normaliser is not None
    assert np.isfinite(reference.log_normaliser)
    assert reference.equilibrium_free_energy == pytest.approx(-reference.log_normaliser, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_start_lies_above_the_equilibrium(name):
    parameters = {"diffusion": 0.8} if name in FOKKER_PLANCK else {}
    problem = gw.problems.get(name, **parameters)
    x = jnp.asarray(problem.initial.quasi_sample(0, 1024))
    start = problem.energy.value(x, problem.initial.log_prob(x))
    reference = problem.reference
    if name in ["aggregation-diffusion", *POSTERIORS]:
        assert reference is None
        return
    assert reference is not None
    end = reference.equilibrium_free_energy
    if name == "keller-segel":
        assert end is None
        return
    assert end is not None
    assert start > end + (0.1 if name in FOKKER_PLANCK else 0.05)


@pytest.mark.parametrize("name", NAMES)
def test_float32(name):
    with jax.enable_x64(False):
        problem = gw.problems.get(name)

        def everything(key):
            x = problem.initial.sample(key, 4)
            log_density, score = problem.initial.log_prob(x), problem.initial.score(x)
            return x, log_density, score, problem.energy.gradient(x, log_density, score)

        found = jax.eval_shape(everything, jax.random.key(0))  # types alone: nothing is compiled for them
        assert {a.dtype for a in found} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("name", PROCESSES)
def test_processes_in_any_dimension_match_their_reference(name, dim):
    problem = gw.problems.get(name, dim=dim, seed=3, diffusion=0.5)
    reference = problem.reference
    assert isinstance(reference, OrnsteinUhlenbeck)
    assert problem.dim == dim
    x = np.random.default_rng(0).normal(size=(4, dim))
    np.testing.assert_allclose(reference.density(0.0).log_prob(x), problem.initial.log_prob(x), rtol=1e-8)
    # The equilibrium's score is -grad V / D, so the chemical potential has no gradient there.
    x = jnp.asarray(x)
    end = reference.density(np.inf)
    np.testing.assert_allclose(problem.energy.gradient(x, end.log_prob(x), end.score(x)), 0.0, atol=1e-12)


def test_the_gaussian_process_does_not_commute_and_its_mean_moves():
    reference = exact("ornstein-uhlenbeck", dim=3)
    assert isinstance(reference.start, gw.Gaussian)
    A, S = np.asarray(reference.A), np.asarray(reference.start.covariance)
    assert np.abs(A @ S - S @ A).max() > 0.05
    assert np.linalg.norm(reference.start.mean) > 0.5
    assert np.linalg.norm(reference.start.mean - reference.b) > 0.5
    np.testing.assert_allclose(np.linalg.eigvalsh(A), [0.5, 1.75, 3.0])


def test_seeds_make_different_problems():
    first, again, other = (np.asarray(exact("ornstein-uhlenbeck", seed=seed).A) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize("dim", [1, 3])
def test_mixture_modes_are_three_different_lattice_points(dim):
    start = exact("ornstein-uhlenbeck-mixture", dim=dim).start
    assert isinstance(start, gw.Mixture)
    means = np.asarray(start.means)
    assert len(np.unique(means, axis=0)) == 3
    assert set(means.ravel()) <= {-1.0, 0.0, 1.0}


@pytest.mark.parametrize(("diffusion", "free_energy", "share"), [(1.0, -1.0201, 0.296), (0.5, -0.28928, 0.134)])
def test_tilted_double_well_has_the_published_figures(diffusion, free_energy, share):
    reference = quadrature("tilted-double-well", diffusion=diffusion)
    assert reference.equilibrium_free_energy == pytest.approx(free_energy, abs=6e-5)
    assert reference.mode_weight(lambda x: x[0] > 0) == pytest.approx(share, abs=6e-4)


@pytest.mark.parametrize(("diffusion", "free_energy"), [(1.0, 3.4697), (0.5, 3.6847)])
def test_tilted_double_well_starts_at_the_published_free_energy(diffusion, free_energy):
    problem = gw.problems.get("tilted-double-well", diffusion=diffusion)
    x = jnp.asarray(problem.initial.quasi_sample(0, 2**15))
    value = problem.energy.value(x, problem.initial.log_prob(x))
    assert float(value) == pytest.approx(free_energy, abs=1e-3)


def test_gaussian_mixture_is_normalised_with_the_given_shares():
    reference = quadrature("gaussian-mixture", separation=12.0)
    assert reference.log_normaliser == pytest.approx(0.0, abs=1e-10)
    shares = [reference.mode_weight(lambda x, i=i, j=j: (x[0] * i > 0) & (x[1] * j > 0)) for i, j in [(1, 1), (-1, 1)]]
    np.testing.assert_allclose(shares, [0.4, 0.3], atol=1e-6)


@pytest.mark.parametrize("diffusion", [1.0, 0.3])
def test_banana_has_the_area_of_its_shear(diffusion):
    reference = quadrature("banana", diffusion=diffusion)
    assert reference.log_normaliser == pytest.approx(np.log(np.pi * diffusion), abs=1e-9)


def test_double_well_barrier_is_in_units_of_the_diffusion():
    potential = gw.problems.get("double-well-1d", barrier=3.0, tilt=0.0, diffusion=0.5).energy.potential
    assert potential is not None
    assert float(potential(jnp.zeros(1)) - potential(jnp.ones(1))) == pytest.approx(1.5)


@pytest.mark.parametrize("name", ["well", "", None, 3])
def test_unknown_names_list_the_known(name):
    for call in (gw.problems.get, gw.problems.describe):
        with pytest.raises(InputError, match=r"^problem: got .*ornstein-uhlenbeck, .*banana"):
            call(name)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("tilted-double-well", "temperature", 1.0),
        ("tilted-double-well", "diffusion", -1.0),
        ("banana", "diffusion", "warm"),
        ("gaussian-mixture", "separation", 0.0),
        ("double-well-1d", "tilt", float("nan")),
        ("double-well-1d", "barrier", 0.0),
        ("ornstein-uhlenbeck", "dim", 0),
        ("ornstein-uhlenbeck", "dim", 2.5),
        ("ornstein-uhlenbeck-mixture", "seed", -1),
        ("rosenbrock", "blocks", 0),
        ("rosenbrock", "length", 1),
        ("rosenbrock", "a", 0.0),
        ("rosenbrock", "b", -1.0),
        ("rosenbrock", "centre", float("nan")),
        ("rosenbrock", "diffusion", 0.0),
        ("eight-schools", "centred", "yes"),
        ("eight-schools", "diffusion", 0.0),
        ("logistic-regression", "data", "iris"),
        ("logistic-regression", "prior_scale", 0.0),
        ("logistic-regression", "diffusion", 0.0),
        ("phi4-lattice", "size", 1),
        ("phi4-lattice", "mass_squared", float("inf")),
        ("phi4-lattice", "coupling", 0.0),
        ("phi4-lattice", "diffusion", 0.0),
        ("gaussian-process", "rows", 443),
        ("gaussian-process", "diffusion", 0.0),
        ("mckean-vlasov", "dim", 0),
        ("mckean-vlasov", "attraction", -1.0),
        ("mckean-vlasov", "stiffness", 0.0),
        ("desai-zwanzig", "attraction", 0.0),
        ("desai-zwanzig", "mean", float("inf")),
        ("desai-zwanzig", "diffusion", -0.1),
        ("keller-segel", "chi", 0.0),
        ("keller-segel", "diffusion", 0.0),
        ("keller-segel", "epsilon", -1.0),
        ("aggregation-disk", "width", 0.0),
        ("aggregation-disk", "stretch", 0.0),
        ("aggregation-disk", "epsilon", 0.0),
        ("aggregation-annulus", "charge", 0.0),
        ("aggregation-annulus", "clusters", 1),
        ("aggregation-annulus", "epsilon", 0.0),
        ("aggregation-quartic", "dim", -1),
        ("aggregation-quartic", "diffusion", -0.1),
        ("aggregation-diffusion", "attraction", 0.0),
        ("aggregation-diffusion", "length", 0.0),
        ("aggregation-diffusion", "separation", 0.0),
        ("aggregation-diffusion", "stiffness", 0.0),
        ("aggregation-diffusion", "diffusion", 0.0),
        ("porous-medium", "dim", 0),
        ("porous-medium", "m", 1.0),
        ("porous-medium", "stiffness", -1.0),
        ("porous-medium", "radius", 0.0),
        ("porous-medium", "diffusion", 0.0),
        ("fast-diffusion", "dim", 0),
        ("fast-diffusion", "m", 0.5),
        ("fast-diffusion", "stiffness", 0.0),
        ("fast-diffusion", "radius", -1.0),
        ("fast-diffusion", "diffusion", 0.0),
        ("heat", "dim", 0),
        ("heat", "diffusion", 0.0),
    ],
)
def test_parameters_refused(name, parameter, value):
    with pytest.raises(InputError) as caught:
        gw.problems.get(name, **{parameter: value})
    assert caught.value.field == f"{name}.{parameter}"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_the_sums_of_their_coordinates(name):
    """V splits; and F and the dissipation of the start, over particles, are those of the product of paths."""
    problem: Any = gw.problems.get(name, dim=3)
    one: Any = [gw.problems.get(name, dim=d).energy.potential for d in range(1, 4)]
    x = jnp.linspace(-1.5, 2.0, 3)
    parts = [one[i](x[: i + 1]) - (one[i - 1](x[:i]) if i else 0.0) for i in range(3)]
    assert float(problem.energy.potential(x)) == pytest.approx(float(sum(parts)))
    x = jnp.asarray(problem.initial.quasi_sample(0, 2**14))
    log_density, score = problem.initial.log_prob(x), problem.initial.score(x)
    reference: Any = reference_for(problem)
    assert reference is problem.reference
    assert float(problem.energy.value(x, log_density)) == pytest.approx(reference.free_energy(0.0), abs=0.05)
    assert float(problem.energy.dissipation(x, log_density, score)) == pytest.approx(
        reference.dissipation(0.0), rel=0.03
    )


@pytest.mark.parametrize("diffusion", [1.0, 0.5])
def test_eight_modes_are_those_of_a_plane_in_any_dimension(diffusion):
    """V along the plane and across it, and log Z, against the reference that is made of them."""
    problem = gw.problems.get("eight-modes", dim=4, diffusion=diffusion, seed=2)
    assert problem.reference is not None
    assert problem.reference.log_normaliser == pytest.approx(2 * np.log(2 * np.pi), abs=1e-6)
    end = problem.reference.density(np.inf)
    assert end is not None
    x = np.asarray(end.sample(jax.random.key(0), 20))
    V = problem.energy.per_particle(jnp.asarray(x), jnp.zeros(20))
    np.testing.assert_allclose(end.log_prob(x), -V / diffusion - 2 * np.log(2 * np.pi), atol=0.02)


def test_scattered_modes_are_their_own_equilibrium():
    problem = gw.problems.get("scattered-modes", dim=3, diffusion=0.5, seed=4)
    assert problem.reference is not None
    end = problem.reference.density(np.inf)
    assert isinstance(end, gw.Mixture)
    assert 5 <= len(end.weights) <= 10
    x = jnp.asarray(end.quasi_sample(0, 20))
    np.testing.assert_allclose(end.log_prob(x), -problem.energy.per_particle(x, jnp.zeros(20)) / 0.5, rtol=1e-9)
    assert problem.reference.density(1.0) is None
