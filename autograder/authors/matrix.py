"""The kill matrix: what each named answer earns, in view and in full, and is told.

From it come `odenets/check/mistakes/NN_topic.json`, by which a student's mistake is
named, and the figures that the tests of the course ask for. Everything runs in this
process, each answer in a copy of the namespace that the set-up cell leaves.
"""

import ast
import contextlib
import io
import json
import linecache
import multiprocessing
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from odenets import check
from odenets.check import guard, mistakes

from ..course import Course, write_atomically
from . import answers, constants, pairs
from .answers import Answer

SECONDS = "1"  # of computing for each check of an answer
MEMORY = 12 << 30  # bytes of addresses; torch alone takes some
LEAST = {"wrong": 6, "right": 3}  # named answers of an exercise
STUB = "raise NotImplementedError()"
PROCESSORS = [
    {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    },
]
"""Lets torch compute as it does on processors with less than this one."""


@dataclass(frozen=True)
class Asked:
    """A graded exercise: its cells, and the labels of its visible checks."""

    name: str
    points: float
    answer: str
    visible: str  # the test cell as it is released
    whole: str  # with the hidden tests
    checks: tuple[str, ...]


@dataclass(frozen=True)
class Tried:
    """What came of one answer.

    Attributes:
        in_view, full: what it earns in the notebook, and when graded.
        seen: by the label of each visible check, the fingerprint of what came; None
            where it passed. Empty where the checks stopped.
        shown: what a student would read.
    """

    exercise: Asked
    answer: Answer
    in_view: float
    full: float
    seen: dict[str, Any]
    shown: str

    @property
    def green(self) -> bool:
        """Whether nothing in the notebook says that something is wrong."""
        return self.in_view == self.exercise.points

    @property
    def noticed(self) -> bool:
        return self.full < self.exercise.points

    @property
    def came(self) -> list[Any]:
        """What came in the visible checks, in their order."""
        return list(self.seen.values())

    def name(self, known: dict[str, Any]) -> str:
        """Return the title that the student is told, by the catalogue `known`."""
        return mistakes.name_of(self.exercise.name, self.seen, known)


class Notebook:
    """The exercises of a notebook, ready to be answered."""

    def __init__(self, course: Course, name: str) -> None:
        self.name = name
        self.course = course
        source = pairs.build(course, name)
        with _quick():
            self.names: dict[str, Any] = {"__name__": "__main__"}
            setup = next(c.source for c in source.cells if c.cell_type == "code")
            with contextlib.redirect_stdout(io.StringIO()):
                _run(setup, "<set-up>", self.names)
            self.exercises = {asked.name: asked for asked in self._exercises(source)}

    def _exercises(self, source: Any) -> Iterator[Asked]:
        cells = {
            cell.metadata["nbgrader"]["grade_id"]: cell
            for cell in source.cells
            if "nbgrader" in cell.metadata
        }
        for grade_id, cell in cells.items():
            if cell.cell_type == "code" and cell.metadata["nbgrader"]["grade"]:
                name = grade_id.removeprefix("test_")
                visible = without_hidden(cell.source)
                points = float(cell.metadata["nbgrader"]["points"])
                answer = cells[name].source
                done, _, _ = self._grade(visible, answer)
                checks = tuple(result.label for result in done.results)
                yield Asked(name, points, answer, visible, cell.source, checks)

    def _grade(
        self, test: str, answer: str, more: dict[str, Any] | None = None
    ) -> tuple[check.Exercise, Any, str]:
        """Run an answer and a test cell as a notebook would."""
        names = self.names | (more or {})
        shown = io.StringIO()
        body, last = test.rstrip().rsplit("\n", 1)
        with contextlib.redirect_stdout(shown):
            # An answer that cannot even be executed leaves its name undefined.
            with contextlib.suppress(Exception, SystemExit, guard.TimeLimit):
                with guard.neutral(), guard.time_limit(guard.seconds()):
                    _run(answer, "<answer>", names)
            _run(body, "<test>", names)
            score = eval(last, names)
        (done,) = (v for v in names.values() if isinstance(v, check.Exercise))
        return done, score, shown.getvalue()

    def defined(self, exercise: str) -> list[str]:
        """Return the names of the functions and classes that an answer defines."""
        kinds = (ast.FunctionDef, ast.ClassDef)
        body = ast.parse(self.exercises[exercise].answer).body
        return [node.name for node in body if isinstance(node, kinds)]

    def problems(self, exercise: str) -> list[str]:
        """Return what is wrong with a test cell itself."""
        asked = self.exercises[exercise]
        done, score, shown = self.grade(exercise, asked.answer)
        hidden = len(done.results) - len(asked.checks)
        told = []
        if score != asked.points or type(score) is not float:
            told.append(f"the solution earns {score} of {asked.points:g}\n{shown}")
        if done.further != hidden:
            told.append(f"further={done.further}, but {hidden} checks are hidden")
        return [f"{exercise}: {problem}" for problem in told]

    def constants(self, exercise: str) -> dict[str, float]:
        """Return what answers earn that give a constant of the right shape and type.

        They give zeros, ones, their input, and always what the first visible check
        expects; none of them may earn anything.
        """
        asked = self.exercises[exercise]
        scores = {}
        for kind in constants.KINDS:
            with _quick():
                written = dict(self.names)
                _run(asked.answer, "<answer>", written)
                new = {
                    name: constants.constant(value, kind)
                    for name, value in written.items()
                    if name not in self.names or value is not self.names[name]
                }
                _, scores[kind], _ = self._grade(asked.whole, "", new)
        return scores

    def grade(self, exercise: str, source: str) -> tuple[check.Exercise, Any, str]:
        """Return the checks, hidden ones too, the score, and what is shown."""
        with _quick():
            return self._grade(self.exercises[exercise].whole, source)

    def try_answer(self, answer: Answer) -> Tried:
        """Grade a named answer."""
        asked = self.exercises[answer.exercise]
        done, full, shown = self.grade(asked.name, answer.source)
        came = done.seen()
        seen = {label: came[label] for label in asked.checks if label in came}
        good = sum(one is None for one in seen.values())
        in_view = round(asked.points * good / len(asked.checks), 2)
        if done.stopped or done.handed_on:
            seen, in_view = {}, 0.0
        return Tried(asked, answer, in_view, full, seen, shown)


