"""Densities of a path in other libraries: the same law there, differentiable, and samples that ArviZ reads."""

import sys
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from flowjax.bijections import Affine
from flowjax.distributions import Transformed
from numpyro.infer.util import log_density
from scipy import stats

import genwgp as gw
from exact_path import exact_solution
from genwgp.errors import InputError
from genwgp.initial import as_density
from genwgp.layers.fields import Field, Quadratic
from genwgp.layers.velocity import VelocityLayer
from genwgp.path import PathDensity
from genwgp.solvers import Solution
from hand_built import last_node, without_weights
from quiet_arviz import arviz

KEY = jax.random.key(5)
START = gw.Gaussian([0.5, -1.0], 0.2)
ENERGY = gw.FreeEnergy(lambda x: jnp.sum(x**2) / 2, gw.Entropy(1.0))
FIGURES = ("log_normaliser", "log_normaliser_error", "effective_sample_size", "pareto_k")


@pytest.fixture(scope="module")
def flow() -> PathDensity:
    """Carried by x' = c x for a time 1 with c = 0.3, as a velocity field: N(m, s^2) becomes N(e^c m, e^(2c) s^2)."""
    field = Field((Quadratic(jnp.zeros(2)),))
    c = jnp.linalg.lstsq(_design(field), jnp.asarray([0.3, 0.0, 0.0, 0.3, 0.0, 0.0]))[0]
    stacked = lambda leaf: jnp.asarray(leaf)[None]
    layers = VelocityLayer(
        field=jax.tree.map(lambda leaf: leaf[None, None], field),
        start=c[None, None],
        stop=c[None, None],
        duration=stacked([1.0]),
        substeps=stacked(np.array([8], dtype=np.int32)),
        count=stacked(np.array(1, dtype=np.int32)),
    )
    place = {"position": jnp.asarray(1.0), "time": 1.0, "arclength": 1.0}
    return PathDensity(layers=layers, initial=START, **place)  # pyright: ignore


def _design(field: Field) -> jax.Array:
    """d (v_1(e_1), v_2(e_1), v_1(e_2), v_2(e_2), v(0)) / d c, of a velocity that is affine in x."""
    points = [jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]), jnp.zeros(2)]
    v = lambda c: jnp.concatenate([jax.grad(lambda x: field.value(c, x))(x) for x in points])
    return jax.jit(jax.jacobian(v))(jnp.zeros(field.size))


EXACT = gw.Gaussian(np.exp(0.3) * np.array([0.5, -1.0]), 0.2 * np.exp(0.6))
ADAPTERS = {"flowjax": gw.to_flowjax, "numpyro": gw.to_numpyro}


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_law_is_that_of_the_density(flow, name):
    rho = ADAPTERS[name](flow)
    x = rho.sample(KEY, (2, 500))
    assert x.shape == (2, 500, 2)
    for column, mean in zip(np.asarray(x).reshape(-1, 2).T, EXACT.mean, strict=True):
        assert stats.kstest(column, stats.norm(mean, np.sqrt(0.2) * np.exp(0.3)).cdf).pvalue > 1e-3
    assert rho.log_prob(x).shape == (2, 500)
    np.testing.assert_allclose(rho.log_prob(x[0]), EXACT.log_prob(x[0]), rtol=1e-5)
    assert rho.log_prob(x[0, 0]) == pytest.approx(float(flow.log_prob(x[0, 0])), rel=1e-12)
    assert rho.sample(KEY).shape == (2,)


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_derivative_of_its_log_density_is_the_score(flow, name):
    """Under jit and in reverse, although the way back through the flow is a loop of unknown length."""
    rho = ADAPTERS[name](flow)
    x = EXACT.sample(KEY, 5)
    found = jax.jit(jax.grad(lambda x: jnp.sum(rho.log_prob(x))))(x)
    np.testing.assert_allclose(found, EXACT.score(x), rtol=1e-4)


def test_flowjax_builds_on_it():
    """A bijection of flowjax after the path, and back into a problem as a start."""
    rho = gw.to_flowjax(without_weights(last_node(START, ENERGY)))
    moved = as_density(Transformed(rho, Affine(jnp.ones(2), 2 * jnp.ones(2))), 2)
    exact = gw.Gaussian([2.0, -1.0], 0.8)
    x = exact.sample(KEY, 8)
    np.testing.assert_allclose(moved.log_prob(x), exact.log_prob(x), rtol=1e-9)
    np.testing.assert_allclose(moved.score(x), exact.score(x), rtol=1e-9)


def test_numpyro_takes_it_as_a_prior(flow):
    rho = gw.to_numpyro(flow)

    def model(y):
        x = numpyro.sample("x", rho)
        numpyro.sample("y", numpyro.distributions.Normal(x, 0.5).to_event(1), obs=y)

    x, y = EXACT.sample(KEY, 1)[0], jnp.zeros(2)
    joint, _ = log_density(model, (y,), {}, {"x": x})
    exact = EXACT.log_prob(x) + np.sum(stats.norm.logpdf(0.0, x, 0.5))
    assert float(joint) == pytest.approx(float(exact), rel=1e-5)
    passed = jax.jit(lambda rho, x: rho.log_prob(x))(rho, x)  # a pytree, as numpyro's own are
    assert float(passed) == pytest.approx(float(flow.log_prob(x)), rel=1e-12)
    assert rho.event_shape == (2,)


