"""Who is who: one person is one student, whatever a platform calls them.

`roster.csv` is for people to read and to mend: the student's name in our folders, the
full name, e-mail, ID number, and other names (`also`). `handed_in.csv` keeps what a
platform said of each submission: its number for the person, which Moodle gives anew in
every assignment (mod/assign/locallib.php, `get_uniqueid_for_user`) and Canvas once.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from itertools import count

from ..course import CourseError, write_atomically
from . import tables
from .gradebook import Classroom

FIELDS = {
    "student": ("student", "student id", "student_id"),
    "name": ("name", "full name", "fullname", "student name"),
    "email": ("email", "e-mail", "email address", "mail"),
    "id_number": ("id number", "id_number", "idnumber", "matriculation number"),
    "also": ("also", "other names"),
}
PARTICLES = {"van", "von", "der", "den", "del", "bin", "ibn", "dos", "las", "los"}


@dataclass
class Person:
    """A line of `roster.csv`."""

    student: str
    name: str = ""
    email: str = ""
    id_number: str = ""
    also: str = ""  # other names, separated by semicolons
    more: dict[str, str] = field(default_factory=dict)  # columns of the instructor's

    @property
    def names(self) -> list[str]:
        return [name for name in (self.name, *self.also.split(";")) if name.strip()]


@dataclass
class Handed:
    """A line of `handed_in.csv`: one person in one assignment of a platform."""

    student: str
    notebook: str
    platform: str  # moodle, canvas
    number: str
    prefix: str = ""  # what the platform's file name begins with
    time: str = ""
    late: str = ""


@dataclass(frozen=True)
class Sign:
    """What tells who somebody is, as far as it is known."""

    name: str = ""
    platform: str = ""
    number: str = ""
    email: str = ""
    id_number: str = ""
    anonymous: bool = False


class Ambiguous(Exception):
    """A person who may be one of several; the message says whom, and what to do."""


@dataclass
class Roster:
    """The people of a class."""

    people: dict[str, Person] = field(default_factory=dict)
    handed: list[Handed] = field(default_factory=list)
    there: bool = False  # it was there before: who is missing in it is news

    @classmethod
    def open(cls, room: Classroom) -> "Roster":
        """Read the roster of a class, or make it from its gradebook."""
        made = cls()
        path = room.root / "roster.csv"
        if path.exists():
            made.there = True
            for person in in_table(tables.read(path), str(path)):
                made.people[person.student] = person
        else:
            made._from_gradebook(room)
        path = room.root / "handed_in.csv"
        if path.exists():
            table = tables.read(path)
            names = [f.name for f in fields(Handed)]
            columns = [table.column(name) for name in names]
            for row in table.rows:
                cells = [_unsafe(row[c]) if c is not None else "" for c in columns]
                made.handed.append(Handed(*cells))
        return made

    def _from_gradebook(self, room: Classroom) -> None:
        if not (room.root / "gradebook.db").exists():
            return
        came: dict[str, list[str]] = {}
        if room.submitted.is_dir():
            for folder in room.submitted.glob("*/*/"):
                came.setdefault(folder.parent.name, []).append(folder.name)
        with room.gradebook() as book:
            for one in book.students:
                name = " ".join(filter(None, (one.first_name, one.last_name)))
                self.people[one.id] = Person(one.id, name, one.email or "")
                number = re.search(r"_(\d+)$", one.id)
                platform = "canvas" if name and name == tables.key(name) else "moodle"
                digits = number[1] if number else one.lms_user_id or ""
                for notebook in came.get(one.id, []) if digits else []:
                    self.handed.append(Handed(one.id, notebook, platform, digits))
        self.there = bool(self.people)

    def save(self, room: Classroom) -> None:
        """Write both files; nothing in them is a formula of a spreadsheet."""
        from .tables import safe

        more = list(dict.fromkeys(k for p in self.people.values() for k in p.more))
        people = [
            [*(getattr(p, name) for name in FIELDS), *(p.more.get(k, "") for k in more)]
            for p in self.people.values()
        ]
        handed = sorted(list(asdict(one).values()) for one in self.handed)
        for name, head, rows in (
            ("roster.csv", [*FIELDS, *more], people),
            ("handed_in.csv", [f.name for f in fields(Handed)], handed),
        ):
            shown = ([safe(cell) for cell in row] for row in rows)
            write_atomically(room.root / name, tables.text(head, shown))

    # ------------------------------------------------------------------ who it is

    def number(self, student: str, notebook: str, platform: str) -> Handed | None:
        """Return what a platform said of a student in one notebook."""
        for one in self.handed:
            if (one.student, one.platform) == (student, platform):
                if one.notebook == notebook:
                    return one
        return None

    def by_number(self, sign: Sign, notebook: str) -> str | None:
        """Return whose number it is: Moodle's count for one notebook only."""
        if not sign.number:
            return None
        for one in self.handed:
            if (one.platform, one.number) == (sign.platform, sign.number):
                same = one.notebook == notebook
                if same or (one.platform == "canvas" and not sign.anonymous):
                    return one.student
        return None

    def find(self, sign: Sign, notebook: str) -> Person | None:
        """Return the person of the roster that a sign belongs to.

        Raises:
            Ambiguous: if it may be one of several people.
        """
        student = self.by_number(sign, notebook)
        if student in self.people:
            return self.people[student]
        if sign.anonymous:
            return None
        free = [p for p in self.people.values() if not self._other(p, sign, notebook)]
        for same in (
            lambda p: bool(sign.email) and p.email.casefold() == sign.email.casefold(),
            lambda p: bool(sign.id_number) and p.id_number == sign.id_number,
            lambda p: any(ordered(n) == ordered(sign.name) for n in p.names),
            lambda p: any(turned(n) & turned(sign.name) for n in p.names),
        ):
            found = [person for person in free if same(person)]
            if len(found) > 1:
                who = ", ".join(person.student for person in found)
                raise Ambiguous(
                    f"{sign.name} ({sign.number}) may be {who}: give the worksheet "
                    "with e-mail addresses, `merge` them where they are one, or write "
                    "another name under `also`"
                )
            if found:
                return found[0]
        return None

    def called(self, person: Person, name: str) -> bool:
        """Whether a person may be called that: nothing is known against it."""
        known = person.names
        return not name or not known or any(turned(n) & turned(name) for n in known)

    def _other(self, person: Person, sign: Sign, notebook: str) -> bool:
        """Whether a person is certainly somebody else."""
        if sign.email and person.email:
            if sign.email.casefold() != person.email.casefold():
                return True
        if sign.id_number and person.id_number and sign.id_number != person.id_number:
            return True
        return any(
            one.student == person.student
            and one.platform == sign.platform
            and one.number != sign.number
            and bool(sign.number)
            and (one.platform == "canvas" or one.notebook == notebook)
            for one in self.handed
        )

    def renamed(self, sign: Sign, notebook: str, present: set[str]) -> list[str]:
        """Return who of the roster, missing here, may have taken this new name."""
        if not self.there or sign.anonymous:
            return []
        words = _words(sign.name)
        squashed = tables.key(sign.name) if sign.platform == "canvas" else ""
        found = []
        for person in self.people.values():
            if person.student in present or self._other(person, sign, notebook):
                continue
            own = {word for name in person.names for word in _words(name)}
            if own & words or any(word in squashed for word in own):
                found.append(person.student)
        return found

    def add(self, sign: Sign) -> Person:
        """Enter a new person under a name that is a good folder on every system."""
        name = slug(sign.name)
        if sign.anonymous and sign.platform == "canvas":
            name = f"anon_{sign.number}"
        elif sign.number:
            name = f"{name}_{sign.number}"
        taken = {tables.key(student) for student in self.people}
        student = next(
            one
            for n in count(1)
            if tables.key(one := name if n == 1 else f"{name}-{n}") not in taken
        )
        person = Person(student, sign.name, sign.email, sign.id_number)
        self.people[student] = person
        return person

    def complete(self, person: Person, sign: Sign) -> None:
        """Fill in what is not known yet of a person."""
        if sign.anonymous:
            return
        person.email = person.email or sign.email
        person.id_number = person.id_number or sign.id_number
        squashed = person.name == tables.key(person.name)  # from a file of Canvas
        if sign.name and (not person.name or (squashed and " " in sign.name)):
            person.name = sign.name

    def learn(self, person: Person, handed: Handed) -> None:
        """Keep what a platform said of a person in one notebook."""
        handed.student = person.student
        old = self.number(person.student, handed.notebook, handed.platform)
        if old is None:
            self.handed.append(handed)
            return
        old.number = handed.number or old.number
        old.prefix = handed.prefix or old.prefix
        old.time = handed.time or old.time
        if handed.prefix:  # a file came, and was late or was not
            old.late = handed.late


