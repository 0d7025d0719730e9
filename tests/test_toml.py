"""Problem files: what they may say, and one line for everything that they may not."""

import math
import string

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import genwgp as gw
from genwgp import Gaussian, Mixture, problems
from genwgp.errors import InputError
from genwgp.io import Expression, read_problem

TEXT = """
[potential]
expression = "2*(x[0]**2 - 1)**2 + x[0]/2 + (x[1] - k*x[0]**2)**2"
[constants]
k = 0.5
[entropy]
diffusion = 1.0
[initial]
kind = "gaussian"
mean = [0.0, 1.5]
covariance = 0.09
[solve]
layers = 9
seed = 3
action = "finite-horizon"
horizon = 2
method = "adam"
"""
MIXTURE = """
potential.expression = "norm2(x) / 2"
entropy.diffusion = 1
[initial]
kind = "mixture"
weights = [0.5, 0.3, 0.2]
means = [[-1, -1], [-1, 1], [1, 1]]
covariances = 0.01
"""


def complaint(text: str, **overrides) -> str:
    with pytest.raises(InputError) as caught:
        read_problem(text, {name.replace("__", "."): value for name, value in overrides.items()})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def built(make):
    """What `make` makes, or None after an InputError of one line."""
    error = None
    try:
        return make()
    except InputError as caught:
        error = caught
    assert "\n" not in str(error)
    return None


def test_a_file_is_the_gallery_problem_that_it_writes_out():
    parsed, known = read_problem(TEXT, name="mine"), problems.get("tilted-double-well")
    x = known.initial.sample(jax.random.key(1), 20)
    np.testing.assert_allclose(
        parsed.problem.energy.per_particle(x, parsed.problem.initial.log_prob(x)),
        known.energy.per_particle(x, known.initial.log_prob(x)),
        rtol=1e-13,
    )
    assert parsed.problem.name == "mine"
    assert parsed.problem.reference is not None
    assert parsed.problem.reference.equilibrium_free_energy == pytest.approx(-1.0201429948231873, rel=1e-10)
    assert parsed.solve.model_dump() == {
        "layers": 9,
        "seed": 3,
        "action": "finite-horizon",
        "horizon": 2.0,
        "method": "adam",
    }


def test_a_mixture_and_matrices():
    start = read_problem(MIXTURE).problem.initial
    assert isinstance(start, Mixture)
    np.testing.assert_array_equal(start.means, [[-1, -1], [-1, 1], [1, 1]])
    matrix = read_problem(TEXT, {"initial.covariance": [[0.1, 0.02], [0.02, 0.2]]}).problem.initial
    assert isinstance(matrix, Gaussian)
    np.testing.assert_array_equal(matrix.covariance, [[0.1, 0.02], [0.02, 0.2]])


def test_one_dimension_needs_no_lists():
    initial = 'initial = {kind = "gaussian", mean = 0, covariance = 1}'
    text = f'potential.expression = "x[0]**4"\nentropy.diffusion = 1\n{initial}'
    assert read_problem(text).problem.dim == 1


def test_the_gallery_from_a_file():
    same = read_problem('[potential]\ngallery = "gaussian-mixture"\nparameters = {separation = 6}').problem
    assert same.reference is not None
    other = read_problem('[potential]\ngallery = "gaussian-mixture"\n[entropy]\ndiffusion = 0.5').problem
    assert other.reference is not None
    known = problems.get("gaussian-mixture", diffusion=0.5).reference
    assert known is not None
    assert other.reference.log_normaliser == pytest.approx(known.log_normaliser, rel=1e-12)
    assert other.energy.diffusion == 0.5
    x = jnp.array([1.0, 2.0])
    expected = problems.get("gaussian-mixture", separation=6).energy.potential
    assert expected is not None
    assert same.energy.potential is not None
    assert same.energy.potential(x) == expected(x)