def test_of_an_equilibrium_they_are_its_last_node():
    end = last_node(START, ENERGY)
    x = START.sample(KEY, 5)
    for adapter in ADAPTERS.values():
        np.testing.assert_allclose(adapter(end).log_prob(x), START.log_prob(x), rtol=1e-12)


@pytest.fixture(scope="module")
def data():
    """2000 draws of N(0, I), resampled from N((0.5, -1), 1.5 I)."""
    end = last_node(gw.Gaussian([0.5, -1.0], 1.5), ENERGY)
    return end, gw.to_inference_data(end, KEY, 2000), gw.to_inference_data(end, KEY, 2000, resampled=False)


def test_resampled_draws_follow_the_equilibrium(data):
    end, resampled, _ = data
    x = resampled.posterior["x"]
    assert (x.dims, x.shape) == (("chain", "draw", "x_dim"), (1, 2000, 2))
    for i in range(2):
        assert stats.kstest(x.values[0, :, i], stats.norm.cdf).pvalue > 1e-3
    lp = resampled.sample_stats["lp"].values[0]
    np.testing.assert_allclose(lp, -np.sum(x.values[0] ** 2, axis=1) / 2, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        lp - resampled.sample_stats["log_weight"].values[0], end.log_prob(x.values[0]), rtol=1e-9, atol=1e-12
    )
    summary = arviz.summary(resampled, kind="stats")
    assert list(summary.index) == ["x[0]", "x[1]"]


def test_plain_draws_come_with_the_weights_that_correct_them(data):
    _, _, plain = data
    x, log_w = plain.posterior["x"].values[0], plain.sample_stats["log_weight"].values[0]
    w = np.exp(log_w - log_w.max())
    assert x.mean(axis=0) == pytest.approx([0.5, -1.0], abs=5 * np.sqrt(1.5 / 2000))
    assert w @ x / w.sum() == pytest.approx([0.0, 0.0], abs=0.15)
    assert plain.posterior.attrs["draws"] == "plain"


def test_the_attributes_say_where_they_are_from(data, tmp_path):
    resampled = data[1]
    resampled.to_netcdf(str(tmp_path / "draws.nc"))
    back: Any = arviz.from_netcdf(str(tmp_path / "draws.nc"))
    attributes = back.posterior.attrs
    assert attributes["inference_library"] == "genwgp"
    assert attributes["inference_library_version"] == gw.__version__
    assert list(attributes["seed"]) == [0, 5]
    assert attributes["draws"] == "resampled"
    assert attributes["time"] == np.inf
    assert set(FIGURES) < set(attributes)


def test_a_solution_stands_for_its_equilibrium(data):
    solution = exact_solution()
    path: Any = SimpleNamespace(equilibrium=data[0])
    whole = Solution(path, gw.Result.CONVERGED, "", {}, {}, {}, solution.problem, {"seed": 7})
    found = gw.to_inference_data(whole, KEY, 50, names=["a", "b"])
    assert set(found.posterior.data_vars) == {"a", "b"}
    assert found.posterior["b"].dims == ("chain", "draw")
    attributes = found.sample_stats.attrs
    assert (attributes["problem"], attributes["result"], attributes["solve_seed"]) == ("exact", "converged", 7)


def test_other_places_of_a_path_have_no_weights():
    rho = without_weights(last_node(START, ENERGY))
    found = gw.to_inference_data(rho, KEY, 50)
    assert set(found.sample_stats.data_vars) == {"lp", "log_density"}
    np.testing.assert_array_equal(found.posterior["x"].values[0], rho.sample(KEY, 50))
    assert found.posterior.attrs["draws"] == "plain"


@pytest.mark.parametrize(
    ("function", "package", "extra"),
    [
        (gw.to_flowjax, "flowjax", "flowjax"),
        (gw.to_numpyro, "numpyro", "numpyro"),
        (lambda rho: gw.to_inference_data(rho, KEY), "arviz", "arviz"),
    ],
)
def test_without_the_package_the_message_says_what_to_install(monkeypatch, function, package, extra):
    monkeypatch.delitem(sys.modules, f"genwgp.export._{package}", raising=False)
    for module in (package, f"{package}.distributions"):
        monkeypatch.setitem(sys.modules, module, None)  # from here an import of it fails
    with pytest.raises(InputError, match=rf"no package {package}; allowed: .*pip install 'genwgp\[{extra}\]'"):
        function(without_weights(last_node(START, ENERGY)))


NUMBER: Any = 3
WRONG = {
    "no density": (lambda: gw.to_flowjax(NUMBER), "^to_flowjax: got 3"),
    "a distribution of theirs": (lambda: gw.to_numpyro(numpyro.distributions.Normal()), "^to_numpyro: got <numpyro"),
    "a start": (lambda: gw.to_inference_data(START, KEY), "^to_inference_data: got Gaussian"),
    "one name": (lambda: gw.to_inference_data(last_node(START, ENERGY), KEY, names="ab"), r"^names: got \['ab'\]"),
    "equal names": (lambda: gw.to_inference_data(last_node(START, ENERGY), KEY, names=["a", "a"]), "^names: got"),
    "no draws": (lambda: gw.to_inference_data(last_node(START, ENERGY), KEY, 0), "^draws: got 0"),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