def catalogue(tried: Iterable[Tried]) -> dict[str, Any]:
    """Return what `mistakes` reads: of each exercise, what its wrong answers show."""
    made: dict[str, Any] = {}
    for one in tried:
        asked = one.exercise
        entry = made.setdefault(asked.name, {"checks": asked.checks, "mistakes": []})
        known = {"title": one.answer.title, "came": one.came}
        rejected = one.answer.kind == "wrong" and any(one.came)
        if rejected and known not in entry["mistakes"]:
            entry["mistakes"].append(known)
    return made


Seen = Mapping[str, Mapping[str, Any] | None]


def reproduced(course: Course, name: str, tried: list[Tried]) -> list[Tried]:
    """Return what came of answers to a notebook, as far as others see it, too.

    Rounding is another on each processor, and some wrong answers make much of it. They
    are tried again in the ways of other processors.
    """
    spawn = multiprocessing.get_context("spawn")  # torch looks when it is loaded
    again = [one.answer for one in tried]
    with contextlib.ExitStack() as pools:
        others = []
        for processor in PROCESSORS:
            pool = pools.enter_context(ProcessPoolExecutor(1, spawn))
            with _environment(processor):
                others.append(pool.submit(_seen, course, name, again))
        for other in others:
            tried = [
                replace(one, seen=in_common(one.seen, seen))
                for one, seen in zip(tried, other.result(), strict=True)
            ]
    return tried


def _seen(course: Course, name: str, again: list[Answer]) -> list[Seen]:
    notebook = Notebook(course, name)
    return [notebook.try_answer(one).seen for one in again]


def in_common(one: Seen, other: Seen) -> dict[str, Any]:
    """Return of the fingerprints in `one` what `other` holds, too."""
    if one.keys() != other.keys():
        return {}
    return {label: _in_common(seen, other[label]) for label, seen in one.items()}


def _in_common(a: Any, b: Any) -> dict[str, Any] | None:
    if a is None and b is None:
        return None
    if not (a and b):
        return {}
    if mistakes.alike(a, b):
        return a
    form = [(one.get("form"), len(one.get("numbers", ()))) for one in (a, b)]
    if form[0] != form[1] or None in form[0]:
        return {}
    pairs = zip(a["numbers"], b["numbers"])
    return a | {"numbers": [u if mistakes.near(u, v) else None for u, v in pairs]}


