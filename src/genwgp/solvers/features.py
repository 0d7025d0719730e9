"""Which potentials the layers of a sweep are made of: chosen from the dimension, the energy and the start."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.energies import FreeEnergy
from genwgp.initial import AbstractDensity, Mixture
from genwgp.layers.fields import AbstractTerm, Bumps, Field, LogMixture, ModulatedPotential, Quadratic, Waves
from genwgp.layers.restricted import held
from genwgp.parts import over_particles, over_parts
from genwgp.solvers.frame import Frame, joint_axes
from genwgp.solvers.particles import farthest_points, spacing2

# Bumps, bumps that modulate V, and translates of V, by dimension: they resolve what V and the quadratic do not. Bumps
# do not scale beyond three dimensions, where waves take their place.
FEW = {1: (60, 8, 0), 2: (300, 8, 8), 3: (400, 12, 8)}
FINER, COARSE = {2: (600, 20, 16)}, 0.01  # those in their place where they leave more than this of the force
NONE = (0, 0, 0)
NEAREST, FARTHEST = 0.05, 0.5  # lengths of the translations over the size of the density
ALONG, ACROSS = 30, 100  # waves along each axis, and in random directions
OVERLAP = 1.7  # width of a bump over the distance to its neighbours; from 1.2 to 4 measured, 1.7 resolves most
NARROW = 0.5, 1.5  # 1 / width of the waves in random directions, in whitened coordinates
EVERYWHERE = 0.1  # share of them that do not look at where the force is not linear
HESSIANS = 256  # that decide the axes
ROUGH = 10.0  # slope of grad V over the least translation, ZOOMS times halved, over that when half as often halved
ZOOMS, LOOKS = 10, 256  # points around the steepest one, each time
QUADRATIC = 0.01  # change of Hess V, over its size, up to which a flow may do without bumps and waves

TINY = 1e-300

Slope = Float[np.ndarray, "n d d"] | None


class Features:
    """Makes the field of each segment; `rich` adds bumps or waves to V, the quadratic and the start's mixture.

    `fine`: more bumps and translates than at first. In the tails, where particles are few, they are worse, so that they
    are for flows which fewer do not resolve: of modes that exchange mass, say. `rough`: V has a kink where particles
    are or were. It has that in one place: translates would have it at others, and attract particles into a point. So
    does V itself, once diffusion has made mu smooth over the distance of the bumps: then they do without.

    A problem whose flow the few structured terms carry (Gaussians under quadratic potentials, in any dimension) is
    solved by them alone; where V is far from quadratic and there is no mixture, that is not tried.
    """

    def __init__(self, energy: FreeEnergy, initial: AbstractDensity, x: Float[np.ndarray, "n d"]):
        self.rich, self.fine, self.rough, self.dim = False, False, False, x.shape[1]
        self.mixture = initial if isinstance(initial, Mixture) and energy.diffusion > 0 else None
        # Centre and scale of the structured terms stay the same, so that their coefficients change smoothly in time.
        self.centre = x.mean(0)
        self.shift, self.scale = 0.0, 1.0
        if energy.potential is not None:
            values = np.asarray(potential(energy, x))
            self.shift = float(values.mean())
            self.scale = float(values.std() + 1e-12 * (1 + np.abs(values).max()))
        if _has_landscape(energy):
            self.rich = self.linear and not _nearly_quadratic(energy, x)

    @property
    def linear(self) -> bool:
        """Whether fields are linear in their coefficients."""
        return self.mixture is None

    def refined(self, unresolved: float) -> bool:
        """Whether there are more bumps and translates from now on: fewer left so much, over ||grad mu||, of the force.

        In the plane only: on a line many wide bumps are too much alike, in space they are too dear.
        """
        finer = not self.fine and self.rich and self.dim in FINER and unresolved > COARSE
        self.fine |= finer
        return finer

    def place(
        self,
        energy: FreeEnergy,
        candidates: Float[np.ndarray, "n d"],
        slope: Slope,
        rng: np.random.Generator,
        time: float = 0.0,
    ) -> Field:
        """The field of one segment: bumps at candidates far apart, as wide as their distances.

        `energy`: among the particles as they stand, at this time. `slope`: grad v at the candidates where it is known,
        from the segment before.
        """
        d = candidates.shape[1]
        terms: list[AbstractTerm] = [Quadratic(jnp.asarray(self.centre))]
        if self.rich and d in FEW and energy.potential is not None:
            self.rough = self.rough or _rough(energy, candidates)
        numbers = FEW | FINER if self.fine else FEW
        bumps, modulating, translates = numbers.get(d, NONE) if self.rich else NONE
        translates = 0 if self.rough else translates
        places = sites(energy, candidates, slope, bumps)
        placed = bumps_at(*places)
        smooth = self.rough and 2 * energy.diffusion * time > _spacing(placed) ** 2
        if energy.potential is not None and not smooth:
            shift, scale = jnp.asarray(self.shift), jnp.asarray(self.scale)
            offset = jnp.asarray(_offsets(candidates, translates, rng))
            few = bumps_at(*(a[:modulating] for a in places))
            terms.append(ModulatedPotential(held(energy.potential), shift, scale, offset, few))
        if self.mixture is not None:
            terms.append(_log_mixture(self.mixture, energy.diffusion))
        if self.rich:
            terms.append(placed if bumps else _waves(energy, candidates, slope, rng))
        return Field(tuple(terms))


def _has_landscape(energy: FreeEnergy) -> bool:
    return energy.potential is not None or energy.interaction is not None


@over_parts
def potential(energy: FreeEnergy, x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """V."""
    return jax.vmap(lambda x: jnp.asarray(energy.potential(x), x.dtype))(x)  # pyright: ignore[reportOptionalCall]


@over_parts
def hessian(energy: FreeEnergy, x: Float[Array, "n d"]) -> Float[Array, "n d d"]:
    """Hess (V + W * rho)."""
    return over_particles(jax.hessian(lambda x: energy.landscape(x)), x)


@over_parts
def slope(energy: FreeEnergy, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """grad (V + W * rho)."""
    return energy.drift(x)


def _nearly_quadratic(energy: FreeEnergy, x: Float[np.ndarray, "n d"]) -> bool:
    """Whether Hess (V + W * rho) hardly changes over the points; a thousand of them say that."""
    bent = np.asarray(hessian(energy, x[:1024]))
    return float(np.abs(bent - bent.mean(0)).max()) <= QUADRATIC * float(np.abs(bent).max())


def _rough(energy: FreeEnergy, x: Float[np.ndarray, "n d"]) -> bool:
    """Whether grad V has a kink near the points: its slope grows without end as one looks closer where it is largest.

    That of a ridge, however sharp, does so only down to its width; where V is steep, only as far as one has to go.
    """
    rng, distance, slopes = np.random.default_rng(0), NEAREST * _size(x), []
    for _ in range(ZOOMS):
        found = np.asarray(_steepness(energy, distance, (x, _directions(len(x), x.shape[1], rng))))
        slopes.append(float(np.nanmax(found, initial=0.0)))
        closest = x[np.nanargmax(found)] if np.isfinite(slopes[-1]) and slopes[-1] > 0 else x[0]
        x = closest + distance * rng.normal(size=(min(LOOKS, len(x)), x.shape[1]))
        distance /= 2
    return not slopes[-1] <= ROUGH * slopes[ZOOMS // 2]


@over_parts
def _steepness(energy: FreeEnergy, distance, points) -> Float[Array, " n"]:
    """|grad V(x + a e) - grad V(x - a e)| / 2a at points x with directions e, a apart."""
    force = jax.grad(lambda x: jnp.asarray(energy.potential(x), x.dtype))  # pyright: ignore[reportOptionalCall]
    across = lambda x, e: (force(x + distance * e) - force(x - distance * e)) / (2 * distance)
    return over_particles(lambda point: jnp.linalg.norm(across(*point)), points)


def sites(energy: FreeEnergy, candidates: Float[np.ndarray, "n d"], slope: Slope, count: int):
    """Centres (count, d) of bumps, far apart, and the metrics (count, d, d) there.

    With an entropy |Hess V| / D + |Hess log rho| + 1 / covariance, else the last alone; V + W * rho for V: the
    equilibrium varies over sqrt(D / |Hess V|), which may be much shorter across a valley than along it, and the density
    on its way there over what its own Hessian says, which is -(grad v + Hess V) / D.
    """
    inverse = np.linalg.inv(np.atleast_2d(np.cov(candidates, rowvar=False)))
    metric = np.tile(inverse, (len(candidates), 1, 1))
    if count and _has_landscape(energy) and energy.diffusion > 0:
        bent = np.asarray(hessian(energy, candidates))
        metric += _absolute(bent) / energy.diffusion
        if slope is not None:
            metric += _absolute(bent + slope) / energy.diffusion
    chosen = farthest_points(candidates, metric, count)
    return candidates[chosen], metric[chosen]


def _absolute(matrix: Float[np.ndarray, "n d d"]) -> Float[np.ndarray, "n d d"]:
    """|A| of symmetric matrices; zero where they are not finite."""
    value, axes = np.linalg.eigh(_finite(matrix))
    return np.einsum("nij,nj,nkj->nik", axes, np.abs(value), axes)


def _finite(matrix: Float[np.ndarray, "n d d"]) -> Float[np.ndarray, "n d d"]:
    """The matrices, zero for those that are not finite."""
    return np.where(np.isfinite(matrix).all((1, 2), keepdims=True), matrix, 0)


def carried(field: Field, previous: Field, c: Float[np.ndarray, " q"]) -> Float[np.ndarray, " p"]:
    """Coefficients of a field like those of the one before it, where terms are the same; zero elsewhere.

    The centres of bumps and the directions of waves change, so that theirs mean nothing in another field.
    """
    old = {type(term): part for term, part in zip(previous.terms, previous.split(c), strict=True)}
    parts = []
    for term in field.terms:
        part = np.zeros(term.size)
        if isinstance(term, ModulatedPotential) and ModulatedPotential in old:
            part[0] = old[ModulatedPotential][0]
        if isinstance(term, LogMixture | Quadratic):
            part = old[type(term)]
        parts.append(part)
    return np.concatenate(parts)


def at_rest(field: Field) -> Float[np.ndarray, " p"]:
    """phi = -V - D log rho_0 as far as the structured terms have it: what the first fit stays near."""
    parts = [np.zeros(term.size) for term in field.terms]
    for term, part in zip(field.terms, parts, strict=True):
        if isinstance(term, ModulatedPotential):
            part[0] = -float(term.scale)
    return np.concatenate(parts)


def _offsets(candidates: Float[np.ndarray, "n d"], count: int, rng: np.random.Generator) -> Float[np.ndarray, "m d"]:
    """Zero, and `count` translations in random directions, each with its opposite: V itself is always there."""
    d = candidates.shape[1]
    far = np.exp(rng.uniform(np.log(NEAREST), np.log(FARTHEST), (count // 2, 1)))
    half = _size(candidates) * _directions(count // 2, d, rng) * far
    return np.concatenate([np.zeros((1, d)), half, -half])


def _size(x: Float[np.ndarray, "n d"]) -> float:
    """Standard deviation of the points, the geometric mean of that along their axes."""
    spread = np.linalg.svd(x - x.mean(0), compute_uv=False) / np.sqrt(len(x))
    return float(np.exp(np.log(spread + TINY).mean()))


def _directions(count: int, dim: int, rng: np.random.Generator) -> Float[np.ndarray, "count dim"]:
    """Random unit vectors."""
    direction = rng.normal(size=(count, dim))
    return direction / np.linalg.norm(direction, axis=1, keepdims=True)


def bumps_at(centres: Float[np.ndarray, "k d"], metric: Float[np.ndarray, "k d d"]) -> Bumps:
    """Bumps of these shapes, as wide as they are far apart."""
    if len(centres):
        metric = metric / (OVERLAP**2 * spacing2(centres, metric))[:, None, None]
    return Bumps(jnp.asarray(centres), jnp.asarray(metric))


def _spacing(bumps: Bumps) -> float:
    """The distance of a bump to its neighbours, in the middle of them all."""
    return float(np.median(np.linalg.det(bumps.metric) ** (-0.5 / bumps.centre.shape[1]))) / OVERLAP


def _waves(energy: FreeEnergy, candidates: Float[np.ndarray, "n d"], slope: Slope, rng: np.random.Generator) -> Waves:
    """Waves along the axes on which the landscape is nearly a sum, and in random directions for the rest of it."""
    bent = _finite(np.asarray(hessian(energy, candidates)))
    axes = joint_axes(bent[rng.choice(len(bent), min(HESSIANS, len(bent)), replace=False)])
    on_axes = lambda A: np.einsum("di,ndk,ki->ni", axes, A, axes, optimize=True)
    bend = np.abs(on_axes(bent))
    if slope is not None:
        bend = bend + np.abs(on_axes(bent + np.where(np.isfinite(slope), slope, 0)))
    sharp = bend / energy.diffusion if energy.diffusion > 0 else 0 * bend
    parts = [_along(axis, candidates, own) for axis, own in zip(axes.T, sharp.T, strict=True)]
    across = waves_across(energy, candidates, rng, ACROSS)
    weight, offset = zip(*parts, (across.weight, across.offset), strict=True)
    return Waves(jnp.asarray(np.concatenate(weight)), jnp.asarray(np.concatenate(offset)))


def _along(axis: Float[np.ndarray, " d"], candidates: Float[np.ndarray, "n d"], bend: Float[np.ndarray, " n"]):
    """Weights and offsets of waves on one axis: far apart, as wide as their distances, in the metric of `sites`."""
    y = candidates @ axis
    metric = (1 / y.var() + bend)[:, None, None]
    chosen = farthest_points(y[:, None], metric, ALONG)
    narrow = np.sqrt(metric[chosen, 0, 0] / spacing2(y[chosen, None], metric[chosen])) / OVERLAP
    return narrow[:, None] * axis, -narrow * y[chosen]


def waves_across(energy: FreeEnergy, x: Float[np.ndarray, "n d"], rng: np.random.Generator, count: int) -> Waves:
    """Waves through random ones of the particles x, in directions in which the force is not linear.

    Those are drawn from E r r^T in whitened coordinates, r what a linear fit leaves of the force, and a few evenly.
    """
    frame, d = Frame.of(x), x.shape[1]
    white = frame.points(x)
    force = np.nan_to_num(np.asarray(slope(energy, x))) @ frame.root
    affine = np.concatenate([white, np.ones((len(white), 1))], 1)
    rest = force - affine @ np.linalg.lstsq(affine, force)[0]
    spread = rest.T @ rest
    spread = (1 - EVERYWHERE) * spread / max(np.trace(spread), TINY) + EVERYWHERE / d * np.eye(d)
    direction = rng.normal(size=(count, d)) @ np.linalg.cholesky(spread).T
    direction *= rng.uniform(*NARROW, (count, 1)) / np.linalg.norm(direction, axis=1, keepdims=True)
    through = white[rng.integers(len(white), size=count)]
    return frame.outside(direction, -(direction * through).sum(1))


def _log_mixture(mixture: Mixture, diffusion: float) -> LogMixture:
    """phi = -D log rho_0 for a mixture start, exactly, at zero coefficients."""
    whiten = np.linalg.inv(np.linalg.cholesky(np.asarray(mixture.covariances, dtype=np.float64)))
    weights, means = (np.asarray(a, dtype=np.float64) for a in (mixture.weights, mixture.means))
    log_weight = np.log(weights) + np.linalg.slogdet(whiten)[1]
    return LogMixture(jnp.asarray(-diffusion), jnp.asarray(log_weight), jnp.asarray(means), jnp.asarray(whiten))
