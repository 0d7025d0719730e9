"""Scalar potentials phi(x; c) whose gradients are the velocity fields of the layers: sums of terms.

A velocity-field layer moves particles with v = grad phi. Each term knows, at one point x that carries a score u,

    rates:    v = grad phi,   div v = lap phi,   w = grad div v + (grad v)^T u        so that u' = -w along the flow
    tangent:  phi, v, div v and w of d phi / d c_j, one column for each coefficient c_j

by automatic differentiation unless it has a closed form. Everything acts on one point and is batched by `jax.vmap`;
closed forms are written so that a batch becomes matrix products.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.additive import additive
from genwgp.formula import Form, Formula

TINY = 1e-300  # divides zeros
Rates = tuple[Float[Array, " d"], Float[Array, ""], Float[Array, " d"]]


class Tangent(NamedTuple):
    """The features f_j = d phi / d c_j at one point: f_j, grad f_j, lap f_j and grad lap f_j + Hess f_j u."""

    value: Float[Array, " p"]
    velocity: Float[Array, "d p"]
    divergence: Float[Array, " p"]
    source: Float[Array, "d p"]


class Along(NamedTuple):
    """The same for features whose gradients keep their directions: grad f_j = sum_r gradient_rj g_rj everywhere.

    value (p,), gradient (r, p), divergence (p,), and source (r, p) of grad lap f_j + Hess f_j u = sum_r source_rj g_rj.
    """

    value: Float[Array, " p"]
    gradient: Float[Array, "r p"]
    divergence: Float[Array, " p"]
    source: Float[Array, "r p"]


class AbstractTerm(eqx.Module):
    """phi(x; c) with `size` coefficients c."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of coefficients."""

    @property
    def units(self) -> np.ndarray:
        """A number for each coefficient (p,), the same where they have the same physical unit."""
        return np.zeros(self.size, int)

    @abstractmethod
    def value(self, c: Float[Array, " p"], x: Float[Array, " d"]) -> Float[Array, ""]:
        """phi(x; c)."""

    def rates(self, c: Float[Array, " p"], x: Float[Array, " d"], u: Float[Array, " d"]) -> Rates:
        """(v, div v, grad div v + (grad v)^T u) at x."""
        gradient = jax.grad(self.value, argnums=1)
        divergence, slope = jax.value_and_grad(lambda x: jnp.trace(jax.jacfwd(lambda x: gradient(c, x))(x)))(x)
        v, hessian_u = jax.jvp(lambda x: gradient(c, x), (x,), (u,))
        return v, divergence, slope + hessian_u

    def tangent(self, c: Float[Array, " p"], x: Float[Array, " d"], u: Float[Array, " d"]) -> Tangent:
        """The features at x, one column for each coefficient."""
        return Tangent(jax.grad(self.value)(c, x), *jax.jacfwd(lambda c: self.rates(c, x, u))(c))


class AbstractDirected(AbstractTerm):
    """A term whose features have gradients of fixed directions: r numbers for each at a point say what d would."""

    @property
    @abstractmethod
    def directions(self) -> Float[Array, "r p d"]:
        """g_rj."""

    @abstractmethod
    def along(self, x: Float[Array, " d"], u: Float[Array, " d"]) -> Along:
        """The features at x."""

    def stretch(self, matrix: Float[Array, "d d"]) -> Float[Array, "r p"]:
        """g . A g / |g|^2 for a symmetric matrix A; zero where g is."""
        g = self.directions
        return ((g @ matrix) * g).sum(-1) / jnp.maximum((g**2).sum(-1), TINY)

    def tangent(self, c, x, u):
        value, gradient, divergence, source = self.along(x, u)
        outside = lambda numbers: (self.directions * numbers[..., None]).sum(0).T
        return Tangent(value, outside(gradient), divergence, outside(source))


