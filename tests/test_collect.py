"""Archives that a platform gives, archives that attack; one person stays one person."""

import io
import json
import re
import stat
import unicodedata
import zipfile

import pytest
from grading_tools import TINY, course, run_autograder
from hypothesis import given
from hypothesis import strategies as st

from autograder.classroom import archive, collect, merge, sheets
from autograder.classroom.gradebook import Classroom
from autograder.classroom.roster import Roster, slug
from autograder.course import CourseError

ONE, TWO = "01_resnets_as_euler", "02_iterated_networks"
KNOWN = [ONE, TWO]


def notebook(text):
    cell = {"cell_type": "code", "metadata": {}, "source": text, "outputs": []}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4})


def packed(*entries):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in entries:
            zipped.writestr(name, data)
    return made.getvalue()


def zip_of(folder, *entries):
    path = folder / "submissions.zip"
    path.write_bytes(packed(*entries))
    return path


@pytest.fixture
def room(tmp_path):
    return Classroom(tmp_path / "class")


def take(room, *entries, only="", sheet=None, **more):
    path = zip_of(room.root.parent, *entries)
    if sheet is not None:
        more["worksheet"] = room.root.parent / "sheet.csv"
        more["worksheet"].write_text(sheet, encoding="utf-8")
    return collect.collect(room, path, KNOWN, only, **more)


def students(room):
    return sorted(Roster.open(room).people)


def moodle(name, number, file=f"{ONE}.ipynb"):
    return f"{name}_{number}_assignsubmission_file/{file}"


# ------------------------------------------------------------- one person, one student


def test_numbers_of_moodle_change_and_people_do_not(room):
    take(room, (moodle("Mira Holm", 4411), notebook("one")))
    take(room, (moodle("Mira Holm", 5222, f"{TWO}.ipynb"), notebook("two")))
    (mira,) = students(room)
    assert room.submission(mira, ONE).exists() and room.submission(mira, TWO).exists()
    roster = Roster.open(room)
    assert roster.number(mira, ONE, "moodle").number == "4411"
    assert roster.number(mira, TWO, "moodle").number == "5222"
    with room.gradebook() as book:
        assert [one.id for one in book.students] == [mira]


def test_names_of_canvas_change_and_numbers_do_not(room):
    take(room, (f"holmmira_77_9001_{ONE}.ipynb", notebook("one")))
    take(room, (f"smithmira_77_9002_{TWO}.ipynb", notebook("two")))
    assert students(room) == ["holmmira_77"]


@pytest.mark.parametrize(
    "name",
    [
        "Holm, Mira",
        "MIRA HOLM",
        "Mira  Holm",
        unicodedata.normalize("NFD", "Mira Holm"),
    ],
)
def test_ways_to_write_one_name(room, name):
    take(room, (moodle("Mira Holm", 1), notebook("one")))
    take(room, (moodle(name, 2, f"{TWO}.ipynb"), notebook("two")))
    assert len(students(room)) == 1


def test_from_moodle_to_canvas(room):
    take(room, (moodle("Zoë van Dyk", 1), notebook("one")))
    take(room, (f"van dykzoë_77_9002_{TWO}.ipynb".replace(" ", ""), notebook("two")))
    assert students(room) == ["zoe-van-dyk_1"]


