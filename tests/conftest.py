"""What all tests share."""

import os

# Set before torch is imported: tests run side by side, one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["ODENETS_PROGRESS"] = "off"

import shutil

import pytest


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


@pytest.fixture
def program():
    """Find a program that pip cannot bring: skip without it, but never in CI."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            if os.environ.get("CI"):
                pytest.fail(f"CI needs {name}; .ci/run installs it")
            pytest.skip(f"{name} is not installed")
        return path

    return find