class Quadratic(AbstractDirected):
    """phi = sum_{i<=j} Q_ij y_i y_j / (1 + delta_ij) + q . y + r, y = x - centre: Gaussian-to-Gaussian flows.

    The constant r moves nothing: with it phi is the chemical potential, with the opposite sign, where v = -grad mu.
    """

    centre: Float[Array, " d"]

    @property
    def dim(self) -> int:
        return self.centre.shape[-1]

    @property
    def size(self) -> int:
        return self.dim * (self.dim + 1) // 2 + self.dim + 1

    @property
    def units(self) -> np.ndarray:
        d = self.dim
        return np.repeat([0, 1, 2], [d * (d + 1) // 2, d, 1])

    def _split(self, c: Float[Array, " p"]) -> tuple[Float[Array, "d d"], Float[Array, " d"], Float[Array, ""]]:
        upper = jnp.zeros((self.dim, self.dim), c.dtype).at[np.triu_indices(self.dim)].set(c[: -self.dim - 1])
        return upper + jnp.triu(upper, 1).T, c[-self.dim - 1 : -1], c[-1]

    def value(self, c, x):
        (Q, q, r), y = self._split(c), x - self.centre
        return 0.5 * y @ Q @ y + q @ y + r

    def rates(self, c, x, u):
        Q, q, _ = self._split(c)
        return Q @ (x - self.centre) + q, jnp.trace(Q), Q @ u

    @property
    def directions(self):
        """e_i and e_j of y_i y_j, i < j; of a square and a linear one e_i alone, of the constant none."""
        i, j = np.triu_indices(self.dim)
        unit = np.eye(self.dim)
        first, second = unit[i], np.where((i == j)[:, None], 0, unit[j])
        rest = np.zeros((self.dim + 1, self.dim))
        stacked = [np.concatenate([first, unit, rest[:1]]), np.concatenate([second, rest])]
        return jnp.asarray(np.stack(stacked), self.centre.dtype)

    def stretch(self, matrix):
        # Of unit vectors: numbers on the diagonal, without products of d^2 each.
        i, j = np.triu_indices(self.dim)
        rest, diagonal = jnp.zeros_like(matrix, shape=(self.dim + 1,)), jnp.diagonal(matrix)
        alone = jnp.concatenate([diagonal, rest[:1]])
        second = jnp.where(jnp.asarray(i == j), 0, diagonal[j])
        return jnp.stack([jnp.concatenate([diagonal[i], alone]), jnp.concatenate([second, rest])])

    def along(self, x, u):
        i, j = np.triu_indices(self.dim)
        same = np.where(i == j, 1.0, 0.0)
        y, one, none = x - self.centre, jnp.ones_like(x), jnp.zeros_like(x, shape=(self.dim + 1,))
        pulled = lambda w, linear: jnp.stack([jnp.concatenate([w[j], linear]), jnp.concatenate([w[i], none])])
        return Along(
            jnp.concatenate([y[i] * y[j] * jnp.asarray(1 - same / 2, x.dtype), _affine(y)]),
            pulled(y, jnp.concatenate([one, none[:1]])),
            jnp.concatenate([jnp.asarray(same, x.dtype), none]),
            pulled(u, none),
        )


class Bumps(AbstractTerm):
    """phi = sum_j c_j exp(-(x - C_j)^T M_j (x - C_j) / 2): Gaussian bumps, centres C (p, d), metrics M (p, d, d).

    With y_j = M_j (x - C_j) and q_j = |y_j|^2 - tr M_j a bump e has the gradient -e y, the Hessian e (y y' - M), the
    Laplacian e q and the gradient of the Laplacian e (2 M y - q y). y and q, in few dimensions, are sums of few
    products; sums over bumps of what is linear in x are polynomials, whose coefficients are products of matrices.
    """

    centre: Float[Array, "p d"]
    metric: Float[Array, "p d d"]

    @property
    def size(self) -> int:
        return self.centre.shape[-2]

    def value(self, c, x):
        return c @ self.shapes(x)[0]

    def shapes(self, x: Float[Array, " d"]) -> tuple[Float[Array, " p"], Float[Array, "d p"], Float[Array, " p"]]:
        """e, y and q of all bumps."""
        z = x[:, None] - self.centre.T
        y = self.bent(z)
        return jnp.exp(-0.5 * _dot(z, y)), y, _dot(y, y) - jnp.trace(self.metric, axis1=-2, axis2=-1)

    def bent(self, w: Float[Array, "d #p"]) -> Float[Array, "d _"]:
        """M w of all bumps, for a vector each or, as (d, 1), the same."""
        rows = [[self.metric[:, i, j] * w[j] for j in range(len(w))] for i in range(len(w))]
        return jnp.stack([sum(row) for row in rows])  # pyright: ignore[reportArgumentType, reportCallIssue]

    def rates(self, c, x, u):
        e, y, q = self.shapes(x)
        e, d = c * e, x.shape[0]
        square = (self.metric[:, :, :, None] * self.metric[:, None]).sum(2)
        once, twice = self._linear(self.metric), self._linear(square)
        sums = jnp.tensordot(e, jnp.concatenate([once, twice, self.metric], 2), 1)
        at_x, bend = sums[:, : 2 * d + 2].reshape(d, 2, d + 1) @ _affine(x), sums[:, 2 * d + 2 :]
        pulled = jnp.tensordot(e * (_dot(u[:, None], y) - q), once, 1) @ _affine(x)
        return -at_x[:, 0], e @ q, 2 * at_x[:, 1] + pulled - bend @ u

    def jets(self, x: Float[Array, " d"]) -> Float[Array, "k p"]:
        """Values, gradients, Hessians, Laplacians and their gradients, one after the other: k = d^2 + 2 d + 2."""
        e, y, q = self.shapes(x)
        hessian = y[:, None] * y[None, :] - jnp.moveaxis(self.metric, 0, -1)
        parts = (jnp.ones_like(q)[None], -y, hessian.reshape(-1, self.size), q[None], 2 * self.bent(y) - q * y)
        return e * jnp.concatenate(parts)

    def tangent(self, c, x, u):
        e, y, q = self.shapes(x)
        along = _dot(u[:, None], y)
        return Tangent(e, -y * e, e * q, e * (2 * self.bent(y) - self.bent(u[:, None]) + y * (along - q)))

    def _linear(self, matrix: Float[Array, "p d d"]) -> Float[Array, "p d k"]:
        """Coefficients of matrix (x - C) in (x, 1)."""
        return jnp.concatenate([matrix, -(matrix * self.centre[:, None]).sum(2, keepdims=True)], 2)


def _affine(x: Float[Array, " d"]) -> Float[Array, " k"]:
    return jnp.concatenate([x, jnp.ones_like(x, shape=(1,))])


def _dot(a: Float[Array, "d *#p"], b: Float[Array, "d *#p"]) -> Float[Array, " *p"]:
    """Products of the vectors of two sets, of which one may be one; no product of matrices, of few numbers each."""
    return (a * b).sum(0)


class Waves(AbstractDirected):
    """phi = sum_j c_j exp(-(w_j . x + b_j)^2 / 2): bumps of one coordinate each, in any dimension.

    Along w_j, and constant across it: a sum of functions of single coordinates is made of those along the axes.
    """

    weight: Float[Array, "p d"]
    offset: Float[Array, " p"]

    @property
    def size(self) -> int:
        return self.offset.shape[-1]

    def value(self, c, x):
        return c @ jnp.exp(-0.5 * (self.weight @ x + self.offset) ** 2)

    def rates(self, c, x, u):
        _, first, bent, source = self._profiles(x, u)
        return (c * first) @ self.weight, c @ bent, (c * source) @ self.weight

    @property
    def directions(self):
        return self.weight[None]

    def along(self, x, u):
        value, first, bent, source = self._profiles(x, u)
        return Along(value, first[None], bent, source[None])

    def _profiles(self, x, u):
        """Of each wave: its value, and what its gradient, its Laplacian and its source are along w."""
        t, norm2 = self.weight @ x + self.offset, (self.weight**2).sum(1)
        e = jnp.exp(-0.5 * t**2)
        second = (t**2 - 1) * e
        return e, -t * e, second * norm2, (3 - t**2) * t * e * norm2 + second * (self.weight @ u)


class _Same:
    """A function, compared by identity."""

    def __init__(self, function):
        self.function = function

    def __hash__(self) -> int:
        return id(self.function)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.function is self.function


class Opaque(eqx.Module):
    """Holds a user's function: its code is compared by identity, never traced, stacked or saved.

    Of a `Formula`, which shares its code with others, the numbers are leaves as those of any term are.
    """

    code: _Same = eqx.field(static=True)
    numbers: tuple[Array, ...]

    def __init__(self, function):
        shared = isinstance(function, Formula)
        self.code = _Same(function.form if shared else function)
        self.numbers = function.numbers if shared else ()

    @property
    def function(self):
        code = self.code.function
        return Formula(self.numbers, code) if isinstance(code, Form) else code


class ModulatedPotential(AbstractTerm):
    """phi = sum_m f_m(x) (c_m0 + sum_j c_mj bump_j(x)),  f_m(x) = (V(x + offset_m) - shift) / scale.

    The exact velocity -grad(V + D log rho) contains V: with V among the features the layers need not learn it. Its
    translates contain, as differences, what diffusion makes of it (lap V, and grad V times smooth functions) along
    structures of V that are too fine for bumps. offset_0 = 0, so that c_00 is the coefficient of V itself.
    """

    potential: Any  # an `Opaque`, or a `layers.restricted.Restricted`
    shift: Float[Array, ""]
    scale: Float[Array, ""]
    offset: Float[Array, "m d"]
    bumps: Bumps

    @property
    def size(self) -> int:
        return self.offset.shape[-2] * (self.bumps.size + 1)

    def _scaled(self, x):
        return (jnp.asarray(self.potential.function(x), x.dtype) - self.shift) / self.scale

    def _split(self, c):
        return c.reshape(self.offset.shape[0], -1)

    def value(self, c, x):
        def one(offset, c):
            modulation = self.bumps.value(c[1:], x) if self.bumps.size else 0
            return self._scaled(x + offset) * (c[0] + modulation)

        return jax.vmap(one)(self.offset, self._split(c)).sum()

    def _jet(self, x):
        """(f, grad f, Hess f, lap f, grad lap f) of the scaled potential in one pass: compiled most often of all."""

        def laplacian(x):
            twice = lambda f, g: (g, (f, g))
            H, (f, g) = jax.jacfwd(lambda x: twice(*jax.value_and_grad(self._scaled)(x)), has_aux=True)(x)
            return jnp.trace(H), (f, g, H)

        (lap, (f, g, H)), slope = jax.value_and_grad(laplacian, has_aux=True)(x)
        return f, g, H, lap, slope

    def rates(self, c, x, u):
        c = self._split(c)
        if not self.bumps.size:
            v, divergence, source = jax.vmap(lambda offset: self._alone(x + offset, u))(self.offset)
            return c[:, 0] @ v, c[:, 0] @ divergence, c[:, 0] @ source
        jets = c[:, 1:] @ self.bumps.jets(x).T
        jets = jets.at[:, 0].add(c[:, 0])
        parts = jax.vmap(lambda offset, jet: self._modulated(jet, x, u, offset))(self.offset, jets)
        v, divergence, source = (part.sum(0) for part in parts)
        return v, divergence, source

    def _alone(self, x, u):
        """(grad f, lap f, grad lap f + Hess f u) of the scaled potential."""
        if (split := additive(self._scaled, x)) is not None:
            return split.rates(x, u)
        _, g, H, lap, slope = self._jet(x)
        return g, lap, slope + H @ u

    def _modulated(self, jet, x, u, offset):
        """Rates of f S, from the jet of S as `Bumps.jets` has it."""
        f, g, H, lap, slope = self._jet(x + offset)
        d, over = x.shape[0], lambda A, w: _dot(A, w[:, None])  # A symmetric
        S, gS, HS, lS, slopeS = jnp.split(jet, [1, 1 + d, 1 + d + d * d, 2 + d + d * d])
        HS = HS.reshape(d, d)
        source = gS * lap + S * slope + 2 * (over(H, gS) + over(HS, g)) + g * lS + f * slopeS
        source += S * over(H, u) + g * _dot(gS, u) + gS * _dot(g, u) + f * over(HS, u)
        return S * g + f * gS, S[0] * lap + 2 * _dot(g, gS) + f * lS[0], source

    def tangent(self, c, x, u):
        columns = jax.vmap(lambda offset: self._tangent(x, u, offset), out_axes=-2)(self.offset)
        return Tangent(*(column.reshape(*column.shape[:-2], -1) for column in columns))

    def _tangent(self, x, u, offset):
        if not self.bumps.size:
            g, lap, source = self._alone(x + offset, u)
            return Tangent(self._scaled(x + offset)[None], g[:, None], lap[None], source[:, None])
        f, g, H, lap, slope = self._jet(x + offset)
        Hu = H @ u
        alone = Tangent(f[None], g[:, None], lap[None], (slope + Hu)[:, None])
        d, p = x.shape[0], self.bumps.size
        S, gS, HS, lS, slopeS = jnp.split(self.bumps.jets(x), [1, 1 + d, 1 + d + d * d, 2 + d + d * d])
        HS, g, Hu, u = HS.reshape(d, d, p), g[:, None], Hu[:, None], u[:, None]
        over = lambda A, w: _dot(A, w[:, None])
        source = gS * lap + S * slope[:, None] + 2 * (over(H[:, :, None], gS) + over(HS, g)) + g * lS + f * slopeS
        source += S * Hu + g * _dot(gS, u) + gS * _dot(g, u) + f * over(HS, u)
        modulated = Tangent(f * S[0], S * g + f * gS, (S * lap + 2 * _dot(g, gS) + f * lS)[0], source)
        return Tangent(*(jnp.concatenate(pair, -1) for pair in zip(alone, modulated, strict=True)))


class LogMixture(AbstractTerm):
    """phi = weight * log sum_m exp(l_m + a_m + b_m . y + y^T A_m y / 2 - |y|^2 / 2),  y = R_m (x - M_m).

    The log-density of a Gaussian mixture whose means, covariances and weights all move with the coefficients
    (a, b, A); not linear in them. It represents the sharp ridges between modes that bumps cannot resolve.
    """

    weight: Float[Array, ""]
    log_weight: Float[Array, " m"]
    mean: Float[Array, "m d"]
    whiten: Float[Array, "m d d"]

    @property
    def size(self) -> int:
        m, d = self.mean.shape[-2:]
        return m * (1 + d + d * (d + 1) // 2)

    def exponents(self, c: Float[Array, " p"], x: Float[Array, " d"]) -> Float[Array, " m"]:
        m, d = self.mean.shape
        a, b, upper = c[:m], c[m : m * (1 + d)].reshape(m, d), c[m * (1 + d) :].reshape(m, -1)
        y = jnp.einsum("mij,mj->mi", self.whiten, x - self.mean)
        i, j = np.triu_indices(d)
        products = y[:, i] * y[:, j] * jnp.asarray(np.where(i == j, 0.5, 1.0), x.dtype)
        return self.log_weight - 0.5 * (y**2).sum(1) + a + (b * y).sum(1) + (upper * products).sum(1)

    def value(self, c, x):
        return self.weight * jax.nn.logsumexp(self.exponents(c, x))

    def rates(self, c, x, u):
        """Closed forms: with shares p_m = softmax, slopes g_m and Hessians A_m of the exponents, g = sum p_m g_m,

        Hess = sum p_m (A_m + g_m g_m') - g g',   grad lap = sum p_m (q_m (g_m - g) + 2 A_m g_m) - 2 Hess g,
        q_m = tr A_m + |g_m|^2.
        """
        slopes = jax.jacfwd(lambda x: self.exponents(c, x))
        g, A, p = slopes(x), jax.jacfwd(slopes)(x), jax.nn.softmax(self.exponents(c, x))
        mean, q = p @ g, jnp.trace(A, axis1=1, axis2=2) + (g**2).sum(1)
        hessian = lambda w: p @ (A @ w + g * (g @ w)[:, None]) - mean * (mean @ w)
        source = (p * q) @ (g - mean) + 2 * p @ jnp.einsum("mij,mj->mi", A, g) - 2 * hessian(mean)
        return self.weight * mean, self.weight * (p @ q - mean @ mean), self.weight * (source + hessian(u))


class Field(eqx.Module):
    """phi = sum of terms, their coefficients one after the other in one vector."""

    terms: tuple[AbstractTerm, ...]

    @property
    def size(self) -> int:
        return sum(term.size for term in self.terms)

    @property
    def constant(self) -> np.ndarray:
        """Which coefficient is a constant added to phi (p,)."""
        last = lambda term: np.arange(term.size) == term.size - 1
        return np.concatenate([last(t) if isinstance(t, Quadratic) else np.zeros(t.size, bool) for t in self.terms])

    @property
    def units(self) -> np.ndarray:
        """A number for each coefficient (p,), the same where they are of one term and have the same physical unit."""
        of_terms = [term.units for term in self.terms]
        before = np.cumsum([0, *(units.max(initial=-1) + 1 for units in of_terms)])
        return np.concatenate([units + n for units, n in zip(of_terms, before, strict=False)])

    def split(self, c: Float[Array | np.ndarray, " p"]) -> list[Any]:
        ends = np.cumsum([term.size for term in self.terms])
        return [c[end - term.size : end] for term, end in zip(self.terms, ends, strict=True)]

    def rates(self, c: Float[Array, " p"], x: Float[Array, " d"], u: Float[Array, " d"]) -> Rates:
        """(v, div v, grad div v + (grad v)^T u) of the sum."""
        parts = [term.rates(q, x, u) for term, q in zip(self.terms, self.split(c), strict=True)]
        v, divergence, w = (sum(part) for part in zip(*parts, strict=True))
        return v, divergence, w  # pyright: ignore[reportReturnType]

    def value(self, c: Float[Array, " p"], x: Float[Array, " d"]) -> Float[Array, ""]:
        """phi."""
        parts = [term.value(q, x) for term, q in zip(self.terms, self.split(c), strict=True)]
        return sum(parts)  # pyright: ignore[reportReturnType]

    def velocity(self, c: Float[Array, " p"], x: Float[Array, " d"]) -> Float[Array, " d"]:
        """grad phi."""
        return jax.grad(self.value, argnums=1)(c, x)

    def tangent(self, c: Float[Array, " p"], x: Float[Array, " d"], u: Float[Array, " d"]) -> Tangent:
        """All columns, term by term."""
        parts = [term.tangent(q, x, u) for term, q in zip(self.terms, self.split(c), strict=True)]
        return Tangent(*(jnp.concatenate(columns, -1) for columns in zip(*parts, strict=True)))
