"""From the gradebook to a learning platform: grades, comments, pages of feedback.

What a platform already holds is never overwritten silently: excused students, and
grades that somebody typed there, stay. The rules of the importers are Moodle's
(mod/assign/feedback/offline/importgradeslib.php, mod/assign/feedback/file/importziplib
.php) and Canvas's (lib/gradebook_importer.rb, app/models/assignment.rb,
infer_comment_context_from_filename).
"""

import html
import io
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nbgrader.api import MissingEntry

from ..course import CourseError, printable, write_atomically
from . import sheets, tables
from .gradebook import Classroom
from .report import safe
from .roster import Ambiguous, Roster

EXCUSED = ("EX", "N/A")


@dataclass(frozen=True)
class Grade:
    """What a platform wants to know of a student."""

    student: str
    full_name: str
    lms_id: str
    score: float | None  # None: stays empty, see `why`
    maximum: float
    why: str = ""
    comment: str = ""  # HTML
    handed_in: bool = True


@dataclass
class Filled:
    """A sheet that was filled in, and what a person should know of it."""

    text: str = ""
    written: dict[str, list[str]] = field(default_factory=dict)  # by student
    notes: list[str] = field(default_factory=list)


def grades(room: Classroom, name: str, platform: str = "") -> list[Grade]:
    """Return everyone's grade in notebook `name`, late penalties subtracted.

    Args:
        platform: the one whose numbers of the students are wanted.
    """
    roster = Roster.open(room)
    made = []
    with room.gradebook() as book:
        try:
            maximum = float(book.find_assignment(name).max_score)
        except MissingEntry:
            raise CourseError(f"{name}: nothing is graded yet") from None
        for student in book.students:
            full_name = " ".join(filter(None, (student.first_name, student.last_name)))
            score, why, there = None, "nothing handed in", True
            try:
                submission = book.find_submission(name, student.id)
            except MissingEntry:
                there = False
            else:
                penalty = submission.late_submission_penalty or 0.0
                why = "an answer has to be read first"
                if not submission.needs_manual_grade:
                    why = ""
                    score = round(max(0.0, float(submission.score) - penalty), 2)
            wanted = [platform] if platform else ["moodle", "canvas"]
            known = [roster.number(student.id, name, one) for one in wanted]
            number = next((one.number for one in known if one and one.number), "")
            number = number or student.lms_user_id or student.id
            person = roster.people.get(student.id)
            full_name = full_name or (person.name if person else "") or student.id
            made.append(
                Grade(student.id, full_name, number, score, maximum, why, "", there)
            )
    return sorted(made, key=lambda one: one.student)


def comment(result: dict[str, Any], manual: dict[str, dict[str, Any]]) -> str:
    """Return what a student should read in one cell of a sheet, as HTML.

    Moodle stores it as HTML (mod/assign/feedback/comments/locallib.php). PHP takes a
    backslash before a quotation mark for an escape: neither is left in it.
    """
    titles = result.get("titles", {})
    lines = []
    for one in result["exercises"]:
        decided = manual.get(f"test_{one['exercise']}", {})
        score = decided.get("score", one["score"])
        said = one["reason"] if score < one["points"] else ""
        said = "; ".join(filter(None, (said, _said(manual, one["exercise"]))))
        lines.append((one["exercise"], score, one["points"], said))
    for one in result["manual"]:
        decided = manual.get(one["name"], {})
        said = _said(manual, one["name"])
        lines.append((one["name"], decided.get("score", 0.0), one["points"], said))
    shown = [
        f"{titles.get(name, name)}: {score:g} of {points:g}"
        + (f". {said}" if said else "")
        for name, score, points, said in lines
    ] + list(result["notes"])
    escaped = (html.escape(printable(line)).replace("\\", "&#92;") for line in shown)
    return "<br>".join(escaped)


def _said(manual: dict[str, dict[str, Any]], name: str) -> str:
    texts = (manual.get(cell, {}).get("comment", "") for cell in (name, f"test_{name}"))
    return " ".join(" ".join(texts).split())


def with_comments(room: Classroom, name: str, made: list[Grade]) -> list[Grade]:
    """Return grades with the comments of the feedback pages."""
    from dataclasses import replace

    manual = room.manual(name)
    found = []
    for one in made:
        result = room.read_result(one.student, name)
        text = comment(result, manual.get(one.student, {})) if result else ""
        found.append(replace(one, comment=text))
    return found


# ------------------------------------------------------------------------ filling in


