"""The sheets of learning platforms: which column is which, and who stands in a row.

Moodle's grading worksheet has its heads in the language of whoever downloads it, and
its columns in a fixed order (mod/assign/gradingtable.php): number, name, further fields
of the user, status, grade, maximum, (workflow), whether it can be changed, submitted,
(typed text), graded, comments. Canvas's gradebook (lib/gradebook_exporter.rb) has the
heads Student (or LastName, FirstName), ID, SIS User ID, SIS Login ID, Section in
English always, then `Title (number)` for each assignment.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from ..course import CourseError
from . import moments, tables
from .roster import Ambiguous, Handed, Person, Roster, Sign, in_table

NUMBERED = re.compile(r"(?P<word>[^\W\d].*?)\s?(?P<number>\d+)", re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
# As the language packs have them (lang/LANGUAGE/moodle.php and assign.php).
GRADE = ["Grade", "Bewertung", "Note", "Calificación", "Nota", "Valutazione", "Cijfer"]
GRADE += ["Beoordeling", "Оценка", "Ocena", "Qualificació", "Arvosana", "Betyg", "Not"]
GRADE += [
    "Karakter",
    "Vurdering",
    "Kalifikazioa",
    "Hodnocení",
    "Známka",
    "評点",
    "評定",
]
GRADE += ["成绩", "Osztályzat", "Βαθμός", "Avaliação", "Notă", "Оцінка"]
MODIFIED = ["Last modified (grade)", "Zuletzt geändert (Bewertung)"]
MODIFIED += ["Dernière modification (note)", "Última modificación (calificación)"]
MODIFIED += ["Laatst gewijzigd (beoordeling)", "Последнее изменение (оценка)"]
MODIFIED += ["最終更新日時 (評定)", "Ultima modifica (valutazione)"]
COMMENTS = ["Feedback comments", "Feedback als Kommentar", "Commentaires de feedback"]
COMMENTS += ["Comentarios de retroalimentación", "Commenti", "Comentários de feedback"]
ID_NUMBER = ["ID number", "ID-Nummer", "Numéro d'identification", "Número de ID"]
ID_NUMBER += ["Matrikelnummer", "Codice identificativo", "ID-nummer", "Student ID"]
ID_NUMBER += ["SIS User ID", "Индивидуальный номер", "Numer ID"]


@dataclass(frozen=True)
class Told:
    """A person in a sheet: who it is, and what the platform knows of the submission."""

    row: int
    sign: Sign
    status: str = ""
    time: str = ""


@dataclass(frozen=True)
class Moodle:
    """The columns of a grading worksheet."""

    identifier: int
    name: int | None
    email: int | None
    id_number: int | None
    grade: int
    maximum: int | None
    modified: int | None
    comments: int | None
    submitted: int | None
    status: int | None


def moodle(table: tables.Table) -> Moodle | None:
    """Return the columns of Moodle's worksheet; None where it is none."""
    columns = list(zip(*table.rows)) if table.rows else [()] * len(table.head)
    identifier = next((c for c, cells in enumerate(columns) if _numbered(cells)), None)
    if identifier is None:
        identifier = table.column("Identifier") if not table.rows else None
    if identifier is None:
        return None
    grade = table.column(*GRADE)
    maximum = None
    if grade is not None and grade + 1 < len(columns):
        if all(NUMBER.fullmatch(cell.strip()) for cell in columns[grade + 1]):
            maximum = grade + 1
    if grade is None:  # in any other language: before the column with one number only
        for c in range(identifier + 2, len(columns)):
            before = all(_grade_like(cell) for cell in columns[c - 1])
            if before and len(set(columns[c])) == 1 and NUMBER.fullmatch(columns[c][0]):
                grade, maximum = c - 1, c
                break
    if grade is None:
        return None
    last = len(table.head) - 1
    modified, comments = table.column(*MODIFIED), table.column(*COMMENTS)
    if modified is None and maximum is not None and last >= maximum + 3:
        # The last column, or the one before the comments: "-" where nobody graded.
        dated = all(cell == "-" or re.search(r"\d{4}", cell) for cell in columns[last])
        modified = last if dated else last - 1
    if comments is None and modified is not None and modified == last - 1:
        comments = last
    email = next((c for c, cells in enumerate(columns) if _emails(cells)), None)
    submitted = None
    if modified is not None and maximum is not None:
        dates = range(maximum + 1, modified)
        submitted = next((c for c in dates if _dates(columns[c])), None)
    name = table.column("Full name", "Name")
    if name is None and identifier + 2 < grade:  # blind: the status alone lies between
        name = identifier + 1
    return Moodle(
        identifier,
        name,
        email,
        table.column(*ID_NUMBER),
        grade,
        maximum,
        modified,
        comments,
        submitted,
        grade - 1 if grade - 1 > (name if name is not None else identifier) else None,
    )


def _numbered(cells: tuple[str, ...]) -> bool:
    """Whether all cells are one word and a number: "Participant 4411"."""
    found = [NUMBERED.fullmatch(cell.strip()) for cell in cells if cell.strip()]
    words = {match["word"].strip() if match else "" for match in found}
    return len(words) == 1 and words != {""}


