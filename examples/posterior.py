"""Bayesian logistic regression: from a Gaussian approximation to the posterior, with the evidence and its error.

    python examples/posterior.py

Twenty doses and whether there was a response; intercept and slope with a normal prior. The path starts at Laplace's
approximation and ends at the posterior, whose normaliser is the evidence (marginal likelihood). Weights tell how good
the end is, and resampling takes off what it is off by. Writes posterior.png.
"""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import genwgp as gw

jax.config.update("jax_enable_x64", True)  # before anything is made

DOSE = jnp.linspace(-1.5, 1.5, 20)
RESPONSE = jnp.array([0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1], dtype=float)
PRIOR = gw.Gaussian([0.0, 0.0], 2.0**2)
FEW = gw.CausalSweep(pool=4096, train=2048, test=4096)


def log_joint(theta):
    logit = theta[0] + theta[1] * DOSE
    return jnp.sum(RESPONSE * logit - jax.nn.softplus(logit)) + PRIOR.log_prob(theta)


def laplace() -> gw.Gaussian:
    """The Gaussian with the mode of the posterior and its curvature there, by Newton's method."""
    mode = jnp.zeros(2)
    for _ in range(20):
        mode = mode - jnp.linalg.solve(jax.hessian(log_joint)(mode), jax.grad(log_joint)(mode))
    return gw.Gaussian(mode, -jnp.linalg.inv(jax.hessian(log_joint)(mode)))


def solve(method=FEW, **settings):
    return gw.solve(gw.Problem(gw.RelativeEntropy(log_joint), laplace(), "posterior"), method=method, **settings)


def draw(path, sample) -> Figure:
    picture = Figure(figsize=(9, 3.8), layout="constrained")
    plane, curve = picture.subplots(1, 2)
    axes = np.linspace(-2, 2.5, 81), np.linspace(-0.5, 5.5, 81)
    grid = jnp.asarray(np.stack(np.meshgrid(*axes), -1).reshape(-1, 2))
    density = np.exp(jax.vmap(log_joint)(grid) - path.equilibrium.log_normaliser)
    plane.contour(*axes, density.reshape(81, 81), levels=7, cmap="viridis")
    plane.plot(*sample[:500].T, ".", color="grey", markersize=3, zorder=0)
    plane.set(xlabel="intercept", ylabel="slope", title="posterior and resampled draws")
    chance = jax.nn.sigmoid(sample[:, :1] + sample[:, 1:] * DOSE)
    curve.fill_between(DOSE, *np.quantile(chance, [0.05, 0.95], axis=0), alpha=0.3, label="90 % of the posterior")
    curve.plot(DOSE, chance.mean(0), label="mean")
    curve.plot(DOSE, RESPONSE, "k|", label="data")
    curve.set(xlabel="dose", ylabel="chance of a response")
    curve.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 0.1))  # between the data
    return picture


def main() -> None:
    path = solve().path
    end = path.equilibrium
    print(f"log evidence {end.log_normaliser:.5f} +- {end.log_normaliser_error:.5f}")
    print(f"effective samples {100 * end.effective_sample_size:.2f} %, Pareto k {end.pareto_k:.2f}")
    slope = end.expectation(lambda theta: theta[1], jax.random.key(1), 4000)
    print(f"posterior mean of the slope {slope.value:.4f} +- {slope.standard_error:.4f}")
    draw(path, end.resample(jax.random.key(2), 1000)).savefig("posterior.png", dpi=130)


if __name__ == "__main__":
    main()
