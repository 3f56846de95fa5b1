"""Archives that an LMS gives, archives that attack, and the CSV that it takes."""

import csv
import io
import re
import stat
import zipfile

import pytest
from grading_tools import TINY, executed, graded, hand_in, needs_bubblewrap
from hypothesis import given
from hypothesis import strategies as st

from autograder.classroom import lms, report
from autograder.classroom.gradebook import Classroom
from autograder.course import CourseError

KNOWN = [TINY, "02_other"]


def archive(folder, *entries):
    path = folder / "submissions.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in entries:
            made.writestr(name, data)
    return path


def test_moodle_in_both_of_its_forms(tmp_path):
    room = Classroom(tmp_path / "class")
    path = archive(
        tmp_path,
        (f"Zoë van Dyk_1234_assignsubmission_file_/{TINY}.ipynb", "one"),
        (f"Bo Li_77_assignsubmission_file_{TINY}.ipynb", "two"),
        (f"Course 7/Al Roe_9_assignsubmission_file_/{TINY} (1).ipynb", "three"),
        ("Bo Li_77_assignsubmission_onlinetext_/onlinetext.html", "hello"),
        ("Bo Li_77_assignsubmission_file_/essay.pdf", "pdf"),
    )
    came = lms.collect(room, path, KNOWN)
    assert room.submission("zoe-van-dyk_1234", TINY).read_text() == "one"
    assert room.submission("bo-li_77", TINY).read_text() == "two"
    assert room.submission("al-roe_9", TINY).read_text() == "three"
    assert len(came.new) == 3 and len(came.unmatched) == 2
    with room.gradebook() as book:
        zoe = book.find_student("zoe-van-dyk_1234")
        assert (zoe.first_name, zoe.last_name) == ("Zoë van", "Dyk")
        assert zoe.lms_user_id == "1234"
    again = lms.collect(room, path, KNOWN)
    assert again.new == again.replaced == [] and len(again.unchanged) == 3


def test_canvas_takes_the_last_version(tmp_path):
    room = Classroom(tmp_path / "class")
    path = archive(
        tmp_path,
        (f"doejane_501_9001_{TINY}.ipynb", "first"),
        (f"doejane_501_9002_{TINY}-2.ipynb", "third"),
        (f"doejane_501_9003_{TINY}-1.ipynb", "second"),
        (f"roebob_LATE_502_9004_{TINY}.ipynb", "late"),
        ("roebob_502_9005_02_other.ipynb", "other"),
        ("roebob_502_9006_Untitled.ipynb", "what"),
    )
    came = lms.collect(room, path, KNOWN)
    assert room.submission("doejane_501", TINY).read_text() == "third"
    assert room.submission("roebob_502", TINY).read_text() == "late"
    assert room.submission("roebob_502", "02_other").read_text() == "other"
    assert len(came.unmatched) == 3
    assert any("Untitled" in line for line in came.unmatched)
    renamed = archive(tmp_path, ("roebob_502_9006_Untitled.ipynb", "what"))
    came = lms.collect(room, renamed, KNOWN, only="02_other")
    assert came.replaced == ["roebob_502: 02_other"]


@pytest.mark.parametrize(
    "name",
    [
        f"../Eve_1_assignsubmission_file_/{TINY}.ipynb",
        f"Eve_1_assignsubmission_file_/../../../{TINY}.ipynb",
        f"/Eve_1_assignsubmission_file_/{TINY}.ipynb",
        f"C:/Eve_1_assignsubmission_file_/{TINY}.ipynb",
        f"Eve_1_assignsubmission_file_\\..\\{TINY}.ipynb",
    ],
)
def test_paths_that_lead_out_are_refused(tmp_path, name):
    path = archive(
        tmp_path, (f"Al_2_assignsubmission_file_/{TINY}.ipynb", "a"), (name, "b")
    )
    with pytest.raises(CourseError, match="refused"):
        lms.collect(Classroom(tmp_path / "class"), path, KNOWN)
    assert not (tmp_path / "class").exists(), "nothing of it is written"


