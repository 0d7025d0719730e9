"""Potentials and paths that break numerical codes: refused in one line, or said to be wrong, and never a traceback.

`benchmarks/faults.py` solves more of them, and the same problem in other units.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.confinement import spreads, wall
from genwgp.diagnostics import measure
from genwgp.errors import InputError
from genwgp.layers.coupling import CouplingLayer, stack_layers
from genwgp.layers.fields import AbstractTerm, Field
from genwgp.layers.velocity import VelocityLayer
from genwgp.solvers.solve import _Found, _judged


def on_a_line(V, mean: float = 0.0, deviation: float = 0.3) -> gw.Problem:
    return gw.Problem(gw.FreeEnergy(V, gw.Entropy(1.0)), gw.Gaussian([mean], deviation**2))


def box(x):
    return jnp.where(jnp.abs(x[0]) < 2, 0.5 * x[0] ** 2, jnp.inf)


def disk(x):
    return jnp.where(x @ x < 4, 0.5 * x @ x, jnp.nan)


WALLS = [
    (box, [0.0], r"V jumps to inf at \(-?2\), where it is only 2 D above its least"),
    (lambda x: -jnp.sqrt(1 - x[0] ** 2), [0.0], r"V jumps to nan at \(-?1\), where it is only 1 D above"),
    (disk, [0.0, 0.5], r"V jumps to nan at \(.*, .*\), where it is only 2 D above"),
]
NO_WALLS = [
    (lambda x: jnp.exp(x[0] ** 4), 0.0),  # which overflows far out
    (lambda x: x[0] - 3 * jnp.log(x[0]), 3.0),  # NaN at x < 0, infinite before
    (lambda x: jnp.abs(x[0]), 1.0),
    (lambda x: 1e300 * x[0] ** 2, 0.0),
    (lambda x: 1e6 + x[0] ** 2, 0.0),
]


@pytest.mark.parametrize(("V", "mean", "what"), WALLS)
def test_walls_are_refused_before_anything_is_solved(V, mean, what):
    problem = gw.Problem(gw.FreeEnergy(V, gw.Entropy(1.0)), gw.Gaussian(mean, 0.01))
    with pytest.raises(InputError, match=f"^energy.potential: got {what}.*; allowed: .* a steep rise") as caught:
        gw.solve(problem)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("V", "mean"), NO_WALLS)
def test_what_grows_before_it_overflows_is_no_wall(V, mean):
    problem = on_a_line(V, mean)
    assert wall(problem) is None
    assert not spreads(problem)


def test_where_walls_are_not_looked_for():
    start = gw.Gaussian([0.0], 0.09)
    assert wall(gw.Problem(gw.FreeEnergy(box), start)) is None
    assert wall(gw.Problem(gw.FreeEnergy(None, gw.Entropy(1.0), gw.QuadraticInteraction(1.0)), start)) is None
    low = gw.Problem(gw.FreeEnergy(box, gw.Entropy(0.1)), start)
    assert wall(low) is None  # 20 D above the least: no particle gets there


@pytest.mark.parametrize("V", [lambda x: 0 * x[0], lambda x: -jnp.exp(-(x[0] ** 2))], ids=["flat", "flat far away"])
def test_what_confines_nothing_is_refused(V):
    with pytest.raises(InputError, match=r"^energy: got F falls however far"):
        gw.solve(on_a_line(V))


@pytest.mark.parametrize(
    ("V", "what"), [(lambda x: jnp.exp(x[0] ** 4), "V = inf"), (box, "V = inf"), (lambda x: jnp.log(x[0]), "V = nan")]
)
def test_what_is_not_finite_at_the_start_is_refused(V, what):
    with pytest.raises(InputError, match=f"^energy.potential: got {what} at"):
        on_a_line(V, deviation=10.0)


LOST = 1e200  # a coefficient whose flow no particle survives


class Pull(AbstractTerm):
    """phi = -c (x - at)^2 / 2."""

    at: Any

    @property
    def size(self) -> int:
        return 1

    def value(self, c, x):
        return -0.5 * c[0] * jnp.sum((x - self.at) ** 2)


def pulled(c: float, at: float = 0.0) -> VelocityLayer:
    """Two layers of the flow x' = -c (x - at), a segment each."""
    coefficients = jnp.full((2, 1, 1), c)
    return VelocityLayer(
        field=Field((Pull(jnp.full((2, 1), at)),)),
        start=coefficients,
        stop=coefficients,
        duration=jnp.full((2, 1), 0.1),
        substeps=jnp.full((2, 1), 4, dtype=jnp.int32),
        count=jnp.asarray([1, 1], dtype=jnp.int32),
    )


