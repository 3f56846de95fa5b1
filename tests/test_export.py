"""Grades and feedback go back: what an importer would read, and nothing else changes.

`moodle_import` and `canvas_import` follow the rules of the platforms' own importers
(mod/assign/feedback/offline, mod/assign/feedback/file/importziplib.php;
lib/gradebook_importer.rb, Assignment#infer_comment_context_from_filename).
"""

import csv
import io
import json
import re
import zipfile
from datetime import datetime

import pytest
from grading_tools import TINY, executed, hand_in, needs_bubblewrap, rows
from grading_tools import graded as run_graded

from autograder.classroom import late, lms, moments, sheets, tables
from autograder.classroom.gradebook import Classroom
from autograder.classroom.roster import Handed, Person, Roster
from autograder.course import CourseError

NAME = "01_resnets_as_euler"
EN = "Identifier,Full name,Email address,Status,Grade,Maximum Grade,"
EN += "Grade can be changed,Last modified (submission),Last modified (grade),"
EN += "Feedback comments\n"
DE = "ID,Vollständiger Name,E-Mail-Adresse,Status,Bewertung,Bestwertung,"
DE += "Bewertung kann geändert werden,Zuletzt geändert (Abgabe),"
DE += "Zuletzt geändert (Bewertung),Feedback als Kommentar\n"


def graded(tmp_path, platform, **scores):
    """A class: student -> (number, name, score); None: nothing was handed in."""
    room = Classroom(tmp_path / "class")
    roster = Roster()
    with room.gradebook() as book:
        book.add_assignment(NAME)
        book.add_notebook(NAME, NAME)
        book.add_grade_cell("test_a", NAME, NAME, max_score=20, cell_type="code")
        for student, (number, name, score) in scores.items():
            first, _, last = name.rpartition(" ")
            book.add_student(student, first_name=first, last_name=last)
            roster.people[student] = Person(student, name)
            prefix = f"{student}_{number}_900{number[-1]}"
            roster.handed.append(Handed(student, NAME, platform, number, prefix))
            if score is None:
                continue
            book.add_submission(NAME, student)
            grade = book.find_grade("test_a", NAME, NAME, student)
            grade.auto_score, grade.needs_manual_grade = score, score < 0
            path = room.submission(student, NAME)
            path.parent.mkdir(parents=True)
            path.write_text("{}")
            result = {"key": "k", "exercises": [], "manual": [], "answers": {}}
            exercise = {"exercise": "a", "score": score, "points": 20.0}
            exercise |= {"reason": 'it says "x" \\', "checks": []}
            result |= {"notes": [], "readable": True, "student": student}
            result |= {"notebook": NAME, "titles": {"a": "Exercise 1.1"}}
            result["exercises"] = [exercise]
            room.result(student, NAME).parent.mkdir(parents=True, exist_ok=True)
            room.result(student, NAME).write_text(json.dumps(result))
            room.feedback(student, NAME).parent.mkdir(parents=True)
            room.feedback(student, NAME).write_text(f"<p>{student}</p>")
        book.db.commit()
    roster.save(room)
    return room


def fill(room, platform, data, overwrite=False, column=""):
    path = room.root / "sheet.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    filling = lms.Filling(room, NAME, platform, overwrite)
    made = lms.with_comments(room, NAME, lms.grades(room, NAME, platform))
    table = tables.read(path)
    if platform == "moodle":
        filled = filling.moodle(made, table, str(path))
    else:
        filled = filling.canvas(made, table, str(path), column)
    filling.remember()
    return filled


# ------------------------------------------------------------- the importers' rules


def moodle_import(text, users, language="en"):
    """Return (grades, comments) that Moodle would take over, by user.

    Args:
        users: number -> user of the assignment.
    """
    words = {
        "en": (
            "Grade",
            "Identifier",
            "Last modified (grade)",
            "Participant ",
            "Feedback comments",
        ),
        "de": (
            "Bewertung",
            "ID",
            "Zuletzt geändert (Bewertung)",
            "Teilnehmer/in",
            "Feedback als Kommentar",
        ),
    }[language]
    grade, identifier, modified, hidden, comments = words
    head, *rows = list(csv.reader(io.StringIO(text)))
    assert all(len(row) == len(head) for row in rows), "csvweirdcolumns"
    assert '\\"' not in text, "PHP's fgetcsv takes it for an escape"
    if not {grade, identifier, modified} <= set(head):
        return None  # init() returns false
    taken, said = {}, {}
    for row in rows:
        cells = dict(zip(head, row))
        number = cells[identifier][len(hidden) :]
        if not number.isdigit() or int(number) not in users:
            continue
        value = cells[grade].replace(" ", "").replace(",", ".")
        if value not in ("", "-") and float(value) >= 0:
            taken[users[int(number)]] = float(value)
        if comments in cells:
            said[users[int(number)]] = cells[comments]
    return taken, said


