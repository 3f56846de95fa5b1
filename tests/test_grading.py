"""Grading a class: right scores, reasons, nothing lost, nothing told."""

import csv
import html
import html.parser
import json
import re
import shutil
import signal
import sqlite3
import time

import nbformat
import pytest
from grading_tools import (
    NAMES,
    QUICK,
    REAL,
    TINY,
    executed,
    graded,
    hand_in,
    needs_bubblewrap,
    rows,
    run_autograder,
)
from nbconvert.exporters import HTMLExporter

from autograder.authors import matrix, release, steps
from autograder.authors.assignment import Graded, assignment
from autograder.classroom import feedback, lms, report
from autograder.classroom.gradebook import Classroom
from autograder.course import CourseError
from autograder.demo import sample
from autograder.grading import grade, judge, sanitize, tests

pytestmark = needs_bubblewrap


@pytest.fixture(scope="module", autouse=True)
def _names():
    with pytest.MonkeyPatch.context() as patch:
        known = judge.mistakes.catalogue() | NAMES
        patch.setattr(judge.mistakes, "catalogue", lambda: known)
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return executed(tmp_path_factory.mktemp("course"))


def scores(room, name=TINY):
    return {row.student: list(row.scores.values()) for row in report.rows(room, name)}


def hidden_lines(asked):
    """The lines that only the hidden tests hold."""
    lines = set()
    for test in asked.tests:
        lines |= set(test.source.splitlines()) - set(test.visible.splitlines())
    return {
        line.strip() for line in lines if len(line.strip()) > 12 and "###" not in line
    }


def solution_lines(asked):
    lines = set()
    for cell in asked.source.cells:
        for region in release.visible_and_hidden(cell)[1]:
            lines |= {line.strip() for line in region.lines}
    return {line for line in lines if len(line) > 12}


def plain_score(room, student, name, exercise):
    """What the same answer earns where it is simply run, without any of our grading."""
    cells = nbformat.read(room.submission(student, name), as_version=4).cells
    labels = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in cells]
    answer = cells[labels.index(exercise)].source
    return matrix.Notebook(REAL, name).grade(exercise, answer)[1]


# ---------------------------------------------------- every notebook that exists


@pytest.mark.parametrize("name", REAL.notebooks())
def test_the_sample_class_with_a_solution_and_an_untouched_notebook(name, tmp_path):
    """Every student of the sample class, and then a second run."""
    room = Classroom(tmp_path)
    extremes = {"all": "# base: solution", "none": "# base: untouched"}
    asked = hand_in(REAL, room, name, **extremes)
    handed = sample.students(sample.folder_of(REAL) / name)
    assert handed and not extremes.keys() & {one.student for one in handed}
    for one in handed:
        sample.write(room, asked, one)
    limits = type(QUICK)(cell_seconds=10, notebook_seconds=120)
    graded(REAL, room, name, limits=limits)
    table = rows(room, name)
    for test in asked.tests:
        assert table["all"].scores[test.exercise] == test.points, table["all"].reasons
        assert table["none"].scores[test.exercise] == 0, table["none"].reasons
    assert set(table["all"].scores) == {
        *(test.exercise for test in asked.tests),
        *(cell.name for cell in asked.manual),
    }
    wrong = []
    for one in handed:
        row = table[one.student]
        for exercise, points in one.expected(asked).items():
            if points is None:
                points = plain_score(room, one.student, name, exercise)
                assert points < row.points[exercise]
            if row.scores[exercise] != points:
                came = f"{exercise} {row.scores[exercise]} instead of {points}"
                wrong.append(f"{one.student}: {came}")
        said = "\n".join(row.reasons)
        if one.reason not in said:
            wrong.append(f"{one.student}: no {one.reason!r} in {said}")
        by_tests = sum(row.points[test.exercise] for test in asked.tests)
        if row.total < by_tests and not row.reasons:
            wrong.append(f"{one.student}: points are missing without a reason")
        if not room.feedback(one.student, name).exists():
            wrong.append(f"{one.student}: no feedback")
    assert not wrong, "\n".join(wrong)

    book = (tmp_path / "gradebook.db").read_bytes()
    again = graded(REAL, room, name, limits=limits)
    assert again.done == [] and len(again.unchanged) == len(handed) + 2
    assert (tmp_path / "gradebook.db").read_bytes() == book

    secrets = hidden_lines(asked)
    for one in handed:
        page = room.feedback(one.student, name).read_text(encoding="utf-8")
        own = room.submission(one.student, name).read_bytes().decode(errors="replace")
        plain = re.sub(r"<[^>]*>", "", page)
        for line in secrets:
            assert line not in html.unescape(plain), (one.student, line)
        for line in solution_lines(asked):
            if json.dumps(line)[1:-1] not in own:
                assert line not in html.unescape(plain), (one.student, line)
        copy = room.autograded(one.student, name)
        if copy.exists():
            cells = nbformat.read(copy, as_version=4).cells
            text = "\n".join(cell.source for cell in cells)
            assert not [line for line in secrets if line in text.splitlines()]


