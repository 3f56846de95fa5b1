"""The whole way in one command: solution, release, a class, grades, feedback."""

from copy import deepcopy
from pathlib import Path

from ..authors import pairs, release
from ..authors.assignment import assignment
from ..classroom import report
from ..classroom.gradebook import Classroom
from ..course import Course, CourseError
from ..grading import grade
from ..worker import sandbox
from . import sample


def with_a_class(course: Course) -> list[str]:
    """Return the notebooks that have a sample class and a source."""
    folder = sample.folder_of(course)
    known = set(course.notebooks())
    return sorted(path.name for path in folder.iterdir() if path.name in known)


def run(course: Course, folder: Path, names: list[str], unsandboxed: bool) -> int:
    """Execute, release and grade `names` below `folder`; return an exit status."""
    sandbox.require(unsandboxed)
    if folder.resolve() == course.autograder:
        raise CourseError("the sample class never goes where a real class is")
    room = Classroom(folder)
    for name in names:
        print(f"1. Execute the solution of {name}.", flush=True)
        asked = assignment(course, name)
        notebook = pairs.execute(deepcopy(asked.source))
        code = sum(cell.cell_type == "code" for cell in notebook.cells)
        print(f"   {len(notebook.cells)} cells, {code} of them code: no error.")
        print("2. Build what students get, and look for leaks.", flush=True)
        leaks = release.leaks_of(asked, release.build(asked))
        if leaks:
            raise CourseError("\n".join(leaks))
        print("   no solution, hidden test, mark scheme or output in it.")
        print("3. Grade the sample class, each student in a sandbox.", flush=True)
        handed = sample.materialise(room, asked, sample.folder_of(course) / name)
        for one in handed:
            print(f"   {one.student:<8} {one.story}")
        options = grade.Options(
            contained=not unsandboxed,
            students=tuple(one.student for one in handed),
            limits=sandbox.Limits(cell_seconds=15),
        )
        fate = grade.grade(asked, room, options)
        print(report.table(name, report.write(room, name)))
        again = f", {len(fate.unchanged)} unchanged since the last time"
        print(f"{len(fate.done)} graded{again if fate.unchanged else ''}.\n")
        if fate.failed:
            raise CourseError(f"not graded: {fate.failed}")
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


def _nearest(folder: Path) -> Path:
    try:
        return folder.resolve().relative_to(Path.cwd())
    except ValueError:
        return folder
