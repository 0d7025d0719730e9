"""Everything that is reported of a path, from one walk of held-out particles along it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.interpolate import PchipInterpolator

from genwgp.actions import (
    FiniteHorizonAction,
    GeometricAction,
    Profile,
    clouds_along,
    profile_and_nodes,
    speed_spread,
)
from genwgp.actions.profile import Nodes
from genwgp.clock import Clock, times_of
from genwgp.confinement import spreads
from genwgp.diagnostics.pareto import pareto_k
from genwgp.energies import FreeEnergy
from genwgp.energies.interaction import Cloud
from genwgp.importance import normaliser
from genwgp.initial import AbstractDensity
from genwgp.layers.base import AbstractLayer, State
from genwgp.layers.velocity import AbstractFlow
from genwgp.parts import each_part, over_parts
from genwgp.path import Curves, WassersteinPath
from genwgp.path.density import REDRAWN
from genwgp.path.path import CLOUD
from genwgp.problem import Problem

PARTICLES = 8192  # a power of two: parts of them have equal size
ARRIVED = 0.1  # nats from the equilibrium within which the last node stands for it, at infinite time
FEW = 1e-3  # share of the held-out particles that may be lost
SPENT = 0.99  # of the drop of F: up to there directions are judged (beyond, the force is small and mostly noise)


class Measurement(NamedTuple):
    """The path with its curves, and figures about it.

    action, action_second_form: two estimates of the same number that differ by quadrature and sampling. energy_drop.
    speed_spread: largest relative difference between the lengths of adjacent layers. direction_residual: the largest
    one at the nodes before 99 % of the drop of F. dissipation_error: largest |change of F + int I dt| over the larger
    of the change and a hundredth of the drop, over the layers that begin before it. rise: largest rise of F in a layer
    over the drop. gap: KL divergence of the last node to the equilibrium in nats (with an interaction: of its own mean
    field, which is zero where the density is stationary); NaN where there is none, as where nothing confines. left:
    drop of F that is left over that of the path, by the decay of ||grad mu||. effective_sample_size: share of 1. lost:
    share of the held-out particles in whose place others were drawn (`walked`).
    """

    path: WassersteinPath
    figures: dict[str, Any]


def measure(problem: Problem, layers: AbstractLayer, action: Any, seed: int, points: int = 3) -> Measurement:
    """Walk particles drawn by `seed` along the layers."""
    profile, nodes, clouds, lost = walked(problem, layers, _durations(layers, action), seed, points)
    end = _at_end(problem.energy, clouds)
    log_weight = np.zeros(0) if spreads(problem) else log_weights(end, nodes.end.x, nodes.end.log_density)
    left = _left(profile, nodes)
    at_equilibrium = gap_of(log_weight) < ARRIVED or (not len(log_weight) and left < ARRIVED)
    clock = _clock(profile, nodes, endless=isinstance(action, GeometricAction) and at_equilibrium)
    path = WassersteinPath(layers, problem.initial, problem.energy, clock, _curves(profile, nodes, clock, log_weight))
    return Measurement(path, _figures(path, profile, action, log_weight) | {"left": left, "lost": lost})


def walked(
    problem: Problem | WassersteinPath, layers: AbstractLayer, durations: Any, seed: int, points: int
) -> tuple[Profile, Nodes, Cloud, float]:
    """Profile and nodes over held-out particles, what an interaction sees of others (`_clouds`), the share of the lost.

    As `sample` does, others are drawn for the few that the layers carry to infinity, beyond the tails that they were
    fitted to. Where they are more than few, or others are lost as well, nothing is finite.
    """
    start, clouds = problem.initial, _clouds(problem, layers, seed, points)

    def walk(x: Float[Array, "n d"]) -> tuple[Any, Bool[np.ndarray, " n"]]:
        state = State(x, start.log_prob(x), start.score(x))
        profile, nodes = _whole(_walk(layers, problem.energy, durations, clouds, points, state))
        return (profile, nodes), _lost(profile, nodes)

    (profile, nodes), _, share = redrawn(start, seed, PARTICLES, walk)
    return profile, nodes, clouds, share


def redrawn(
    start: AbstractDensity, seed: int, count: int, found: Callable[[Array], tuple[Any, Bool[np.ndarray, " n"]]]
) -> tuple[Any, Bool[np.ndarray, " n"], float]:
    """What is `found` of `count` quasi-random particles of the start, which are lost, and the share that first was.

    `found`: of particles (n, d), with which of them are lost. Others are drawn for those, again while they are few.
    """
    x, share = np.array(start.quasi_sample(seed, count), dtype=float), 0.0
    for again in range(REDRAWN + 1):
        result, lost = found(jnp.asarray(x, dtype=float))
        share = share or float(lost.mean())
        if not lost.any() or lost.mean() > FEW or again == REDRAWN:
            break
        x[lost] = np.asarray(start.quasi_sample(seed + 2 + again, count))[lost]
    return result, lost, share  # pyright: ignore[reportPossiblyUnbound]


def _lost(profile: Profile, nodes: Nodes) -> Bool[np.ndarray, " n"]:
    """Which particles have arrived at no finite place or score; none where all means are finite."""
    if np.isfinite(_on_host(profile.force2)).all():
        return np.zeros(len(nodes.end.x), dtype=bool)
    arrived = np.isfinite(np.concatenate([_on_host(nodes.end.x), _on_host(nodes.end.score)], axis=1))
    return np.asarray(~arrived.all(axis=1))


@each_part
def _walk(layers, energy, durations, clouds, points: int, state: State) -> tuple[Profile, Nodes]:
    return profile_and_nodes(layers, energy, state, points, durations, clouds)


def _clouds(problem: Problem | WassersteinPath, layers: AbstractLayer, seed: int, points: int) -> Cloud:
    """What an interaction sees along the path, of particles other than those that are measured."""
    if not problem.energy.interacting:
        return None
    x = jnp.asarray(problem.initial.quasi_sample(seed + 1, CLOUD), dtype=float)
    return clouds_along(layers, problem.energy, x, points)


def _at_end(energy: FreeEnergy, clouds: Cloud) -> FreeEnergy:
    """The energy in the mean field at the last node."""
    return energy.seeing(jax.tree.map(lambda a: a[-1, -1], clouds))


def _left(profile: Profile, nodes: Nodes) -> float:
    """Drop of F that is left at the last node over that of the path: I / (2 lam), lam the decay rate of ||grad mu||.

    The rate is that between the last two nodes, over the time that the layer takes. Exact for a decay by one mode;
    infinite where nothing decays.
    """
    F, force2 = _on_host(profile.free_energy), _on_host(nodes.force2)
    taken = np.asarray(profile.durations)[-1] if profile.durations is not None else _taken(profile, nodes)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = 0.5 * np.log(force2[-2] / force2[-1]) / float(taken)
        left = force2[-1] / (2 * rate) / abs(F[0] - F[-1])
    return float(left) if rate > 0 else float("inf")


def _taken(profile: Profile, nodes: Nodes) -> float:
    """Physical time of the last layer, from its length and the force at its ends."""
    force = np.sqrt(_on_host(nodes.force2)[-2:])
    return float(times_of(np.array([0.0, float(_on_host(_lengths(profile))[-1])]), force)[-1])


def _whole(parts: list[tuple[Profile, Nodes]]) -> tuple[Profile, Nodes]:
    """Means over the particles from those over parts of equal size; their ends one after the other."""
    mean = lambda *a: jnp.asarray(np.mean(a, axis=0, dtype=np.float64).astype(a[0].dtype))
    profile, nodes = jax.tree.map(mean, *parts)
    ends = jax.tree.map(lambda *a: jnp.asarray(np.concatenate(a)), *(nodes.end for _, nodes in parts))
    return profile, eqx.tree_at(lambda nodes: nodes.end, nodes, ends)


def _on_host(tree: Any) -> Any:
    """The arrays of a tree as numpy float64."""
    return jax.tree.map(lambda a: np.asarray(a, dtype=np.float64), tree)


def _durations(layers: AbstractLayer, action: Any):
    """Physical time of each layer, None where the path has no clock of its own."""
    if isinstance(layers, AbstractFlow):
        return layers.time
    if isinstance(action, FiniteHorizonAction):
        K = jax.tree.leaves(eqx.filter(layers, eqx.is_array))[0].shape[0]
        return action.durations(K)
    return None


def _clock(profile: Profile, nodes: Nodes, endless: bool) -> Clock:
    """Knots at the nodes and quadrature points. What is not finite, where particles were lost, counts as no motion."""
    nodes, (speed2, force2, durations) = _on_host(nodes), _on_host((profile.speed2, profile.force2, profile.durations))
    known = lambda a: np.where(np.isfinite(a), a, 0.0)
    position, arclength, force, time = [0.0], [0.0], [np.sqrt(nodes.force2[0])], [0.0]
    for k, length in enumerate(known(_on_host(_lengths(profile)))):
        theta, first = np.unique(nodes.theta[k], return_index=True)
        inside = (theta > 0) & (theta < 1)
        theta, first = theta[inside], first[inside]
        places = np.concatenate([[0.0], theta, [1.0]])
        speed = np.sqrt(known(np.concatenate([[nodes.entering[k]], speed2[k][first], [nodes.speed2[k + 1]]])))
        grown = PchipInterpolator(places, speed).antiderivative()(places)
        scale = length / grown[-1] if grown[-1] > 0 else 0.0
        position += list(k + places[1:])
        arclength += list(arclength[-1] + scale * grown[1:])
        force += list(np.sqrt(np.append(force2[k][first], nodes.force2[k + 1])))
        if durations is not None:
            time += list(time[-1] + places[1:] * durations[k])
    linear = durations is not None
    clock_time = np.array(time) if linear else times_of(np.array(arclength), np.array(force))
    return Clock(np.array(position), clock_time, np.array(arclength), linear, endless)


def _curves(profile: Profile, nodes: Nodes, clock: Clock, log_weight: np.ndarray) -> Curves:
    K = len(profile.weights)
    nodes, durations = _on_host((nodes, profile.durations))
    at = lambda name: np.array([clock.value_at(name, k) for k in range(K + 1)])
    force, speed = np.sqrt(nodes.force2), np.sqrt(nodes.speed2)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = nodes.power / (speed * force)
    physical = force
    if durations is not None:
        physical = speed / np.concatenate([durations[:1], durations])
    return Curves(
        times=at("time"),
        arclength=at("arclength"),
        free_energy=_on_host(profile.free_energy),
        dissipation=np.asarray(nodes.force2),
        speed=physical,
        direction_residual=np.sqrt(np.maximum(2 + 2 * np.nan_to_num(cosine), 0)),
        layer_lengths=_on_host(_lengths(profile)),
        equilibrium=_equilibrium(log_weight),
    )


def log_weights(energy: FreeEnergy, x: Any, log_density: Any) -> np.ndarray:
    """-(V + W * rho + D log rho) / D at particles (n, d); empty where there is no equilibrium of that form.

    `energy`: with its mean field (`FreeEnergy.among`) where there is an interaction.
    """
    if not energy.gibbs:
        return np.zeros(0)
    value = _chemical_potential(energy, (jnp.asarray(x, dtype=float), jnp.asarray(log_density, dtype=float)))
    return -np.asarray(value, dtype=np.float64) / energy.diffusion


@over_parts
def _chemical_potential(energy: FreeEnergy, particles) -> Float[Array, " n"]:
    return energy.chemical_potential(*particles)


def gap_of(log_weight: np.ndarray) -> float:
    """KL divergence to the equilibrium in nats: log mean exp(w) - mean w; NaN where there is none."""
    return float(normaliser(log_weight)[0] - log_weight.mean()) if len(log_weight) else float("nan")


def _equilibrium(log_weight: np.ndarray) -> Float[np.ndarray, " 4"]:
    """log Z, its standard error, effective sample size, Pareto k."""
    return np.array([*normaliser(log_weight), pareto_k(log_weight)]) if len(log_weight) else np.full(4, np.nan)


def _figures(path: WassersteinPath, profile: Profile, action: Any, log_weight) -> dict[str, Any]:
    value, second_form, spread = map(float, _functionals(action, profile))
    F = _on_host(profile.free_energy)
    drop = F[0] - F[-1]
    early = F[:-1] - F[-1] > (1 - SPENT) * abs(drop)
    spent, directions = _dissipated(profile), path.direction_residual
    change = np.diff(F)
    balance = np.abs(change + spent) / np.maximum(np.abs(change), (1 - SPENT) * abs(drop) + 1e-300)
    return {
        "action": value,
        "action_second_form": second_form,
        "energy_drop": float(drop),
        "speed_spread": spread,
        "direction_residual": float(directions[:-1][early].max() if early.any() else directions[0]),
        "dissipation_error": float(balance[early].max() if early.any() else balance[0]),
        "rise": float(max(change.max(), 0) / max(abs(drop), 1e-300)),
        "gap": gap_of(log_weight),
        "effective_sample_size": float(path.curves.equilibrium[2]),
        "log_normaliser_error": float(path.curves.equilibrium[1]),
        "pareto_k": float(path.curves.equilibrium[3]),
    }


@eqx.filter_jit  # here and below: one compilation for all that it is made of
def _lengths(profile: Profile) -> Float[Array, " K"]:
    return profile.layer_lengths


@eqx.filter_jit
def _functionals(action: Any, profile: Profile) -> tuple[Float[Array, ""], ...]:
    """The action in both forms and the spread of the speeds."""
    return action.value(profile), action.second_form(profile), speed_spread(profile)


def _dissipated(profile: Profile) -> np.ndarray:
    """int ||grad mu||^2 dt over each layer, dt = duration d theta, or dl / ||grad mu|| where there is no clock."""
    parts = (profile.weights, profile.speed2, profile.force2, profile.durations)
    weights, speed2, force2, durations = _on_host(parts)
    if durations is not None:
        return durations * (weights * force2).sum(1)
    return (weights * np.sqrt(speed2 * force2)).sum(1)
