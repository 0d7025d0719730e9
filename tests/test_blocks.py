"""Problems that fall into groups of coordinates: how they are found, solved apart and put together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

import genwgp as gw
from genwgp.layers.base import State
from genwgp.layers.fields import Bumps, Field, Quadratic
from genwgp.layers.product import ProductLayer
from genwgp.layers.velocity import VelocityLayer
from genwgp.solvers.blocks import blocks_of
from genwgp.solvers.features import potential
from genwgp.solvers.settings import CausalSweep

SMALL = CausalSweep(pool=2048, train=1024, test=1024)


def problem(V, start) -> gw.Problem:
    return gw.Problem(gw.FreeEnergy(V, gw.Entropy(1.0)), start)


def rotation(dim: int, seed: int = 0) -> np.ndarray:
    return ortho_group.rvs(dim, random_state=seed)


def turned(V, Q):
    """V in coordinates of which Q makes those that it was written in."""
    return lambda x: V(jnp.asarray(Q, x.dtype) @ x)


def wells(y):
    """A double well in each of the first two coordinates, and a quadratic form of the others."""
    return ((y[:2] ** 2 - 1) ** 2).sum() + 0.5 * (y[2:] ** 2).sum() + 0.3 * y[2] * y[3]


def eight_modes(y):
    """Modes around a circle in a plane, one Gaussian across it."""
    angles = 2 * np.pi * np.arange(8) / 8
    means = jnp.asarray(np.stack([3 * np.cos(angles), 3 * np.sin(angles)], 1), y.dtype)
    return 0.5 * (y[2:] ** 2).sum() - jax.nn.logsumexp(-0.5 * ((y[:2] - means) ** 2).sum(1))


def shapes(problem: gw.Problem) -> list[tuple[int, ...]]:
    return sorted((len(block.axes), block.problem.dim) for block in blocks_of(problem))


@pytest.mark.parametrize("Q", [np.eye(5), rotation(5)], ids=["as it is", "turned"])
def test_groups_of_coordinates_are_found_in_any_basis(Q):
    start = gw.Gaussian(Q.T @ np.full(5, 0.1), 0.25)
    # A start that is round falls apart in any basis: the quadratic form does in that of its eigenvectors, into three
    # different Gaussians, which are solved as one.
    assert shapes(problem(turned(wells, Q), start)) == [(1, 3), (2, 1)]
    assert shapes(problem(turned(eight_modes, Q), start)) in ([(1, 1), (1, 2), (2, 1)], [(1, 2), (3, 1)])


@pytest.mark.parametrize("Q", [np.eye(5), rotation(5)], ids=["as it is", "turned"])
def test_the_parts_add_up_to_the_whole(Q):
    whole = problem(turned(eight_modes, Q), gw.Gaussian(Q.T @ np.full(5, 0.1), 0.25))
    blocks = blocks_of(whole)
    x = np.random.default_rng(0).normal(size=(20, 5)) * 3
    V = potential(whole.energy, jnp.asarray(x))
    parts = [potential(b.problem.energy, jnp.asarray(x @ own)) for b in blocks for own in b.axes]
    np.testing.assert_allclose(sum(parts), V, rtol=1e-12, atol=1e-10)
    density = sum(b.problem.initial.log_prob(jnp.asarray(x @ own)) for b in blocks for own in b.axes)
    np.testing.assert_allclose(density, whole.initial.log_prob(jnp.asarray(x)), rtol=1e-10)
    every = np.concatenate([own for b in blocks for own in b.axes], 1)
    np.testing.assert_allclose(every.T @ every, np.eye(5), atol=1e-12)


def test_what_is_gaussian_altogether_is_one():
    assert shapes(problem(lambda x: x[0] ** 2 + 3 * x[1] ** 2, gw.Gaussian([1.0, 0.5], [0.1, 0.3]))) == [(1, 2)]


TIED = {
    "by V": problem(lambda x: (x**4).sum() + 1e-6 * x[0] ** 2 * x[1] ** 2, gw.Gaussian([0.0, 0.0], 1.0)),
    "by the start": problem(lambda x: (x**4).sum(), gw.Gaussian([0.0, 0.0], [[1.0, 0.3], [0.3, 1.0]])),
    "by the modes of the start": problem(lambda x: (x**4).sum(), gw.Mixture([0.5, 0.5], [[0.0, 0.0], [1.0, 1.0]], 0.1)),
    "by an interaction": gw.Problem(
        gw.FreeEnergy(lambda x: (x**4).sum(), gw.Entropy(1.0), interaction=gw.energies.QuadraticInteraction(1.0)),
        gw.Gaussian([0.0, 0.0], 1.0),
    ),
    "by a porous medium": gw.Problem(
        gw.FreeEnergy(lambda x: (x**2).sum(), gw.PorousMedium(2.0)), gw.Gaussian([0.0, 0.0], 1.0)
    ),
    "not confined by anything": problem(
        lambda x: 0.25 * (x[0] - x[1]) ** 4 + (x**2).sum(), gw.Gaussian([0.0, 0.0], [1.0, 2.0])
    ),
}


@pytest.mark.parametrize("tied", TIED.values(), ids=TIED.keys())
def test_coordinates_that_feel_each_other_stay_together(tied):
    assert shapes(tied) == [(1, 2)]


def test_a_mixture_falls_apart_where_its_modes_do_not_differ():
    modes = gw.problems.get("ornstein-uhlenbeck-mixture", dim=7)
    assert shapes(modes) == [(1, 1), (1, 2), (4, 1)]
    kinds = {block.problem.dim: type(block.problem.initial) for block in blocks_of(modes)}
    assert kinds == {1: gw.Gaussian, 2: gw.Mixture}


def layer(dim: int, seed: int) -> VelocityLayer:
    """Three segments of random fields that take a time of one together, of which the last is not real."""
    rng = np.random.default_rng(seed)
    make = lambda: Field(
        (
            Quadratic(jnp.asarray(rng.normal(size=dim))),
            Bumps(jnp.asarray(rng.normal(size=(4, dim))), jnp.asarray(np.stack([np.eye(dim)] * 4))),
        )
    )
    fields = [make() for _ in range(3)]
    first = rng.uniform(0.2, 0.8)
    return VelocityLayer(
        field=jax.tree.map(lambda *a: jnp.stack(a), *fields),
        start=jnp.asarray(0.3 * rng.normal(size=(3, fields[0].size))),
        stop=jnp.asarray(0.3 * rng.normal(size=(3, fields[0].size))),
        duration=jnp.asarray([first, 1 - first, 0.0]),
        substeps=jnp.asarray([20, 20, 1], dtype=jnp.int32),
        count=jnp.asarray(2, dtype=jnp.int32),
    )


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(st.integers(0, 1000), st.floats(0.1, 1.0))
def test_a_product_of_layers_is_one(seed, theta):
    """Inverse, log-determinant, velocity and score agree with each other, and each group moves as its part says."""
    Q, rng = rotation(5, seed), np.random.default_rng(seed)
    parts = layer(1, seed), layer(2, seed + 1)
    axes = jnp.asarray(np.stack([Q[:, :1], Q[:, 1:2], Q[:, 2:3]])), jnp.asarray(Q[None, :, 3:])
    product, theta = ProductLayer(parts, axes), jnp.asarray(theta)
    assert float(product.time) == pytest.approx(1.0)
    x, u = jnp.asarray(rng.normal(size=5)), jnp.asarray(rng.normal(size=5))
    y, volume = product.forward(x, theta)
    np.testing.assert_allclose(Q[:, 1] @ y, parts[0].forward(jnp.asarray(Q[:, 1:2].T @ x), theta)[0][0], rtol=1e-9)
    np.testing.assert_allclose(Q[:, 3:].T @ y, parts[1].forward(jnp.asarray(Q[:, 3:].T @ x), theta)[0], rtol=1e-9)
    jacobian = jax.jacfwd(lambda x: product.forward(x, theta)[0])(x)
    assert float(volume) == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=1e-4)
    back, other = product.inverse(y, theta)
    np.testing.assert_allclose(back, x, atol=1e-5)
    assert float(other) == pytest.approx(-float(volume), abs=1e-5)
    state = State(x, jnp.asarray(0.7), u)
    moved, slope = product.transport(state, theta), jax.jacfwd(lambda x: product.forward(x, theta)[1])(x)
    np.testing.assert_allclose(moved.x, y, atol=1e-9)
    assert float(moved.log_density) == pytest.approx(0.7 - float(volume), abs=1e-5)
    np.testing.assert_allclose(moved.score, np.linalg.solve(jacobian.T, u - slope), atol=1e-3)
    inside, velocity = product.visit(state, state, jnp.zeros(()), theta)
    np.testing.assert_allclose(inside.score, moved.score, atol=1e-9)
    step = 1e-4
    slope = (product.forward(x, theta - step)[0] - product.forward(x, theta)[0]) / -step
    np.testing.assert_allclose(velocity, slope, atol=2e-2)


def test_the_rule_along_a_product_integrates_what_is_smooth():
    product = ProductLayer((layer(1, 0), layer(1, 5)), (jnp.eye(2)[None, :, :1], jnp.eye(2)[None, :, 1:]))
    node, weight = (np.asarray(a) for a in product.quadrature(2))
    assert len(node) == 6
    assert (weight >= 0).all()
    assert (np.diff(node) >= 0).all()
    for power in range(4):
        assert weight @ node**power == pytest.approx(1 / (power + 1), rel=1e-6)


@pytest.fixture(scope="module")
def solved() -> tuple[gw.Problem, gw.Solution]:
    """A double well and two Gaussians, turned: to the equilibrium."""
    Q = rotation(3, 1)
    V = turned(lambda y: (y[0] ** 2 - 1) ** 2 + 0.3 * y[0] + y[1] ** 2 / 2 + y[2] ** 2, Q)
    whole = problem(V, gw.Gaussian(Q.T @ np.array([0.2, 1.0, -1.0]), 0.25))
    return whole, gw.solve(whole, layers=4, method=SMALL)


def test_the_whole_is_solved_from_its_parts(solved):
    """Against the exact means of the Gaussian coordinates, and the normaliser of the double well by quadrature."""
    whole, solution = solved
    path, y = solution.path, np.linspace(-5, 5, 20001)
    Z = np.trapezoid(np.exp(-((y**2 - 1) ** 2 + 0.3 * y)), y) * np.sqrt(2 * np.pi) * np.sqrt(np.pi)
    assert path.curves.equilibrium[0] == pytest.approx(np.log(Z), abs=2e-3)
    assert solution.diagnostics["gap"] < 1e-4
    np.testing.assert_allclose(path.layer_lengths, path.layer_lengths.mean(), rtol=0.02)
    Q = rotation(3, 1)
    x0 = whole.initial.quasi_sample(3, 4096)
    for node in (1, 2, 3):
        t = path.times[node]
        mean = np.asarray(path.transport(x0, node=node)).mean(0) @ Q.T
        np.testing.assert_allclose(mean[1:], [np.exp(-t), -np.exp(-2 * t)], atol=5e-3)


def test_density_and_score_of_the_whole_agree(solved):
    _, solution = solved
    density = solution.path.at(node=2)
    x = np.asarray(density.sample(jax.random.key(0), 20))
    ends = [np.asarray(density.log_prob(x + 1e-3 * sign * e)) for e in np.eye(3) for sign in (-1, 1)]
    slope = [(after - before) / 2e-3 for before, after in zip(ends[::2], ends[1::2], strict=True)]
    np.testing.assert_allclose(density.score(x), np.stack(slope, 1), atol=2e-2)


def test_the_whole_is_saved_and_loaded(solved, tmp_path):
    whole, solution = solved
    gw.save(solution, tmp_path / "run")
    loaded = gw.load(tmp_path / "run", whole)
    x0 = whole.initial.quasi_sample(3, 16)
    np.testing.assert_array_equal(loaded.path.transport(x0, node=4), solution.path.transport(x0, node=4))


def test_an_interrupted_solve_has_a_path_to_the_time_that_all_parts_have_reached(solved):
    whole, _ = solved

    def stop(event):
        if event.step == 5:
            raise KeyboardInterrupt

    solution = gw.solve(whole, layers=2, method=SMALL, throw=False, progress=stop)
    assert solution.result == gw.Result.INTERRUPTED
    reached = float(solution.message.split()[-1])
    layers = solution.path.layers
    assert isinstance(layers, ProductLayer)
    assert np.asarray(layers.time).sum() == pytest.approx(reached, rel=1e-3)
    assert 0 < solution.diagnostics["direction_residual"] < 0.3
