"""Finite volumes: order against exact paths, conservation, positivity, decay of F, equilibria, inputs refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import genwgp as gw
from genwgp.energies import CustomInternal, PorousMedium
from genwgp.errors import InputError, NotConvergedError
from genwgp.references import (
    Barenblatt,
    FiniteVolume,
    LogarithmicAggregation,
    McKeanVlasov,
    OrnsteinUhlenbeck,
    QuadratureReference,
)
from genwgp.references.convolution import Convolution
from genwgp.references.implicit import Implicit
from genwgp.references.mesh import Mesh
from genwgp.references.scharfetter_gummel import ScharfetterGummel, bernoulli


def parabola(x):
    return 0.5 * jnp.sum(x**2)


def weak_parabola(z):
    return 0.25 * jnp.sum(z**2)


NARROW, MODES = gw.Gaussian([1.5], 0.3**2), gw.Mixture([0.4, 0.6], [[-1.0], [1.0]], 0.2**2)
ENTROPY = gw.Entropy(1.0)
OU = OrnsteinUhlenbeck([[1.0]], [0.0], 1.0, NARROW)
MIXTURE = OrnsteinUhlenbeck([[1.0]], [0.0], 1.0, MODES)
MEAN_FIELD = McKeanVlasov([[1.0]], [0.0], [[0.5]], 1.0, NARROW)
FREE, CONFINED = Barenblatt(1, 2.0, 1.0), Barenblatt(1, 2.0, 0.75, stiffness=1.0, centre=[0.375])
PLANE = OrnsteinUhlenbeck([[1.0, 0.4], [0.4, 0.8]], [0.2, 0.0], 0.7, gw.Gaussian([1.0, -1.0], [0.3, 0.2]))


def tilted_parabola(x):
    return 0.5 * (x - PLANE.b) @ PLANE.A @ (x - PLANE.b)


# name -> exact path, constructor by cells, cells of the coarser mesh
PATHS = {
    "gaussian": (OU, lambda n: FiniteVolume(NARROW, parabola, internal=ENTROPY, cells=n), 128),
    "mixture": (MIXTURE, lambda n: FiniteVolume(MODES, parabola, internal=ENTROPY, cells=n), 128),
    "mean field": (MEAN_FIELD, lambda n: FiniteVolume(NARROW, parabola, weak_parabola, ENTROPY, cells=n), 128),
    "plane": (PLANE, lambda n: FiniteVolume(PLANE.start, tilted_parabola, internal=gw.Entropy(0.7), cells=n), 48),
    "porous medium": (
        FREE,
        lambda n: FiniteVolume(FREE.start, internal=PorousMedium(2.0), box=[[-3, 3]], cells=n),
        128,
    ),
    "porous medium in a parabola": (
        CONFINED,
        lambda n: FiniteVolume(CONFINED.start, parabola, internal=PorousMedium(2.0), box=[[-3, 3]], cells=n),
        128,
    ),
}
law = pytest.mark.parametrize("name", PATHS)


def distance(path, exact, t):
    """The L1 distance of the densities on the cells, away from the fronts of compact supports."""
    points = path.mesh.centres.reshape(-1, path.dim)
    expected = np.exp(np.asarray(exact.density(t).log_prob(points))).reshape(path.mesh.cells)
    smooth = expected > 0.2 * expected.max()
    return np.sum(np.abs(path.density(t).on_grid[1] - expected)[smooth]) * path.mesh.volume


@law
def test_second_order_against_the_exact_path(name):
    exact, build, cells = PATHS[name]
    coarse, fine = (distance(build(n), exact, 0.5) for n in (cells, 2 * cells))
    assert np.log2(coarse / fine) > 1.8
    assert fine < 5e-3


@law
def test_mass_positivity_and_decay(name):
    _, build, cells = PATHS[name]
    path = build(cells)
    times = [0.0, 0.02, 0.1, 0.5, 2.0]
    values = [path.density(t).on_grid[1] for t in times]
    energies = [path.free_energy(t) for t in times]
    for rho in values:
        assert np.sum(rho) * path.mesh.volume == pytest.approx(1.0, abs=1e-12)
        assert rho.min() >= 0
    assert all(later < earlier for earlier, later in itertools.pairwise(energies))
    if isinstance(path.internal, gw.Entropy):
        assert all(rho.min() > 0 for rho in values[1:])
    slope = (path.free_energy(0.501) - path.free_energy(0.499)) / 0.002
    assert path.dissipation(0.5) == pytest.approx(-slope, rel=1e-3)


@law
def test_free_energy_and_moments_are_those_of_the_exact_path(name):
    exact, build, cells = PATHS[name]
    path, t = build(4 * cells), 0.5
    rho, expected = path.density(t), exact.density(t)
    np.testing.assert_allclose(rho.mean, expected.mean, atol=5e-4)
    np.testing.assert_allclose(rho.covariance, expected.covariance, atol=1e-3)
    if name != "mixture":  # its F has no closed form
        assert path.free_energy(t) == pytest.approx(float(exact.free_energy(t)), abs=1e-3)


@pytest.mark.parametrize(("start", "exact"), [(NARROW, OU), (gw.Mixture([0.5, 0.5], [[-1.0], [1.0]], 0.1**2), None)])
def test_the_default_resolution_is_within_1e_4_of_the_drop(start, exact):
    exact = exact or OrnsteinUhlenbeck([[1.0]], [0.0], 1.0, start)
    path = FiniteVolume(start, parabola, internal=ENTROPY)
    drop = path.free_energy(0) - path.equilibrium_free_energy
    x = np.linspace(-8, 8, 20001)
    for t in (0.01, 0.1, 1.0):
        log_rho = np.asarray(exact.density(t).log_prob(x[:, None]))
        F = np.sum(np.exp(log_rho) * (x**2 / 2 + log_rho)) * (x[1] - x[0])
        assert abs(path.free_energy(t) - F) < 1e-5 * drop
        np.testing.assert_allclose(path.density(t).mean, exact.density(t).mean, atol=1e-5)
        np.testing.assert_allclose(path.density(t).covariance, exact.density(t).covariance, atol=1e-5)


def test_log_density_and_score_between_the_cells():
    path, x = FiniteVolume(MODES, parabola, internal=ENTROPY, cells=2048), np.linspace(-2, 2, 77)[:, None]
    for t in (0.05, 1.0, np.inf):
        rho, exact = path.density(t), MIXTURE.density(t)
        np.testing.assert_allclose(rho.log_prob(x), exact.log_prob(x), atol=1e-3)
        np.testing.assert_allclose(rho.score(x), exact.score(x), atol=5e-3)


def test_times_in_any_order():
    forward, backward = (FiniteVolume(NARROW, parabola, internal=ENTROPY, cells=256) for _ in range(2))
    times = [0.1, 0.37, 1.0]
    first = [forward.free_energy(t) for t in times]
    second = [backward.free_energy(t) for t in reversed(times)][::-1]
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert forward.density(0.37) is forward.density(0.37)


def test_the_steady_state_is_the_gibbs_density_also_after_a_barrier_of_twelve():
    potential = lambda x: 12.0 * (x[0] ** 2 - 1) ** 2 + 0.5 * x[0]
    path = FiniteVolume(gw.Gaussian([-1.0], 0.2**2), potential, internal=ENTROPY, cells=512)
    reference = QuadratureReference(potential, 1.0, 1)
    assert path.log_normaliser == pytest.approx(reference.log_normaliser, abs=1e-10)
    assert path.equilibrium_free_energy == pytest.approx(reference.equilibrium_free_energy, abs=1e-10)
    np.testing.assert_allclose(path.density(np.inf).mean, reference.expectation(lambda x: x), atol=1e-9)
    assert path.free_energy(1e3) > path.equilibrium_free_energy + 0.01  # the well at +1 fills slowly
    assert path.free_energy(1e7) == pytest.approx(path.equilibrium_free_energy, abs=1e-10)
    np.testing.assert_allclose(path.density(1e7).mean, path.density(np.inf).mean, atol=1e-8)


def test_the_curved_double_well():
    path = FiniteVolume.of(gw.problems.get("tilted-double-well"), cells=96)
    assert path.free_energy(0) == pytest.approx(3.46974, abs=1e-5)
    assert path.equilibrium_free_energy == pytest.approx(-1.02014, abs=1e-5)
    assert path.density(np.inf).dim == 2
    assert path.free_energy(0.1) == pytest.approx(0.44727, abs=1e-3)


@pytest.mark.parametrize(("D", "mean"), [(0.2, 0.851479), (0.3, 0.705495)])
def test_the_ordered_phase_of_desai_and_zwanzig(D, mean):
    potential, attraction = lambda x: x[0] ** 4 / 4 - x[0] ** 2 / 2, lambda z: z[0] ** 2 / 2
    path = FiniteVolume(gw.Gaussian([0.5], 0.3**2), potential, attraction, gw.Entropy(D), cells=512)
    assert path.density(np.inf).mean[0] == pytest.approx(mean, abs=2e-6)
    assert path.log_normaliser is None
    assert path.equilibrium_free_energy < path.free_energy(1.0)


@pytest.mark.parametrize("internal", [PorousMedium(2.0), None])
def test_without_entropy_the_largest_chemical_potential_at_the_start_bounds_the_box(internal):
    start = CONFINED.start
    path = FiniteVolume(start, parabola, internal=internal, cells=128)
    if internal is None:  # every particle falls to 0: rho(t, x) = e^t rho_0(e^t x)
        mean, reach = np.exp(-0.5) * start.mean, float(start.centre[0] + start.radius)
    else:  # V + 2 rho <= 1.125^2 / 2 at the front, 2 rho <= 1.5 / 0.75 at the centre
        mean, reach = CONFINED.density(0.5).mean, 2.1
    np.testing.assert_allclose(path.density(0.5).mean, mean, atol=2e-3)
    assert reach < path.mesh.box[0, 1] < 3


def test_a_disk_under_logarithmic_aggregation():
    exact = LogarithmicAggregation.create(2, 1.5)
    kernel = lambda z: parabola(z) - 0.5 * jnp.log(jnp.sum(z**2))
    path = FiniteVolume(exact.start, interaction=kernel, box=[[-2, 2], [-2, 2]], cells=48)
    for t in (0.1, 0.5):
        assert path.free_energy(t) == pytest.approx(float(exact.free_energy(t)), abs=5e-3)
        assert path.density(t).covariance[0, 0] == pytest.approx(float(exact.density(t).covariance[0, 0]), rel=2e-2)


def test_a_user_s_internal_energy_is_that_of_the_porous_medium():
    custom = FiniteVolume(FREE.start, internal=CustomInternal(lambda rho: rho**2), box=[[-3, 3]], cells=64)
    named = FiniteVolume(FREE.start, internal=PorousMedium(2.0), box=[[-3, 3]], cells=64)
    np.testing.assert_allclose(custom.density(0.5).on_grid[1], named.density(0.5).on_grid[1], rtol=1e-12)
    assert custom.free_energy(0.5) == pytest.approx(named.free_energy(0.5), rel=1e-12)
    assert custom.log_normaliser is None


def test_it_works_in_float32():
    expected = float(OU.free_energy(0.5))
    with jax.enable_x64(False):
        path = FiniteVolume(gw.Gaussian([1.5], 0.3**2), parabola, internal=ENTROPY, cells=512)
        assert path.density(0.5).values.dtype == jnp.float32
        assert path.free_energy(0.5) == pytest.approx(expected, abs=1e-4)


def test_long_steps_stay_positive_and_conserve_mass():
    mesh = Mesh(np.array([[-6.0, 6.0]]), (300,))
    scheme = ScharfetterGummel(mesh, 0.5 * mesh.axes[0] ** 2, 1.0, None)
    rho = np.exp(-(((mesh.axes[0] - 2) / 0.1) ** 2) / 2)
    rho /= rho.sum() * mesh.volume
    march = Implicit(scheme, 1e6)  # every step is accepted
    for step in (1e-3, 0.1, 1.0, 100.0):
        after, _ = march.march(rho, step, step)
        assert after.min() > 0
        assert after.sum() * mesh.volume == pytest.approx(1.0, abs=1e-13)


@given(z=st.floats(-800, 800))
def test_bernoulli(z):
    a, b = bernoulli(np.array([z, -z]))
    assert a >= 0
    assert b - a == pytest.approx(z, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("cells", [(7,), (5, 8)])
def test_convolution_is_the_sum(cells):
    mesh = Mesh(np.array([[-1.0, 2.0]] * len(cells)), cells)
    kernel = lambda z: jnp.exp(-jnp.sum(z**2)) + jnp.abs(z[0])
    rho = np.random.default_rng(0).uniform(size=cells)
    points = mesh.centres.reshape(-1, mesh.dim)
    W = np.asarray(jax.vmap(jax.vmap(kernel))(points[:, None] - points[None]))
    np.testing.assert_allclose(Convolution(kernel, mesh)(rho).ravel(), W @ rho.ravel() * mesh.volume, rtol=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_singular_kernel_is_averaged_over_its_cell(sign):
    mesh = Mesh(np.array([[-1.0, 1.0]]), (200,))
    convolution = Convolution(lambda z: -sign * jnp.log(jnp.abs(z[0])), mesh)
    uniform = np.full(200, 0.5)
    # -int_{-1}^1 log|x - y| dy / 2 at x = 0 is 1.
    assert sign * convolution(uniform)[100] == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("FiniteVolume.initial", {"initial": gw.Gaussian(np.zeros(3), 1.0)}),
        ("FiniteVolume", {"potential": None, "internal": None}),
        ("FiniteVolume.potential", {"potential": 1.0}),
        ("FiniteVolume.interaction", {"interaction": "log"}),
        ("FiniteVolume.internal", {"internal": 1.0}),
        ("FiniteVolume.box", {"box": [1.0, 2.0]}),
        ("FiniteVolume.box", {"box": [[1.0, 0.0]]}),
        ("FiniteVolume.cells", {"cells": 4}),
        ("FiniteVolume.cells", {"cells": 64.0}),
        ("FiniteVolume.cells", {"cells": [64, 64]}),
        ("FiniteVolume.tolerance", {"tolerance": 0.0}),
    ],
)
def test_arguments_refused(field, arguments):
    usual = {"initial": NARROW, "potential": parabola, "internal": ENTROPY}
    with pytest.raises(InputError) as caught:
        FiniteVolume(**(usual | arguments))
    assert caught.value.field == field


def test_internal_energies_refused():
    for m in (1.0, 0.5, "two"):
        with pytest.raises(InputError, match=r"^PorousMedium\.m"):
            PorousMedium(m)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"^CustomInternal\.U"):
        CustomInternal(2.0)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("FiniteVolume.box", {"potential": None}),
        ("FiniteVolume.box", {"internal": PorousMedium(2.0), "interaction": weak_parabola}),
        ("FiniteVolume.potential", {"potential": lambda x: -parabola(x)}),
        (
            "FiniteVolume.potential",
            {"potential": lambda x: jnp.where(x[0] < 5, parabola(x), jnp.inf), "box": [[-6, 6]]},
        ),
        ("FiniteVolume.potential", {"potential": lambda x: x}),
        ("FiniteVolume.interaction", {"interaction": lambda z: z[0]}),
        ("FiniteVolume.interaction", {"interaction": lambda z: jnp.where(jnp.abs(z[0]) > 1, jnp.inf, 0.0)}),
        ("FiniteVolume.cells", {"initial": gw.Gaussian([0.3], 0.01**2)}),
        ("FiniteVolume.box", {"interaction": lambda z: -1.5 * parabola(z)}),  # tears itself apart
    ],
)
def test_energies_refused_when_asked(field, arguments):
    usual = {"initial": NARROW, "potential": parabola, "internal": ENTROPY, "cells": 128}
    with pytest.raises(InputError) as caught:
        FiniteVolume(**(usual | arguments)).density(4.0)
    assert caught.value.field == field


def test_times_refused():
    with pytest.raises(InputError, match=r"^t: got -1"):
        FiniteVolume(NARROW, parabola, internal=ENTROPY).density(-1.0)


def test_no_steady_state():
    path = FiniteVolume(gw.Gaussian([0.0], 1.0), lambda x: x[0], box=[[-1000.0, 10.0]], cells=2000)
    path._march.doublings = 3
    with pytest.raises(NotConvergedError, match="still changes"):
        path.density(np.inf)
