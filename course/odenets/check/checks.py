"""The checks of one exercise: what is asked, what came, what is told, what is kept."""

import contextlib
import io
import json
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from . import guard, mistakes
from .compare import WITHHELD, compare, encode, plain

RECORDS = "ODENETS_CHECK_RECORDS"
"""Environment variable: a file to which every check appends one line of JSON."""

REFERENCE = "ODENETS_CHECK_REFERENCE"
"""Environment variable: when set, the records hold the criteria too. An instructor's
solution is executed with it; a student's notebook never is."""

MAX_RECORD_BYTES = 1_000_000
STUB = "not written yet"
NOTHING = "there is no answer: does the cell with your answer run to its end?"
AFTER_A_HANG = 0.2  # of the time, for each further check of an exercise that hung


@dataclass
class Result:
    """One check as it stands in the table of an exercise."""

    label: str
    passed: bool | None  # None: recorded, to be judged elsewhere
    message: str = ""
    came: Mapping[str, Any] | None = None  # what a failed check saw


@dataclass
class Exercise:
    """The checks of one exercise, and what came of them; made by `exercise`.

    Attributes:
        name, points: as in the cell's metadata.
        answer: returns what the student wrote; it raises where nothing is there.
        package: the package's own versions of it, the counterpart first.
        further: how many more inputs are tried when a class is graded.
    """

    name: str
    points: float
    answer: Callable[[], Any] | None = None
    package: tuple[Any, ...] = ()
    further: int = 0
    results: list[Result] = field(default_factory=list)
    stopped: bool = False
    handed_on: bool = False  # the package's own version did the work
    missing: bool = False  # there is no answer
    hung: bool = False

    def __call__(self, body: Callable[["Exercise"], None]) -> Self:
        """Run the checks in `body` at once, and print what came of them."""
        with guard.neutral(), contextlib.redirect_stderr(io.StringIO()):
            written = self.written()
            self.missing = self.answer is not None and written is None
            self.handed_on = guard.is_package_answer(written, self.package)
            try:
                guard.with_python_s_own_names(body)(self)
            except (Exception, SystemExit) as error:
                self._stop(error)
        print("\n".join(self._lines()))
        return self

    def written(self) -> Any:
        """Return the student's function or class; None where there is none."""
        try:
            return self.answer() if self.answer else None
        except Exception:
            return None

    @property
    def passed(self) -> bool:
        """Whether there were checks and all of them passed."""
        return bool(self.results) and score(self) == self.points

    # ------------------------------------------------------------- the checks

    def close(
        self,
        label: str,
        observed: Callable[[], Any],
        expected: Any = WITHHELD,
        *,
        rtol: float | None = None,
        atol: float | None = None,
    ) -> None:
        """Check that numbers agree up to rounding.

        Args:
            label: what is asked, in words.
            observed: a function without arguments that returns a tensor, array, number,
                or a list, tuple or dict of them; an error in it fails this check only.
            expected: the same. Where it is a tensor with at least one axis, shape and
                dtype must agree; where it is a number, any scalar will do.
            rtol, atol: tolerances; by default 1e-5 in float32 and 1e-9 in float64.
        """
        criterion = {"expected": expected, "rtol": rtol, "atol": atol}
        self._check("close", label, observed, criterion)

    def equal(
        self, label: str, observed: Callable[[], Any], expected: Any = WITHHELD
    ) -> None:
        """Check that values are exactly the same: bit for bit, strings, shapes."""
        self._check("equal", label, observed, {"expected": expected})

    def at_most(
        self, label: str, observed: Callable[[], Any], bound: float = WITHHELD
    ) -> None:
        """Check that every number in `observed` is at most `bound`; NaN never is."""
        self._check("between", label, observed, {"low": None, "high": bound})

    def at_least(
        self, label: str, observed: Callable[[], Any], bound: float = WITHHELD
    ) -> None:
        """Check that every number in `observed` is at least `bound`; NaN never is."""
        self._check("between", label, observed, {"low": bound, "high": None})

    def between(
        self,
        label: str,
        observed: Callable[[], Any],
        low: float = WITHHELD,
        high: float = WITHHELD,
    ) -> None:
        """Check that every number in `observed` lies in [`low`, `high`]."""
        self._check("between", label, observed, {"low": low, "high": high})

    def raises(
        self,
        label: str,
        call: Callable[[], Any],
        error: type[Exception] = WITHHELD,
    ) -> None:
        """Check that `call()` raises `error` or a subclass of it."""

        def names_of_the_error() -> list[str]:
            try:
                call()
            except (NotImplementedError, guard.PackageAnswer):
                raise  # neither has refused anything
            except Exception as raised:
                if self.missing:
                    raise
                return _error_names(raised)
            return []

        name = error.__name__ if isinstance(error, type) else error
        self._check("raises", label, names_of_the_error, {"expected": name})

    # ------------------------------------------------------------- the machinery

    def _check(
        self,
        kind: str,
        label: str,
        observed: Callable[[], Any],
        criterion: dict[str, Any],
    ) -> None:
        try:
            came = {"observed": self._observe(observed)}
        except (Exception, SystemExit, guard.TimeLimit) as error:
            came = {"error": _error_names(error), "text": str(error)[:200]}
            _record(self, kind, label, came, criterion)
            self.results.append(Result(label, False, describe_error(error), came))
            return
        _record(self, kind, label, {"observed": encode(came["observed"])}, criterion)
        if any(value is WITHHELD for value in criterion.values()):
            self.results.append(Result(label, None))
            return
        verdict = compare(kind, came["observed"], plain(criterion))
        kept = None if verdict.passed else came
        self.results.append(Result(label, verdict.passed, verdict.message, kept))

    def _observe(self, observed: Callable[[], Any]) -> Any:
        """Return the plain value of what a check asks for, with the guards around."""
        limit = guard.seconds() * (AFTER_A_HANG if self.hung else 1.0)
        guard.reached = self.handed_on
        try:
            with guard.out_of_order(self.package), guard.time_limit(limit):
                if self.handed_on:
                    raise guard.PackageAnswer
                came = plain(observed())
        except guard.TimeLimit:
            self.hung = True
            raise
        except NameError as error:
            if self.missing:
                raise NotImplementedError(NOTHING) from error
            raise
        finally:
            self.handed_on |= guard.reached
        if self.handed_on:  # whatever the answer made of the refusal
            raise guard.PackageAnswer
        return came

    def _stop(self, error: BaseException) -> None:
        self.stopped = True
        label = "the checks ran to their end"
        self.results.append(Result(label, False, describe_error(error)))
        _record(self, "stopped", label, {"error": _error_names(error)}, None)

    # ------------------------------------------------------------- what is printed

    def mistake(self) -> str:
        """Return the name of the mistake that explains all results, or ""."""
        if self.stopped or self.handed_on:
            return ""
        return mistakes.name_of(self.name, self.seen())

    def seen(self) -> dict[str, Any]:
        """Return the fingerprints of what came, by label; None where a check passed."""
        return {r.label: r.came and mistakes.fingerprint(r.came) for r in self.results}

    def _lines(self) -> list[str]:
        if any(result.passed is None for result in self.results):
            return [f"{self.name}: recorded"] + [
                f"  · {result.label}" for result in self.results
            ]
        lines = [f"{self.name}: {score(self):g} of {self.points:g} points"]
        if self.handed_on:
            lines.append(f"  {guard.PackageAnswer()}")
        if name := self.mistake():
            lines.append(f"  this looks like: {name}")
        said = {r.message for r in self.results}
        if len(said) == 1 and len(self.results) > 1 and not self.handed_on:
            # One message for all checks is told once.
            lines += [f"  {line}" for line in said.pop().splitlines()]
        for result in self.results:
            lines.append(f"  {'✓' if result.passed else '✗'} {result.label}")
            if len(said) > 1 or len(self.results) == 1:
                lines += [f"      {line}" for line in result.message.splitlines()]
        if self.further:
            inputs = "input is" if self.further == 1 else "inputs are"
            lines.append(
                f"  {self.further} further {inputs} tried when a class is graded"
            )
        if self.passed and self.package:
            lines.append(f"  to compare: {package_name(self.package[0])}")
        return lines


