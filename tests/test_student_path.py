"""A student on Colab, end to end: an environment without the package, one notebook.

A fresh virtual environment gets what Colab brings; the released notebook lies alone in
an empty folder. Its set-up cell installs the package (here from a wheel built from this
tree), the solutions are typed in, and every visible check passes.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import notebooks
import pytest

NAME = "01_resnets_as_euler"
COLAB = ["torch", "torchvision", "matplotlib", "numpy", "ipykernel", "nbconvert"]


def run(*command: object, **options) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, **options
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel from a copy, so that nothing is left behind in the tree."""
    source = tmp_path_factory.mktemp("source")
    for part in ("course/odenets", "autograder"):
        shutil.copytree(
            notebooks.ROOT / part,
            source / part,
            ignore=shutil.ignore_patterns("__pycache__", "submitted", "autograded"),
        )
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(notebooks.ROOT / file, source)
    target = source / "dist"
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", target, source)
    (built,) = target.glob("odenets-*.whl")
    return built


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
    run(python, "-m", "pip", "install", "-q", *COLAB, env=kept)
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


def test_the_notebook_alone_installs_the_package_and_passes(wheel, colab, tmp_path):
    python, variables = colab
    probe = "import importlib.util as u; print(u.find_spec('odenets'))"
    assert run(python, "-c", probe, env=variables, cwd=tmp_path).strip() == "None"
    notebook = released(NAME)
    type_in(notebook, NAME)
    (tmp_path / "alone.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    run(
        *(python, "-m", "nbconvert", "--to", "notebook", "--execute"),
        *("--output", "done.ipynb", "alone.ipynb"),
        cwd=tmp_path,
        env=variables | {"ODENETS_PACKAGE": str(wheel), "ODENETS_SCALE": "quick"},
    )
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
