"""Short trainings with Adam: they go down, end as promised when cut short, and solve small problems roughly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.actions import FiniteHorizonAction, GeometricAction
from genwgp.errors import InputError
from genwgp.initial import Gaussian
from genwgp.references import OrnsteinUhlenbeck
from genwgp.solvers.adam import Adam, train

SMALL = Adam(steps=150, particles=128, learning_rate=0.01, width=4, couplings=1, points=1)
KEY = jax.random.key(0)


def ornstein_uhlenbeck() -> tuple[gw.Problem, OrnsteinUhlenbeck]:
    problem = gw.problems.get("ornstein-uhlenbeck")
    assert isinstance(problem.reference, OrnsteinUhlenbeck)
    return problem, problem.reference


def all_finite(layers) -> bool:
    return all(bool(np.all(np.isfinite(a))) for a in jax.tree.leaves(eqx.filter(layers, eqx.is_array)))


def test_geometric_training_goes_down_to_the_equilibrium():
    (problem, exact), seen = ornstein_uhlenbeck(), []
    trained = train(problem, GeometricAction(), 4, KEY, SMALL, lambda **figures: seen.append(figures))
    equilibrium = exact.equilibrium_free_energy
    start = float(exact.free_energy(0.0)) - equilibrium
    assert trained.status == "done"
    assert all_finite(trained.layers)
    losses = [figures["loss"] for figures in seen]
    assert losses[0] > losses[len(losses) // 2] > losses[-1]
    assert seen[-1]["free_energy"] - equilibrium < 0.02 * start  # 2 % of the drop after 150 steps
    assert 0 <= seen[-1]["action"] < 0.1 * start
    assert [figures["step"] for figures in seen] == [20, 40, 60, 80, 100, 120, 140, 150]
    assert seen[-1]["seconds_left"] == 0
    assert {len(column) for column in trained.log.values()} == {150}
    assert np.all(np.isfinite(trained.log["loss"]))


def test_finite_horizon_training_and_interruption():
    (problem, exact), seen = ornstein_uhlenbeck(), []

    def on_step(**figures):
        seen.append(figures)
        if figures["step"] == 100:
            raise KeyboardInterrupt

    trained = train(problem, FiniteHorizonAction(0.5), 2, KEY, SMALL, on_step)
    assert trained.status == "interrupted"
    assert len(trained.log["loss"]) == 100
    # Standing still would cost T / 2 times the dissipation at the start.
    still = 0.25 * float(exact.dissipation(0.0))
    assert seen[-1]["loss"] < 0.1 * still
    before, after = float(exact.free_energy(0.0)), float(exact.free_energy(0.5))
    assert abs(seen[-1]["free_energy"] - after) < 0.1 * (before - after)


def test_training_stops_with_the_last_finite_layers():
    """F falls to minus infinity at x = 3, behind which V is NaN."""
    energy = gw.FreeEnergy(lambda x: 5 * jnp.log(3 - x[0]), gw.Entropy(0.1))
    problem = gw.Problem(energy, Gaussian([0.0], 0.1))
    calls = []
    rough = Adam(steps=200, particles=64, learning_rate=0.3, width=3, points=1)
    trained = train(problem, GeometricAction(), 2, KEY, rough, lambda **figures: calls.append(figures["step"]))
    assert trained.status == "non_finite"
    assert len(trained.log["loss"]) < 200
    assert not np.all(np.isfinite(trained.log["loss"]))
    assert all_finite(trained.layers)
    assert len(calls) == len(trained.log["loss"]) // 20 - 1


@pytest.mark.parametrize("field", ["steps", "particles", "learning_rate", "width", "couplings", "points"])
def test_settings_must_be_positive(field):
    with pytest.raises(InputError, match=f"Adam.{field}: got 0"):
        Adam(**{field: 0})
