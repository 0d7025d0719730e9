"""Potentials that are sums of functions of one linear form each: their third derivatives at the cost of first ones.

V(x) = sum_k f_k(z_k), z = A x + b: likelihoods of linear predictors, products, lattices whose neighbours are coupled by
differences, quadratic forms. With a_k the rows of A,

    grad V = A' f'(z),   lap V = sum_k f_k'' |a_k|^2,   grad lap V + Hess V u = A' (f''' |a|^2 + f'' A u),

while differentiating V as a whole takes d times as long. The split is read off the code of V: what is affine in x, and
what comes after it, number by number until it is summed.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var
from jaxtyping import Array, Float

# Primitives that are linear in all of their arrays together, and those that act number by number.
LINEAR = {
    "add", "add_any", "broadcast_in_dim", "concatenate", "copy", "cumsum", "neg", "pad", "reduce_sum", "reshape", "rev",
    "slice", "split", "squeeze", "sub", "transpose",
}  # fmt: skip
NUMBERS = {
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp",
    "convert_element_type", "copy", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "erfc", "exp", "exp2",
    "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt", "max",
    "min", "mul", "ne", "neg", "not", "or", "pow", "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt", "square",
    "stop_gradient", "sub", "tan", "tanh", "xor",
}  # fmt: skip
INLINED = {"jit", "pjit"}
OWN_DERIVATIVE = "custom_jvp_call"

CONSTANT, AFFINE, SUM = "constant", "affine", "sum"


class Additive(NamedTuple):
    """A function, split. `forms`: x -> the z as a list of arrays. `shifted`: x, y -> V with z + y for z.

    `squares`: |a_k|^2 for each z_k.
    """

    forms: Callable[[Array], list[Array]]
    shifted: Callable[[Array, list[Array]], Array]
    squares: list[Array]

    def rates(self, x: Float[Array, " d"], u: Float[Array, " d"]) -> tuple[Array, Array, Array]:
        """(grad V, lap V, grad lap V + Hess V u) at one point."""
        z, along = jax.jvp(self.forms, (x,), (u,))
        back = jax.vjp(self.forms, x)[1]
        none, ones = (jax.tree.map(make, z) for make in (jnp.zeros_like, jnp.ones_like))
        # Every f_k depends on its own z_k alone: derivatives along all of them at once are those of each.
        first = jax.grad(lambda y: self.shifted(x, y))
        both = lambda y: jax.jvp(first, (y,), (ones,))
        (slope, bend), (_, third) = jax.jvp(both, (none,), (ones,))
        source = [f3 * a2 + f2 * w for f3, f2, a2, w in zip(third, bend, self.squares, along, strict=True)]
        laplacian = sum(jnp.sum(f2 * a2) for f2, a2 in zip(bend, self.squares, strict=True))
        return back(slope)[0], jnp.asarray(laplacian, x.dtype), back(source)[0]


def additive(function: Callable, x: Float[Array, " d"]) -> Additive | None:
    """The function, of points such as x, split; None where its code does not show such a sum."""
    point = jax.ShapeDtypeStruct(x.shape, x.dtype)
    traced = jax.make_jaxpr(_flat(jax.make_jaxpr(function)(point)))(point)
    code = _Code(traced.jaxpr)
    if not code.is_sum():
        return None
    forms = lambda x: code.forms(traced.consts, x)
    return Additive(forms, lambda x, y: code.shifted(traced.consts, x, y), _squares(forms, x, traced.consts))


def _squares(forms: Callable, x: Array, consts: Sequence[Any]) -> list[Array]:
    """|a_k|^2: numbers, once and for all, unless jax traces what A is made of."""
    rows = lambda: [(a**2).sum(-1) for a in jax.jacfwd(forms)(jnp.zeros(x.shape, x.dtype))]
    if any(isinstance(const, Tracer) for const in consts):
        return rows()
    with jax.ensure_compile_time_eval():
        return rows()


def _flat(traced: ClosedJaxpr) -> Callable:
    """The same code without calls of compiled functions, what they do in their places, and nothing computed twice."""
    before: dict[Any, tuple[list[Any], list[Any]]] = {}  # with what it was made of, so that no id is used again

    def once(equation: JaxprEqn, values: list[Any]) -> list[Any]:
        if equation.primitive.name == OWN_DERIVATIVE:
            return _applied(equation, values)
        ids = [str(value) if isinstance(value, np.generic | int | float) else id(value) for value in values]
        key = (equation.primitive.name, str(equation.params), *ids)
        if key not in before:
            before[key] = values, _applied(equation, values)
        return before[key][1]

    def run(code: ClosedJaxpr, given: Sequence[Any]) -> list[Any]:
        known = dict(zip([*code.jaxpr.constvars, *code.jaxpr.invars], [*code.consts, *given], strict=True))
        for equation in code.jaxpr.eqns:
            values = [_value(known, atom) for atom in equation.invars]
            inner = equation.primitive.name in INLINED
            new = run(equation.params["jaxpr"], values) if inner else once(equation, values)
            known |= zip(equation.outvars, new, strict=True)
        return [_value(known, atom) for atom in code.jaxpr.outvars]

    return lambda x: run(traced, [x])[0]


def _value(known: dict[Var, Any], atom: Any) -> Any:
    return atom.val if isinstance(atom, Literal) else known[atom]


def _applied(equation: JaxprEqn, values: Sequence[Any]) -> list[Any]:
    """What comes out of one equation."""
    primitive = equation.primitive
    found = primitive.bind(*values, **primitive.get_bind_params(equation.params))
    return list(found) if primitive.multiple_results else [found]


class _Code:
    """A piece of code, and what its variables are: constant, affine in x, a sum, or numbers of their root each.

    `roots`: the affine variables that others are made of, number by number. `products`: equations that multiply two of
    them; with s = a + b and t = a - b it is (s^2 - t^2) / 4, which is a sum.
    """

    def __init__(self, jaxpr: Jaxpr):
        self.jaxpr, self.roots, self.products = jaxpr, list[Var](), list[JaxprEqn]()
        self.kinds: dict[Any, Any] = dict.fromkeys(jaxpr.constvars, CONSTANT) | dict.fromkeys(jaxpr.invars, AFFINE)

    def is_sum(self) -> bool:
        """Whether the function is one."""
        if not all(map(self._take, self.jaxpr.eqns)):
            return False
        self._add_roots([out for out in self.jaxpr.outvars if self._kind(out) == AFFINE])
        return True

    def _take(self, equation: JaxprEqn) -> bool:
        """Whether what comes out of the equation is one of these."""
        moves = [self._kind(atom) != CONSTANT for atom in equation.invars]
        kind = self._found(equation, moves) if any(moves) else CONSTANT
        self.kinds |= dict.fromkeys(equation.outvars, kind)
        return kind is not None

    def _kind(self, atom: Any) -> Any:
        return CONSTANT if isinstance(atom, Literal) else self.kinds[atom]

    def _add_roots(self, affine: Sequence[Any]) -> None:
        self.roots = list(dict.fromkeys([*self.roots, *affine]))

    def _found(self, equation: JaxprEqn, moves: list[bool]) -> Any:
        """What comes out of an equation, `moves` saying which of its arrays depend on x; None for nothing of these."""
        moving: list[Any] = [atom for atom, own in zip(equation.invars, moves, strict=True) if own]
        affine = [atom for atom in moving if self._kind(atom) == AFFINE]
        linear = _linear(equation, moves)
        if len(affine) == len(moving):
            if linear:
                return AFFINE
            if len(moving) == 2 and _product(equation) and moving[0] is not moving[1]:
                self.products.append(equation)
                return SUM
        roots = {atom if atom in affine else self._kind(atom) for atom in moving}
        root = next(iter(roots)) if len(roots) == 1 and SUM not in roots else None
        self._add_roots(affine)
        if root is not None and _by_numbers(equation, moves, _shape(root)):
            return root
        paired = root is not None and _product(equation)  # a . f(a)
        return SUM if linear or paired else None

    def forms(self, consts: Sequence[Any], x: Array) -> list[Array]:
        """z: the roots, then s and t of each product."""
        known = self._values(consts, x, None)
        factors = [[_value(known, atom) for atom in product.invars] for product in self.products]
        return [*(known[root] for root in self.roots), *(z for a, b in factors for z in (a + b, a - b))]

    def shifted(self, consts: Sequence[Any], x: Array, shifts: Sequence[Array]) -> Array:
        """The function, with `shifts` added to the forms in what is made of them."""
        shift = dict(zip([*self.roots, *range(2 * len(self.products))], shifts, strict=True))
        out = self.jaxpr.outvars[0]
        return _moved(shift, out, _value(self._values(consts, x, shift), out))

    def _values(self, consts: Sequence[Any], x: Array, shift: dict[Any, Array] | None) -> dict[Var, Any]:
        """Of all variables; without `shift` of those that are constant or affine in x."""
        known = dict(zip([*self.jaxpr.constvars, *self.jaxpr.invars], [*consts, x], strict=True))
        for equation in self.jaxpr.eqns:
            beyond = self.kinds[equation.outvars[0]] not in (CONSTANT, AFFINE)
            if beyond and shift is None:
                continue
            values = [_value(known, atom) for atom in equation.invars]
            if beyond and shift is not None:
                values = self._shifted(equation, values, shift)
            known |= zip(equation.outvars, _applied(equation, values), strict=True)
        return known

    def _shifted(self, equation: JaxprEqn, values: list[Any], shift: dict[Any, Array]) -> list[Any]:
        for i, product in enumerate(self.products):
            if product is equation:
                s, t = shift[2 * i], shift[2 * i + 1]
                return [values[0] + (s + t) / 2, values[1] + (s - t) / 2]
        return [_moved(shift, atom, value) for atom, value in zip(equation.invars, values, strict=True)]


def _moved(shift: dict[Any, Array], atom: Any, value: Any) -> Any:
    return value + shift[atom] if not isinstance(atom, Literal) and atom in shift else value


def _shape(atom: Any) -> tuple[int, ...]:
    return atom.aval.shape


def _linear(equation: JaxprEqn, moves: list[bool]) -> bool:
    """Whether the equation is linear in those of its arrays that move, together."""
    name = equation.primitive.name
    if name in LINEAR:
        return True
    if name == "convert_element_type":
        every: list[Any] = [*equation.invars, *equation.outvars]
        return all(jnp.issubdtype(a.aval.dtype, jnp.inexact) for a in every)
    if name == "select_n":
        return not moves[0]
    if name in ("mul", "dot_general", "conv_general_dilated"):
        return sum(moves) == 1
    if name in ("scatter", "scatter-add"):
        return not moves[1]
    if name == "triangular_solve":
        return not moves[0]
    return name in ("div", "gather", "dynamic_slice") and moves[0] and sum(moves) == 1


def _product(equation: JaxprEqn) -> bool:
    """Whether two arrays are multiplied number by number, or so and summed."""
    if equation.primitive.name == "mul":
        return _shape(equation.invars[0]) == _shape(equation.invars[1])
    if equation.primitive.name != "dot_general":
        return False
    (left, right), (batch, _) = equation.params["dimension_numbers"]
    ranks = [len(_shape(atom)) for atom in equation.invars]
    return not batch and tuple(left) == tuple(right) and len(left) == ranks[0] == ranks[1]


def _by_numbers(equation: JaxprEqn, moves: list[bool], shape: tuple[int, ...]) -> bool:
    """Whether each number that comes out is a function of the same one of the arrays that move, all of this shape."""
    moving = [atom for atom, own in zip(equation.invars, moves, strict=True) if own]
    if any(_shape(atom) != shape for atom in (*moving, *equation.outvars)):
        return False
    name = equation.primitive.name
    if name not in INLINED and name != OWN_DERIVATIVE:
        return name in NUMBERS
    inner = equation.params["jaxpr" if name in INLINED else "call_jaxpr"].jaxpr
    moved = {atom for atom, own in zip(inner.invars, moves, strict=True) if own}
    for step in inner.eqns:
        own = [not isinstance(atom, Literal) and atom in moved for atom in step.invars]
        if any(own) and not _by_numbers(step, own, shape):
            return False
        moved |= set(step.outvars) if any(own) else set()
    return True