def canvas_import(text, users):
    """Return column -> user -> grade, as Canvas would read it."""
    lines = text.splitlines()[:3]
    sizes = {
        s: {len(next(csv.reader([line], delimiter=s))) for line in lines} for s in ";,"
    }
    counts = {s: (max(n) if len(n) == 1 else 0) for s, n in sizes.items()}
    separator = ";" if counts[";"] > counts[","] else ","
    head, *rows = csv.reader(io.StringIO(text), delimiter=separator)
    assert "Student" in head[0] and "ID" in head[1] and "Section" in "".join(head[:6])
    found = {}
    for row in rows:
        if "Points Possible" in row[0]:
            continue
        if all(re.fullmatch(r"\s*(Muted|Manual Posting.*)?\s*", c or "") for c in row):
            continue
        for title, cell in zip(head, row):
            if re.search(r"\s\(\d+\)$", title):
                number = re.fullmatch(r"-?[0-9.,]+%?", cell)
                if number:
                    *whole, part = re.split("[,.]", cell)
                    cell = f"{''.join(whole)}.{part}" if whole else part
                found.setdefault(title, {})[users[int(row[1])]] = cell
    return found


def moodle_zip(data, users):
    """Return user -> (file name, bytes), as importziplib.php reads the zip."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        for entry in packed.namelist():
            parts = ["", "import", *entry.split("/")]
            if parts[-1][0] in ".~":
                continue
            while parts:
                info = parts.pop(0).split("_", 4)
                if len(info) < 4 or not info[1].isdigit() or int(info[1]) not in users:
                    continue
                assert info[2:4] == ["assignfeedback", "file"]
                rest = "/".join([*info[4:5], *parts])
                found[users[int(info[1])]] = (
                    rest.rpartition("/")[2],
                    packed.read(entry),
                )
                break
    return found


def canvas_zip(data):
    """Return (user number, attachment number) -> bytes, as Canvas infers them."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        for entry in packed.namelist():
            parts = entry.rpartition("/")[2].split("_")
            user, attachment = [p for p in parts if re.fullmatch(r"\d+", p)][:2]
            assert not parts[-1].startswith("link") and not entry.startswith("._")
            found[int(user), int(attachment)] = packed.read(entry)
    return found


# ------------------------------------------------------------------------------ Moodle


def test_round_trip_with_moodle(tmp_path):
    room = graded(
        tmp_path,
        "moodle",
        ada=("11", "Ada Lo", 17.5),
        bob=("12", "Bob Roe", None),
        cy=("13", "Cy Doe", -1.0),
    )
    sheet = EN + "Participant 11,Ada Lo,a@x,Submitted,,20.00,Yes,-,-,\n"
    sheet += "Participant 12,Bob Roe,b@x,No submission,,20.00,Yes,-,-,\n"
    sheet += "Participant 13,Cy Doe,c@x,Submitted,,20.00,Yes,-,-,\n"
    sheet += "Participant 99,=X(),x@x,Submitted,3.00,20.00,Yes,-,-,written by hand\n"
    filled = fill(room, "moodle", "\ufeff" + sheet)
    users = {11: "ada", 12: "bob", 13: "cy", 99: "other"}
    taken, said = moodle_import(filled.text, users)
    assert taken == {"ada": 17.5, "other": 3.0}
    assert said["bob"] == "" and said["other"] == "written by hand"
    assert said["ada"] == "Exercise 1.1: 17.5 of 20. it says &quot;x&quot; &#92;"
    rows = list(csv.reader(io.StringIO(filled.text)))
    assert not [c for row in rows for c in row if c[:1] in "=+@" and c]
    notes = "\n".join(filled.notes)
    assert "bob, nothing handed in" in notes and "cy, an answer has to be read" in notes
    assert "in the sheet only: =X() (99)" in notes