def findings(tried: list[Tried], known: dict[str, Any]) -> list[str]:
    """Return what an author still has to mend, a line each; figures come last."""
    lines = []
    for one in tried:
        who = f"{one.exercise.name}: {one.answer.kind}: {one.answer.title}"
        points = f"{one.in_view:g} in view, {one.full:g} in full"
        points += f" of {one.exercise.points:g}"
        told = one.name(known)
        if one.answer.kind == "right" and not (one.green and not one.noticed):
            lines.append(f"right, but loses points   {who}  ({points})")
        elif one.answer.kind == "right":
            continue
        elif one.green:
            kind = "green in view" if one.noticed else "never noticed"
            lines.append(f"{kind:24}  {who}  ({points})")
        elif told != one.answer.title:
            same = [
                other.answer.title
                for other in tried
                if other.exercise is one.exercise
                and other.answer.title != one.answer.title
                and not other.green
                and mistakes.explains(other.came, one.came)
            ]
            why = "only errors came" if one.seen else "the checks stopped"
            why = f"like: {'; '.join(same)}" if same else why
            lines.append(f"without a name            {who}  ({why})")
    return lines


def figures(tried: Iterable[Tried], known: dict[str, Any]) -> dict[str, int]:
    """Count wrong answers: all, green in view, unnoticed, rejected, named, misnamed."""
    wrong = [one for one in tried if one.answer.kind == "wrong"]
    rejected = [one for one in wrong if not one.green]
    names = [(one.name(known), one.answer.title) for one in rejected]
    return {
        "wrong": len(wrong),
        "green in view": sum(one.green for one in wrong),
        "never noticed": sum(not one.noticed for one in wrong),
        "rejected": len(rejected),
        "named right": sum(name == title for name, title in names),
        "named wrong": sum(name not in ("", title) for name, title in names),
    }


def report(course: Course, name: str, exercise: str | None = None) -> list[str]:
    """Try the answers of a notebook, write its catalogue, return what to mend."""
    notebook = Notebook(course, name)
    own = answers.read(course, name)
    lines = [f"== {name}"]
    for one in notebook.exercises if exercise is None else [exercise]:
        lines += notebook.problems(one)
        earned = {k: v for k, v in notebook.constants(one).items() if v}
        if earned:
            lines.append(f"{one}: constants earn points: {earned}")
        kinds = [answer.kind for answer in own if answer.exercise == one]
        if (
            kinds.count("wrong") < LEAST["wrong"]
            or kinds.count("right") < LEAST["right"]
        ):
            lines.append(
                f"{one}: {kinds.count('wrong')} wrong, {kinds.count('right')} right"
            )
    tried = [
        notebook.try_answer(answer)
        for answer in own
        if exercise in (None, answer.exercise)
    ]
    known = catalogue(reproduced(course, name, tried) if exercise is None else tried)
    lines += findings(tried, known)
    counts = figures(tried, known)
    lines.append(", ".join(f"{key} {count}" for key, count in counts.items()))
    if exercise is None and write_catalogue(name, known):
        lines.append(f"written: check/mistakes/{name}.json")
    return lines


def bound_memory() -> None:
    """Let an answer that fills the memory fail, instead of this machine."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # not on Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))


def write_catalogue(name: str, made: dict[str, Any]) -> bool:
    """Write the catalogue of a notebook; return whether that changed it."""
    path = mistakes.FOLDER / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    lines = []
    for exercise, known in made.items():
        entries = ",\n".join(
            "   " + json.dumps(one, ensure_ascii=False, separators=(",", ":"))
            for one in known["mistakes"]
        )
        checks = json.dumps(known["checks"], ensure_ascii=False)
        lines.append(
            f' {json.dumps(exercise)}: {{\n  "checks": {checks},\n'
            f'  "mistakes": [\n{entries}\n  ]\n }}'
        )
    changed = write_atomically(path, "{\n" + ",\n".join(lines) + "\n}\n")
    mistakes.catalogue.cache_clear()
    return changed


def without_hidden(source: str) -> str:
    """Return a test cell as it is released."""
    return _HIDDEN.sub("", source)


def without_solution(source: str) -> str:
    """Return an answer cell as it is released."""
    return _SOLUTION.sub(rf"\1{STUB}", source)


_HIDDEN = re.compile(
    r"^ *### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS\n?", flags=re.M | re.S
)
_SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION.*?### END SOLUTION", flags=re.M | re.S)


def _run(source: str, filename: str, names: dict[str, Any]) -> None:
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)
    exec(compile(source, filename, "exec"), names)


@contextlib.contextmanager
def _quick() -> Iterator[None]:
    """Run at quick scale, with little time, without records."""
    asked = {"ODENETS_SCALE": "quick", "ODENETS_CHECK_SECONDS": SECONDS}
    with _environment(asked | {check.RECORDS: None}):
        yield


@contextlib.contextmanager
def _environment(asked: Mapping[str, str | None]) -> Iterator[None]:
    """Run with these variables of the environment; None is for one that is not set."""
    kept = {name: os.environ.get(name) for name in asked}
    try:
        _set(asked)
        yield
    finally:
        _set(kept)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