# ----------------------------------------------------------------- a small class


CLASS = {
    "all": "# base: solution",
    "none": "# base: untouched",
    "squares": "# base: solution\n# %% answer double\ndef double(x):\n    return x**2",
    "noisy": "# base: solution\n# %% cell after double\n"
    "import sys, warnings\nwarnings.warn('oh')\nprint('oh', file=sys.stderr)",
    "numpy": "# base: solution\n# %% answer refuse\nimport numpy as np\n"
    "def refuse(x):\n    if x < 0: raise ValueError\n    return np.sqrt(np.float64(x))",
    "leaves": "# base: solution\n# %% answer double\n"
    "def double(x):\n    raise SystemExit",
    "given": "# base: solution\n# %% answer double\ndef double(x):\n"
    "    return x * (offset - 1)",
    "syntax": "# base: solution\n# %% answer double\ndef double(x) return x",
    "trial": "# base: solution\n# %% cell after test_double\n"
    "@check.exercise('double', points=2)\ndef exercise(checks):\n"
    "    checks.close('twice one half', lambda: double(1.0), 5.0)\n"
    "check.score(exercise)",
    "shadows": "# base: solution\n# %% cell before test_double\ncheck = sum = None",
}
SCORES = {
    "all": [2, 3, None],
    "none": [0, 0, 0],
    "squares": [0, 3, None],
    "noisy": [2, 3, None],
    "numpy": [2, 3, None],
    "leaves": [0, 3, None],
    "given": [2, 3, None],
    "syntax": [0, 3, None],
    "trial": [2, 3, None],
    "shadows": [2, 3, None],
}


@pytest.fixture(scope="module")
def room(tiny, tmp_path_factory):
    room = Classroom(tmp_path_factory.mktemp("class"))
    hand_in(tiny, room, TINY, **CLASS)
    graded(tiny, room, TINY)
    return room


def test_scores_of_a_small_class(room):
    assert scores(room) == SCORES


def test_reasons_name_the_misconception(room):
    table = rows(room, TINY)
    assert table["all"].reasons == ()
    assert "it is squared" in table["squares"].reasons[0]
    assert table["none"].reasons[0] == "double, refuse: not written yet"
    assert "raised SyntaxError" in "\n".join(table["syntax"].reasons)


def test_nbgrader_sees_the_same_scores(room):
    with room.gradebook() as book:
        for student, wanted in SCORES.items():
            submission = book.find_submission(TINY, student)
            assert submission.score == sum(filter(None, wanted))
            assert submission.max_score == 6
            assert submission.needs_manual_grade is (student != "none")


def test_stderr_and_numbers_of_numpy_cannot_reach_nbgrader(room):
    for student in CLASS:
        notebook = nbformat.read(room.autograded(student, TINY), as_version=4)
        tests = [
            c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")
        ]
        for cell in (c for c in tests if c.cell_type == "code"):
            kinds = [output.output_type for output in cell.outputs]
            assert kinds == ["stream", "execute_result"]
            assert cell.outputs[0].name == "stdout"
            assert re.fullmatch(r"\d\.\d+", cell.outputs[1].data["text/plain"])


