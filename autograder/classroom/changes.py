"""What a second grading changes: for whom, from what to what, and by which check."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..course import printable
from . import report

Decisions = dict[str, dict[str, Any]]  # by cell, see `Classroom.manual`


@dataclass(frozen=True)
class Change:
    """What becomes of one student; `lines` name each exercise that is not as it was."""

    student: str
    before: report.Row | None  # None: graded for the first time
    after: report.Row
    lines: tuple[str, ...]


def settled(new: dict[str, Any], read: dict[str, str], now: Decisions) -> Decisions:
    """Return what the gradebook holds once the result `new` is recorded.

    Points given by hand stay. An answer that was read and is not the same any more has
    to be read again; where nothing is written there is nothing to read.

    Args:
        new: a result (see `grade`).
        read: digests of the answers that the points given by hand are for.
        now: what the gradebook holds yet.
    """
    after: Decisions = {}
    for exercise in new["exercises"]:
        cell = f"test_{exercise['exercise']}"
        after[cell] = _kept(now.get(cell, {}), exercise["score"])
    for cell in new["manual"]:
        name, written = cell["name"], cell["written"]
        decided = now.get(name, {})
        after[name] = _kept(decided, 0.0)
        if decided.get("by_hand"):
            other = read.get(name, written) != written
            after[name]["waits"] = other or decided["waits"]
        else:
            after[name]["waits"] = bool(written)
    return after


def _kept(decided: dict[str, Any], score: float) -> dict[str, Any]:
    by_hand = bool(decided.get("by_hand"))
    kept = {
        "score": decided["score"] if by_hand else score,
        "waits": False,
        "by_hand": by_hand,
    }
    return {**decided, **kept}


def between(
    new: dict[str, Any], old: dict[str, Any] | None, now: Decisions, after: Decisions
) -> Change | None:
    """Return what the result `new` changes, or None where all stays as it is.

    Args:
        old: the result before it, if there was one.
        now: what the gradebook holds yet.
        after: what it is to hold (see `settled`).
    """
    becomes = report.row(new, after)
    if old is None:
        return Change(new["student"], None, becomes, ())
    before = report.row(old, now)
    lines = []
    for name in {**before.scores, **becomes.scores}:
        was, score = before.scores.get(name, 0.0), becomes.scores.get(name, 0.0)
        if was != score:
            why = _why(name, new, old, after)
            lines.append(f"{name} {_shown(was)} -> {_shown(score)}: {why}")
        elif given := _against(name, new, old, after):
            lines.append(given)
    if not lines:
        return None
    return Change(new["student"], before, becomes, tuple(lines))


def _why(name: str, new: dict[str, Any], old: dict[str, Any], after: Decisions) -> str:
    """Say why an exercise earns other points than before."""
    for cell in new["manual"]:
        if cell["name"] == name:
            return _why_a_person(cell["written"] != "", after[name])
    one, other = _exercise(new, name), _exercise(old, name)
    if one is None:
        return "it is not asked any more"
    if other is None:
        return "it was not asked before"
    return _checks(one, other) or str(one["reason"] or other["reason"])


def _why_a_person(written: bool, decided: dict[str, Any]) -> str:
    if decided["waits"] and decided["by_hand"]:
        kept = f"the {decided['score']:g} given by hand was for another answer"
        return f"{kept}; {'read it again' if written else 'now nothing is written'}"
    if decided["waits"]:
        return "an answer came, and has to be read"
    return "points given by hand" if decided["by_hand"] else "nothing is written"


def _checks(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Name the checks of an exercise that come out differently."""
    has = {check["label"]: check["passed"] for check in one["checks"]}
    had = {check["label"]: check["passed"] for check in other["checks"]}
    hidden = {c["label"]: c["hidden"] for c in [*other["checks"], *one["checks"]]}
    said = []
    for label in {**had, **has}:
        test = f"{'hidden test' if hidden[label] else 'test'} '{label}'"
        if label not in has:
            said.append(f"{test} is gone")
        elif label not in had:
            said.append(f"{test} is new and {'holds' if has[label] else 'fails'}")
        elif has[label] != had[label]:
            said.append(f"{test} {'holds' if has[label] else 'fails'} now")
    if one["points"] != other["points"]:
        said.append(f"worth {one['points']:g} instead of {other['points']:g}")
    return "; ".join(said)


def _against(
    name: str, new: dict[str, Any], old: dict[str, Any], after: Decisions
) -> str:
    """Say where points by hand stay although the tests find something else now."""
    one, other = _exercise(new, name), _exercise(old, name)
    kept = after.get(f"test_{name}")
    if one is None or other is None or kept is None or not kept["by_hand"]:
        return ""
    if one["score"] == other["score"]:
        return ""
    tests = f"the tests give {one['score']:g} instead of {other['score']:g}"
    return f"{name} stays {kept['score']:g}, given by hand; {tests}"


def _exercise(result: dict[str, Any], name: str) -> dict[str, Any] | None:
    return next((e for e in result["exercises"] if e["exercise"] == name), None)


def _shown(score: float | None) -> str:
    return "?" if score is None else f"{score:g}"


def table(name: str, changes: Iterable[Change], looked_at: int) -> str:
    """Return the list of changes as text, a line for each student and exercise.

    Args:
        looked_at: how many were graded again.
    """
    changes = sorted(changes, key=lambda one: one.student)
    again = [one for one in changes if one.before is not None]
    first = [one for one in changes if one.before is None]
    verb = "changes" if len(again) == 1 else "change"
    lines = [f"{name}: graded again {looked_at}, {len(again)} of them {verb}"]
    lines += [line for one in again for line in _lines(one)]
    if first:
        lines.append(f"{name}: graded for the first time {len(first)}")
        lines += [line for one in first for line in _lines(one)]
    return "\n".join(map(printable, lines))


def _lines(one: Change) -> list[str]:
    total = f"{one.after.total:g}{' and ?' if one.after.waits else ''}"
    if one.before is None:
        return [f"  {one.student}: {total}"]
    before = f"{one.before.total:g}{' and ?' if one.before.waits else ''}"
    return [f"  {one.student}: {before} -> {total}", *(f"      {x}" for x in one.lines)]