def in_table(table: tables.Table, path: str) -> Iterable[Person]:
    """Return who stands in a roster, or in any list with names."""
    columns = {name: table.column(*titles) for name, titles in FIELDS.items()}
    first = table.column("first name", "given name", "Vorname", "Prénom", "Nombre")
    last = table.column("surname", "last name", "Nachname", "Nom", "Apellido(s)")
    both = columns["name"] is None and first is not None and last is not None
    if columns["student"] is None and columns["name"] is None and not both:
        raise CourseError(f"{path} has no column `student` or `name`")
    seen: set[str] = set()
    for row in table.rows:
        cells = {
            name: " ".join(_unsafe(row[column]).split())
            for name, column in columns.items()
            if column is not None
        }
        if first is not None and last is not None and both:
            cells["name"] = f"{row[first].strip()} {row[last].strip()}"
        student = cells.get("student") or slug(cells.get("name", ""))
        if "/" in student or student.startswith(".") or "\\" in student:
            raise CourseError(f"{path}: {student!r} is no name for a folder")
        if student in seen:
            raise CourseError(f"{path}: the student {student} is there twice")
        seen.add(student)
        more = {
            title: _unsafe(row[column])
            for column, title in enumerate(table.head)
            if column not in columns.values() and title
        }
        yield Person(**(cells | {"student": student}), more=more)


