"""The page that a student gets: what was asked, what came, what it looks like.

It is written from our own verdicts, never from what the notebook printed. All text is
escaped, prose is cleaned, and the browser is told to run nothing. Hidden tests appear
by name.
"""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from nbconvert.filters.markdown_mistune import MarkdownWithMath

from ..course import write_atomically
from . import late, prose
from .gradebook import Classroom

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
# When something was handed in, and under which secret name its feedback is fetched.
TICKETS = ("timestamp.txt", "submission_secret.txt")
MAX_TICKET = 1000  # bytes


@dataclass(frozen=True)
class _Part:
    """What the page says about one exercise."""

    name: str
    score: float | None  # None: nobody has read it yet
    points: float
    reason: str
    checks: list[dict[str, Any]]
    answer: str  # code
    text: Markup  # prose
    comment: Markup


def page(
    result: dict[str, Any],
    manual: dict[str, dict[str, Any]],
    lateness: tuple[float, float] = (0.0, 0.0),
) -> str:
    """Return the page of one submission.

    Args:
        result: what grading stored.
        manual: what people decided, by cell (see `Classroom.manual`).
        lateness: seconds after it was due, and the penalty for them.
    """
    said = late.note(*lateness)
    parts = [_by_tests(one, result, manual) for one in result["exercises"]]
    parts += [_by_a_person(cell, result, manual) for cell in result["manual"]]
    return TEMPLATES.get_template("feedback.html.j2").render(
        title=f"{result['notebook']} - {result['student']}",
        total=max(0.0, sum(part.score or 0.0 for part in parts) - lateness[1]),
        points=sum(part.points for part in parts),
        waits=any(part.score is None for part in parts),
        notes=[*result["notes"], *([said] if said else [])],
        parts=parts,
    )


def _by_tests(
    exercise: dict[str, Any], result: dict[str, Any], manual: dict[str, dict[str, Any]]
) -> _Part:
    name, points = exercise["exercise"], exercise["points"]
    return _Part(
        _title(name, result),
        manual.get(f"test_{name}", {}).get("score", exercise["score"]),
        points,
        exercise["reason"] if exercise["score"] < points else "",
        exercise["checks"],
        result["answers"].get(name, ""),
        Markup(),
        _html(manual.get(name, {}).get("comment", "")),
    )


def _by_a_person(
    cell: dict[str, Any], result: dict[str, Any], manual: dict[str, dict[str, Any]]
) -> _Part:
    decided = manual.get(cell["name"], {})
    score = None if decided.get("waits", False) else decided.get("score", 0.0)
    text = _html(result["answers"].get(cell["name"], ""))
    comment = _html(decided.get("comment", ""))
    title = _title(cell["name"], result)
    return _Part(title, score, cell["points"], "", [], "", text, comment)


def _title(name: str, result: dict[str, Any]) -> str:
    """Return how the notebook calls an exercise, and its name."""
    title = result.get("titles", {}).get(name, name)
    return title if title == name else f"{title} ({name})"


def _html(text: str) -> Markup:
    return Markup(prose.to_html(text))  # cleaned there


@pass_context
def markdown(context: Context, source: str) -> str:
    """Return the HTML of a student's Markdown, where HTML of their own is only text.

    nbgrader's formgrader and `generate_feedback` use it (see `nbgrader_config.py`).
    The tags of our hints do nothing, and stay; so do pasted pictures.
    """
    attachments = context.get("cell", {}).get("attachments", {})
    renderer = prose.Renderer(
        escape=True, allow_harmful_protocols=False, attachments=attachments
    )
    page = MarkdownWithMath(renderer=renderer).render(source)
    return re.sub(r"&lt;(/?(?:details|summary))&gt;", r"<\1>", page)


def store(room: Classroom, student: str, name: str, text: str) -> bool:
    """Write the page of a student; return whether it is another one than before.

    What nbgrader's exchange asks for when feedback is released lies beside it then.
    """
    target = room.feedback(student, name)
    came = room.submission(student, name).parent
    for ticket in TICKETS:
        path = came / ticket
        with contextlib.suppress(PermissionError):  # the page says that it is so
            if came.is_symlink() or path.is_symlink() or not path.is_file():
                continue
            with open(path, "rb") as file:
                write_atomically(target.parent / ticket, file.read(MAX_TICKET))
    return write_atomically(target, text)


def rewrite(room: Classroom, name: str) -> int:
    """Write all pages of a notebook again, with what people decided since."""
    manual, lateness = room.manual(name), late.state(room, name)
    written = 0
    for student in room.students(name):
        result = room.read_result(student, name)
        if result is not None:
            late_by = lateness.get(student, (0.0, 0.0))
            text = page(result, manual.get(student, {}), late_by)
            written += store(room, student, name, text)
    return written
