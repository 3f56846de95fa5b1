"""Late work: what is due when, for whom later, and what being late costs.

`due.csv` holds the dates (notebook, student, due), where an empty student means
everybody; a date that was set in formgrader counts where it has none. What is
subtracted is decided by nbgrader's plugin: `LateSubmissionPlugin.penalty_method`, or a
`plugin_class` of your own for `AssignLatePenalties`, in `nbgrader_config.py`.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from nbgrader.api import MissingEntry
from nbgrader.preprocessors import AssignLatePenalties

from ..authors import steps
from ..course import Course, CourseError, write_atomically
from . import moments, tables
from .gradebook import Classroom
from .roster import Roster

HEAD = ["notebook", "student", "due"]


@dataclass(frozen=True)
class Due:
    """When a notebook is due, for everybody or for one student."""

    notebook: str
    student: str  # "" for everybody
    due: datetime  # UTC


def dates(room: Classroom) -> list[Due]:
    """Return the dates of a class.

    Raises:
        CourseError: if one of them cannot be understood.
    """
    path = room.root / "due.csv"
    if not path.exists():
        return []
    table = tables.read(path)
    columns = [table.column(title) for title in HEAD]
    if None in columns:
        raise CourseError(f"{path} needs the columns {', '.join(HEAD)}")
    found = []
    for row in table.rows:
        notebook, student, text = (row[c or 0].strip() for c in columns)
        try:
            found.append(Due(notebook, student, moments.moment(text, moments.local)))
        except moments.Unclear as error:
            raise CourseError(f"{path}: {text!r} of {notebook}: {error}") from None
    return found


def set_date(room: Classroom, notebook: str, text: str, student: str = "") -> str:
    """Set a date, or take it back with "none"; return what holds now.

    Raises:
        CourseError: if the text cannot be understood.
    """
    kept = [d for d in dates(room) if (d.notebook, d.student) != (notebook, student)]
    said = "not due at a fixed time"
    if text.strip().casefold() != "none":
        try:
            when = moments.moment(text, moments.local)
        except moments.Unclear as error:
            raise CourseError(f"{text!r}: {error}") from None
        kept.append(Due(notebook, student, when))
        said = f"due {moments.shown(when)}"
    rows = [[d.notebook, d.student, moments.stamp(d.due)] for d in kept]
    write_atomically(room.root / "due.csv", tables.text(HEAD, sorted(rows)))
    if (room.root / "gradebook.db").exists():
        with room.gradebook() as book:
            try:
                if text.strip().casefold() == "none" and not student:
                    book.find_assignment(notebook).duedate = None
                    for one in book.assignment_submissions(notebook):
                        one.extension = None
                elif text.strip().casefold() == "none":
                    book.find_submission(notebook, student).extension = None
                book.db.commit()
            except MissingEntry:
                pass
    return f"{notebook}{f' for {student}' if student else ''}: {said}"


def settle(course: Course, room: Classroom, name: str) -> list[str]:
    """Bring everyone's penalty up to date; return who has another one now.

    Nothing is executed for that: dates move, people are given more time, and what
    somebody read in the meantime changes a score.

    Raises:
        CourseError: if a date cannot be understood.
    """
    here = {d.student: d.due for d in dates(room) if d.notebook == name}
    if not (room.root / "gradebook.db").exists():
        return []
    changed: list[str] = []
    step = AssignLatePenalties(config=steps.load_config(course))
    step.log = logging.getLogger("nbgrader.late")
    step.log.propagate = False  # every penalty is a warning there
    step.log.addHandler(logging.NullHandler())
    step.init_plugin()
    with room.gradebook() as book:
        try:
            assignment = book.find_assignment(name)
        except MissingEntry:
            return []
        if "" in here:
            assignment.duedate = here[""]
        for submission in book.assignment_submissions(name):
            student = submission.student.id
            if assignment.duedate is not None and student in here:
                submission.extension = here[student] - assignment.duedate
            elif assignment.duedate is None or "" in here:
                submission.extension = None  # nbgrader adds it to the date
            when, _ = room.timestamp(student, name)
            if when is not None:
                submission.timestamp = when
            seconds = submission.total_seconds_late
            for notebook in submission.notebooks:
                penalty = None
                if seconds > 0:
                    penalty = step.plugin_inst.late_submission_penalty(
                        student, notebook.score, seconds
                    )
                if penalty is not None:
                    penalty = step._check_late_penalty(notebook, penalty)
                old = notebook.late_submission_penalty or 0.0
                if (penalty or 0.0) != old:
                    changed.append(
                        f"{student}: penalty {old:g} -> {penalty or 0.0:g}"
                        + (f" ({shown(seconds)} late)" if seconds else " (not late)")
                    )
                notebook.late_submission_penalty = penalty
        book.db.commit()
    return changed


def state(room: Classroom, name: str) -> dict[str, tuple[float, float]]:
    """Return how late everyone is, in seconds, and the penalty."""
    if not (room.root / "gradebook.db").exists():
        return {}
    with room.gradebook() as book:
        try:
            submissions: list[Any] = book.assignment_submissions(name)
        except MissingEntry:
            return {}
        return {
            one.student.id: (
                float(one.total_seconds_late),
                float(one.late_submission_penalty or 0.0),
            )
            for one in submissions
        }


def told(room: Classroom, name: str) -> set[str]:
    """Return who is late as a platform says, without a time that tells how late."""
    if not (room.root / "handed_in.csv").exists():
        return set()
    handed = Roster.open(room).handed
    late = {h.student for h in handed if h.notebook == name and h.late == "LATE"}
    return {one for one in late if room.timestamp(one, name)[0] is None}


def shown(seconds: float) -> str:
    """Return a span of time in days, hours and minutes."""
    minutes = round(timedelta(seconds=seconds) / timedelta(minutes=1))
    days, rest = divmod(minutes, 24 * 60)
    parts = [(days, "day"), (rest // 60, "hour"), (rest % 60, "minute")]
    said = [f"{n} {unit}{'s' if n > 1 else ''}" for n, unit in parts if n]
    return " ".join(said[:2]) or "less than a minute"


def note(seconds: float, penalty: float) -> str:
    """Return what table and page say of a late submission; "" for one in time."""
    if seconds <= 0:
        return ""
    costs = f": {penalty:g} points less" if penalty else ""
    return f"handed in {shown(seconds)} late{costs}"