@dataclass
class Filling:
    """Fills in one sheet, from what was exported before and what stands in it."""

    room: Classroom
    name: str
    platform: str
    overwrite: bool = False
    filled: Filled = field(default_factory=Filled)

    def __post_init__(self) -> None:
        self.roster = Roster.open(self.room)
        self.path = (
            self.room.root / "results" / self.name / f".exported_{self.platform}.json"
        )
        try:
            self.before: dict[str, list[str]] = json.loads(self.path.read_text("utf-8"))
        except (OSError, ValueError):
            self.before = {}

    def remember(self) -> None:
        """Keep what was written: the next export may replace it."""
        write_atomically(self.path, json.dumps(self.before | self.filled.written))

    def moodle(self, made: list[Grade], table: tables.Table, path: str) -> Filled:
        """Fill in Moodle's grading worksheet."""
        at = sheets.need(table, path)
        if at.modified is None:
            self.filled.notes.append(
                "Moodle refuses a worksheet without 'Last modified (grade)': "
                "download it again with all its columns"
            )
        people = sheets.told(table, path)
        matched = self._matched(made, people)
        mine = {i for i in (at.identifier, at.grade, at.maximum, at.modified) if i}
        mine |= {at.identifier, at.comments or at.grade, at.grade}
        for told in people:
            row, one = table.rows[told.row], matched.get(told.row)
            if one is None:
                continue
            if at.maximum is not None:
                self._compare(row[at.maximum], one)
            row[at.grade] = self._grade(row[at.grade], one)
            if at.comments is not None and one.comment and one.score is not None:
                row[at.comments] = self._text(row[at.comments], one)
        rows = [
            [c if i in mine or c.strip() == "-" else _inert(c) for i, c in enumerate(r)]
            for r in table.rows
        ]
        self.filled.text = tables.text(table.head, rows)
        return self.filled

    def canvas(
        self, made: list[Grade], table: tables.Table, path: str, column: str = ""
    ) -> Filled:
        """Fill in Canvas's gradebook."""
        if not sheets.canvas_head(table):
            heads = ", ".join(table.head)
            raise CourseError(
                f"{path} is no gradebook of Canvas: it needs columns Student and ID. "
                f"It has: {heads}"
            )
        at = self._column(table, path, column)
        people = sheets.told(table, path)
        matched = self._matched(made, people)
        for row in table.rows:
            if row[0].strip() == "Points Possible":
                if re.search(r"read\s+only", row[at]):
                    raise CourseError(
                        f"{path}: {table.head[at]} is read only in Canvas"
                    )
                if made:
                    self._compare(row[at], made[0])
        for told in people:
            row, one = table.rows[told.row], matched.get(told.row)
            if one is not None:
                row[at] = self._grade(row[at], one)
        names = [table.head.index(n) for n in STUDENT if n in table.head]
        for told in people:
            row = table.rows[told.row]
            for i in names:
                row[i] = _inert(row[i])
        separator = table.separator if table.separator in ",;" else ","
        self.filled.text = tables.text(table.head, table.rows, separator)
        return self.filled

    def _column(self, table: tables.Table, path: str, wanted: str) -> int:
        titled = [i for i, t in enumerate(table.head) if re.search(r"\s\(\d+\)$", t)]
        if wanted:
            same = [i for i, t in enumerate(table.head) if t == wanted.strip()]
            found = same or [
                i for i in titled if tables.key(wanted) in tables.key(table.head[i])
            ]
            looked = f"--column {wanted}"
        else:
            known = tables.key(self.name)
            found = [
                i
                for i, t in enumerate(table.head)
                if known in tables.key(t) and (i in titled or t == self.name)
            ]
            looked = f"{self.name} (number)"
        if len(found) != 1:
            there = ", ".join(table.head[i] for i in titled) or "none"
            many = "more than one column is" if found else "no column is"
            raise CourseError(
                f"{path}: {many} called {looked}; name one with --column. "
                f"Assignments in this gradebook of Canvas: {there}"
            )
        return found[0]

    def _matched(
        self, made: list[Grade], people: list[sheets.Told]
    ) -> dict[int, Grade]:
        """Say which row is whose, and list who stands on one side only."""
        by_student = {one.student: one for one in made}
        by_id = {one.lms_id: one for one in made}
        matched: dict[int, Grade] = {}
        for told in people:
            sign = told.sign
            try:
                person = self.roster.find(sign, self.name)
            except Ambiguous as error:
                self.filled.notes.append(f"left as it is: {error}")
                continue
            one = by_student.get(person.student) if person else None
            if one and person and not self.roster.called(person, sign.name):
                said = f"{sign.name} in the sheet is {person.name} here: look at it"
                self.filled.notes.append(f"{one.student} ({sign.number}): {said}")
            if one is None and person is None:
                other = by_id.get(sign.number)
                known = other and self.roster.number(
                    other.student, self.name, self.platform
                )
                one = other if not known else None
            if one is not None:
                matched[told.row] = one
            elif person is None or person.student not in by_student:
                who = sign.name or sign.number
                self.filled.notes.append(f"in the sheet only: {who} ({sign.number})")
        numbered = [
            one
            for one in made
            if self.roster.number(one.student, self.name, self.platform)
        ]
        if people and numbered and not matched:
            raise CourseError(
                f"nobody of {self.name} is in this sheet: it is another assignment's"
            )
        there = {one.student for one in matched.values()}
        doubled = [
            s for s in there if sum(m.student == s for m in matched.values()) > 1
        ]
        for row in [row for row, one in matched.items() if one.student in doubled]:
            self.filled.notes.append(
                f"left as it is: {matched[row].student} stands in several rows"
            )
            del matched[row]
        for one in made:
            if one.student not in there and one.handed_in:
                self.filled.notes.append(f"in the class only: {one.student}")
        return matched

    def _grade(self, old: str, one: Grade) -> str:
        """Return what stands in a grade's cell afterwards."""
        notes, there = self.filled.notes, old.strip()
        if there.upper() in EXCUSED:
            notes.append(f"stays {there}: {one.student}")
            return old
        if one.score is None:
            notes.append(f"left {there or 'empty'}: {one.student}, {one.why}")
            return old
        new = f"{one.score:.2f}"
        last = (self.before.get(one.student) or [""])[0]
        free = there in ("", "-") or _same(there, new) or _same(there, last)
        if not free and not (self.overwrite and _value(there) is not None):
            notes.append(
                f"stays {there}, typed there: {one.student}, who has {new} here "
                "(--overwrite replaces it)"
            )
            return old
        self.filled.written.setdefault(one.student, ["", ""])[0] = new
        return new

    def _text(self, old: str, one: Grade) -> str:
        """Return what stands in a comment's cell afterwards."""
        last = (self.before.get(one.student) or ["", ""])[1]
        if old.strip() and old not in (one.comment, last) and not self.overwrite:
            self.filled.notes.append(f"the comment stays, typed there: {one.student}")
            return old
        self.filled.written.setdefault(one.student, ["", ""])[1] = one.comment
        return one.comment

    def _compare(self, cell: str, one: Grade) -> None:
        value = _value(cell)
        if value is not None and value != one.maximum:
            said = (
                f"the sheet is out of {value:g} points, {self.name} of {one.maximum:g}"
            )
            if self.platform == "moodle" and value < one.maximum:
                said += ": Moodle leaves out grades above its own"
            if said not in self.filled.notes:
                self.filled.notes.append(said)


