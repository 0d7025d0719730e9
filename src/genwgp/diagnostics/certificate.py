"""A bound on how far a path is from the true gradient flow, from its residual and a convexity constant."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.actions.profile import Nodes, Profile
from genwgp.checks import finite_number, positive_number
from genwgp.diagnostics.measure import walked
from genwgp.errors import InputError
from genwgp.layers.velocity import AbstractFlow
from genwgp.parts import over_particles, over_parts
from genwgp.path import WassersteinPath

SEED, POINTS, SEEN = 9003, 4, 512  # particles of a node that convexity is estimated from


class Certificate(NamedTuple):
    """Bounds at the nodes (K + 1,), the last one at the clock's last finite time; or at the times asked for.

    times: physical. residual: e = ||v + grad mu|| in L2(rho), length / time; between the quadrature points the larger
    one of both beside. bound: on W2(path, true flow), the less of both that `certificate` has; at t = inf, on
    W2(last node, equilibrium).
    convexity: the constant L. estimated: whether L is the least eigenvalue of Hess V, and of Hess W where that is
    negative, over particles of the path, instead of one that is known: then the bounds are no proof.
    log_sobolev: lam, with KL(rho || rho_*) <= ||grad mu||^2 / (2 lam D) for every rho; L, unless it is given.
    distance_to_equilibrium: W2(last node, equilibrium) <= ||grad mu|| / lam, and divergence_to_equilibrium, in nats:
    KL <= ||grad mu||^2 / (2 lam D); infinite unless lam > 0 and, for the second, there is an entropy.
    """

    times: Float[np.ndarray, " times"]
    residual: Float[np.ndarray, " times"]
    bound: Float[np.ndarray, " times"]
    convexity: float
    estimated: bool
    log_sobolev: float
    distance_to_equilibrium: float
    divergence_to_equilibrium: float


def certificate(
    path: WassersteinPath, convexity: float | None = None, times: Any = None, log_sobolev: float | None = None
) -> Certificate:
    """W2(rho_t, true rho_t) <= int_0^t exp(-L (t - r)) e(r) dr for a path from the same start and an L-convex F.

    And <= (||grad mu_t|| + exp(-lam t) (2 lam (F_0 - F_*))^(1/2)) / lam, over the equilibrium, for lam > 0.

    `convexity`: L, such that F is L-convex along Wasserstein geodesics: the least eigenvalue of Hess V for V with an
    entropy or a porous medium; None: it is estimated. The integral takes the larger of e at both ends of each interval
    between quadrature points. e is measured over 8192 held-out particles. `times`: where, from 0 to the end of the
    clock or infinite (the equilibrium); None: at the nodes. `log_sobolev`: lam, where V is not convex but the
    constant is known (`QuadratureReference.log_sobolev` on a line; of a product, the least one of its factors).
    InputError for a path that is not of velocity fields, whose clock is not its own, for times beyond it, for an L that
    must be given (with a `Functional`, or a U of a user), and for a lam without V and entropy alone.
    Source: the theory page; L-convexity: Ambrosio, Gigli and Savare, Gradient Flows, 2nd ed. (2008), chapter 11.
    """
    layers = path.layers
    if not isinstance(layers, AbstractFlow):
        raise InputError("path", "layers of Adam", "layers of the causal sweep: only their clock is their own")
    known = None if convexity is None else finite_number("convexity", convexity)
    L = _least_convexity(path) if known is None else known
    profile, nodes, _, _ = walked(path, layers, layers.time, SEED, POINTS)
    known_times, residual, force, at_node = _residual(profile, nodes)
    chosen = known_times[at_node] if times is None else _asked(times, known_times[-1])
    lam, D = L if log_sobolev is None else _constant(log_sobolev, path), path.energy.diffusion
    left, to_end = (force[-1] ** 2 / (2 * lam), force[-1] / lam) if lam > 0 else (np.inf, np.inf)
    F = np.asarray(profile.free_energy, dtype=np.float64)
    over = _over_equilibrium(_larger_beside(known_times, force, chosen), chosen, F[0] - F[-1] + left, lam)
    along = np.minimum(_at(known_times, residual, L, chosen), over)
    return Certificate(
        times=chosen,
        residual=_larger_beside(known_times, residual, chosen),
        bound=np.where(np.isinf(chosen), to_end, along),
        convexity=L,
        estimated=known is None,
        log_sobolev=lam,
        distance_to_equilibrium=to_end,
        divergence_to_equilibrium=left / D if D > 0 else np.inf,
    )


def _constant(log_sobolev: Any, path: WassersteinPath) -> float:
    """The constant as a number; InputError where there is no exp(-V/D) that it could belong to."""
    if not path.energy.gibbs or path.energy.interacting:
        raise InputError("log_sobolev", log_sobolev, "None, unless the energy is a potential with an entropy")
    return positive_number("log_sobolev", log_sobolev)


def _over_equilibrium(force: np.ndarray, times: np.ndarray, drop: float, lam: float) -> np.ndarray:
    """W2 from the path to the equilibrium and from there to the true flow, whose F - F* is `drop` at the start."""
    return (force + np.exp(-lam * times) * np.sqrt(2 * lam * drop)) / lam if lam > 0 else np.full(len(times), np.inf)


def _asked(times: Any, last: float) -> np.ndarray:
    """The times as an array; InputError for those that the clock does not reach."""
    allowed = f"times from 0 to {last:.6g}, the end of the clock, or inf"
    try:
        chosen = np.atleast_1d(np.asarray(times, dtype=np.float64))
    except (TypeError, ValueError):
        raise InputError("times", times, allowed) from None
    rounding = 1e-9 * last
    if chosen.ndim != 1 or not np.all((chosen >= 0) & ((chosen <= last + rounding) | np.isinf(chosen))):
        raise InputError("times", times, allowed)
    return np.where(np.isinf(chosen), chosen, np.minimum(chosen, last))


def _larger_beside(times: np.ndarray, residual: np.ndarray, at: np.ndarray) -> np.ndarray:
    """e at known times; else the larger one of both beside it, that of the end at infinity."""
    after = np.minimum(np.searchsorted(times, at), len(times) - 1)
    before = np.where(times[after] <= at, after, after - 1)
    return np.maximum(residual[before], residual[after])


def _at(times: np.ndarray, residual: np.ndarray, L: float, at: np.ndarray) -> np.ndarray:
    """The bound at finite times, of which those that are not known are put among the others."""
    finite = np.where(np.isinf(at), times[-1], at)
    every = np.unique(np.concatenate([times, finite]))
    return _grown(every, _larger_beside(times, residual, every), L)[np.searchsorted(every, finite)]


def _residual(profile: Profile, nodes: Nodes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Times, e and ||grad mu|| there, and which of them are nodes: all quadrature points and nodes, in order."""
    host = lambda a: np.asarray(a, dtype=np.float64)
    h, theta = host(profile.durations), host(nodes.theta)
    order, time = np.argsort(theta, axis=1), np.append(0.0, np.cumsum(h))

    def joined(inside: np.ndarray, node: np.ndarray) -> np.ndarray:
        layers = np.concatenate([np.take_along_axis(inside, order, axis=1), node[1:, None]], axis=1)
        return np.append(node[:1], layers)

    squared = lambda of, h: host(of.speed2) / h**2 + 2 * host(of.power) / h + host(of.force2)
    e2 = joined(squared(profile, h[:, None]), squared(nodes, np.append(h[:1], h)))
    return (
        joined(time[:-1, None] + h[:, None] * theta, time),
        np.sqrt(np.maximum(e2, 0)),
        np.sqrt(joined(host(profile.force2), host(nodes.force2))),
        joined(np.zeros(theta.shape, dtype=bool), np.ones(len(time), dtype=bool)),
    )


