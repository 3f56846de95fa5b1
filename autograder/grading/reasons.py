"""Why points are missing, in words: the cause, and what helps.

What a process of a student says is only looked up here, never repeated.
"""

import builtins
import re
from collections.abc import Iterable

KNOWN = {"LinAlgError", "OutOfMemoryError", "JSONDecodeError"}
FEW = 3  # lines of one kind that stand for themselves
LISTED = 12  # of more of them

ERRORS = [
    ("MemoryError|OutOfMemory|can't allocate memory", "it asked for too much memory"),
    (r"\[Errno 27\]", "it wrote a larger file than it may"),
    (r"\[Errno 28\]", "its files took all the room that they may"),
    (r"\[Errno 24\]", "it opened too many files"),
    (
        r"BlockingIOError|\[Errno 11\]|can't start new thread",
        "it started more processes or threads than it may",
    ),
    (
        r"URLError|gaierror|ConnectionError|TimeoutError|\[Errno (-2|-3|101|111)\]",
        "there is no network when a class is graded",
    ),
    (
        "FileNotFoundError",
        "only the notebook is there when a class is graded, no file beside it",
    ),
    (
        r"PermissionError|\[Errno (13|30)\]",
        "only its own working folder may be written, and no system call is special",
    ),
    ("ModuleNotFoundError", "only the packages of the course are installed"),
    ("NameError", "no cell above defines the name: restart, and run all cells"),
    ("SyntaxError|IndentationError", "the cell is not Python: run it and mend it"),
    ("RecursionError", "it calls itself without end"),
    ("KeyboardInterrupt|SystemExit", "it stops what runs: take that out"),
]
"""What may be said of an exception beyond its name, and of what it is told by."""

TROUBLES = [
    ("took more than .* and waited", "take sleep() and input() out"),
    ("took more than", "look for a loop without an end, or compute less"),
    ("printed|sent", "print less"),
    ("processes", "start fewer"),
    ("of memory|lack of memory", "keep less"),
    ("MB in its files|files", "write fewer"),
    (
        "ended Python|crashed|aborted",
        "run it after a restart, and take out what ends it",
    ),
    ("values are too large", "return what was asked for"),
]
"""What helps where a limit was met, by what a worker says of it."""


def known_error(text: str) -> str:
    """Return the name of an exception, where it is not one that a student made up."""
    name = text.partition(":")[0].strip()
    if name in KNOWN or isinstance(getattr(builtins, name, None), type):
        return name
    return "an error of its own kind"


def of_error(name: str, text: str = "") -> str:
    """Return the name of an exception, with what may be said of its cause.

    Args:
        text: what it says; it is searched for what the system says, not repeated.
    """
    known = known_error(name)
    for pattern, hint in ERRORS:
        if re.search(pattern, f"{name.partition(':')[0]}: {text}"[:500]):
            return f"{known} ({hint})"
    return known


def of_trouble(trouble: str) -> str:
    """Return what a worker says of a limit, with what helps."""
    for pattern, advice in TROUBLES:
        if re.search(pattern, trouble) and not trouble.startswith("not run"):
            return f"{trouble}; {advice}"
    return trouble


def together(said: Iterable[tuple[str, str]]) -> list[str]:
    """Write (where, what) as lines; many of one kind become one, with their number."""
    groups: dict[str, list[str]] = {}
    for where, what in said:
        groups.setdefault(what, []).append(where)
    lines = []
    for what, places in groups.items():
        if len(places) <= FEW:
            lines += [f"{where}: {what}" for where in places]
            continue
        short = [re.sub(r" \(.*", "", where) for where in places]
        more = ", ..." if len(short) > LISTED else ""
        lines.append(f"{len(short)} times ({', '.join(short[:LISTED])}{more}): {what}")
    return lines


def of_cells(notes: Iterable[str]) -> list[str]:
    """Write notes on single cells together where many say the same."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for note in notes:
        match = re.fullmatch(r"(?:(cell \d+) (?=is |was )|(\w+): )(.+)", note)
        where, what = (match[1] or match[2], match[3]) if match else ("", note)
        groups.setdefault(what, []).append((where, note))
    lines = []
    for what, said in groups.items():
        if len(said) > FEW:
            lines += together((where, what) for where, _ in said)
        else:
            lines += [note for _, note in said]
    return lines
