"""Pairs of answers that agree in what few others wrote: a place to look, no verdict.

An answer is cut into overlapping fragments of four tokens. Names that an answer gives
itself are one and the same token, layout, comments and docstrings do not count, so an
answer with other names and other line breaks has the same fragments. What students were
given has no weight. A fragment counts fully where nobody else has it and not at all
where half of the others do: that is how the exercise is done. Two students agree by

    2 (weight of the fragments that both have) / (weight of hers + weight of his),

over all exercises of a notebook. The idea of comparing fingerprints of k tokens is that
of Schleimer, Wilkerson and Aiken, "Winnowing" (SIGMOD 2003), on texts so short that all
fragments are kept.
"""

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from ..authors.assignment import Assignment
from ..course import printable
from .gradebook import Classroom

SIZE = 4  # tokens of a fragment
MAX_TEXT = 100_000  # characters of an answer
ENOUGH = 12  # weight below which an answer is too short to say anything
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}

Fragments = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class Pair:
    """Two students, how far they agree (0 to 1), and the exercises where they do."""

    one: str
    other: str
    share: float
    where: tuple[tuple[str, int], ...]  # the exercise, how many rare fragments


def pairs(room: Classroom, asked: Assignment, least: float = 0.5) -> list[Pair]:
    """Return the pairs of a class that agree by at least `least`, most alike first."""
    given = {
        cell.exercise: cell.visible
        for cell in asked.graded.values()
        if cell.is_answer or cell.is_task
    }
    answers: dict[str, dict[str, str]] = {}
    for student in room.students(asked.name):
        result = room.read_result(student, asked.name)
        if result is not None and result["answers"]:
            answers[student] = result["answers"]
    return compare(answers, given, least)


def compare(
    answers: Mapping[str, Mapping[str, str]],
    given: Mapping[str, str],
    least: float = 0.5,
) -> list[Pair]:
    """Compare everyone with everyone.

    Args:
        answers: by student and exercise.
        given: what everyone was given, by exercise.
    """
    own = {
        student: {
            (exercise, fragment)
            for exercise, text in texts.items()
            for fragment in fragments(text) - fragments(given.get(exercise, ""))
        }
        for student, texts in answers.items()
    }
    has = Counter(one for found in own.values() for one in found)
    others = len(own) - 2

    def weight(fragment: tuple[str, tuple[str, ...]], have_it: int) -> float:
        rest = has[fragment] - have_it
        return max(0.0, 1 - 2 * rest / others) if others else 1.0

    found = []
    for a, b in combinations(sorted(own), 2):
        both = {one: weight(one, 2) for one in own[a] & own[b]}
        shared = sum(both.values())
        if shared < ENOUGH / 2:
            continue
        rest = sum(weight(one, 1) for one in own[a] ^ own[b])
        total = 2 * shared + rest  # the weight of both answers together
        if total / 2 < ENOUGH or 2 * shared / total < least:
            continue
        where = Counter(one[0] for one, counts in both.items() if counts > 0)
        found.append(Pair(a, b, 2 * shared / total, tuple(where.most_common())))
    return sorted(found, key=lambda pair: (-pair.share, pair.one, pair.other))


def fragments(text: str) -> Fragments:
    """Return the fragments of an answer: of code, or of prose where it is none."""
    found = _tokens(text)
    return frozenset(
        tuple(found[i : i + SIZE]) for i in range(max(len(found) - SIZE + 1, 0))
    )


def _tokens(text: str) -> list[str]:
    try:
        tree = ast.parse(text[:MAX_TEXT])
        own = _own_names(tree)
        _drop_docstrings(tree)
        # Written anew: brackets, quotes and line breaks are everyone's own.
        plain = ast.unparse(tree)
        tokens = list(tokenize.generate_tokens(io.StringIO(plain).readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return re.findall(r"\w+", text.lower())
    found: list[str] = []
    for token in tokens:
        if token.type in LAYOUT:
            continue
        its_own = token.string in own and found[-1:] != ["."]
        found.append("name" if its_own else token.string)
    return found


def _own_names(tree: ast.AST) -> set[str]:
    """Return the names that a piece of code gives: arguments, variables, functions."""
    own = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
    return own


def _drop_docstrings(tree: ast.AST) -> None:
    """Empty the texts with which nothing is done."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ...


def table(name: str, found: list[Pair], students: int) -> str:
    """Return the pairs as text."""
    if not found:
        return f"{name}: no pair among {students} agrees in much that is its own"
    lines = [f"{name}: {len(found)} pairs among {students} students, most alike first"]
    for pair in found:
        where = ", ".join(f"{exercise} ({n})" for exercise, n in pair.where)
        lines.append(f"  {pair.share:4.0%}  {pair.one}  {pair.other}   {where}")
    lines.append("In brackets: fragments of four tokens that few others have.")
    lines.append("A place to look, no verdict: people also learn together.")
    return "\n".join(map(printable, lines))