def test_a_new_csv_is_one_that_moodle_imports(tmp_path):
    room = graded(tmp_path, "moodle", ada=("11", "=Ada", 17.5), bob=("12", "Bob", None))
    text = lms.new_moodle(lms.grades(room, NAME, "moodle"))
    assert moodle_import(text, {11: "ada", 12: "bob"})[0] == {"ada": 17.5}
    assert "'=Ada" in text
    before = "Identifier,Full name,Grade,Maximum Grade\nParticipant 11,Ada,1,2\n"
    assert moodle_import(before, {11: "ada"}) is None, "as it was refused"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_sheets_of_any_spreadsheet(tmp_path, encoding, separator):
    room = graded(tmp_path, "moodle", mira=("4411", "Mira Müller", 12.25))
    row = 'Teilnehmer/in4411|Mira Müller|m@x.org|Abgegeben||"20,00"|Ja|'
    row += '"Montag, 3. März 2025, 09:41"|-|\n'
    sheet = (DE.replace(",", "|") + row).replace("|", separator)
    filled = fill(room, "moodle", sheet.encode(encoding))
    taken, _ = moodle_import(filled.text, {4411: "mira"}, "de")
    assert taken == {"mira": 12.25}
    assert filled.text.splitlines()[0] == DE.strip()
    (told,) = sheets.people(room.root / "sheet.csv")
    assert told.time.startswith("2025-03-03") and told.sign.email == "m@x.org"


def test_a_short_sheet_that_excel_saved(tmp_path):
    room = graded(tmp_path, "moodle", jm=("4411", "Jörg Müller", 12.25))
    sheet = "Identifier;Full name;Grade;Last modified (grade)\n"
    sheet += "Participant 4411;Jörg Müller;;-\n"
    other = fill(room, "moodle", sheet.replace("Jörg Müller", "Mira Holm"))
    assert other.notes[-1].startswith("jm (4411): Mira Holm in the sheet is Jörg")
    filled = fill(room, "moodle", sheet.encode("cp1252"))
    assert filled.text == sheet.replace(";;", ",12.25,").replace(";", ",")
    assert filled.notes == []


def test_a_language_that_nobody_thought_of(tmp_path):
    room = graded(
        tmp_path, "moodle", mira=("4411", "Mira Holm", 12.25), bo=("7", "Bo Li", 20.0)
    )
    sheet = "Auðkenni,Fullt nafn,Kennitala,Staða,Einkunn,Hámark,Má breyta,Skilað,"
    sheet += "Breytt,Umsögn\n"
    sheet += "Þátttakandi 4411,Mira Holm,123,Skilað,,20.00,Já,-,-,\n"
    sheet += "Þátttakandi 7,Bo Li,456,Skilað,15.00,20.00,Já,-,-,\n"
    filled = fill(room, "moodle", sheet)
    rows = list(csv.reader(io.StringIO(filled.text)))
    assert [row[4] for row in rows] == ["Einkunn", "12.25", "15.00"]
    assert "Exercise 1.1" in rows[1][9] and rows[1][8] == "-"
    assert any("typed there: bo" in note for note in filled.notes)


def test_typed_grades_and_comments_stay_and_ours_are_renewed(tmp_path):
    room = graded(tmp_path, "moodle", ada=("11", "Ada", 17.5), bob=("12", "Bob", 9.0))
    sheet = EN + "Participant 11,Ada,a@x,S,,20.00,Yes,-,-,\n"
    sheet += "Participant 12,Bob,b@x,S,12.00,20.00,Yes,-,-,well done\n"
    first = fill(room, "moodle", sheet)
    users = {11: "ada", 12: "bob"}
    assert moodle_import(first.text, users)[0] == {"ada": 17.5, "bob": 12.0}
    assert moodle_import(first.text, users)[1]["bob"] == "well done"
    with room.gradebook() as book:
        book.find_grade("test_a", NAME, NAME, "ada").auto_score = 18.0
        book.db.commit()
    second = fill(room, "moodle", first.text)
    assert moodle_import(second.text, users)[0] == {"ada": 18.0, "bob": 12.0}
    third = fill(room, "moodle", second.text, overwrite=True)
    assert moodle_import(third.text, users)[0] == {"ada": 18.0, "bob": 9.0}


def test_the_sheet_of_another_assignment_is_refused(tmp_path):
    room = graded(tmp_path, "moodle", ada=("11", "Ada", 17.5))
    with pytest.raises(CourseError, match="another assignment"):
        fill(room, "moodle", EN + "Participant 71,Ada,a@x,S,,20.00,Yes,-,-,\n")


