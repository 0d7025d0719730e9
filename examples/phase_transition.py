"""A phase transition: attracting particles in a double well order themselves below a critical temperature.

    python examples/phase_transition.py

Desai and Zwanzig's model, V = x^4/4 - x^2/2 and W = |z|^2/2, from a start that leans to the right. Below D = 0.456947
the mean of the equilibrium stays away from 0. All temperatures are solved by one call and compiled once; the exact
means come from the self-consistency equation. Writes phase-transition.png.
"""

import jax
import numpy as np
from matplotlib.figure import Figure

import genwgp as gw

jax.config.update("jax_enable_x64", True)  # before anything is made

CRITICAL = 0.456947
TEMPERATURES = (0.25, 0.35, 0.6)


def make(diffusion: float) -> gw.Problem:
    return gw.problems.get("desai-zwanzig", diffusion=diffusion)


def mean_of_end(row: gw.Row) -> float:
    """E x of the last node, over quasi-random particles."""
    path = row.solution.path
    return float(np.mean(path.transport(path.initial.quasi_sample(0, 4096), node=len(path.times) - 1)))


def draw(table: gw.Table) -> Figure:
    picture = Figure(figsize=(9, 3.6), layout="constrained")
    order, energy = picture.subplots(1, 2)
    D = np.linspace(0.15, 0.85, 36)
    exact = [make(float(d)).reference.equilibrium_mean for d in D]
    order.plot(D, exact, "k--", label="self-consistent mean")
    order.plot(table.column("diffusion"), [mean_of_end(row) for row in table.rows], "o", label="end of the path")
    order.axvline(CRITICAL, color="grey", linewidth=0.8)
    order.set(xlabel="temperature D", ylabel="mean of the equilibrium")
    order.legend(frameon=False)
    for row in table.rows:
        path = row.solution.path
        energy.plot(
            path.times[1:-1],
            path.free_energy[1:-1] - path.free_energy[-1],
            "o-",
            label=f"D = {row.parameters['diffusion']}",
        )
    energy.set(yscale="log", xlim=(0, 15), xlabel="time t", ylabel="F above its value at the end")
    energy.legend(frameon=False)
    return picture


def main() -> None:
    # A line asks for fewer particles than the default, and a picture for less of the last bit of the way.
    method = gw.CausalSweep(pool=2048, train=1024, test=2048, cloud=2048, gap=1e-4, left=1e-4)
    table = gw.solve_many(make, {"diffusion": TEMPERATURES}, method=method)
    print(table.to_markdown())
    draw(table).savefig("phase-transition.png", dpi=130)


if __name__ == "__main__":
    main()
