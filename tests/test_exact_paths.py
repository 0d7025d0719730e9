"""Exact paths beside Ornstein-Uhlenbeck, each against its partial differential equation."""

import ast
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.linalg import block_diag

import genwgp as gw
from equations import equation_residual
from genwgp.errors import InputError
from genwgp.references import (
    Ball,
    Barenblatt,
    FiniteVolume,
    Langevin,
    LogarithmicAggregation,
    McKeanVlasov,
    OrnsteinUhlenbeck,
    ProductPath,
    reference_for,
)

few = settings(max_examples=3)  # each compiles anew: exponents and dimensions are compiled in
REFERENCES = Path(gw.references.__file__).parent


@pytest.mark.parametrize("d", [1, 3])
@few
@given(
    m=st.floats(1.2, 4.0),
    t=st.floats(0.0, 3.0),
    stiffness=st.one_of(st.just(0.0), st.floats(0.1, 2.0)),
    D=st.floats(0.2, 3.0),
    seed=st.integers(0, 2**31),
)
def test_barenblatt_satisfies_its_equation(d, m, t, stiffness, D, seed):
    rng = np.random.default_rng(seed)
    b = rng.normal(size=d)
    path = Barenblatt(d, m, 0.7, D, stiffness, centre=rng.normal(size=d), b=b)
    rho = path.density(t)
    # Away from the front, where a power of rho has no derivatives.
    direction = rng.normal(size=d)
    x = rho.centre + 0.8 * rng.uniform() * rho.radius * direction / np.linalg.norm(direction)

    def mu(t, x):
        return stiffness * jnp.sum((x - b) ** 2) / 2 + D * m / (m - 1) * jnp.exp((m - 1) * path.density(t).log_prob(x))

    residual, rate = equation_residual(path, mu, jnp.asarray(t), jnp.asarray(x))
    assert abs(residual) < 1e-7 * (1 + abs(rate) + float(jnp.exp(rho.log_peak)))


@pytest.mark.parametrize(("d", "C"), [(1, 0.3605624), (2, 0.1994711), (3, 0.1348101), (6, 0.0697153)])
def test_barenblatt_from_a_point(d, C):
    """m = 2: the front of the solution of mass one that starts at a point is at sqrt(C/k) t^b."""
    b = 1 / (d + 2)
    front = np.sqrt(C / (d * b / (4 * d)))
    path = Barenblatt(d, 2.0, front)
    assert float(path.density(2.0).radius) == pytest.approx(front * 3.0**b, rel=1e-6)


def test_the_porous_medium_in_a_parabola_ends_at_its_compact_equilibrium():
    path = Barenblatt(1, 2.0, 0.5, stiffness=1.0)
    assert float(path.density(np.inf).radius) == pytest.approx(3 ** (1 / 3), rel=1e-12)
    assert path.dissipation(np.inf) == pytest.approx(0.0, abs=1e-20)
    with pytest.raises(InputError, match=r"^t: got inf"):
        Barenblatt(1, 2.0, 0.5).density(np.inf)
    assert Barenblatt(1, 2.0, 0.5).equilibrium_free_energy == 0.0


def numerical_free_energy(path, potential, t):
    """int V rho + D rho^m / (m - 1) over the ball, in one dimension."""
    rho = path.density(t)
    low, high = float(rho.centre[0] - rho.radius), float(rho.centre[0] + rho.radius)
    density = jax.jit(lambda x: jnp.exp(rho.log_prob(x)))

    def summand(x):
        value = float(density(np.array([x])))
        return potential(x) * value + path.D * value**path.m / (path.m - 1)

    return quad(summand, low, high)[0]


def test_barenblatt_free_energy_is_its_integral():
    path = Barenblatt(1, 1.7, 0.8, 0.6, 1.3, centre=[0.5], b=[-0.2])
    for t in (0.0, 0.4):
        expected = numerical_free_energy(path, lambda x: 1.3 * (x + 0.2) ** 2 / 2, t)
        assert float(path.free_energy(t)) == pytest.approx(expected, rel=1e-6)


