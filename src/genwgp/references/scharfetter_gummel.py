"""The Fokker-Planck operator on a mesh: Scharfetter-Gummel fluxes, whose steady state is exactly exp(-Phi/D)."""

import numpy as np
from scipy import sparse

from genwgp.references.convolution import Convolution
from genwgp.references.mesh import Mesh, divergence, left, right

SMALLEST = 1e-300
MOST = 1.25  # largest alpha; more is only asked for where the mesh resolves nothing


class ScharfetterGummel:
    """d rho/dt = div(rho grad Phi + D grad rho), Phi = V + W * rho, with the flux through the face of cells i and j

        alpha (D / h) (B(delta) rho_i - B(-delta) rho_j),   B(z) = z / (e^z - 1),   delta = (Phi_j - Phi_i) / D.

    It vanishes for rho = exp(-Phi/D), whatever alpha > 0, and goes over into upwinding where the force is large. The
    matrix of the linear equation has no negative entry off its diagonal, so that implicit Euler steps of any length
    keep densities positive. With alpha = 1 the flux is that of D. L. Scharfetter, H. K. Gummel, IEEE Trans. Electron
    Devices 16 (1969) 64-77, whose jumps between cells have the mean drift -Phi' + h^2 (Phi' Phi'' / D - Phi''') / 6.
    Here alpha = 1 + h^2 Phi'' / 6D, within 4/5 to 5/4, which makes the drift right up to h^4. Densities are of second
    order with both; in a parabola, means are of order four here.
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
            scale = self.D / h**2 * _drift_correction(Phi / self.D, axis)
            result.append((scale * bernoulli(delta), scale * bernoulli(-delta)))
        self._last = Phi, result
        return result


def bernoulli(z: np.ndarray) -> np.ndarray:
    """z / (e^z - 1), 1 at 0."""
    safe = np.where(z == 0, 1.0, z)
    with np.errstate(over="ignore"):  # e^z = inf gives 0, as it should
        return np.where(z == 0, 1.0, safe / np.expm1(safe))


def _drift_correction(exponent: np.ndarray, axis: int) -> np.ndarray:
    """alpha at the inner faces of an axis, from the second differences of Phi / D; 1 next to the walls."""
    second = np.diff(exponent, n=2, axis=axis)
    inner = np.clip(1 + (left(second, axis) + right(second, axis)) / 12, 1 / MOST, MOST)
    widths = [(0, 0)] * exponent.ndim
    widths[axis] = (1, 1)
    return np.pad(inner, widths, constant_values=1.0)
