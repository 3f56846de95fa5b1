"""From the source to what students get: nothing too much, nothing too little."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from grading_tools import SOURCE, TINY, course, executed
from nbgrader.apps import NbGraderAPI
from nbgrader.converters import GenerateAssignment

from autograder.authors import pairs, release, steps
from autograder.authors.assignment import assignment
from autograder.course import CourseError

OURS = (steps.Stamp, steps.Fold)

BAD_CELLS = {
    "raises": ("1 / 0", "division by zero"),
    "says something on stderr": ("import warnings; warnings.warn('careful')", "stderr"),
    "prints an address": ("print(object())", "address"),
    "prints a path": ("import os; print(os.getcwd())", "path"),
    "ends the kernel": ("import os; os._exit(1)", "died"),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return executed(tmp_path_factory.mktemp("course"))


@pytest.fixture
def mine(tiny, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(tiny.root, tmp_path / "mine")
    return type(tiny)(tmp_path / "mine")


def edit(made, old, new):
    path = made.source(TINY)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def change(made, work):
    """Change the executed notebook by hand."""
    path = made.solution(TINY)
    notebook = nbformat.read(path, as_version=4)
    work(notebook)
    path.write_text(pairs.to_text(notebook), encoding="utf-8")


# ------------------------------------------------------------------- the pair


def test_cell_ids_follow_from_the_source_alone(tmp_path):
    source = SOURCE + "\n# %%\n1 + 1\n\n# %%\n1 + 1\n"
    one = pairs.build(course(tmp_path / "one", source), TINY)
    two = pairs.build(course(tmp_path / "two", source), TINY)
    assert pairs.to_text(one) == pairs.to_text(two)
    ids = [cell.id for cell in one.cells]
    assert len(set(ids)) == len(ids)
    assert {"double", "test_double", "why"} <= set(ids)
    assert ids[-1] == f"{ids[-2]}-2"  # equal cells are numbered


def test_a_cell_that_is_inserted_leaves_the_other_ids_alone(tmp_path):
    before = pairs.build(course(tmp_path / "one"), TINY)
    more = SOURCE.replace(
        "# %% [markdown]\n# ## Given", "# %%\n2\n\n# %% [markdown]\n# ## Given"
    )
    after = pairs.build(course(tmp_path / "two", more), TINY)
    assert {c.id for c in before.cells} < {c.id for c in after.cells}


def test_sync_executes_once_and_leaves_no_noise(tiny):
    assert pairs.sync(tiny, TINY) == "unchanged"
    assert pairs.problems(tiny, TINY) == []
    text = tiny.solution(TINY).read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["metadata"]["language_info"] == {"name": "python"}
    assert all(set(c["metadata"]) <= {"nbgrader", "tags"} for c in notebook["cells"])
    assert "three is 3" in text and "2 of 2 points" in text


def test_a_second_execution_gives_the_same_bytes(mine):
    before = mine.solution(TINY).read_bytes()
    assert pairs.sync(mine, TINY, force=True) == "executed, same outputs"
    assert mine.solution(TINY).read_bytes() == before


def test_outputs_are_kept_where_only_text_changed(mine):
    edit(mine, "Does it run?", "Does it run at all?")
    assert pairs.problems(mine, TINY)
    assert pairs.sync(mine, TINY) == "text updated, outputs kept"
    assert pairs.problems(mine, TINY) == []


def test_changed_code_is_executed(mine):
    edit(mine, "offset = 3", "offset = 2 + 1")
    assert pairs.sync(mine, TINY) == "executed"


@pytest.mark.parametrize("code, said", BAD_CELLS.values(), ids=BAD_CELLS)
def test_a_bad_cell_stops_the_sync_and_nothing_is_written(tmp_path, code, said):
    made = course(tmp_path / "c", f"# %% [markdown]\n# # 01 - Bad\n\n# %%\n{code}\n")
    with pytest.raises(CourseError, match=said):
        pairs.sync(made, TINY)
    assert not made.solution(TINY).exists()


def _drop_outputs(notebook):
    notebook.cells[1].execution_count = None


def _wrong_order(notebook):
    notebook.cells[1].execution_count = 7


def _stderr(notebook):
    output = nbformat.v4.new_output("stream", name="stderr", text="warning")
    notebook.cells[1].outputs.append(output)


def _other_source(notebook):
    notebook.cells[0].source += " and more"


def _other_metadata(notebook):
    notebook.cells[0].metadata["tags"] = ["new"]


def _fewer_cells(notebook):
    del notebook.cells[-1]


@pytest.mark.parametrize(
    "work",
    [
        _drop_outputs,
        _wrong_order,
        _stderr,
        _other_source,
        _other_metadata,
        _fewer_cells,
    ],
)
def test_a_stale_pair_is_found(mine, work):
    change(mine, work)
    assert pairs.problems(mine, TINY)


def test_metadata_that_nobody_knows_is_refused(tmp_path):
    made = course(tmp_path / "c", SOURCE + '\n# %% secret={"a": 1}\n2\n')
    config = made.root / "jupytext.toml"
    text = config.read_text().replace("nbgrader,tags,-all", "all")
    config.write_text(text)
    with pytest.raises(CourseError, match="secret"):
        pairs.build(made, TINY)


# ---------------------------------------------------------------- the release


def test_the_release_depends_on_the_source_alone(tiny, tmp_path):
    shutil.copytree(tiny.root, tmp_path / "elsewhere")
    one = release.build(assignment(tiny, TINY))
    two = release.build(assignment(type(tiny)(tmp_path / "elsewhere"), TINY))
    assert one == two


def test_the_release_has_stubs_badge_and_address_and_no_secrets(mine):
    assert release.release(mine, TINY) == "released"
    assert release.release(mine, TINY) == "unchanged"
    assert release.differences(assignment(mine, TINY)) == []
    assert {p.name for p in mine.release(TINY).parent.iterdir()} == {
        f"{TINY}.ipynb",
        f"{TINY}.py",
    }
    for path in mine.release(TINY).parent.iterdir():
        text = path.read_text(encoding="utf-8")
        for secret in ("twice_as_much", "concealed", "magic word", "model answer"):
            assert secret not in text
        assert "REPOSITORY" not in text and f"git+{mine.repository}" in text
        assert "colab-badge.svg" in text and f"blob/main/course/{TINY}" in text
        assert text.count("raise NotImplementedError()") == 2
        assert "YOUR ANSWER HERE" in text
    notebook = nbformat.read(mine.release(TINY), as_version=4)
    assert all(not c.get("outputs") for c in notebook.cells)
    graded = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")]
    assert len(graded) == 3 and all(c.metadata.nbgrader.checksum for c in graded)
    leftovers = {p.name for p in mine.autograder.iterdir()}
    assert leftovers == {"nbgrader_config.py"}, "no gradebook is left behind"


def test_a_stale_pair_is_not_released(mine):
    edit(mine, "offset = 3", "offset = 4")
    with pytest.raises(CourseError, match="sync"):
        release.release(mine, TINY)


@pytest.mark.parametrize(
    "where",
    ["source", "outputs", "metadata", "attachments", "nbgrader", "notebook", "text"],
)
def test_the_gate_finds_what_slipped_through(mine, where):
    asked = assignment(mine, TINY)
    built = release.build(asked)
    notebook = nbformat.reads(built.notebook, as_version=4)
    leak = "twice_as_much = x + x"
    cell, text = notebook.cells[2], built.text
    if where == "source":
        cell.source += f"\n```\n{leak}\n```"
    elif where == "outputs":
        output = nbformat.v4.new_output("stream", text=leak)
        notebook.cells[3].outputs = [output]
    elif where == "metadata":
        cell.metadata["comment"] = leak
    elif where == "attachments":
        cell["attachments"] = {"a.txt": {"text/plain": leak}}
    elif where == "nbgrader":
        notebook.cells[4].metadata.nbgrader["note"] = leak
    elif where == "notebook":
        notebook.metadata["note"] = leak
    else:
        text += f"\n# {leak}\n"
    changed = release.Built(TINY, nbformat.writes(notebook), text)
    assert release.leaks_of(asked, built) == []
    assert release.leaks_of(asked, changed)


def test_the_gate_finds_hidden_tests_schemes_and_markers(mine):
    asked = assignment(mine, TINY)
    built = release.build(asked)
    for line in (
        "concealed = torch.tensor([7.0, -3.0])",
        "One point for the magic word.",
        "### BEGIN HIDDEN TESTS",
    ):
        changed = release.Built(TINY, built.notebook, built.text + f"\n{line}\n")
        assert release.leaks_of(asked, changed), line


def test_stray_and_changed_files_are_found(mine):
    release.release(mine, TINY)
    (mine.release(TINY).parent / "notes.txt").write_text("solution")
    with open(mine.release(TINY).with_suffix(".py"), "a") as file:
        file.write("# more\n")
    found = "\n".join(release.differences(assignment(mine, TINY)))
    assert "notes.txt" in found and f"{TINY}.py" in found


# ----------------------------------------------- what nbgrader's validator says


def test_the_solution_is_full_and_the_release_empty(tiny):
    assert release.scores(assignment(tiny, TINY)) == []


def test_a_free_point_and_a_wrong_solution_are_found(tmp_path):
    source = SOURCE.replace("lambda: refuse(4.0), 1.99", "lambda: 2.0, 1.99")
    source = source.replace("twice_as_much = x + x", "twice_as_much = x + x + 1e-3")
    made = executed(tmp_path / "c", source)
    found = "\n".join(release.scores(assignment(made, TINY)))
    assert f"{TINY}: refuse gives free points" in found
    assert f"{TINY}: double is failed" in found


def test_the_steps_are_those_of_nbgrader_and_two_of_ours():
    theirs = GenerateAssignment.class_traits()["preprocessors"].default()
    assert [step for step in steps.GENERATE if step not in OURS] == theirs


def test_test_cells_are_folded_and_nothing_else(tiny):
    for cell in assignment(tiny, TINY).released.cells:
        graded = cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get(
            "grade"
        )
        assert cell.metadata.get("jupyter", {}).get("source_hidden", False) == bool(
            graded
        )


@pytest.mark.parametrize("there", [True, False], ids=["again", "first"])
def test_stock_generate_assignment_makes_the_same_release(mine, there):
    """Also where the environment is not on the PATH, and no gradebook is there."""
    release.release(mine, TINY)
    folder = mine.release(TINY).parent
    wanted = {path.name: path.read_bytes() for path in folder.iterdir()}
    if not there:
        shutil.rmtree(folder)
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "generate_assignment", TINY, "--force"],
        cwd=mine.autograder,
        env=os.environ | {"PATH": os.defpath},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == wanted


def test_the_generate_button_of_formgrader_makes_the_same_release(mine):
    release.release(mine, TINY)
    folder = mine.release(TINY).parent
    wanted = {path.name: path.read_bytes() for path in folder.iterdir()}
    config = steps.load_config(mine)
    config.CourseDirectory.root = str(mine.autograder)
    made = NbGraderAPI(config=config).generate_assignment(TINY)
    assert made["success"], made
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == wanted


def test_stock_nbgrader_works_with_the_shipped_configuration(mine):
    release.release(mine, TINY)
    folder = mine.autograder
    handed = folder / "submitted" / "ann" / TINY
    handed.mkdir(parents=True)
    shutil.copy(mine.solution(TINY), handed)
    for command in (["autograde", TINY], ["generate_feedback", TINY], ["export"]):
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *command],
            cwd=folder,
            env=os.environ | {"PATH": os.defpath},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    head, row = (folder / "grades.csv").read_text().splitlines()
    ann = dict(zip(head.split(","), row.split(",")))
    assert (ann["student_id"], ann["score"], ann["max_score"]) == ("ann", "5.0", "6.0")
    assert (folder / "feedback" / "ann" / TINY / f"{TINY}.html").exists()
    assert not list((folder / "autograded").rglob("*.py")), "the solution stays here"