def matrices(d, seed):
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.normal(size=(d, d)))
    other, _ = np.linalg.qr(rng.normal(size=(d, d)))
    A = (basis * rng.uniform(0.8, 2.0, d)) @ basis.T
    return rng, A, (other * rng.uniform(-0.6, 1.0, d)) @ other.T


@pytest.mark.parametrize("d", [1, 2])
@few
@given(seed=st.integers(0, 2**31), t=st.floats(0.01, 3.0), D=st.floats(0.2, 3.0))
def test_mckean_vlasov_satisfies_its_equation(d, seed, t, D):
    rng, A, C = matrices(d, seed)
    b = rng.normal(size=d)
    path = McKeanVlasov(A, b, C, D, gw.Gaussian(rng.normal(size=d), np.linspace(0.3, 1.0, d)))
    # Three points of Gauss-Hermite per axis integrate the quadratic W exactly.
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    grid = jnp.asarray(np.stack(np.meshgrid(*[nodes] * d), axis=-1).reshape(-1, d))
    weight = jnp.asarray(np.prod(np.stack(np.meshgrid(*[weights] * d), axis=-1).reshape(-1, d), axis=1))
    weight = weight / weight.sum()

    def mu(t, x):
        rho = path.density(t)
        z = x - rho.mean - grid @ jnp.linalg.cholesky(rho.covariance).T
        attraction = weight @ jnp.einsum("ni,ij,nj->n", z, C, z) / 2
        return (x - b) @ A @ (x - b) / 2 + attraction + D * rho.log_prob(x)

    residual, rate = equation_residual(path, mu, jnp.asarray(t), jnp.asarray(rng.normal(size=d)))
    assert abs(residual) < 1e-8 * (1 + abs(rate))


def test_mckean_vlasov_without_interaction_is_ornstein_uhlenbeck():
    start = gw.Gaussian([1.0, -1.0], [0.2, 0.4])
    _, A, _ = matrices(2, 3)
    mean_field = McKeanVlasov(A, [0.1, 0.0], np.zeros((2, 2)), 0.8, start)
    plain = OrnsteinUhlenbeck(A, [0.1, 0.0], 0.8, start)
    for name in ("free_energy", "dissipation"):
        assert float(getattr(mean_field, name)(0.3)) == pytest.approx(float(getattr(plain, name)(0.3)), rel=1e-12)
    assert mean_field.equilibrium_free_energy == pytest.approx(float(mean_field.free_energy(np.inf)), rel=1e-12)


def disk_gradient(rho, x):
    """grad(W * rho) at x, W = |z|^2/2 - log|z|: in polar coordinates at x, int (r^2 - 1) dr e over all directions."""
    angles = np.arange(400) * 2 * np.pi / 400
    e = np.stack([np.cos(angles), np.sin(angles)], axis=-1)  # x - y = r e
    offset = x - np.asarray(rho.centre)
    along = e @ offset
    length = along + np.sqrt(along**2 + float(rho.radius) ** 2 - offset @ offset)
    return ((length**3 / 3 - length)[:, None] * e).mean(axis=0) * 2 / float(rho.radius) ** 2


def semicircle_gradient(rho, x):
    """int (r - 1/r) (rho(x - r) - rho(x + r)) dr: the principal value, folded."""
    density = jax.jit(lambda x: jnp.exp(rho.log_prob(x)))
    value = lambda y: float(density(np.array([y])))
    folded = lambda r: (r - 1 / r) * (value(x[0] - r) - value(x[0] + r))
    R, c = float(rho.radius), float(rho.centre[0])
    ends = sorted(abs(edge - x[0]) for edge in (c - R, c + R))
    return np.array([quad(folded, 0, ends[0])[0] + quad(folded, ends[0], ends[1])[0]])


