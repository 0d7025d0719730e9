"""Whether a path is right, in words: the first figure that is out of bounds, and what to try."""

from typing import Any

GAP = 5e-3  # nats between the last node and the equilibrium
LEFT = 5e-3  # of the drop of F, where there is no entropy to measure a divergence by
SPREAD = 0.05  # between the lengths of adjacent layers
DIRECTION = 0.3  # direction residual until 99 % of the drop of F is spent
NOTHING = 1e-9  # a drop of F, and a gap in nats, that are rounding
DISSIPATION = 0.2  # difference of the drop of F and what is dissipated, in a layer that counts (`measure`)
RISE = 1e-3  # of F in a layer, over the drop
SHARE = 0.9  # effective sample size over the number of samples


def verdict(figures: dict[str, Any], terminal: bool, equal_lengths: bool = True) -> str | None:
    """None for a path that is right; else what is wrong and what to try.

    `terminal`: it should end in equilibrium. `equal_lengths`: its nodes should be equidistant in Wasserstein length.
    """
    gap, direction, left = figures["gap"], figures["direction_residual"], figures["left"]
    share, dissipation = figures["effective_sample_size"], figures["dissipation_error"]
    entropic = gap == gap  # not NaN: there is an equilibrium that the last node has a divergence to
    if terminal and abs(figures["energy_drop"]) < NOTHING and gap < NOTHING:
        return None  # the start is the equilibrium: there is nothing to go down, and no direction to judge
    checks = [
        (
            terminal and entropic and not gap < GAP,
            f"F is {gap:.2g} D above the equilibrium (converged: {GAP} D)",
            "more particles",
        ),
        (
            terminal and entropic and not share > SHARE,
            f"effective samples are {100 * share:.2g} % at the end (converged: {SHARE:.0%}): it lacks tails or modes",
            "more particles",
        ),
        (
            terminal and not entropic and not left < LEFT,
            f"{100 * left:.2g} % of the drop of F is left, by its decay (converged: {LEFT:.1%})",
            "more particles",
        ),
        (
            not direction < DIRECTION,
            f"direction residual {direction:.2g} before 99 % of the drop of F (converged: {DIRECTION})",
            "more particles, or smaller steps (half the default: CausalSweep(tolerance=0.01))",
        ),
        (
            not dissipation < DISSIPATION,
            f"the drop of F and the dissipation differ by {100 * dissipation:.2g} % in a layer before 99 % of the drop "
            f"of F (converged: {DISSIPATION:.0%})",
            "more particles",
        ),
        (
            equal_lengths and not figures["speed_spread"] < SPREAD,
            f"adjacent layers differ by {100 * figures['speed_spread']:.2g} % in length (converged: {SPREAD:.0%})",
            "more particles or steps",
        ),
        (
            not figures["rise"] < RISE,
            f"F rises by {100 * figures['rise']:.2g} % of its drop in a layer (converged: {100 * RISE:g} %)",
            "more particles",
        ),
    ]
    for wrong, what, remedy in checks:
        if wrong:
            return f"{what}; try {remedy}"
    return None
