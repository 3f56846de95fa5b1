"""Visible checks that teach: what was asked, what came, what was expected, and why.

A test cell of a notebook has always the same form::

    with check.exercise("euler_step", points=2) as exercise:
        exercise.close(
            "one step of y' = y from 1 with h = 0.5",
            lambda: euler_step(lambda t, y: y, 0.0, torch.ones(2), 0.5),
            torch.full((2,), 1.5),
            mistakes={"the step size h is missing": torch.full((2,), 2.0)},
        )
    check.score(exercise)

A side condition, such as an input that is left unchanged, is asked together with a
result, as one check: `lambda: [euler_step(f, t, y, h), y]`. Alone it would be fulfilled
by an answer that does nothing.

Every check names what it asks, hands over one *observed* value, and compares it with a
*criterion*: an expected value or a bound. Observed values and criteria are reduced to
plain arrays, numbers, strings, lists and dicts before they are compared, so that a
trusted process can repeat the comparison from a record (see `RECORDS`).
"""

import base64
import contextlib
import io
import json
import linecache
import os
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

RECORDS = "ODENETS_CHECK_RECORDS"
"""Environment variable: a file to which every check appends one line of JSON."""

REFERENCE = "ODENETS_CHECK_REFERENCE"
"""Environment variable: when set, the records hold the criteria too. An instructor's
solution is executed with it; a student's notebook never is."""

MAX_RECORD_BYTES = 1_000_000


class _Withheld:
    """Stands for a criterion that was taken out of the cell before it was executed."""

    def __repr__(self) -> str:
        return "WITHHELD"


WITHHELD: Any = _Withheld()


@dataclass
class Verdict:
    """What came of one comparison."""

    passed: bool
    message: str = ""


@dataclass
class Result:
    """One check as it stands in the table of an exercise."""

    label: str
    passed: bool | None  # None: recorded, to be judged elsewhere
    message: str = ""


