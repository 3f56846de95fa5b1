"""One student instead of two: people who were entered twice become one.

Nothing is guessed: only who has one name (or e-mail) and never handed in the same
notebook twice is offered, and nothing is done before it was shown.
"""

import contextlib
import json
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ..course import CourseError, write_atomically
from . import feedback
from .gradebook import Classroom
from .roster import Roster, ordered


@dataclass(frozen=True)
class Merge:
    """Who becomes whom, or why not."""

    into: str
    doubles: tuple[str, ...]
    problem: str = ""


def proposed(room: Classroom, named: list[str]) -> list[Merge]:
    """Return who would be merged.

    Args:
        named: the students to make one of, the one to keep first; by default all who
            have the same name.

    Raises:
        CourseError: if somebody named is not known.
    """
    roster = Roster.open(room)
    known = {*roster.people, *room.enrolled()}
    if named:
        unknown = [student for student in named if student not in known]
        if unknown or len(named) < 2:
            said = f"not in this class: {', '.join(unknown)}" if unknown else "name two"
            raise CourseError(f"merge KEEP DOUBLE ...: {said}")
        return [_merge(room, named[0], tuple(named[1:]))]
    groups: dict[object, list[str]] = defaultdict(list)
    for student in sorted(known):
        person = roster.people.get(student)
        if person and person.email:
            groups[person.email.casefold()].append(student)
        elif person and person.name and not student.startswith("anon_"):
            groups[ordered(person.name)].append(student)
    found = []
    for students in groups.values():
        if len(students) > 1:
            first = max(students, key=lambda s: (len(_notebooks(room, s)), s))
            rest = tuple(s for s in students if s != first)
            found.append(_merge(room, first, rest))
    return found


def _merge(room: Classroom, into: str, doubles: tuple[str, ...]) -> Merge:
    seen = set(_notebooks(room, into))
    for double in doubles:
        both = seen & _notebooks(room, double)
        if both:
            which = ", ".join(sorted(both))
            said = f"two people, or {which} of one of them has to go by hand"
            return Merge(into, doubles, f"both handed in {which}: {said}")
        seen |= _notebooks(room, double)
    return Merge(into, doubles)


def _notebooks(room: Classroom, student: str) -> set[str]:
    """Return what a student handed in, by the folders and by the gradebook."""
    folder = room.submitted / student
    found = (
        {one.name for one in folder.iterdir() if one.is_dir()}
        if folder.is_dir()
        else set()
    )
    with _database(room) as book:
        for (name,) in book.execute(
            "SELECT a.name FROM submitted_assignment s JOIN assignment a "
            "ON a.id = s.assignment_id WHERE s.student_id = ?",
            (student,),
        ):
            found.add(name)
    return found


@contextlib.contextmanager
def _database(room: Classroom) -> Iterator[sqlite3.Connection]:
    path = room.root / "gradebook.db"
    if not path.exists():
        with room.gradebook():
            pass
    with contextlib.closing(sqlite3.connect(path)) as book, book:
        yield book


def merge(room: Classroom, merges: list[Merge]) -> list[str]:
    """Do it, the gradebook kept beside as it was; return what was done."""
    roster = Roster.open(room)
    shutil.copy2(room.root / "gradebook.db", room.root / "gradebook.before-merge.db")
    done = []
    changed: set[str] = set()
    for one in merges:
        for double in one.doubles if not one.problem else ():
            for top in ("submitted", "autograded", "feedback"):
                there = room.root / top / double
                for folder in sorted(there.iterdir()) if there.is_dir() else []:
                    target = room.root / top / one.into / folder.name
                    if not target.exists():
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.move(folder, target)
                with contextlib.suppress(OSError):
                    there.rmdir()
            for path in sorted(room.root.glob(f"results/*/{double}.json")):
                result = json.loads(path.read_text("utf-8")) | {"student": one.into}
                target = room.result(one.into, path.parent.name)
                if not target.exists():
                    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
                    write_atomically(target, text)
                path.unlink()
                changed.add(path.parent.name)
            with _database(room) as book:
                book.execute(
                    "UPDATE submitted_assignment SET student_id = ? "
                    "WHERE student_id = ?",
                    (one.into, double),
                )
                book.execute("DELETE FROM student WHERE id = ?", (double,))
            for handed in roster.handed:
                if handed.student == double:
                    handed.student = one.into
            gone = roster.people.pop(double, None)
            kept = roster.people.get(one.into)
            if gone and kept:
                kept.email = kept.email or gone.email
                kept.id_number = kept.id_number or gone.id_number
                if gone.name and ordered(gone.name) != ordered(kept.name):
                    kept.also = ";".join(filter(None, (kept.also, gone.name)))
            done.append(f"{double} is now {one.into}")
    roster.save(room)
    for name in changed:
        feedback.rewrite(room, name)
    return done