@pytest.mark.parametrize(("d", "gradient"), [(1, semicircle_gradient), (2, disk_gradient)])
@pytest.mark.parametrize("t", [0.0, 0.4])
def test_aggregation_satisfies_its_equation(d, gradient, t):
    path = LogarithmicAggregation.create(d, 1.7, centre=np.full(d, 0.3))
    rho = path.density(t)
    for x in np.asarray(rho.centre) + 0.6 * float(rho.radius) * np.array([[0.7, 0.5], [-0.9, 0.1], [0.2, -0.6]])[:, :d]:
        force = gradient(rho, x)
        slope = 1 - path._last / float(rho.radius) ** 2
        np.testing.assert_allclose(force, slope * (x - np.asarray(rho.centre)), atol=1e-5)
        # With this force, div(rho grad mu) = slope (d rho + (x - c) . grad rho) is the rate of change.
        rate = jax.grad(lambda t, x=x: jnp.exp(path.density(t).log_prob(jnp.asarray(x))))(jnp.asarray(t))
        change = jnp.exp(rho.log_prob(x)) * slope * (d + (x - rho.centre) @ rho.score(x))
        assert float(rate) == pytest.approx(float(change), abs=1e-10)


@pytest.mark.parametrize("d", [1, 2])
def test_the_free_energy_of_aggregation_is_that_of_pairs(d):
    rho = LogarithmicAggregation.create(d, 1.4).density(0.0)
    x, y = rho.quasi_sample(0, 2048), rho.quasi_sample(1, 2048)
    distance = np.linalg.norm(x[:, None] - y[None], axis=-1)
    pairs = (distance**2 / 2 - np.log(distance)).mean() / 2
    assert float(LogarithmicAggregation.create(d, 1.4).free_energy(0.0)) == pytest.approx(pairs, abs=2e-3)


CLOSED = {
    "barenblatt": Barenblatt(3, 1.5, 0.8),
    "porous medium in a parabola": Barenblatt(2, 2.0, 0.5, 0.7, 1.2, centre=[0.4, 0.0]),
    "mckean-vlasov": McKeanVlasov(
        [[1.0, 0.2], [0.2, 0.8]], [0.0, 0.0], 0.5 * np.eye(2), 0.6, gw.Gaussian([1.0, 0.0], 0.2)
    ),
    "disk": LogarithmicAggregation.create(2, 0.6),
    "semicircle": LogarithmicAggregation.create(1, 1.9),
}


@pytest.mark.parametrize("name", CLOSED)
def test_free_energy_decays_at_the_rate_of_the_dissipation(name):
    path = CLOSED[name]
    slope = jax.grad(lambda t: path.free_energy(t))
    for t in jnp.array([0.0, 0.3, 2.0]):
        np.testing.assert_allclose(slope(t), -path.dissipation(t), rtol=1e-8)
    assert path.equilibrium_free_energy < float(path.free_energy(2.0))
    assert path.log_normaliser is None
    assert path.describe().startswith("exact: ")


@pytest.mark.parametrize(("d", "power", "seed"), [(1, 0.0, 0), (2, 1.7, 1), (4, 4.0, 2)])
def test_balls_have_the_moments_of_their_samples(d, power, seed):
    rho = Ball(np.linspace(-1, 1, d), 1.3, power)
    n, spread = 8000, 5 * 1.3 / np.sqrt(8000)
    for x in (np.asarray(rho.sample(jax.random.key(seed), n)), rho.quasi_sample(seed, n)):
        assert np.all(np.isfinite(rho.log_prob(x)))
        np.testing.assert_allclose(x.mean(axis=0), rho.mean, atol=spread)
        np.testing.assert_allclose(np.cov(x, rowvar=False).reshape(d, d), rho.covariance, atol=spread)
    outside = rho.centre + 1.31 * jnp.eye(d)[0]
    assert rho.log_prob(outside) == -jnp.inf
    np.testing.assert_array_equal(rho.score(outside), jnp.zeros(d))
    inside = rho.centre + 0.5 * jnp.eye(d)[0]
    np.testing.assert_allclose(rho.score(inside), jax.grad(lambda x: rho.log_prob(x))(inside), rtol=1e-9)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.5])
