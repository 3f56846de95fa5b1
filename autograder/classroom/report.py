"""The table of a class: who earned what, and why not more."""

import csv
import io
import json
import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..course import printable, write_atomically
from . import late
from .gradebook import Classroom
from .tables import safe

NARROW = 45  # characters; beside the table, where reasons stand


@dataclass(frozen=True)
class Row:
    """One student in the table of one notebook."""

    student: str
    scores: dict[str, float | None]  # None: a person has to read it
    points: dict[str, float]
    reasons: tuple[str, ...]
    penalty: float = 0.0  # for being late

    @property
    def total(self) -> float:
        earned = sum(score or 0.0 for score in self.scores.values())
        return round(max(0.0, earned - self.penalty), 2)

    @property
    def maximum(self) -> float:
        return sum(self.points.values())

    @property
    def waits(self) -> bool:
        """Whether a person still has to grade something."""
        return any(score is None for score in self.scores.values())


def to_json(result: dict[str, Any]) -> str:
    """Return a result as the file that is stored."""
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"


def rows(room: Classroom, name: str) -> list[Row]:
    """Return a row for everyone who handed in `name` or is in the gradebook."""
    manual, lateness = room.manual(name), late.state(room, name)
    told = late.told(room, name)
    made = []
    points: dict[str, float] = {}
    for student in sorted({*room.students(name), *room.enrolled()}):
        result = room.read_result(student, name)
        if result is None:
            handed_in = student in room.students(name)
            reason = "not graded yet" if handed_in else "nothing handed in"
            made.append(Row(student, {}, {}, (reason,)))
            continue
        one = row(result, manual.get(student, {}))
        seconds, penalty = lateness.get(student, (0.0, 0.0))
        if said := late.note(seconds, penalty):
            one = replace(one, reasons=(*one.reasons, said), penalty=penalty)
        if student in told:
            said = "handed in late, as Canvas says; how late is not known"
            one = replace(one, reasons=(*one.reasons, said))
        made.append(one)
        points = points or made[-1].points
    return [
        one
        if one.points
        else Row(one.student, dict.fromkeys(points, 0.0), points, one.reasons)
        for one in made
    ]


def row(result: dict[str, Any], manual: dict[str, dict[str, Any]]) -> Row:
    """Turn a stored result and the decisions of people into a row."""
    scores: dict[str, float | None] = {}
    points: dict[str, float] = {}
    reasons = [] if result["readable"] else list(reversed(result["notes"]))
    for exercise in result["exercises"]:
        name = exercise["exercise"]
        points[name] = exercise["points"]
        decided = manual.get(f"test_{name}", {})
        scores[name] = decided.get("score", exercise["score"])
        if result["readable"] and exercise["reason"]:
            reasons.append(f"{name}: {exercise['reason']}")
    for cell in result["manual"]:
        decided = manual.get(cell["name"], {})
        points[cell["name"]] = cell["points"]
        waits = decided.get("waits", False)
        scores[cell["name"]] = None if waits else decided.get("score", 0.0)
    if result["readable"]:
        reasons = _together(reasons) + list(result["notes"])
    if not result.get("sandboxed", True):
        reasons.append("graded without a sandbox")
    return Row(result["student"], scores, points, tuple(reasons))


def _together(reasons: list[str]) -> list[str]:
    """Name exercises that are missing for the same reason in one line."""
    groups: dict[str, list[str]] = {}
    for reason in reasons:
        name, _, why = reason.partition(": ")
        groups.setdefault(why, []).append(name)
    return [f"{', '.join(names)}: {why}" for why, names in groups.items()]


def table(name: str, made: Iterable[Row], width: int | None = None) -> str:
    """Return the table as text: students, a column per exercise, reasons."""
    made = list(made)
    if not made:
        return f"{name}: nothing handed in"
    width = max(72, min(width or shutil.get_terminal_size((100, 24)).columns, 140))
    points = next((one.points for one in made if one.points), {})
    names = list(points)
    first = max(7, *(len(one.student) for one in made))
    numbers = "".join(f"{i:>6}" for i in range(1, len(names) + 1))
    lines = [
        name,
        "",
        f"{'student':<{first}}{numbers}   total   where points are missing",
    ]
    maxima = "".join(f"{points[n]:>6g}" for n in names)
    lines.append(f"{'(points)':<{first}}{maxima}{sum(points.values()):>8g}")
    lines.append("-" * width)
    indent = first + 6 * len(names) + 11
    below = width - indent < NARROW  # the reasons: no word of them fits beside
    if below:
        indent = 4
    for one in made:
        cells = "".join(f"{_shown(one.scores.get(n)):>6}" for n in names)
        head = f"{one.student:<{first}}{cells}{one.total:>8g}   "
        wrapped = [
            part
            for reason in one.reasons
            for part in textwrap.wrap(reason, width - indent, break_on_hyphens=False)
        ]
        if wrapped and not below:
            head += wrapped.pop(0)
        lines.append(head.rstrip())
        lines += [" " * indent + part for part in wrapped]
    lines.append("-" * width)
    legend = ", ".join(f"{i} {n}" for i, n in enumerate(names, start=1))
    lines += textwrap.wrap(legend, width)
    if any(one.waits for one in made):
        lines.append(
            f"?  a person has to read this answer: python -m autograder read {name}"
        )
    return "\n".join(map(printable, lines))


def _shown(score: float | None) -> str:
    return "?" if score is None else f"{score:g}"


def to_csv(made: Iterable[Row]) -> str:
    """Return the table as CSV; no cell begins like a formula of a spreadsheet."""
    made = list(made)
    names = list(next((one.points for one in made if one.points), {}))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["student", *names, "total", "maximum", "reasons"])
    for one in made:
        scores = ["" if one.scores.get(n) is None else one.scores[n] for n in names]
        writer.writerow(
            [
                safe(one.student),
                *scores,
                one.total,
                one.maximum,
                safe("; ".join(one.reasons)),
            ]
        )
    return text.getvalue()


def write(room: Classroom, name: str) -> list[Row]:
    """Write the CSV of a notebook, and return its rows."""
    made = rows(room, name)
    write_atomically(room.table(name), to_csv(made))
    return made
