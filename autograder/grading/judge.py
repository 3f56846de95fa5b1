"""Who decides about points: this side, from records, against the instructor's values.

A test cell in a student's process only writes down what it observed. The criteria come
from a run of the instructor's solution. Both meet here, and nowhere else: what a
student patches in their own process changes what they observed, not how it is judged.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from odenets import check
from odenets.check import mistakes

from ..authors import pairs
from ..authors.assignment import Assignment, Graded
from ..course import CourseError, write_atomically
from ..worker.execute import Code, Job, Ran, execute
from ..worker.sandbox import Limits
from . import reasons
from .tests import Decoy, strip_expected

VISIBLE = "visible:"
NO_VALUE = "the check left no value"
REFERENCE_LIMITS = Limits(cell_seconds=120, notebook_seconds=900, memory_mb=4000)


@dataclass(frozen=True)
class Criterion:
    """One check of the solution: what it asks, and what it accepts."""

    kind: str
    label: str
    criterion: dict[str, Any]  # as `check.encode` writes it
    hidden: bool


@dataclass(frozen=True)
class Checked:
    """What became of one check in one submission."""

    label: str
    passed: bool
    hidden: bool
    message: str = ""


@dataclass
class Verdict:
    """What one exercise earned, and why not more."""

    exercise: str
    points: float
    score: float
    checks: list[Checked] = field(default_factory=list)
    reason: str = ""

    @property
    def full(self) -> bool:
        return self.score >= self.points


Reference = dict[str, list[Criterion]]


# --------------------------------------------------------------- the solution's side


def reference(asked: Assignment, cache: Path, contained: bool = True) -> Reference:
    """Return the criteria of every test, from a run of the solution.

    Args:
        cache: a file that keeps them until the solution or `check` changes.

    Raises:
        CourseError: if the solution does not pass its own tests, or a test is not
            the same without its expected values.
    """
    key = fingerprint(asked)
    try:
        kept = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    if kept.get("key") == key:
        tests = kept["tests"]
        return {name: [Criterion(**one) for one in tests[name]] for name in tests}
    made = _run_solution(asked, contained)
    plain = {name: [asdict(one) for one in made[name]] for name in made}
    write_atomically(cache, json.dumps({"key": key, "tests": plain}) + "\n")
    return made


def fingerprint(asked: Assignment) -> str:
    """Return a hash of all that the judgement rests on."""
    digest = hashlib.sha256(pairs.to_text(asked.source).encode())
    own = [module.__file__ for module in _own_modules()]
    folder = Path(check.__file__).parent
    names = (folder / "mistakes").glob(f"{asked.name}.json")
    for file in (__file__, *own, *sorted(folder.glob("*.py")), *names):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def _own_modules() -> list[Any]:
    from ..authors import assignment, names
    from ..worker import execute, zygote
    from . import files, sanitize, tests

    own = [files, reasons, sanitize, tests]
    return [execute, assignment, names, zygote, *own]


def _run_solution(asked: Assignment, contained: bool) -> Reference:
    """Run the solution: the tests as released and whole, then as students meet them."""
    whole: list[Code] = []
    stripped: list[Code] = []
    for cell in asked.source.cells:
        if cell.cell_type != "code":
            continue
        target = asked.graded.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if target is not None and target.is_test:
            whole.append(Code(target.visible, test=VISIBLE + target.name))
            whole.append(Code(target.source, test=target.name))
            stripped.append(Code(strip_expected(target.source), test=target.name))
        elif target is not None or cell.source == asked.source_setup:
            whole.append(Code(cell.source))
            stripped.append(Code(cell.source))
    ran = _tests_of(asked, whole, contained, reference=True)
    bare = _tests_of(asked, stripped, contained, reference=False)
    made: Reference = {}
    for test in asked.tests:
        made[test.name] = _criteria(test, ran)
        verdict = judge(test, bare[test.name], made[test.name])
        if not verdict.full:
            failed = "\n".join(
                f"  {c.label}: {c.message}" for c in verdict.checks if not c.passed
            )
            raise CourseError(
                f"{asked.name}: the solution of {test.exercise} earns "
                f"{verdict.score:g} of {test.points:g}. {verdict.reason}\n{failed}"
            )
    return made


def _tests_of(
    asked: Assignment, codes: list[Code], contained: bool, *, reference: bool
) -> dict[str, Ran]:
    job = Job(asked.name, tuple(codes), REFERENCE_LIMITS, contained, reference)
    return {c.test: r for c, r in zip(codes, execute(job).cells) if c.test}


def _criteria(test: Graded, ran: dict[str, Ran]) -> list[Criterion]:
    whole = ran[test.name]
    if whole.trouble or whole.error:
        raise CourseError(f"{test.name} fails: {whole.trouble or whole.error}")
    records = [r for r in _records(whole) if "criterion" in r]
    labels = [record["label"] for record in records]
    if len(set(labels)) != len(labels) or not labels:
        raise CourseError(f"{test.name}: every check needs a label of its own")
    visible = {record["label"] for record in _records(ran[VISIBLE + test.name])}
    criteria = []
    for record in records:
        if record["exercise"] != test.exercise or record["points"] != test.points:
            raise CourseError(
                f"{test.name}: exercise and points differ from the metadata"
            )
        hidden = record["label"] not in visible
        kind, label = record["kind"], record["label"]
        criteria.append(Criterion(kind, label, record["criterion"], hidden))
    return criteria


# --------------------------------------------------------------- the student's side


def judge(
    test: Graded, ran: Ran, criteria: list[Criterion], decoys: Iterable[Decoy] = ()
) -> Verdict:
    """Decide what a test cell earned, from nothing but its records."""
    name, points = test.exercise, test.points
    came: dict[tuple[str, str], list[dict[str, Any]]] = {}
    stopped = ""
    for record in _records(ran):
        if record.get("kind") == "stopped":
            stopped = "the checks did not run to their end"
        key = (str(record.get("kind")), str(record.get("label")))
        came.setdefault(key, []).append(record)
    checks = [_one(c, came.get((c.kind, c.label), []), name) for c in criteria]
    handed_on = any(_error(r) == "PackageAnswer" for rs in came.values() for r in rs)
    passed = sum(one.passed for one in checks)
    score = min(max(round(points * passed / len(checks), 2), 0.0), points)
    reason = ""
    if ran.trouble:
        score, reason = 0.0, _sentence(_unfinished(ran.trouble))
    elif not came and not ran.error:
        score = 0.0
        reason = (
            "the tests did not run, or what they recorded was deleted: look at what "
            "your code changes outside of its functions"
        )
    elif stopped or (ran.error and passed < len(checks)):
        score = 0.0
        reason = stopped or f"the test cell raised {_raised(ran.error)}"
    elif handed_on:
        score = 0.0
        reason = f"the package's own version was called: {check.PackageAnswer()}"
    elif lost := [decoy for decoy in decoys if not _came_through(decoy, came)]:
        score = 0.0
        reason = "the tests recorded other values than they observed: look at the code"
        if not any(came.get((decoy.kind, decoy.label)) for decoy in lost):
            reason = "some of the tests left no record: look at the code"
        checks = [Checked(c.label, False, c.hidden, "not counted") for c in criteria]
    elif score < points:
        reason = _mistake(name, checks, came) or _reason(checks)
    return Verdict(name, points, score, checks, reason)


def _records(ran: Ran) -> Iterator[dict[str, Any]]:
    """Yield the lines that are records; the others were not written by `check`."""
    for line in ran.records:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record


def _came_through(
    decoy: Decoy, came: dict[tuple[str, str], list[dict[str, Any]]]
) -> bool:
    records = came.get((decoy.kind, decoy.label), [])
    return len(records) == 1 and records[0].get("observed") == decoy.observed


def _one(criterion: Criterion, records: list[dict[str, Any]], exercise: str) -> Checked:
    label, hidden = criterion.label, criterion.hidden
    if len(records) != 1:
        message = "the check left no record"
        if records:
            message = f"the check left {len(records)} records instead of one"
        return Checked(label, False, hidden, message)
    record = records[0]
    if record.get("exercise") != exercise:
        return Checked(label, False, hidden, "the record belongs to another exercise")
    if "observed" not in record:
        too_large = "too_large" in record
        said = "the value is too large" if too_large else _said(record)
        return Checked(label, False, hidden, said)
    try:
        observed = check.decode(record["observed"])
        verdict = check.compare(
            criterion.kind, observed, check.decode(criterion.criterion)
        )
    except Exception:  # values from a stranger: whatever goes wrong is no point
        return Checked(label, False, hidden, "the value cannot be compared")
    message = "" if hidden or verdict.passed else verdict.message
    return Checked(label, bool(verdict.passed), hidden, message)


def _mistake(
    name: str, checks: list[Checked], came: dict[tuple[str, str], list[dict[str, Any]]]
) -> str:
    """Return the title of the known mistake that explains all visible checks, or ""."""
    last = {label: records[-1] for (_, label), records in came.items()}
    seen: dict[str, Any] = {}
    try:
        for one in checks:
            if not one.hidden:
                record = dict(last.get(one.label, {}))
                if "observed" in record:
                    record["observed"] = check.decode(record["observed"])
                seen[one.label] = None if one.passed else mistakes.fingerprint(record)
        return mistakes.name_of(name, seen)
    except Exception:  # values from a stranger: they have no name then
        return ""


def _error(record: dict[str, Any]) -> str:
    """Return the name of the exception that a record tells of, or ""."""
    names = record.get("error")
    if isinstance(names, list) and names and isinstance(names[0], str):
        return names[0]
    return ""


def _said(record: dict[str, Any]) -> str:
    name = _error(record)
    if name == "NotImplementedError":
        return "not written yet"
    if name == "TimeLimit":
        return "the answer did not come back and was stopped"
    if not name:
        return NO_VALUE
    return f"the answer raised {reasons.of_error(name, str(record.get('text')))}"


def _raised(error: str) -> str:
    """Return what may be said of the exception that a cell ended in."""
    name, _, text = error.partition(":")
    return reasons.of_error(name, text)


WINDOW = 24
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def windows(text: str) -> set[str]:
    """Return all stretches of a text, spaces apart, that are long enough to quote."""
    bare = "".join(text.split())
    return {bare[i : i + WINDOW] for i in range(len(bare) - WINDOW + 1)}


def quotes(text: str, hidden: set[str]) -> bool:
    """Whether a text, spaces and colours apart, repeats one of the `hidden` windows."""
    bare = "".join(COLOURS.sub("", text).split())
    return any(bare[i : i + WINDOW] in hidden for i in range(len(bare) - WINDOW + 1))


def secrets(asked: Assignment, references: Reference) -> set[str]:
    """Return the stretches of hidden tests that nothing released holds."""
    hidden: set[str] = set()
    shown: set[str] = set()
    for test in asked.tests:
        hidden |= windows(test.source) | windows(strip_expected(test.source))
        for criterion in references[test.name]:
            shown |= windows(f"hidden test '{criterion.label}' and 10 more failed")
    for cell in asked.released.cells:
        shown |= windows(cell.source)
    for test in asked.tests:
        shown |= windows(strip_expected(test.visible))
    return hidden - shown


def _reason(checks: list[Checked]) -> str:
    """Say in one line why points are missing, where the mistake has no name."""
    missed = [one for one in checks if not one.passed]
    if all(one.message == "not written yet" for one in missed):
        return "not written yet"
    first = missed[0]
    what = first.message if first.message.startswith("the ") else ""
    label = f"{'hidden test' if first.hidden else 'test'} '{first.label}'"
    more = f" and {len(missed) - 1} more" if len(missed) > 1 else ""
    return f"{label}{more} failed{': ' + what if what else ''}"


def _unfinished(trouble: str) -> str:
    if trouble.startswith("not run: "):
        return f"the tests did not run: {trouble.removeprefix('not run: ')}"
    return f"the tests did not end: {reasons.of_trouble(trouble)}"


def _sentence(text: str) -> str:
    return " ".join(text.split())[:200]
