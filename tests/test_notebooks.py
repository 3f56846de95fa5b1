"""The frame of every notebook, what a reader relies on."""

import json
import re

import notebooks
import pytest
from nbval.plugin import get_sanitize_patterns

from autograder.authors.release import visible_and_hidden

EVERY = pytest.mark.parametrize("name", notebooks.NAMES)


def cells(name: str) -> list:
    return notebooks.read(name).cells


def prose(name: str) -> list[str]:
    return [cell.source for cell in cells(name) if cell.cell_type == "markdown"]


def is_prose(cell) -> bool:
    return cell.cell_type == "markdown"


def core(name: str) -> list:
    """Return all cells but those of the section "Further"."""
    found, further = [], False
    for cell in cells(name):
        for heading in (
            re.findall(r"^## (.+)$", cell.source, re.M) if is_prose(cell) else ()
        ):
            further = heading == "Further"
        if not further:
            found.append(cell)
    return found


def executed(name: str) -> list[dict]:
    path = notebooks.SOLUTIONS / name / f"{name}.ipynb"
    assert path.stat().st_size < 1_000_000, "below 1 MB"
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def has_text(cell: dict) -> bool:
    return any(
        output["output_type"] == "stream" or "text/plain" in output.get("data", {})
        for output in cell["outputs"]
    )


@EVERY
def test_the_title_says_what_and_how_long(name):
    title = prose(name)[0]
    assert title.startswith(f"# {name[:2]} - ")
    graded = sum(
        cell.metadata["nbgrader"].get("points", 0)
        for cell in cells(name)
        if "nbgrader" in cell.metadata
    )
    assert re.search(rf"\*\*points\*\* {graded:g}\b", title), (
        f"{graded:g} points in all"
    )
    for word in ("**The question.**", "**Time**", "**Sources.**"):
        assert word in title
    goals = re.findall(r"^\d\. \*\w+", title, flags=re.M)
    assert 3 <= len(goals) <= 6, "three to six goals that start with a verb"


@EVERY
def test_the_set_up_cell_is_short_and_installs_on_colab(name):
    first = notebooks.code_cells(name)[0]
    lines = first.splitlines()
    assert len(lines) <= 14
    assert 'if importlib.util.find_spec("odenets") is None:' in first
    install = "install -q git+REPOSITORY#subdirectory=course"
    assert f'get_ipython().run_line_magic("pip", "{install}")' in first
    assert ";" not in first and "import *" not in first
    for line in lines:
        assert len(line) <= 100
        assert not line.startswith("import ") or "," not in line, "one import a line"
    for call in ('scale.use("lesson")', "plots.style()", "training.set_seed(0)"):
        assert call in lines


@EVERY
def test_exercises_have_a_heading_hints_and_a_test(name):
    text = "\n".join(prose(name))
    headings = re.findall(
        r"^### Exercise \d+\.\d+\w? - .+ "
        r"\(([\d.]+) points?, ~\d+ min, difficulty [1-5] of 5(?:, important)?\)$",
        text,
        flags=re.M,
    )
    exercises = notebooks.exercises(name)
    assert sorted(map(float, headings)) == sorted(e.points for e in exercises)
    for number in (1, 2, 3):
        assert text.count(f"<summary>Hint {number}") == len(exercises)
    assert text.count("<details>") == text.count("</details>")


@EVERY
def test_test_cells_have_the_form_that_the_grader_reads(name):
    for exercise in notebooks.exercises(name):
        lines = exercise.test.rstrip().splitlines()
        assert lines[-1] == "check.score(exercise)", exercise.name
        assert "@check.exercise(" in lines, exercise.name  # an import may stand before
        lines = lines[lines.index("@check.exercise(") :]
        assert f'    "{exercise.name}",' == lines[1]
        assert f"    points={exercise.points:g}," == lines[2]
        assert "def exercise(checks):" in lines
        assert exercise.test.count("### BEGIN HIDDEN TESTS") >= 1
        labels = re.findall(
            r"checks\.(?:close|equal|at_most|at_least|between|raises)\(\s*\"([^\"]+)\"",
            exercise.test,
        )
        assert len(labels) == len(set(labels)) >= 2, exercise.name


@EVERY
def test_answer_cells_hold_a_solution_and_its_docstring(name):
    for exercise in notebooks.exercises(name):
        assert "### BEGIN SOLUTION" in exercise.answer
        assert '"""' in exercise.answer.split("### BEGIN SOLUTION")[0], exercise.name


@EVERY
def test_the_core_is_of_a_size_that_can_be_done(name):
    sizes = [len(cell.source.split()) for cell in core(name) if is_prose(cell)]
    assert len(core(name)) <= 52, "about 45 cells"
    assert sum(sizes) <= 2800, "about 2600 words"


@EVERY
def test_it_ends_with_further_and_a_recap(name):
    headings = re.findall(r"^## (.+)$", "\n".join(prose(name)), flags=re.M)
    assert headings[-2:] == ["Further", "Recap"]


