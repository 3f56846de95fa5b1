"""To and from a learning management system: its zip of submissions, its CSV of grades.

Moodle and Canvas are known. An archive comes from outside, so nothing of it chooses
where a file goes: names are parsed, and files are written to places that we compute.
"""

import csv
import io
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from nbgrader.api import MissingEntry

from ..course import MAX_SUBMISSION, CourseError, write_atomically
from .gradebook import Classroom
from .report import safe

MAX_FILES = 50_000
MAX_TOTAL = 4 << 30
MAX_RATIO = 500

# Jane Doe_123456_assignsubmission_file_/01_topic.ipynb, and the same without the slash
MOODLE = re.compile(
    r"(?P<name>[^/]+?)_(?P<id>\d+)_assignsubmission_file_?/?(?P<file>.*)",
    re.ASCII,
)
# doejane_LATE_12345_678901_01_topic-2.ipynb: the student, the submission, the version
CANVAS = re.compile(
    r"(?P<name>[^_/]+)_(?:LATE_)?(?P<id>\d+)_(?P<submission>\d+)_(?P<file>[^/]+)",
    re.ASCII,
)
VERSION = re.compile(r"(?:-(?P<canvas>\d+)| ?\((?P<browser>\d+)\))?\.ipynb$", re.ASCII)


@dataclass(frozen=True)
class Found:
    """A submission in an archive."""

    student: str
    full_name: str
    lms_id: str
    notebook: str
    version: int
    entry: zipfile.ZipInfo


@dataclass
class Collected:
    """What became of an archive."""

    new: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)  # "file: why"


# ---------------------------------------------------------------------- collecting


def collect(
    room: Classroom, archive: Path, notebooks: list[str], only: str = ""
) -> Collected:
    """Sort the submissions of an LMS's zip into `submitted/`.

    Args:
        notebooks: the names of the course's notebooks.
        only: a notebook that files of any other name stand for, too.

    Raises:
        CourseError: if the archive cannot be read, or plays tricks; nothing is
            written then.
    """
    try:
        opened = zipfile.ZipFile(archive)
    except (OSError, zipfile.BadZipFile) as error:
        raise CourseError(f"{archive} is not a zip that can be read: {error}") from None
    result = Collected()
    with opened:
        entries = [entry for entry in opened.infolist() if not entry.is_dir()]
        _refuse_tricks(archive, entries)
        best: dict[tuple[str, str], Found] = {}
        for entry in entries:
            found = parse(entry, notebooks, only)
            if isinstance(found, str):
                result.unmatched.append(f"{entry.filename}: {found}")
                continue
            key = (found.student, found.notebook)
            old = best.get(key)
            if old is None or old.version < found.version:
                best[key] = found
                older = old
            else:
                older = found
            if older is not None:
                said = "a later version counts"
                result.unmatched.append(f"{older.entry.filename}: {said}")
        contents = {key: _content(opened, found.entry) for key, found in best.items()}
    for key in sorted(best):
        _store(room, best[key], contents[key], result)
    return result


