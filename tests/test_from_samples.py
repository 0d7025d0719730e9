"""Starts from data: known densities are found again, fits say how good they are, bad data is refused in one line."""

import builtins
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw
from genwgp.cli.given import problem_of
from genwgp.cli.solve import _note_on_start
from genwgp.cli.table import summary_table
from genwgp.diagnostics.distances import kl_divergence
from genwgp.errors import InputError
from genwgp.initial import FittedGaussian, FittedMixture
from genwgp.initial.data import read_samples
from genwgp.initial.fitted import FitQuality
from genwgp.io import read_problem, summary
from genwgp.io.plain import decode, encode
from genwgp.io.sources import check_fingerprint, fingerprint, problem_from_source

THREE = gw.Mixture(
    [0.5, 0.3, 0.2],
    [[0.0, 0.0], [2.0, 1.0], [1.0, -1.5]],
    [[[1.0, 0.8], [0.8, 0.8]], [[0.25, -0.15], [-0.15, 0.34]], 0.09 * np.eye(2)],
)
LINE = gw.Mixture([0.3, 0.7], [[-2.0], [0.5]], [0.09, 0.49])
TILTED = gw.Gaussian([3.0, -1.0, 0.0], [[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]])
SAMPLES = {n: np.asarray(THREE.sample(jax.random.key(1), n)) for n in (400, 4000)}


@pytest.fixture(scope="module")
def fitted():
    start = gw.from_samples(SAMPLES[4000])
    assert isinstance(start, FittedMixture)
    return start


@pytest.mark.parametrize(("rho", "n"), [(THREE, 4000), (LINE, 2000), (TILTED, 1000)], ids=["three", "line", "tilted"])
def test_a_known_density_is_found_again(rho, n):
    """KL of a fit of p parameters is about p / (2 n), here 0.0021, 0.0013 and 0.0045; three times that will do."""
    start = gw.from_samples(rho.sample(jax.random.key(1), n))
    x = rho.sample(jax.random.key(2), 20_000)
    kl = kl_divergence(rho.log_prob, start.log_prob, x)
    parameters = {2: 17, 1: 5, 3: 9}[rho.dim]
    assert -3 * kl.error < kl.value < 3 * parameters / (2 * n) + 3 * kl.error
    assert start.quality.components == (1 if isinstance(rho, gw.Gaussian) else len(rho.weights))
    assert not start.quality.tells_apart


def test_components_are_those_of_the_mixture(fitted):
    order = np.argsort(-np.asarray(fitted.weights))
    np.testing.assert_allclose(fitted.weights[order], THREE.weights, atol=0.04)
    np.testing.assert_allclose(fitted.means[order], THREE.means, atol=0.1)
    np.testing.assert_allclose(fitted.covariances[order], THREE.covariances, atol=0.12)


def test_the_figures_of_a_mixture(fitted):
    quality = fitted.quality
    assert (quality.samples, quality.held_out, quality.components) == (4000, 800, 3)
    # The entropy of the mixture, by its own samples.
    entropy = -float(np.mean(np.asarray(THREE.log_prob(THREE.sample(jax.random.key(3), 20_000)))))
    assert quality.log_likelihood == pytest.approx(-entropy, abs=3 * quality.standard_error)
    assert quality.log_likelihood > quality.single_gaussian + 0.4
    assert 0.02 < quality.standard_error < 0.06
    assert 0 < quality.distance < quality.noise_most
    assert 0 < quality.noise_floor < quality.noise_most
    assert str(quality).startswith("3 Gaussians fitted to 4000 samples: log-likelihood -2.")


