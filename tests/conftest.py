"""What all tests share."""

import os

# Set before torch is imported: tests run side by side, one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["ODENETS_PROGRESS"] = "off"

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import hypothesis
import pytest
import torch

# The same examples on every machine, and no clock: other work slows a test down.
hypothesis.settings.register_profile("here", derandomize=True, deadline=None)
hypothesis.settings.load_profile("here")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-kill-matrix",
        action="store_true",
        help="write tests/kill_matrix.md anew instead of comparing with it",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list) -> None:
    """Timings and full-scale runs are asked for by name (`-m benchmark`, `-m full`)."""
    asked = config.getoption("markexpr")
    for item in items:
        for mark in ("benchmark", "full"):
            if mark in item.keywords and mark not in asked:
                item.add_marker(pytest.mark.skip(reason=f"only with -m {mark}"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Let no test draw otherwise because of the tests before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """Make a file or folder once in a run, in the process of it that comes first.

    `once(name, make)` returns its path; `make(path)` writes it.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # the tests are spread over several processes

    def made(name: str, make: Callable[[Path], object]) -> Path:
        path, unfinished = folder / name, folder / f"unfinished-{name}"
        with filelock.FileLock(f"{path}.lock"):
            if not path.exists():
                make(unfinished)
                unfinished.rename(path)
        return path

    return made


@pytest.fixture(scope="session")
def wheel_of(
    once: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Path]:
    """Build the wheel of a folder from a copy: nothing is left behind in the tree."""

    def wheel(folder: Path) -> Path:
        def build(target: Path) -> None:
            source = tmp_path_factory.mktemp("source") / folder.name
            unwanted = ("[01]*_*", ".*", "*.egg-info", "__pycache__", "build")
            ignored = shutil.ignore_patterns(*unwanted, "submitted")
            shutil.copytree(folder, source, ignore=ignored)
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
            command += ["--wheel-dir", str(target), str(source)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr

        (built,) = once(f"wheel-{folder.name}", build).glob("*.whl")
        return built

    return wheel
