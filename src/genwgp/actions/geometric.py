"""The geometric action: how far a path is from the gradient flow, however fast it is walked."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.actions.profile import Profile, safe_sqrt


class GeometricAction(eqx.Module):
    """S_geo = int_0^1 ( ||v|| ||grad mu|| + <v, grad mu> ) ds, norms and products in L2(rho); units of energy.

    The infimum of the finite-horizon action over all clocks and horizons, where lam = dt/ds = ||v|| / ||grad mu||:

        S_geo = int_0^1 (1 / 2 lam) || v + lam grad mu ||^2 ds.

    Not negative (Cauchy-Schwarz), invariant under reparametrisation, zero exactly where v is antiparallel to grad mu:
    on the gradient flow, but also on the path that stands still, so it is minimised together with the terminal
    condition. Without the 1/(4D) of large-deviation theory, as everywhere here.

    Source: Liu and Zhou, arXiv 2604.11519 (2026), the action of the path of densities; Heymann and Vanden-Eijnden,
    Comm. Pure Appl. Math. 61 (2008) 1052, the geometric minimum action method; Freidlin and Wentzell, Random
    Perturbations of Dynamical Systems, and Dawson and Gaertner, Stochastics 20 (1987) 247, the functional behind it.
    """

    def value(self, profile: Profile) -> Float[Array, ""]:
        """sum_k sum_q w (||v|| ||grad mu|| + <v, grad mu>). Not negative for any particles."""
        return jnp.sum(profile.weights * (_products(profile) + profile.power))

    def second_form(self, profile: Profile) -> Float[Array, ""]:
        """sum_k sum_q w ||v|| ||grad mu|| + F_K - F_0: the work is the drop of F.

        Its distance from `value` measures the error of quadrature and particles; it can be negative by that error.
        """
        return jnp.sum(profile.weights * _products(profile)) + profile.free_energy[-1] - profile.free_energy[0]


def _products(profile: Profile) -> Float[Array, "K q"]:
    """||v|| ||grad mu||; two roots, since the product of the squares would underflow sooner."""
    return safe_sqrt(profile.speed2) * safe_sqrt(profile.force2)
