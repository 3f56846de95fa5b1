"""Nothing that a documented command makes for students holds a hidden line.

A class of which some print, raise, return and spell out the hidden tests is graded;
then each command that makes something for students runs, and all it made is searched.
"""

import argparse
import html
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from grading_tools import (
    QUESTION,
    ROOT,
    SOURCE,
    TINY,
    by_hand,
    executed,
    graded,
    hand_in,
    needs_bubblewrap,
    run_autograder,
)
from nbconvert.exporters import HTMLExporter
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory

import autograder.__main__ as door
from autograder.authors import release, steps
from autograder.authors.assignment import assignment
from autograder.classroom.gradebook import Classroom
from autograder.grading import tests as observing

pytestmark = needs_bubblewrap

OUTSPOKEN = """# base: solution
# %% cell after test_refuse
print("\\n".join(In))
print(" ".join("\\n".join(In)))
raise ValueError("\\n".join(In))
"""
CLASS = {
    "fine": "# base: solution",
    "none": "# base: untouched",
    "squares": "# base: solution\n# %% answer double\ndef double(x):\n    return x**2",
    "outspoken": OUTSPOKEN,
    "rich": "# base: solution\n# %% cell after test_refuse\n"
    "from IPython.display import Markdown, display\n"
    "class Told:\n    def __repr__(self):\n        return '\\n'.join(In)\n"
    "Told()\n# %% cell before why\nimport inspect\n"
    "print('\\x1b[1m\\n\\x1b[0m'.join(c for c in In[-4]))",
    "returns": "# base: solution\n# %% answer double\n"
    "def double(x):\n    return In[-1]\n# %% answer refuse\n"
    "def refuse(x):\n    raise TypeError(In[-1])",
    "kills": "# base: solution\n# %% answer refuse\n"
    "def refuse(x):\n    import os\n    os._exit(3)",
    "broken": "# base: solution\n# %% answer double\ndef double(x) return 2 * x",
}


def squeeze(text: str) -> str:
    return "".join(text.split())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    made = executed(tmp_path_factory.mktemp("course"), SOURCE + QUESTION)
    release.release(made, TINY)
    return made


@pytest.fixture(scope="module")
def hidden(tiny):
    """The lines of hidden tests, as written and as executed, and of mark schemes.

    Solutions are not among them: whoever solves everything hands them in.
    """
    asked = assignment(tiny, TINY)
    regions = release.hidden_and_seen(asked)[0]
    wanted = [region for region in regions if region.kind != "SOLUTION"]
    lines = {line for region in wanted for line in region.lines}
    for test in asked.tests:
        bare, seen = map(observing.strip_expected, (test.source, test.visible))
        lines |= set(bare.splitlines()) - set(seen.splitlines())
    shown = "".join(squeeze(cell.source) for cell in asked.released.cells)
    found = {squeeze(line) for line in lines}
    found = {line for line in found if len(line) > 8 and line not in shown}
    assert len(found) >= 6
    return found | {"magicword", "concealed"}


@pytest.fixture(scope="module")
def room(tiny):
    """A graded class in the folder of nbgrader's own commands."""
    room = Classroom(tiny.autograder)
    hand_in(tiny, room, TINY, **CLASS)
    graded(tiny, room, TINY)
    by_hand(room, "fine", "why", 0.5, "Half a point.")
    return room


