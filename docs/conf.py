"""Sphinx's settings. Build with ``python -m sphinx -W docs build/docs``; it needs the extra ``docs``."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from sockserve import __version__

project = "sockserve"
author = "The sockserve authors"
copyright = author  # noqa: A001 - Sphinx's name for it
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.doctest",
    "public_names",
]
exclude_patterns = ["_build"]

# Names between backticks lead to what they name. One that leads nowhere is a warning, and an error in the tests.
default_role = "py:obj"
nitpicky = True

# The links to Python's own documentation need its inventory from the network, which neither a test nor somebody
# on a train has. Set SOCKSERVE_INTERSPHINX=1 to have them.
if os.environ.get("SOCKSERVE_INTERSPHINX") or os.environ.get("READTHEDOCS"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {"python": ("https://docs.python.org/3", None)}

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 4

napoleon_numpy_docstring = False
napoleon_custom_sections = [("Resource handling", "returns_style"), ("Error handling", "returns_style")]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = "sockserve"
html_static_path = ["_static"]
html_css_files = ["sockserve.css"]
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"

# Examples in docstrings show what is printed, to the letter.
doctest_default_flags = 0
