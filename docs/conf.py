"""How Sphinx builds the pages; `make docs` calls it with warnings as errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "benchmarks")]

import api  # noqa: E402
import made  # noqa: E402
from sphinx.util import logging  # noqa: E402

import slimlearn  # noqa: E402

project = "slimlearn"
author = "The slimlearn developers"
copyright = author
release = version = slimlearn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
]
default_role = "py:obj"
exclude_patterns = ["_build"]
nitpicky = False

autosummary_generate = False
toc_object_entries_show_parents = "hide"
autodoc_member_order = "alphabetical"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# Pages of Markdown run as they are built; notebooks show what is stored in them.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "auto"
nb_execution_in_temp = True
nb_execution_excludepatterns = ["notebooks/*"]
nb_execution_timeout = 120
nb_merge_streams = True

html_theme = "pydata_sphinx_theme"
html_title = "slimlearn"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 8,
}


def check_docstrings(app) -> None:
    """Warn of each fault of a public docstring; the build makes them errors."""
    for fault in api.all_faults():
        logging.getLogger("slimlearn").warning(fault)


def drop_references(app, what, name, obj, options, lines) -> None:
    """Take the roles out of docstrings inherited from scikit-learn: no page is here."""
    if what == "method":
        pattern = re.compile(r":(?:ref|term|class|func):`([^`<]*?)(?:\s*<[^`>]*>)?`")
        lines[:] = [pattern.sub(r"*\1*", line) for line in lines]


def setup(app) -> dict:
    """Make the pages that are not written by hand before Sphinx looks for them."""
    api.write(HERE / "reference")
    made.write(HERE)
    app.connect("autodoc-process-docstring", drop_references, priority=900)
    app.connect("builder-inited", check_docstrings)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
