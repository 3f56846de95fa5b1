"""Where everything lies, and the one address: a `Course` is a folder on disk."""

import os
import re
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MAX_SUBMISSION = 50 << 20  # bytes of a notebook that is handed in
NOTEBOOK_NAME = re.compile(r"\d\d_[a-z0-9_]+")


class CourseError(Exception):
    """Something that a person has to put right; the message says what and where."""


@dataclass(frozen=True)
class Course:
    """The folders of a course below `root`."""

    root: Path

    @property
    def solutions(self) -> Path:
        """What authors edit."""
        return self.root / "solutions"

    @property
    def released(self) -> Path:
        """What students get; generated."""
        return self.root / "course"

    @property
    def autograder(self) -> Path:
        """What instructors use."""
        return self.root / "autograder"

    def notebooks(self, wanted: Iterable[str] = ()) -> list[str]:
        """Return the names of the notebooks, all of them or the `wanted` ones.

        A wanted name may be short: `01` or `1` stands for `01_resnets_as_euler`.

        Raises:
            CourseError: if a wanted notebook does not exist, or none does.
        """
        found = sorted(
            folder.name
            for folder in self.solutions.glob("*")
            if NOTEBOOK_NAME.fullmatch(folder.name)
            and (folder / f"{folder.name}.py").exists()
        )
        wanted = [name.strip("/").split("/")[-1] for name in wanted]
        if not wanted:
            if not found:
                raise CourseError(f"no notebook in {self.solutions}")
            return found
        chosen = []
        for name in wanted:
            matches = [
                one
                for one in found
                if one == name or (name.isdigit() and int(one[:2]) == int(name))
            ]
            if not matches:
                known = ", ".join(found) or "none"
                raise CourseError(f"no notebook {name!r}; there are: {known}")
            chosen += [one for one in matches if one not in chosen]
        return sorted(chosen)

    def source(self, name: str) -> Path:
        """The text that an author edits."""
        return self.solutions / name / f"{name}.py"

    def solution(self, name: str) -> Path:
        """Its executed twin."""
        return self.solutions / name / f"{name}.ipynb"

    def answers(self, name: str) -> Path:
        """Named wrong and right answers, beside the notebook."""
        return self.solutions / name / "answers.py"

    def release(self, name: str) -> Path:
        """The notebook that a student opens."""
        return self.released / name / f"{name}.ipynb"

    @property
    def repository(self) -> str:
        """The address of the repository, from pyproject.toml, its only place."""
        with open(self.root / "pyproject.toml", "rb") as file:
            project = tomllib.load(file)["project"]
        return project["urls"]["Repository"].rstrip("/").removesuffix(".git")


def find_course(start: Path | None = None) -> Course:
    """Return the course around `start`; else around the cwd; else around this file."""
    places = [start] if start else [Path.cwd(), Path(__file__).parent]
    for place in places:
        for folder in [place, *place.parents]:
            if (folder / "solutions").is_dir() and (folder / "pyproject.toml").exists():
                return Course(folder.resolve())
    raise CourseError("no course here: a folder with solutions/ and pyproject.toml")


def tools_on_path() -> None:
    """Let nbgrader find `alembic` although the environment is not activated."""
    tools = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", "")
    if tools not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([tools, path])


def printable(text: str) -> str:
    """Return a text from a stranger as a terminal may show it: no control codes."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def write_atomically(path: Path, content: str | bytes) -> bool:
    """Write `content` to `path` in one step; return whether anything changed."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        scratch.write_bytes(data)
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
    return True