@pytest.mark.parametrize(
    "data, why",
    [
        (b"PK\x03\x04 a workbook", "workbook"),
        (b"a,b\n1,2\n", "no grading worksheet"),
        (b"", "no table"),
        (b"Identifier,Grade\nParticipant 1,\x81\x8d\n", "neither UTF-8"),
        ("Идентификатор;Оценка\nУчастник 1;\n".encode("cp1251"), "cannot be told"),
    ],
)
def test_what_is_no_sheet_is_refused_in_one_sentence(tmp_path, data, why):
    room = graded(tmp_path, "moodle", ada=("11", "Ada", 17.5))
    with pytest.raises(CourseError, match=why) as error:
        fill(room, "moodle", data)
    assert len(str(error.value).splitlines()) == 1
    with pytest.raises(CourseError, match="cannot be read: No such file"):
        tables.read(tmp_path / "none.csv")


# ------------------------------------------------------------------------------ Canvas

BOOK = (
    f"Student,ID,SIS Login ID,Section,{NAME} (4711),Notebook 5 (99001),Current Score\n"
)
BOOK += ',,,,Manual Posting,,\n"    Points Possible",,,,20.0,10.0,(read only)\n'
BOOK += '"Doe, Jane",501,jd,A,,,\n"Roe, Bob",502,br,A,EX,,\n"Lo, Al",503,al,A,N/A,,\n'
BOOK += '"=""=Evil""",504,ev,A,15.00,,\n"Student, Test",599,,A,,,\n'
USERS = {501: "jane", 502: "bob", 503: "al", 504: "evil", 599: "test"}


def canvas_class(tmp_path):
    return graded(
        tmp_path,
        "canvas",
        jane=("501", "Jane Doe", 17.5),
        bob=("502", "Bob Roe", None),
        al=("503", "Al Lo", 11.0),
        evil=("504", "=Evil", 15.0),
        zoe=("505", "Zoe Poe", 3.0),
    )


@pytest.mark.parametrize("separator", [",", ";"])
def test_round_trip_with_canvas(tmp_path, separator):
    room = canvas_class(tmp_path)
    book = io.StringIO()
    csv.writer(book, delimiter=separator).writerows(csv.reader(io.StringIO(BOOK)))
    filled = fill(room, "canvas", "\ufeff" + book.getvalue())
    came = canvas_import(filled.text, USERS)
    assert came[f"{NAME} (4711)"] == {
        "jane": "17.50",
        "bob": "EX",
        "al": "N/A",
        "evil": "15.00",
        "test": "",
    }
    assert set(came["Notebook 5 (99001)"].values()) == {""}
    notes = "\n".join(filled.notes)
    for said in ("stays EX: bob", "stays N/A: al", "in the class only: zoe"):
        assert said in notes
    assert '="=' not in filled.text.replace("'=", "")


def test_the_column_of_canvas_is_named(tmp_path):
    room = canvas_class(tmp_path)
    filled = fill(room, "canvas", BOOK, column="Notebook 5")
    assert canvas_import(filled.text, USERS)["Notebook 5 (99001)"]["jane"] == "17.50"
    assert any("out of 10 points" in note for note in filled.notes)
    other = BOOK.replace(NAME, "Homework")
    with pytest.raises(CourseError, match=r"--column.*Homework \(4711\), Notebook 5"):
        fill(room, "canvas", other)
    with pytest.raises(CourseError, match="read only"):
        fill(room, "canvas", BOOK.replace("20.0,", "(read only),"))
    with pytest.raises(CourseError, match="no gradebook of Canvas"):
        fill(room, "canvas", "a,b\n1,2\n")


# ---------------------------------------------------------------------------- feedback


def test_feedback_goes_back_as_both_platforms_read_it(tmp_path):
    room = graded(tmp_path / "m", "moodle", ada=("11", "A_d/a <Lo>: ../x", 1.0))
    data, missing = lms.feedback_zip(room, NAME, "moodle")
    assert moodle_zip(data, {11: "ada"}) == {"ada": (f"{NAME}.html", b"<p>ada</p>")}
    assert missing == []
    assert all(
        ".." not in n.split("/") for n in zipfile.ZipFile(io.BytesIO(data)).namelist()
    )
    room = canvas_class(tmp_path / "c")
    data, missing = lms.feedback_zip(room, NAME, "canvas")
    assert canvas_zip(data)[501, 9001] == b"<p>jane</p>" and len(canvas_zip(data)) == 4
    _, missing = lms.feedback_zip(room, NAME, "moodle")
    assert len(missing) == 4 and "no number of Moodle" in missing[0]


# --------------------------------------------------------------------------- late work


