"""Potentials written as text: a small language with Python's syntax, read with `ast` and never executed."""

import ast
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from genwgp.checks import integer
from genwgp.errors import InputError

MAX_CHARACTERS, MAX_DEPTH = 10_000, 100
MAX_EXACT_POWER = 64  # whole powers up to here are products, whose derivatives are finite at 0
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[float], float]]] = {
    "sin": (jnp.sin, math.sin),
    "cos": (jnp.cos, math.cos),
    "exp": (jnp.exp, math.exp),
    "log": (jnp.log, math.log),
    "sqrt": (jnp.sqrt, math.sqrt),
    "tanh": (jnp.tanh, math.tanh),
    "cosh": (jnp.cosh, math.cosh),
    "abs": (jnp.abs, abs),
}
REDUCTIONS: dict[str, Callable[[Any], Any]] = {"sum": jnp.sum, "norm2": lambda v: jnp.sum(v * v)}
CONSTANTS = {"pi": math.pi}
NAMES = ", ".join([*FUNCTIONS, *REDUCTIONS])
RESERVED = frozenset({"x", "z", *FUNCTIONS, *REDUCTIONS, *CONSTANTS})
FIELD = "potential.expression"

Constant = float | tuple[float, ...]
Value = float | Array  # numbers of the text stay Python floats, so that they take the dtype of x


class Expression(eqx.Module):
    """V(x) from text such as `2*(x[0]**2 - 1)**2 + k*sum((x[1:] - x[:-1])**2)`; one point (d,) -> scalar.

    Known: numbers, `x` (all coordinates), `x[i]`, `x[a:b]`, + - * / **, sin cos exp log sqrt tanh cosh abs, `sum(v)`,
    `norm2(v)` = sum of squares, `pi`, and the names in `constants` (numbers or vectors). Arithmetic of vectors goes
    by coordinates. The text is never executed: whatever is not in this list is an InputError naming it. `variable`: the
    name of the point, "z" for the difference that an interaction takes.
    """

    text: str = eqx.field(static=True)
    dim: int = eqx.field(static=True)
    variable: str = eqx.field(static=True)
    constants: tuple[tuple[str, Constant], ...] = eqx.field(static=True)

    def __init__(self, text: str, dim: int, constants: Mapping[str, Any] | None = None, variable: str = "x"):
        self.text, self.dim, self.variable = text, integer("dim", dim), variable
        self.constants = tuple((name, _constant(name, value)) for name, value in (constants or {}).items())
        tree = _parse(text)
        result = jax.eval_shape(self, jnp.zeros(self.dim))
        if not any(isinstance(node, ast.Name) and node.id == variable for node in ast.walk(tree)):
            raise InputError(FIELD, text, f"an expression that depends on {variable}")
        if result.shape != ():
            given = f"{text} (a vector of length {result.shape[0]})"
            raise InputError(FIELD, given, f"one number: take coordinates as {variable}[0], or sum(...) over them")

    def __call__(self, x: Float[Array, " d"]) -> Float[Array, "..."]:
        # Walked while jax traces, once for each compilation; the compiled code holds the arithmetic only.
        return jnp.asarray(
            _Walk(self.text, x, dict(self.constants), self.variable).value(_parse(self.text)), dtype=x.dtype
        )


