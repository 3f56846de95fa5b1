"""The README's table of notebooks, made from their title cells and the one address.

`python -m autograder readme` writes it between the two marks in README.md;
`python -m autograder readme --check` says whether it is up to date.
"""

import re
from dataclasses import dataclass

import jupytext

from ..course import Course, CourseError, write_atomically

BEGIN, END = "<!-- notebooks: begin -->", "<!-- notebooks: end -->"


@dataclass(frozen=True)
class Title:
    """What the title cell of a notebook says."""

    heading: str
    question: str
    minutes: str
    points: str


def title(course: Course, name: str) -> Title:
    """Read the title cell of notebook `name`.

    Raises:
        CourseError: if one of the four is not there.
    """
    text = jupytext.read(course.source(name)).cells[0].source

    def said(pattern: str) -> str:
        match = re.search(pattern, text, re.DOTALL)
        if match is None:
            raise CourseError(f"{name}: its title has nothing that reads {pattern!r}")
        return " ".join(match[1].split())

    return Title(
        said(r"\A# \d\d - ([^\n]+)"),
        said(r"\*\*The question\.\*\*(.+?)\n\n"),
        said(r"\*\*Time\*\* about (\d+)"),
        said(r"\*\*points\*\* ([\d.]+)"),
    )


def row(course: Course, name: str) -> str:
    """Return the line of one notebook: question, minutes, points, status, link."""
    told = title(course, name)
    path = f"course/{name}/{name}.ipynb"
    released = course.release(name).exists()
    link = colab(course, path) if released else ""
    shown = f"[{told.heading}]({path})" if released else told.heading
    return (
        f"| {name[:2]} | {shown} | {told.question} | {told.minutes} | {told.points} "
        f"| {'ready' if released else 'in the making'} | {link} |"
    )


def colab(course: Course, path: str) -> str:
    """Return the link that opens a notebook of the repository in Colab."""
    place = course.repository.removeprefix("https://github.com/")
    return f"[Open in Colab](https://colab.research.google.com/github/{place}/blob/main/{path})"


def stamped(course: Course, text: str) -> str:
    """Return the README with its table made anew."""
    head = ["| | notebook | question | min | points | status | |", "|---" * 7 + "|"]
    rows = [row(course, name) for name in course.notebooks()]
    table = "\n".join([BEGIN, *head, *rows, END])
    made, count = re.subn(f"{BEGIN}.*{END}", lambda _: table, text, flags=re.DOTALL)
    if count != 1:
        raise CourseError(f"README.md needs the marks {BEGIN} and {END}, once")
    return made


def write(course: Course, check: bool = False) -> bool:
    """Write the table, or with `check` only compare; return whether it was in order."""
    path = course.root / "README.md"
    text = path.read_text(encoding="utf-8")
    made = stamped(course, text)
    return made == text if check else not write_atomically(path, made)