def test_two_of_one_name_are_two_and_later_asked_about(room):
    take(room, (moodle("Bo Li", 1), notebook("a")), (moodle("Bo Li", 2), notebook("b")))
    assert students(room) == ["bo-li_1", "bo-li_2"]
    later = [(moodle("Bo Li", n, f"{TWO}.ipynb"), notebook(str(n))) for n in (8, 9)]
    came = take(room, *later)
    assert len(came.unmatched) == 2 and "may be bo-li_1, bo-li_2" in came.unmatched[0]
    assert len(students(room)) == 2 and not came.new
    roster = Roster.open(room)
    for student, mail in (("bo-li_1", "b1@x.org"), ("bo-li_2", "b2@x.org")):
        roster.people[student].email = mail
    roster.save(room)
    sheet = (
        "Identifier,Full name,Email address,Status,Grade,Maximum Grade,"
        "Grade can be changed,Last modified (submission),Last modified (grade)\n"
        "Participant 8,Bo Li,b2@x.org,Submitted,,20.00,Yes,"
        '"Monday, 3 March 2025, 9:41 AM",-\n'
        "Participant 9,Bo Li,b1@x.org,Submitted,,20.00,Yes,-,-\n"
    )
    came = take(room, *later, sheet=sheet)
    assert came.unmatched == []
    assert '"8"' in room.submission("bo-li_2", TWO).read_text()
    when, note = room.timestamp("bo-li_2", TWO)
    assert when is not None and not note
    assert len(students(room)) == 2


def test_a_new_name_is_asked_about_where_it_may_be_an_old_person(room):
    take(
        room,
        (moodle("Mira Holm", 1), notebook("a")),
        (moodle("Al Roe", 2), notebook("b")),
    )
    second = (moodle("Mira Smith", 7, f"{TWO}.ipynb"), notebook("c"))
    came = take(room, second)
    assert "may be mira-holm_1 under a new name" in came.unmatched[0]
    assert len(students(room)) == 2
    path = room.root / "roster.csv"
    path.write_text(path.read_text().replace("Mira Holm,,,", "Mira Holm,,,Mira Smith"))
    assert take(room, second).new == [f"mira-holm_1: {TWO}"]
    assert take(room, (moodle("Kim Park", 9, f"{TWO}.ipynb"), notebook("d"))).people


def test_a_roster_of_the_instructor_names_the_folders(room):
    room.root.mkdir(parents=True)
    (room.root / "roster.csv").write_bytes(
        "student;name;e-mail;Group\nmh;Mira Holm;m@x.org;A\njm;Jörg Müller;;B\n".encode(
            "cp1252"
        )
    )
    take(room, (moodle("Jörg Müller", 4), notebook("a")))
    assert students(room) == ["jm", "mh"] and room.submission("jm", ONE).exists()
    kept = (room.root / "roster.csv").read_text().splitlines()
    assert kept[1] == "mh,Mira Holm,m@x.org,,,A", "their own columns stay"


def test_who_nothing_came_from_is_listed(room):
    take(
        room,
        (moodle("Mira Holm", 1), notebook("a")),
        (moodle("Al Roe", 2), notebook("b")),
    )
    came = take(room, (moodle("Al Roe", 7, f"{TWO}.ipynb"), notebook("c")))
    assert came.missing == {TWO: ["mira-holm_1"]}


@pytest.mark.parametrize(
    "name, folder",
    [
        ("李小龙", "李小龙"),
        ("Łukasz Żak", "łukasz-zak"),
        ("Мария Кюри", "мария-кюри"),
        ("नमिता", "नमिता"),
        ("Straße", "strasse"),
        ("../..", "student"),
        ("a" * 400, "a" * 150),
    ],
)
def test_names_stay_readable(name, folder):
    assert slug(name) == folder


@given(st.text(max_size=60))
def test_a_slug_is_a_folder_and_inert(name):
    made = slug(name)
    assert made and len(made.encode()) <= 150
    assert not set(made) & set("/\\\0. '\"=+@") and made.strip("-") == made


# ----------------------------------------------------------------- what files stand for


