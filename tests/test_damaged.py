"""What is broken in a submission costs that part only."""

import copy
import json
import os
import shutil

import nbformat
import pytest
from grading_tools import (
    TINY,
    assignment,
    executed,
    graded,
    hand_in,
    needs_bubblewrap,
    rows,
    run_autograder,
)

from autograder.authors.assignment import label_of
from autograder.classroom.gradebook import Classroom
from autograder.demo import sample
from autograder.grading import sanitize, tests

pytestmark = needs_bubblewrap
DOUBLE = "def double(x):\n    return 2 * x"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk" * 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return executed(tmp_path_factory.mktemp("course"))


@pytest.fixture(scope="module")
def asked(tiny):
    return assignment(tiny, TINY)


def solved(asked):
    """The solution as the JSON that an editor writes."""
    return json.loads(nbformat.writes(sample.solved(asked)))


def cell(notebook, name):
    for one in notebook["cells"]:
        if (
            one["metadata"]
            and one["metadata"].get("nbgrader", {}).get("grade_id") == name
        ):
            return one
    raise KeyError(name)


def index(notebook, name):
    return notebook["cells"].index(cell(notebook, name))


def restored(asked, tmp_path, notebook):
    path = tmp_path / "came.ipynb"
    data = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
    path.write_bytes(data)
    return sanitize.restore(asked, sanitize.read(path))


def found(submission, name):
    (one,) = [c for c in submission.notebook.cells if label_of(c) == name]
    return one.source


# --------------------------------------------------------------- how a file is written


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_of_any_system_accuse_nobody(asked, tmp_path, end):
    notebook = solved(asked)
    for one in notebook["cells"]:
        one["source"] = "".join(one["source"]).replace("\n", end)
    came = restored(asked, tmp_path, notebook)
    assert came.notes == []
    sources = [code.source for _, code in tests.codes(asked, came.notebook)]
    assert not any("three is" in source for source in sources), "given, not executed"


def test_spaces_at_line_ends_accuse_nobody(asked, tmp_path):
    notebook = solved(asked)
    for one in notebook["cells"]:
        one["source"] = "".join(one["source"]).replace("\n", "  \n") + "\n\n"
    assert restored(asked, tmp_path, notebook).notes == []


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings_of_editors_are_read(asked, tmp_path, encoding):
    notebook = solved(asked)
    cell(notebook, "why")["source"] = "Größer, 大きい."
    data = json.dumps(notebook, ensure_ascii=False).encode(encoding)
    came = restored(asked, tmp_path, data)
    assert found(came, "why") == "Größer, 大きい." and came.notes == []


def test_other_bytes_cost_their_characters(asked, tmp_path):
    notebook = solved(asked)
    cell(notebook, "why")["source"] = "größer"
    data = json.dumps(notebook, ensure_ascii=False).encode("latin-1", "replace")
    came = restored(asked, tmp_path, data)
    assert (
        found(came, "why") == "gr\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}er"
    )
    assert "not UTF-8" in came.notes[0]


# ------------------------------------------------------------------------ broken cells


@pytest.mark.parametrize(
    "broken",
    [
        {"cell_type": "markdown", "metadata": None, "source": "# Title"},
        {"cell_type": "markdown", "source": None},
        {"cell_type": ["code"], "metadata": {"nbgrader": None}, "source": ["a", 1]},
        {"cell_type": "markdown", "metadata": {}, "source": "a", "attachments": [1]},
        {"cell_type": "code", "metadata": {}, "source": {"not": "text"}},
        None,
        7,
    ],
)
def test_a_broken_cell_costs_that_cell(asked, tmp_path, broken):
    notebook = solved(asked)
    notebook["cells"].insert(1, broken)
    came = restored(asked, tmp_path, notebook)
    assert "twice_as_much" in found(came, "double")
    assert all("damaged" in note for note in came.notes)


def test_a_file_without_its_version_is_still_a_notebook(asked, tmp_path):
    notebook = solved(asked)
    del notebook["nbformat"]
    assert restored(asked, tmp_path, notebook).notes == []


def test_text_without_end_costs_its_cell(asked, tmp_path):
    notebook = solved(asked)
    text = {"cell_type": "markdown", "metadata": {}, "source": "long " * 600_000}
    notebook["cells"].insert(2, text)
    came = restored(asked, tmp_path, notebook)
    assert "twice_as_much" in found(came, "double")
    assert came.notes == ["cell 3 was emptied: the cells hold more than 2 MB of text"]