def test_one_gaussian_has_the_moments_of_the_samples():
    x = np.asarray(TILTED.sample(jax.random.key(4), 1000))
    start = gw.from_samples(x)
    assert isinstance(start, FittedGaussian)
    assert isinstance(start, gw.Gaussian)
    np.testing.assert_allclose(start.mean, x.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(start.covariance, np.cov(x, rowvar=False), rtol=2e-3, atol=1e-5)
    assert start.quality.log_likelihood == start.quality.single_gaussian
    assert str(start.quality).startswith("one Gaussian fitted to 1000 samples: ")


@pytest.mark.parametrize("seed", [0, 2])
def test_few_samples_of_anything_are_not_fitted_worse_than_by_one_gaussian(seed):
    rng = np.random.default_rng(seed)
    for x in (rng.normal(size=50), rng.uniform(size=(60, 2)), rng.standard_t(2, size=(120, 3))):
        quality = gw.from_samples(x).quality
        assert quality.log_likelihood >= quality.single_gaussian


def test_the_same_samples_give_the_same_fit_and_units_do_not_matter(fitted):
    again = gw.from_samples(SAMPLES[4000])
    assert isinstance(again, FittedMixture)
    np.testing.assert_array_equal(again.covariances, fitted.covariances)
    assert again.quality == fitted.quality
    scaled = gw.from_samples(SAMPLES[4000] * np.array([1e-3, 1e4]) + 7.0)
    assert isinstance(scaled, FittedMixture)
    np.testing.assert_allclose(scaled.weights, fitted.weights, rtol=1e-4)
    np.testing.assert_allclose(scaled.means, fitted.means * np.array([1e-3, 1e4]) + 7.0, rtol=1e-3)
    assert scaled.quality.ratio == pytest.approx(fitted.quality.ratio, rel=0.01)


def test_repeated_samples_as_of_a_markov_chain_do_not_become_spikes():
    x = np.repeat(np.asarray(TILTED.sample(jax.random.key(5), 300)), 4, axis=0)
    start = gw.from_samples(x)
    assert isinstance(start, FittedGaussian)
    assert start.quality.held_out == 240


def test_outliers_do_not_become_spikes():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(500, 2)), [[30.0, 0.0], [0.0, -40.0]]])
    start = gw.from_samples(x)
    covariances = start.covariances if isinstance(start, gw.Mixture) else start.covariance
    assert np.linalg.eigvalsh(covariances).min() > 0.1


def test_a_fit_that_is_none_says_so(capsys):
    """Samples of a Gaussian against a fit of another one: what the figures are for."""
    poor = FitQuality(1000, 200, 1, -4.0, 0.1, -4.0, 0.3, 0.1, 0.2)
    assert poor.tells_apart
    assert poor.ratio == pytest.approx(3.0)
    _note_on_start(FittedGaussian([0.0], 1.0, poor))
    assert capsys.readouterr().err.startswith("genwgp: note: the start does not fit its samples well: one Gaussian")
    _note_on_start(FittedGaussian([0.0], 1.0, poor._replace(distance=0.1)))
    _note_on_start(gw.Gaussian([0.0], 1.0))
    assert capsys.readouterr().err == ""


def test_what_a_density_offers(fitted):
    assert isinstance(fitted, gw.Mixture)
    assert type(fitted.widened(1.5)) is gw.Mixture
    x = fitted.sample(jax.random.key(0), 5)
    for values in (fitted.log_prob(x), fitted.score(x)):
        assert np.all(np.isfinite(values))


@pytest.mark.parametrize("given", [SAMPLES[400], jnp.asarray(SAMPLES[400]), SAMPLES[400].tolist()])
def test_arrays_of_other_libraries(given):
    x = read_samples(given).x
    assert x.flags.c_contiguous
    np.testing.assert_array_equal(x, SAMPLES[400])


def test_single_precision():
    with jax.enable_x64(False):
        start = gw.from_samples(SAMPLES[400].astype(np.float32))
        assert start.log_prob(SAMPLES[400][:3]).dtype == jnp.float32
    assert start.quality.log_likelihood == pytest.approx(gw.from_samples(SAMPLES[400]).quality.log_likelihood, abs=1e-5)