@pytest.mark.parametrize(
    "file",
    [
        f"{ONE}.ipynb",
        f"Copy of {ONE}.ipynb",
        f"Kopie von {ONE}.ipynb",
        f"{ONE}-Copy1.ipynb",
        f"{ONE} (1).ipynb",
        f"{ONE}(2).ipynb",
        f"{ONE}.ipynb.txt",
        f"{ONE}.ipynb.json",
        f"{ONE}.ipynb (1).txt",
        f"{ONE}.json",
        f"{ONE.upper()}.IPYNB",
        "01 ResNets as Euler.ipynb",
        "resnets-as-euler_final.ipynb",
        f"{ONE}_v2.ipynb",
        f"holm_{ONE}.ipynb",
        f"folder/deeper/{ONE}.ipynb",
        f"work.zip/{ONE}.ipynb",
    ],
)
def test_names_with_more_than_the_notebooks_name(room, file):
    data = notebook("mine")
    if file.startswith("work.zip"):
        file, data = "work.zip", packed((f"Users/me/{ONE}.ipynb", notebook("mine")))
    came = take(room, (moodle("Mira Holm", 1, file), data))
    assert (
        came.unmatched == []
        and "mine" in room.submission("mira-holm_1", ONE).read_text()
    )


@pytest.mark.parametrize(
    "file, why",
    [
        ("essay.pdf", "not a notebook"),
        ("notes.txt", "not a notebook"),
        (f"{ONE}.py", "a script, not a notebook"),
        (f"{ONE}.txt", "not a notebook"),
        ("work.rar", "packed in a way that is not read (.rar)"),
        ("homework.ipynb", "--notebook says which"),
        (f"{ONE}_and_{TWO}.ipynb", "several notebooks"),
    ],
)
def test_the_true_reason_is_said(room, file, why):
    came = take(room, (moodle("Mira Holm", 1, file), "print('no notebook')"))
    assert why in came.unmatched[0] and not came.new


def test_typed_texts_and_strangers(room):
    came = take(
        room,
        ("Bo Li_77_assignsubmission_onlinetext/onlinetext.html", "hello"),
        ("doejane_501_text.html", "hello"),
        ("roebob_LATE_502_link.html", "hello"),
        ("readme.ipynb", notebook("?")),
        ("__MACOSX/._x", "junk"),
    )
    assert sorted(re.sub(".*: ", "", line) for line in came.unmatched) == [
        "read it in Moodle",
        "read it there",
        "read it there",
        "the name is neither Moodle's nor Canvas's",
    ]


def test_anonymous_blind_and_team_names(room):
    came = take(
        room,
        (f"anon_aB3dE_9001_{ONE}.ipynb", notebook("a")),
        (f"LATE_anon_Zz9q1_9002_{ONE}.ipynb", notebook("b")),
        (f"smith_jrbob_55_9003_{ONE}.ipynb", notebook("c")),
        (moodle("Participant", 31), notebook("d")),
        (moodle("Participant", 32), notebook("e")),
        (moodle("Team Euler", 5), notebook("f")),
        (f"Default group_assignsubmission_file_/{ONE}.ipynb", notebook("g")),
    )
    assert came.unmatched == [] and len(came.new) == 7
    assert came.late == [f"anon_Zz9q1: {ONE}"]
    assert {"anon_aB3dE", "anon_Zz9q1", "participant_31", "participant_32"} < set(
        students(room)
    )
    again = take(room, (moodle("Participant", 41, f"{TWO}.ipynb"), notebook("h")))
    assert again.new == [f"participant_41: {TWO}"]


# -------------------------------------------------------------------------- what counts


def test_of_own_names_the_newest_counts(room):
    came = take(
        room,
        ("doejane_501_9001_homework.ipynb", notebook("first")),
        ("doejane_501_9007_homework-2.ipynb", notebook("third")),
        ("doejane_501_9004_homework-1.ipynb", notebook("second")),
        ("roebob_502_9020_other.ipynb", notebook("newer")),
        (f"roebob_502_9010_{ONE}.ipynb", notebook("older")),
        only=ONE,
    )
    assert "third" in room.submission("doejane_501", ONE).read_text()
    assert "newer" in room.submission("roebob_502", ONE).read_text()
    assert len(came.older) == 3 and came.unmatched == []