STUDENT = ("Student", "LastName", "FirstName")


def _value(cell: str) -> float | None:
    try:
        return float(cell.strip().replace(",", "."))
    except ValueError:
        return None


def _same(one: str, other: str) -> bool:
    value = _value(one)
    return value is not None and value == _value(other)


def _inert(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; a number is none."""
    if _value(cell) is not None or cell.lstrip()[:1] not in ("=", "+", "-", "@"):
        return cell
    return "'" + cell


# ------------------------------------------------------------------------- new sheets


def new_moodle(made: Iterable[Grade]) -> str:
    """Return a CSV that Moodle imports with its language set to English."""
    head = [
        "Identifier",
        "Full name",
        "Grade",
        "Maximum Grade",
        "Last modified (grade)",
    ]
    lines = (
        [
            safe(f"Participant {one.lms_id}"),
            safe(one.full_name),
            _shown(one.score),
            f"{one.maximum:.2f}",
            "",  # not known: Moodle asks for the column alone
        ]
        for one in made
        if one.handed_in
    )
    return tables.text(head, lines)


def new_canvas(made: Iterable[Grade], name: str) -> str:
    """Return a gradebook for Canvas, which creates an assignment of this name."""
    made = list(made)
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", name]
    maximum = made[0].maximum if made else 0.0
    rows = [["    Points Possible", "", "", "", "", f"{maximum:.2f}"]]
    for one in made:
        row = [safe(one.full_name), safe(one.lms_id), "", "", "", _shown(one.score)]
        rows.append(row)
    return tables.text(head, rows)


def _shown(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"


# ------------------------------------------------------------------ pages of feedback


def feedback_zip(room: Classroom, name: str, platform: str) -> tuple[bytes, list[str]]:
    """Return the zip that a platform takes feedback files from, and who is not in it.

    Moodle reads `Full name_NUMBER_assignfeedback_file_/file`, Canvas the first two
    numbers between underscores: the student's and that of the file handed in.
    """
    roster = Roster.open(room)
    missing = []
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        for student in room.students(name):
            page = room.feedback(student, name)
            known = roster.number(student, name, platform)
            if not page.exists():
                missing.append(f"{student}: no page of feedback yet")
                continue
            if known is None or not known.number:
                missing.append(f"{student}: no number of {platform.title()} is known")
                continue
            if platform == "moodle":
                person = roster.people.get(student)
                shown = re.sub(r'[_\\/:*?"<>|&\s]+', " ", person.name if person else "")
                shown = printable(shown).strip(" .") or "Participant"
                entry = f"{shown}_{known.number}_assignfeedback_file_/{name}.html"
            elif not known.prefix:
                missing.append(f"{student}: not handed in through Canvas")
                continue
            else:
                entry = f"{known.prefix}_{name}.html"
            info = zipfile.ZipInfo(entry, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            packed.writestr(info, page.read_bytes())
    return made.getvalue(), missing
