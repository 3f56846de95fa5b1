"""The file that somebody handed in: what it holds, or why it is no notebook.

Each way to fail has a sentence of its own, with the cause and what helps.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

import nbformat

from ..classroom.feedback import TICKETS
from ..course import MAX_SUBMISSION, printable

AGAIN = "hand in the .ipynb again"
KINDS = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive or an office document",
    b"\x1f\x8b": "a compressed archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"<": "a web page",
}
SHOWN = 5  # names of files


class Unreadable(Exception):
    """A submission that is no notebook; the message says why."""


def content(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        Unreadable: if it is not there, is not a file, is empty or too large, or may
            not be read.
    """
    try:
        folder = path.parent.lstat().st_mode
        if not stat.S_ISDIR(folder):
            kind = _not_a_file(folder) or "a file"
            raise Unreadable(f"the folder is {kind}; {AGAIN}")
        if not os.path.lexists(path):
            raise Unreadable(_found(path))
        status = path.lstat()
        if kind := _not_a_file(status.st_mode):
            raise Unreadable(f"it is not a file but {kind}; {AGAIN}")
        if status.st_size > MAX_SUBMISSION:
            raise Unreadable(
                f"it is too large ({status.st_size >> 20} MB, at most "
                f"{MAX_SUBMISSION >> 20}); clear its outputs, and {AGAIN}"
            )
        data = path.read_bytes()
    except PermissionError:
        raise Unreadable(
            "its permissions, or its folder's, do not let the grader read it: "
            "chmod -R u+rX"
        ) from None
    except OSError as error:
        said = os.strerror(error.errno or 0)
        raise Unreadable(f"it cannot be read ({said}); {AGAIN}") from None
    if not data.strip():
        raise Unreadable(f"it is empty ({len(data)} bytes); save it, and {AGAIN}")
    if not data.strip(b"\0"):
        raise Unreadable(f"it holds nothing but zeros; save it anew, and {AGAIN}")
    return data


def _found(path: Path) -> str:
    """Say that a file is not there, and what is there instead."""
    names = sorted(one.name for one in path.parent.iterdir())
    names = [name for name in names if name not in TICKETS]
    if not names:
        return f"there is no {path.name}: the folder is empty; {AGAIN}"
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = printable(", ".join(names[:SHOWN])) + more
    return f"there is no {path.name}, but {shown}; hand it in under its own name"


def _not_a_file(mode: int) -> str:
    """Return what stands in a file's place; "" where it is one."""
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISLNK(mode):
        return "a link, which is not followed"
    return "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"


def parsed(data: bytes, notes: list[str]) -> Any:
    """Return the JSON in some bytes: UTF-8, -16 or -32; a few wrong bytes are noted.

    Raises:
        Unreadable: if there is none.
    """
    try:
        text = data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
        replaced = False
    except UnicodeDecodeError:
        text, replaced = data.decode("utf-8-sig", errors="replace"), True
    try:
        made = json.loads(text, strict=False)
    except RecursionError:
        said = (
            f"its JSON is nested too deeply for a notebook; save it anew, and {AGAIN}"
        )
        raise Unreadable(said) from None
    except json.JSONDecodeError as error:
        raise Unreadable(_why_not_json(data, text, error)) from None
    except ValueError:  # a number of more digits than Python reads
        said = "it is not JSON: a number in it is too long"
        raise Unreadable(f"{said}; save it anew, and {AGAIN}") from None
    if replaced:
        notes.append(
            "some characters are not UTF-8, and were replaced; save it as UTF-8"
        )
    return made


def _why_not_json(data: bytes, text: str, error: json.JSONDecodeError) -> str:
    bare = text.strip()
    for magic, kind in KINDS.items():
        if data.lstrip().startswith(magic):
            return f"it is not JSON but {kind}; {AGAIN}"
    if not bare.startswith(("{", "[")):
        script = "# %%" in bare or bare.startswith(("#", "import ", "from "))
        kind = "a Python script" if script else "something else"
        return f"it is not JSON but {kind}, so it is not a notebook; {AGAIN}"
    at = f"line {error.lineno}, column {error.colno}"
    if "<<<<<<<" in text:
        return f"it is not JSON: it holds marks of a merge (<<<<<<<); {AGAIN}"
    unfinished = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
    if unfinished:
        return f"it is not JSON: it ends in the middle ({at}), cut off; {AGAIN}"
    return f"it is not JSON at {at} ({error.msg}); save it in Jupyter, and {AGAIN}"


def cells(data: Any, notes: list[str]) -> list[Any]:
    """Return the cells in what a file held, whatever they are.

    Raises:
        Unreadable: if there are none.
    """
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else "a single value"
        raise Unreadable(f"it is JSON, but not a notebook: it is {kind}; {AGAIN}")
    version = data.get("nbformat", 4)
    old = type(version) is int and version < 4
    if old and "worksheets" in data:
        try:
            return list(nbformat.convert(nbformat.from_dict(data), 4).cells)
        except Exception:  # from a stranger: whatever it is
            raise Unreadable(
                f"its format cannot be understood: it says that it is {version}; "
                f"save it in Jupyter, and {AGAIN}"
            ) from None
    came = data.get("cells")
    if not isinstance(came, list):
        what = "no list of cells" if "cells" in data else "no cells"
        raise Unreadable(f"it is JSON, but not a notebook: it has {what}; {AGAIN}")
    if type(version) is not int or version != 4:
        plain = isinstance(version, (str, int, float))
        said = printable(repr(version)[:20]) if plain else "nothing of sense"
        notes.append(f"its format says {said}, and was read as 4; save it in Jupyter")
    return came