def test_what_was_worked_on_counts(room, tmp_path):
    from autograder.course import Course

    course = Course(tmp_path / "course")
    course.release(ONE).parent.mkdir(parents=True)
    course.release(ONE).write_text(notebook("as given"))
    course.release(TWO).parent.mkdir(parents=True)
    course.release(TWO).write_text(notebook("as given, too"))
    came = take(
        room,
        (moodle("Ivo Roe", 1), notebook("as given")),
        (moodle("Ivo Roe", 1, f"{ONE}_v2.ipynb"), notebook("finished")),
        (moodle("Ivo Roe", 1, f"{TWO}.ipynb"), notebook("as given, too")),
        (moodle("Ada Poe", 2, f"{ONE}-Copy1.ipynb"), notebook("as given")),
        (moodle("Ada Poe", 2), notebook("mine")),
        course=course,
    )
    assert "finished" in room.submission("ivo-roe_1", ONE).read_text()
    assert "mine" in room.submission("ada-poe_2", ONE).read_text()
    assert not room.submission("ivo-roe_1", TWO).exists(), "the whole folder was packed"
    assert len(came.older) == 3
    take(room, (moodle("Ada Poe", 2), notebook("as given")), course=course)
    assert "mine" in room.submission("ada-poe_2", ONE).read_text(), "never worse"


def test_a_second_time_is_unchanged_and_a_new_version_replaces(room):
    entry = (moodle("Mira Holm", 1), notebook("one"))
    take(room, entry)
    stamp = room.submitted / "mira-holm_1" / ONE / "timestamp.txt"
    stamp.write_text("2025-03-01 12:00:00 UTC")
    assert take(room, entry).unchanged == [f"mira-holm_1: {ONE}"]
    assert stamp.exists()
    assert take(room, (entry[0], notebook("two"))).replaced and not stamp.exists()


def test_late_and_when_are_those_of_the_last_file(room):
    name = f"doejane_LATE_501_9001_{ONE}.ipynb"
    take(room, (name, notebook("one")))
    roster = Roster.open(room)
    assert roster.number("doejane_501", ONE, "canvas").late == "LATE"
    take(room, (name.replace("_LATE", ""), notebook("two")))
    assert Roster.open(room).number("doejane_501", ONE, "canvas").late == ""


def test_a_blind_sheet_names_nobody(room):
    sheet = "Identifier,Status,Grade,Maximum Grade,Last modified (grade)\n"
    sheet += "Participant 31,Submitted for grading,,20.00,-\n"
    entry = (moodle("Participant", 31), notebook("one"))
    assert take(room, entry, sheet=sheet).unmatched == []
    assert students(room) == ["participant_31"]


def test_highly_compressed_and_damaged_files_cost_themselves(room):
    long = notebook("loss nan\n" * 600_000)
    bomb = packed(*[(f"{n}.ipynb", b"0" * 60_000_000) for n in range(3)])
    came = take(
        room,
        (moodle("Jane Doe", 1), notebook("fine")),
        (moodle("Bob Roe", 2), long),
        (moodle("Eve Poe", 3), b"0" * 60_000_000),
        (moodle("Kim Lo", 4, "work.zip"), b"PK\x03\x04 and nothing more"),
        (moodle("Lea Lo", 5, "work.zip"), bomb),
        (
            moodle("Max Lo", 6, "a.zip"),
            packed(
                (
                    "b.zip",
                    packed(
                        (
                            "c.zip",
                            packed(
                                (
                                    "d.zip",
                                    packed(
                                        ("e.zip", b""),
                                    ),
                                ),
                            ),
                        ),
                    ),
                )
            ),
        ),
        only=ONE,
    )
    assert len(came.new) == 2 and room.submission("bob-roe_2", ONE).exists()
    said = " ".join(came.unmatched)
    assert "too large (57 MB)" in said and "not a zip that can be read" in said
    assert "a zip in a zip in a zip" in said and len(came.unmatched) == 6


