"""Named interactions: by moments where these are enough, smooth kernels, and regularised singular ones."""

from collections.abc import Callable
from math import gamma
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import finite_number, integer, positive_number
from genwgp.energies.interaction import AbstractInteraction, Number, Point
from genwgp.errors import InputError

Jet = Callable[[Number], tuple[Number, Number, Number]]  # a function of one number, with two derivatives


class Moments(NamedTuple):
    """E y (d,), E y y' (d, d), E y |y|^2 (d,), E |y|^4 ()."""

    first: Float[Array, " d"]
    second: Float[Array, "d d"]
    third: Float[Array, " d"]
    fourth: Float[Array, ""]


def moments(y: Float[Array, "m d"]) -> Moments:
    """The moments of particles."""
    square = (y**2).sum(1)
    return Moments(y.mean(0), y.T @ y / len(y), (y * square[:, None]).mean(0), (square**2).mean())


class QuadraticInteraction(AbstractInteraction):
    """W = c |z|^2 / 2: each particle is drawn to the mean, c > 0. By moments: no sum over pairs."""

    strength: float

    def __init__(self, strength: float = 1.0):
        self.strength = finite_number("QuadraticInteraction.strength", strength)

    def __call__(self, z):
        return 0.5 * self.strength * z @ z

    def see(self, y):
        return moments(y)

    def potential(self, cloud, x):
        return 0.5 * self.strength * (x @ x - 2 * x @ cloud.first + jnp.trace(cloud.second))


class QuarticInteraction(AbstractInteraction):
    """W = a |z|^4 / 4 - c |z|^2 / 2: attraction from afar, repulsion where near. By moments: no sum over pairs.

    For a symmetric density minus its force is (a (|x|^2 + m2) - c) x + 2 a S x, S = E y y', m2 = tr S.
    """

    attraction: float
    repulsion: float

    def __init__(self, attraction: float = 1.0, repulsion: float = 1.0):
        self.attraction = positive_number("QuarticInteraction.attraction", attraction)
        self.repulsion = finite_number("QuarticInteraction.repulsion", repulsion)

    def __call__(self, z):
        square = z @ z
        return 0.25 * self.attraction * square**2 - 0.5 * self.repulsion * square

    def see(self, y):
        return moments(y)

    def potential(self, cloud, x):
        """E |x - y|^2 = |x|^2 - 2 x.m + m2, and E |x - y|^4 from the moments up to the fourth."""
        X, m2 = x @ x, jnp.trace(cloud.second)
        square = X - 2 * x @ cloud.first + m2
        fourth = X**2 + 4 * x @ cloud.second @ x + cloud.fourth + 2 * X * m2 - 4 * X * (x @ cloud.first)
        fourth = fourth - 4 * x @ cloud.third
        return 0.25 * self.attraction * fourth - 0.5 * self.repulsion * square


class GaussianInteraction(AbstractInteraction):
    """W = s exp(-|z|^2 / (2 l^2)): repulsion for s > 0, attraction for s < 0, over a length l."""

    strength: float
    length: float

    def __init__(self, strength: float = -1.0, length: float = 1.0):
        self.strength = finite_number("GaussianInteraction.strength", strength)
        self.length = positive_number("GaussianInteraction.length", length)

    def __call__(self, z):
        return self.strength * jnp.exp(-0.5 * (z @ z) / self.length**2)


class _Regularised(AbstractInteraction):
    """W that is singular or has a kink at z = 0: a function f of s = |z|^2 like |z|^a there, smeared out over eps,

        W_eps = f(s) - eps^2 f'(s) + 2 eps^4 f''(s) / (d + a),   s = |z|^2 + eps^2.

    The second term takes off what eps does to W from afar up to O(eps^4 / |z|^4); the third makes the integral of
    W_eps - W vanish. So a smooth density feels W in error by O(eps^4), one with a jump at the edge of its support by
    O(eps^3) in F; without the two terms it is O(eps^2 log eps). For a = 2 - d: a vortex blob of high order, as in J. T.
    Beale and A. Majda, J. Comput. Phys. 58 (1985) 188. InputError unless a > -d: then W has no integral near 0.
    """

    epsilon: float

    @property
    def core(self) -> float:
        return self.epsilon

    def smeared(self, jet: Jet, power: float, z: Point) -> Number:
        """W_eps(z) of f that behaves as |z|^power at 0; `jet` gives f, f' and f'' at s."""
        if not power > -len(z):
            kind = type(self).__name__
            raise InputError(kind, f"|z|^{power:g} in dimension {len(z)}", f"a power above {-len(z)}, integrable at 0")
        eps2 = self.epsilon**2
        f, first, second = jet(z @ z + eps2)
        return f - eps2 * first + 2 * eps2**2 / (len(z) + power) * second

    def power(self, a: float, z: Point) -> Number:
        """|z|^a / a smeared out, log |z| for a = 0."""
        return self.smeared(_power(a), a, z)


