"""Configuration of the documentation site; `make docs-site` builds it into build/site."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.ext import autosummary

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "ptqsim"
author = "ptqsim contributors"
copyright = "ptqsim contributors, MIT license"
version = release = installed_version("ptqsim")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "api_reference",
    "command_reference",
]
exclude_patterns = ["_ext", "_static", "_templates"]
smartquotes = False  # "--bits" is an option and no dash
nitpicky = False  # types of parameters are prose, "array of shape (M, K)"; links of pages are always checked
default_role = "py:obj"
highlight_language = "text"  # indented blocks are formulas

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_links_external_new_tab = True

templates_path = ["_templates"]
autosummary_generate = True
autosummary.WELL_KNOWN_ABBREVIATIONS += ("Eq.", "Eqs.", "Fig.", "..")  # no ends of a sentence
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
autodoc_type_aliases = {name: name for name in ("ArrayLike", "Codes", "Format")}
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
numpydoc_show_class_members = False  # members are documented in full below their class
numpydoc_class_members_toctree = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "ptqsim"
html_static_path = ["_static"]
html_css_files = ["ptqsim.css"]
html_show_sourcelink = False
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#0072b2"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

linkcheck_anchors = False

# Pages that lie outside docs/ where a Git host shows them, and inside it on the site.
PAGES_OF_THE_REPOSITORY = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "figures/README.md": "gallery.md",
}
_OUTSIDE = re.compile(r"\]\((?:\.\./)+(?P<page>(?:figures/)?[A-Z]+\.md)(?P<anchor>#[\w-]+)?\)")


_END_OF_BLOCK = re.compile(r"\n\n```$", re.MULTILINE)
_ARRAY_TYPE = re.compile(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[([\w.]+)\]\]")


def prepare(_app: Sphinx, page: str, source: list[str]) -> None:
    """Point links to pages of the repository at their places on the site, and drop blank lines that end a block."""
    up = "../" * page.count("/")

    def inside(link: re.Match[str]) -> str:
        return f"]({up}{PAGES_OF_THE_REPOSITORY[link['page']]}{link['anchor'] or ''})"

    source[0] = _END_OF_BLOCK.sub("\n```", _OUTSIDE.sub(inside, source[0]))


def shorten_types(
    _app: Sphinx, _kind: str, _name: str, _object: object, _options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write the types of arrays as the sources do."""
    short = [_ARRAY_TYPE.sub(r"NDArray[\1]", text) if text else text for text in (signature, returned)]
    return short[0], short[1]


def setup(app: Sphinx) -> None:
    """Connect the events that this file handles."""
    app.connect("source-read", prepare)
    app.connect("autodoc-process-signature", shorten_types)
