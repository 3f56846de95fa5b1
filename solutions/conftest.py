"""nbval executes these notebooks again, under the conditions of `autograder sync`."""

import os
from pathlib import Path

import pytest

os.environ["ODENETS_PROGRESS"] = "off"
os.environ.pop("ODENETS_SCALE", None)
os.environ.pop("NBGRADER_EXECUTION", None)


def pytest_configure(config: pytest.Config) -> None:
    config.option.nbval_sanitize_with = str(Path(__file__).with_name("nbval.ini"))
