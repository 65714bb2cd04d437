"""The site, by Sphinx: ``python docs/build.py`` makes all of it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent / "src")]

import finallayer  # noqa: E402 (it is found by the line above)

project = "finallayer"
author = "The finallayer authors"
copyright = author
release = version = finallayer.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "rule_pages",
    "numbers_of_forms",
    "program_in_the_browser",
]
exclude_patterns = ["browser", "_extensions", "README.md"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "html_image"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_mock_imports = [
    name
    for name in ("torch", "jax", "keras", "tensorflow", "lightning", "transformers", "numpy")
    if find_spec(name) is None
]

html_theme = "furo"
html_title = "finallayer"
html_static_path = ["_static", "browser/dist"]
html_css_files = ["site.css"]
html_favicon = "_static/icon.svg"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "source_repository": "https://github.com/finallayer/finallayer/",
    "source_branch": "main",
    "source_directory": "docs/",
}
linkcheck_ignore = [r"https://github\.com/finallayer/.*"]  # which a person publishes


def setup(app: Any) -> None:
    app.connect("html-page-context", _for_everybody, priority=900)  # behind the theme's own


def _for_everybody(_app: Any, _page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """What Sphinx leaves out for screen readers and keyboards: captions' levels, and the focus of what scrolls."""
    context["furo_navigation_tree"] = context["furo_navigation_tree"].replace(
        'role="heading"', 'role="heading" aria-level="2"'
    )
    if "body" in context:
        context["body"] = context["body"].replace("<pre>", '<pre tabindex="0">')
        context["body"] = context["body"].replace('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper')