def test_feedback_shows_what_was_asked_what_came_and_why(room):
    page = html.unescape(room.feedback("squares", TINY).read_text(encoding="utf-8"))
    for part in (
        "twice one half",
        "came      [0.25, 0.25]",
        "expected  [1, 1]",
        "it is squared",
        "hidden test: negative numbers too",
        "return x**2",
        "3 of 3 points",
    ):
        assert part in page
    for secret in ("concealed", "[49", "twice_as_much", "magic word"):
        assert secret not in page


def test_only_what_changed_is_graded_again(tiny, room, tmp_path):
    shutil.copytree(room.root, tmp_path / "copy")
    copy = Classroom(tmp_path / "copy")
    path = copy.submission("squares", TINY)
    path.write_text(path.read_text().replace("x**2", "2 * x"))
    fate = graded(tiny, copy, TINY)
    assert fate.done == ["squares"] and len(fate.unchanged) == len(CLASS) - 1
    assert scores(copy) == SCORES | {"squares": [2, 3, None]}
    (copy.root / "gradebook.db").unlink()
    assert len(graded(tiny, copy, TINY).done) == len(CLASS), "nothing is lost with it"
    path.write_text("{")
    graded(tiny, copy, TINY, students=("squares",))
    assert scores(copy) == SCORES | {"squares": [0, 0, 0]}


def test_what_a_person_decides_is_kept_and_shown(tiny, room, tmp_path):
    shutil.copytree(room.root, tmp_path / "copy")
    copy = Classroom(tmp_path / "copy")
    with copy.gradebook() as book:
        answer = book.find_grade("why", TINY, TINY, "all")
        answer.manual_score, answer.needs_manual_grade = 0.5, False
        double = book.find_grade("test_double", TINY, TINY, "squares")
        double.manual_score = 1.0
        book.find_comment(
            "why", TINY, TINY, "all"
        ).manual_comment = "<b>Which word?</b>"
        book.db.commit()
    assert feedback.rewrite(copy, TINY) == 2
    page = copy.feedback("all", TINY).read_text(encoding="utf-8")
    assert "5.5 of 6 points" in page and "&lt;b&gt;Which word?" in page
    table = rows(copy, TINY)
    assert table["all"].scores["why"] == 0.5
    assert table["squares"].scores["double"] == 1.0
    graded(tiny, copy, TINY, force=True, students=("squares",))
    assert rows(copy, TINY)["squares"].scores["double"] == 1.0


def test_the_table_and_its_csv(room):
    made = report.write(room, TINY)
    text = report.table(TINY, made, width=90)
    assert max(len(line) for line in text.splitlines()) <= 90
    assert re.search(r"squares +0 +3 +\? +3 +double: it is squared", text)
    found = list(csv.DictReader(room.table(TINY).read_text().splitlines()))
    assert [row["student"] for row in found] == sorted(CLASS)
    assert found[0]["total"] == "5.0" and found[0]["why"] == ""
    assert report.safe("=cmd()") == "'=cmd()"


def test_no_word_of_the_table_is_broken():
    names = ["block_coordinate_descent", *(f"exercise_{i}" for i in range(9))]
    points = dict.fromkeys(names, 2.0)
    reason = "block_coordinate_descent, exercise_1: the step-size h is missing"
    row = report.Row("ada-lovelace", dict.fromkeys(names, 0.0), points, (reason,))
    for width in (80, 100, 140):
        text = report.table("01_tiny", [row], width=width)
        assert max(map(len, text.splitlines()[3:])) <= width
        assert "block_coordinate_descent, exercise_1:" in " ".join(text.split())


def test_a_student_without_a_submission_has_a_row(tiny, room, tmp_path):
    shutil.copytree(room.root, tmp_path / "copy")
    copy = Classroom(tmp_path / "copy")
    with copy.gradebook() as book:
        book.add_student("zoe")
    assert rows(copy, TINY)["zoe"].reasons == ("nothing handed in",)
    assert rows(copy, TINY)["zoe"].total == 0


def test_late_submissions_keep_their_time(tiny, tmp_path):
    room = Classroom(tmp_path)
    hand_in(tiny, room, TINY, late="# base: solution", odd="# base: solution")
    stamp = room.submission("late", TINY).parent / "timestamp.txt"
    stamp.write_text("2030-01-02 03:04:05 UTC")
    (room.submission("odd", TINY).parent / "timestamp.txt").write_text("soon")
    graded(tiny, room, TINY)
    with room.gradebook() as book:
        time_of = book.find_submission(TINY, "late").timestamp
    assert str(time_of) == "2030-01-02 03:04:05"
    assert (
        "the time of the submission cannot be read" in rows(room, TINY)["odd"].reasons
    )


