"""The pages: they build without a warning, list every public name, and show code that fits the package."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import genwgp
from genwgp.cli import app

ROOT = Path(__file__).parent.parent
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TOPICS = (
    "actions",
    "diagnostics",
    "energies",
    "errors",
    "export",
    "initial",
    "io",
    "layers",
    "path",
    "problems",
    "references",
)
TOPICS += ("report", "solvers")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """The folder of the pages, built with warnings as errors."""
    folder = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(ROOT / "docs"), str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def public_names() -> dict[str, Any]:
    """Every public name of the package and its namespaces, as autodoc may call it, with its object."""
    modules = [genwgp, *(importlib.import_module(f"genwgp.{topic}") for topic in TOPICS)]
    return {f"{module.__name__}.{name}": getattr(module, name) for module in modules for name in module.__all__}


def test_the_api_page_has_every_public_name(pages):
    shown = set(re.findall(r'id="(genwgp\.[\w.]+)"', (pages / "api.html").read_text(encoding="utf-8")))
    names = public_names()
    assert len(names) > 60
    objects = [names[name] for name in names if name in shown]
    missing = [name for name, value in names.items() if not any(value is one for one in objects)]
    assert [name for name in missing if not isinstance(names[name], type(genwgp))] == []


def test_formulas_pictures_and_sources_are_in_the_pages(pages):
    theory = (pages / "theory.html").read_text(encoding="utf-8")
    assert theory.count('class="math"><math ') > 100
    assert "$$" not in re.sub(r"<script.*?</script>", "", theory, flags=re.DOTALL)
    assert not re.findall(r'<(?:script|link)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', theory)  # nothing from elsewhere
    sources = re.findall(r"^@", (ROOT / "docs" / "references.bib").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(re.findall(r'<div class="citation"', theory)) == len(sources) > 30
    assert "{cite}" not in theory
    # A number is put behind the second of two pictures that have one name.
    assert re.search(r'src="_images/tilted-double-well\d*\.png"', (pages / "index.html").read_text(encoding="utf-8"))


def code(text: Path, *languages: str) -> str:
    """The blocks of these languages in a page, one after the other: later ones use what earlier ones import."""
    return "\n".join(
        body for language, body in BLOCK.findall(text.read_text(encoding="utf-8")) if language in languages
    )


def resolve(dotted: str) -> Any:
    """The object with this name; AttributeError or ModuleNotFoundError where there is none."""
    module, *parts = dotted.split(".")
    found = importlib.import_module(module)
    for i, part in enumerate(parts):
        if not hasattr(found, part) and isinstance(found, type(genwgp)):
            importlib.import_module(".".join([module, *parts[: i + 1]]))
        found = getattr(found, part)
        if not isinstance(found, type(genwgp) | type):
            break  # what an instance has is known only when it is made
    return found


def dotted(node: ast.AST) -> list[str]:
    """a.b.c as its parts, empty for anything else."""
    if isinstance(node, ast.Name):
        return [node.id]
    parts = dotted(node.value) if isinstance(node, ast.Attribute) else []
    return [*parts, node.attr] if parts and isinstance(node, ast.Attribute) else []


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_python_in_the_pages_names_what_exists(text):
    tree, modules = ast.parse(code(text, "python")), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name.split(".")[0]: alias for alias in node.names}
            for alias in node.names:
                resolve(alias.name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                resolve(f"{node.module}.{alias.name}")
    roots = {name: alias.name if alias.asname else name for name, alias in modules.items()} | {"gw": "genwgp"}
    for node in ast.walk(tree):
        root, *rest = dotted(node) or [""]
        if root in roots and rest:
            resolve(".".join([roots[root], *rest]))


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_names_in_the_sentences_exist(text):
    sentences = BLOCK.sub("", text.read_text(encoding="utf-8"))
    for name in re.findall(r"`(?:gw|genwgp)((?:\.\w+)+)", sentences):
        resolve("genwgp" + name)


def test_commands_in_the_pages_exist():
    commands = get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    lines = [line for text in TEXTS for line in code(text, "", "sh").splitlines()]
    used = [line.split("#")[0].split()[1:] for line in lines if line.startswith("genwgp ")]
    assert len(used) > 8
    for name, *arguments in used:
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("-")} <= options


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_links_lead_to_files(text):
    for target in re.findall(r"\]\(([^)#\s]+)", text.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (text.parent / target).exists(), target