def test_files_give_what_their_arrays_give(tmp_path):
    x = SAMPLES[400]
    lines = [",".join(map(repr, row)) for row in x.tolist()]
    texts = {
        "plain.csv": "\n".join(lines),
        "header.csv": "\ufeffx0, x1\r\n" + "\r\n".join(lines) + "\r\n",
        "savetxt.csv": "# x0,x1\n\n" + "\n".join(lines) + "\n\n",
        "sampled.csv": "x0,x1,log_density,weight\n" + "\n".join(f"{line},-1.5,0.01" for line in lines),
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode())
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "one.npz", anything=x)
    np.savez_compressed(tmp_path / "x.npz", x=x, log_density=x[:, 0])
    for file in tmp_path.iterdir():
        np.testing.assert_array_equal(read_samples(str(file) if file.name == "x.npy" else file).x, x)
    (tmp_path / "line.csv").write_text("y\n" + "\n".join(map(str, x[:, 0])))
    np.testing.assert_array_equal(gw.from_samples(tmp_path / "line.csv").mean, gw.from_samples(x[:, 0]).mean)
    np.testing.assert_array_equal(gw.from_samples(tmp_path / "x.npz").mean, gw.from_samples(x).mean)


def with_entries(*entries):
    x = np.random.default_rng(0).normal(size=(100, 2))
    for row, column, value in entries:
        x[row, column] = value
    return x


NORMAL = with_entries()
REFUSED = {
    "NaN": (with_entries((17, 1, np.nan)), "nan in row 17, column 1;", "count from 0"),
    "infinite": (
        with_entries((3, 0, np.inf), (9, 0, -np.inf)),
        "inf in row 3, column 0, and more in 1 other",
        "finite",
    ),
    "few": (NORMAL[:49], "49 samples", "at least 50 different samples"),
    "few for the dimension": (np.random.default_rng(0).normal(size=(60, 6)), "60 samples", "at least 70 different"),
    "transposed": (NORMAL.T, "2 samples", "at least 1010 different samples, one a row, in 100 dimensions"),
    "few different": (np.arange(100) % 20, "100 samples, 20 of them different", "at least 50 different"),
    "constant": (np.c_[NORMAL, np.full(100, 0.1)], "column 2 is constant", "leave this one out"),
    "constant up to rounding": (np.c_[1e9 + 1e-6 * NORMAL[:, 0], NORMAL], "column 0 is constant", "vary"),
    "collinear": (
        np.c_[NORMAL, NORMAL @ [2.0, -1.0]],
        "column 2 is a linear combination of others",
        "without this one",
    ),
    "huge": (1e200 * NORMAL, "column 0 ranges over ", "change its unit"),
    "overflow": (NORMAL * [1.0, 1.7e308 / np.abs(NORMAL[:, 1]).max()], "column 1 ranges over inf", "change its unit"),
    "tiny": (1e-200 * NORMAL, "column 0 ranges over ", "change its unit"),
    "sizes": (NORMAL * [1e9, 1e-9], "standard deviations 9.7e+08, 9.4e-10", "similar sizes"),
    "a number": (1.0, "shape ()", "(n, d) or (n,)"),
    "three axes": (np.zeros((100, 2, 2)), "shape (100, 2, 2)", "(n, d) or (n,)"),
    "empty": (np.zeros((0, 2)), "shape (0, 2)", "(n, d) or (n,)"),
    "no columns": (np.zeros((100, 0)), "shape (100, 0)", "(n, d) or (n,)"),
    "ragged": ([[1.0], [1.0, 2.0]], "[[1.0], [1.0, 2.0]]", "(n, d) or (n,)"),
    "text": (["a"] * 100, "an array of <U1", "numbers of shape"),
    "complex": (NORMAL * 1j, "an array of complex128", "numbers of shape"),
    "nothing": (None, "an array of object", "numbers of shape"),
}


