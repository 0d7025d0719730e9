"""Laws of densities over a dictionary of constructors, and the inputs they refuse."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flowjax.bijections import Affine
from flowjax.distributions import MultivariateNormal, Transformed
from flowjax.distributions import Normal as FlowjaxNormal

from genwgp.errors import InputError
from genwgp.initial import AbstractDensity, Gaussian, Mixture, as_density

TILTED = np.array([[1.0, 0.6], [0.6, 0.8]])
CENTRE = np.array([0.5, -0.3])


class KeyedSampler:
    """A density of another library, with sample(key, n)."""

    def sample(self, key, n):
        return CENTRE + 0.7 * jax.random.normal(key, (n, 2))

    def log_prob(self, x):
        return -0.5 * jnp.sum(((x - CENTRE) / 0.7) ** 2, axis=-1) - np.log(2 * np.pi * 0.49)


class Minimal(AbstractDensity):
    """Only what must be given: the defaults of everything else."""

    dim: int = 2

    def sample(self, key, n):
        return jnp.asarray(CENTRE) + 0.7 * jax.random.normal(key, (n, 2))

    def log_prob(self, x):
        return self._pointwise(lambda p: KeyedSampler().log_prob(p), x)


# name -> constructor, mean, covariance
DENSITIES = {
    "gaussian 1-d": (lambda: Gaussian([2.0], 0.25), [2.0], [[0.25]]),
    "gaussian, one variance": (lambda: Gaussian(CENTRE, 0.49), CENTRE, 0.49 * np.eye(2)),
    "gaussian, variances": (lambda: Gaussian(CENTRE, [0.5, 2.0]), CENTRE, np.diag([0.5, 2.0])),
    "gaussian, full": (lambda: Gaussian(CENTRE, TILTED), CENTRE, TILTED),
    "mixture 1-d": (lambda: Mixture([0.25, 0.75], [[-1.0], [1.0]], [0.1, 0.3]), [0.5], [[0.25 + 0.75]]),
    "mixture, one variance": (
        lambda: Mixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 0.0]], 0.25),
        [0.0, 0.0],
        np.diag([1.25, 0.25]),
    ),
    "mixture, full": (
        lambda: Mixture([0.3, 0.7], [CENTRE, CENTRE], [TILTED, 0.5 * TILTED]),
        CENTRE,
        0.65 * TILTED,
    ),
    "keyed sampler": (lambda: as_density(KeyedSampler()), CENTRE, 0.49 * np.eye(2)),
    "minimal": (lambda: Minimal(), CENTRE, 0.49 * np.eye(2)),
    "flowjax": (
        lambda: as_density(MultivariateNormal(jnp.asarray(CENTRE), jnp.asarray(TILTED))),
        CENTRE,
        TILTED,
    ),
    "flowjax, transformed": (
        lambda: as_density(Transformed(FlowjaxNormal(jnp.zeros(2)), Affine(jnp.asarray(CENTRE), jnp.full(2, 0.7)))),
        CENTRE,
        0.49 * np.eye(2),
    ),
}
BUILT = {name: (build(), np.asarray(mean), np.asarray(cov)) for name, (build, mean, cov) in DENSITIES.items()}


@eqx.filter_jit
def both(rho, x):
    return rho.log_prob(x), rho.score(x)


law = pytest.mark.parametrize("name", BUILT)


@law
def test_density_integrates_to_one(name):
    rho, mean, cov = BUILT[name]
    axes = [np.linspace(m - 9 * s, m + 9 * s, 201) for m, s in zip(mean, np.sqrt(np.diag(cov)), strict=True)]
    points = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=-1)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    assert np.exp(eqx.filter_jit(rho.log_prob)(points)).sum() * cell == pytest.approx(1.0, abs=1e-9)


@law
def test_score_is_the_gradient(name):
    rho, *_ = BUILT[name]
    x = rho.sample(jax.random.key(1), 5)
    expected = eqx.filter_jit(jax.vmap(jax.grad(lambda point: rho.log_prob(point))))(x)
    np.testing.assert_allclose(both(rho, x)[1], expected, rtol=1e-9, atol=1e-9)


@law
def test_one_point_and_a_batch_agree(name):
    rho, *_ = BUILT[name]
    x = rho.sample(jax.random.key(2), 3)
    log_density, score = both(rho, x)
    assert log_density.shape == (3,)
    assert score.shape == x.shape == (3, rho.dim)
    for i in range(3):
        one = both(rho, x[i])
        np.testing.assert_allclose(one[0], log_density[i], rtol=1e-12)
        np.testing.assert_allclose(one[1], score[i], rtol=1e-12)


def moments(x):
    return x.mean(axis=0), np.cov(x, rowvar=False).reshape(x.shape[1], x.shape[1])


@law
def test_samples_have_the_moments(name):
    rho, mean, cov = BUILT[name]
    n, scale = 20_000, np.trace(cov)
    sample_mean, sample_cov = moments(np.asarray(rho.sample(jax.random.key(3), n)))
    np.testing.assert_allclose(sample_mean, mean, atol=5 * np.sqrt(scale / n))
    np.testing.assert_allclose(sample_cov, cov, atol=5 * scale * np.sqrt(3 / n))


@law
def test_quasi_samples_are_float64_repeatable_and_have_the_moments(name):
    rho, mean, cov = BUILT[name]
    x = rho.quasi_sample(4, 3000)
    assert x.shape == (3000, rho.dim)
    assert isinstance(x, np.ndarray)
    assert x.dtype == np.float64
    np.testing.assert_array_equal(x, rho.quasi_sample(4, 3000))
    assert not np.array_equal(x, rho.quasi_sample(5, 3000))
    exact = isinstance(rho, Gaussian | Mixture)  # low discrepancy; the others only sample
    tolerance = 0.01 if exact else 5 / np.sqrt(3000)
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=tolerance * np.sqrt(np.trace(cov)))
    np.testing.assert_allclose(moments(x)[1], cov, atol=3 * tolerance * np.trace(cov))


@law
def test_widened_keeps_the_centre(name):
    rho, mean, cov = BUILT[name]
    wide = rho.widened(1.5)
    if isinstance(rho, Mixture):
        assert isinstance(wide, Mixture)
        np.testing.assert_allclose(wide.covariances, 2.25 * rho.covariances)
        np.testing.assert_array_equal(wide.means, rho.means)
    else:
        assert isinstance(wide, Gaussian)
        tolerance = 1e-12 if isinstance(rho, Gaussian) else 0.1
        np.testing.assert_allclose(wide.mean, mean, atol=tolerance)
        np.testing.assert_allclose(wide.covariance, 2.25 * cov, atol=tolerance * 2.25)
    with pytest.raises(InputError, match=r"^widened\.factor: "):
        rho.widened(0.0)


@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 2, 2)])
@law
def test_points_of_another_shape_are_refused(name, shape):
    rho, *_ = BUILT[name]
    with pytest.raises(InputError, match=r"^x: got shape .*allowed: one point"):
        rho.log_prob(np.zeros(shape))


def test_mixture_moments():
    for name in ("mixture 1-d", "mixture, one variance", "mixture, full"):
        rho, mean, cov = BUILT[name]
        np.testing.assert_allclose(rho.mean, mean, atol=1e-12)
        if name != "mixture 1-d":
            np.testing.assert_allclose(rho.covariance, cov, atol=1e-12)


def test_a_mixture_of_one_is_the_gaussian():
    x = np.random.default_rng(0).normal(size=(6, 2))
    one, gaussian = Mixture([1.0], [CENTRE], [TILTED]), Gaussian(CENTRE, TILTED)
    np.testing.assert_allclose(one.log_prob(x), gaussian.log_prob(x), rtol=1e-12)
    np.testing.assert_allclose(one.score(x), gaussian.score(x), rtol=1e-12)


def test_quasi_sampling_beats_sampling():
    rho = Gaussian(np.zeros(3), 1.0)
    quasi = np.abs(rho.quasi_sample(0, 4096).mean(axis=0)).max()
    assert quasi < 0.2 * np.abs(rho.sample(jax.random.key(0), 4096).mean(axis=0)).max()
    assert np.all(np.isfinite(rho.quasi_sample(0, 1)))


@pytest.mark.parametrize("build", [lambda: Gaussian(CENTRE, TILTED), lambda: Mixture([0.5, 0.5], np.eye(2), 0.1)])
def test_one_dtype_in_float32(build):
    with jax.enable_x64(False):
        rho = build()
        x = rho.sample(jax.random.key(0), 4)
        assert x.dtype == rho.log_prob(x).dtype == rho.score(x).dtype == jnp.float32
        assert rho.quasi_sample(0, 4).dtype == np.float64


def test_own_densities_pass_through():
    rho = Gaussian(CENTRE, TILTED)
    assert as_density(rho) is rho
    assert as_density(rho, dim=2) is rho
    with pytest.raises(InputError, match=r"^initial: got a density in 2 dimensions; allowed: one in 3"):
        as_density(rho, dim=3)


def test_flowjax_agrees_with_the_closed_form():
    x = np.random.default_rng(0).normal(size=(6, 2))
    ours, theirs = BUILT["gaussian, full"][0], BUILT["flowjax"][0]
    for theirs_part, ours_part in zip(both(theirs, x), both(ours, x), strict=True):
        np.testing.assert_allclose(theirs_part, ours_part, rtol=1e-10)


NAN, INF = float("nan"), float("inf")
REFUSED = {
    "mean of numbers": (lambda: Gaussian(0.0, 1.0), "Gaussian.mean"),
    "mean, two axes": (lambda: Gaussian([[0.0]], 1.0), "Gaussian.mean"),
    "mean, empty": (lambda: Gaussian([], 1.0), "Gaussian.mean"),
    "mean, NaN": (lambda: Gaussian([NAN, 0.0], 1.0), "Gaussian.mean"),
    "mean, text": (lambda: Gaussian("zero", 1.0), "Gaussian.mean"),
    "mean, ragged": (lambda: Gaussian([[0.0], [1.0, 2.0]], 1.0), "Gaussian.mean"),
    "covariance, shape": (lambda: Gaussian([0.0, 0.0], np.eye(3)), "Gaussian.covariance"),
    "covariance, three axes": (lambda: Gaussian([0.0], np.ones((1, 1, 1))), "Gaussian.covariance"),
    "covariance, asymmetric": (lambda: Gaussian([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]]), "Gaussian.covariance"),
    "covariance, indefinite": (lambda: Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), "Gaussian.covariance"),
    "covariance, singular": (lambda: Gaussian([0.0, 0.0], np.ones((2, 2))), "Gaussian.covariance"),
    "covariance, infinite": (lambda: Gaussian([0.0, 0.0], [[INF, 0.0], [0.0, 1.0]]), "Gaussian.covariance"),
    "variance, zero": (lambda: Gaussian([0.0], 0.0), "Gaussian.covariance"),
    "variances, length": (lambda: Gaussian([0.0, 0.0], [1.0, 1.0, 1.0]), "Gaussian.covariance"),
    "weights, sum": (lambda: Mixture([0.5, 0.6], np.eye(2), 1.0), "Mixture.weights"),
    "weights, negative": (lambda: Mixture([1.5, -0.5], np.eye(2), 1.0), "Mixture.weights"),
    "weights, number": (lambda: Mixture(1.0, np.eye(2), 1.0), "Mixture.weights"),
    "means, count": (lambda: Mixture([0.5, 0.5], np.eye(3), 1.0), "Mixture.means"),
    "covariances, two axes": (lambda: Mixture([0.5, 0.5], np.eye(2), np.eye(2)), "Mixture.covariances"),
    "covariances, count": (lambda: Mixture([0.5, 0.5], np.eye(2), [1.0]), "Mixture.covariances"),
    "covariances, one bad": (
        lambda: Mixture([0.5, 0.5], np.eye(2), [np.eye(2), np.ones((2, 2))]),
        "Mixture.covariances[1]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    build, field = REFUSED[name]
    with pytest.raises(InputError) as caught:
        build()
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: got ")
    assert "\n" not in str(caught.value)


def foreign(sample=KeyedSampler.sample, log_prob=KeyedSampler.log_prob):
    return type("Other", (), {"sample": sample, "log_prob": log_prob})()


FOREIGN = {
    "a number": (3.0, "initial"),
    "a class": (KeyedSampler, "initial"),
    "no log_prob": (np.random.default_rng(0), "initial"),
    "sample raises": (foreign(sample=lambda self, key, n: 1 / 0), "initial.sample"),
    "sample of numbers": (foreign(sample=lambda self, key, n: jnp.zeros(n)), "initial.sample"),
    "sample NaN": (foreign(sample=lambda self, key, n: jnp.full((n, 2), NAN)), "initial.sample"),
    "flowjax of numbers": (FlowjaxNormal(), "initial.sample"),
    "log_prob of a vector": (foreign(log_prob=lambda self, x: -(x**2)), "initial.log_prob"),
    "log_prob NaN": (foreign(log_prob=lambda self, x: jnp.log(-jnp.sum(x**2))), "initial.log_prob"),
    "log_prob not differentiable there": (foreign(log_prob=lambda self, x: jnp.sqrt(0 * x[0])), "initial.log_prob"),
    "log_prob in numpy": (foreign(log_prob=lambda self, x: np.exp(np.asarray(x)).sum()), "initial.log_prob"),
    "log_prob branches": (foreign(log_prob=lambda self, x: x[0] if x[0] > 0 else -x[0]), "initial.log_prob"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_refused(name):
    obj, field = FOREIGN[name]
    with pytest.raises(InputError) as caught:
        as_density(obj)
    assert caught.value.field == field
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
