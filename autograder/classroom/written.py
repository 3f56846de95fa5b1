"""What students wrote where a person grades, found in a notebook that is in order.

A question is a locked cell, and the answer stands in cells below it that carry no name:
what is there and was not given is the student's own. An older kind of question is one
named cell, whose placeholder is replaced by the answer.
"""

import hashlib
import json
import re
from itertools import pairwise

from nbformat import NotebookNode

from ..authors.assignment import Assignment, label_of


def answers(asked: Assignment, notebook: NotebookNode) -> dict[str, list[NotebookNode]]:
    """Return a student's own cells, for every cell of `asked` that a person grades.

    The list is empty where nothing was written. Texts that stand elsewhere, where no
    question claims them, count for each question that would be empty otherwise: a
    person sees at once whether they answer it, and no program does.
    """
    given = {_plain(cell.source) for cell in asked.released.cells} | {""}
    places = _placeholders(asked)
    found: dict[str, list[NotebookNode]] = {cell.name: [] for cell in asked.manual}
    elsewhere = []
    question = ""
    for cell in notebook.cells:
        name, text = label_of(cell) or "", _plain(cell.source)
        if name in asked.graded:
            target = asked.graded[name]
            question = name if target.is_task else ""
            if target.is_manual and not target.is_task and text not in given:
                found[name].append(cell)
        elif text in given:
            if text and text != places.get(question):
                question = ""
        elif question:
            found[question].append(cell)
        elif cell.cell_type != "code":
            elsewhere.append(cell)
    return {name: cells or elsewhere for name, cells in found.items()}


def text(asked: Assignment, cells: list[NotebookNode]) -> str:
    """Return cells as one text, without the placeholder they were written around."""
    placeholders = "|".join(re.escape(one) for one in _placeholders(asked).values())
    parts = [
        re.sub(rf"\A\s*(?:{placeholders})\s*", "", cell.source).strip()
        if placeholders
        else cell.source.strip()
        for cell in cells
    ]
    return "\n\n".join(filter(None, parts))


def digest(cells: list[NotebookNode]) -> str:
    """Return a hash of what is written and of the pictures in it; "" for nothing."""
    if not cells:
        return ""
    plain = [(cell.source, cell.get("attachments", {})) for cell in cells]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def title(asked: Assignment, name: str) -> str:
    """Return how students know an exercise, "Exercise 1.8": the heading above it.

    Without a number in a heading it is the name of the exercise.
    """
    found = ""
    for cell in asked.released.cells:
        if cell.cell_type == "markdown":
            for match in HEADING.finditer(cell.source):
                found = match[1].strip()
        if label_of(cell) == name:
            return found or name
    return name


HEADING = re.compile(r"^#+ +((?:Exercise|Question) \d+\.\d+[^(\n]*)", re.M)


def _placeholders(asked: Assignment) -> dict[str, str]:
    """Return the text below each question that asks to be replaced."""
    found = {}
    cells = asked.released.cells
    for cell, following in pairwise(cells):
        target = asked.graded.get(label_of(cell) or "")
        below = following.cell_type == "markdown" and label_of(following) is None
        if target is not None and target.is_task and below:
            found[target.name] = _plain(following.source)
    return found


def _plain(source: str) -> str:
    """Return a text as it is compared: line ends and blanks around it do not count."""
    return "\n".join(line.rstrip() for line in source.splitlines()).strip()
