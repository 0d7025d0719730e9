"""Problems that differ in numbers only, written so that what is compiled for one of them serves all."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from genwgp.energies import CustomInternal, FreeEnergy, Interaction
from genwgp.formula import formulas, skeleton
from genwgp.problem import Problem


def shared(problems: Sequence[Problem]) -> list[Problem]:
    """The same problems; in those of one structure what differs between their energies are arrays, which jax traces.

    Numbers that potentials, interactions and internal energies of a user close over count as well as parameters of
    named ones. An energy whose parameters decide what is computed (a power that is even or not) stays as it is.
    """
    groups: dict[Any, list[int]] = {}
    for i, problem in enumerate(problems):
        groups.setdefault(_structure(problem), []).append(i)
    found = list(problems)
    for members in groups.values():
        energies = _joined([problems[i].energy for i in members], problems[members[0]].dim)
        for i, energy in zip(members, energies, strict=True):
            found[i] = eqx.tree_at(lambda problem: problem.energy, problems[i], energy)
    return found


def _functions(energy: FreeEnergy) -> dict[str, Callable]:
    """What users write, by its place: functions of a point, of a difference, of a density."""
    found = {"potential": energy.potential}
    if isinstance(energy.interaction, Interaction):
        found["interaction.W"] = energy.interaction.W
    if isinstance(energy.internal, CustomInternal):
        found["internal.U"] = energy.internal.U
    return {place: function for place, function in found.items() if function is not None}


def _with(energy: FreeEnergy, functions: dict[str, Any]) -> FreeEnergy:
    """The energy with these functions in their places."""
    for place, function in functions.items():
        where = lambda energy, place=place: _at(energy, place)
        energy = eqx.tree_at(where, energy, function, is_leaf=lambda leaf: leaf is None)
    return energy


def _at(energy: FreeEnergy, place: str) -> Any:
    for name in place.split("."):
        energy = getattr(energy, name)
    return energy


def _point(place: str, dim: int) -> Any:
    """What a function is traced at."""
    return jnp.full((), 0.5) if place == "internal.U" else jnp.full(dim, 0.5)


def _structure(problem: Problem) -> Any:
    """What is compiled of an energy, but for its numbers."""
    functions = _functions(problem.energy)
    skeletons = tuple((place, skeleton(f, _point(place, problem.dim))) for place, f in functions.items())
    leaves, tree = jax.tree.flatten(_with(problem.energy, dict.fromkeys(functions)))
    return problem.dim, skeletons, tree, tuple(map(_kind, leaves))


def _kind(leaf: Any) -> Any:
    return (leaf.shape, str(leaf.dtype)) if eqx.is_array(leaf) else "number" if isinstance(leaf, float) else leaf


def _joined(energies: list[FreeEnergy], dim: int) -> list[FreeEnergy]:
    """Energies of one structure, with what differs between them as arrays."""
    functions = list(map(_functions, energies))
    columns = {place: formulas([each[place] for each in functions], _point(place, dim)) for place in functions[0]}
    bare = [_with(energy, dict.fromkeys(functions[0])) for energy in energies]
    rows = list(zip(*(jax.tree.leaves(energy) for energy in bare), strict=True))
    traced = [isinstance(row[0], float) and len(set(row)) > 1 for row in rows]
    made = []
    for i, energy in enumerate(bare):
        leaves, tree = jax.tree.flatten(energy)
        leaves = [jnp.asarray(leaf) if moves else leaf for leaf, moves in zip(leaves, traced, strict=True)]
        made.append(_with(jax.tree.unflatten(tree, leaves), {place: column[i] for place, column in columns.items()}))
    return made if _can_be_traced(made[0], dim) else energies


def _can_be_traced(energy: FreeEnergy, dim: int) -> bool:
    """Whether what the energy computes does not depend on the values of its arrays."""
    x, one = jnp.zeros((2, dim)), jnp.zeros(2)

    def everything(energy: FreeEnergy):
        return energy.gradient(x, one, x), energy.per_particle(x, one), energy.chemical_potential(x, one)

    try:
        eqx.filter_eval_shape(everything, energy)
    except jax.errors.JAXTypeError:
        return False
    return True
