"""Imports within odenets point one way, and lead out to nothing of the autograder."""

import ast
from pathlib import Path

import odenets

PACKAGE = Path(odenets.__file__).parent

# What each room may import besides itself.
MAY = {
    "solvers": set(),
    "adjoint": {"solvers"},
    "optimise": set(),
    "scale": set(),
    "training": {"scale"},
    "data": set(),
    "plots": set(),
    "check": {"scale"},
    "nets": {"solvers", "adjoint", "optimise", "training"},
    "studies": {
        "solvers", "adjoint", "optimise", "scale", "training", "data", "plots", "nets",
    },
    "__main__": {"studies"},
    "__init__": set(),
}  # fmt: skip


OWN = {"START"}  # what the package itself holds: it imports no room


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """The full names of all that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = [node.module] if node.module else []
            if node.level:  # relative to the folder, or to one above it
                above = path.relative_to(PACKAGE.parent).parts[: -node.level]
                module = [*above, *module]
            names |= {".".join([*module, alias.name]) for alias in node.names}
    return names


def test_every_file_stands_in_a_known_room():
    assert {room(path) for path in PACKAGE.rglob("*.py")} == set(MAY)


def test_imports_point_one_way():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for name in imported(path):
            head, _, rest = name.partition(".")
            assert head != "autograder", f"{path} imports {name}"
            other = rest.partition(".")[0]
            if head == "odenets" and other not in MAY[room(path)] | {room(path), *OWN}:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_the_rooms_have_an_order():
    """No circle: whatever a room may import is below it."""
    below: dict[str, int] = {}
    while len(below) < len(MAY):
        floor = {n for n in MAY if n not in below and MAY[n] & set(MAY) <= set(below)}
        assert floor, f"a circle among {set(MAY) - set(below)}"
        below |= dict.fromkeys(floor, len(below))