def test_large_outputs_cost_nothing(asked, tmp_path):
    notebook = solved(asked)
    text = "loss nan\n" * 3_000_000
    output = {"output_type": "stream", "name": "stdout", "text": text}
    cell(notebook, "double")["outputs"] = [output]
    assert restored(asked, tmp_path, notebook).notes == []


def test_a_pasted_picture_becomes_an_attachment(asked, tmp_path):
    notebook = solved(asked)
    large = PIXEL * 20_000  # more than all text may be
    why = cell(notebook, "why")
    why["source"] = [f"As ![drawn](data:image/png;base64,{large}) here,\n", "so."]
    came = restored(asked, tmp_path, notebook)
    assert came.notes == []
    (one,) = [c for c in came.notebook.cells if label_of(c) == "why"]
    (name,) = one.attachments
    assert one.source == f"As ![drawn](attachment:{name}) here,\nso."
    assert one.attachments[name] == {"image/png": large}
    nbformat.validate(came.notebook)


# -------------------------------------------------------------------- copies, no label


def copied(asked, *, below, label=True, worked_on=DOUBLE):
    """The release, its first answer there twice: worked on and untouched."""
    notebook = json.loads(nbformat.writes(asked.released))
    at = index(notebook, "double")
    other = copy.deepcopy(notebook["cells"][at])
    mine = notebook["cells"][at] if below else other
    mine["source"] = worked_on
    notebook["cells"].insert(at + 1, other)
    if not label:
        other["metadata"] = {}
    return notebook


@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("label", [True, False])
def test_the_copy_that_was_worked_on_counts(asked, tmp_path, below, label):
    came = restored(asked, tmp_path, copied(asked, below=below, label=label))
    assert found(came, "double").strip() == DOUBLE
    stub = asked.graded["double"].visible
    assert all(stub.strip() != c.source.strip() for c in came.notebook.cells)
    labels = [label_of(c) for c in came.notebook.cells]
    assert labels.index("double") < labels.index("test_double")


def test_a_stub_of_another_release_is_untouched_too(asked, tmp_path):
    notebook = copied(asked, below=True)
    stub = notebook["cells"][index(notebook, "double") + 1]
    stub["source"] = "".join(stub["source"]).replace("twice", "two times")
    came = restored(asked, tmp_path, notebook)
    assert found(came, "double").strip() == DOUBLE


def test_a_retyped_answer_counts_where_the_labelled_one_was_left(asked, tmp_path):
    notebook = json.loads(nbformat.writes(asked.released))
    own = {"cell_type": "code", "metadata": {}, "source": DOUBLE, "outputs": []}
    notebook["cells"].append(own | {"execution_count": None})
    came = restored(asked, tmp_path, notebook)
    assert found(came, "double").strip() == DOUBLE


def test_all_labels_lost_costs_nothing(asked, tmp_path):
    notebook = solved(asked)
    for one in notebook["cells"]:
        one["metadata"] = {}
    came = restored(asked, tmp_path, notebook)
    given = restored(asked, tmp_path, solved(asked))
    assert [c.source for c in came.notebook.cells] == [
        c.source for c in given.notebook.cells
    ]
    assert [label_of(c) for c in came.notebook.cells] == [
        label_of(c) for c in given.notebook.cells
    ]


def test_an_answer_merged_into_its_test_counts(asked, tmp_path):
    notebook = solved(asked)
    at = index(notebook, "double")
    test = cell(notebook, "test_double")
    test["source"] = DOUBLE + "\n\n" + "".join(test["source"])
    del notebook["cells"][at]
    came = restored(asked, tmp_path, notebook)
    assert found(came, "double").strip() == DOUBLE
    assert found(came, "test_double") == asked.graded["test_double"].visible


# --------------------------------------------------------------------- written answers


def test_halves_of_a_split_answer_are_put_together(asked, tmp_path):
    notebook = solved(asked)
    first, second = cell(notebook, "why"), copy.deepcopy(cell(notebook, "why"))
    first["source"], second["source"] = "The reason that matters.", "A detail."
    notebook["cells"].append(second)
    came = restored(asked, tmp_path, notebook)
    assert found(came, "why") == "The reason that matters.\n\nA detail."


@pytest.mark.parametrize("left", ["nothing", "the placeholder", "no label at all"])
def test_an_answer_in_a_cell_of_its_own_is_found(asked, tmp_path, left):
    notebook = solved(asked)
    why = cell(notebook, "why")
    why["source"] = "YOUR ANSWER HERE"
    own = {"cell_type": "markdown", "metadata": {}, "source": "My own words."}
    notebook["cells"].append(own)
    if left != "the placeholder":
        notebook["cells"].remove(why)
    if left == "no label at all":
        for one in notebook["cells"]:
            one["metadata"] = {}
    came = restored(asked, tmp_path, notebook)
    assert found(came, "why") == "My own words."
    assert sum("My own words." in c.source for c in came.notebook.cells) == 1


