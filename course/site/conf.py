"""Sphinx reads this for `make site`; `autograder/authors/site.py` writes the pages."""

import json
import re
import sys
from pathlib import Path

from docutils import nodes

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "Continuous-depth and invertible networks"
author = "the authors of odenets"
language = "en"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "record",
]

# The outputs are those of the executed solutions: nothing runs here.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_dmath_double_inline = True
myst_heading_anchors = 3
exclude_patterns = ["downloads"]

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_use_ivar = True
default_role = "py:obj"
python_use_unqualified_type_names = True

html_title = "odenets"
html_favicon = "_static/favicon.svg"
html_theme = "pydata_sphinx_theme"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = ["film.js"]
html_copy_source = False
html_show_copyright = False
mathjax_path = "mathjax/tex-chtml.js"
copybutton_exclude = ".linenos, .gp, .go"

SITE = json.loads((HERE / "site.json").read_text(encoding="utf-8"))
html_sidebars = {page: [] for page in ("index", "results", "instructors", "authors")}
html_theme_options = {
    "icon_links": [
        {"name": "GitHub", "url": SITE["repository"], "icon": "fa-brands fa-github"}
    ],
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "header_links_before_dropdown": 5,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["sphinx-version"],
    "footer_end": ["theme-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def add_notebooks(app, what, name, obj, options, lines):
    """Say below a docstring in which notebooks the name is met."""
    pages = SITE["met_in"].get(name)
    if pages:
        links = ", ".join(f":doc:`{page[:2]} </{page}>`" for page in pages)
        lines += ["", f"*Met in notebook* {links}.", ""]


def prepare(app, what, name, obj, options, lines):
    """Bring a docstring into the form that docutils and napoleon read.

    In |x| the bars are meant as they are, and "Returns: ..." may begin in one line.
    """
    made = []
    literal = -1  # how far the "::" that began a literal block stands in
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if literal >= 0 and line.strip() and indent <= literal:
            literal = -1
        if literal < 0:
            parts = re.split(r"(``.*?``)", line)
            parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
            line = "".join(parts)
            if line.rstrip().endswith("::"):
                literal = indent
            section, colon, rest = line.partition(": ")
            if colon and section in ("Returns", "Yields"):
                made.append("")
                line = f":returns: {rest}"
        made.append(line)
    lines[:] = made


def keep_formulas(app, doctree):
    """Let displayed formulas reach MathJax as they stand.

    Sphinx puts those of several lines into an environment that admits no numbers.
    """
    for formula in doctree.findall(nodes.math_block):
        formula["no-wrap"] = formula["nowrap"] = True
        formula.children = [nodes.Text(rf"\[{formula.astext()}\]")]


def setup(app):
    """Connect what is ours to Sphinx."""
    app.connect("doctree-read", keep_formulas)
    app.connect("autodoc-process-docstring", prepare, priority=100)
    app.connect("autodoc-process-docstring", add_notebooks, priority=900)
