"""nbgrader's own steps from a solution to its release, and those that we add.

nbgrader runs them over files with a gradebook at hand (`nbgrader_config.py` names the
same lists); `apply` runs them on a notebook in memory. The result is the same one.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbformat import NotebookNode
from nbgrader import preprocessors
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution, is_task
from traitlets import Unicode
from traitlets.config import Config, PyFileConfigLoader

from ..course import Course, CourseError

PLACEHOLDER = "git+REPOSITORY"
VERDICTS = "odenets_verdicts"
"""Metadata of a copy whose tests hold what our grader found, not what they printed.

nbgrader's own `autograde` clears metadata, so nobody can hand it in."""
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"


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


class Stamp(NbGraderPreprocessor):
    """`stamp` as a step of nbgrader."""

    repository = Unicode(help="The address that students install from.").tag(
        config=True
    )

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        stamp(nb, resources["nbgrader"]["notebook"], self.repository)
        return nb, resources


class Fold(NbGraderPreprocessor):
    """Show a test cell folded, as JupyterLab and nbconvert can: a click opens it."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        for cell in nb.cells:
            if cell.cell_type == "code" and is_grade(cell):
                cell.metadata["jupyter"] = {"source_hidden": True}
        return nb, resources


class HideMarkScheme(preprocessors.ClearMarkScheme):
    """Take mark schemes out of questions, for students; their own cells stay."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        if is_task(cell):
            self._remove_mark_scheme_region(cell)
        return cell, resources


class HideTests(preprocessors.ClearHiddenTests):
    """Take hidden tests out of a graded copy, and all outputs that may quote them.

    Code of a student ran beside the hidden tests and may print them, in any writing.
    What our own grader wrote into its copies names hidden tests only, and stays.
    """

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        ours = nb.metadata.get(VERDICTS) is True
        for cell in nb.cells:
            test = is_grade(cell) and not is_solution(cell)
            if test:
                self._remove_hidden_test_region(cell)
            if cell.cell_type == "code" and not (test and ours):
                cell.outputs = []
        return nb, resources


class ShowMarkScheme(NbGraderPreprocessor):
    """Put mark schemes into the questions that a person grades in formgrader.

    They stand in no copy, so nothing that is made of copies can hold them.
    """

    solutions = Unicode(help="The folder of the solutions.").tag(config=True)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        name = resources.get("notebook_id", "")
        path = Path(self.solutions, name, f"{name}.ipynb")
        if "submission_id" not in resources or not path.is_file():
            return nb, resources
        cells = nbformat.read(path, as_version=4).cells
        full = {
            one.metadata.nbgrader.grade_id: one.source for one in filter(is_task, cells)
        }
        for cell in filter(is_task, nb.cells):
            cell.source = full.get(cell.metadata.nbgrader.grade_id, cell.source)
        return nb, resources


COMPLETE = [
    preprocessors.IncludeHeaderFooter,
    preprocessors.InstantiateTests,
    preprocessors.LockCells,
    preprocessors.ClearSolutions,
    preprocessors.ClearOutput,
    preprocessors.CheckCellMetadata,
    preprocessors.ComputeChecksums,
]
"""From the source to what a gradebook learns: no solution, but every hidden test."""

RELEASED = [
    preprocessors.ClearHiddenTests,
    preprocessors.ClearMarkScheme,
    preprocessors.ComputeChecksums,
    preprocessors.CheckCellMetadata,
    Stamp,
    Fold,
]
"""From there to what students get."""

GENERATE = [*COMPLETE, preprocessors.SaveCells, *RELEASED]
"""All that `nbgrader generate_assignment` does."""


FEEDBACK = [
    preprocessors.GetGrades,
    HideTests,
    HideMarkScheme,
    CSSHTMLHeaderPreprocessor,
]
"""From a graded copy, whoever made it, to what a student may read."""


def load_config(course: Course) -> Config:
    """Return the configuration that nbgrader reads in `autograder/`."""
    loader = PyFileConfigLoader("nbgrader_config.py", path=str(course.autograder))
    return loader.load_config()


def apply(
    config: Config,
    kinds: Iterable[type[NbGraderPreprocessor]],
    notebook: NotebookNode,
    name: str,
    *,
    student: str = "",
    gradebook: str = "",
) -> NotebookNode:
    """Put the notebook `name` through steps of nbgrader; it is changed and returned.

    Args:
        student: whose it is, for the steps that record.
        gradebook: the address of the gradebook that they record in.

    Raises:
        CourseError: if nbgrader refuses it; the message holds what it said.
    """
    place = {"student": student, "assignment": name, "notebook": name}
    resources = {"nbgrader": {**place, "db_url": gradebook}}
    with _capture_log("nbgrader.steps") as log:
        for kind in kinds:
            step = kind(config=config)
            step.log = log.logger
            try:
                notebook, resources = step.preprocess(notebook, resources)
            except Exception as error:
                said = "\n".join([f"{name}: nbgrader refuses it: {error}", *log.lines])
                raise CourseError(said) from error
    return notebook


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


@contextlib.contextmanager
def _capture_log(name: str) -> Iterator[_Log]:
    """Collect the warnings of one run of nbgrader instead of printing them."""
    log = _Log(name)
    try:
        yield log
    finally:
        log.logger.removeHandler(log)