def refusal(given):
    with pytest.raises(InputError) as caught:
        gw.from_samples(given)
    assert caught.value.field == "from_samples.x"
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    given, start, allowed = REFUSED[name]
    text = refusal(given)
    assert text.startswith(f"from_samples.x: got {start}")
    assert allowed in text


def test_traced_samples_are_refused():
    with pytest.raises(InputError, match=r"^from_samples\.x: got \w*Tracer"):
        jax.jit(lambda x: gw.from_samples(x).mean)(NORMAL)


NUMBERS = "".join(f"{a},{b}\n" for a, b in NORMAL.tolist())
FILES = {
    "text.csv": ("x,y\n" + NUMBERS + "1.0,abc\n", "text.csv line 102: 'abc'"),
    "two headers.csv": ("x,y\nlength,length\n" + NUMBERS, "two headers.csv line 2: 'length'"),
    "mixed.csv": ("1.0,abc\n" + NUMBERS, "mixed.csv line 1: 'abc'"),
    "ragged.csv": (NUMBERS + "\n1.0,2.0,3.0\n", "ragged.csv line 102: 3 numbers instead of 2"),
    "missing.csv": (NUMBERS + "1.0,\n", "missing.csv line 101: ''"),
    "semicolons.csv": ("x;y\n" + NUMBERS.replace(",", ";"), "semicolons.csv line 2: "),
    "names.csv": ("x,y,z\n" + NUMBERS, "names.csv: 3 names above 2 columns"),
    "not.csv": ("x,y\n" + NUMBERS + "nan,1.0\n", "not.csv: nan in row 100, column 0 (x)"),
    "constant.csv": ("x,t\n" + "".join(f"{a},1\n" for a in NORMAL[:, 0]), "constant.csv: column 1 (t) is constant"),
    "few.csv": ("1,2\n3,4\n", "few.csv: 2 samples"),
    "header.csv": ("x,y\n", "header.csv without numbers"),
    "empty.csv": ("", "empty.csv without numbers"),
    "latin.csv": (b"gr\xf6\xdfe\n1.0\n", "latin.csv: bytes that are not UTF-8"),
    "text.npy": (b"1.0, 2.0", "{folder}"),
    "broken.npz": (b"PK\x03\x04 and nothing", "{folder}"),
    "data.txt": (NUMBERS, "{folder}"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_refused(name, tmp_path):
    content, start = FILES[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    text = refusal(tmp_path / name)
    assert text.startswith("from_samples.x: got " + start.format(folder=str(tmp_path)[:60]))


def test_archives_and_missing_files(tmp_path):
    np.savez(tmp_path / "two.npz", a=NORMAL, b=NORMAL)
    assert "two.npz with arrays a, b; allowed: one array, or one that is called x" in refusal(tmp_path / "two.npz")
    np.savez(tmp_path / "none.npz")
    assert "none.npz without arrays" in refusal(tmp_path / "none.npz")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert "that can be read (ValueError: " in refusal(tmp_path / "objects.npy")
    assert "a .csv file that can be read (No such file or directory)" in refusal(tmp_path / "nothing.csv")
    (tmp_path / "folder.csv").mkdir()
    assert "that can be read (Is a directory)" in refusal(tmp_path / "folder.csv")
    assert "null" in refusal("zero\0.csv")


def test_without_scikit_learn(monkeypatch):
    original = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"no package scikit-learn.*pip install 'genwgp\[data\]'"):
        gw.from_samples(NORMAL)


TOML = """
potential.expression = "2*(x[0]**2 - 1)**2 + x[1]**2"
entropy.diffusion = 1.0
[initial]
kind = "samples"
file = "data.csv"
"""


@pytest.fixture
def problem_file(tmp_path):
    np.savetxt(tmp_path / "data.csv", SAMPLES[400], delimiter=",", header="x0,x1", fmt="%.17g")
    (tmp_path / "mine.toml").write_text(TOML)
    return tmp_path / "mine.toml"


def test_a_problem_file_with_samples(problem_file):
    parsed = read_problem(TOML, folder=problem_file.parent)
    expected = gw.from_samples(SAMPLES[400])
    assert isinstance(parsed.problem.initial, FittedMixture)
    assert isinstance(expected, FittedMixture)
    np.testing.assert_array_equal(parsed.problem.initial.means, expected.means)
    assert parsed.problem.initial.quality == expected.quality
    named = read_problem(TOML, {"initial.file": str(problem_file.parent / "data.csv")})
    assert isinstance(named.problem.initial, FittedMixture)
    assert named.problem.initial.quality == expected.quality


def test_a_run_is_read_without_its_data_file(problem_file):
    given = problem_of(str(problem_file), {"entropy.diffusion": 0.5})
    problem_file.with_name("data.csv").unlink()
    again = problem_from_source(decode(encode("source", given.source)), "run")
    check_fingerprint(again, fingerprint(given.problem), "float64", "run")
    assert isinstance(again.initial, gw.Mixture)
    assert isinstance(given.problem.initial, FittedMixture)
    np.testing.assert_array_equal(again.initial.covariances, given.problem.initial.covariances)
    assert again.energy.diffusion == 0.5


def test_a_gaussian_in_a_gallery_problem_from_a_file(problem_file):
    np.save(problem_file.with_name("data.npy"), NORMAL)
    text = 'potential.gallery = "tilted-double-well"\ninitial = {kind = "samples", file = "data.npy"}'
    parsed = read_problem(text, folder=problem_file.parent)
    assert isinstance(parsed.problem.initial, FittedGaussian)
    again = read_problem(text, parsed.overrides).problem
    assert isinstance(again.initial, gw.Gaussian)
    np.testing.assert_array_equal(again.initial.covariance, parsed.problem.initial.covariance)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('file = "data.csv"', "", "initial.file: got nothing; allowed: file for samples"),
        ('file = "data.csv"', "file = 3", "initial.file: got 3; allowed: a valid string"),
        ('file = "data.csv"', 'file = ""', "initial.file: got nothing; allowed: "),
        ('file = "data.csv"', 'file = "data.csv"\nmean = 0', "initial.mean: got 0; allowed: file for samples"),
        ('file = "data.csv"', 'file = "other.csv"', "initial.file: got "),
        ('file = "data.csv"', 'fiel = "data.csv"', "initial.fiel: got data.csv; allowed: did you mean file?"),
        ('kind = "samples"', 'kind = "gaussian"', "initial.mean: got nothing; allowed: mean, covariance"),
        ("x[1]**2", "x[2]**2", "potential.expression: got "),
    ],
)
def test_mistakes_in_a_problem_file(problem_file, old, new, expected):
    with pytest.raises(InputError) as caught:
        read_problem(TOML.replace(old, new, 1), folder=problem_file.parent)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_a_problem_takes_it_and_the_summary_says_how_it_fits(fitted):
    V = lambda x: jnp.sum(x**4) / 4
    problem = gw.Problem(gw.FreeEnergy(V, gw.Entropy(1.0)), fitted)
    assert problem.initial is fitted
    curves = {"free_energy": np.array([1.0, 0.0]), "arclength": np.array([0.0, 1.0]), "layer_lengths": np.ones(1)}
    end = SimpleNamespace(free_energy=0.0, log_normaliser=0.0, effective_sample_size=1.0, pareto_k=0.1)
    path = SimpleNamespace(equilibrium=end, **curves)
    solution = SimpleNamespace(problem=problem, path=path, diagnostics={}, stats={}, result="converged", message="")
    figures = summary(solution)  # pyright: ignore[reportArgumentType]
    assert figures["start"] == fitted.quality._asdict()
    assert f"\nstart              {fitted.quality}" in summary_table(decode(encode("summary", figures)))
    solution.problem = gw.Problem(problem.energy, THREE)
    assert summary(solution)["start"] is None  # pyright: ignore[reportArgumentType]
