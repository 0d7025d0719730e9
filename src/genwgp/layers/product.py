"""Layers that move groups of coordinates each on its own."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.layers.base import State
from genwgp.layers.velocity import AbstractFlow, VelocityLayer


class ProductLayer(AbstractFlow):
    """f_theta(x) = sum over parts b and groups g of E_bg f_b,theta(E_bg^T x): `parts` f_b, their `axes` E_b (m, d, k).

    All E together are an orthonormal basis; the m groups of a part move alike. All parts take the same time. The
    log-determinant is the sum of those of all groups.
    """

    parts: tuple[VelocityLayer, ...]
    axes: tuple[Float[Array, "*K _ d _"], ...]

    @property
    def time(self):
        return self.parts[0].time

    def forward(self, x, theta):
        return self._moved(x, lambda part, y: part.forward(y, theta))

    def inverse(self, y, theta):
        return self._moved(y, lambda part, z: part.inverse(z, theta))

    def transport(self, state, theta):
        return self._carried((state,), lambda part, z: part.transport(z, theta))

    def retrace(self, state, theta):
        return self._carried((state,), lambda part, z: part.retrace(z, theta))

    def visit(self, start, here, before, theta):
        inside = self._carried((start, here), lambda part, z, now: part.visit(z, now, before, theta)[0], 1)
        return inside, self.velocity(inside.x, theta)

    def velocity(self, y, theta):
        return self._moved(y, lambda part, z: (part.velocity(z, theta), jnp.zeros_like(z[0])))[0]

    def quadrature(self, points):
        """Composite Gauss-Legendre rule on as many intervals as the part of most segments has, dense where all are."""
        ends = [jnp.cumsum(part.duration) / part.time for part in self.parts]
        count, known = max(map(len, ends)), jnp.sort(jnp.concatenate(ends))
        last = jnp.linspace(0, known.size - 1, count + 1)[1:].round().astype(int)
        edges = jnp.concatenate([jnp.zeros_like(known[:1]), known[last].at[-1].set(1)])
        return self._composite(edges[:-1], jnp.diff(edges), points)

    def _groups(self, x: Float[Array, " d"]) -> list[Float[Array, "_ _"]]:
        """Coordinates of a point, or of a score, for each part."""
        return [jnp.einsum("mdk,d->mk", axes, x) for axes in self.axes]

    def _together(self, parts: list[Float[Array, "_ _"]]) -> Float[Array, " d"]:
        return sum(jnp.einsum("mdk,mk->d", axes, y) for axes, y in zip(self.axes, parts, strict=True))  # pyright: ignore[reportReturnType]

    def _moved(self, x: Float[Array, " d"], move) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        """What a part makes of a point, and a number beside it, of all groups together."""
        moved = [jax.vmap(lambda y, b=b: move(b, y))(y) for b, y in zip(self.parts, self._groups(x), strict=True)]
        return self._together([y for y, _ in moved]), sum(number.sum() for _, number in moved)  # pyright: ignore[reportReturnType]

    def _carried(self, states: tuple[State, ...], move, last: int = 0) -> State:
        """The same of particles; each group begins with no log-density, and adds its change to that of the last."""
        none = jnp.zeros_like(states[last].log_density)
        groups = [zip(self._groups(z.x), self._groups(z.score), strict=True) for z in states]
        moved = []
        for part, *given in zip(self.parts, *groups, strict=True):
            of_one = lambda *pairs, part=part: move(part, *(State(y, none, u) for y, u in pairs))
            moved.append(jax.vmap(of_one)(*given))
        return State(
            self._together([z.x for z in moved]),
            states[last].log_density + sum(z.log_density.sum() for z in moved),
            self._together([z.score for z in moved]),
        )
