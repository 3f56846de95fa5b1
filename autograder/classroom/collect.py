"""From the zip of a learning platform into `submitted/`, with everybody accounted for.

Names are as the platforms make them. Moodle (mod/assign/classes/downloader.php):
`Full name_NUMBER_assignsubmission_file/...`, in older versions with `_` at the end or
everything in one name; a team's name and number instead, or no number ("Default
group"); the same word for everybody where marking is blind. Underscores in a name
become blanks. Canvas (lib/content_zipper.rb): `name_NUMBER_ATTACHMENT_file`, `LATE_`
before the number; `anon_SIGN` instead of name and number; `..._text.html` and
`..._link.html` for what was typed in. All letters and digits of the name, small, in
one word.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..course import MAX_SUBMISSION, Course, write_atomically
from . import archive, sheets
from .gradebook import Classroom
from .roster import Ambiguous, Handed, Roster, Sign, ordered

MOODLE = re.compile(
    r"(?P<name>.+?)(?:_(?P<number>\d+))?_assignsubmission_(?P<plugin>[a-z]+)"
    r"(?:_(?P<file>.*))?",
    re.ASCII | re.DOTALL,
)
CANVAS = re.compile(
    r"(?P<name>.+?)_(?:(?P<late>LATE)_)?(?P<number>\d+)_(?P<attachment>\d+)_(?P<file>.+)",
    re.ASCII | re.DOTALL,
)
CANVAS_ANONYMOUS = re.compile(
    r"(?:(?P<late>LATE)_)?anon_(?P<number>[A-Za-z0-9]+)_(?P<attachment>\d+)_(?P<file>.+)",
    re.DOTALL,
)
CANVAS_TYPED = re.compile(
    r"(?:(?:LATE_)?anon_[A-Za-z0-9]+|.+?_(?:LATE_)?\d+)_(?:text|link)\.html"
)
# "Participant" in the languages of Moodle (lang/LANGUAGE/assign.php, `participant`).
BLIND = {"participant", "teilnehmer", "teilnehmerin", "participante", "deelnemer"}
BLIND |= {"участник", "uczestnik", "katılımcı", "partecipante", "deltagare", "deltaker"}
BLIND |= {"deltager", "osallistuja", "参加者", "参与者", "účastník", "udeleženec"}
ENDINGS = re.compile(r"(\.ipynb)?(?: ?\(\d+\))?(\.(?:txt|json|html?))?$", re.I)
VERSION = re.compile(r"(?:[-_ ]*(?:copy|kopie|v)?[-_ ]*\(?(\d+)\)?)$", re.I)


@dataclass(frozen=True)
class Sender:
    """Whose file it is, as its name in the archive says."""

    sign: Sign
    file: str  # the path below the sender's own folder
    attachment: int = 0  # Canvas counts uploads
    prefix: str = ""
    late: str = ""


@dataclass(frozen=True)
class Candidate:
    """A file that may be what somebody hands in for a notebook."""

    sender: Sender
    file: archive.File
    notebook: str
    exact: bool
    stem: str
    version: int


@dataclass
class Collected:
    """What became of an archive."""

    new: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    people: list[str] = field(default_factory=list)  # new in the roster
    older: list[str] = field(default_factory=list)  # "file: what counts instead"
    late: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)  # "file: why"
    missing: dict[str, list[str]] = field(default_factory=dict)  # by notebook


# -------------------------------------------------------------- whose file, for what


def sender(path: str) -> Sender | str:
    """Say whose file a path in an archive is, or why that cannot be said."""
    parts = PurePosixPath(path).parts
    for at, part in enumerate(parts):
        rest = parts[at + 1 :]
        if found := MOODLE.fullmatch(part):
            if found["plugin"] != "file":
                return "a text typed online, not a notebook: read it in Moodle"
            name = " ".join(found["name"].split())
            number = found["number"] or ""
            blind = name.casefold() in BLIND
            sign = Sign(name, "moodle", number, anonymous=blind)
            file = "/".join(filter(None, (found["file"], *rest)))
            prefix = f"{found['name']}_{number}" if number else ""
            return Sender(sign, file, prefix=prefix)
        if CANVAS_TYPED.fullmatch(part) and not rest:
            return "a text or a link typed into Canvas, not a notebook: read it there"
        unknown = CANVAS_ANONYMOUS.fullmatch(part)
        if found := unknown or CANVAS.fullmatch(part):
            number = found["number"]
            name = f"anon_{number}" if unknown else " ".join(found["name"].split())
            sign = Sign(name, "canvas", number, anonymous=bool(unknown))
            file = "/".join((found["file"], *rest))
            prefix = part[: found.start("file")].removesuffix("_")
            late = "LATE" if found["late"] else ""
            return Sender(sign, file, int(found["attachment"]), prefix, late)
    return "the name is neither Moodle's nor Canvas's"


def which(
    file: str, notebooks: Iterable[str], only: str = ""
) -> tuple[str, bool, str, int] | str:
    """Say which notebook a file name stands for, or why that cannot be said.

    Returns:
        the notebook, whether the name is exactly its own, the name without what
        browsers and people append, and the number among that.
    """
    base = PurePosixPath(file).name
    ending = ENDINGS.search(base)
    assert ending is not None  # everything in it is optional
    stem = base[: ending.start()]
    if not ending[0] and "." in stem:
        kind = "." + stem.rpartition(".")[2].lower()
        if kind in archive.OTHER_PACKERS:
            return f"packed in a way that is not read ({kind}): unpack it by hand"
        if kind == ".py":
            return "a script, not a notebook: the .ipynb is needed"
        return "not a notebook"
    if (ending[2] or not ending[0]) and not ending[1] and not _in(stem, notebooks):
        return "not a notebook"
    found = _in(stem, notebooks)
    number = VERSION.search(stem)
    version = int(number[1][:9]) if number and number[1].isascii() else 0
    if len(found) == 1:
        (name,) = found
        exact = base == f"{name}.ipynb"
        return name, exact, name, 0 if _key(stem).endswith(name) else version
    if len(found) > 1:
        return f"the names of several notebooks are in it ({', '.join(found)})"
    if not only:
        return "no notebook of the course has this name (--notebook says which)"
    return only, False, stem[: number.start()] if number else stem, version


def _key(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "_".join(re.findall(r"[^\W_]+", plain))


def _in(stem: str, notebooks: Iterable[str]) -> list[str]:
    """Return the notebooks whose name, with or without its number, is in a name."""
    plain = _key(stem)
    whole = [name for name in notebooks if name in plain]
    whole = [n for n in whole if not any(n != o and n in o for o in whole)]
    if whole:
        return whole
    return [name for name in notebooks if f"_{name[3:]}_" in f"_{plain}_"]


# ---------------------------------------------------------------------- collecting


def collect(
    room: Classroom,
    path: Path,
    notebooks: list[str],
    only: str = "",
    *,
    course: Course | None = None,
    worksheet: Path | None = None,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> Collected:
    """Sort the submissions of a platform's zip into `submitted/`.

    Args:
        notebooks: the names of the course's notebooks.
        only: a notebook that files of any other name stand for, too.
        course: tells which notebooks are as they were handed out.
        worksheet: Moodle's or Canvas's, with e-mail addresses, ID numbers and times.
        progress: goes through the students, and shows how far it is.

    Raises:
        CourseError: if the archive or a table cannot be read; nothing is written then.
    """
    roster = Roster.open(room)
    told = sheets.people(worksheet) if worksheet else []
    result = Collected()
    came: dict[Sign, dict[str, list[Candidate]]] = {}
    beside: list[tuple[Sign, str]] = []
    for file in archive.files(path):
        if isinstance(file, tuple):
            result.unmatched.append(": ".join(file))
            continue
        who = sender(file.path)
        if isinstance(who, str):
            result.unmatched.append(f"{file.path}: {who}")
            continue
        found = which(who.file, notebooks, only)
        if isinstance(found, str):
            beside.append((who.sign, f"{file.path}: {found}"))
            continue
        candidate = Candidate(who, file, *found)
        came.setdefault(who.sign, {}).setdefault(found[0], []).append(candidate)
    for sign, line in beside:
        after = " (beside a notebook)" if sign in came else ""
        result.unmatched.append(line + after)
    collecting = _Collecting(room, roster, course, result, told)
    collecting.everybody(came, progress)
    roster.save(room)
    for name in sorted({name for found in came.values() for name in found}):
        there = set(room.students(name))
        result.missing[name] = [s for s in sorted(roster.people) if s not in there]
    return result


@dataclass
class _Collecting:
    room: Classroom
    roster: Roster
    course: Course | None
    result: Collected
    told: list[sheets.Told]
    given: dict[str, list[str] | None] = field(default_factory=dict)
    timed: set[tuple[str, str]] = field(default_factory=set)

    def everybody(
        self,
        came: dict[Sign, dict[str, list[Candidate]]],
        progress: Callable[[list[str]], Iterable[str]],
    ) -> None:
        names = sorted({name for found in came.values() for name in found})
        by_number = {one.sign.number: one for one in self.told}
        namesakes = Counter(ordered(sign.name) for sign in came)
        known: dict[Sign, str] = {}
        waiting: list[Sign] = []
        for sign in came:
            notebook = min(came[sign])
            full = self._full(sign, by_number)
            try:
                person = self.roster.find(full, notebook)
            except Ambiguous as error:
                self._refuse(came[sign], str(error))
                continue
            twins = namesakes[ordered(sign.name)] > 1 and not full.email
            if person and twins and not self.roster.by_number(full, notebook):
                why = f"two people here are called {sign.name}: give the worksheet"
                self._refuse(came[sign], f"{why} with e-mail addresses")
                continue
            if person is None:
                waiting.append(sign)
                continue
            known[sign] = person.student
            self._learn(sign, full, person.student, came[sign])
        for sign in waiting:
            full = self._full(sign, by_number)
            present = set(known.values())
            maybe = self.roster.renamed(full, min(came[sign]), present)
            if maybe:
                self._refuse(
                    came[sign],
                    f"{sign.name} is not in roster.csv, and may be {', '.join(maybe)} "
                    "under a new name: write it there under `also`, or add a line",
                )
                continue
            person = self.roster.add(full)
            self.result.people.append(f"{person.student}: {person.name}")
            known[sign] = person.student
            self._learn(sign, full, person.student, came[sign])
        if len(names) == 1:
            sheets.learn(self.roster, self.told, names[0])
        signs = {known[sign]: sign for sign in known}
        with self.room.gradebook() as book:
            for student in progress(sorted(signs)):
                found = came[signs[student]]
                self._hand_in(student, found)
                person = self.roster.people[student]
                first, _, last = person.name.rpartition(" ")
                more = {"email": person.email} if person.email else {}
                if signs[student].platform == "canvas":
                    more["lms_user_id"] = signs[student].number
                book.update_or_create_student(
                    student, first_name=first, last_name=last, **more
                )

    def _full(self, sign: Sign, by_number: dict[str, sheets.Told]) -> Sign:
        told = by_number.get(sign.number) if sign.number else None
        if told is None or told.sign.anonymous:
            return sign
        return told.sign if told.sign.platform == sign.platform else sign

    def _learn(
        self, sign: Sign, full: Sign, student: str, found: dict[str, list[Candidate]]
    ) -> None:
        self.roster.complete(self.roster.people[student], full)
        told = next((t for t in self.told if t.sign.number == sign.number), None)
        for name, candidates in found.items():
            last = max(candidates, key=lambda c: c.sender.attachment).sender
            late = last.late or (told.status if told else "")
            time = told.time if told else ""
            handed = Handed(
                student, name, sign.platform, sign.number, last.prefix, time, late
            )
            self.roster.learn(self.roster.people[student], handed)
            if time:
                self.timed.add((student, name))
            if last.late:
                self.result.late.append(f"{student}: {name}")

    def _refuse(self, found: dict[str, list[Candidate]], why: str) -> None:
        for candidates in found.values():
            for one in candidates:
                self.result.unmatched.append(f"{one.file.path}: {why}")

    def _hand_in(self, student: str, found: dict[str, list[Candidate]]) -> None:
        """Choose what counts of a student's files, and store it."""
        chosen: dict[str, tuple[Candidate, bytes, bool]] = {}
        for name, candidates in found.items():
            read = []
            for one in candidates:
                try:
                    data = one.file.read(MAX_SUBMISSION)
                except archive.Damaged as error:
                    self.result.unmatched.append(f"{one.file.path}: {error}")
                    continue
                if not one.file.name.lower().endswith(".ipynb") and not _notebook(data):
                    self.result.unmatched.append(f"{one.file.path}: not a notebook")
                    continue
                read.append((one, data, self._worked_on(name, data)))
            if not read:
                continue
            stems = {one.stem for one, _, _ in read}

            def order(item: tuple[Candidate, bytes, bool], stems: set[str] = stems):
                one, _, worked_on = item
                version = one.version if len(stems) == 1 else 0
                newest = (one.sender.attachment, one.file.when)
                return worked_on, version, *newest, one.exact, one.version, one.stem

            best = max(read, key=order)
            chosen[name] = best
            for other in read:
                if other is not best:
                    why = f"{best[0].file.name} counts, the newest that was worked on"
                    self.result.older.append(f"{other[0].file.path}: {why}")
        anything = any(worked_on for _, _, worked_on in chosen.values())
        for name, (one, data, worked_on) in sorted(chosen.items()):
            there = self.room.submission(student, name)
            if not worked_on and (
                (anything and len(chosen) > 1)
                or (there.exists() and data != _old(there))
            ):
                said = "as it was handed out: not taken"
                self.result.older.append(f"{one.file.path}: {said}")
                continue
            self._store(student, one, data)

    def _store(self, student: str, one: Candidate, data: bytes) -> None:
        path = self.room.submission(student, one.notebook)
        there = path.exists()
        changed = write_atomically(path, data)
        said = f"{student}: {one.notebook}"
        if not one.exact:
            said += f" (from {one.sender.file})"
        kind = self.result.replaced if there else self.result.new
        (kind if changed else self.result.unchanged).append(said)
        handed = self.roster.number(student, one.notebook, one.sender.sign.platform)
        stamp = path.parent / "timestamp.txt"
        if handed and (student, one.notebook) in self.timed:
            write_atomically(stamp, handed.time + "\n")
        elif there and changed and stamp.exists():
            stamp.unlink()  # the time of what was replaced
            if handed:
                handed.time = ""
            self.result.late.append(f"{said}: when it was handed in is not known now")

    def _worked_on(self, name: str, data: bytes) -> bool:
        """Whether a notebook differs from the one that everybody was given."""
        if self.course is None:
            return True
        if name not in self.given:
            release = self.course.release(name)
            self.given[name] = _texts(_old(release))
        return self.given[name] is None or _texts(data) != self.given[name]


def _notebook(data: bytes) -> bool:
    return _texts(data) is not None


def _texts(data: bytes) -> list[str] | None:
    """Return the texts of a notebook's cells; None where it is none."""
    try:
        cells = json.loads(data, strict=False)["cells"]
        sources = [cell.get("source") or "" for cell in cells]
        texts = ["".join(s) if isinstance(s, list) else str(s) for s in sources]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return ["\n".join(map(str.rstrip, text.strip().splitlines())) for text in texts]


def _old(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
