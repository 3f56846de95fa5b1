"""Markdown of others as HTML that runs nothing, fetches nothing, and has formulas.

The Markdown is nbconvert's, the cleaning bleach's, as in nbconvert. A formula is a
picture that matplotlib draws, with its TeX as alternative text: a page needs no script
for it, and no network. TeX that matplotlib does not know stays readable TeX.
"""

import base64
import html
import io
import re
from functools import lru_cache
from typing import Any

import bleach
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

MAX_TEXT = 50_000  # characters; a longer text is shown as it stands
MAX_FORMULA = 500
TAGS = frozenset(
    "a b blockquote br code del div em h1 h2 h3 h4 h5 h6 hr i img li ol p pre s span "
    "strong sub sup table tbody td th thead tr ul".split()
)
PICTURE = re.compile(r"data:image/(?:png|jpeg|svg\+xml);base64,[A-Za-z0-9+/=\s]*")
# What people write, and how matplotlib calls it.
NAMES = {
    "le": "leq",
    "ge": "geq",
    "ne": "neq",
    "to": "rightarrow",
    "lVert": "|",
    "rVert": "|",
    "lvert": "vert",
    "rvert": "vert",
    "tfrac": "frac",
    "land": "wedge",
    "lor": "vee",
}


class Renderer(IPythonRenderer):
    """nbconvert's, but a picture that is not there stops nobody."""

    def _embed_image_or_attachment(self, url: str) -> str:
        missing = url.startswith("attachment:") and url[11:] not in self.attachments
        return "" if missing else super()._embed_image_or_attachment(url)


class _Formulas(Renderer):
    """The same with formulas as pictures; a diagram stays the text that it is."""

    def block_math(self, body: str) -> str:
        return f'<div class="formula">{formula(body)}</div>'

    def inline_math(self, body: str) -> str:
        return formula(body)

    def latex_environment(self, name: str, body: str) -> str:
        tex = rf"\begin{{{name}}}{body}\end{{{name}}}"
        return f"<pre>{html.escape(tex)}</pre>"

    def image(self, text: str, url: str, title: str | None = None) -> str:
        shown = self._embed_image_or_attachment(url)
        if PICTURE.fullmatch(shown) is None:  # it would be fetched from elsewhere
            return f"<em>[picture: {html.escape(text)}]</em>"
        return f'<img alt="{html.escape(text)}" src="{shown}">'

    def block_mermaidjs(self, code: str) -> str:
        return f"<pre>{html.escape(code)}</pre>"


def to_html(text: str, attachments: dict[str, Any] | None = None) -> str:
    """Return the HTML of a text in Markdown, by whomever it was written.

    Args:
        attachments: pictures pasted into it, as notebooks keep them.
    """
    if len(text) > MAX_TEXT:
        return f"<pre>{html.escape(text)}</pre>"
    renderer = _Formulas(
        escape=True,
        allow_harmful_protocols=False,
        exclude_anchor_links=True,
        attachments=attachments or {},
    )
    try:
        made = MarkdownWithMath(renderer=renderer).render(text)
    except RecursionError:
        return f"<pre>{html.escape(text)}</pre>"
    return bleach.clean(
        made,
        tags=TAGS,
        attributes=_allowed,
        protocols=["http", "https", "mailto", "data"],
        strip=True,
    )


def _allowed(tag: str, name: str, value: str) -> bool:
    if tag == "img":
        return name in ("alt", "class") or (
            name == "src" and PICTURE.fullmatch(value) is not None
        )
    if tag == "a":
        return name == "href" and not value.lower().lstrip().startswith("data:")
    return tag == "div" and name == "class" and value == "formula"


@lru_cache(maxsize=2000)
def formula(tex: str) -> str:
    """Return a formula as a picture, or as TeX where matplotlib cannot draw it."""
    shown = html.escape(f"${tex.strip()}$")
    plain = " ".join(tex.split())
    if len(plain) > MAX_FORMULA:
        return f"<code>{shown}</code>"
    plain = re.sub(
        r"\\([A-Za-z]+)", lambda m: "\\" + NAMES.get(m[1], m[1]), plain
    ).replace(r"\vert", "|")
    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import math_to_image

    drawn = io.BytesIO()
    size = FontProperties(size=12)
    try:
        with matplotlib.rc_context({"svg.hashsalt": "formula"}):
            math_to_image(f"${plain}$", drawn, prop=size, format="svg")
    except Exception:  # its parser, and what a stranger's TeX makes of it
        return f"<code>{shown}</code>"
    # Without the date: the same formula is the same picture.
    picture = re.sub(rb"<metadata>.*?</metadata>", b"", drawn.getvalue(), flags=re.S)
    data = base64.b64encode(picture).decode()
    return f'<img class="formula" alt="{shown}" src="data:image/svg+xml;base64,{data}">'