def test_the_command_line(tiny, tmp_path):
    room = Classroom(tmp_path / "class")
    hand_in(tiny, room, TINY, ann="# base: solution", bob="# base: untouched")
    folder = ["--folder", str(room.root)]
    first = run_autograder(tiny, "grade", "1", "--jobs", "2", *folder)
    said = first.communicate(timeout=300)[0]
    assert first.returncode == 0, said
    assert "2 graded, 0 unchanged" in said and "students per minute" in said
    again = run_autograder(tiny, "grade", *folder).communicate(timeout=300)[0]
    assert "0 graded, 2 unchanged" in again
    shown = run_autograder(tiny, "report", *folder).communicate(timeout=300)[0]
    assert re.search(r"ann +2 +3 +\? +5", shown)
    for wrong in (
        ["grade", "99"],
        ["grade", "--students", "nobody"],
        ["grade", "--resume"],
    ):
        failed = run_autograder(tiny, *wrong, *folder)
        said = failed.communicate(timeout=300)[0]
        assert failed.returncode == 1 and "Traceback" not in said, said
    for wrong in (["--jobs", "0"], ["--timeout", "-1"], ["--memory", "1"]):
        failed = run_autograder(tiny, "grade", *wrong, *folder)
        said = failed.communicate(timeout=300)[0]
        assert failed.returncode == 2 and "is less than" in said, said


# ------------------------------------------------------------------ interrupted


def test_a_run_killed_at_any_moment_is_completed_by_the_next(tiny, tmp_path):
    room = Classroom(tmp_path / "class")
    names = [f"s{i}" for i in range(6)]
    kinds = ["# base: solution", CLASS["squares"], "# base: untouched"]
    students = {name: kinds[i % 3] for i, name in enumerate(names)}
    hand_in(tiny, room, TINY, **students)
    results = room.root / "results" / TINY
    start = ["grade", TINY, "--jobs", "2", "--folder", str(room.root)]
    resume = ["grade", "--resume", "--folder", str(room.root)]
    for command, reached in (
        (start, lambda: (room.root / "gradebook.db").exists()),
        (resume, lambda: len(list(results.glob("s*.json"))) >= 1),
        (resume, lambda: len(list((room.root / "autograded").glob("s*"))) >= 4),
    ):
        process = run_autograder(tiny, *command, start_new_session=True)
        while not reached():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with sqlite3.connect(room.root / "gradebook.db") as book:
            assert book.execute("pragma integrity_check").fetchone() == ("ok",)
    assert len(list(results.glob("s*.json"))) < len(names), "it was interrupted"
    graded(tiny, room, TINY)
    wanted = {
        name: [[2, 3, None], [0, 3, None], [0, 0, 0]][i % 3]
        for i, name in enumerate(names)
    }
    assert scores(room) == wanted
    with room.gradebook() as book:
        for name, cells in wanted.items():
            assert book.find_submission(TINY, name).score == sum(filter(None, cells))
    pages = [room.feedback(name, TINY) for name in names]
    assert all("</html>" in page.read_text() for page in pages)
    assert not [path for path in room.root.rglob(".*.tmp")]


# --------------------------------------------------------------------- judging


def test_expected_values_never_leave_the_trusted_side():
    source = (
        "@check.exercise('f', points=1, answer=lambda: f, package=ours, further=2)\n"
        "def exercise(checks):\n"
        "    import math\n"
        "    g = torch.Generator().manual_seed(0)\n"
        "    x = torch.randn(3, generator=g)\n"
        "    noise = torch.randn(3, generator=g)\n"
        "    z = torch.randn(3, generator=g)\n"
        "    wanted = math.e * x\n"
        "    def helper(v):\n        return wanted + v\n"
        "    right = helper(x)\n"
        "    for n in (1, 2):\n"
        "        checks.close(f'n = {n}', lambda n=n: f(x, n), right + n, rtol=1e-3)\n"
        "    checks.at_most(label='small', observed=lambda: f(z), bound=0.125)\n"
        "    checks.raises('bad', lambda: f(None), TypeError)\n"
        "check.score(exercise)\n"
    )
    stripped = tests.strip_expected(source)
    for gone in ("wanted", "helper", "right", "0.125", "TypeError", "rtol"):
        assert gone not in stripped
    for kept in ("x = torch", "z = torch", "noise", "lambda n=n: f(x, n)"):
        assert kept in stripped, "the draws that follow stay the same"
    assert "lambda: f(z)" in stripped and "package=ours" in stripped
    assert stripped.rstrip().endswith("check.score(exercise)")


