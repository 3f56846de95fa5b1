"""Files of the studies: a line of JSON per finished training, and tables.

A study writes each result when it has it, so that it can be stopped at any time and go
on later with what is missing. Several processes may write into one file.
"""

import contextlib
import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def append(path: Path, row: Row) -> None:
    """Append a line to a results file in one write; its folder is made when missing.

    The line begins with a line break: one that a crash cut off stays alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(row))


def read(path: Path) -> list[Row]:
    """Return the lines of a results file, none if there is no file.

    A line that was cut off is left out.
    """
    found = []
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def write_csv(rows: Iterable[Row], path: Path) -> Path:
    """Write rows as a table, a column for every name; lists and dicts are left out.

    Returns: `path`.
    """
    flat = [
        {
            name: value
            for name, value in row.items()
            if not isinstance(value, list | dict)
        }
        for row in rows
    ]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
    return path


def read_csv(path: Path) -> list[Row]:
    """Return the rows of a table; empty fields are left out.

    Numbers and truth values are numbers and truth values again.
    """
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {name: _value(text) for name, text in line.items() if text != ""}
            for line in csv.DictReader(file)
        ]


def _value(text: str) -> bool | int | float | str:
    if text in ("True", "False"):
        return text == "True"
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text