@dataclass
class Exercise:
    """The checks of one exercise; use it through `exercise`."""

    name: str
    points: float
    results: list[Result] = field(default_factory=list)
    stopped: bool = False

    def __enter__(self) -> Self:
        # A warning on stderr would cost all points in nbgrader: it is only noise.
        self._noise = contextlib.ExitStack()
        self._noise.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        self._noise.enter_context(contextlib.redirect_stderr(io.StringIO()))
        print(self.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._noise.close()
        if error is not None and not isinstance(error, (Exception, SystemExit)):
            return False  # an interrupt is not an answer
        if error is not None:
            self.stopped = True
            label = "the checks ran to their end"
            self._note(Result(label, False, describe_error(error)))
            _record(self, "stopped", label, {"error": _error_names(error)}, None)
        print(_summary(self))
        return True

    # ------------------------------------------------------------- the checks

    def close(
        self,
        label: str,
        observed: Any,
        expected: Any = WITHHELD,
        *,
        mistakes: Mapping[str, Any] | None = None,
        rtol: float | None = None,
        atol: float | None = None,
    ) -> None:
        """Check that numbers agree up to rounding.

        Args:
            label: what is asked, in words.
            observed: a tensor, array, number, or a list, tuple or dict of them; or a
                function without arguments that returns it, so that an error in it
                fails this check only.
            expected: the same. Where it is a tensor with at least one axis, shape and
                dtype must agree; where it is a number, any scalar will do.
            mistakes: wrong results by the misconception that leads to them.
            rtol, atol: tolerances; by default 1e-5 in float32 and 1e-9 in float64.
        """
        criterion = {"expected": expected, "mistakes": dict(mistakes or {})}
        self._check("close", label, observed, criterion | {"rtol": rtol, "atol": atol})

    def equal(
        self,
        label: str,
        observed: Any,
        expected: Any = WITHHELD,
        *,
        mistakes: Mapping[str, Any] | None = None,
    ) -> None:
        """Check that values are exactly the same: bit for bit, strings, shapes."""
        criterion = {"expected": expected, "mistakes": dict(mistakes or {})}
        self._check("equal", label, observed, criterion)

    def at_most(
        self, label: str, observed: Any, bound: float = WITHHELD, *, hint: str = ""
    ) -> None:
        """Check that every number in `observed` is at most `bound`; NaN never is."""
        criterion = {"low": None, "high": bound, "hint": hint}
        self._check("between", label, observed, criterion)

    def at_least(
        self, label: str, observed: Any, bound: float = WITHHELD, *, hint: str = ""
    ) -> None:
        """Check that every number in `observed` is at least `bound`; NaN never is."""
        criterion = {"low": bound, "high": None, "hint": hint}
        self._check("between", label, observed, criterion)

    def between(
        self,
        label: str,
        observed: Any,
        low: float = WITHHELD,
        high: float = WITHHELD,
        *,
        hint: str = "",
    ) -> None:
        """Check that every number in `observed` lies in [`low`, `high`]."""
        criterion = {"low": low, "high": high, "hint": hint}
        self._check("between", label, observed, criterion)

    def raises(
        self,
        label: str,
        call: Callable[[], Any],
        error: type[Exception] = WITHHELD,
        *,
        hint: str = "",
    ) -> None:
        """Check that `call()` raises `error` or a subclass of it."""

        def names_of_the_error() -> list[str]:
            try:
                call()
            except NotImplementedError:
                raise  # an answer that is not written yet has not refused anything
            except Exception as raised:
                return _error_names(raised)
            return []

        name = error.__name__ if isinstance(error, type) else error
        criterion = {"expected": name, "hint": hint}
        self._check("raises", label, names_of_the_error, criterion)

    # ------------------------------------------------------------- the machinery

    def _check(
        self, kind: str, label: str, observed: Any, criterion: dict[str, Any]
    ) -> None:
        try:
            if callable(observed) and not isinstance(observed, torch.Tensor):
                observed = observed()
            observed = plain(observed)
        except (Exception, SystemExit) as error:
            _record(self, kind, label, {"error": _error_names(error)}, criterion)
            self._note(Result(label, False, describe_error(error)))
            return
        _record(self, kind, label, {"observed": encode(observed)}, criterion)
        if any(value is WITHHELD for value in criterion.values()):
            self._note(Result(label, None))
            return
        verdict = compare(kind, observed, plain(criterion))
        self._note(Result(label, verdict.passed, verdict.message))

    def _note(self, result: Result) -> None:
        self.results.append(result)
        mark = {True: "✓", False: "✗", None: "·"}[result.passed]
        print(f"  {mark} {result.label}")
        for line in result.message.splitlines():
            print(f"      {line}")


def exercise(name: str, points: float) -> Exercise:
    """Open the checks of one exercise, worth `points` together."""
    return Exercise(name, float(points))


def score(exercise: Exercise) -> float:
    """Return the points earned: a Python float between 0 and `exercise.points`.

    Each check weighs the same. Where the checks could not run to their end nothing is
    earned, because what was not checked cannot have passed.
    """
    passed = sum(result.passed is True for result in exercise.results)
    if exercise.stopped or not exercise.results:
        return 0.0
    share = passed / len(exercise.results)
    return float(min(max(round(exercise.points * share, 2), 0.0), exercise.points))


def _summary(exercise: Exercise) -> str:
    if any(result.passed is None for result in exercise.results):
        return f"{exercise.name}: recorded"
    return f"{score(exercise):g} of {exercise.points:g} points"


# --------------------------------------------------------------- the comparison


def compare(kind: str, observed: Any, criterion: Mapping[str, Any]) -> Verdict:
    """Compare a plain observed value with a plain criterion, on either side."""
    if kind == "raises":
        return _compare_raised(observed, criterion)
    if kind == "between":
        return _compare_bounds(observed, criterion)
    same = _close if kind == "close" else _equal
    expected = criterion["expected"]
    tolerance = {key: criterion.get(key) for key in ("rtol", "atol")}
    difference = same(observed, expected, tolerance)
    if difference is None:
        return Verdict(True)
    lines = [f"came      {brief(observed)}", f"expected  {brief(expected)}"]
    lines += [difference] if difference else []
    for mistake, wrong in criterion.get("mistakes", {}).items():
        if same(observed, wrong, tolerance) is None:
            lines.append(f"this is what comes out when {mistake}")
            break
    return Verdict(False, "\n".join(lines))


def _close(observed: Any, expected: Any, tolerance: Mapping[str, Any]) -> str | None:
    """Return None where the two agree, else a sentence on how they differ."""
    if isinstance(expected, dict):
        if not isinstance(observed, dict) or set(observed) != set(expected):
            return f"expected a dict with the keys {sorted(expected)}"
        pairs = [(f"[{key!r}]", observed[key], expected[key]) for key in expected]
    elif isinstance(expected, list):
        if not isinstance(observed, list) or len(observed) != len(expected):
            return f"expected {len(expected)} values in a list or tuple"
        pairs = [(f"[{i}]", o, e) for i, (o, e) in enumerate(zip(observed, expected))]
    else:
        return _close_arrays(observed, expected, tolerance)
    for where, one, other in pairs:
        difference = _close(one, other, tolerance)
        if difference is not None:
            return f"at {where}: {difference}"
    return None


def _close_arrays(
    observed: Any, expected: Any, tolerance: Mapping[str, Any]
) -> str | None:
    if isinstance(expected, str) or expected is None or isinstance(expected, bool):
        return None if _same_plain(observed, expected) else ""
    if not isinstance(observed, (int, float, complex, np.ndarray)):
        return f"expected a number or a tensor, not {type(observed).__name__}"
    wanted, given = np.asarray(expected), np.asarray(observed)
    if given.shape != wanted.shape:
        return f"its shape is {given.shape} instead of {wanted.shape}"
    if wanted.ndim and isinstance(expected, np.ndarray) and given.dtype != wanted.dtype:
        return f"its dtype is {given.dtype} instead of {wanted.dtype}"
    coarse = np.float32 in (given.dtype, wanted.dtype)
    default = 1e-5 if coarse else 1e-9
    rtol = default if tolerance["rtol"] is None else tolerance["rtol"]
    atol = default if tolerance["atol"] is None else tolerance["atol"]
    with np.errstate(all="ignore"):
        if np.allclose(given, wanted, rtol=rtol, atol=atol, equal_nan=True):
            return None
        difference = np.abs(given.astype(complex) - wanted.astype(complex))
    if not np.isfinite(given).all():
        return "it holds values that are not finite"
    where = np.unravel_index(int(np.nanargmax(difference)), difference.shape)
    place = f" at index {tuple(int(i) for i in where)}" if where else ""
    return f"largest difference {difference.max():.3g}{place}"


def _equal(observed: Any, expected: Any, _: Mapping[str, Any]) -> str | None:
    """Return None where the two are the same, else where they first differ."""
    if _same_plain(observed, expected):
        return None
    if not isinstance(observed, list) or not isinstance(expected, list):
        return ""
    if len(observed) != len(expected):
        return f"there are {len(observed)} values instead of {len(expected)}"
    pairs = enumerate(zip(observed, expected))
    i, (one, other) = next(p for p in pairs if not _same_plain(*p[1]))
    return f"first difference at [{i}]: {brief(one)} instead of {brief(other)}"


def _same_plain(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        same_form = one.shape == other.shape and one.dtype == other.dtype
        return same_form and np.array_equal(
            one, other, equal_nan=one.dtype.kind in "fc"
        )
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        array, value = (one, other) if isinstance(one, np.ndarray) else (other, one)
        return array.ndim == 0 and _same_plain(array.item(), value)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same_plain, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(
            _same_plain(one[k], other[k]) for k in one
        )
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return one == other or (one != one and other != other)


def _compare_bounds(observed: Any, criterion: Mapping[str, Any]) -> Verdict:
    low, high = criterion["low"], criterion["high"]
    try:
        values = np.asarray(observed, dtype=float)
    except (TypeError, ValueError):
        return Verdict(False, f"came      {brief(observed)}\nexpected  numbers")
    above = low is None or bool((values >= low).all())
    below = high is None or bool((values <= high).all())
    if values.size and above and below:
        return Verdict(True)
    wanted = {
        (True, False): f"at most {high:.6g}" if high is not None else "",
        (False, True): f"at least {low:.6g}" if low is not None else "",
        (False, False): f"from {low:.6g} to {high:.6g}"
        if None not in (low, high)
        else "",
    }[(low is None, high is None)]
    lines = [f"came      {brief(observed)}", f"expected  {wanted}"]
    return Verdict(False, "\n".join(lines + _hint(criterion)))


def _compare_raised(observed: Any, criterion: Mapping[str, Any]) -> Verdict:
    if isinstance(observed, list) and criterion["expected"] in observed:
        return Verdict(True)
    came = observed[0] if observed else "no error"
    lines = [f"came      {came}", f"expected  {criterion['expected']}"]
    return Verdict(False, "\n".join(lines + _hint(criterion)))


def _hint(criterion: Mapping[str, Any]) -> list[str]:
    return [f"usual mistake: {criterion['hint']}"] if criterion.get("hint") else []


# --------------------------------------------------------------- plain values


def plain(value: Any) -> Any:
    """Reduce a value to arrays, numbers, strings, None, lists and dicts of them.

    Raises:
        TypeError: for anything else; it says what came.
    """
    if value is WITHHELD or value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().resolve_conj().resolve_neg()
        value = value.float() if value.dtype == torch.bfloat16 else value
        return value.numpy().copy()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return np.array(value)
    if isinstance(value, complex):
        return np.asarray(value)
    if isinstance(value, (list, tuple, torch.Size)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (bool, int, float, str)):  # a subclass of them
        return plain(
            {bool: bool, int: int, float: float, str: str}[type(value).__mro__[1]](
                value
            )
        )
    raise TypeError(
        f"expected a tensor, a number, a string or a list or dict of them, "
        f"but {type(value).__name__} came"
    )


def encode(value: Any) -> Any:
    """Turn a plain value into JSON: an array becomes its dtype, shape and bytes."""
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value).reshape(value.shape)
        array = array.astype(array.dtype.newbyteorder("<"))
        data = base64.b64encode(array.tobytes()).decode()
        return {"array": data, "dtype": array.dtype.str, "shape": list(array.shape)}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {"dict": {key: encode(item) for key, item in value.items()}}
    return value


def decode(value: Any) -> Any:
    """Turn JSON back into a plain value.

    Raises:
        ValueError: if it is not what `encode` writes.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict) and set(value) == {"dict"}:
        return {str(key): decode(item) for key, item in value["dict"].items()}
    if isinstance(value, dict):
        try:
            dtype = np.dtype(value["dtype"])
            data = base64.b64decode(value["array"], validate=True)
            shape = tuple(int(n) for n in value["shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a record of a plain value: {error}") from None
        if dtype.kind not in "biufc":
            raise ValueError(f"not a record of a plain value: dtype {dtype}")
        return np.frombuffer(data, dtype).reshape(shape)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"not a record of a plain value: {type(value).__name__}")


def brief(value: Any) -> str:
    """Describe a plain value in one short line: a few numbers, the shape, the dtype."""
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return _number(value.item())
        shown = ", ".join(_number(v) for v in value.ravel()[:6].tolist())
        more = ", ..." if value.size > 6 else ""
        return f"[{shown}{more}]  shape {value.shape}, {value.dtype}"
    if isinstance(value, list):
        shown = ", ".join(brief(item) for item in value[:8])
        return f"({shown}{', ...' if len(value) > 8 else ''})"
    if isinstance(value, dict):
        shown = ", ".join(
            f"{key}: {brief(item)}" for key, item in list(value.items())[:6]
        )
        return f"{{{shown}{', ...' if len(value) > 6 else ''}}}"
    return _number(value)


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, (float, complex)) else repr(value)[:80]


# --------------------------------------------------------------- errors and records


def describe_error(error: BaseException) -> str:
    """Say in a line or two what an answer raised, and in which of its lines."""
    if isinstance(error, NotImplementedError):
        return "not written yet"
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