def test_balls_integrate_to_one(power):
    rho = Ball([0.2], 0.9, power)
    total = quad(lambda x: float(jnp.exp(rho.log_prob(jnp.array([x])))), -0.7, 1.1)[0]
    assert total == pytest.approx(1.0, abs=1e-6)


def styblinski_tang(x):
    return 0.06 * (x[0] ** 4 - 16 * x[0] ** 2 + 5 * x[0])


def test_products_against_the_plane():
    wells = lambda x: (x[0] ** 2 - 1) ** 2 + 0.3 * x[0]
    start = gw.Gaussian([0.5], 0.2)
    product = ProductPath.create(wells, start, gw.Entropy(1.0), 2, cells=512)
    together = FiniteVolume(
        gw.Gaussian([0.5, 0.5], 0.2),
        lambda x: wells(x[:1]) + wells(x[1:]),
        internal=gw.Entropy(1.0),
        cells=128,
    )
    for t in (0.2, np.inf):
        assert product.free_energy(t) == pytest.approx(together.free_energy(t), abs=2e-3)
        x = together.density(t).quasi_sample(0, 200)
        np.testing.assert_allclose(product.density(t).log_prob(x), together.density(t).log_prob(x), atol=2e-2)
    assert product.dissipation(0.2) == pytest.approx(together.dissipation(0.2), rel=5e-3)
    assert product.log_normaliser == pytest.approx(together.log_normaliser, abs=1e-9)


def test_products_in_many_dimensions():
    path = ProductPath.create(styblinski_tang, gw.Gaussian([0.0], 1.0), gw.Entropy(1.0), 5)
    rho = path.density(np.inf)
    np.testing.assert_allclose(rho.mean, np.full(5, -1.841488), atol=1e-5)
    np.testing.assert_allclose(np.diag(rho.covariance), np.full(5, 4.261114), atol=1e-5)
    x = np.asarray(rho.sample(jax.random.key(0), 4000))
    assert np.mean(x < 0) == pytest.approx(0.828503, abs=0.01)
    score = jax.jit(jax.vmap(jax.grad(lambda p: rho.log_prob(p))))(x[:5])
    np.testing.assert_allclose(rho.score(x[:5]), score, rtol=1e-9)
    assert abs(np.corrcoef(rho.quasi_sample(0, 4096), rowvar=False)[0, 1]) < 0.05
    assert path.equilibrium_free_energy == pytest.approx(-float(path.log_normaliser or np.nan), abs=1e-9)
    assert path.describe().startswith("product of 5 paths: finite volumes")


def test_products_of_different_paths():
    factors = [OrnsteinUhlenbeck([[a]], [0.0], 1.0, gw.Gaussian([a], 0.3)) for a in (0.7, 1.6)]
    plane = OrnsteinUhlenbeck(np.diag([0.7, 1.6]), [0.0, 0.0], 1.0, gw.Gaussian([0.7, 1.6], 0.3))
    product, x = ProductPath(factors), np.random.default_rng(0).normal(size=(7, 2))
    np.testing.assert_allclose(product.density(0.4).log_prob(x), plane.density(0.4).log_prob(x), rtol=1e-12)
    np.testing.assert_allclose(product.density(0.4).covariance, plane.density(0.4).covariance, rtol=1e-12)
    assert product.free_energy(0.4) == pytest.approx(float(plane.free_energy(0.4)), rel=1e-12)
    assert product.dissipation(0.4) == pytest.approx(float(plane.dissipation(0.4)), rel=1e-12)


