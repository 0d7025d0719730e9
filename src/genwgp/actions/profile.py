"""The statistics of a path from which every action is computed: a few numbers per layer, no particles."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.energies import FreeEnergy
from genwgp.energies.interaction import Cloud
from genwgp.errors import InputError
from genwgp.layers.base import AbstractLayer, State
from genwgp.parts import over_particles


class Profile(eqx.Module):
    """A path of K layers seen at q quadrature points each; v = d x / d theta inside a layer, norms in L2(rho).

    weights (K, q)       quadrature weights, sum 1 over a layer
    speed2 (K, q)        ||v||^2 = int |v|^2 rho           length^2 (theta is a number, not a time)
    force2 (K, q)        ||grad mu||^2                     (energy / length)^2
    power (K, q)         <v, grad mu>, the change of F per unit of theta       energy
    free_energy (K+1,)   F at the nodes                    energy
    end_force2 ()        ||grad mu||^2 at the last node    (energy / length)^2
    durations (K,)       physical time that each layer takes, or None where the path has no clock

    Time is in units length^2 / energy, since the flow is dx/dt = -grad mu. Anything that jnp.asarray takes will
    do: profiles may be made from closed forms. InputError if shapes do not fit.
    """

    weights: Float[Array, "K q"] = eqx.field(converter=jnp.asarray)
    speed2: Float[Array, "K q"] = eqx.field(converter=jnp.asarray)
    force2: Float[Array, "K q"] = eqx.field(converter=jnp.asarray)
    power: Float[Array, "K q"] = eqx.field(converter=jnp.asarray)
    free_energy: Float[Array, " K+1"] = eqx.field(converter=jnp.asarray)
    end_force2: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    durations: Float[Array, " K"] | None = eqx.field(
        converter=lambda given: None if given is None else jnp.asarray(given), default=None
    )

    def __check_init__(self):
        shape = self.weights.shape
        if len(shape) != 2:
            raise InputError("Profile.weights", f"shape {shape}", "shape (K, q): K layers of q points")
        wanted = {"speed2": shape, "force2": shape, "power": shape, "free_energy": (shape[0] + 1,), "end_force2": ()}
        if self.durations is not None:
            wanted["durations"] = (shape[0],)
        for name, allowed in wanted.items():
            if getattr(self, name).shape != allowed:
                raise InputError(f"Profile.{name}", f"shape {getattr(self, name).shape}", f"shape {allowed}")

    @property
    def layer_lengths(self) -> Float[Array, " K"]:
        """Wasserstein length that each layer covers: int ||v|| d theta."""
        return jnp.sum(self.weights * safe_sqrt(self.speed2), axis=1)


def safe_sqrt(a: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """sqrt(a), 0 where a <= 0, with derivative 0 there instead of infinity: a path in training may stand still."""
    positive = a > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, a, 1)), 0)


class Nodes(eqx.Module):
    """What is measured at the nodes of a path, and where inside the layers its profile looked.

    theta (K, q): the quadrature points. speed2, force2, power (K + 1,): ||v||^2, ||grad mu||^2 and <v, grad mu> at the
    nodes, v per unit of theta of the layer that ends there (at the start, of the first layer). entering (K,): ||v||^2
    where each layer begins. end: the particles at the last node.
    """

    theta: Float[Array, "K q"]
    speed2: Float[Array, " nodes"]
    force2: Float[Array, " nodes"]
    power: Float[Array, " nodes"]
    entering: Float[Array, " K"]
    end: State


def profile_of(
    layers: AbstractLayer,
    energy: FreeEnergy,
    state: State,
    points: int = 3,
    durations: Float[Array, " K"] | None = None,
) -> Profile:
    """The profile of a stacked chain of layers, with means over the particles of `state` (a batch at node 0).

    `points`: quadrature points of a layer (`AbstractLayer.quadrature`). `durations`: physical time of each layer, where
    the path has a clock. One scan over the layers, so the cost is O(K); may be jitted and differentiated in the layers.
    """
    return _walk(layers, energy, state, points, durations, None)[0]


def profile_and_nodes(
    layers: AbstractLayer,
    energy: FreeEnergy,
    state: State,
    points: int = 3,
    durations: Float[Array, " K"] | None = None,
    clouds: Cloud = None,
) -> tuple[Profile, Nodes]:
    """`profile_of`, and the same means at the nodes.

    `clouds`: what the interaction sees on the way (`clouds.clouds_along`); None: the particles themselves.
    """
    profile, end, (theta, first, last) = _walk(layers, energy, state, points, durations, clouds, nodes=True)
    speed2, force2, power = (jnp.concatenate([enter[:1], leave]) for enter, leave in zip(first, last, strict=True))
    return profile, Nodes(theta, speed2, force2, power, first[0], end)


def _walk(layers, energy: FreeEnergy, state: State, points: int, durations, clouds: Cloud, nodes: bool = False):
    def through(state: State, layer: AbstractLayer, clouds: Cloud):
        theta, weights = (a.astype(state.x.dtype) for a in layer.quadrature(points))
        seen = lambda i: energy if clouds is None else energy.seeing(jax.tree.map(lambda a: a[i], clouds))

        def look(carry, place):
            (here, before), (theta, cloud) = carry, place
            visit = lambda pair: layer.visit(pair[0], pair[1], before, theta)
            inside, v = over_particles(visit, (state, here))
            one, other = energy.seeing(cloud).gradients(*inside)
            pairs = ((v, v), (one, other), (v, 0.5 * (one + other)))
            return (inside, theta), tuple(_mean_product(a, b) for a, b in pairs)

        zero, one = jnp.zeros_like(theta[0]), jnp.ones_like(theta[0])
        between = jax.tree.map(lambda a: a[1:-1], clouds)
        (here, before), inside = jax.lax.scan(look, (state, zero), (theta, between))
        if nodes:
            _, first = look((state, zero), (zero, seen(0).cloud))
            (after, _), last = look((here, before), (one, seen(-1).cloud))
            extra = (theta, first, last)
        else:
            after, extra = over_particles(lambda pair: layer.visit(pair[0], pair[1], before, one)[0], (state, here)), ()
        return after, (weights, *inside, seen(-1).value(after.x, after.log_density), extra)

    at = lambda i: energy if clouds is None else energy.seeing(jax.tree.map(lambda a: a[i, i], clouds))
    before = at(0).value(state.x, state.log_density)
    arrays, static = eqx.partition(layers, eqx.is_array)
    # Recomputed in the reverse pass: what it would otherwise store leaves the processor's cache (3 times slower).
    step = jax.checkpoint(lambda state, part: through(state, eqx.combine(part[0], static), part[1]))
    end, (weights, speed2, force2, power, after, extra) = jax.lax.scan(step, state, (arrays, clouds))
    free_energy = jnp.concatenate([before[None], after])
    return Profile(weights, speed2, force2, power, free_energy, at(-1).dissipation(*end), durations), end, extra


def _mean_product(a: Float[Array, "n d"], b: Float[Array, "n d"]) -> Float[Array, ""]:
    return jnp.mean(jnp.sum(a * b, axis=1))