def test_tricks_inside_a_students_zip_cost_that_file(room):
    link = zipfile.ZipInfo(f"{ONE}.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    inner = packed(
        (link, "/etc/passwd"),
        (f"../../../{ONE}.ipynb", "x"),
        ("/etc/cron", "x"),
        (f"sub/{ONE}.ipynb", notebook("fine")),
    )
    came = take(room, (moodle("Eve Poe", 3, "work.zip"), inner))
    assert came.new and "fine" in room.submission("eve-poe_3", ONE).read_text()
    assert len(came.unmatched) == 3
    assert {p.name for p in room.root.parent.iterdir()} == {"class", "submissions.zip"}


@pytest.mark.parametrize(
    "name",
    [
        f"../Eve_1_assignsubmission_file_/{ONE}.ipynb",
        f"Eve_1_assignsubmission_file_/../../../{ONE}.ipynb",
        f"/Eve_1_assignsubmission_file_/{ONE}.ipynb",
        f"C:/Eve_1_assignsubmission_file_/{ONE}.ipynb",
        f"Eve_1_assignsubmission_file_\\..\\{ONE}.ipynb",
    ],
)
def test_an_archive_whose_paths_lead_out_is_refused(room, name):
    with pytest.raises(CourseError, match="refused"):
        take(room, (moodle("Al Roe", 2), notebook("a")), (name, "b"))
    assert not room.root.exists(), "nothing of it is written"


def test_a_link_and_what_is_no_zip_are_refused(room, tmp_path):
    link = zipfile.ZipInfo(moodle("Eve", 1))
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(CourseError, match="refused"):
        take(room, (link, "/etc/passwd"))
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and nothing more")
    for path in (broken, tmp_path / "none.zip"):
        with pytest.raises(CourseError, match="not a zip"):
            collect.collect(room, path, KNOWN)


def test_a_folder_that_a_browser_unpacked(room, tmp_path):
    folder = tmp_path / "submissions"
    path = folder / moodle("Mira Holm", 1)
    path.parent.mkdir(parents=True)
    path.write_text(notebook("mine"))
    (path.parent / "link.ipynb").symlink_to("/etc/passwd")
    came = collect.collect(room, folder, KNOWN)
    assert came.new == [f"mira-holm_1: {ONE}"] and came.unmatched == []


def test_a_wrong_checksum_costs_that_file(room):
    path = room.root.parent / "submissions.zip"
    with zipfile.ZipFile(path, "w") as made:  # stored, not compressed
        made.writestr(moodle("Al Roe", 2), notebook("good"))
        made.writestr(moodle("Eve Poe", 3), notebook("bad!"))
    path.write_bytes(path.read_bytes().replace(b"bad!", b"evil"))
    came = collect.collect(room, path, KNOWN)
    assert len(came.new) == 1 and "cannot be unpacked" in came.unmatched[0]


def test_names_without_their_utf8_flag(tmp_path):
    entry = zipfile.ZipInfo("x")
    entry.filename = "Jörg".encode().decode("cp437")
    assert archive._name(entry) == "Jörg"


@given(
    st.text(max_size=80)
    | st.builds(
        "{}_{}_assignsubmission_file_/{}".format, st.text(), st.text(), st.text()
    )
    | st.builds("{}_{}_1_{}".format, st.text(), st.text(), st.text())
)
def test_any_name_has_a_sender_or_a_reason(name):
    found = collect.sender(name)
    if not isinstance(found, str):
        assert found.sign.platform in ("moodle", "canvas")
        assert re.fullmatch(r"[0-9A-Za-z]*", found.sign.number)
        found = collect.which(found.file, KNOWN, ONE)
    assert found


# ------------------------------------------------------------------------------ merging


def doubled(room):
    """A class as it was collected before there was a roster."""
    for student, name in (("mira-holm_1", ONE), ("mira-holm_5", TWO), ("al_2", ONE)):
        path = room.submission(student, name)
        path.parent.mkdir(parents=True)
        path.write_text(notebook(student))
    with room.gradebook() as book:
        for name in KNOWN:
            book.add_assignment(name)
        for student, first, last in (
            ("mira-holm_1", "Mira", "Holm"),
            ("mira-holm_5", "Mira", "Holm"),
            ("al_2", "Al", ""),
        ):
            book.add_student(student, first_name=first, last_name=last)
        book.add_submission(ONE, "mira-holm_1")
        book.add_submission(TWO, "mira-holm_5")