def _unsafe(text: str) -> str:
    """Take back what `tables.safe` puts before a formula."""
    return text[1:] if re.match(r"'\s*[=+@-]", text) else text


def slug(name: str) -> str:
    """Return a name that is a good folder: its letters, Latin ones without marks."""
    letters = []
    for c in unicodedata.normalize("NFC", name).casefold():
        if "LATIN" in unicodedata.name(c, ""):
            plain = unicodedata.normalize("NFKD", c)
            letters.append("".join(p for p in plain if not unicodedata.combining(p)))
        else:
            letters.append(c if unicodedata.category(c)[0] in "LMN" else "-")
    made = "-".join(filter(None, "".join(letters).split("-")))
    while len(made.encode()) > 150:  # a folder's name has 255 bytes
        made = made[:-1]
    return made or "student"


def _words(name: str) -> set[str]:
    words = re.findall(r"[^\W\d_]{3,}", unicodedata.normalize("NFKC", name).casefold())
    return set(words) - PARTICLES


def ordered(name: str) -> tuple[str, ...]:
    """Return the words of a name in order, first names first; () for no name."""
    last, comma, first = name.partition(",")
    plain = unicodedata.normalize("NFKC", f"{first} {last}" if comma else name)
    return tuple(re.findall(r"\w+", plain.casefold())) or ("", name)


def turned(name: str) -> set[str]:
    """Return a name as one word, begun at any of its words, as Canvas writes it."""
    words = ordered(name)
    return {"".join(words[i:] + words[:i]) for i in range(len(words))} - {""}
