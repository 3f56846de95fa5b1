"""One class: what it handed in, and nbgrader's gradebook with what became of it.

The folders are nbgrader's own, so that formgrader, `nbgrader export` and every other
command of it see the same class. Only one process writes: the one that grades.
"""

import contextlib
import json
import os
import sqlite3
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.dbutil import ALEMBIC_DIR
from nbgrader.preprocessors import (
    AssignLatePenalties,
    NbGraderPreprocessor,
    SaveAutoGrades,
    SaveCells,
)
from sqlalchemy.exc import SAWarning

from ..authors import pairs, steps
from ..authors.assignment import Assignment
from ..authors.assignment import assignment as asked_in
from ..course import Course, CourseError, find_course, printable, write_atomically
from . import moments

COURSE_ID = "odenets"


@dataclass(frozen=True)
class Classroom:
    """The folders of a class below `root`; an instructor's is `autograder/`."""

    root: Path

    @property
    def submitted(self) -> Path:
        return self.root / "submitted"

    @property
    def url(self) -> str:
        """The gradebook, as SQLAlchemy calls it."""
        return f"sqlite:///{self.root.resolve()}/gradebook.db"

    def submission(self, student: str, name: str) -> Path:
        """The notebook that a student handed in."""
        return self.submitted / student / name / f"{name}.ipynb"

    def autograded(self, student: str, name: str) -> Path:
        """Its executed copy, for formgrader."""
        return self.root / "autograded" / student / name / f"{name}.ipynb"

    def feedback(self, student: str, name: str) -> Path:
        """The page for the student."""
        return self.root / "feedback" / student / name / f"{name}.html"

    def result(self, student: str, name: str) -> Path:
        """What we know beyond the gradebook: checks, reasons, the key of the run."""
        return self.root / "results" / name / f"{student}.json"

    def table(self, name: str) -> Path:
        """The table of a notebook as CSV."""
        return self.root / f"{name}.csv"

    def students(self, name: str) -> list[str]:
        """Return who handed in something for `name`, in order."""
        return [one for one in self._folders(name) if _is_text(one)]

    def misnamed(self, name: str) -> list[str]:
        """Return the folders with something for `name` whose own name is no text.

        `unzip` leaves such names: bytes that are not UTF-8.
        """
        folders = self._folders(name)
        return [printable(one) for one in folders if not _is_text(one)]

    def _folders(self, name: str) -> list[str]:
        if not self.submitted.is_dir():
            return []
        return sorted(
            folder.name
            for folder in self.submitted.iterdir()
            if not folder.name.startswith(".")
            and folder.is_dir()
            and not folder.is_symlink()
            and os.path.lexists(folder / name)
        )

    def read_result(self, student: str, name: str) -> dict[str, Any] | None:
        """Return the stored result, or None where there is none that can be read."""
        try:
            found = json.loads(self.result(student, name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and "key" in found else None

    def timestamp(self, student: str, name: str) -> tuple[datetime | None, str]:
        """Return when it was handed in (UTC), and a note where that is unreadable."""
        path = self.submitted / student / name / "timestamp.txt"
        try:
            text = path.read_text(encoding="utf-8-sig", errors="replace").strip()
            return (moments.moment(text) if text else None), ""
        except OSError:
            return None, ""
        except moments.Unclear:
            return None, "the time of the submission cannot be read"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep a second run out for as long as this one grades, even if it is killed.

        Raises:
            CourseError: if another run is at work.
        """
        import fcntl

        path = self.root / "results" / ".lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CourseError(f"another run grades {self.root} now") from None
            yield

    # --------------------------------------------------------------- the gradebook

    @contextlib.contextmanager
    def gradebook(self) -> Iterator[Gradebook]:
        """Open the gradebook; it is created where there is none."""
        self.root.mkdir(parents=True, exist_ok=True)
        _create(self.root / "gradebook.db")
        with _quiet(), Gradebook(self.url, COURSE_ID) as book:
            yield book

    def enter_assignment(self, asked: Assignment) -> None:
        """Let the gradebook know the cells of an assignment as they are now.

        Raises:
            CourseError: if cells came or went although submissions are graded.
        """
        with self.gradebook() as book:
            book.update_or_create_assignment(asked.name)
        try:
            self._record(asked.course, [SaveCells], asked.complete, asked.name)
        except CourseError as error:
            if "submissions associated" not in str(error):
                raise
            raise CourseError(
                f"{asked.name}: cells came or went after submissions were graded.\n"
                f"Keep the old gradebook ({self.root}/gradebook.db), move "
                "it away, and grade again."
            ) from None

    def enter_absent(
        self, student: str, name: str, settled: dict[str, dict[str, Any]]
    ) -> None:
        """Give nothing to a submission that could not be read, as nbgrader does.

        Args:
            settled: what a person has to read nevertheless (see `enter`).
        """
        with self.gradebook() as book:
            self._submission(book, student, name)
            notebook = book.find_submission_notebook(name, name, student)
            for grade in notebook.grades:
                grade.auto_score = 0
            self._settle(notebook, settled)
            book.db.commit()

    def enter(
        self,
        asked: Assignment,
        student: str,
        notebook: NotebookNode,
        settled: dict[str, dict[str, Any]],
    ) -> None:
        """Record an executed notebook: the copy for formgrader, and its grades.

        The scores stand in the outputs of the test cells, where nbgrader looks for
        them; this side wrote them there.

        Args:
            settled: by cell, whether it `waits` for a person (see `changes.settled`).
        """
        name = asked.name
        write_atomically(self.autograded(student, name), pairs.to_text(notebook))
        with self.gradebook() as book:
            self._submission(book, student, name)
        kinds = [SaveAutoGrades, AssignLatePenalties]
        self._record(asked.course, kinds, notebook, name, student)
        with self.gradebook() as book:
            self._settle(book.find_submission_notebook(name, name, student), settled)
            book.db.commit()

    @staticmethod
    def _settle(notebook: Any, settled: dict[str, dict[str, Any]]) -> None:
        """Ask for a person where one is needed, and only there.

        nbgrader would ask again for all that was ever graded by hand, and for answers
        that are not there.
        """
        for grade in notebook.grades:
            grade.needs_manual_grade = settled.get(grade.name, {}).get("waits", False)
            if grade.auto_score is None and not grade.needs_manual_grade:
                grade.auto_score = 0.0

    def _record(
        self,
        course: Course,
        kinds: list[type[NbGraderPreprocessor]],
        notebook: NotebookNode,
        name: str,
        student: str = "",
    ) -> None:
        """Let steps of nbgrader record a notebook in this gradebook."""
        config = steps.load_config(course)
        with _quiet():
            steps.apply(
                config, kinds, notebook, name, student=student, gradebook=self.url
            )

    def _submission(self, book: Gradebook, student: str, name: str) -> None:
        book.update_or_create_student(student)
        time, _ = self.timestamp(student, name)
        when = {"timestamp": time} if time is not None else {}
        book.update_or_create_submission(name, student, **when)

    def manual(
        self, name: str, students: Iterable[str] | None = None
    ) -> dict[str, dict[str, dict[str, Any]]]:
        """Return what the gradebook says, by student and cell.

        The score, whether it was given by hand, whether it waits for a person, and the
        comment.

        Args:
            students: whose; by default everyone's.
        """
        found: dict[str, dict[str, dict[str, Any]]] = {}
        if not (self.root / "gradebook.db").exists():
            return found
        with self.gradebook() as book:
            try:
                if students is None:
                    submissions = book.assignment_submissions(name)
                else:
                    submissions = [book.find_submission(name, s) for s in students]
            except MissingEntry:
                return found
            for submission in submissions:
                found[submission.student.id] = _decisions(submission)
        return found

    def entered(self, name: str) -> set[str]:
        """Return the students whose submission of `name` is in the gradebook."""
        if not (self.root / "gradebook.db").exists():
            return set()
        with self.gradebook() as book:
            try:
                submissions = book.assignment_submissions(name)
            except MissingEntry:
                return set()
            return {submission.student.id for submission in submissions}

    def enrolled(self) -> list[str]:
        """Return the students that the gradebook knows."""
        if not (self.root / "gradebook.db").exists():
            return []
        with self.gradebook() as book:
            return sorted(student.id for student in book.students)


def before_autograde(assignment: str, **_: Any) -> None:
    """Enter an assignment that the gradebook does not know: nbgrader calls this."""
    room = Classroom(Path.cwd())
    with room.gradebook() as book:
        known = {one.name for one in book.assignments}
    if assignment not in known:
        room.enter_assignment(asked_in(find_course(), assignment))


def _is_text(name: str) -> bool:
    """Whether a file's name is UTF-8: Python shows other bytes as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _create(path: Path) -> None:
    """Lay the ground of a gradebook where there is none.

    nbgrader would ask a program, `alembic`, which version its tables have: it takes
    seconds, and may not be found.
    """
    if path.exists() and path.stat().st_size:
        return
    from alembic.script import ScriptDirectory

    head = ScriptDirectory(ALEMBIC_DIR).get_current_head()
    with contextlib.closing(sqlite3.connect(path)) as book, book:
        book.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        book.execute("INSERT INTO alembic_version VALUES (?)", (head,))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what SQLAlchemy has to say about nbgrader's way of using it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        yield


def _decisions(submission: Any) -> dict[str, dict[str, Any]]:
    cells: dict[str, dict[str, Any]] = {}
    for notebook in submission.notebooks:
        for grade in notebook.grades:
            cells[grade.name] = {
                "score": float(grade.score),
                "waits": bool(grade.needs_manual_grade),
                "by_hand": grade.manual_score is not None,
            }
        for comment in notebook.comments:
            cell = cells.setdefault(comment.name, {})
            cell["comment"] = comment.manual_comment or ""
    return cells