@pytest.mark.parametrize(
    ("old", "new", "field", "hint"),
    [
        ("expression", "expresion", "potential.expresion", "did you mean expression?"),
        ("[solve]", "[sove]", "sove", "did you mean solve?"),
        ("layers = 9", "layer = 9", "solve.layer", "did you mean layers?"),
        ("covariance =", "covarience =", "initial.covarience", "did you mean covariance?"),
        ("layers = 9", "layers = 0", "solve.layers", "greater than 0"),
        ("layers = 9", "layers = 9.5", "solve.layers", "integer"),
        ("seed = 3", "seed = -1", "solve.seed", "greater than or equal to 0"),
        ("horizon = 2", "horizon = inf", "solve.horizon", "finite"),
        ('"adam"', '"adams"', "solve.method", "'sweep' or 'adam'"),
        ("diffusion = 1.0", "diffusion = -1.0", "entropy.diffusion", "greater than 0"),
        ("diffusion = 1.0", 'diffusion = "1"', "entropy.diffusion", "number"),
        ("diffusion = 1.0", "", "entropy.diffusion", "[entropy] with diffusion"),
        ("[entropy]\ndiffusion = 1.0", "", "entropy", "[entropy] with diffusion"),
        ('kind = "gaussian"', 'kind = "gauss"', "initial.kind", "'gaussian', 'mixture' or 'samples'"),
        ('kind = "gaussian"', 'kind = "mixture"', "initial.mean", "weights, means, covariances"),
        ("mean = [0.0, 1.5]", "", "initial.mean", "mean, covariance"),
        ("[0.0, 1.5]", '[0.0, "a"]', "initial.mean", "finite numbers"),
        ("[0.0, 1.5]", "[0.0, nan]", "initial.mean", "finite numbers"),
        ("0.09", "-0.09", "initial.covariance", "above 0"),
        ("0.09", "[[1, 2], [2, 1]]", "initial.covariance", "positive definite"),
        ("k = 0.5", "k = true", "constants.k", "number"),
        ("k = 0.5", "x = 0.5", "constants.x", "a name that is not one of"),
        ("k = 0.5", "k = []", "constants.k", "a finite number"),
        ("k = 0.5", "", "potential.expression", "[constants]"),
        ("2*(x[0]**2 - 1)**2 +", "log(x[0] - 9) +", "potential", "finite values"),
    ],
)
def test_mistakes_are_named(old, new, field, hint):
    assert TEXT.count(old) >= 1
    text = complaint(TEXT.replace(old, new, 1))
    assert text.startswith(f"{field}: got ")
    assert hint in text


def test_mistakes_of_the_whole_file():
    assert "valid TOML" in complaint("potential =")
    assert "line 3" in complaint("a = 1\nb = 2\nc = = 3")
    assert complaint("").startswith("potential: got nothing")
    assert "one of expression and gallery" in complaint("[potential]")
    assert "use potential.parameters" in complaint('potential.gallery = "banana"\nconstants.k = 1')
    assert "tilted-double-well" in complaint('potential.gallery = "tilted"')
    assert "potential.parameters" in complaint('potential = {gallery = "banana", parameters = {k = 1}}')
    assert "use [constants]" in complaint(TEXT.replace("[constants]", "[potential.parameters]"))
    assert "nested so deeply" in complaint("a = " + "[" * 5000)
    assert "entropy is not a table" in complaint("entropy = 3", entropy__diffusion=1.0)


def test_overrides_replace_single_fields():
    parsed = read_problem(TEXT, {"entropy.diffusion": 0.25, "constants.k": 1.0, "solve.layers": 2})
    assert parsed.problem.energy.diffusion == 0.25
    assert parsed.solve.layers == 2
    assert "did you mean entropy?" in complaint(TEXT, entropi__diffusion=1.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x[0] + 2*x[1]**2 - 3/x[2]", lambda x: x[0] + 2 * x[1] ** 2 - 3 / x[2]),
        ("-x[0]**2 + (+x[1])", lambda x: -(x[0] ** 2) + x[1]),
        ("x[-1] + 2**-1 + 1e-3*x[0]", lambda x: x[2] + 0.5 + 1e-3 * x[0]),
        ("sum(x) + norm2(x - b)", lambda x: x.sum() + ((x - np.array([1.0, 2, 3])) ** 2).sum()),
        ("sum((x[1:] - x[:-1])**2) + b[1]*x[0]", lambda x: ((x[1:] - x[:-1]) ** 2).sum() + 2 * x[0]),
        (
            "sin(x[0])*cos(x[1]) + exp(-x[2]) + tanh(x[0])",
            lambda x: np.sin(x[0]) * np.cos(x[1]) + np.exp(-x[2]) + np.tanh(x[0]),
        ),
        (
            "log(cosh(x[0])) + sqrt(1 + x[1]**2) + abs(x[2])",
            lambda x: np.log(np.cosh(x[0])) + np.hypot(1, x[1]) + abs(x[2]),
        ),
        ("pi*x[0] + sin(pi/2) + k", lambda x: np.pi * x[0] + 1.5),
        ("x[0]**0.5 + 2**x[1] + x[0]**x[1]", lambda x: x[0] ** 0.5 + 2 ** x[1] + x[0] ** x[1]),
        ("norm2(x[::2])", lambda x: x[0] ** 2 + x[2] ** 2),
    ],
)
def test_expressions_mean_what_they_say(text, expected):
    x = np.array([0.7, 1.3, 2.1])
    value = Expression(text, 3, {"b": [1, 2, 3], "k": 0.5})(jnp.asarray(x))
    np.testing.assert_allclose(value, expected(x), rtol=1e-14)


