"""What `test_devices` runs in a process of its own, with four devices: what differs from one device, by its name."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

import genwgp as gw  # noqa: E402
from genwgp.layers.fields import Field, Quadratic, Waves  # noqa: E402
from genwgp.mesh import mesh_of, on  # noqa: E402
from genwgp.parts import each_part  # noqa: E402
from genwgp.solvers import collocation as col  # noqa: E402
from genwgp.solvers import directed  # noqa: E402
from genwgp.solvers.jacobian import jacobian  # noqa: E402
from genwgp.solvers.mean_field import MeanField  # noqa: E402
from genwgp.solvers.particles import initial_state  # noqa: E402
from genwgp.solvers.segment import Segment  # noqa: E402
from genwgp.solvers.simplified import Linearised, simplified_newton  # noqa: E402

N = 301  # no number of devices divides it
RNG = np.random.default_rng(0)
FIELD = Field((Quadratic(jnp.zeros(2)), Waves(jnp.asarray(RNG.normal(size=(5, 2))), jnp.asarray(RNG.normal(size=5)))))
START = gw.Gaussian(np.zeros(2), 1.0)
ENERGY = gw.FreeEnergy(lambda x: x @ x, gw.Entropy(1.0), gw.LogarithmicInteraction(1.0))


def draw(*shape):
    return jnp.asarray(RNG.normal(size=shape))


STATE, CLOUD = initial_state(START, draw(N, 2)), initial_state(START, draw(70, 2))
WEIGHT, C = jnp.abs(draw(N, 3)) + 0.1, 0.1 * draw(2, FIELD.size)
ROWS, STEP = RNG.normal(size=(N, 6)), RNG.normal(size=2 * FIELD.size)


def numbers() -> dict[str, np.ndarray]:
    """What a segment is fitted by."""
    mean_field = MeanField(ENERGY, CLOUD)
    segment = Segment(FIELD, C[0], C[1], jnp.asarray(0.1), jnp.asarray(4))
    penalty = col.Penalty(np.full(FIELD.size, 1e-6), np.zeros(FIELD.size))
    stages = col.collocate(mean_field, segment, STATE, WEIGHT, penalty)
    matrix: Any = jacobian(mean_field, segment, STATE, WEIGHT)
    pair = (STATE, WEIGHT)
    linear = Linearised().at(mean_field.now(), FIELD, C[0], STATE, WEIGHT)
    still, moved = directed.linearised(ENERGY.among(CLOUD.x), FIELD, C[0], STATE, WEIGHT)
    found = simplified_newton(linear, mean_field, segment, stages, STATE, WEIGHT, penalty, 1e-3)
    return {
        "residuals": stages.residuals,
        "normal matrix": matrix.inner(matrix),
        "right side": matrix.transposed(ROWS),
        "change": matrix.times(STEP),
        "explicit fit": col.explicit_fit(mean_field.now(), FIELD, C[0], pair, pair, (1e-6,)).coefficients,
        "products by directions": np.stack(directed.products([(still, moved), (moved, moved)])),
        "right side by directions": moved.transposed(ROWS[:, :3]),
        "change by directions": moved.times(STEP[: FIELD.size]),
        "simplified": np.asarray(found.segment.first),
    }


@each_part
def part_means(x):
    return x.mean(0)


def solution(devices: int | None) -> np.ndarray:
    problem = gw.problems.get("ornstein-uhlenbeck", dim=1)
    small = gw.CausalSweep(pool=1100, train=1030, test=1024)
    path: Any = gw.solve(problem, gw.FiniteHorizonAction(0.01), layers=1, method=small, devices=devices).path
    return np.concatenate([path.free_energy, path.arclength, np.asarray(path.layers.start).ravel()])


def main() -> None:
    alone, errors = numbers(), {}
    many = np.asarray(draw(8192, 1))
    mean = np.mean(part_means(many), axis=0)
    with on(mesh_of(4)):
        for name, value in numbers().items():
            errors[f"{name}, 4"] = float(np.abs(value - alone[name]).max() / np.abs(alone[name]).max())
        errors["mean, 4"] = float(np.abs(np.mean(part_means(many), axis=0) - mean)[0])
    one = solution(None)
    errors["path, 2"] = float(np.abs(solution(2) - one).max() / np.abs(one).max())
    try:
        mesh_of(5)
    except gw.InputError as error:
        refusal = str(error)
    print(json.dumps({"errors": errors, "refusal": refusal}))


if __name__ == "__main__":
    main()