def test_doubled_students_become_one_after_it_was_shown(room):
    doubled(room)
    (found,) = merge.proposed(room, [])
    assert {found.into, *found.doubles} == {"mira-holm_1", "mira-holm_5"}
    assert room.submission("mira-holm_5", TWO).exists(), "only shown"
    merge.merge(room, [found])
    with room.gradebook() as book:
        assert len(book.students) == 2
        assert {s.name for s in book.student_submissions(found.into)} == set(KNOWN)
    assert room.submission(found.into, ONE).exists()
    assert room.submission(found.into, TWO).exists()
    assert not (room.submitted / found.doubles[0]).exists()
    assert merge.proposed(room, []) == []
    again = take(room, (moodle("Mira Holm", 5, f"{TWO}.ipynb"), notebook("x")))
    assert again.replaced == [f"{found.into}: {TWO}"]


def test_two_people_are_not_merged(room):
    doubled(room)
    path = room.submission("mira-holm_5", ONE)
    path.parent.mkdir(parents=True)
    path.write_text(notebook("another"))
    (found,) = merge.proposed(room, [])
    assert "both handed in" in found.problem
    merge.merge(room, [found])
    assert path.exists()
    with pytest.raises(CourseError, match="not in this class: nobody"):
        merge.proposed(room, ["al_2", "nobody"])


def test_any_list_with_names_is_a_class_list(room):
    path = room.root.parent / "list.csv"
    path.write_text("First name,Surname,Email address\nMira,Holm,m@x.org\n")
    roster = Roster()
    assert sheets.learn(roster, sheets.people(path), "") == []
    (mira,) = roster.people.values()
    assert (mira.student, mira.name, mira.email) == (
        "mira-holm",
        "Mira Holm",
        "m@x.org",
    )


def test_a_class_list_completes_the_roster(room):
    take(room, (f"lovelaceada_77_9001_{ONE}.ipynb", notebook("one")))
    roster = Roster.open(room)
    path = room.root.parent / "book.csv"
    path.write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section,X (9)\n"
        ",,,,Manual Posting,\n"
        "    Points Possible,,,,,20\n"
        '"Lovelace, Ada",77,s-77,ada@x.org,A,\n"Student, Test",99,,,A,\n'
    )
    assert sheets.learn(roster, sheets.people(path), "") == []
    (ada,) = roster.people.values()
    assert (ada.name, ada.email, ada.id_number) == ("Ada Lovelace", "ada@x.org", "s-77")


def test_the_commands_say_it_and_fail_where_something_was_left_out(tmp_path):
    where = course(tmp_path / "course")
    folder = tmp_path / "class"

    def run(*arguments):
        process = run_autograder(where, *arguments, "--folder", str(folder))
        said, _ = process.communicate(timeout=300)
        return process.returncode, said

    fine = (moodle("Mira Holm", 1, f"{TINY}.ipynb"), notebook("a"))
    path = str(zip_of(tmp_path, fine))
    code, said = run("collect", path)
    assert code == 0 and "new: 1" in said and "100%" in said, "a bar"
    path = str(zip_of(tmp_path, fine, (moodle("Al Roe", 2, "essay.pdf"), "x")))
    code, said = run("collect", path)
    assert code == 1 and "NOT matched: 1" in said and "essay.pdf" in said
    code, said = run("due", "01", "01.03.2025 12:00")
    assert code == 0 and "due 2025-03-01 12:00" in said
    assert run("due", "01", "03/04/2025 12:00")[0] == 1
    assert "Mira" in (folder / "roster.csv").read_text()
    assert run("merge") == (0, "nobody to merge\n")
    assert run("roster", str(folder / "none.csv"))[0] == 1
