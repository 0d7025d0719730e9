"""Named interactions: by moments where these are enough, smooth kernels, and regularised singular ones."""

from abc import abstractmethod
from math import gamma
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import finite_number, integer, positive_number
from genwgp.energies.interaction import AbstractInteraction, Number
from genwgp.errors import InputError


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
    """W with r = sqrt(|z|^2 + eps^2) for |z|: eps takes the place of a kink or an infinite value at z = 0."""

    epsilon: float

    @property
    def core(self) -> float:
        return self.epsilon


class _Radial(_Regularised):
    """W as one function of r^2."""

    def __call__(self, z):
        return self.of_square(z @ z + self.epsilon**2)

    @abstractmethod
    def of_square(self, r2: Number) -> Number:
        """W as a function of r^2 > 0."""


class MorseInteraction(_Radial):
    """W = C_r exp(-r / l_r) - C_a exp(-r / l_a): repulsion over l_r, attraction over l_a; r regularised by epsilon."""

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
        epsilon: float = 0.02,
    ):
        self.repulsion = finite_number("MorseInteraction.repulsion", repulsion)
        self.attraction = finite_number("MorseInteraction.attraction", attraction)
        self.repulsion_length = positive_number("MorseInteraction.repulsion_length", repulsion_length)
        self.attraction_length = positive_number("MorseInteraction.attraction_length", attraction_length)
        self.epsilon = positive_number("MorseInteraction.epsilon", epsilon)

    def of_square(self, r2):
        r = jnp.sqrt(r2)
        repelled = self.repulsion * jnp.exp(-r / self.repulsion_length)
        return repelled - self.attraction * jnp.exp(-r / self.attraction_length)


class PowerInteraction(_Regularised):
    """W = c (r^a / a - r^b / b), a > b: attraction from afar, repulsion where near; r^0 / 0 stands for log r.

    r is regularised by epsilon where a power is not an even whole number above zero: the kernel of a density that is
    smeared out over epsilon, in error by O(epsilon^2) of a density that varies over more than that. Source: D.
    Balague, J. A. Carrillo, T. Laurent, G. Raoul, Arch. Ration. Mech. Anal. 209 (2013) 1055. InputError unless a > b.
    """

    attraction: float
    repulsion: float
    strength: float

    def __init__(self, attraction: float = 2.0, repulsion: float = 0.0, strength: float = 1.0, epsilon: float = 0.02):
        self.attraction = finite_number("PowerInteraction.attraction", attraction)
        self.repulsion = finite_number("PowerInteraction.repulsion", repulsion)
        if not self.attraction > self.repulsion:
            raise InputError("PowerInteraction.repulsion", repulsion, f"below attraction = {attraction}")
        self.strength = positive_number("PowerInteraction.strength", strength)
        self.epsilon = positive_number("PowerInteraction.epsilon", epsilon)

    def __call__(self, z):
        return self.strength * (self._power(z, self.attraction) - self._power(z, self.repulsion))

    def _power(self, z, a: float):
        even = a > 0 and a % 2 == 0
        r2 = z @ z + (0.0 if even else self.epsilon**2)
        return 0.5 * jnp.log(r2) if a == 0 else r2 ** (int(a) // 2 if even else a / 2) / a


class LogarithmicInteraction(_Radial):
    """W = s log r: attraction for s > 0, as in the Keller-Segel model (s = chi / 2 pi), repulsion for s < 0."""

    strength: float

    def __init__(self, strength: float = 1.0, epsilon: float = 0.02):
        self.strength = finite_number("LogarithmicInteraction.strength", strength)
        self.epsilon = positive_number("LogarithmicInteraction.epsilon", epsilon)

    def of_square(self, r2):
        return 0.5 * self.strength * jnp.log(r2)


class NewtonianInteraction(_Radial):
    """W = -s N(z), lap N = -delta: gravity for s > 0, charges of one sign for s < 0, in any dimension d.

    N = -|z| / 2 for d = 1, -log r / (2 pi) for d = 2, r^(2 - d) / ((d - 2) |S^(d-1)|) beyond.
    """

    dim: int = eqx.field(static=True)
    strength: float

    def __init__(self, dim: int, strength: float = 1.0, epsilon: float = 0.02):
        self.dim = integer("NewtonianInteraction.dim", dim)
        self.strength = finite_number("NewtonianInteraction.strength", strength)
        self.epsilon = positive_number("NewtonianInteraction.epsilon", epsilon)

    def of_square(self, r2):
        if self.dim == 1:
            return 0.5 * self.strength * jnp.sqrt(r2)
        if self.dim == 2:
            return self.strength / (4 * np.pi) * jnp.log(r2)
        sphere = 2 * np.pi ** (self.dim / 2) / gamma(self.dim / 2)
        return -self.strength * r2 ** (1 - self.dim / 2) / ((self.dim - 2) * sphere)
