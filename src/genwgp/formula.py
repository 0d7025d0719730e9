"""Functions that differ in numbers only, as one function of these numbers: compiled once for all of them.

jax compiles the numbers that a function closes over into its code, so that V = k x^2 with another k is compiled anew.
Here the functions are traced at one point. Where the traces differ in numbers alone, the numbers become arguments.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun
from jaxtyping import Array

LARGEST = 10_000  # entries of an array that may become an argument: fields hold a copy of it for each of their segments
TOLERANCE = 1e-9  # relative to the largest value, where functions with derivatives of their own are tried at a point


class Form:
    """The code that formulas share: a trace whose constants are given when it is run. Compared by identity."""

    def __init__(self, traced: ClosedJaxpr, chosen: list[int]):
        """`chosen`: the constants, by their places among `_numbers`, that differ."""
        self.jaxpr, self.held = _lifted(traced, chosen)
        self.chosen = chosen

    def __call__(self, numbers: tuple[Array, ...], x: Array) -> Array:
        given = dict(zip(self.chosen, numbers, strict=True))
        constants = [given.get(place, value) for place, value in self.held.items()]
        return jaxpr_as_fun(ClosedJaxpr(self.jaxpr, constants))(x)[0]


class Formula(eqx.Module):
    """A function of one point whose numbers are leaves, and whose code it shares with others."""

    numbers: tuple[Array, ...]
    form: Form = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        return self.form(self.numbers, x)


def skeleton(function: Callable, point: Array) -> Any:
    """What is compiled of a function of one point, but for its numbers: equal for those that `formulas` can join."""
    return _skeleton(jax.make_jaxpr(function)(point))


def formulas(functions: Sequence[Callable], point: Array) -> list[Callable]:
    """The functions, of equal skeleton, as formulas with what differs between them as numbers.

    As they are where it is the same one throughout, where an array that differs is larger than LARGEST, or where a
    function with a derivative of its own (`jax.custom_jvp`) hides a number in it.
    """
    if all(function is functions[0] for function in functions):
        return list(functions)
    traced = [jax.make_jaxpr(function)(point) for function in functions]
    numbers = list(map(_numbers, traced))
    chosen = [i for i, column in enumerate(zip(*numbers, strict=True)) if not _all_equal(column)]
    if any(np.size(row[i]) > LARGEST for row in numbers for i in chosen):
        return list(functions)
    form = Form(traced[0], chosen)
    made = [Formula(tuple(jnp.asarray(row[i]) for i in chosen), form) for row in numbers]
    hidden = any(_hides(equation) for equation in traced[0].jaxpr.eqns)
    return list(functions) if hidden and not all(map(_agree, functions, made, [point] * len(made))) else list(made)


def _is_number(atom: Any) -> bool:
    """Whether it is a constant that may become an argument: a float that stands in the code."""
    return isinstance(atom, Literal) and jnp.issubdtype(atom.aval.dtype, jnp.inexact)  # pyright: ignore


def _numbers(traced: ClosedJaxpr) -> list[Any]:
    """Constants of a trace: arrays, then the floats of its equations in their order."""
    floats = [atom.val for equation in traced.jaxpr.eqns for atom in equation.invars if _is_number(atom)]
    return [*traced.consts, *floats]


def _lifted(traced: ClosedJaxpr, chosen: list[int]) -> tuple[Jaxpr, dict[int, Any]]:
    """The code with the chosen floats of its equations as constants too, and what constants there are, by place."""
    jaxpr = traced.jaxpr
    held, constants = dict(enumerate(traced.consts)), list(jaxpr.constvars)
    place = itertools.count(len(held))

    def constant(atom: Any) -> Any:
        if not _is_number(atom) or (here := next(place)) not in chosen:
            return atom
        held[here] = atom.val
        constants.append(Var(atom.aval))
        return constants[-1]

    equations = [equation.replace(invars=list(map(constant, equation.invars))) for equation in jaxpr.eqns]
    return jaxpr.replace(constvars=constants, eqns=equations), held


def _skeleton(traced: ClosedJaxpr) -> Any:
    names: dict[Any, int] = {}

    def named(atom: Any) -> Any:
        if isinstance(atom, Literal):
            return str(atom.aval if _is_number(atom) else atom)
        return names.setdefault(atom, len(names)), str(atom.aval)

    jaxpr = traced.jaxpr
    # A number that is returned as it stands is not among those of the equations.
    returned = tuple(str(atom.val) if isinstance(atom, Literal) else "" for atom in jaxpr.outvars)
    equations = [(e.primitive.name, _text(e.params), *map(named, [*e.invars, *e.outvars])) for e in jaxpr.eqns]
    return tuple(map(named, [*jaxpr.constvars, *jaxpr.invars])), tuple(equations), returned


def _text(part: Any) -> Any:
    """A parameter of an equation as what can be compared: functions inside of it are left out (`_hides`)."""
    if isinstance(part, ClosedJaxpr):
        return str(part.jaxpr), tuple(np.asarray(constant).tobytes() for constant in part.consts)
    if isinstance(part, dict):
        return tuple((key, _text(value)) for key, value in sorted(part.items()))
    if isinstance(part, tuple | list):
        return tuple(map(_text, part))
    return "function" if callable(part) and not isinstance(part, type) else str(part)


def _hides(equation: JaxprEqn) -> bool:
    """Whether a parameter of it is a function, which cannot be looked into."""
    return "function" in str(_text(equation.params))


def _all_equal(values: Sequence[Any]) -> bool:
    first = values[0]
    return all(value is first or np.array_equal(np.asarray(value), np.asarray(first)) for value in values)


def _agree(function: Callable, formula: Callable, point: Array) -> bool:
    """Whether value, gradient and Hessian are the same at the point."""
    for derivative in (lambda f: f, jax.grad, jax.hessian):
        one, other = (np.asarray(derivative(f)(point), dtype=np.float64) for f in (function, formula))
        if not np.allclose(one, other, rtol=0, atol=TOLERANCE * max(1.0, float(np.abs(one).max()))):
            return False
    return True
