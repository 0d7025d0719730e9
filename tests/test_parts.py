"""Parts of a batch: the same as all of it at once, whatever its size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genwgp import parts
from genwgp.parts import PART, compiled, each_part, make_room, over_particles, over_parts, over_wide


def tree_function(scale, particles):
    return {"sum": scale * (particles["x"].sum(1) + particles["y"]), "square": particles["x"] ** 2}


def batch(n):
    rng = np.random.default_rng(n)
    return {"x": jnp.asarray(rng.normal(size=(n, 3))), "y": jnp.asarray(rng.normal(size=n))}


@pytest.mark.parametrize("n", [0, 1, 5, PART - 1, PART, PART + 1, 3 * PART + 7])
@pytest.mark.parametrize("on_host", [True, False])
def test_parts_joined_are_the_whole(n, on_host, monkeypatch):
    monkeypatch.setattr(parts, "on_host", lambda: on_host)  # an accelerator has the same arithmetic, other parts
    monkeypatch.setattr(parts, "LARGE_PART", PART)
    found, exact = over_parts(tree_function)(2.0, batch(n)), tree_function(2.0, batch(n))
    for name, values in exact.items():
        assert (found[name].shape, found[name].dtype) == (values.shape, values.dtype)
        np.testing.assert_allclose(found[name], values, rtol=1e-14, atol=1e-14)


def test_batches_of_many_sizes_share_compiled_code():
    traced = []
    function = over_parts(lambda scale, x: traced.append(x.shape) or scale * x)
    for n, scale in ((PART, 1.0), (2 * PART, 2.0), (5 * PART + 3, np.float64(3.0)), (PART + 1, 4.0)):
        function(scale, jnp.ones((n, 2)))
    assert traced == [(PART, 2)]


def test_threads_compute_in_the_precision_of_the_caller():
    double = over_parts(lambda x: x * 2)
    with jax.enable_x64(False):
        assert double(jnp.ones((2 * PART, 1))).dtype == jnp.float32
    with jax.enable_x64(True):
        assert double(jnp.ones((2 * PART, 1))).dtype == jnp.float64


def test_what_is_in_parts_can_be_differentiated():
    square = over_parts(lambda scale, x: scale * x**2)
    np.testing.assert_allclose(jax.grad(lambda x: square(3.0, x).sum())(jnp.ones((4, 1))), 6)
    np.testing.assert_allclose(jax.grad(lambda scale: square(scale, jnp.ones((4, 1))).sum())(3.0), 4)


def test_each_part_is_given_on_its_own():
    means = each_part(lambda x: x.mean(0))(jnp.arange(2.0 * PART)[:, None])
    np.testing.assert_allclose(np.stack(means), [[(PART - 1) / 2], [(3 * PART - 1) / 2]])


def test_errors_of_a_function_reach_the_caller():
    def wrong(x):
        raise ValueError("not today")

    with pytest.raises(ValueError, match="not today"):
        over_parts(wrong)(jnp.ones((PART, 1)))


def test_code_is_dropped_where_it_takes_its_share_of_memory_maps():
    traced = []
    function = jax.jit(lambda x: traced.append(x.shape) or x + 1)
    for share, times in ((1.0, 1), (0.0, 2)):
        function(jnp.ones(3))
        make_room(share)
        function(jnp.ones(3))
        assert len(traced) == times


@pytest.mark.parametrize("over", [over_particles, over_wide])
@pytest.mark.parametrize("on_host", [True, False])
def test_blocks_of_particles_are_the_whole(over, on_host, monkeypatch):
    monkeypatch.setattr(parts, "on_host", lambda: on_host)
    monkeypatch.setattr(parts, "LARGE_BLOCK", 100)
    monkeypatch.setattr(parts, "WIDE_BLOCK", 50)
    x = batch(333)["x"]
    np.testing.assert_array_equal(over(lambda x: jnp.cumsum(x), x), jnp.cumsum(x, 1))


def test_compiled_code_has_products_in_full_precision_and_takes_no_library_for_small_ones():
    products = lambda a: jnp.einsum("nij,nj->ni", a, a[:, 0])
    a, seen = jnp.ones((8, 4, 4), jnp.float32), []
    np.testing.assert_array_equal(compiled(lambda a: seen.append(jax.make_jaxpr(products)(a)) or products(a))(a), 4)
    assert "HIGHEST" in str(seen[0])
    assert "HIGHEST" not in str(jax.make_jaxpr(products)(a))
    if jax.default_backend() == "cpu":
        text = jax.jit(products, compiler_options=parts._options()).lower(a).compile().as_text()
        assert "ynn" not in str(text)