def test_a_mistake_is_named_by_what_came_in_the_visible_checks(monkeypatch):
    def came(*values):
        return [{"form": "number", "numbers": [value]} for value in values]

    known = {
        "checks": ["three", "four"],
        "mistakes": [
            {"title": "one is lost", "came": came(2.0, 3.0)},
            {"title": "it is always two", "came": came(2.0, 2.0)},
        ],
    }
    monkeypatch.setattr(judge.mistakes, "catalogue", lambda: {"f": known})
    labels = {"three": 3, "four": 4, "concealed": 5}
    criteria = [
        judge.Criterion("equal", label, {"dict": {"expected": n}}, label == "concealed")
        for label, n in labels.items()
    ]
    cell = {"grade": True, "solution": False, "points": 2}
    test = Graded("test_f", "code", {"nbgrader": cell}, "", "")

    def verdict(*came):
        lines = [
            {"exercise": "f", "kind": "equal", "label": label} | one
            for label, one in zip(labels, came)
        ]
        return judge.judge(
            test, judge.Ran(records=list(map(json.dumps, lines))), criteria
        )

    def of(*values):
        return verdict(*({"observed": value} for value in values)).reason

    assert of(2, 3, 4) == of(2, 3, 5) == "one is lost"
    assert of(2, 2, 2) == "it is always two"
    assert of(2, 7, 4) == "test 'three' and 2 more failed"
    assert of(2, 4, 4) == "test 'three' and 1 more failed"
    error = {"error": ["PackageAnswer", "Exception"], "text": "write it yourself"}
    handed_on = verdict({"observed": 3}, {"observed": 4}, error)
    assert handed_on.score == 0 and "write it yourself" in handed_on.reason
    late = verdict({"observed": 3}, {"error": ["TimeLimit"]}, {"observed": 5})
    assert "did not come back" in late.reason


def test_a_check_counts_once_and_only_under_its_own_name():
    criterion = judge.Criterion("equal", "three", {"dict": {"expected": 3}}, False)
    cell = {"grade": True, "solution": False, "points": 2}
    test = Graded("test_f", "code", {"nbgrader": cell}, "", "")
    record = {"exercise": "f", "kind": "equal", "label": "three", "observed": 3}

    def score(*records, **more):
        lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
        ran = judge.Ran(records=lines, **more)
        return judge.judge(test, ran, [criterion]).score

    assert score(record) == 2
    assert score() == 0
    assert score(record, record) == 0
    assert score(record | {"exercise": "g"}) == 0
    assert score(record | {"label": "four"}) == 0
    assert score(record | {"kind": "close"}) == 0
    assert score(record | {"observed": 4}) == 0
    assert (
        score(record | {"observed": {"array": "AAAA", "dtype": "O", "shape": [1]}}) == 0
    )
    assert (
        score(record | {"observed": {"array": "AAAA", "dtype": "<f8", "shape": [-1]}})
        == 0
    )
    assert score(record | {"observed": [[[[]]]]}) == 0
    assert score(json.dumps(record)[:-2] + "[" * 900 + "]" * 900 + "}") == 0
    assert score("[" * 100_000, "7", '"record"', json.dumps(record)) == 2
    assert score({k: record[k] for k in record if k != "observed"} | {"error": 7}) == 0
    assert score(record, {"exercise": "f", "kind": "stopped", "label": ""}) == 0
    assert score(record, trouble="it ended Python") == 0