def test_text_in_a_locked_question_stays_below_it(tmp_path):
    from grading_tools import SOURCE

    task = SOURCE.replace(
        '"grade": true, "grade_id": "why", "locked": false, "points": 1, '
        '"schema_version": 3, "solution": true, "task": false',
        '"grade": false, "grade_id": "why", "locked": true, "points": 1, '
        '"schema_version": 3, "solution": false, "task": true',
    ).replace("# Because a model answer says so.", "# ### Why?\n# In a sentence.")
    made = executed(tmp_path / "course", task)
    asked = assignment(made, TINY)
    notebook = json.loads(nbformat.writes(asked.released))
    question = cell(notebook, "why")
    picture = f"![](data:image/png;base64,{PIXEL})"
    question["source"] = "".join(question["source"]) + f"\n\nBecause: {picture}"
    came = restored(asked, tmp_path, notebook)
    at = [label_of(c) for c in came.notebook.cells].index("why")
    assert came.notebook.cells[at].source == asked.graded["why"].visible
    below = came.notebook.cells[at + 1]
    assert below.source.startswith("Because: ![](attachment:")
    assert list(below.attachments.values()) == [{"image/png": PIXEL}]

    room = Classroom(tmp_path / "class")
    hand_in(made, room, TINY, ann="# base: untouched")
    room.submission("ann", TINY).write_text(json.dumps(notebook))
    graded(made, room, TINY)
    assert "Because:" in room.read_result("ann", TINY)["answers"]["why"]
    assert "Because:" in room.autograded("ann", TINY).read_text()
    assert "Because:" in room.feedback("ann", TINY).read_text()
    assert rows(room, TINY)["ann"].scores["why"] is None, "a person has to look"


# ---------------------------------------------------------------------- a graded class


def test_points_of_a_damaged_class(tiny, asked, tmp_path):
    room = Classroom(tmp_path / "class")
    class_ = dict.fromkeys(
        ("windows", "split", "stub", "nulls", "own"), "# base: solution"
    )
    hand_in(tiny, room, TINY, **class_)

    def change(student, notebook):
        room.submission(student, TINY).write_text(json.dumps(notebook))

    windows = solved(asked)
    for one in windows["cells"]:
        one["source"] = "".join(one["source"]).replace("\n", "\r\n")
    change("windows", windows)
    change("stub", copied(asked, below=True))
    nulls = solved(asked)
    nulls["cells"][0]["metadata"] = None
    change("nulls", nulls)
    split = solved(asked)
    second = copy.deepcopy(cell(split, "why"))
    second["source"] = "A detail."
    split["cells"].append(second)
    change("split", split)
    own = json.loads(nbformat.writes(asked.released))
    own["cells"].remove(cell(own, "why"))
    text = {"cell_type": "markdown", "metadata": {}, "source": "In my own cell."}
    own["cells"].append(text)
    change("own", own)
    graded(tiny, room, TINY)
    scores = {row: list(one.scores.values()) for row, one in rows(room, TINY).items()}
    assert scores == {
        "windows": [2.0, 3.0, None],
        "nulls": [2.0, 3.0, None],
        "split": [2.0, 3.0, None],
        "stub": [2.0, 0.0, 0.0],
        "own": [0.0, 0.0, None],
    }
    assert "A detail." in room.read_result("split", TINY)["answers"]["why"]
    assert "A detail." in room.feedback("split", TINY).read_text()
    assert rows(room, TINY)["windows"].reasons == ()


def test_a_folder_whose_name_is_not_text_stops_nobody(tiny, tmp_path):
    room = Classroom(tmp_path / "class")
    hand_in(tiny, room, TINY, anna="# base: solution", zoe="# base: solution")
    odd = room.submitted / os.fsdecode(b"m\xfcller")
    shutil.copytree(room.submitted / "anna", odd)
    run = run_autograder(tiny, "grade", TINY, "--folder", str(room.root), "--jobs", "1")
    said, _ = run.communicate(timeout=300)
    assert run.returncode == 1 and "2 graded" in said
    assert "m\N{REPLACEMENT CHARACTER}ller" in said and "not UTF-8" in said
    assert {"anna", "zoe"} == set(rows(room, TINY))