def test_products_in_a_basis_of_their_own():
    """Of a plane that is correlated and a line, turned: against the whole in closed form."""
    A, S = np.array([[1.0, 0.3], [0.3, 2.0]]), np.array([[0.5, 0.1], [0.1, 0.2]])
    plane = OrnsteinUhlenbeck(A, [0.5, 0.0], 1.0, gw.Gaussian([1.0, -1.0], S))
    line = OrnsteinUhlenbeck([[0.7]], [0.0], 1.0, gw.Gaussian([2.0], 0.3))
    Q = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    whole = OrnsteinUhlenbeck(
        Q @ block_diag(A, [[0.7]]) @ Q.T,
        Q @ [0.5, 0.0, 0.0],
        1.0,
        gw.Gaussian(Q @ [1.0, -1.0, 2.0], Q @ block_diag(S, [[0.3]]) @ Q.T),
    )
    product, x = ProductPath([plane, line], Q), np.random.default_rng(0).normal(size=(7, 3))
    one, other = product.density(0.4), whole.density(0.4)
    for part in ("log_prob", "score"):
        np.testing.assert_allclose(getattr(one, part)(x), getattr(other, part)(x), rtol=1e-9)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-9)
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-9, atol=1e-12)
    for drawn in (one.quasi_sample(0, 2**14), np.asarray(one.sample(jax.random.key(0), 2**16))):
        np.testing.assert_allclose(drawn.mean(0), other.mean, atol=0.02)
        np.testing.assert_allclose(np.cov(drawn, rowvar=False), other.covariance, atol=0.02)
    assert product.free_energy(0.4) == pytest.approx(float(whole.free_energy(0.4)), rel=1e-9)
    for basis in (np.eye(2), np.full((3, 3), 0.5)):
        with pytest.raises(InputError, match=r"^ProductPath\.basis: "):
            ProductPath([plane, line], basis)


@pytest.mark.parametrize("paths", [[], [1.0], [gw.problems.get("banana").reference]])
def test_products_refused(paths):
    with pytest.raises(InputError, match=r"^ProductPath\.paths: "):
        ProductPath(paths)


@pytest.mark.parametrize(
    ("field", "build"),
    [
        ("Barenblatt.m", lambda: Barenblatt(1, 1.0, 1.0)),
        ("Barenblatt.radius", lambda: Barenblatt(1, 2.0, 0.0)),
        ("Barenblatt.D", lambda: Barenblatt(1, 2.0, 1.0, D=-1.0)),
        ("Barenblatt.stiffness", lambda: Barenblatt(1, 2.0, 1.0, stiffness=-1.0)),
        ("Barenblatt.centre", lambda: Barenblatt(2, 2.0, 1.0, centre=[0.0])),
        ("McKeanVlasov.start", lambda: McKeanVlasov([[1.0]], [0.0], [[1.0]], 1.0, None)),  # pyright: ignore
        ("McKeanVlasov.C", lambda: McKeanVlasov([[1.0]], [0.0], [[-1.0]], 1.0, gw.Gaussian([0.0], 1.0))),
        (
            "McKeanVlasov.C",
            lambda: McKeanVlasov(np.eye(2), [0, 0], [[0, 1], [0, 0]], 1.0, gw.Gaussian([0.0, 0.0], 1.0)),
        ),
        ("LogarithmicAggregation.start", lambda: LogarithmicAggregation(Ball([0.0], 1.0, 1.0))),
        ("LogarithmicAggregation.dim", lambda: LogarithmicAggregation.create(3, 1.0)),
        ("Ball.radius", lambda: Ball([0.0], 0.0, 1.0)),
        ("Ball.power", lambda: Ball([0.0], 1.0, -0.5)),
    ],
)
def test_inputs_refused(field, build):
    with pytest.raises(InputError) as caught:
        build()
    assert caught.value.field == field


def test_the_best_reference():
    exact = gw.problems.get("ornstein-uhlenbeck-mixture")
    assert reference_for(exact) is exact.reference
    best: Any = reference_for(exact)
    assert best.describe() == "exact: Ornstein-Uhlenbeck from a Mixture, d = 2"
    assert isinstance(reference_for(gw.problems.get("double-well-1d")), FiniteVolume)
    energy = gw.FreeEnergy(lambda x: jnp.sum(x**4), gw.Entropy(1.0))
    assert isinstance(reference_for(gw.Problem(energy, gw.Gaussian(np.zeros(3), 1.0))), Langevin)


def test_references_do_not_import_what_they_judge():
    for file in REFERENCES.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert not name.startswith(("genwgp.solvers", "genwgp.path", "genwgp.layers", "genwgp.actions")), file