@lru_cache(maxsize=64)
def _parse(text: str) -> ast.expr:
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_CHARACTERS:
        raise InputError(FIELD, text, f"an expression in x of at most {MAX_CHARACTERS} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        where = f" at character {error.offset}" if error.offset else ""
        raise InputError(FIELD, text, f"an expression in x; {error.msg}{where}") from None
    except (ValueError, RecursionError, MemoryError):  # zero bytes, numbers of thousands of digits, deep nesting
        raise InputError(FIELD, text, "an expression in x that Python can read") from None
    if _depth(tree) > MAX_DEPTH:
        raise InputError(FIELD, text, f"an expression nested at most {MAX_DEPTH} deep")
    return tree


def _depth(tree: ast.AST) -> int:
    """Nesting of the tree, without recursion: the text may be hostile."""
    level, depth = [tree], 0
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth


def _constant(name: str, value: Any) -> Constant:
    field = f"constants.{name}"
    if not name.isidentifier() or name in RESERVED:
        raise InputError(field, name, f"a name that is not one of {', '.join(sorted(RESERVED))}")
    entries = value if isinstance(value, list | tuple) else [value]
    for entry in entries:
        if isinstance(entry, bool) or not isinstance(entry, int | float) or not _is_finite(entry):
            raise InputError(field, value, "a finite number, or a list of them")
    if not entries:
        raise InputError(field, value, "a finite number, or a list of them")
    return tuple(map(float, entries)) if isinstance(value, list | tuple) else float(value)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond the range of floats
        return False


class _Walk:
    """Evaluates a parsed expression at x; a node type without a method here is not part of the language."""

    def __init__(self, text: str, x: Array, constants: dict[str, Constant], variable: str):
        self.text, self.x = text, x
        self.names: dict[str, Value] = {variable: x, **CONSTANTS}
        for name, value in constants.items():
            self.names[name] = jnp.asarray(value, dtype=x.dtype) if isinstance(value, tuple) else value

    def value(self, node: ast.AST) -> Value:
        visit = getattr(self, f"_{type(node).__name__}", None)
        if visit is None:
            self._refuse(node, "numbers, x[i], + - * / **, functions and constants")
        return visit(node)

    def _refuse(self, node: ast.AST, allowed: str) -> NoReturn:
        piece = ast.get_source_segment(self.text.strip(), node) or self.text
        raise InputError(FIELD, piece, allowed) from None

    def _Constant(self, node: ast.Constant) -> float:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float) or not _is_finite(node.value):
            self._refuse(node, "finite numbers")
        return float(node.value)  # pyright: ignore[reportArgumentType]

    def _Name(self, node: ast.Name) -> Value:
        if node.id not in self.names:
            self._refuse(node, f"{', '.join(self.names)} (others go under [constants]) and the functions {NAMES}")
        return self.names[node.id]

    def _UnaryOp(self, node: ast.UnaryOp) -> Value:
        if not isinstance(node.op, ast.USub | ast.UAdd):
            self._refuse(node, "the signs + and -")
        value = self.value(node.operand)
        return -value if isinstance(node.op, ast.USub) else value

    def _BinOp(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        if _length(left) and _length(right) and _length(left) != _length(right):
            self._refuse(node, f"vectors of the same length; these have {_length(left)} and {_length(right)}")
        try:
            result = self._arithmetic(node, left, right)
        except ArithmeticError as error:
            self._refuse(node, f"finite numbers ({error})")
        if isinstance(result, complex) or (isinstance(result, float) and not math.isfinite(result)):
            self._refuse(node, "arithmetic whose result is a finite real number")
        return result

    def _arithmetic(self, node: ast.BinOp, left: Any, right: Any) -> Any:
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.Div():
                return left / right
            case ast.Pow():
                exact = isinstance(right, float) and right.is_integer() and abs(right) <= MAX_EXACT_POWER
                return left ** (int(right) if exact else right)
            case ast.BitXor():
                self._refuse(node, "** for powers; ^ is not one")
        self._refuse(node, "the operators + - * / **")

    def _Call(self, node: ast.Call) -> Value:
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name not in FUNCTIONS and name not in REDUCTIONS:
            self._refuse(node.func, f"the functions {NAMES}, without a module before them")
        if len(node.args) != 1 or node.keywords:
            self._refuse(node, f"one argument, {name}(...)")
        argument = self.value(node.args[0])
        if name in REDUCTIONS:
            if not _length(argument):
                self._refuse(node, f"a vector in {name}(...), such as x or x[1:]")
            return REDUCTIONS[name](argument)
        traced, plain = FUNCTIONS[name or ""]
        if not isinstance(argument, float):
            return traced(argument)
        try:
            return float(plain(argument))
        except (ValueError, ArithmeticError) as error:
            self._refuse(node, f"an argument where {name} is finite ({error})")

    def _Subscript(self, node: ast.Subscript) -> Value:
        vector = self.value(node.value)
        size = _length(vector)
        if not size:
            self._refuse(node, "indices of vectors: x[i] or a constant that is a list")
        if isinstance(node.slice, ast.Slice):
            return self._slice(node, node.slice, vector, size)
        index = self._index(node, node.slice)
        if not -size <= index < size:
            self._refuse(node, f"indices 0 to {size - 1}")
        return vector[index]  # pyright: ignore[reportIndexIssue]

    def _slice(self, node: ast.Subscript, cut: ast.Slice, vector: Value, size: int) -> Value:
        parts = [None if part is None else self._index(node, part) for part in (cut.lower, cut.upper, cut.step)]
        if parts[2] == 0 or not len(range(size)[slice(*parts)]):
            self._refuse(node, f"a range of the indices 0 to {size - 1} that is not empty")
        return vector[slice(*parts)]  # pyright: ignore[reportIndexIssue]

    def _index(self, node: ast.Subscript, index: ast.expr) -> int:
        negative = isinstance(index, ast.UnaryOp) and isinstance(index.op, ast.USub)
        number = index.operand if isinstance(index, ast.UnaryOp) and negative else index
        plain = isinstance(number, ast.Constant) and type(number.value) is int
        if not plain or abs(number.value) > 10**9:  # pyright: ignore
            self._refuse(node, "whole numbers as indices, such as x[0]")
        return -number.value if negative else number.value  # pyright: ignore


def _length(value: Any) -> int:
    """Number of coordinates of a vector, 0 for a number."""
    return int(value.shape[0]) if getattr(value, "shape", ()) else 0
