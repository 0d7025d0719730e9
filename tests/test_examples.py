"""The examples: the cheapest one runs, with few particles; the others make the problems that they say they do."""

import importlib.util
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genwgp as gw

FOLDER = Path(__file__).parent.parent / "examples"
NAMES = sorted(file.stem for file in FOLDER.glob("*.py"))


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_all_of_them():
    page = (FOLDER.parent / "docs" / "examples.md").read_text(encoding="utf-8")
    assert len(NAMES) == 3
    for name in NAMES:
        assert f"{{literalinclude}} ../examples/{name}.py" in page
        text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        assert f"python examples/{name}.py" in text
        assert f"Writes {name.replace('_', '-')}.png" in " ".join(text.split())
        assert len(text.splitlines()) < 75


def test_the_double_well_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    module = example("double_well")
    few = gw.Adam(steps=20, particles=64, width=4, couplings=1, points=1)
    solve = module.solve
    monkeypatch.setattr(module, "solve", lambda: solve(method=few, throw=False))
    module.main()
    assert "F falls from" in capsys.readouterr().out
    assert Path("double-well.png").read_bytes().startswith(b"\x89PNG")


def test_the_posterior_is_that_of_the_data():
    module = example("posterior")
    theta = jnp.array([0.3, 1.2])
    chance = 1 / (1 + np.exp(-(0.3 + 1.2 * np.asarray(module.DOSE))))
    bernoulli = np.where(module.RESPONSE, np.log(chance), np.log1p(-chance)).sum()
    prior = -(theta @ theta) / 8 - np.log(2 * np.pi * 4)
    assert float(module.log_joint(theta)) == pytest.approx(bernoulli + float(prior))
    start = module.laplace()
    np.testing.assert_allclose(jax.grad(module.log_joint)(start.mean), 0.0, atol=1e-10)
    assert np.linalg.eigvalsh(start.covariance).min() > 0


def test_the_transition_is_where_it_should_be():
    module = example("phase_transition")
    below, above = (module.make(module.CRITICAL + d).reference.means for d in (-0.01, 0.01))
    assert len(below) == 3
    assert len(above) == 1
    assert min(module.TEMPERATURES) < module.CRITICAL < max(module.TEMPERATURES)
