"""The problem file that `genwgp init` writes: it is one, and so is each of its alternatives."""

from importlib.resources import files

import jax.numpy as jnp
import numpy as np
from typer.testing import CliRunner

import genwgp as gw
from genwgp.cli.commands import app
from genwgp.io import read_problem

TEXT = files("genwgp.io").joinpath("template.toml").read_text(encoding="utf-8")


def without(text: str, *starts: str) -> str:
    """The text without the lines that begin so."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(starts))


def with_alternatives(text: str, *starts: str) -> str:
    """The text with the # taken from the lines that begin so after it."""
    for start in starts:
        assert f"# {start}" in text
        text = text.replace(f"# {start}", start)
    return text


def test_it_is_the_cold_double_well_of_the_gallery():
    found, chosen, _ = read_problem(TEXT)
    well = gw.problems.get("tilted-double-well", diffusion=0.5)
    x = jnp.asarray(found.initial.quasi_sample(0, 64))
    values = [np.array([float(p.energy.potential(y)) for y in x]) for p in (found, well)]  # pyright: ignore
    np.testing.assert_allclose(*values, rtol=1e-6)
    assert found.energy.diffusion == 0.5
    np.testing.assert_allclose(found.initial.log_prob(x), well.initial.log_prob(x), rtol=1e-6)
    assert (chosen.layers, chosen.seed, chosen.action, chosen.method) == (12, 0, "geometric", "sweep")


def test_its_alternatives_are_right_too(tmp_path):
    gallery = with_alternatives(without(TEXT, "expression", "[constants]", "h =", "k ="), "gallery =", "parameters =")
    assert read_problem(gallery).problem.energy.diffusion == 0.5
    kernel = with_alternatives(TEXT, "[interaction]", 'kind = "gaussian"\n', "strength =", "length =")
    assert isinstance(read_problem(kernel).problem.energy.interaction, gw.GaussianInteraction)
    own = with_alternatives(TEXT, "[interaction]", 'expression = "-exp')
    assert float(read_problem(own).problem.energy.interaction(jnp.zeros(2))) == -1  # pyright: ignore
    porous = with_alternatives(TEXT, "[internal]", 'kind = "porous', "m =", "diffusion = 1.0")
    assert isinstance(read_problem(porous).problem.energy.internal, gw.InternalSum)
    start = without(TEXT, 'kind = "gaussian"', "mean =", "covariance =")
    mixture = with_alternatives(start, 'kind = "mixture"', "weights =", "means =", "covariances =")
    assert isinstance(read_problem(mixture).problem.initial, gw.Mixture)
    np.savetxt(tmp_path / "data.csv", np.random.default_rng(0).normal(size=(400, 2)), delimiter=",")
    samples = with_alternatives(start, 'kind = "samples"', "file =")
    assert read_problem(samples, folder=tmp_path).problem.dim == 2
    horizon = with_alternatives(TEXT, "horizon =").replace('"geometric"', '"finite-horizon"')
    assert read_problem(horizon).solve.horizon == 2.0


def test_init_writes_it_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(app, ["init"])
    assert outcome.exit_code == 0
    assert "genwgp solve problem.toml" in outcome.stdout
    assert (tmp_path / "problem.toml").read_text(encoding="utf-8") == TEXT
    for name, said in (("problem.toml", "does not exist yet"), ("mine.txt", ".toml"), ("no/where.toml", "be written")):
        refused = CliRunner().invoke(app, ["init", name])
        assert refused.exit_code == 2
        assert said in refused.stderr
        assert "\n" not in refused.stderr.strip()
