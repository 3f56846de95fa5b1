"""From a solution to what students get, and the gate that nothing slips through.

nbgrader's own `GenerateAssignment` does the work, in a scratch folder and with a
scratch gradebook. What we add: the text twin, the badge "Open in Colab", and the
address in the set-up line. The result depends on the source alone, to the byte.
"""

import contextlib
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import compute_checksum, determine_grade, is_grade, is_solution
from nbgrader.validator import Validator
from traitlets.config import Config, PyFileConfigLoader

from ..course import Course, CourseError, tools_on_path, write_atomically
from . import pairs

PLACEHOLDER = "git+REPOSITORY"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"

CODE_STUB = ["# YOUR CODE HERE", "raise NotImplementedError()"]
TEXT_STUB = ["YOUR ANSWER HERE"]
RELEASED_METADATA = {"nbgrader", "tags", "deletable", "editable"}
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


# ---------------------------------------------------------------------- nbgrader


def load_config(course: Course) -> Config:
    """Return the configuration that nbgrader reads in `autograder/`."""
    tools_on_path()
    loader = PyFileConfigLoader("nbgrader_config.py", path=str(course.autograder))
    return loader.load_config()


def generate(course: Course, name: str, root: Path, db_url: str) -> Path:
    """Run nbgrader's `GenerateAssignment` on `name` below the scratch folder `root`.

    Args:
        root: where `release/` is written and nothing else.
        db_url: the gradebook that learns the notebook's cells.

    Returns: the notebook that nbgrader wrote.

    Raises:
        CourseError: if nbgrader refuses the source; the message holds its log.
    """
    from nbgrader.converters import GenerateAssignment

    config = load_config(course)
    config.CourseDirectory.source_directory = str(course.solutions)
    config.CourseDirectory.release_directory = "release"
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.db_url = db_url
    config.CourseDirectory.assignment_id = name
    config.CourseDirectory.notebook_id = name
    # An absolute source folder stands on its own; everything else lies below the root.
    config.CourseDirectory.directory_structure = (
        "{nbgrader_step}/{student_id}/{assignment_id}"
    )
    coursedir = CourseDirectory(config=config)
    with capture_log("nbgrader.release") as log:
        converter = GenerateAssignment(coursedir=coursedir, config=config)
        converter.log = log.logger
        converter.force = True
        try:
            converter.start()
        except (Exception, SystemExit) as error:
            raise CourseError(f"{name}: nbgrader refuses it: {error}\n{log}") from None
    return root / "release" / "." / name / f"{name}.ipynb"