def _power(a: float) -> Jet:
    """|z|^a / a as a function of s = |z|^2, and log |z| for a = 0."""

    def jet(s: Number) -> tuple[Number, Number, Number]:
        f = 0.5 * jnp.log(s) if a == 0 else s ** (a / 2) / a
        first = 0.5 / s if a == 0 else 0.5 * a * f / s
        return f, first, (a / 2 - 1) * first / s

    return jet


def _exponential(length: float) -> Jet:
    """exp(-|z| / length) as a function of s = |z|^2."""

    def jet(s: Number) -> tuple[Number, Number, Number]:
        k = 1 / (length * jnp.sqrt(s))
        f = jnp.exp(-k * s)
        return f, -0.5 * k * f, 0.25 * k * f * (k + 1 / s)

    return jet


class MorseInteraction(_Regularised):
    """W = C_r exp(-r / l_r) - C_a exp(-r / l_a): repulsion over l_r, attraction over l_a; its kink is regularised."""

    repulsion: float
    attraction: float
    repulsion_length: float
    attraction_length: float

    def __init__(
        self,
        repulsion: float = 1.0,
        attraction: float = 0.5,
        repulsion_length: float = 1.0,
        attraction_length: float = 2.0,
        epsilon: float = 0.05,
    ):
        self.repulsion = finite_number("MorseInteraction.repulsion", repulsion)
        self.attraction = finite_number("MorseInteraction.attraction", attraction)
        self.repulsion_length = positive_number("MorseInteraction.repulsion_length", repulsion_length)
        self.attraction_length = positive_number("MorseInteraction.attraction_length", attraction_length)
        self.epsilon = positive_number("MorseInteraction.epsilon", epsilon)

    def __call__(self, z):
        repelled = self.smeared(_exponential(self.repulsion_length), 1, z)
        return self.repulsion * repelled - self.attraction * self.smeared(_exponential(self.attraction_length), 1, z)


class PowerInteraction(_Regularised):
    """W = c (r^a / a - r^b / b), a > b: attraction from afar, repulsion where near; r^0 / 0 stands for log r.

    A power that is not an even whole number above zero is regularised over epsilon. Source: D. Balague, J. A. Carrillo,
    T. Laurent, G. Raoul, Arch. Ration. Mech. Anal. 209 (2013) 1055. InputError unless a > b.
    """

    attraction: float
    repulsion: float
    strength: float

    def __init__(self, attraction: float = 2.0, repulsion: float = 0.0, strength: float = 1.0, epsilon: float = 0.05):
        self.attraction = finite_number("PowerInteraction.attraction", attraction)
        self.repulsion = finite_number("PowerInteraction.repulsion", repulsion)
        if not self.attraction > self.repulsion:
            raise InputError("PowerInteraction.repulsion", repulsion, f"below attraction = {attraction}")
        self.strength = positive_number("PowerInteraction.strength", strength)
        self.epsilon = positive_number("PowerInteraction.epsilon", epsilon)

    def __call__(self, z):
        return self.strength * (self.power(self.attraction, z) - self.power(self.repulsion, z))

    def power(self, a, z):
        """The same, but exactly where it is smooth at 0."""
        if a > 0 and a % 2 == 0:
            return (z @ z) ** (int(a) // 2) / a
        return super().power(a, z)


class LogarithmicInteraction(_Regularised):
    """W = s log r: attraction for s > 0, as in the Keller-Segel model (s = chi / 2 pi), repulsion for s < 0."""

    strength: float

    def __init__(self, strength: float = 1.0, epsilon: float = 0.05):
        self.strength = finite_number("LogarithmicInteraction.strength", strength)
        self.epsilon = positive_number("LogarithmicInteraction.epsilon", epsilon)

    def __call__(self, z):
        return self.strength * self.power(0, z)


class NewtonianInteraction(_Regularised):
    """W = -s N(z), lap N = -delta: gravity for s > 0, charges of one sign for s < 0, in any dimension d.

    N = -|z| / 2 for d = 1, -log r / (2 pi) for d = 2, r^(2 - d) / ((d - 2) |S^(d-1)|) beyond.
    """

    dim: int = eqx.field(static=True)
    strength: float

    def __init__(self, dim: int, strength: float = 1.0, epsilon: float = 0.05):
        self.dim = integer("NewtonianInteraction.dim", dim)
        self.strength = finite_number("NewtonianInteraction.strength", strength)
        self.epsilon = positive_number("NewtonianInteraction.epsilon", epsilon)

    def __call__(self, z):
        if len(z) != self.dim:
            raise InputError("NewtonianInteraction.dim", self.dim, f"the dimension of the start, {len(z)}")
        sphere = 2 * np.pi ** (self.dim / 2) / gamma(self.dim / 2)
        return self.strength / sphere * self.power(2 - self.dim, z)
