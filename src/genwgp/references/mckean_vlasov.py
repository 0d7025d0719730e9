"""Gaussians with a quadratic potential and a quadratic interaction: the McKean-Vlasov path in closed form."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from genwgp.checks import finite_array
from genwgp.errors import InputError
from genwgp.initial.gaussian import Gaussian
from genwgp.references.ornstein_uhlenbeck import OrnsteinUhlenbeck


class McKeanVlasov(eqx.Module):
    """The path of V = (x-b)' A (x-b) / 2, W = z' C z / 2 and entropy D from a Gaussian, which stays Gaussian:

        m(t) = b + e^{-At} (m0 - b),   S(t) = e^{-Mt} S0 e^{-Mt} + D M^{-1} (I - e^{-2Mt}),   M = A + C,

    since grad(W * rho) = C (x - m). `A` (d, d) symmetric positive definite, `C` (d, d) symmetric with A + C positive
    definite, so that repulsion weaker than A is allowed; `b` (d,), `D` > 0; InputError otherwise.
    Source: H. P. McKean, Proc. Natl. Acad. Sci. USA 56 (1966) 1907-1911; for means, see Risken (1989), section 6.5.
    """

    centre: OrnsteinUhlenbeck  # moves the mean
    shape: OrnsteinUhlenbeck  # moves the covariance
    C: Float[Array, "d d"]

    def __init__(self, A: Any, b: Any, C: Any, D: float, start: Gaussian):
        if not isinstance(start, Gaussian):
            raise InputError("McKeanVlasov.start", start, "a Gaussian of genwgp.initial")
        attraction = finite_array("McKeanVlasov.C", C, (start.dim, start.dim))
        self.centre = OrnsteinUhlenbeck(A, b, D, start)
        if np.max(np.abs(attraction - attraction.T)) > 1e-6 * np.max(np.abs(attraction)):
            raise InputError("McKeanVlasov.C", attraction.tolist(), "a symmetric matrix")
        total = np.asarray(self.centre.A, dtype=np.float64) + attraction
        if np.linalg.eigvalsh(total)[0] <= 0:
            raise InputError("McKeanVlasov.C", attraction.tolist(), "A + C positive definite")
        self.shape = OrnsteinUhlenbeck(total, b, D, start)
        self.C = jnp.asarray(attraction, dtype=float)

    @property
    def log_normaliser(self) -> None:
        """None: the equilibrium N(b, D (A + C)^-1) is not exp(-V/D)."""
        return None

    @property
    def equilibrium_free_energy(self) -> float:
        """F* = d D / 2 - D/2 log det(2 pi e D M^-1) = -D log int exp(-(x-b)' M (x-b) / 2D)."""
        return self.shape.equilibrium_free_energy

    def density(self, t: Any) -> Gaussian:
        """The density at time t in [0, inf]; differentiable in t. InputError for t < 0 or NaN."""
        mean, shape = self.centre.density(t), self.shape.density(t)
        assert isinstance(mean, Gaussian)
        assert isinstance(shape, Gaussian)
        return Gaussian(mean.mean, shape.covariance)

    def free_energy(self, t: Any) -> Float[Array, ""]:
        """F(t) = (m-b)' A (m-b) / 2 + tr((A + C) S) / 2 - D/2 log det(2 pi e S)."""
        rho = self.density(t)
        centred = rho.mean - self.centre.b
        _, log_det = jnp.linalg.slogdet(2 * math.pi * math.e * rho.covariance)
        quadratic = centred @ self.centre.A @ centred + jnp.trace(self.shape.A @ rho.covariance)
        return 0.5 * quadratic - 0.5 * self.centre.D * log_det

    def dissipation(self, t: Any) -> Float[Array, ""]:
        """I(t) = |A (m-b)|^2 + tr(G S G), G = A + C - D S^{-1}."""
        rho = self.density(t)
        slope = self.shape.A - self.centre.D * jnp.linalg.inv(rho.covariance)
        force = self.centre.A @ (rho.mean - self.centre.b)
        return force @ force + jnp.trace(slope @ rho.covariance @ slope)

    def describe(self) -> str:
        """What it is, in words."""
        return f"exact: McKean-Vlasov Gaussian, d = {self.C.shape[0]}"
