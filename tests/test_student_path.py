"""A student on Colab, end to end: an environment without the package, one notebook.

A fresh virtual environment gets what Colab brings; the released notebook lies alone in
an empty folder. Its set-up cell installs the student's package (the wheel of `course/`
stands in for the repository), the solutions are typed in, every visible check passes.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import notebooks
import pytest

from autograder.course import Course

NAME = "01_resnets_as_euler"
COLAB = ["torch", "torchvision", "matplotlib", "numpy", "ipykernel", "nbconvert"]


def run(*command: object, **options) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, **options
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def colab(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Return the interpreter of an environment like Colab's, and its variables."""
    folder = tmp_path_factory.mktemp("colab") / "venv"
    run(sys.executable, "-m", "venv", folder)
    python = next(
        p for p in (folder / "bin/python", folder / "Scripts/python.exe") if p.exists()
    )
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("ODENETS", "PYTHON", "VIRTUAL_ENV", "JUPYTER", "PYTEST"))
    }
    kept["PIP_CONSTRAINT"] = str(notebooks.ROOT / "constraints.txt")
    kept["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    run(python, "-m", "pip", "install", "-q", "--no-compile", *COLAB, env=kept)
    return python, kept


def released(name: str) -> dict:
    path = notebooks.ROOT / "course" / name / f"{name}.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))


def type_in(notebook: dict, name: str) -> None:
    """Replace the stubs of a released notebook by the solutions."""
    answers = {exercise.name: exercise.answer for exercise in notebooks.exercises(name)}
    for cell in notebook["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if grade_id in answers:
            assert "raise NotImplementedError()" in "".join(cell["source"])
            cell["source"] = re.sub(
                r" *### (BEGIN|END) SOLUTION\n?", "", answers[grade_id]
            )


def install_from(notebook: dict, wheel: Path) -> None:
    """Let the set-up cell install `wheel` where it names the repository."""
    (setup,) = [
        cell for cell in notebook["cells"] if "find_spec" in "".join(cell["source"])
    ]
    address = f"git+{Course(notebooks.ROOT).repository}#subdirectory=course"
    source = "".join(setup["source"])
    assert source.count(address) == 1
    setup["source"] = source.replace(address, str(wheel))


def test_the_notebook_alone_installs_the_package_and_passes(wheel_of, colab, tmp_path):
    python, variables = colab
    probe = "import importlib.util as u; print(u.find_spec('odenets'))"
    assert run(python, "-c", probe, env=variables, cwd=tmp_path).strip() == "None"
    notebook = released(NAME)
    type_in(notebook, NAME)
    install_from(notebook, wheel_of(notebooks.ROOT / "course"))
    (tmp_path / "alone.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    run(
        *(python, "-m", "nbconvert", "--to", "notebook", "--execute"),
        *("--output", "done.ipynb", "alone.ipynb"),
        cwd=tmp_path,
        env=variables | {"ODENETS_SCALE": "quick"},
    )
    probe = "import importlib.util as u; print(u.find_spec('autograder'))"
    assert run(python, "-c", probe, env=variables, cwd=tmp_path).strip() == "None"
    done = json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))
    scores = {}
    for cell in done["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "code" and about.get("grade"):
            (result,) = [
                o for o in cell["outputs"] if o["output_type"] == "execute_result"
            ]
            earned = float("".join(result["data"]["text/plain"]))
            scores[about["grade_id"]] = earned / about["points"]
    assert len(scores) == len(notebooks.exercises(NAME))
    assert set(scores.values()) == {1.0}, scores
