"""The Fokker-Planck operator on a mesh: Scharfetter-Gummel fluxes, whose steady state is exactly exp(-Phi/D)."""

import numpy as np
from scipy import sparse

from genwgp.references.convolution import Convolution
from genwgp.references.mesh import Mesh, divergence, left, right

SMALLEST = 1e-300
MOST = 1.25  # largest change of a flux by the value of exp(-Phi/D) at the face; more where the mesh resolves nothing


class ScharfetterGummel:
    """d rho/dt = div(rho grad Phi + D grad rho), Phi = V + W * rho, with the flux through the face of cells i and j

        alpha (D / h) (B(delta) rho_i - B(-delta) rho_j),   B(z) = z / (e^z - 1),   delta = (Phi_j - Phi_i) / D.

    It vanishes for rho = exp(-Phi/D), whatever alpha > 0, and goes over into upwinding where the force is large. The
    matrix of the linear equation has no negative entry off its diagonal, so that implicit Euler steps of any length
    keep densities positive. With alpha = 1 the flux is that of D. L. Scharfetter, H. K. Gummel, IEEE Trans. Electron
    Devices 16 (1969) 64-77. Here alpha = exp(-Phi/D) at the face over what that flux takes for it, within 4/5 to 5/4:
    then the energy D int |grad g|^2 exp(-Phi/D), g = rho exp(Phi/D), is that of the midpoint rule, exact up to rounding
    for linear and quadratic g, and slow modes decay at nearly their rates. Both choices are of second order.
    """

    def __init__(self, mesh: Mesh, V: np.ndarray, D: float, convolution: Convolution | None):
        self.mesh, self.D, self._V, self._convolution = mesh, D, V, convolution
        self._last: tuple[np.ndarray, list] | None = None

    @property
    def linear(self) -> bool:
        return self._convolution is None

    def potential(self, rho: np.ndarray) -> np.ndarray:
        """Phi = V + W * rho."""
        return self._V if self._convolution is None else self._V + self._convolution(rho)

    def fluxes(self, rho: np.ndarray, Phi: np.ndarray) -> list[np.ndarray]:
        """Through the inner faces of each axis."""
        result = []
        for axis, (forth, back) in enumerate(self._rates(Phi)):
            result.append((forth * left(rho, axis) - back * right(rho, axis)) * self.mesh.spacing[axis])
        return result

    def rate(self, rho: np.ndarray, Phi: np.ndarray) -> np.ndarray:
        """d rho/dt."""
        return -divergence(self.fluxes(rho, Phi), self.mesh)

    def matrix(self, Phi: np.ndarray) -> sparse.csc_matrix:
        """L with d rho/dt = L rho on the flattened cells; its columns add up to zero."""
        number = np.arange(Phi.size).reshape(Phi.shape)
        rows, columns, entries = [], [], []
        for axis, (forth, back) in enumerate(self._rates(Phi)):
            i, j = left(number, axis).ravel(), right(number, axis).ravel()
            for rate, source, target in ((forth.ravel(), i, j), (back.ravel(), j, i)):
                rows += [target, source]
                columns += [source, source]
                entries += [rate, -rate]
        places = (np.concatenate(rows), np.concatenate(columns))
        return sparse.csc_matrix((np.concatenate(entries), places), shape=(Phi.size, Phi.size))

    def free_energy(self, rho: np.ndarray) -> float:
        """F = sum of rho (V + W * rho / 2 + D log rho) over the cells."""
        mean_field = 0.5 * (self._V + self.potential(rho))
        return float(np.sum(rho * (mean_field + self.D * np.log(np.maximum(rho, SMALLEST))))) * self.mesh.volume

    def dissipation(self, rho: np.ndarray) -> float:
        """-dF/dt of the scheme: the fluxes times the drops of mu = Phi + D log rho between cells."""
        Phi = self.potential(rho)
        mu, total = Phi + self.D * np.log(np.maximum(rho, SMALLEST)), 0.0
        for axis, flux in enumerate(self.fluxes(rho, Phi)):
            total += np.sum(flux * (left(mu, axis) - right(mu, axis))) / self.mesh.spacing[axis]
        return float(total) * self.mesh.volume

    def _rates(self, Phi: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Rates of jumps through the faces of each axis, to the right and to the left; kept for the same Phi."""
        if self._last is not None and self._last[0] is Phi:
            return self._last[1]
        result = []
        for axis, h in enumerate(self.mesh.spacing):
            delta = (right(Phi, axis) - left(Phi, axis)) / self.D
            scale = self.D / h**2 * _midpoint(Phi / self.D, delta, axis)
            result.append((scale * bernoulli(delta), scale * bernoulli(-delta)))
        self._last = Phi, result
        return result


def bernoulli(z: np.ndarray) -> np.ndarray:
    """z / (e^z - 1), 1 at 0."""
    safe = np.where(z == 0, 1.0, z)
    with np.errstate(over="ignore"):  # e^z = inf gives 0, as it should
        return np.where(z == 0, 1.0, safe / np.expm1(safe))


def _midpoint(exponent: np.ndarray, delta: np.ndarray, axis: int) -> np.ndarray:
    """exp(-Phi/D) at the faces over what the Scharfetter-Gummel flux takes for it, within bounds; 1 next to the walls.

    Phi there by cubic interpolation. The flux takes exp(-(Phi_i + Phi_j) / 2D) (delta/2) / sinh(delta/2).
    """
    result = np.ones(delta.shape)
    inner = (slice(None),) * axis + (slice(1, -1),)
    second = np.diff(exponent, n=2, axis=axis)
    bend = (left(second, axis) + right(second, axis)) / 16  # the mean of the two cells less the value at the face
    half = np.abs(delta[inner]) / 2
    safe = np.clip(half, 1e-4, 50)
    result[inner] = np.clip(np.exp(np.clip(bend, -1, 1)) * np.sinh(safe) / safe, 1 / MOST, MOST)
    return result
