"""A particle cloud in a tilted double well on a line: how its density relaxes, and how long that takes.

    python examples/double_well.py

The start is in the left well. First it fills that well, quickly; then mass crosses the barrier, slowly, until the
density is exp(-V/D)/Z. Writes double-well.png.
"""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import genwgp as gw

jax.config.update("jax_enable_x64", True)  # before anything is made

D = 1.0  # the temperature
FEW = gw.CausalSweep(pool=4096, train=1024, test=4096)  # a line asks for fewer particles than the default


def V(x):
    return 2 * (x[0] ** 2 - 1) ** 2 - 0.5 * x[0]


def solve(method=FEW, **settings):
    energy = gw.FreeEnergy(potential=V, internal=gw.Entropy(D))  # F = int V rho + D int rho log rho
    return gw.solve(gw.Problem(energy, gw.Gaussian([-1.0], 0.3**2)), method=method, **settings)


def draw(path) -> Figure:
    picture = Figure(figsize=(9, 3.6), layout="constrained")
    density, energy = picture.subplots(1, 2)
    x = jnp.linspace(-2, 2, 121)[:, None]
    for node in (0, 2, 4, 6, 8, 10):
        rho = path.at(node=node)
        density.plot(x[:, 0], np.exp(rho.log_prob(x)), label=f"t = {rho.time:.3g}")
    equilibrium = np.exp(-jax.vmap(V)(x) / D - path.equilibrium.log_normaliser)
    density.plot(x[:, 0], equilibrium, "k--", label="exp(-V/D)/Z")
    density.set(xlabel="x", ylabel="density", ylim=(0, 1.9))
    density.legend(frameon=False, ncols=2, loc="upper center")
    energy.plot(path.times[:-1], path.free_energy[:-1], "o-", label="F of the path")
    energy.axhline(path.equilibrium.free_energy, color="k", linestyle="--", label="F of the equilibrium")
    energy.set(xlabel="time t", ylabel="free energy F")
    energy.legend(frameon=False)
    return picture


def main() -> None:
    path = solve().path
    x = path.equilibrium.sample(jax.random.key(0), 10_000)
    start, end = path.free_energy[0], path.free_energy[-1]
    print(f"F falls from {start:.4f} to {end:.4f}; its least is {path.equilibrium.free_energy:.4f}")
    print(f"at the end {100 * float(jnp.mean(x > 0)):.1f} % are in the right well, at the start none was")
    draw(path).savefig("double-well.png", dpi=130)


if __name__ == "__main__":
    main()