def exercise(
    name: str,
    points: float,
    answer: Callable[[], Any] | None = None,
    package: Any = None,
    further: int = 0,
) -> Exercise:
    """Open the checks of one exercise, worth `points` together.

    Use it as a decorator of the function that holds the checks; see the module's text.

    Args:
        name: the `grade_id` of the answer cell.
        points: what all checks together are worth; each weighs the same.
        answer: returns the student's function or class.
        package: the package's own version of it, or a tuple of all of them with the
            counterpart first. While an answer runs they are out of order.
        further: the number of checks that only graders run.
    """
    parts = package if isinstance(package, tuple) else (package,)
    parts = tuple(part for part in parts if part is not None)
    for part in parts:
        if not isinstance(part, type):
            guard.inner(part)
    return Exercise(name, float(points), answer, parts, further)


def score(exercise: Exercise) -> float:
    """Return the points earned: a Python float between 0 and `exercise.points`.

    Each check weighs the same. Where the checks could not run to their end nothing is
    earned, because what was not checked cannot have passed. Nothing is earned either
    where the package's own version did the work.
    """
    passed = sum(result.passed is True for result in exercise.results)
    if exercise.stopped or exercise.handed_on or not exercise.results:
        return 0.0
    share = passed / len(exercise.results)
    return float(min(max(round(exercise.points * share, 2), 0.0), exercise.points))


