"""From a solution to what students get, and the gate that nothing slips through.

nbgrader's own steps do the work, in memory (`steps`). What we add: the text twin, the
badge "Open in Colab", the address in the set-up line, and folded test cells.
The result depends on the source alone, to the byte.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import determine_grade, is_grade
from nbgrader.validator import Validator

from ..course import Course, CourseError, find_course, write_atomically
from ..worker import sandbox
from ..worker.execute import Code, Job, execute
from . import pairs, steps
from .assignment import Assignment, assignment, label_of
from .names import needed_cells

VALIDATOR_LIMITS = sandbox.Limits(
    cell_seconds=120, notebook_seconds=900, memory_mb=4000
)

CODE_STUB = ["# YOUR CODE HERE", "raise NotImplementedError()"]
TEXT_STUB = ["YOUR ANSWER HERE"]
RELEASED_METADATA = {"nbgrader", "tags", "deletable", "editable", "jupyter"}
RELEASED_NBGRADER = {
    "cell_type",
    "checksum",
    "grade",
    "grade_id",
    "locked",
    "points",
    "schema_version",
    "solution",
    "task",
}


# ---------------------------------------------------------------------- building


@dataclass(frozen=True)
class Built:
    """A release in memory: the notebook and its text twin."""

    name: str
    notebook: str
    text: str


def build(asked: Assignment) -> Built:
    """Return the two files of a release without touching `course/`."""
    folder = asked.course.release(asked.name).parent
    text = pairs.to_percent(asked.released, folder)
    return Built(asked.name, pairs.to_text(asked.released), text)


def release(course: Course, name: str) -> str:
    """Build `name`, put it through the gate, and write it to `course/`."""
    asked = assignment(course, name)
    built = build(asked)
    leaks = leaks_of(asked, built)
    if leaks:
        raise CourseError("\n".join(leaks))
    target = course.release(name)
    changed = write_atomically(target, built.notebook)
    changed |= write_atomically(target.with_suffix(".py"), built.text)
    return "released" if changed else "unchanged"


def write_twins(notebooks: list[str], **_: Any) -> None:
    """Write the text twins of releases that nbgrader made: nbgrader calls this."""
    course = find_course()
    for path in notebooks:
        target = course.release(Path(path).stem)
        notebook = nbformat.read(target, as_version=4)
        text = pairs.to_percent(notebook, target.parent)
        write_atomically(target.with_suffix(".py"), text)


# ---------------------------------------------------------------------- the gate


@dataclass(frozen=True)
class Region:
    """Lines of a source cell that a student must not see."""

    kind: str
    lines: tuple[str, ...]


def visible_and_hidden(cell: NotebookNode) -> tuple[list[str], list[Region]]:
    """Split a source cell into what students see and what they must not.

    Written independently of nbgrader, so that the gate does not trust what it checks.
    """
    stub = CODE_STUB if cell.cell_type == "code" else TEXT_STUB
    kinds = ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")
    visible: list[str] = []
    hidden: list[Region] = []
    inside: str | None = None
    lines: list[str] = []
    for line in cell.source.split("\n"):
        begins = [kind for kind in kinds if f"BEGIN {kind}" in line]
        ends = [kind for kind in kinds if f"END {kind}" in line]
        if begins and inside is None:
            inside, lines = begins[0], []
            if inside == "SOLUTION":
                indent = line[: len(line) - len(line.lstrip())]
                visible += [indent + stub_line for stub_line in stub]
        elif ends and inside == ends[0]:
            hidden.append(Region(inside, tuple(lines)))
            inside = None
        elif inside is not None:
            lines.append(line)
        else:
            visible.append(line)
    if inside is not None:
        raise CourseError(f"a region {inside} has no end")
    metadata = cell.metadata.get("nbgrader", {})
    if metadata.get("solution") and not any(r.kind == "SOLUTION" for r in hidden):
        whole = Region("SOLUTION", tuple(cell.source.split("\n")))
        return list(stub), [whole]
    return visible, hidden


def leaks_of(asked: Assignment, built: Built) -> list[str]:
    """List everything in a release that does not belong there."""
    name = asked.name
    source = _stamped(asked)
    released = nbformat.reads(built.notebook, as_version=4)
    found = []
    if len(source.cells) != len(released.cells):
        found.append("it has another number of cells than the source")
    for index, (one, other) in enumerate(zip(source.cells, released.cells)):
        visible, _ = visible_and_hidden(one)
        where = f"cell {index}"
        if other.source != "\n".join(visible):
            found.append(f"{where} is not the visible part of the source")
        found += [f"{where}: {problem}" for problem in _foreign_parts(other)]
    if set(released.metadata) - set(pairs.METADATA):
        found.append(f"metadata of the notebook: {sorted(released.metadata)}")
    found += _leaked_lines(asked, built)
    return [f"{name}: {problem}" for problem in found]


def _stamped(asked: Assignment) -> NotebookNode:
    source = deepcopy(asked.source)
    steps.stamp(source, asked.name, asked.course.repository)
    return source


def hidden_and_seen(asked: Assignment) -> tuple[list[Region], Counter[str]]:
    """Return what students must not see, and how often each line is in what they do."""
    hidden: list[Region] = []
    seen: Counter[str] = Counter()
    for cell in _stamped(asked).cells:
        visible, regions = visible_and_hidden(cell)
        hidden += regions
        seen.update(line.strip() for line in visible)
    return hidden, seen


def _foreign_parts(cell: NotebookNode) -> Iterator[str]:
    if cell.get("outputs"):
        yield "it has outputs"
    if cell.get("execution_count") is not None:
        yield "it has an execution count"
    if cell.get("attachments"):
        yield "it has attachments"
    extra = set(cell.metadata) - RELEASED_METADATA
    extra |= set(cell.metadata.get("nbgrader", {})) - RELEASED_NBGRADER
    if extra:
        yield f"unknown metadata {sorted(extra)}"


def _leaked_lines(asked: Assignment, built: Built) -> Iterator[str]:
    """Search both files, metadata and all, for lines that only the solution has."""
    for marker in ("BEGIN ", "END "):
        for kind in ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME"):
            for text in (built.notebook, built.text):
                if marker + kind in text:
                    yield f"the marker {marker + kind} is in it"
    hidden, seen = hidden_and_seen(asked)
    for text, strings in (
        ("notebook", list(_strings(json.loads(built.notebook)))),
        ("text", [built.text]),
    ):
        lines: Counter[str] = Counter()
        for string in strings:
            for line in string.split("\n"):
                bare = line.strip()
                lines[bare] += 1
                if text == "text" and bare.startswith("#"):
                    lines[bare[1:].strip()] += 1  # markdown is a comment there
        yield from leaked(hidden, seen, lines, text)


def leaked(
    hidden: list[Region], seen: Counter[str], lines: Counter[str], where: str
) -> Iterator[str]:
    """Name the hidden lines that stand in `lines` more often than students see them."""
    for region in hidden:
        for line in region.lines:
            bare = line.strip()
            if _telling(bare) and lines[bare] > seen[bare]:
                yield f"a {region.kind.lower()} line is in the {where}: {bare}"


def _telling(line: str) -> bool:
    """Whether a line says anything: brackets and stub lines do not."""
    return len(line) > 3 and line not in {*CODE_STUB, *TEXT_STUB}


def _strings(value: Any) -> Iterator[str]:
    """Yield every string in a JSON value; lists of lines are joined as notebooks do."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        if value and all(isinstance(item, str) for item in value):
            yield "".join(value)
        else:
            for item in value:
                yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)


