"""The page that a student gets: what was asked, what came, what it looks like.

It is written from our own verdicts, never from what the notebook printed, all text is
escaped, and the browser is told to run nothing. Hidden tests appear by name.
"""

import re
from html import escape
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from ..course import write_atomically
from .gradebook import Classroom

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto;
       padding: 0 1rem; color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
pre { background: #f4f6f8; padding: .7rem; overflow-x: auto; border-radius: 6px;
      font-size: .85rem; }
ul { list-style: none; padding: 0; } li { margin: .3rem 0; }
li pre { margin: .2rem 0 .6rem 1.5rem; }
.yes::before { content: "\\2713\\00a0"; color: #00704a; font-weight: bold; }
.no::before { content: "\\2717\\00a0"; color: #b3261e; font-weight: bold; }
.points { float: right; font-weight: normal; } .hidden { color: #555; }
.note { background: #fff5d6; padding: .5rem .7rem; border-radius: 6px; }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(result: dict[str, Any], manual: dict[str, dict[str, Any]]) -> str:
    """Return the page of one submission.

    Args:
        result: what grading stored.
        manual: what people decided, by cell (see `Classroom.manual`).
    """
    parts: list[str] = []
    total = most = 0.0
    waits = False
    for exercise in result["exercises"]:
        decided = manual.get(f"test_{exercise['exercise']}", {})
        score = decided.get("score", exercise["score"])
        total, most = total + score, most + exercise["points"]
        parts += _exercise(exercise, score, result["answers"], manual)
    for cell in result["manual"]:
        decided = manual.get(cell["name"], {})
        waiting = decided.get("waits", False)
        waits = waits or waiting
        score = decided.get("score", 0.0)
        total, most = total + (0.0 if waiting else score), most + cell["points"]
        shown = "not read yet" if waiting else f"{score:g} of {cell['points']:g} points"
        parts.append(_heading(cell["name"], shown))
        parts += _answer(result["answers"].get(cell["name"], ""))
        parts += _comment(decided)
    title = f"{result['notebook']} - {result['student']}"
    notes = [f"<p class='note'>{escape(note)}</p>" for note in result["notes"]]
    open_end = ", one or more answers are not read yet" if waits else ""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            "<html lang='en'><head><meta charset='utf-8'>",
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f"<p><strong>{total:g} of {most:g} points</strong>{open_end}</p>",
            *notes,
            *parts,
            "</body></html>\n",
        ]
    )


def _exercise(
    exercise: dict[str, Any],
    score: float,
    answers: dict[str, str],
    manual: dict[str, dict[str, Any]],
) -> list[str]:
    name = exercise["exercise"]
    parts = [_heading(name, f"{score:g} of {exercise['points']:g} points")]
    if exercise["score"] < exercise["points"] and exercise["reason"]:
        parts.append(f"<p>{escape(exercise['reason'])}</p>")
    parts.append("<ul>")
    for one in exercise["checks"]:
        mark = "yes" if one["passed"] else "no"
        label = escape(one["label"])
        if one["hidden"]:
            label = f"<span class='hidden'>hidden test: {label}</span>"
        parts.append(f"<li><span class='{mark}'>{label}</span>")
        if one["message"] and not one["hidden"]:
            parts.append(f"<pre>{escape(one['message'])}</pre>")
        parts.append("</li>")
    parts.append("</ul>")
    parts += _answer(answers.get(name, ""))
    return parts + _comment(manual.get(name, {}))


def _heading(name: str, shown: str) -> str:
    return f"<h2>{escape(name)} <span class='points'>{escape(shown)}</span></h2>"


def _answer(source: str) -> list[str]:
    if not source.strip():
        return []
    return [
        f"<details><summary>Your answer</summary><pre>{escape(source)}</pre></details>"
    ]


def _comment(decided: dict[str, Any]) -> list[str]:
    text = decided.get("comment", "")
    return [f"<p class='note'>{escape(text)}</p>"] if text else []


class _Renderer(IPythonRenderer):
    """nbconvert's, but a picture that is not there stops nobody."""

    def _embed_image_or_attachment(self, url: str) -> str:
        missing = url.startswith("attachment:") and url[11:] not in self.attachments
        return "" if missing else super()._embed_image_or_attachment(url)


@pass_context
def markdown(context: Context, source: str) -> str:
    """Return the HTML of a student's Markdown, where HTML of their own is only text.

    nbgrader's formgrader and `generate_feedback` use it (see `nbgrader_config.py`).
    The tags of our hints do nothing, and stay; so do pasted pictures.
    """
    attachments = context.get("cell", {}).get("attachments", {})
    renderer = _Renderer(
        escape=True, allow_harmful_protocols=False, attachments=attachments
    )
    page = MarkdownWithMath(renderer=renderer).render(source)
    return re.sub(r"&lt;(/?(?:details|summary))&gt;", r"<\1>", page)


def rewrite(room: Classroom, name: str) -> int:
    """Write all pages of a notebook again, with what people decided since."""
    manual = room.manual(name)
    written = 0
    for student in room.students(name):
        result = room.read_result(student, name)
        if result is not None:
            text = page(result, manual.get(student, {}))
            written += write_atomically(room.feedback(student, name), text)
    return written
