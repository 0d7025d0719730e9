"""Implicit steps of order four in time that keep densities positive, for Scharfetter-Gummel fluxes."""

import math
from collections import OrderedDict

import numpy as np
from scipy.sparse import identity
from scipy.sparse.linalg import SuperLU, splu

from genwgp.errors import NotConvergedError
from genwgp.references.mesh import divergence, left, right
from genwgp.references.scharfetter_gummel import ScharfetterGummel

# The L-stable SDIRK method of order 4 with five stages; the last stage is the step. The embedded one has order 3.
GAMMA = 0.25
STAGES = [
    [],
    [1 / 2],
    [17 / 50, -1 / 25],
    [371 / 1360, -137 / 2720, 15 / 544],
    [25 / 24, -49 / 48, 125 / 16, -85 / 12],
]
WEIGHTS = np.array([25 / 24, -49 / 48, 125 / 16, -85 / 12, GAMMA])
EMBEDDED = np.array([59 / 48, -17 / 96, 225 / 32, -85 / 12, 0.0])
FACTORS = 6  # LU factors kept
ITERATIONS, MANY = 30, 8  # of a stage with an interaction: at most, and before its factor is made anew
KEPT = 0.5  # share of the content of a cell that the correction may not take
SHORTEST = 2.0**-20  # steps, over the time of diffusion through a cell


class _NoStage(Exception):
    """The iteration for a stage did not contract: the step is too long."""