def test_whole_powers_have_derivatives_at_zero():
    potential = Expression("x[0]**4 - x[0]**2 + x[0]**3", 1)
    derivative = jax.grad(jax.grad(jax.grad(jax.grad(lambda a: potential(jnp.array([a]).astype(float).at[0].set(a))))))
    assert derivative(0.0) == 24.0


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x[2]", "indices 0 to 1"),
        ("x[-3]", "indices 0 to 1"),
        ("x[0.5]", "whole numbers"),
        ("x[x[0]]", "whole numbers"),
        ("x[2:]", "not empty"),
        ("x[::0]", "not empty"),
        ("x", "a vector of length 2"),
        ("x + b", "these have 2 and 3"),
        ("x[0] + y", "[constants]"),
        ("x[0]^2", "** for powers"),
        ("x[0] // 2", "operators"),
        ("x[0] if x[1] else 1", "numbers, x[i]"),
        ("x[0] < 1", "numbers, x[i]"),
        ("np.sin(x[0])", "without a module"),
        ("__import__('os').system('true') + x[0]", "without a module"),
        ("(lambda: x[0])()", "without a module"),
        ("x.shape[0] + x[0]", "numbers, x[i]"),
        ("[x[0] for i in x]", "numbers, x[i]"),
        ("sin(x[0], x[1])", "one argument"),
        ("sin(a=x[0])", "one argument"),
        ("sum(x[0])", "a vector in sum"),
        ("x[0][0]", "indices of vectors"),
        ("sin + x[0]", "functions"),
        ("x[0] + True", "finite numbers"),
        ("x[0] + 1j", "finite numbers"),
        ("x[0] + 'a'", "finite numbers"),
        ("x[0] + 1/0", "finite numbers"),
        ("x[0] + 9**9**9**9", "finite"),
        ("x[0] + (-8)**0.5", "real"),
        ("x[0] + log(-1)", "where log is finite"),
        ("x[0] + exp(1000)", "where exp is finite"),
        ("x[0] + 1e400", "finite numbers"),
        ("x[0] + " + "9" * 400, "finite numbers"),
        ("x[0] + " + "9" * 5000, "an expression in x"),
        ("x[0] +", "invalid syntax"),
        ("1 + 2", "depends on x"),
        ("", "an expression in x"),
        ("x[0]\0", "an expression in x"),
        ("(" * 300 + "x[0]" + ")" * 300, "an expression in x"),
        ("-" * 9000 + "x[0]", "expression"),
        ("x[0]" + "+x[0]" * 150, "nested"),
        ("x[0]" + " " * 20_000, "at most"),
    ],
)
def test_expressions_outside_the_language_are_refused(text, hint):
    with pytest.raises(InputError, match=r"potential\.expression: got ") as caught:
        Expression(text, 2, {"b": [1, 2, 3]})
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


WORDS = [
    "x",
    "x[0]",
    "x[1]",
    "(",
    ")",
    "+",
    "-",
    "*",
    "/",
    "**",
    "sin",
    "sum",
    "norm2",
    "1",
    "0",
    "2.5",
    "1e308",
    "k",
    ",",
]
PIECES = st.lists(st.sampled_from([*WORDS, "[", "]", ":", "if", "lambda", ".", "^", "'", "\\", " "]), max_size=12)