class _Log(logging.Handler):
    """Keeps what nbgrader says, for the case that it is needed."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self.logger = logging.getLogger(name)
        self.logger.propagate = False
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def __str__(self) -> str:
        return "\n".join(self.lines)


@contextlib.contextmanager
def capture_log(name: str) -> Iterator[_Log]:
    """Collect the warnings of one run of nbgrader instead of printing them."""
    log = _Log(name)
    try:
        yield log
    finally:
        log.logger.removeHandler(log)


# ---------------------------------------------------------------------- building


@dataclass(frozen=True)
class Built:
    """A release in memory: the notebook and its text twin."""

    name: str
    notebook: str
    text: str


def build(course: Course, name: str) -> Built:
    """Build the release of `name` without touching `course/`."""
    stale = pairs.problems(course, name)
    if stale:
        advice = f"run: python -m autograder sync {name}"
        raise CourseError("\n".join([*stale, advice]))
    with tempfile.TemporaryDirectory(prefix="odenets-release-") as folder:
        url = f"sqlite:///{folder}/gradebook.db"
        notebook = nbformat.read(
            generate(course, name, Path(folder), url), as_version=4
        )
    stamp(notebook, name, course.repository)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(dict(sorted(cell.metadata.items())))
    text = pairs.to_percent(notebook, course.release(name).parent)
    return Built(name, pairs.to_text(notebook), text)


def stamp(notebook: NotebookNode, name: str, repository: str) -> None:
    """Write the badge into the title cell, and the address into the set-up line.

    Raises:
        CourseError: if there is no title cell, or not exactly one set-up line.
    """
    title = notebook.cells[0]
    if title.cell_type != "markdown" or not title.source.startswith("# "):
        raise CourseError(f"{name}: the first cell is a markdown cell with the title")
    slug = repository.removeprefix("https://github.com/")
    address = f"https://colab.research.google.com/github/{slug}/blob/main"
    badge = f"[![Open in Colab]({BADGE})]({address}/course/{name}/{name}.ipynb)"
    heading, _, rest = title.source.partition("\n")
    title.source = f"{heading}\n\n{badge}\n\n{rest.lstrip()}".rstrip()
    setup = [cell for cell in notebook.cells if PLACEHOLDER in cell.source]
    if len(setup) != 1 or "nbgrader" in setup[0].metadata:
        raise CourseError(f"{name}: one ungraded set-up cell holds {PLACEHOLDER!r}")
    setup[0].source = setup[0].source.replace(PLACEHOLDER, f"git+{repository}")


def release(course: Course, name: str) -> str:
    """Build `name`, put it through the gate, and write it to `course/`."""
    built = build(course, name)
    leaks = leaks_of(course, built)
    if leaks:
        raise CourseError("\n".join(leaks))
    target = course.release(name)
    changed = write_atomically(target, built.notebook)
    changed |= write_atomically(target.with_suffix(".py"), built.text)
    return "released" if changed else "unchanged"


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


def leaks_of(course: Course, built: Built) -> list[str]:
    """List everything in a release that does not belong there."""
    name = built.name
    source = pairs.build(course, name)
    released = nbformat.reads(built.notebook, as_version=4)
    stamp(source, name, course.repository)
    found = []
    if len(source.cells) != len(released.cells):
        found.append("it has another number of cells than the source")
    hidden: list[Region] = []
    seen: Counter[str] = Counter()
    for index, (one, other) in enumerate(zip(source.cells, released.cells)):
        visible, regions = visible_and_hidden(one)
        hidden += regions
        seen.update(line.strip() for line in visible)
        where = f"cell {index}"
        if other.source != "\n".join(visible):
            found.append(f"{where} is not the visible part of the source")
        found += [f"{where}: {problem}" for problem in _foreign_parts(other)]
    if set(released.metadata) - set(pairs.METADATA):
        found.append(f"metadata of the notebook: {sorted(released.metadata)}")
    found += _leaked_lines(hidden, seen, built)
    return [f"{name}: {problem}" for problem in found]


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


def _leaked_lines(
    hidden: list[Region], seen: Counter[str], built: Built
) -> Iterator[str]:
    """Search both files, metadata and all, for lines that only the solution has."""
    for marker in ("BEGIN ", "END "):
        for kind in ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME"):
            for text in (built.notebook, built.text):
                if marker + kind in text:
                    yield f"the marker {marker + kind} is in it"
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
        for region in hidden:
            for line in region.lines:
                bare = line.strip()
                if _telling(bare) and lines[bare] > seen[bare]:
                    yield f"a {region.kind.lower()} line is in the {text}: {bare}"


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


def differences(course: Course, name: str) -> list[str]:
    """List in what `course/NN` differs from a fresh build, byte for byte."""
    built = build(course, name)
    found = leaks_of(course, built)
    target = course.release(name)
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
    found = differences(course, name)
    return found or ([] if fast else scores(course, name))


class _Validator(Validator):
    """nbgrader's validator; inverted, it calls any point free, not only full marks."""

    def _get_passed_cells(self, nb: NotebookNode) -> list[NotebookNode]:
        graded = [cell for cell in nb.cells if is_grade(cell)]
        return [cell for cell in graded if determine_grade(cell, self.log)[0]]


def scores(course: Course, name: str) -> list[str]:
    """Run the source and an untouched release through nbgrader's validator.

    Every test passes in the source. None gives a point in the release, although its
    hidden tests are put back as they are for grading.
    """
    source = nbformat.read(course.solution(name), as_version=4)
    released = nbformat.reads(build(course, name).notebook, as_version=4)
    for cell, original in zip(released.cells, source.cells):
        if is_grade(cell) and not is_solution(cell):
            cell.source = original.source
            cell.metadata.nbgrader.checksum = compute_checksum(cell)
    found = []
    for notebook, invert in ((source, False), (released, True)):
        for kind, cells in validate(course, notebook, invert=invert).items():
            for cell in cells:
                what = "gives free points" if invert else f"is {kind}"
                said = str(cell.get("raw_error", "")).strip()[-600:]
                title = cell["source"].splitlines()[0]
                found.append(f"{name}: {title} {what}. {said}".rstrip())
    return found


def validate(
    course: Course, notebook: NotebookNode, *, invert: bool = False
) -> dict[str, list[dict[str, str]]]:
    """Run nbgrader's `validate` (or `validate --invert`) on a notebook."""
    with (
        pairs.quiet_kernels(PYTHONWARNINGS="ignore"),
        tempfile.TemporaryDirectory(prefix="odenets-gate-") as folder,
    ):
        config = load_config(course)
        config.merge(pairs.local_kernels(folder))
        validator = _Validator(config=config)
        validator.invert = invert
        path = Path(folder) / "run" / "notebook.ipynb"
        write_atomically(path, pairs.to_text(notebook))
        return validator.validate(str(path))