@EVERY
def test_who_is_short_of_time_does_the_important_exercises(name):
    text = "\n".join(prose(name))
    important = re.findall(r"^### Exercise (\d+\.\d+\w?) .+, important\)$", text, re.M)
    short = re.search(r"\*\*Short of time\?\*\* ([^\n]+)", prose(name)[0])
    assert short, "a line: **Short of time?** Do exercises 1.1 and 1.2."
    assert re.findall(r"\d+\.\d+\w?", short[1]) == important != []


@EVERY
def test_there_is_something_to_predict_to_explore_and_to_move(name):
    code = "\n".join(notebooks.code_cells(name))
    names = re.findall(r"^(\w+) = check\.predict\(", code, flags=re.M)
    assert len(names) >= 4
    for prediction in names:
        assert f"{prediction}.reveal(" in code, "and then compare it"
    assert len(re.findall(r"^### Explore", "\n".join(prose(name)), flags=re.M)) >= 2
    assert "plots.live(" in code


@EVERY
def test_every_picture_has_words(name):
    """In the HTML that Jupyter, nbconvert and the site show."""
    data = [o.get("data", {}) for cell in executed(name) for o in cell["outputs"]]
    assert not any("image/png" in one for one in data), "plots.show(fig, words)"
    text = "".join("".join(one.get("text/html", "")) for one in data)
    pictures = re.findall(r"<img[^>]*>", text)
    assert pictures
    for picture in pictures:
        words = re.search(r'alt="([^"]*)"', picture)
        assert words and len(words[1].split()) >= 4, picture[-200:]


@EVERY
def test_no_line_of_code_is_wider_than_a_page(name):
    for source in notebooks.code_cells(name):
        for line in source.splitlines():
            assert len(line) <= 100, line


@EVERY
def test_cells_that_students_read_are_short(name):
    """Test cells are folded; what an answer cell asks to fill in is not counted."""
    for cell in cells(name):
        told = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and not told.get("grade"):
            visible, _ = visible_and_hidden(cell)
            stubs = 2 * sum("YOUR CODE HERE" in line for line in visible)
            assert len(visible) - stubs <= (40 if told.get("solution") else 30), (
                visible[0]
            )


@EVERY
def test_every_code_cell_was_executed_and_most_text_is_compared(name):
    code = executed(name)
    assert all(cell["execution_count"] is not None for cell in code)
    kinds = [(o["output_type"], o.get("name")) for c in code for o in c["outputs"]]
    assert ("stream", "stderr") not in kinds
    assert not any(kind == "error" for kind, _ in kinds)
    spoken = [cell for cell in code if has_text(cell)]
    ignored = [
        cell
        for cell in spoken
        if "nbval-ignore-output" in cell["metadata"].get("tags", [])
    ]
    assert len(ignored) <= len(spoken) / 2, "nbval would compare too little"


@EVERY
def test_graded_cells_are_compared(name):
    for cell in executed(name):
        if cell["metadata"].get("nbgrader", {}).get("grade"):
            assert "nbval-ignore-output" not in cell["metadata"].get("tags", [])
            assert any(o["output_type"] == "execute_result" for o in cell["outputs"])


@EVERY
def test_figures_have_a_caption(name):
    shown = sum(
        "image/png" in output.get("data", {}) or "text/html" in output.get("data", {})
        for cell in executed(name)
        for output in cell["outputs"]
    )
    captions = len(re.findall(r"\*Figure", "\n".join(prose(name))))
    assert captions >= 1 and captions >= shown / 2


@EVERY
def test_no_path_of_a_machine_and_no_warning_is_stored(name):
    text = json.dumps([cell["outputs"] for cell in executed(name)])
    assert not re.search(r"/home/|/root/|/work/|/tmp/|site-packages|Warning", text)


@EVERY
def test_manual_questions_carry_a_mark_scheme(name):
    for cell in cells(name):
        if cell.metadata.get("nbgrader", {}).get("task"):
            assert "### BEGIN MARK SCHEME" in cell.source
            assert "### END MARK SCHEME" in cell.source


def test_grade_ids_are_unique_in_the_course():
    ids = [
        cell.metadata["nbgrader"]["grade_id"]
        for name in notebooks.NAMES
        for cell in cells(name)
        if "nbgrader" in cell.metadata
    ]
    assert len(ids) == len(set(ids))


def test_the_points_are_those_of_the_syllabus():
    syllabus = dict(zip(range(1, 11), (20, 20, 24, 22, 24, 24, 20, 24, 24, 22)))
    for name in notebooks.NAMES:
        points = sum(
            cell.metadata["nbgrader"].get("points", 0)
            for cell in cells(name)
            if "nbgrader" in cell.metadata
        )
        assert points == syllabus[int(name[:2])], name


def test_nbval_compares_a_picture_in_html_but_for_its_pixels():
    patterns = get_sanitize_patterns((notebooks.SOLUTIONS / "nbval.ini").read_text())

    def compared(pixels: str, description: str) -> str:
        html = f'<img src="data:image/gif;base64,{pixels}" alt="{description}">'
        for pattern, replacement in patterns:
            html = re.sub(pattern, replacement, html)
        return html

    assert compared("R0lGOD/h+g==", "two moons") == compared("R0lG", "two moons")
    assert compared("R0lGOD/h+g==", "two moons") != compared("R0lG", "one moon")