def texts(content: bytes, name: str):
    """Yield what can be read in a file: pages without tags, zips opened, JSON apart."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            for inner in opened.namelist():
                yield from texts(opened.read(inner), inner)
        return
    text = content.decode("utf-8", errors="replace")
    yield text
    if name.endswith(".html"):
        yield html.unescape(re.sub(r"<[^>]*>", "", text))
    if name.endswith((".ipynb", ".json")):
        yield "\n".join(release._strings(json.loads(text)))


def leaks(hidden, *paths: Path) -> list[str]:
    """Name the hidden lines in files, or in all files of folders."""
    files = [
        file
        for path in paths
        for file in ([path] if path.is_file() else path.rglob("*"))
        if file.is_file()
    ]
    assert files, "there is something to search"
    found = []
    for file in files:
        for text in texts(file.read_bytes(), file.name):
            bare = squeeze(re.sub(r"\x1b\[[0-9;]*m", "", text))
            found += [f"{file.name}: {line}" for line in hidden if line in bare]
    return found


def run(tiny, *arguments: str) -> str:
    process = run_autograder(tiny, *arguments, "--folder", str(tiny.autograder))
    said = process.communicate(timeout=300)[0]
    assert process.returncode in (0, 1) and "Traceback" not in said, said
    return said


def nbgrader(folder: Path, *arguments: str, home: Path | None = None) -> str:
    command = [sys.executable, "-m", "nbgrader", *arguments]
    own = {"HOME": str(home or folder), "JUPYTER_CONFIG_DIR": str(folder / ".jupyter")}
    environment = os.environ | own | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# ------------------------------------------------------ the search finds what it should


@pytest.mark.parametrize(
    "name, wrap",
    [
        ("a.html", lambda line: html.escape(line)),
        (
            "b.html",
            lambda line: "".join(f"<span>{html.escape(c)}</span>" for c in line),
        ),
        ("c.ipynb", lambda line: json.dumps({"cells": [{"outputs": [line]}]})),
        ("d.csv", lambda line: f'ann,"{line}"'),
        ("e.txt", " ".join),
    ],
)
def test_the_search_finds_a_hidden_line(name, wrap, hidden, tmp_path):
    path = tmp_path / name
    path.write_text(wrap(max(hidden, key=len)), encoding="utf-8")
    assert leaks(hidden, path)
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as packed:
        packed.write(path, f"inside/{name}")
    assert leaks(hidden, tmp_path / "f.zip")
    path.write_text(wrap("nothing of it"), encoding="utf-8")
    assert not leaks(hidden, path)


def test_every_command_is_searched_or_makes_nothing_for_students():
    """A new command has to be put into one of the two lists."""
    searched = "release grade feedback report export similar demo site".split()
    nothing_for_students = """
        sync mistakes readme collect roster merge due read formgrader
    """.split()
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for add in [getattr(door, name) for name in dir(door) if name.startswith("_add_")]:
        if add is not door._add_folder:
            add(commands)
    assert set(commands.choices) <= {*searched, *nothing_for_students, "doctor"}
    assert {*searched, *nothing_for_students} <= set(commands.choices)


# ------------------------------------------------------------------------- our commands


def test_a_release(tiny, hidden):
    assert not leaks(hidden, tiny.released / TINY)


def test_the_package_that_students_install(wheel_of, tmp_path):
    """It knows mistakes by their names, and visible checks only."""
    wheel = wheel_of(ROOT / "course")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(unpacked)
    course = type(release.find_course(ROOT))(ROOT)
    found = set()
    for name in course.notebooks():
        labels = set()
        for cell in nbformat.read(course.solution(name), as_version=4).cells:
            for region in release.visible_and_hidden(cell)[1]:
                if region.kind == "HIDDEN TESTS":
                    labels |= set(
                        re.findall(r'"([^"{}\\]{16,})"', "\n".join(region.lines))
                    )
        shown = course.release(name).read_text(encoding="utf-8")
        found |= {squeeze(label) for label in labels if label not in shown}
    assert len(found) > 50
    assert not leaks(found, unpacked)


def test_pages_of_feedback_tables_and_copies(room, hidden):
    assert (room.root / "feedback").is_dir()
    assert not leaks(hidden, room.root / "feedback", room.root / "autograded")
    copy = room.autograded("outspoken", TINY).read_text(encoding="utf-8")
    assert "(withheld: it repeats hidden tests)" in copy


def test_reports_exports_and_zips(tiny, room, hidden):
    made = run(tiny, "report", TINY) + run(tiny, "similar", TINY)
    run(tiny, "report", "--html")
    for platform in ("moodle", "canvas"):
        run(tiny, "feedback", TINY, "--zip", platform)
        run(tiny, "export", TINY, "--to", platform)
    sheet = room.root / "sheet.csv"
    head = "Identifier,Full name,Email address,Grade,Maximum Grade,Feedback comments"
    people = [f"Participant {i},{who},,,9.00," for i, who in enumerate(CLASS)]
    sheet.write_text("\n".join([head, *people]) + "\n", encoding="utf-8")
    out = room.root / "filled.csv"
    filling = ["--worksheet", str(sheet), "--out", str(out)]
    run(tiny, "export", TINY, "--to", "moodle", *filling)
    (room.root / "said.txt").write_text(made, encoding="utf-8")
    everything = [
        *room.root.glob("*.csv"),
        *room.root.glob("*.zip"),
        *room.root.glob("*.html"),
        room.root / "said.txt",
    ]
    assert len(everything) >= 7
    assert not leaks(hidden, *everything)


# ------------------------------------------------------------- nbgrader's own commands


def feedback_of(tiny, who):
    return Classroom(tiny.autograder).feedback(who, TINY)


def check_pages(tiny, hidden):
    for who in CLASS:
        page = feedback_of(tiny, who)
        assert "nbgrader" in page.read_text(encoding="utf-8"), (
            "stock pages are searched"
        )
        assert not leaks(hidden, page)


def test_generate_feedback_over_our_copies(tiny, room, hidden):
    with room.gradebook() as book:
        before = {who: book.find_submission(TINY, who).score for who in CLASS}
    nbgrader(tiny.autograder, "generate_feedback", TINY, "--force")
    check_pages(tiny, hidden)
    page = html.unescape(feedback_of(tiny, "squares").read_text(encoding="utf-8"))
    assert "twice one half" in page and "expected" in page, "what our grader says stays"
    with room.gradebook() as book:
        after = {who: book.find_submission(TINY, who).score for who in CLASS}
    assert after == before
    graded(tiny, room, TINY, force=True)
    assert not leaks(hidden, room.root / "feedback", room.root / "autograded")


def test_generate_feedback_without_our_configuration(tiny, room, hidden, tmp_path):
    """As where the folders of a class are opened with a configuration of somebody's."""
    folders = [f"--CourseDirectory.root={room.root}", "--force"]
    folders += [f"--CourseDirectory.db_url={room.url}", "--course=odenets"]
    nbgrader(tmp_path, "generate_feedback", TINY, *folders)
    check_pages(tiny, hidden)