def test_links_bombs_and_rubbish_are_refused(tmp_path):
    room = Classroom(tmp_path / "class")
    link = zipfile.ZipInfo(f"Eve_1_assignsubmission_file_/{TINY}.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    bomb = f"Eve_1_assignsubmission_file_/{TINY}.ipynb"
    for entry in ((link, "/etc/passwd"), (bomb, b"0" * 200_000_000)):
        with pytest.raises(CourseError, match="refused"):
            lms.collect(room, archive(tmp_path, entry), KNOWN)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(CourseError, match="not a zip"):
        lms.collect(room, broken, KNOWN)
    good = archive(tmp_path, (bomb, "good")).read_bytes()
    broken.write_bytes(good.replace(b"good", b"evil"))
    if b"good" in good:  # stored, not compressed: the checksum is wrong now
        with pytest.raises(CourseError, match="cannot be unpacked"):
            lms.collect(room, broken, KNOWN)


def test_a_file_that_is_too_large_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(lms, "MAX_SUBMISSION", 100)
    room = Classroom(tmp_path / "class")
    name = f"Al_2_assignsubmission_file_/{TINY}.ipynb"
    came = lms.collect(room, archive(tmp_path, (name, "x" * 500)), KNOWN)
    assert "too large" in came.unmatched[0] and not came.new


@needs_bubblewrap
def test_from_the_zip_to_the_worksheet(tmp_path):
    course = executed(tmp_path / "course")
    made = Classroom(tmp_path / "made")
    hand_in(course, made, TINY, right="# base: solution", none="# base: untouched")
    right = made.submission("right", TINY).read_bytes()
    none = made.submission("none", TINY).read_bytes()
    room = Classroom(tmp_path / "class")
    path = archive(
        tmp_path,
        (f"Jane Doe_11_assignsubmission_file_/{TINY}.ipynb", right),
        (f"=Bob Roe_12_assignsubmission_file_/{TINY}.ipynb", none),
    )
    lms.collect(room, path, KNOWN)
    graded(course, room, TINY)
    with room.gradebook() as book:
        book.add_student("absent", lms_user_id="13", first_name="Cy", last_name="Lo")
        why = book.find_grade("why", TINY, TINY, "jane-doe_11")
        why.manual_score, why.needs_manual_grade = 1.0, False
        book.db.commit()
    grades = lms.grades(room, TINY)
    assert {g.student: g.score for g in grades} == {
        "absent": 0.0,
        "bob-roe_12": 0.0,
        "jane-doe_11": 6.0,
    }
    rows = list(csv.DictReader(io.StringIO(lms.moodle(grades))))
    assert {r["Identifier"]: r["Grade"] for r in rows}["Participant 11"] == "6.00"
    assert all(not r["Full name"].startswith("=") for r in rows)
    sheet = "Identifier,Full name,Grade\nParticipant 11,Jane Doe,\nParticipant 99,X,3\n"
    filled = lms.moodle(grades, "\ufeff" + sheet)
    assert "Participant 11,Jane Doe,6.00" in filled and "Participant 99,X,3" in filled
    book = f"Student,ID,Section,{TINY} (4711)\nJane,11,A,\n"
    assert "Jane,11,A,6.00" in lms.canvas(grades, TINY, book)
    assert lms.canvas(grades, TINY).splitlines()[1].endswith(",6.00")
    with pytest.raises(CourseError, match="Identifier"):
        lms.moodle(grades, "a,b\n1,2\n")
    with pytest.raises(CourseError, match="gradebook of Canvas"):
        lms.canvas(grades, "99_none", book)


@needs_bubblewrap
def test_an_answer_that_nobody_read_is_left_empty(tmp_path):
    course = executed(tmp_path / "course")
    room = Classroom(tmp_path / "class")
    hand_in(course, room, TINY, ann="# base: solution")
    graded(course, room, TINY)
    (ann,) = lms.grades(room, TINY)
    assert ann.score is None
    assert lms.moodle([ann]).splitlines()[1] == "Participant ann,ann,,6.00"


# ---------------------------------------------------------- names that nobody chose

NAMES = st.text(min_size=1, max_size=30).filter(lambda text: "/" not in text)
DIGITS = st.from_regex(r"[0-9]{1,9}", fullmatch=True)
FILES = st.sampled_from([*KNOWN, "03_unknown"])


def parsed(name, only=""):
    return lms.parse(zipfile.ZipInfo(name), KNOWN, only)


ANY_DIGITS = st.from_regex(r"\d{1,4}", fullmatch=True)  # of any script
LIKE_THEIRS = st.builds(
    "{}_{}_assignsubmission_file_/{}.ipynb".format, st.text(), ANY_DIGITS, FILES
) | st.builds("{}_{}_1_{}.ipynb".format, st.text(), ANY_DIGITS, FILES)


@given(st.text(max_size=80) | LIKE_THEIRS, st.sampled_from(["", TINY]))
def test_a_name_is_matched_safely_or_the_reason_is_given(name, only):
    found = parsed(name, only)
    if isinstance(found, str):
        assert found
    else:
        assert re.fullmatch(r"[a-z0-9-]+_[0-9]+", found.student)
        assert found.notebook in KNOWN


@given(NAMES, DIGITS, FILES, st.integers(0, 99), st.sampled_from(["_/", "_"]))
def test_what_moodle_calls_a_file_is_understood(name, number, file, version, middle):
    if "\0" in name or "_assignsubmission_file" in name:
        return
    ending = f" ({version}).ipynb" if version else ".ipynb"
    found = parsed(f"{name}_{number}_assignsubmission_file{middle}{file}{ending}")
    if file in KNOWN:
        assert (found.lms_id, found.notebook, found.version) == (number, file, version)
        assert found.full_name == " ".join(name.split())
        assert found.student.endswith(f"_{number}")
    else:
        assert isinstance(found, str)


@given(
    st.from_regex(r"[a-z]{1,12}", fullmatch=True), DIGITS, DIGITS, st.integers(0, 99)
)
def test_what_canvas_calls_a_file_is_understood(name, number, submission, version):
    ending = f"-{version}.ipynb" if version else ".ipynb"
    for late in ("", "LATE_"):
        found = parsed(f"{name}_{late}{number}_{submission}_{TINY}{ending}")
        assert (found.full_name, found.lms_id) == (name, number)
        assert (found.notebook, found.version) == (TINY, version)


@given(st.text(max_size=40))
def test_no_cell_of_a_csv_is_a_formula_or_breaks_its_line(text):
    shown = report.safe(text)
    assert shown.lstrip()[:1] not in ("=", "+", "-", "@")
    assert len(shown.splitlines()) <= 1
    row = next(csv.reader(io.StringIO(lms._csv([shown, "x"], []))))
    assert row == [shown, "x"]