def number(cell: str) -> str:
    """Return the number at the end of an identifier; "" where there is none."""
    found = NUMBERED.fullmatch(cell.strip())
    return found["number"] if found else ""


def _grade_like(cell: str) -> bool:
    return cell.strip() in ("", "-") or bool(NUMBER.fullmatch(cell.strip()))


def _emails(cells: tuple[str, ...]) -> bool:
    there = [cell for cell in cells if cell.strip()]
    return bool(there) and all(re.fullmatch(r"\S+@\S+", cell.strip()) for cell in there)


def _dates(cells: tuple[str, ...]) -> bool:
    there = [cell for cell in cells if cell.strip() not in ("", "-")]
    dated = re.compile(r"(?:19|20)\d\d.*\d[:.]\d\d")
    return bool(there) and all(dated.search(cell) for cell in there)


# -------------------------------------------------------------------------- people


def people(path: Path) -> list[Told]:
    """Return who stands in a worksheet, a gradebook, or any list with names.

    Raises:
        CourseError: if it is none of these.
    """
    return told(tables.read(path), str(path))


def told(table: tables.Table, path: str) -> list[Told]:
    """Return who stands in a table."""
    if canvas_head(table):
        return list(_in_canvas(table))
    columns = moodle(table)
    if columns is not None:
        return list(_in_moodle(table, columns))
    return [
        Told(row, Sign(one.name, "", "", one.email, one.id_number))
        for row, one in enumerate(in_table(table, path))
    ]


def _in_moodle(table: tables.Table, at: Moodle) -> list[Told]:
    found = []
    for index, row in enumerate(table.rows):

        def cell(column: int | None, row: list[str] = row) -> str:
            return " ".join(row[column].split()) if column is not None else ""

        digits = number(row[at.identifier])
        if not digits:
            continue
        name = cell(at.name)
        blind = name == cell(at.identifier) or not name
        sign = Sign(
            name, "moodle", digits, cell(at.email), cell(at.id_number), anonymous=blind
        )
        try:
            when = moments.moment(cell(at.submitted), moments.local)
            time = moments.stamp(when)
        except moments.Unclear:
            time = ""
        found.append(Told(index, sign, cell(at.status), time))
    return found


def canvas_head(table: tables.Table) -> bool:
    """Whether a table is a gradebook of Canvas (lib/gradebook_importer.rb, header?)."""
    return "ID" in table.head and ("Student" in table.head or "LastName" in table.head)


def is_student(table: tables.Table, row: list[str]) -> bool:
    """Whether a row of Canvas's gradebook is a student's, and no test student's."""
    first = row[0].strip()
    digits = row[table.head.index("ID")].strip()
    return bool(digits) and first not in ("Points Possible", "Student, Test")


def _in_canvas(table: tables.Table) -> list[Told]:
    found = []
    login, sis = table.column("SIS Login ID"), table.column("SIS User ID")
    for index, row in enumerate(table.rows):
        if not is_student(table, row):
            continue
        if "Student" in table.head:
            cell = row[table.head.index("Student")]
            excel = re.fullmatch(r'="(.*)"', cell)  # how Canvas writes a name with "="
            last, _, first = (excel[1] if excel else cell).partition(",")
        else:
            last = row[table.head.index("LastName")]
            first = row[table.head.index("FirstName")]
        name = " ".join(f"{first} {last}".split())
        email = row[login].strip() if login is not None and "@" in row[login] else ""
        identity = row[sis].strip() if sis is not None else ""
        digits = row[table.head.index("ID")].strip()
        found.append(Told(index, Sign(name, "canvas", digits, email, identity)))
    return found


def learn(roster: Roster, found: list[Told], notebook: str) -> list[str]:
    """Complete a roster by what a sheet tells; return who remains unclear.

    Args:
        notebook: the one whose sheet it is; "" for a list of people.
    """
    unclear: list[str] = []
    new: list[Told] = []
    present: set[str] = set()

    def keep(one: Told, person: Person) -> None:
        roster.complete(person, one.sign)
        platform, digits = one.sign.platform, one.sign.number
        if digits and (notebook or platform == "canvas"):
            if roster.number(person.student, notebook, platform) is None:
                handed = Handed(person.student, notebook, platform, digits)
                roster.learn(person, handed)

    for one in found:
        if one.sign.anonymous:
            continue
        try:
            person = roster.find(one.sign, notebook)
        except Ambiguous as error:
            unclear.append(str(error))
            continue
        if person is None:
            new.append(one)
        else:
            present.add(person.student)
            keep(one, person)
    for one in new:
        if maybe := roster.renamed(one.sign, notebook, present):
            who = f"{one.sign.name} may be {', '.join(maybe)} under a new name"
            unclear.append(f"{who}: say so in roster.csv, under `also`, or add a line")
            continue
        keep(one, person := roster.add(one.sign))
        present.add(person.student)
    return unclear


def need(table: tables.Table, path: str) -> Moodle:
    """Return the columns of Moodle's worksheet.

    Raises:
        CourseError: if it is none; the message says what was looked for.
    """
    columns = moodle(table)
    if columns is None:
        heads = ", ".join(table.head)
        raise CourseError(
            f"{path} is no grading worksheet of Moodle: it needs columns Identifier "
            f"('Participant 4411') and Grade, in any language. It has: {heads}"
        )
    return columns