def test_the_buttons_of_formgrader(tiny, room, hidden, monkeypatch):
    """Generate feedback, and the page on which a person grades, as formgrader does."""
    monkeypatch.chdir(tiny.autograder)
    config = steps.load_config(tiny)
    config.CourseDirectory.root = str(tiny.autograder)
    api = NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)
    for who in CLASS:
        said = api.generate_feedback(TINY, who)
        assert said["success"], said
    check_pages(tiny, hidden)
    config.HTMLExporter.template_name = "classic"
    exporter = HTMLExporter(config=config)
    place = {"notebook_id": TINY, "assignment_id": TINY}
    copy = str(room.autograded("fine", TINY))
    scheme = "Two points for abyssal."
    shown, _ = exporter.from_filename(copy, {**place, "submission_id": "1"})
    assert scheme in shown, "whoever grades reads the mark scheme"
    shown, _ = exporter.from_filename(copy, dict(place))
    assert scheme not in shown


def test_autograde_and_feedback_of_nbgrader_alone(tiny, hidden, tmp_path):
    """Without any of our grading; one hands in our mark of a copy, too."""
    own = tmp_path / "own"
    made = executed(own, SOURCE + QUESTION)
    room = Classroom(made.autograder)
    some = {who: CLASS[who] for who in ("fine", "squares", "outspoken", "returns")}
    hand_in(made, room, TINY, **some)
    for who in some:
        path = room.submission(who, TINY)
        notebook = nbformat.read(path, as_version=4)
        notebook.metadata[steps.VERDICTS] = True
        nbformat.write(notebook, path)
    nbgrader(made.autograder, "generate_assignment", TINY, "--force")
    assert not leaks(hidden, made.released)
    nbgrader(made.autograder, "autograde", TINY)
    copy = room.autograded("fine", TINY)
    assert leaks(hidden, copy), "nbgrader's own copies hold the hidden tests"
    nbgrader(made.autograder, "generate_feedback", TINY, "--force")
    for who in some:
        page = room.feedback(who, TINY)
        assert "double" in page.read_text(encoding="utf-8")
        assert not leaks(hidden, page)
    table = made.autograder / "grades.csv"
    nbgrader(made.autograder, "export", f"--to={table}")
    assert not leaks(hidden, table)


def test_the_exchange(tiny, room, hidden, tmp_path):
    """What students fetch: the assignment, and the pages that are released."""
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    exchange.chmod(0o777)
    where = f"--Exchange.root={exchange}"
    for who in CLASS:
        ticket = room.submission(who, TINY).parent
        (ticket / "timestamp.txt").write_text("2030-01-02 03:04:05 UTC")
        (ticket / "submission_secret.txt").write_text(who)
    graded(tiny, room, TINY)
    run(tiny, "feedback", TINY)
    nbgrader(tiny.autograder, "release_assignment", TINY, where)
    nbgrader(tiny.autograder, "release_feedback", TINY, where)
    assert {path.suffix for path in exchange.rglob("*") if path.is_file()} >= {
        ".ipynb",
        ".html",
    }
    assert not leaks(hidden, exchange)