class Parabola(eqx.Module):
    """V whose numbers are arrays: compiled once."""

    at: Any
    constant: Any

    def __call__(self, x):
        return 0.5 * (x[0] - self.at) ** 2 + self.constant


def measured(c: float, constant: float = 0.0, at: float = 0.0) -> Any:
    problem = on_a_line(Parabola(jnp.asarray(at), jnp.asarray(constant)), at + 1.0)
    return measure(problem, pulled(c, at), gw.GeometricAction(), 3, points=2)


@pytest.fixture(scope="module")
def base() -> Any:
    return measured(0.5)


@pytest.mark.parametrize("c", [np.nan, LOST])
def test_a_path_whose_particles_are_lost_is_measured_and_said_to_be_wrong(base, c):
    path, figures = measured(c)
    assert np.isnan(figures["action"])
    np.testing.assert_allclose(path.times, [0.0, 0.1, 0.2])  # its clock is still right
    assert np.isfinite(path.arclength).all()
    result, message = _judged(_Found(path.layers, None, "reached", {}, {}), figures, True, True)
    assert (result, message) == (
        gw.Result.NON_FINITE,
        "the action is not finite: held-out particles were lost on the way; try more particles",
    )
    assert _judged(_Found(path.layers, None, "reached", {}, {}), base.figures, False, False)[0] != gw.Result.NON_FINITE


def test_so_is_one_without_a_clock_of_its_own():
    problem = on_a_line(Parabola(jnp.asarray(0.0), jnp.asarray(0.0)), 1.0)
    layers = stack_layers(lambda key: CouplingLayer.create(key, 1, 8, 1), 3, jax.random.key(0))
    broken = jax.tree.map(lambda a: a.at[1].set(jnp.nan), layers, is_leaf=eqx.is_array)
    path, figures = measure(problem, broken, gw.GeometricAction(), 3, points=2)
    assert np.isnan(figures["action"])
    assert np.isfinite(path.arclength).all()
    assert np.isfinite(path.times).all()


@pytest.mark.parametrize(("count", "seeds"), [(3, (3,)), (3, (3, 5)), (3, (3, 5, 6, 7, 8)), (90, (3,))])
def test_a_few_lost_particles_are_drawn_again_and_counted(base, monkeypatch, count, seeds):
    plain = gw.Gaussian.quasi_sample

    def lossy(self, seed, n):
        x = plain(self, seed, n)
        x[: count if seed in seeds else 0] = np.inf
        return x

    monkeypatch.setattr(gw.Gaussian, "quasi_sample", lossy)
    figures = measured(0.5).figures
    assert figures["lost"] == count / 8192
    if count < 8 and len(seeds) < 5:
        assert figures["action"] == pytest.approx(base.figures["action"], rel=1e-2)
    else:
        assert np.isnan(figures["action"])
    assert base.figures["lost"] == 0.0


@pytest.mark.parametrize(("constant", "at"), [(1e6, 0.0), (0.0, 1e3)])
def test_figures_do_not_depend_on_the_zeros_of_energy_and_place(base, constant, at):
    path, figures = measured(0.5, constant, at)
    for name, value in base.figures.items():
        np.testing.assert_allclose(figures[name], value, rtol=1e-6, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(path.free_energy - constant, base.path.free_energy, atol=1e-6)
    np.testing.assert_allclose(path.arclength, base.path.arclength, rtol=1e-9)