def differences(asked: Assignment) -> list[str]:
    """List in what `course/NN` differs from a fresh build, byte for byte."""
    name, built = asked.name, build(asked)
    found = leaks_of(asked, built)
    target = asked.course.release(name)
    for path, wanted in (
        (target, built.notebook),
        (target.with_suffix(".py"), built.text),
    ):
        if not path.exists():
            found.append(f"{name}: {path.name} is missing")
        elif path.read_bytes() != wanted.encode("utf-8"):
            found.append(f"{name}: {path.name} is not what the source gives")
    expected = {target.name, target.with_suffix(".py").name}
    ignored = {".ipynb_checkpoints", "__pycache__"}
    folder = target.parent
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        if path.name not in expected | ignored:
            found.append(f"{name}: {path.name} does not belong into a release")
    return found


def gate(course: Course, name: str, fast: bool = False) -> list[str]:
    """List all that is wrong with a release; `fast` executes nothing."""
    asked = assignment(course, name)
    found = differences(asked)
    return found or ([] if fast else scores(asked))


def scores(asked: Assignment) -> list[str]:
    """List where nbgrader's validator finds a wrong solution, or points for nothing.

    Every test passes in the source. None gives a point where the answers are stubs,
    although the hidden tests are put back as they are for grading.
    """
    sandbox.require(unsandboxed=True)
    found = []
    for notebook, invert in ((asked.source, False), (asked.complete, True)):
        names = {cell.source.strip(): label_of(cell) or "" for cell in notebook.cells}
        for kind, cells in validate(asked, notebook, invert=invert).items():
            for cell in cells:
                what = "gives free points" if invert else f"is {kind}"
                said = str(cell.get("raw_error", "")).strip()[-600:]
                exercise = names[cell["source"]].removeprefix("test_")
                found.append(f"{asked.name}: {exercise} {what}. {said}".rstrip())
    return found


def validate(
    asked: Assignment, notebook: NotebookNode, *, invert: bool = False
) -> dict[str, list[dict[str, str]]]:
    """Run nbgrader's `validate` (or `validate --invert`) on a notebook."""
    validator = _Validator(config=steps.load_config(asked.course))
    validator.asked, validator.invert = asked, invert
    with tempfile.TemporaryDirectory(prefix="odenets-gate-") as folder:
        path = Path(folder) / "notebook.ipynb"
        path.write_text(pairs.to_text(notebook), encoding="utf-8")
        return validator.validate(str(path))


class _Validator(Validator):
    """nbgrader's validator; inverted, it calls any point free, not only full marks.

    Answers and tests run in a warm kernel, with what they need of the other cells.
    """

    asked: Assignment

    def _preprocess(self, nb: NotebookNode) -> NotebookNode:
        cells = [cell for cell in nb.cells if cell.cell_type == "code"]
        given = {i for i, c in enumerate(cells) if i and "nbgrader" not in c.metadata}
        everything = set(range(len(cells)))
        chosen = needed_cells([cell.source for cell in cells], given, everything)
        codes = tuple(Code(cells[i].source) for i in chosen)
        job = Job(self.asked.name, codes, VALIDATOR_LIMITS, contained=False)
        for index, ran in zip(chosen, execute(job).cells):
            if ran.trouble:
                where = cells[index].source.split("\n")[0]
                raise CourseError(f"{self.asked.name}: {where}: {ran.trouble}")
            cells[index].outputs = [nbformat.from_dict(one) for one in ran.outputs]
        return nb

    def _get_passed_cells(self, nb: NotebookNode) -> list[NotebookNode]:
        graded = [cell for cell in nb.cells if is_grade(cell)]
        return [cell for cell in graded if determine_grade(cell, self.log)[0]]