def _grown(times: np.ndarray, residual: np.ndarray, L: float) -> np.ndarray:
    """The bound at all times: B' = -L B + e, with the larger e of both ends between two of them."""
    bound = [0.0]
    with np.errstate(over="ignore"):  # a bound that grows without end is infinite
        for h, e in zip(np.diff(times), np.maximum(residual[1:], residual[:-1]), strict=True):
            decay = np.exp(-L * h)
            share = h if abs(L * h) < 1e-12 else -np.expm1(-L * h) / L
            bound.append(bound[-1] * decay + e * share if bound[-1] > 0 or e > 0 else 0.0)
    return np.array(bound)


def _least_convexity(path: WassersteinPath) -> float:
    """Least eigenvalue of Hess V at particles of all nodes, plus that of Hess W at their differences if negative."""
    energy = path.energy
    convex = energy.internal is None or energy.internal.displacement_convex(path.dim)
    if energy.functional is not None or not convex:
        unknown = "a functional" if energy.functional is not None else "this internal energy"
        raise InputError("convexity", None, f"a number: that of {unknown} is not known")
    start = jnp.asarray(path.initial.quasi_sample(SEED, SEEN), dtype=float)
    nodes = range(len(path.times))
    x = jnp.concatenate([start, *(path.transport(start, node=k) for k in nodes[1:])])
    x = x[np.isfinite(np.asarray(x)).all(1)]
    least = 0.0 if energy.potential is None else float(np.min(np.asarray(_lowest(energy.potential, x))))
    if energy.interaction is not None:
        apart = x - jnp.roll(x, SEEN // 3, axis=0)
        least += min(0.0, float(np.min(np.asarray(_lowest(energy.interaction, apart)))))
    return least


@over_parts
def _lowest(function: Any, x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Least eigenvalue of the Hessian of a function of one point."""
    number = lambda x: jnp.asarray(function(x), x.dtype)
    return over_particles(lambda x: jnp.linalg.eigvalsh(jax.hessian(number)(x))[0], x)
