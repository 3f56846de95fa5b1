"""Imports point one way: who may use whom, in the autograder and beside it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
AUTOGRADER = ROOT / "autograder"

MAY_USE = {
    "course": set(),
    "authors": {"worker", "course"},
    "worker": {"course"},
    "classroom": {"authors", "course"},
    "grading": {"authors", "classroom", "worker", "course"},
    "demo": {"authors", "classroom", "grading", "worker", "course"},
}
"""The rooms of the autograder, and the rooms that each may import from."""


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imports(path: Path, package: str) -> set[str]:
    """Return the full names of all that a file imports, inside functions too.

    Args:
        package: the full name of the package that the file belongs to.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
    return found


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


@pytest.mark.parametrize("room", MAY_USE)
def test_the_rooms_of_the_autograder_import_one_way(room):
    single = AUTOGRADER / f"{room}.py"
    files = [single] if single.exists() else modules(AUTOGRADER / room)
    assert files
    wrong = []
    for path in files:
        for name in imports(path, package_of(path)):
            parts = name.split(".")
            if parts[0] == "autograder" and parts[1] not in MAY_USE[room] | {room}:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_every_module_of_the_autograder_is_in_a_room():
    found = {path.relative_to(AUTOGRADER).parts[0] for path in modules(AUTOGRADER)}
    doors = {"__init__.py", "__main__.py", "nbgrader_config.py"}
    assert {name.removesuffix(".py") for name in found - doors} == set(MAY_USE)


def test_inside_a_room_no_import_goes_round_in_a_circle():
    for room in (folder for folder in AUTOGRADER.iterdir() if folder.name in MAY_USE):
        if room.is_file():
            continue
        names = {path.stem: path for path in modules(room)}
        uses = {}
        for name, path in names.items():
            prefix = f"autograder.{room.name}."
            found = imports(path, package_of(path))
            inside = {n.removeprefix(prefix) for n in found if n.startswith(prefix)}
            uses[name] = {n.split(".")[0] for n in inside} & set(names)
        while uses:  # take away what uses nothing that is left
            free = {name for name, used in uses.items() if not used & set(uses)}
            assert free, f"a circle in {room.name}: {sorted(uses)}"
            uses = {name: used for name, used in uses.items() if name not in free}


def test_the_students_package_knows_nothing_of_the_autograder():
    package = ROOT / "course" / "odenets"
    files = modules(package)
    assert files
    for path in files:
        names = imports(path, "odenets")
        assert not {n for n in names if n.split(".")[0] in ("autograder", "nbgrader")}


def test_a_worker_runs_alone():
    """On a machine of a cluster it needs neither nbgrader nor the rest of us."""
    code = "import sys, autograder.worker.execute, autograder.worker.cluster as _\n"
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "autograder.worker.execute" in loaded, done.stderr
    rooms = {name.split(".")[1] for name in loaded if name.startswith("autograder.")}
    assert rooms == {"worker", "course"}
    assert not loaded & {"nbgrader", "sqlalchemy", "jupytext", "torch"}


def test_the_process_in_the_sandbox_needs_one_file():
    """It is mounted alone: nothing of the autograder can be imported there."""
    path = AUTOGRADER / "worker" / "zygote.py"
    roots = {name.split(".")[0] for name in imports(path, package_of(path))}
    assert "autograder" not in roots
