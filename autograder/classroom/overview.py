"""What a class did, on one page: points, exercises, mistakes, and the term's totals.

The page runs nothing and fetches nothing; its pictures are in it, each with a text that
says what it shows.
"""

import base64
import io
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from odenets.check import mistakes

from ..course import write_atomically
from . import report
from .gradebook import Classroom

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
BLUE = "#0a58a8"


@dataclass(frozen=True)
class Item:
    """What a class made of one exercise."""

    name: str
    title: str
    points: float
    ease: float | None  # the mean share of its points; None: nobody is graded
    discrimination: float | None  # see `correlation`
    full: int
    nothing: int
    waits: int


@dataclass
class Sheet:
    """What a class made of one notebook."""

    notebook: str
    rows: list[report.Row]  # who handed in something
    items: list[Item]
    mistakes: list[tuple[str, str, int]]  # exercise, name of the mistake, how many
    nobody: list[str]  # what nobody got, though somebody tried
    seconds: list[float]
    pictures: list[tuple[str, str]] = field(default_factory=list)  # data, alternative

    @property
    def maximum(self) -> float:
        return self.rows[0].maximum if self.rows else 0.0

    @property
    def mean(self) -> float:
        return statistics.fmean(row.total for row in self.rows)

    @property
    def median(self) -> float:
        return statistics.median(row.total for row in self.rows)

    @property
    def time(self) -> str:
        """How long the machine took for one submission."""
        middle = statistics.median(self.seconds)
        return f"{middle:.1f} s in the middle, {max(self.seconds):.1f} s at most"


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Pearson's correlation, None where it is not defined (or of fewer than 3).

    Of the points in one exercise with the points in all others it says whether who is
    good elsewhere is good here: the discrimination of an item, corrected for the item
    itself (Lord and Novick, "Statistical theories of mental test scores", 1968).
    """
    if len(one) < 3 or min(map(len, map(set, (one, other)))) < 2:
        return None
    return statistics.correlation(one, other)


def sheet(room: Classroom, name: str) -> Sheet | None:
    """Return what a class made of notebook `name`, or None where nothing is graded."""
    results = {}
    for student in room.students(name):
        result = room.read_result(student, name)
        if result is not None:
            results[student] = result
    rows = [row for row in report.rows(room, name) if row.student in results]
    if not rows:
        return None
    titles: dict[str, str] = {}
    for result in results.values():
        titles |= result.get("titles", {})
    made = Sheet(
        name,
        rows,
        [_item(rows, exercise, titles) for exercise in rows[0].points],
        _mistakes(results.values(), titles),
        _nobody(results.values(), titles),
        [float(result["seconds"]) for result in results.values()],
    )
    made.pictures = [_distribution(made), _ease(made)]
    return made


def _item(rows: list[report.Row], name: str, titles: dict[str, str]) -> Item:
    points = rows[0].points[name]
    read = [row for row in rows if row.scores.get(name) is not None]
    scores = [row.scores[name] or 0.0 for row in read]
    # Without penalties: being late says nothing about what somebody knows.
    rest = [
        sum(earned or 0.0 for other, earned in row.scores.items() if other != name)
        for row in read
    ]
    share = [score / points for score in scores] if points else []
    return Item(
        name,
        titles.get(name, name),
        points,
        statistics.fmean(share) if share else None,
        correlation(scores, rest),
        sum(score >= points for score in scores),
        sum(score == 0 for score in scores),
        len(rows) - len(read),
    )


def _mistakes(results: Any, titles: dict[str, str]) -> list[tuple[str, str, int]]:
    """Count the mistakes that the checks know by name."""
    known = {
        (exercise, one["title"])
        for exercise, entry in mistakes.catalogue().items()
        for one in entry["mistakes"]
    }
    came = Counter(
        (exercise["exercise"], exercise["reason"])
        for result in results
        for exercise in result["exercises"]
    )
    return [
        (titles.get(exercise, exercise), reason, count)
        for (exercise, reason), count in came.most_common()
        if (exercise, reason) in known
    ]


def _nobody(results: Any, titles: dict[str, str]) -> list[str]:
    """Name the checks that nobody passed, of exercises that somebody has written."""
    passed: dict[tuple[str, str, bool], bool] = {}
    for result in results:
        for exercise in result["exercises"]:
            tried = exercise["reason"] != "not written yet" and result["readable"]
            for check in exercise["checks"] if tried else []:
                key = (exercise["exercise"], check["label"], check["hidden"])
                passed[key] = passed.get(key, False) or check["passed"]
    return [
        f"{titles.get(name, name)}: {'hidden test' if hidden else 'test'} '{label}'"
        for (name, label, hidden), one in passed.items()
        if not one
    ]


# ----------------------------------------------------------------------- pictures


def _distribution(made: Sheet) -> tuple[str, str]:
    totals = [row.total for row in made.rows]
    top = max(made.maximum, max(totals), 1.0)
    bins = min(20, max(1, math.ceil(top)))
    counts = [0] * bins
    for total in totals:
        counts[min(int(total / top * bins), bins - 1)] += 1
    width = top / bins
    figure, axes = _figure(2.6)
    axes.bar([(i + 0.5) * width for i in range(bins)], counts, 0.9 * width, color=BLUE)
    axes.set(xlabel="points", ylabel="students", xlim=(0, top))
    axes.yaxis.get_major_locator().set_params(integer=True)
    said = ", ".join(
        f"{i * width:g} to {(i + 1) * width:g}: {n}" for i, n in enumerate(counts) if n
    )
    return _data(figure), f"How many students have how many points. {said}."


def _ease(made: Sheet) -> tuple[str, str]:
    items = [item for item in made.items if item.ease is not None]
    figure, axes = _figure(0.8 + 0.3 * len(items))
    shares = [100 * (item.ease or 0.0) for item in items]
    axes.barh(range(len(items)), shares, color=BLUE)
    axes.set_yticks(range(len(items)), [_short(item.title) for item in items])
    axes.invert_yaxis()
    axes.set(xlabel="points earned, in percent", xlim=(0, 100))
    said = ", ".join(f"{_short(i.title)} {s:.0f} %" for i, s in zip(items, shares))
    return _data(figure), f"The share of its points that each exercise gave. {said}."


def _short(title: str) -> str:
    """Return "Exercise 1.2" of a title that goes on; no formula is made of it."""
    return title.partition(" - ")[0].replace("$", r"\$")


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _data(figure: Any) -> str:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(drawn.getvalue()).decode()


# ----------------------------------------------------------------------- the page


def write(room: Classroom, names: Sequence[str]) -> Path | None:
    """Write the page of a class, and return where; None where nothing is graded."""
    sheets = [one for name in names if (one := sheet(room, name)) is not None]
    if not sheets:
        return None
    path = room.root / "report.html"
    page = PAGES.get_template("overview.html.j2")
    write_atomically(path, page.render(sheets=sheets, term=term(sheets)))
    return path


def term(sheets: Sequence[Sheet]) -> list[dict[str, Any]]:
    """Return the totals of every student: by notebook (None: not handed in), in all."""
    rows = {one.notebook: {row.student: row for row in one.rows} for one in sheets}
    students = sorted({student for found in rows.values() for student in found})
    made = []
    for student in students:
        got = [rows[one.notebook].get(student) for one in sheets]
        made.append(
            {
                "student": student,
                "scores": [row.total if row else None for row in got],
                "waits": any(row.waits for row in got if row),
                "total": round(sum(row.total for row in got if row), 2),
                "maximum": sum(one.maximum for one in sheets),
            }
        )
    return made