def test_dates_are_kept_and_said_where_they_are_unclear(tmp_path):
    room = graded(tmp_path, "moodle", ada=("11", "Ada", 1.0))
    assert "due 2025-03-01" in late.set_date(room, NAME, "2025-03-01 12:00 UTC")
    late.set_date(room, NAME, "8.3.2025 12:00 +00:00", "ada")
    assert {(d.student, d.due.day) for d in late.dates(room)} == {("", 1), ("ada", 8)}
    for text in ("03/04/2025 10:00", "tomorrow", "2025-03-01 12:00 PST"):
        with pytest.raises(CourseError):
            late.set_date(room, NAME, text)
    late.set_date(room, NAME, "none", "ada")
    assert [d.student for d in late.dates(room)] == [""]


@needs_bubblewrap
def test_a_penalty_follows_the_date(tmp_path):
    course = executed(tmp_path / "course")
    config = course.autograder / "nbgrader_config.py"
    penalty = "\nc.LateSubmissionPlugin.penalty_method = 'zero'\n"
    config.write_text(config.read_text() + penalty)
    room = Classroom(tmp_path / "class")
    hand_in(course, room, TINY, ann="# base: solution", bo="# base: solution")
    for student in ("ann", "bo"):
        stamp = room.submission(student, TINY).parent / "timestamp.txt"
        stamp.write_text("2025-03-02 12:00:00 UTC")
    run_graded(course, room, TINY)
    with room.gradebook() as book:
        book.find_assignment(TINY).duedate = datetime(2025, 3, 1)
        for student in ("ann", "bo"):
            why = book.find_grade("why", TINY, TINY, student)
            why.manual_score, why.needs_manual_grade = 1.0, False
        book.db.commit()

    def agree(student):
        """What gradebook, export, table and page say."""
        with room.gradebook() as book:
            one = book.find_submission(TINY, student)
            left = one.score - (one.late_submission_penalty or 0.0)
        grade = {g.student: g.score for g in lms.grades(room, TINY)}[student]
        total = rows(room, TINY)[student].total
        page = room.feedback(student, TINY).read_text()
        shown = float(re.search(r"<strong>([0-9.]+) of", page)[1])
        assert left == grade == total == shown
        return left

    fate = run_graded(course, room, TINY)
    assert fate.done == [] and len(fate.late) == 2, "nothing is executed for it"
    assert agree("ann") == agree("bo") == 0.0
    assert "1 day 12 hours late" in rows(room, TINY)["ann"].reasons[-1]
    late.set_date(room, TINY, "2025-03-01 00:00 UTC")
    late.set_date(room, TINY, "2025-03-03 00:00 UTC", "bo")
    assert run_graded(course, room, TINY).late == ["bo: penalty 6 -> 0 (not late)"]
    assert (agree("ann"), agree("bo")) == (0.0, 6.0)
    late.set_date(room, TINY, "2025-04-01 00:00 UTC")
    run_graded(course, room, TINY)
    assert agree("ann") == agree("bo") == 6.0
    late.set_date(room, TINY, "none")
    assert run_graded(course, room, TINY, force=True).late == []


@pytest.mark.parametrize(
    "text, moment",
    [
        ("01.03.2025 12:00", "2025-03-01 12:00"),
        ("\ufeff2025-03-01 12:00:00 UTC", "2025-03-01 12:00"),
        ("2025-03-01T12:00:00+01:00", "2025-03-01 11:00"),
        ("2025-03-01 12:00 UTC+01:00", "2025-03-01 11:00"),
        ("Tue 01.03.2025 12:00", "2025-03-01 12:00"),
        ("13/04/2025 10:00", "2025-04-13 10:00"),
        ("Montag, 3. März 2025, 09:41", "2025-03-03 09:41"),
        ("lundi 3 mars 2025, 09:41", "2025-03-03 09:41"),
        ("poniedziałek, 3 listopada 2025, 09:41", "2025-11-03 09:41"),
        ("ponedjeljak, 3. listopada 2025, 09:41", "2025-10-03 09:41"),
        ("Monday, 3 March 2025, 9:41 PM", "2025-03-03 21:41"),
        ("2025-03-01 12:00:00 PST", None),
        ("2025-03-01 12:00:00 EST", None),
        ("03/04/2025 10:00", None),
        ("2025-03-01", None),
        ("12:00", None),
        ("March 2025 12:00", None),
        ("3 listopada 2025 12:00", None),
        ("31.02.2025 12:00", None),
        ("soon", None),
        ("", None),
    ],
)
def test_a_moment_is_understood_right_or_not_at_all(text, moment):
    if moment is None:
        with pytest.raises(moments.Unclear):
            moments.moment(text)
    else:
        assert f"{moments.moment(text):%Y-%m-%d %H:%M}" == moment