def test_a_replaced_decoy_spoils_the_test():
    source, decoys = tests.arm(
        "@check.exercise('f', points=1)\ndef exercise(checks):\n"
        "    checks.close('three', lambda: f())\ncheck.score(exercise)"
    )
    assert len(decoys) == 3
    for decoy in decoys:
        (line,) = [line for line in source.splitlines() if decoy.label in line]
        assert line.startswith("    checks."), "among the others"
    criterion = judge.Criterion("equal", "three", {"dict": {"expected": 3}}, False)
    cell = {"grade": True, "solution": False, "points": 2}
    test = Graded("test_f", "code", {"nbgrader": cell}, "", "")
    true = [{"kind": d.kind, "label": d.label, "observed": d.observed} for d in decoys]
    own = {"exercise": "f", "kind": "equal", "label": "three", "observed": 3}
    ran = judge.Ran(records=[json.dumps(one) for one in (own, *true)])
    assert judge.judge(test, ran, [criterion], decoys).score == 2
    true[0]["observed"] = 0.0
    ran = judge.Ran(records=[json.dumps(one) for one in (own, *true)])
    assert judge.judge(test, ran, [criterion], decoys).score == 0


def test_the_package_is_no_answer_key_and_a_hang_costs_its_check(tmp_path):
    made = executed(tmp_path / "c")
    room = Classroom(tmp_path / "class")
    hand_in(
        made,
        room,
        TINY,
        key="# base: solution\n# %% answer double\n"
        "def double(x):\n    return solvers.euler_step(lambda t, y: y, 0.0, x, 1.0)",
        alias="# base: solution\n# %% cell before double\nstep = solvers.euler_step\n"
        "# %% answer double\n"
        "def double(x):\n    try:\n        return step(lambda t, y: y, 0.0, x, 1.0)\n"
        "    except BaseException:\n        return 2 * x",
        hangs="# base: solution\n# %% answer double\n"
        "def double(x):\n    while x[0] > 1:\n        pass\n    return 2 * x",
        dtype="# base: solution\n# %% cell before double\n"
        "torch.set_default_dtype(torch.float64)",
        fine="# base: solution",
    )
    graded(made, room, TINY)
    table = rows(room, TINY)
    scores = {name: row.scores["double"] for name, row in table.items()}
    assert scores == {"key": 0, "alias": 0, "hangs": 1, "dtype": 2, "fine": 2}
    for name in ("key", "alias"):
        assert "this is the exercise: write it yourself" in table[name].reasons[0]
        assert "write it yourself" in room.feedback(name, TINY).read_text()


def test_a_solution_that_fails_its_own_tests_is_never_graded_with(tmp_path):
    from grading_tools import SOURCE

    wrong = SOURCE.replace("2 * concealed", "3 * concealed")
    made = executed(tmp_path / "c", wrong)
    room = Classroom(tmp_path / "class")
    hand_in(made, room, TINY, ann="# base: solution")
    with pytest.raises(CourseError, match="the solution of double earns 1 of 2"):
        graded(made, room, TINY)


def test_given_cells_run_only_where_a_student_needs_them(tiny):
    asked = assignment(tiny, TINY)

    def executed_sources(change):
        notebook = sample.solved(asked)
        index = next(i for i, c in enumerate(notebook.cells) if c.id == "double")
        notebook.cells[index].source = change
        restored = sanitize.restore(asked, notebook)
        return [code.source for _, code in tests.codes(asked, restored.notebook)]

    given = 'offset = 3\nprint("three is", offset)'
    assert given not in executed_sources("def double(x):\n    return x + x")
    assert given not in executed_sources(
        "def double(x):\n    offset = 2\n    return offset * x"
    )
    assert given in executed_sources("def double(x):\n    return x * (offset - 1)")
    assert given in executed_sources(
        "def double(x):\n    return eval('x * (offset - 1)')"
    )


class _Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]


def test_a_feedback_page_runs_nothing():
    evil = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>"
    exercise = {"exercise": evil, "points": 2.0, "score": 0.0, "reason": evil}
    exercise["checks"] = [
        {"label": evil, "passed": False, "hidden": hidden, "message": evil}
        for hidden in (True, False)
    ]
    result = {
        "notebook": evil,
        "student": evil,
        "exercises": [exercise],
        "manual": [{"name": evil, "points": 1.0}],
        "answers": {evil: evil},
        "notes": [evil],
    }
    page = feedback.page(
        result, {evil: {"comment": evil, "score": 1.0, "waits": False}}
    )
    tags = _Tags()
    tags.feed(page)
    assert not tags.found & {"script", "img", "iframe", "svg", "object", "link", "a"}
    assert "default-src 'none'" in page


