"""The pages: `sphinx-build -W docs docs/_build`."""

import re
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

import genwgp

project = "genwgp"
release = version = genwgp.__version__
language = "en"
smartquotes = False  # formulas in docstrings have primes and dashes of their own

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinxcontrib.bibtex"]
exclude_patterns = ["_build"]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"genwgp {release}"
html_static_path = ["_static"]
html_css_files = ["formulas.css"]
html_copy_source = False
html_show_copyright = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # so that `settings.md#precision` is a link, here as on a code host

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

OPERATOR = r"(\\(?:log|exp|det|min))(?=\s*[^\s(_^])"  # which TeX would set a thin space after
BAR = r'<mo(?: stretchy="false")?>(?=&#x(?:0007C|02016);)'  # of norms, else set apart as relations
LONG = r"jaxlib\._jax\.(?=Array)|jaxtyping\.|~[\w.]+\.(?=\w)"


def as_plain_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with `code`: formulas such as |grad mu|^2 or W * rho are no markup."""
    pieces = re.split(r"`([^`]*)`", "\n".join(lines))
    pieces[::2] = [re.sub(r"([\\*|_])", r"\\\1", piece) for piece in pieces[::2]]
    pieces[1::2] = [f"``{piece}``" for piece in pieces[1::2]]
    lines[:] = "".join(pieces).split("\n")


def as_written(app: Any, what: str, name: str, obj: Any, options: Any, *signature: str | None) -> Any:
    """Types by the names that the source has for them."""
    return tuple(text and re.sub(LONG, "", text) for text in signature)


def without_numbers(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """The fields of a named tuple are in its signature; "Alias for field number 0" says nothing more."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def formula(element: str, display: str) -> tuple[Any, None]:
    """Formulas as MathML, which browsers draw themselves: no script, no network."""

    def draw(translator: Any, node: Any) -> None:
        spaced = re.sub(OPERATOR, r"\1\\,", node.astext())
        drawn = re.sub(BAR, r'<mo stretchy="false" lspace="0" rspace="0">', convert(spaced, display=display))
        translator.body.append(f'<{element} class="math">{drawn}</{element}>')
        raise SkipNode

    return draw, None


def setup(app: Any) -> None:
    app.add_html_math_renderer("mathml", formula("span", "inline"), formula("div", "block"))
    app.connect("autodoc-process-docstring", as_plain_text)
    app.connect("autodoc-process-signature", as_written)
    app.connect("autodoc-skip-member", without_numbers)
