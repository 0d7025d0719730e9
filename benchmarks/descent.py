"""Adam on the action, over the coefficients of layers like those that the sweep finds: another way to them."""

import time

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import genwgp as gw
from genwgp.diagnostics import verdict
from genwgp.diagnostics.measure import measure
from genwgp.layers.base import AbstractLayer, State
from genwgp.layers.fields import Field
from genwgp.layers.velocity import VelocityLayer, rates, runge_kutta
from genwgp.solvers.adam import CHUNK, descend
from genwgp.solvers.solve import HELD_OUT

STEPS = 2  # of fourth order, between two places where a layer is looked at
PARTICLES = 4096  # that give the scale of each coefficient


def bare(x: Float[Array, " d"]) -> State:
    """A particle of which the position alone matters."""
    return State(x, jnp.zeros_like(x, shape=()), jnp.zeros_like(x))


class GradientFlow(AbstractLayer):
    """The flow of v = grad phi(x; scale c) over unit time, c linear in theta from c[0] to c[1]: fixed features."""

    c: Float[Array, "*K 2 p"]
    frozen: tuple[Field, Float[Array, "*K p"]]

    def slope(self, state: State, theta) -> State:
        field, scale = jax.lax.stop_gradient(self.frozen)
        return rates(field, scale * (self.c[0] + theta * (self.c[1] - self.c[0])), state)

    def forward(self, x, theta):
        return self._volume(x, 0.0, theta)

    def inverse(self, y, theta):
        return self._volume(y, theta, 0.0)

    def velocity(self, y, theta):
        return self.slope(bare(y), theta).x

    def transport(self, state, theta):
        return self._flow(state, 0.0, theta)

    def visit(self, start, here, before, theta):
        inside = self._flow(here, before, theta)
        return inside, self.velocity(inside.x, theta)

    def _volume(self, x, start, stop):
        state = self._flow(bare(x), start, stop)
        return state.x, -state.log_density

    def _flow(self, state: State, start, stop) -> State:
        """In steps of a number that is known when it is compiled, to be differentiated in reverse."""
        start, stop = (jnp.asarray(end, state.x.dtype) for end in (start, stop))
        return runge_kutta(lambda theta, z: self.slope(z, theta), state, start, stop, np.array(STEPS))


def chain_of(solution: gw.Solution) -> GradientFlow:
    """Layers at rest, one for each of the solution's, with the features that it has half-way.

    A coefficient of 1 moves particles as far as the whole layer of the solution does.
    """
    path, layers = solution.path, solution.path.layers
    assert isinstance(layers, VelocityLayer)
    x0, rows, half = path.initial.quasi_sample(7, PARTICLES), [], jnp.asarray(0.5)
    for k, length in enumerate(np.diff(path.arclength)):
        layer = jax.tree.map(lambda a, k=k: a[k], layers)
        field, none = layer._segment(layer._index(half))[0], jnp.zeros(layer.start.shape[-1])
        x = path.transport(x0, arclength=float(path.arclength[k] + 0.5 * length))
        columns = jax.lax.map(lambda x, f=field, c=none: f.tangent(c, x, jnp.zeros_like(x)).velocity, x)
        size = jnp.sqrt((columns**2).sum(1).mean(0))
        scale = jnp.where(size > 0, length / jnp.where(size > 0, size, 1), 0)
        rows.append(GradientFlow(jnp.zeros((2, len(scale))), (field, scale)))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)


def same_layers(problem: gw.Problem, like: gw.Solution, rate: float, seconds: float) -> gw.Solution:
    """Adam for so many seconds, compilation apart, from rest, on layers with the features of a solution."""
    action, chain = gw.GeometricAction(), chain_of(like)
    settings = lambda steps: gw.Adam(steps=steps, learning_rate=rate)
    descend(problem, action, settings(CHUNK), chain, 0)
    began = time.perf_counter()
    descend(problem, action, settings(CHUNK), chain, 0)
    steps = max(CHUNK, int(CHUNK * seconds / (time.perf_counter() - began)))
    trained = descend(problem, action, settings(steps), chain, 0)
    path, figures = measure(problem, trained.layers, action, HELD_OUT)
    result = gw.Result.CONVERGED if verdict(figures, True, True) is None else gw.Result.NOT_CONVERGED
    return gw.Solution(path, result, "", figures, {"steps": steps}, trained.log, problem)
