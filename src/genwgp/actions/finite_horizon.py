"""The Dawson-Gaertner action of a path that takes a given physical time."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.actions.profile import Profile
from genwgp.checks import positive_number
from genwgp.errors import InputError


class FiniteHorizonAction(eqx.Module):
    """S_T = 1/2 int_0^T int |dx/dt + grad mu|^2 rho dx dt; units of energy.

    `T`: the physical time of the whole path, in units length^2 / energy. Zero exactly on the gradient flow up to T, and
    there alone: no terminal condition is needed. With noise sqrt(2D) the large-deviation rate is 1/(4D) times the
    integral; the factor here is 1/2, without 1/(4D). For velocities that are no gradients it is an upper bound of the
    action of the densities. InputError unless T is finite and above 0.

    Source: Dawson and Gaertner, Stochastics 20 (1987) 247; Freidlin and Wentzell, Random Perturbations of Dynamical
    Systems; Liu and Zhou, arXiv 2604.11519 (2026).
    """

    T: float

    def __init__(self, T: float):
        self.T = positive_number("FiniteHorizonAction.T", T)

    def durations(self, layers: int) -> Float[Array, " K"]:
        """Physical time of each of `layers` layers: T / K."""
        return jnp.full(layers, self.T / layers)

    def value(self, profile: Profile) -> Float[Array, ""]:
        """1/2 sum_k h_k sum_q w ||v / h_k + grad mu||^2, h_k = durations[k]. InputError without durations."""
        h = _durations(profile)
        squares = profile.speed2 / h + 2 * profile.power + h * profile.force2
        return 0.5 * jnp.sum(profile.weights * squares)

    def second_form(self, profile: Profile) -> Float[Array, ""]:
        """1/2 sum_k h_k sum_q w (||v / h_k||^2 + ||grad mu||^2) + F_K - F_0: the work is the drop of F.

        Its distance from `value` measures the error of quadrature and particles; it can be negative by that error.
        """
        h = _durations(profile)
        kinetic = 0.5 * jnp.sum(profile.weights * (profile.speed2 / h + h * profile.force2))
        return kinetic + profile.free_energy[-1] - profile.free_energy[0]


def _durations(profile: Profile) -> Float[Array, "K 1"]:
    if profile.durations is None:
        raise InputError("Profile.durations", None, "the physical time of each layer, (K,): this action needs a clock")
    return profile.durations[:, None]