def test_two_runs_never_grade_one_class_at_a_time(tiny, tmp_path):
    room = Classroom(tmp_path / "class")
    hand_in(tiny, room, TINY, ann="# base: untouched")
    with room.alone(), pytest.raises(CourseError, match="another run"):
        grade.session(tiny, room, [TINY], grade.Options(quiet=True))
    with room.alone():
        pass  # it is free again


def test_students_are_looked_for_in_all_notebooks(tiny, tmp_path):
    room = Classroom(tmp_path / "class")
    hand_in(tiny, room, TINY, ann="# base: untouched", bob="# base: untouched")
    (room.submitted / "bob" / "02_other").mkdir()
    some = grade.Options(students=("ann",), quiet=True, jobs=1)
    assert grade.session(tiny, room, [TINY, "02_other"], some) == 0
    assert room.read_result("ann", TINY) and not room.read_result("bob", TINY)
    nobody = grade.Options(students=("ann", "zoe"), quiet=True)
    with pytest.raises(CourseError, match="nothing handed in by zoe"):
        grade.session(tiny, room, [TINY], nobody)


def test_what_a_terminal_or_a_spreadsheet_shows_runs_nothing():
    reasons = ("\x1b]0;owned\x07\x1b[2J", "\u202etxt", "a\nb")
    row = report.Row("=cmd()\x1b[31m", {"f": 1.0}, {"f": 1.0}, reasons)
    shown = report.table("01_tiny", [row])
    assert all(line.isprintable() for line in shown.split("\n"))
    cells = list(csv.reader(report.to_csv([row]).splitlines()))[1]
    assert all(cell.isprintable() and cell[0] not in "=+-@" for cell in cells)
    earned = lms.Grade("s", "@full", "=lms", 1.0, 2.0)
    for made in (lms.new_canvas([earned], "01_tiny"), lms.new_moodle([earned])):
        for line in csv.reader(made.splitlines()):
            assert all(cell[:1] not in tuple("=+-@") for cell in line)


def test_markdown_of_students_runs_nothing_in_nbgraders_pages():
    text = """<script>alert(1)</script> <img src=x onerror=alert(2)> $x<y$

[link](javascript:alert(3)) <svg onload=alert(4)> ![gone](attachment:gone.png)

<details><summary>Hint</summary>

![here](attachment:here.png)
</details>"""
    cell = nbformat.v4.new_markdown_cell(text)
    cell["attachments"] = {"here.png": {"image/png": "aGk="}}
    scripts = nbformat.v4.new_output("display_data", {"text/html": "<script>a"})
    code = nbformat.v4.new_code_cell("1", outputs=[scripts])
    notebook = nbformat.v4.new_notebook(cells=[cell, code])
    config = steps.load_config(REAL)
    page, _ = HTMLExporter(config=config).from_notebook_node(notebook)
    body = page[page.index("<main") :]
    assert "alert(1)" in body and "$x&lt;y$" in body
    for bad in ("<script>a", "<img src=x", '<img src="x', "<svg onload", "javascript:"):
        assert bad not in body
    shown = feedback.markdown({"cell": cell}, text)
    assert "<summary>Hint</summary>" in shown and "data:image/png;base64,aGk=" in shown


def test_pasted_pictures_reach_the_person_who_reads(tiny, tmp_path):
    asked = assignment(tiny, TINY)
    answer = {"why": {"image/png": "aGk=", "text/html": "<script>"}, "x": {"a/b": "c"}}
    came = [dict(cell) for cell in asked.released.cells]
    for cell in came:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "why":
            cell["attachments"] = answer
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "cells": came, "metadata": {}}))
    restored = sanitize.restore(asked, sanitize.read(path)).notebook
    kept = [c.attachments for c in restored.cells if "attachments" in c]
    assert kept == [{"why": {"image/png": "aGk="}}]