@settings(max_examples=200)
@given(st.one_of(PIECES.map("".join), PIECES.map(" ".join), st.text(max_size=30)))
def test_any_text_is_an_expression_or_an_input_error(text):
    potential = built(lambda: Expression(text, 2, {"k": 2}))
    assert potential is None or jax.eval_shape(potential, jnp.zeros(2)).shape == ()


VALUES = st.recursive(
    st.one_of(
        st.integers(), st.floats().map(repr), st.booleans().map(lambda b: str(b).lower()), st.just('"gaussian"')
    ).map(str),
    lambda inner: st.lists(inner, max_size=3).map(lambda values: f"[{', '.join(values)}]"),
    max_leaves=5,
)
LINES = st.tuples(st.sampled_from([line.partition(" = ")[0] for line in TEXT.splitlines() if " = " in line]), VALUES)


@settings(max_examples=60)
@given(st.lists(LINES, max_size=3), st.text(string.printable, max_size=20))
def test_any_file_is_a_problem_or_an_input_error(replaced, rest):
    lines = dict(replaced)
    names = [line.partition(" = ")[0] for line in TEXT.splitlines()]
    kept = [f"{n} = {lines[n]}" if n in lines else line for n, line in zip(names, TEXT.splitlines(), strict=True)]
    parsed = built(lambda: read_problem("\n".join(kept) + "\n" + rest))
    assert parsed is None or math.isfinite(parsed.problem.energy.diffusion)


MEAN_FIELD = """
[potential]
expression = "norm2(x) / 2"
[interaction]
%s
[internal]
kind = "porous-medium"
m = 2.0
diffusion = 0.5
[initial]
kind = "gaussian"
mean = [1.0, 0.0]
covariance = 0.25
[constants]
c = 2.0
"""


@pytest.mark.parametrize(
    ("section", "kernel"),
    [
        ('kind = "quadratic"\nstrength = 2.0', lambda z: z @ z),
        ('expression = "c * norm2(z) / 2"', lambda z: z @ z),
        ('kind = "gaussian"\nlength = 0.5', gw.GaussianInteraction(length=0.5)),
        ('kind = "newtonian"\nepsilon = 0.1', gw.NewtonianInteraction(2, epsilon=0.1)),
    ],
)
def test_interactions_and_internal_energies(section, kernel):
    problem = read_problem(MEAN_FIELD % section).problem
    known = gw.FreeEnergy(lambda x: x @ x / 2, gw.PorousMedium(2.0, 0.5), kernel)
    x = problem.initial.sample(jax.random.key(0), 16)
    log_density, score = problem.initial.log_prob(x), problem.initial.score(x)
    np.testing.assert_allclose(problem.energy.value(x, log_density), known.value(x, log_density), rtol=1e-6)
    found, expected = (energy.gradient(x, log_density, score) for energy in (problem.energy, known))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("strength = 1.0", "interaction"),
        ('kind = "quadratic"\nlength = 2.0', "interaction.length"),
        ('kind = "gaussian"\nlength = -1.0', "interaction.length"),
        ('kind = "coulomb"', "interaction.kind"),
        ('expression = "z[0]"', "interaction"),
        ('expression = "x[0]**2"', "interaction.expression"),
        ('expression = "norm2(z)"\nstrength = 1.0', "interaction.strength"),
        ('expression = "log(norm2(z))"', "interaction"),
        ('kind = "quadratic"\nstrenght = 1.0', "interaction.strenght"),
    ],
)
def test_interactions_that_are_refused(section, field):
    with pytest.raises(InputError) as caught:
        read_problem(MEAN_FIELD % section)
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


def test_internal_energies_that_are_refused():
    good = MEAN_FIELD % 'kind = "quadratic"'
    for old, new, field in (
        ("m = 2.0", "m = 1.0", "internal.m"),
        ("diffusion = 0.5", "diffusion = -1.0", "internal.diffusion"),
        ("porous-medium", "fast-diffusion", "internal.m"),
        ('"porous-medium"\nm = 2.0', '"fast-diffusion"\nm = 0.3', "internal.m"),
    ):
        with pytest.raises(InputError) as caught:
            read_problem(good.replace(old, new))
        assert caught.value.field == field


def test_an_energy_needs_a_part():
    with pytest.raises(InputError, match=r"^potential"):
        read_problem('[initial]\nkind = "gaussian"\nmean = [0.0]\ncovariance = 1.0')