def _refuse_tricks(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive that reaches out of its folder or blows up."""
    if len(entries) > MAX_FILES:
        raise CourseError(f"{archive} holds {len(entries)} files: refused")
    total = 0
    for entry in entries:
        name = entry.filename
        path = PurePosixPath(name)
        mode = entry.external_attr >> 16
        tricks = {
            "an absolute path": path.is_absolute() or re.match(r"[A-Za-z]:", name),
            "a path that leaves the archive": ".." in path.parts,
            "a backslash in a path": "\\" in entry.orig_filename,
            "a null in a path": "\0" in entry.orig_filename,
            "a link": stat.S_ISLNK(mode),
            "something that is not a file": stat.S_IFMT(mode)
            not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK),
            "an encrypted file": entry.flag_bits & 1,
            "a file that is far larger than it says": entry.file_size
            > MAX_RATIO * max(entry.compress_size, 1000),
        }
        for trick, there in tricks.items():
            if there:
                raise CourseError(f"{archive}: {trick} ({name!r}): refused")
        total += entry.file_size
    if total > MAX_TOTAL:
        raise CourseError(f"{archive} holds {total >> 30} GB: refused")


def parse(entry: zipfile.ZipInfo, notebooks: list[str], only: str) -> Found | str:
    """Say whose submission for what an entry is, or why that cannot be said."""
    name = entry.filename
    parts = PurePosixPath(name).parts
    match = None
    for start in range(len(parts)):
        rest = "/".join(parts[start:])
        match = MOODLE.fullmatch(rest) or CANVAS.fullmatch(rest)
        if match:
            break
    if match is None:
        return "the name is neither Moodle's nor Canvas's"
    file = PurePosixPath(match["file"]).name
    if not file.endswith(".ipynb"):
        return "not a notebook"
    suffix = VERSION.search(file)
    assert suffix is not None  # both numbers are optional
    version = int(suffix["canvas"] or suffix["browser"] or 0)
    notebook = file[: suffix.start()]
    if notebook not in notebooks:
        if not only:
            return "no notebook of the course has this name (--notebook says which)"
        notebook, version = only, -1  # a right name wins over a guess
    if entry.file_size > MAX_SUBMISSION:
        return f"{entry.file_size >> 20} MB: too large for a notebook"
    full_name = " ".join(match["name"].split())
    student = f"{_slug(full_name)}_{match['id']}"
    return Found(student, full_name, match["id"], notebook, version, entry)


def _slug(name: str) -> str:
    """Return a name that is a good folder on every system."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "student"


def _content(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        with opened.open(entry) as file:
            data = file.read(MAX_SUBMISSION + 1)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise CourseError(f"{entry.filename} cannot be unpacked: {error}") from None
    if len(data) > MAX_SUBMISSION:
        raise CourseError(f"{entry.filename} is larger than it says: refused")
    return data


def _store(room: Classroom, found: Found, data: bytes, result: Collected) -> None:
    path = room.submission(found.student, found.notebook)
    there = path.exists()
    changed = write_atomically(path, data)
    said = f"{found.student}: {found.notebook}"
    kind = result.replaced if there else result.new
    (kind if changed else result.unchanged).append(said)
    with room.gradebook() as book:
        first, _, last = found.full_name.rpartition(" ")
        book.update_or_create_student(
            found.student, first_name=first, last_name=last, lms_user_id=found.lms_id
        )


# ---------------------------------------------------------------------- exporting


@dataclass(frozen=True)
class Grade:
    """What an LMS wants to know of a student."""

    student: str
    full_name: str
    lms_id: str
    score: float | None  # None: somebody still has to read an answer
    maximum: float


def grades(room: Classroom, name: str) -> list[Grade]:
    """Return everyone's grade in notebook `name`, late penalties subtracted."""
    made = []
    with room.gradebook() as book:
        try:
            maximum = float(book.find_assignment(name).max_score)
        except MissingEntry:
            raise CourseError(f"{name}: nothing is graded yet") from None
        for student in book.students:
            full_name = " ".join(filter(None, (student.first_name, student.last_name)))
            try:
                submission = book.find_submission(name, student.id)
            except MissingEntry:
                score: float | None = 0.0
            else:
                penalty = submission.late_submission_penalty or 0.0
                score = round(max(0.0, float(submission.score) - penalty), 2)
                if submission.needs_manual_grade:
                    score = None
            lms_id = student.lms_user_id or student.id
            made.append(
                Grade(student.id, full_name or student.id, lms_id, score, maximum)
            )
    return sorted(made, key=lambda one: one.student)


def moodle(made: Iterable[Grade], worksheet: str = "") -> str:
    """Return Moodle's grading worksheet: the given one filled in, or a new one."""
    by_id = {f"Participant {one.lms_id}": one for one in made}
    if worksheet:
        rows = list(csv.DictReader(io.StringIO(worksheet.removeprefix("\ufeff"))))
        if not rows or not {"Identifier", "Grade"} <= set(rows[0]):
            raise CourseError("a worksheet of Moodle has columns Identifier and Grade")
        for row in rows:
            one = by_id.get(row["Identifier"])
            if one is not None and one.score is not None:
                row["Grade"] = f"{one.score:.2f}"
        return _csv(list(rows[0]), ([row[k] or "" for k in rows[0]] for row in rows))
    head = ["Identifier", "Full name", "Grade", "Maximum Grade"]
    lines = (
        [safe(identifier), safe(one.full_name), _shown(one.score), f"{one.maximum:.2f}"]
        for identifier, one in by_id.items()
    )
    return _csv(head, lines)


def canvas(made: Iterable[Grade], name: str, worksheet: str = "") -> str:
    """Return Canvas's gradebook: the given one filled in, or a new one."""
    made = list(made)
    by_id = {one.lms_id: one for one in made}
    if worksheet:
        reader = csv.reader(io.StringIO(worksheet.removeprefix("\ufeff")))
        head, *rows = [row for row in reader if row]
        columns = [i for i, title in enumerate(head) if title.startswith(name)]
        if "ID" not in head or len(columns) != 1:
            raise CourseError(
                f"a gradebook of Canvas has columns ID and {name} (number)"
            )
        identifier = head.index("ID")
        for row in rows:
            one = by_id.get(row[identifier])
            if one is not None and one.score is not None:
                row[columns[0]] = f"{one.score:.2f}"
        return _csv(head, rows)
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", name]
    maximum = made[0].maximum if made else 0.0
    rows = [["    Points Possible", "", "", "", "", f"{maximum:.2f}"]]
    for one in made:
        row = [safe(one.full_name), safe(one.lms_id), "", "", "", _shown(one.score)]
        rows.append(row)
    return _csv(head, rows)


def _shown(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"


def _csv(head: list[str], rows: Iterable[list[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()
