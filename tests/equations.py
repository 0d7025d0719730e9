"""The partial differential equation of a gradient flow, at one point of a path that is said to satisfy it."""

import jax
import jax.numpy as jnp


def equation_residual(path, mu, t, x):
    """d rho/dt - div(rho grad mu) at one point, and d rho/dt; `mu(t, x)` is the chemical potential."""

    @jax.jit
    def at(t, x):
        rho = lambda t, x: jnp.exp(path.density(t).log_prob(x))
        flux = lambda x: rho(t, x) * jax.grad(mu, argnums=1)(t, x)
        rate = jax.grad(rho)(t, x)
        return rate - jnp.trace(jax.jacfwd(flux)(x)), rate

    return at(t, x)
