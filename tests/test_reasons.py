"""Each way to fail has a sentence: the cause, and what helps."""

import contextlib
import csv
import html
import json
import os
import shutil
import tempfile
from pathlib import Path

import nbformat
import pytest
from grading_tools import TINY, executed, graded, hand_in, needs_bubblewrap, rows

from autograder.authors.assignment import assignment
from autograder.classroom import report
from autograder.classroom.gradebook import Classroom
from autograder.course import MAX_SUBMISSION
from autograder.demo import sample
from autograder.grading import files, reasons, sanitize

FILE = f"{TINY}.ipynb"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return executed(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def solved(tiny):
    """The solution, as JSON."""
    return json.loads(nbformat.writes(sample.solved(assignment(tiny, TINY))))


@contextlib.contextmanager
def nobody():
    """Let root be an ordinary user for a while: it may read everything else."""
    b"".decode("utf-8-sig")  # not found by somebody who may not read Python itself
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


# --------------------------------------------------------------------- the file


def text(content):
    return lambda path, _: path.write_text(content, encoding="utf-8")


def data(content):
    return lambda path, _: path.write_bytes(content)


def changed(**parts):
    return lambda path, solved: path.write_text(json.dumps(solved | parts))


def cut(path, solved):
    whole = json.dumps(solved)
    path.write_text(whole[: len(whole) // 2])


def forgotten_comma(path, solved):
    path.write_text(json.dumps(solved, indent=1).replace('",\n', '"\n', 1))


def merged(path, solved):
    path.write_text(json.dumps(solved, indent=1).replace("\n", "\n<<<<<<< HEAD\n", 1))


def linked(path, _):
    path.symlink_to("/etc/passwd")


def linked_folder(path, _):
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to(path.parent.with_name("elsewhere"))


def file_for_folder(path, _):
    path.parent.rmdir()
    path.parent.write_text("a notebook")


def sparse(path, _):
    with open(path, "wb") as file:
        file.truncate(MAX_SUBMISSION + (1 << 20))


def other_names(path, solved):
    for name in ("mine.ipynb", "picture.png", "timestamp.txt"):
        path.with_name(name).write_text(json.dumps(solved))


def without_rights(path, solved):
    path.write_text(json.dumps(solved))
    path.chmod(0)


def folder_without_rights(path, solved):
    path.write_text(json.dumps(solved))
    path.parent.chmod(0)


def nothing(path, _):
    pass


WAYS = {
    "no file": (nothing, "the folder is empty", "hand in"),
    "other names": (other_names, "but mine.ipynb, picture.png;", "under its own name"),
    "empty": (data(b""), "it is empty (0 bytes)", "save it"),
    "spaces": (text(" \n"), "it is empty (2 bytes)", "save it"),
    "zeros": (data(bytes(500)), "nothing but zeros", "save it"),
    "link": (linked, "not a file but a link", "hand in the .ipynb"),
    "linked folder": (linked_folder, "the folder is a link", "hand in"),
    "file for a folder": (file_for_folder, "the folder is a file", "hand in"),
    "folder": (lambda path, _: path.mkdir(), "but a folder", "hand in the .ipynb"),
    "pipe": (lambda path, _: os.mkfifo(path), "but a pipe", "hand in the .ipynb"),
    "no rights": (without_rights, "its permissions", "chmod"),
    "no rights above": (folder_without_rights, "its permissions", "chmod"),
    "too large": (sparse, "too large (51 MB, at most 50)", "clear its outputs"),
    "a letter": (text("Dear Sir"), "not JSON but something else", "hand in"),
    "latin-1 letter": (
        data("Größe".encode("latin-1")),
        "not JSON but something else",
        "hand in",
    ),
    "pdf": (data(b"%PDF-1.7 ..."), "but a PDF", "hand in the .ipynb"),
    "zip": (data(b"PK\x03\x04 ..."), "but a zip archive", "hand in the .ipynb"),
    "picture": (data(b"\x89PNG\r\n"), "but a picture", "hand in the .ipynb"),
    "page": (text("<!DOCTYPE html>"), "but a web page", "hand in the .ipynb"),
    "script": (text("# %%\nx = 1\n"), "but a Python script", "hand in the .ipynb"),
    "cut off": (cut, "ends in the middle (line 1,", "hand in the .ipynb again"),
    "a comma": (forgotten_comma, "not JSON at line 5, column", "save it in Jupyter"),
    "a merge": (merged, "marks of a merge", "hand in"),
    "too deep": (text("[" * 100_000), "nested too deeply", "save it anew"),
    "long number": (text("[" + "9" * 9999 + "]"), "a number in it", "save it anew"),
    "a list": (text("[1, 2]"), "not a notebook: it is a list", "hand in"),
    "a number": (text("7"), "it is a single value", "hand in"),
    "no cells": (text('{"a": 1}'), "not a notebook: it has no cells", "hand in"),
    "cells are text": (changed(cells="none"), "it has no list of cells", "hand in"),
    "broken cells": (changed(cells=[1, None]), "none of its 2 cells", "save it"),
    "many cells": (changed(cells=[{}] * 2001), "2001 cells, and at most 2000", "take"),
    "format 3, broken": (
        text('{"nbformat": 3, "worksheets": 7}'),
        "its format cannot be understood: it says that it is 3",
        "save it in Jupyter",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_cannot_be_graded_is_told_why(way, solved):
    make, cause, mend = WAYS[way]
    with tempfile.TemporaryDirectory() as top:  # where nobody can look, too
        os.chmod(top, 0o755)
        path = Path(top) / TINY / FILE
        path.parent.mkdir()
        make(path, solved)
        try:
            user = nobody() if "rights" in way else contextlib.nullcontext()
            with user, pytest.raises(files.Unreadable) as caught:
                sanitize.read(path)
        finally:
            if path.parent.is_dir() and not path.parent.is_symlink():
                path.parent.chmod(0o755)
    said = str(caught.value)
    assert cause in said and mend in said, said
    assert "\n" not in said and len(said) < 200
    causes = [other for name, (_, other, _) in WAYS.items() if name != way]
    assert {c for c in causes if c in said} <= {cause}, "told apart"


NOTED = {
    "format 0": (changed(nbformat=0), "its format says 0"),
    "format 5": (changed(nbformat=5), "its format says 5"),
    "a text": (changed(nbformat="4"), "its format says '4'"),
    "a list": (changed(nbformat=[[]]), "its format says nothing of sense"),
    "format 3 with cells": (changed(nbformat=3), "its format says 3"),
    "latin-1": (
        lambda path, solved: path.write_bytes(
            json.dumps(solved | {"author": "Größe"}, ensure_ascii=False).encode(
                "latin-1"
            )
        ),
        "some characters are not UTF-8",
    ),
}


@pytest.mark.parametrize("way", NOTED)
def test_what_can_be_read_nevertheless_is_read_and_said(way, tiny, solved, tmp_path):
    make, wanted = NOTED[way]
    path = tmp_path / FILE
    make(path, solved)
    came = sanitize.restore(assignment(tiny, TINY), sanitize.read(path))
    assert [note for note in came.notes if wanted in note]
    assert "twice_as_much" in "".join(cell.source for cell in came.notebook.cells)


@needs_bubblewrap
def test_what_nobody_may_read_stops_nobody_else(tiny, tmp_path):
    room = Classroom(tmp_path / "class")
    hand_in(
        tiny,
        room,
        TINY,
        **dict.fromkeys(["fine", "shut", "shut_up"], "# base: solution"),
    )
    if os.geteuid() == 0:
        room.submission("shut", TINY).unlink()
        room.submission("shut", TINY).symlink_to("nowhere")
        shutil.rmtree(room.submission("shut_up", TINY).parent)
        room.submission("shut_up", TINY).parent.symlink_to("nowhere")
    else:
        room.submission("shut", TINY).chmod(0)
        room.submission("shut_up", TINY).parent.chmod(0)
    try:
        graded(tiny, room, TINY)
    finally:
        if os.geteuid():
            room.submission("shut_up", TINY).parent.chmod(0o755)
    table = rows(room, TINY)
    assert table["fine"].total == 5
    for name in ("shut", "shut_up"):
        assert table[name].total == 0 and len(table[name].reasons) == 1
        assert room.feedback(name, TINY).exists()


# ----------------------------------------------------------------------- notes


def test_twenty_notes_of_one_kind_are_one_line():
    said = [(f"cell {n} (x = {n})", "raised NameError") for n in range(20)]
    said.insert(3, ("cell 99 (y)", "raised KeyError"))
    lines = reasons.together(said)
    assert len(lines) == 2 and lines[1] == "cell 99 (y): raised KeyError"
    assert lines[0].startswith("20 times (cell 0, cell 1,")
    assert lines[0].endswith("...): raised NameError")
    assert reasons.together(said[:2]) == [
        "cell 0 (x = 0): raised NameError",
        "cell 1 (x = 1): raised NameError",
    ]
    notes = [f"cell {n} is damaged, and was left out" for n in range(9)]
    notes += [f"test_{n}: the cell was deleted, and is put back" for n in range(9)]
    lines = reasons.of_cells(["not graded: a.ipynb", *notes])
    assert lines[0] == "not graded: a.ipynb" and len(lines) == 3
    alone = ["it is empty", "cell 2 was emptied: too much", "why: the answer moved"]
    assert reasons.of_cells(alone) == alone
    assert lines[1].startswith("9 times (cell 0, cell 1,")
    assert lines[2].endswith("the cell was deleted, and is put back")


@needs_bubblewrap
def test_all_notes_reach_table_csv_and_page(tiny, tmp_path):
    room = Classroom(tmp_path / "class")
    errors = "\n".join(f"# %% cell after test_refuse\nmissing_{n}" for n in range(20))
    hand_in(tiny, room, TINY, noisy=f"# base: solution\n{errors}", absent="")
    path = room.submission("noisy", TINY)
    plain = json.loads(path.read_text())
    plain["nbformat"] = 5
    plain["cells"].insert(1, None)
    path.write_text(json.dumps(plain))
    path.with_name("Untitled.ipynb").write_text("{}")
    other = room.submission("absent", TINY)
    other.rename(other.with_name("mine.ipynb"))
    other.with_name("timestamp.txt").write_text("soon")
    graded(tiny, room, TINY)
    report.write(room, TINY)
    table = rows(room, TINY)
    for student, wanted in {
        "noisy": [
            "20 times (cell",
            "raised NameError (no cell above defines the name",
            "its format says 5",
            "cell 2 is damaged",
            "not graded: Untitled.ipynb",
        ],
        "absent": ["but mine.ipynb;", "the time of the submission cannot be read"],
    }.items():
        page = html.unescape(room.feedback(student, TINY).read_text())
        listed = csv.DictReader(room.table(TINY).read_text().splitlines())
        (line,) = [one["reasons"] for one in listed if one["student"] == student]
        for part in wanted:
            assert part in "; ".join(table[student].reasons), part
            assert part in page, part
            assert part in line, part
    assert len(table["noisy"].reasons) == 4