def package_name(part: Any) -> str:
    """Return under which name the package's version is found: the shortest one."""
    part = getattr(part, "__func__", part)
    room, name = part.__module__, part.__qualname__
    above = room.rpartition(".")[0]
    if getattr(sys.modules.get(above), name, None) is part:
        room = above
    return f"{room}.{name}".removeprefix("odenets.")


# --------------------------------------------------------------- errors and records


def describe_error(error: BaseException) -> str:
    """Say in a line or two what an answer raised, and in which of its lines."""
    if isinstance(error, NotImplementedError):
        return NOTHING if str(error) == NOTHING else STUB
    if isinstance(error, guard.PackageAnswer):
        return f"the package's own version was called: {error}"
    if isinstance(error, guard.TimeLimit):
        said = "it did not come back and was stopped: does each loop in it end,"
        lines = [f"{said} and each function that calls itself?"]
    else:
        kind = type(error).__name__
        lines = [f"your answer raised {kind}: {str(error)[:300]}".rstrip(": ")]
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "ipykernel_" in frame.filename or frame.filename.startswith("<")
    ]
    if frames:
        frame = frames[-1]
        source = (
            frame.line or linecache.getline(frame.filename, frame.lineno or 0)
        ).strip()
        lines.append(f"in {frame.name}, line {frame.lineno}: {source}".rstrip(": "))
    return "\n".join(lines)


def _error_names(error: BaseException) -> list[str]:
    return [kind.__name__ for kind in type(error).__mro__ if kind is not object]


def _record(
    exercise: Exercise, kind: str, label: str, came: dict[str, Any], criterion: Any
) -> None:
    path = os.environ.get(RECORDS)
    if not path:
        return
    line = {
        "exercise": exercise.name,
        "points": exercise.points,
        "position": len(exercise.results),
        "kind": kind,
        "label": label,
        **came,
    }
    if os.environ.get(REFERENCE) and criterion is not None:
        line["criterion"] = encode(plain(criterion))
    text = json.dumps(line)
    if len(text) > MAX_RECORD_BYTES:
        line = {key: line[key] for key in line if key != "observed"}
        text = json.dumps(line | {"error": ["ValueError"], "too_large": len(text)})
    with open(path, "a", encoding="utf-8") as file:
        file.write(text + "\n")
