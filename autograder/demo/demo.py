"""The whole way in one command: solution, release, a class, grades, feedback."""

import sys
from copy import deepcopy
from pathlib import Path

from nbformat import NotebookNode
from tqdm import tqdm

from ..authors import pairs, release
from ..authors.assignment import Assignment, assignment
from ..classroom import report
from ..classroom.gradebook import Classroom
from ..course import Course, CourseError
from ..grading import grade
from ..worker import sandbox
from . import sample

LIMITS = sandbox.Limits(cell_seconds=10)  # one of the class hangs


def with_a_class(course: Course) -> list[str]:
    """Return the notebooks that have a sample class and a source."""
    folder = sample.folder_of(course)
    known = set(course.notebooks())
    return sorted(path.name for path in folder.iterdir() if path.name in known)


def run(course: Course, folder: Path, names: list[str], unsandboxed: bool) -> int:
    """Execute, release and grade `names` below `folder`; return an exit status.

    The class is ours: where there is no sandbox it is graded under resource limits
    alone, without those students whose code a sandbox has to hold.
    """
    if folder.resolve() == course.autograder:
        raise CourseError("the sample class never goes where a real class is")
    contained = not unsandboxed and _there_is_a_sandbox()
    room = Classroom(folder)
    for name in names:
        print(f"1. Execute the solution of {name}.", flush=True)
        asked = assignment(course, name)
        _execute(deepcopy(asked.source))
        print("2. Build what students get, and look for leaks.", flush=True)
        leaks = release.leaks_of(asked, release.build(asked))
        if leaks:
            raise CourseError("\n".join(leaks))
        print("   no solution, hidden test, mark scheme or output in it.")
        handed = sample.students(sample.folder_of(course) / name)
        _grade(asked, room, handed, contained)
    first = names[0]
    shown = _nearest(folder)
    print("Look at")
    print(f"  {shown}/feedback/carla/{first}/{first}.html   what a student gets")
    print(f"  {shown}/{first}.csv   the table above, for a spreadsheet")
    print("Try next")
    print("  make lab      open a notebook of course/ and solve its first exercise")
    print("  make test     prove all of it")
    print("  make grade    grade your own class: autograder/README.md")
    return 0


def _there_is_a_sandbox() -> bool:
    sandbox.require(unsandboxed=True)
    try:
        sandbox.bubblewrap()
    except sandbox.NoSandboxError as error:
        print(f"Without a sandbox, under resource limits alone: {error}.", flush=True)
        return False
    return True


def _execute(notebook: NotebookNode) -> None:
    code = sum(cell.cell_type == "code" for cell in notebook.cells)
    form = "   {n_fmt}/{total_fmt} cells of code |{bar:24}| {elapsed}"
    with tqdm(total=code, file=sys.stderr, bar_format=form) as bar:
        pairs.execute(notebook, advance=bar.update)
    print(f"   {len(notebook.cells)} cells, {code} of them code: no error.")


def _grade(
    asked: Assignment, room: Classroom, handed: list[sample.Handed], contained: bool
) -> None:
    there = [one for one in handed if contained or not one.needs_sandbox]
    for one in there:
        sample.write(room, asked, one)
    where = "in a sandbox" if contained else "under resource limits"
    print(f"3. Grade the sample class, each student {where}: the solution goes first.")
    for one in handed:
        left_out = "" if one in there else " (left out: this needs a sandbox)"
        print(f"   {one.student:<8} {one.story}{left_out}", flush=True)
    options = grade.Options(
        contained=contained,
        students=tuple(one.student for one in there),
        limits=LIMITS,
    )
    fate = grade.grade(asked, room, options)
    print(report.table(asked.name, report.write(room, asked.name)))
    again = f", {len(fate.unchanged)} unchanged since the last time"
    print(f"{len(fate.done)} graded{again if fate.unchanged else ''}.\n")
    if fate.failed:
        raise CourseError(f"not graded: {fate.failed}")


def _nearest(folder: Path) -> Path:
    try:
        return folder.resolve().relative_to(Path.cwd())
    except ValueError:
        return folder
