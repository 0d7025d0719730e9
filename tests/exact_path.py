"""An exact path with the interface of a solved one: Ornstein-Uhlenbeck with commuting covariances, closed forms."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genwgp import Entropy, FreeEnergy, Gaussian, Problem
from genwgp.problems.ornstein_uhlenbeck import Quadratic
from genwgp.references import OrnsteinUhlenbeck

LAST = 12.0  # physical time of the last node but one layer; the last stands for the equilibrium


def exact_problem(dim: int = 2, diffusion: float = 1.0) -> Problem:
    """V = sum a_i x_i^2 / 2 from a narrow Gaussian off centre, covariance diagonal."""
    A, start = np.diag(np.linspace(0.6, 1.8, dim)), Gaussian(np.linspace(2.0, -1.0, dim), np.linspace(0.1, 0.3, dim))
    reference = OrnsteinUhlenbeck(A, np.zeros(dim), diffusion, start)
    return Problem(FreeEnergy(Quadratic(A, np.zeros(dim)), Entropy(diffusion)), start, "exact", reference)


def _curve(problem: Problem, name: str, times: np.ndarray) -> np.ndarray:
    return np.asarray(jax.jit(jax.vmap(getattr(problem.reference, name)))(times))


class ExactDensity:
    """The exact density at a time, with the time and arclength it belongs to."""

    def __init__(self, path: "ExactPath", time: float, arclength: float):
        self.path, self.time, self.arclength = path, time, arclength
        self.gaussian: Any = path.reference.density(time)
        self.dim = self.gaussian.dim
        self.sample, self.log_prob, self.score = self.gaussian.sample, self.gaussian.log_prob, self.gaussian.score

    def sample_and_log_prob(self, key, n):
        x = self.sample(key, n)
        return x, self.log_prob(x)


class ExactEquilibrium(ExactDensity):
    """The last node, with what importance weights give."""

    def weights(self, x, log_density):
        return jax.nn.softmax(-jax.vmap(self.path.potential)(x) / self.path.energy.diffusion - log_density)

    log_normaliser = property(lambda self: self.path.reference.log_normaliser)
    free_energy = property(lambda self: self.path.reference.equilibrium_free_energy)
    effective_sample_size = 1.0
    pareto_k = -np.inf
    normalisable = True


class ExactPath:
    """Nodes equidistant in arclength, s(t) = int_0^t sqrt(I) dt by the trapezoid rule on a fine grid."""

    layers = None  # there are none: nothing is said of a residual

    def __init__(self, problem: Problem, layers: int = 6):
        assert isinstance(problem.reference, OrnsteinUhlenbeck)
        assert problem.energy.potential is not None
        self.problem, self.reference, self.potential = problem, problem.reference, problem.energy.potential
        self.initial, self.energy, self.dim = problem.initial, problem.energy, problem.dim
        t = np.concatenate([[0.0], np.geomspace(1e-4, LAST, 400)])
        speed = np.sqrt(_curve(problem, "dissipation", t))
        s = np.concatenate([[0.0], np.cumsum(np.diff(t) * (speed[1:] + speed[:-1]) / 2)])
        self.fine_time, self.fine_arclength = t, s
        self.arclength = np.linspace(0.0, s[-1], layers + 1)
        self.times = np.append(np.interp(self.arclength[:-1], s, t), np.inf)
        finite = np.append(self.times[:-1], LAST)
        self.free_energy = _curve(problem, "free_energy", finite)
        self.dissipation = _curve(problem, "dissipation", finite)
        self.speed, self.layer_lengths = np.sqrt(self.dissipation), np.diff(self.arclength)
        self.direction_residual = np.full(layers + 1, 1e-3)

    def _where(self, time, arclength, node) -> tuple[float, float]:
        assert sum(a is not None for a in (time, arclength, node)) == 1
        if node is not None:
            arclength = self.arclength[node]
        if arclength is not None:
            last = arclength >= self.arclength[-1]
            return (np.inf if last else float(np.interp(arclength, self.fine_arclength, self.fine_time))), arclength
        return float(time), float(np.interp(time, self.fine_time, self.fine_arclength))

    def at(self, *, time=None, arclength=None, node=None) -> ExactDensity:
        return ExactDensity(self, *self._where(time, arclength, node))

    def transport(self, x0, *, time=None, arclength=None, node=None):
        start: Any = self.initial
        rho = self.at(time=time, arclength=arclength, node=node).gaussian
        return rho.mean + (x0 - start.mean) * jnp.sqrt(jnp.diagonal(rho.covariance) / jnp.diagonal(start.covariance))

    def trajectories(self, x0, *, arclength):
        return np.stack([self.transport(x0, arclength=s) for s in arclength])

    @property
    def equilibrium(self) -> ExactEquilibrium:
        return ExactEquilibrium(self, np.inf, float(self.arclength[-1]))

    def check(self) -> None:
        """Its parts belong together."""

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays = {
            "arclength": self.arclength,
            "times": self.times,
            "scalar": np.array(3.0),
            "keys": np.arange(2, dtype="u4"),
        }
        return arrays, {"kind": "exact", "layers": len(self.arclength) - 1, "end": float("inf")}

    @classmethod
    def from_arrays(cls, arrays, static, problem) -> "ExactPath":
        assert (static["kind"], static["end"], arrays["scalar"].shape) == ("exact", np.inf, ())
        return cls(problem, static["layers"])


@dataclass
class ExactSolution:
    """A solution as `solve` gives it."""

    path: Any
    result: Any
    message: str
    diagnostics: dict
    stats: dict
    log: dict
    problem: Problem
    settings: dict = field(default_factory=dict)
    problem_source: dict | None = None


@cache
def _exact_path(dim: int, layers: int, dtype: Any) -> ExactPath:
    """Made once for each precision."""
    return ExactPath(exact_problem(dim), layers)


def exact_solution(dim: int = 2, layers: int = 6, result: Any = "converged") -> Any:
    path = _exact_path(dim, layers, jnp.zeros(()).dtype)
    log = {"step": np.arange(5), "loss": np.array([3.0, 1.0, 0.1, np.nan, 1 / 3])}
    return ExactSolution(
        path=path,
        result=result,
        message="the path is exact",
        diagnostics={
            "action": 1 / 3,
            "action_second_form": 0.1,
            "speed_spread": 0.0,
            "direction_residual": 1e-3,
            "unknown": np.inf,
        },
        stats={"seconds": 1.5, "steps": 5},
        log=log,
        problem=path.problem,
        settings={"seed": 0, "layers": layers, "method": {"tolerance": 0.03}},
    )