class Implicit:
    """Marches rho with steps 2^k chosen so that the estimated error of each, in L1, is below `tolerance`.

    Singly diagonally implicit Runge-Kutta method, L-stable, of order four (Hairer and Wanner, Solving Ordinary
    Differential Equations II, 2nd ed., 1996, table IV.6.5): slow modes decide on the step, not the fine mesh, and one
    LU factor serves all stages, and all steps of one length. No method of order above one keeps every density
    positive. Where a step is not positive, its fluxes are limited towards those of four implicit Euler steps of a
    quarter each, which have the same factor and are positive: flux-corrected transport (S. T. Zalesak, J. Comput.
    Phys. 31 (1979) 335-362), which conserves mass exactly. It acts only where rho is below the error of the step.
    With an interaction the stages are solved by iteration with the factor at an earlier W * rho.
    """

    doublings = 60  # of time, while a steady state is looked for

    def __init__(self, scheme: ScharfetterGummel, tolerance: float):
        self._scheme, self._tolerance = scheme, tolerance
        self._factors: OrderedDict[float, SuperLU] = OrderedDict()

    def first_step(self) -> float:
        """The time of diffusion through a cell."""
        return self._power(float(self._scheme.mesh.spacing.min()) ** 2 / self._scheme.D)

    def march(self, rho: np.ndarray, duration: float, step: float) -> tuple[np.ndarray, float]:
        """rho after `duration`, and the step to go on with. NotConvergedError if steps become too small."""
        left_over = duration
        while left_over > 0:
            dt = min(step, left_over)
            try:
                after, error = self._step(rho, dt)
            except _NoStage:
                after, error = rho, math.inf
            if not error <= self._tolerance:
                step = min(step, self._power(dt)) * max(self._power(self._wish(error)), 2.0**-4) / 2
                if not step > SHORTEST * self.first_step():
                    raise NotConvergedError(f"steps in time became shorter than {step:.1g}", rho)
                continue
            rho, left_over = after, left_over - dt
            if dt == step:  # the last, cut step says nothing about longer ones
                step *= min(max(self._power(self._wish(error)), 1.0), 8.0)
        return rho, step

    def _wish(self, error: float) -> float:
        """By how much the step should change for an error safely below the tolerance."""
        return (0.5 * self._tolerance / max(error, 1e-300)) ** 0.25

    @staticmethod
    def _power(value: float) -> float:
        """The power of two at or below."""
        return 2.0 ** math.floor(math.log2(value)) if value > 0 else 0.0

    def _step(self, rho: np.ndarray, dt: float) -> tuple[np.ndarray, float]:
        """rho after dt and the estimated error in L1."""
        scheme, rates, states = self._scheme, [], []
        self._iterations = 0
        Phi = scheme.potential(rho)
        for weights in STAGES:
            known = rho + dt * sum(w * rate for w, rate in zip(weights, rates, strict=True))
            Y, Phi = self._stage(known, states[-1][0] if states else rho, Phi, dt)
            rates.append((Y - known) / (GAMMA * dt))
            states.append((Y, Phi))
        defect = dt * np.tensordot(WEIGHTS - EMBEDDED, np.stack(rates), axes=1)
        error = self._solve(defect, dt, Phi)
        after = states[-1][0]
        if not np.min(after) > 0:
            after = self._limited(rho, dt, states)
        if self._iterations > MANY * len(STAGES):
            self._factors.clear()
        after *= rho.sum() / after.sum()  # the rounding of long steps
        return after, float(np.sum(np.abs(error))) * scheme.mesh.volume

    def _stage(self, known: np.ndarray, guess: np.ndarray, Phi: np.ndarray, dt: float) -> tuple[np.ndarray, np.ndarray]:
        """Y = known + gamma dt L(Phi(Y)) Y, and Phi(Y)."""
        scheme = self._scheme
        if scheme.linear:
            return self._solve(known, dt, Phi), Phi
        Y = guess
        for _ in range(ITERATIONS):
            self._iterations += 1
            Phi = scheme.potential(Y)
            change = self._solve(known + GAMMA * dt * scheme.rate(Y, Phi) - Y, dt, Phi)
            Y = Y + change
            if np.sum(np.abs(change)) * scheme.mesh.volume < 1e-3 * self._tolerance:
                return Y, scheme.potential(Y)
        raise _NoStage

    def _solve(self, right_side: np.ndarray, dt: float, Phi: np.ndarray) -> np.ndarray:
        """(1 - gamma dt L)^-1, with L at the Phi of the first call with this dt."""
        if dt not in self._factors:
            matrix = identity(Phi.size, format="csc") - GAMMA * dt * self._scheme.matrix(Phi)
            # An M-matrix needs no pivoting; without it all parts of the factors keep their signs, and so does rho.
            options = {"SymmetricMode": True}
            self._factors[dt] = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
            while len(self._factors) > FACTORS:
                self._factors.popitem(last=False)
        self._factors.move_to_end(dt)
        return self._factors[dt].solve(right_side.ravel()).reshape(right_side.shape)

    def _limited(self, rho: np.ndarray, dt: float, states: list) -> np.ndarray:
        """Four implicit Euler steps, and as much of the difference of the fluxes as leaves every cell positive."""
        scheme, mesh = self._scheme, self._scheme.mesh
        euler, low = rho, [np.zeros(())] * mesh.dim
        for k in range(4):
            euler, Phi = states[0] if k == 0 else self._stage(euler, euler, scheme.potential(euler), dt)
            low = [a + GAMMA * dt * b for a, b in zip(low, scheme.fluxes(euler, Phi), strict=True)]
        high = [np.zeros(())] * mesh.dim
        for weight, state in zip(WEIGHTS, states, strict=True):
            high = [a + weight * dt * b for a, b in zip(high, scheme.fluxes(*state), strict=True)]
        extra = [a - b for a, b in zip(high, low, strict=True)]
        outgoing = np.zeros(mesh.cells)
        for axis, (flux, h) in enumerate(zip(extra, mesh.spacing, strict=True)):
            left(outgoing, axis)[...] += np.maximum(flux, 0) / h
            right(outgoing, axis)[...] += np.maximum(-flux, 0) / h
        share = np.minimum(1.0, (1 - KEPT) * euler / np.maximum(outgoing, 1e-300))
        limited = [f * np.where(f > 0, left(share, axis), right(share, axis)) for axis, f in enumerate(extra)]
        return euler - divergence(limited, mesh)
