"""Maps through a stacked chain of layers up to a position k + theta: layer k (from 0), theta inside it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.initial import AbstractDensity
from genwgp.layers.base import AbstractLayer, State
from genwgp.parts import over_particles, over_parts


def _fold(layers: AbstractLayer, position, y, step, backwards: bool = False):
    """y after `step(layer, theta, y)` for each layer that the position has entered."""
    arrays, static = eqx.partition(layers, eqx.is_array)
    count = jnp.ceil(position).astype(jnp.int32)

    def body(i, y):
        k = count - 1 - i if backwards else i
        layer = eqx.combine(jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, k, keepdims=False), arrays), static)
        return step(layer, jnp.clip(position - k.astype(position.dtype), 0, 1), y)

    return jax.lax.fori_loop(0, count, body, y)


def _push(layers, position, x):
    return _fold(layers, position, x, lambda layer, theta, x: layer.forward(x, theta)[0])


def _with_volume(layers, position, x, move, backwards: bool = False):
    """Where `move` of each layer carries x, and the log-determinant of the way."""

    def step(layer, theta, pair):
        y, log_det = move(layer, pair[0], theta)
        return y, pair[1] + log_det

    return _fold(layers, position, (x, jnp.zeros_like(x, shape=())), step, backwards)


def _retrace(layers, position, state: State) -> State:
    return _fold(layers, position, state, lambda layer, theta, state: layer.retrace(state, theta))


def _pull(layers, position, y):
    return _with_volume(layers, position, y, lambda layer, y, theta: layer.inverse(y, theta), backwards=True)


@over_parts
def push(layers: AbstractLayer, position, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Where particles that start at x are at the position."""
    return over_particles(lambda x: _push(layers, position, x), x)


@over_parts
def push_through(layers: AbstractLayer, theta: Float[Array, "K m"], x: Float[Array, "n d"]) -> Float[Array, "n K m d"]:
    """Where particles that start at x are at m places inside of each layer, which is passed once."""
    arrays, static = eqx.partition(layers, eqx.is_array)

    def step(x, part):
        layer, places = eqx.combine(part[0], static), part[1]
        inside = jax.lax.map(lambda place: layer.forward(x, place)[0], places)
        return layer.forward(x, jnp.ones_like(places[0]))[0], inside

    return over_particles(lambda x: jax.lax.scan(step, x, (arrays, theta))[1], x)


@over_parts
def push_density(
    layers: AbstractLayer, initial: AbstractDensity, position, x: Float[Array, "n d"]
) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """Where particles that start at x are at the position, and log rho there: log rho_0(x) - log|det grad f(x)|."""
    forward = lambda layer, x, theta: layer.forward(x, theta)
    y, log_det = over_particles(lambda x: _with_volume(layers, position, x, forward), x)
    return y, initial.log_prob(x) - log_det


@over_parts
def log_density(
    layers: AbstractLayer, initial: AbstractDensity, position, y: Float[Array, "n d"]
) -> Float[Array, " n"]:
    """log rho(y) = log rho_0(x) + log|det grad f^{-1}(y)|, x = f^{-1}(y); -inf where no x arrives at a finite y."""
    x, log_det = over_particles(lambda y: _pull(layers, position, y), y)
    value = initial.log_prob(x) + log_det
    empty = jnp.isfinite(y).all(axis=1) & ~jnp.isfinite(value)
    return jnp.where(empty, -jnp.inf, value)


@over_parts
def score(layers: AbstractLayer, initial: AbstractDensity, position, y: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """grad log rho(y): back to the start, and the score of the start carried here; O(K) for K layers. NaN without x."""
    x, _ = over_particles(lambda y: _pull(layers, position, y), y)
    start = State(x, initial.log_prob(x), initial.score(x))
    return over_particles(lambda z: _retrace(layers, position, z), start).score
