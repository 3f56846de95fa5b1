"""The trusted half of the checks: plain values, their records, their comparison.

Observed values and criteria are reduced to plain arrays, numbers, strings, lists and
dicts before they are compared. So a notebook and the process that grades it compare
the same things in the same way, and the second one needs nothing but a record.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


class _Withheld:
    """Stands for a criterion that was taken out of the cell before it was executed."""

    def __repr__(self) -> str:
        return "WITHHELD"


WITHHELD: Any = _Withheld()
DTYPE = re.compile(r"[<|][biufc]\d{1,2}")  # as `encode` writes it


@dataclass
class Verdict:
    """What came of one comparison."""

    passed: bool
    message: str = ""


@dataclass
class _Difference:
    """Where two values part: both parts, the place, and what is wrong there."""

    came: Any
    expected: Any
    says: str = ""
    path: str = ""  # into lists and dicts, as one would write it
    index: tuple[int, ...] = ()  # the worst entry of an array


# --------------------------------------------------------------- the comparison


def compare(kind: str, observed: Any, criterion: Mapping[str, Any]) -> Verdict:
    """Compare a plain observed value with a plain criterion.

    Args:
        kind: "close", "equal", "between" or "raises".
        observed: what came; for "raises" the names of the error's classes.
        criterion: `expected` with `rtol` and `atol`, or the bounds `low` and `high`.
    """
    if kind == "raises":
        return _compare_raised(observed, criterion)
    if kind == "between":
        return _compare_bounds(observed, criterion)
    tolerance = {key: criterion.get(key) for key in ("rtol", "atol")}
    difference = _difference(observed, criterion["expected"], tolerance, kind)
    if difference is None:
        return Verdict(True)
    return Verdict(False, "\n".join(_told(difference)))


def _difference(
    observed: Any, expected: Any, tolerance: Mapping[str, Any], kind: str
) -> _Difference | None:
    """Return where the two differ first; None where they agree."""
    if isinstance(expected, dict):
        if not isinstance(observed, dict) or set(observed) != set(expected):
            says = f"expected a dict with the keys {sorted(expected)}"
            return _Difference(observed, expected, says)
        pairs = [(f"[{key!r}]", observed[key], expected[key]) for key in expected]
    elif isinstance(expected, list):
        if not isinstance(observed, list):
            says = f"expected a list or tuple of {len(expected)} values"
            return _Difference(observed, expected, says)
        if len(observed) != len(expected):
            says = f"there are {len(observed)} values instead of {len(expected)}"
            return _Difference(observed, expected, says)
        pairs = [(f"[{i}]", o, e) for i, (o, e) in enumerate(zip(observed, expected))]
    elif kind == "equal":
        return None if same(observed, expected) else _unequal(observed, expected)
    else:
        return _apart(observed, expected, tolerance)
    for where, one, other in pairs:
        found = _difference(one, other, tolerance, kind)
        if found is not None:
            found.path = where + found.path
            return found
    return None


def _apart(
    observed: Any, expected: Any, tolerance: Mapping[str, Any]
) -> _Difference | None:
    """Compare numbers or arrays up to rounding."""
    if isinstance(expected, str) or expected is None or isinstance(expected, bool):
        return None if same(observed, expected) else _Difference(observed, expected)
    if not isinstance(observed, (int, float, complex, np.ndarray)):
        kind = {"NoneType": "None", "str": "a string"}.get(type(observed).__name__)
        says = f"expected a number or a tensor, not {kind or type(observed).__name__}"
        return _Difference(observed, expected, says)
    wanted, given = as_array(expected), as_array(observed)
    form = _other_form(given, wanted, isinstance(expected, np.ndarray))
    if form:
        return _Difference(observed, expected, form)
    coarse = np.float32 in (given.dtype, wanted.dtype)
    default = 1e-5 if coarse else 1e-9
    rtol = default if tolerance["rtol"] is None else tolerance["rtol"]
    atol = default if tolerance["atol"] is None else tolerance["atol"]
    with np.errstate(all="ignore"):
        if np.allclose(given, wanted, rtol=rtol, atol=atol, equal_nan=True):
            return None
    found = _unequal(observed, expected)
    if not np.isfinite(given).all() and np.isfinite(wanted).all():
        found.says = "it holds values that are not finite"
    return found


def as_array(value: Any) -> np.ndarray:
    """Return a number or an array as an array of a numerical type."""
    array = np.asarray(value)
    if array.dtype.kind == "O":  # an integer that no machine number holds
        array = np.asarray(float(value) if abs(value) < 2**1000 else np.inf)
    return array


def _other_form(given: np.ndarray, wanted: np.ndarray, strict: bool) -> str:
    if given.shape != wanted.shape:
        return f"its shape is {given.shape} instead of {wanted.shape}"
    if strict and wanted.ndim and given.dtype != wanted.dtype:
        return f"its dtype is {given.dtype} instead of {wanted.dtype}"
    return ""


def _unequal(observed: Any, expected: Any) -> _Difference:
    """Say where two values differ most."""
    found = _Difference(observed, expected)
    if not isinstance(observed, np.ndarray) or not isinstance(expected, np.ndarray):
        return found
    found.says = _other_form(observed, expected, True)
    if found.says or not expected.ndim or not expected.size:
        return found
    with np.errstate(all="ignore"):
        apart = np.abs(observed.astype(complex) - expected.astype(complex))
    apart = np.where(np.isnan(apart), np.inf, apart)
    same_nan = np.isnan(observed.astype(complex)) & np.isnan(expected.astype(complex))
    apart = np.where(same_nan, 0.0, apart)
    where = np.unravel_index(int(apart.argmax()), apart.shape)
    found.index = tuple(int(i) for i in where)
    worst = apart[where]
    if np.isfinite(worst) and expected.size > 1 and expected.dtype.kind != "b":
        found.says = f"largest difference {worst:.3g}"
    return found


def same(one: Any, other: Any) -> bool:
    """Return whether two plain values are the same, bit for bit; NaN is NaN."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        same_form = one.shape == other.shape and one.dtype == other.dtype
        return same_form and np.array_equal(
            one, other, equal_nan=one.dtype.kind in "fc"
        )
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        array, value = (one, other) if isinstance(one, np.ndarray) else (other, one)
        return array.ndim == 0 and same(array.item(), value)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(same(one[k], other[k]) for k in one)
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return one == other or (one != one and other != other)


def _compare_bounds(observed: Any, criterion: Mapping[str, Any]) -> Verdict:
    low, high = criterion["low"], criterion["high"]
    if low is None:
        low, wanted = -np.inf, f"at most {high:.6g}"
    elif high is None:
        high, wanted = np.inf, f"at least {low:.6g}"
    else:
        wanted = f"from {low:.6g} to {high:.6g}"
    lines = [f"came      {brief(observed)}", f"expected  {wanted}"]
    try:
        values = np.asarray(observed, dtype=float)
    except (TypeError, ValueError, OverflowError):
        lines[1] += ", a number"
        return Verdict(False, "\n".join(lines))
    if values.size and ((values >= low) & (values <= high)).all():  # NaN never is
        return Verdict(True)
    if values.size > 1:  # show the entry that is furthest outside
        with np.errstate(invalid="ignore"):
            beyond = np.fmax(low - values, values - high)
        beyond = np.where(np.isnan(values), np.inf, beyond)
        where = np.unravel_index(int(beyond.argmax()), values.shape)
        place = ", ".join(str(int(i)) for i in where)
        lines[0] = f"came      {_number(values[where].item())}  at [{place}]"
        lines[0] += f", the worst of {values.size}"
    return Verdict(False, "\n".join(lines))


def _compare_raised(observed: Any, criterion: Mapping[str, Any]) -> Verdict:
    if isinstance(observed, list) and criterion["expected"] in observed:
        return Verdict(True)
    came = observed[0] if observed else "no error"
    lines = [f"came      {came}", f"expected  {criterion['expected']}"]
    return Verdict(False, "\n".join(lines))


# --------------------------------------------------------------- what is told


def _told(difference: _Difference) -> list[str]:
    """Show both values side by side, cut to the part that differs."""
    came, expected = difference.came, difference.expected
    place = difference.path
    of = ""
    if difference.index and isinstance(came, np.ndarray):
        row, stretch = _stretch(difference.index, came.shape)
        shown = [
            ", ".join(str(i) for i in row),
            f"{stretch.start}:{stretch.stop}" if came.size > 1 else "0",
        ]
        if came.ndim > 1 or came.shape[-1] > LONGEST:
            place += f"[{', '.join(part for part in shown if part)}]"
            of = f" of shape {came.shape}"
        came, expected = came[row][stretch], expected[row][stretch]
        texts = [_entries(came), _entries(expected)]
        if texts[0] == texts[1]:
            texts = [_entries(came, 12), _entries(expected, 12)]
    else:
        texts = [brief(came), brief(expected)]
        if isinstance(expected, (list, dict)):  # not the numbers differ, but the form
            texts = [form(came), form(expected)]
        if texts[0] == texts[1] and isinstance(came, float):
            texts = [repr(came), repr(expected)]
    at = f"  at {place}{of}" if place else ""
    lines = [f"came      {texts[0]}{at}", f"expected  {texts[1]}"]
    return lines + ([difference.says] if difference.says else [])


LONGEST = 6  # numbers in one line


def _stretch(
    index: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[tuple[int, ...], slice]:
    """Return the row of the worst entry, and a stretch of the row around it."""
    *row, last = index
    start = max(0, min(last - LONGEST // 2, shape[-1] - LONGEST))
    return tuple(row), slice(start, min(start + LONGEST, shape[-1]))


def _entries(values: np.ndarray, digits: int = 6) -> str:
    return "[" + ", ".join(_number(v, digits) for v in values.tolist()) + "]"


def brief(value: Any) -> str:
    """Describe a plain value in one short line: a few numbers, the shape, the dtype."""
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return _number(value.item())
        shown = ", ".join(_number(v) for v in value.ravel()[:LONGEST].tolist())
        more = ", ..." if value.size > LONGEST else ""
        return f"[{shown}{more}]  shape {value.shape}, {value.dtype}"
    if isinstance(value, list):
        return f"({_some([brief(item) for item in value[:9]], 8)})"
    if isinstance(value, dict):
        items = list(value.items())[:7]
        pairs = [f"{repr(key)[1:-1][:40]}: {brief(item)}" for key, item in items]
        return f"{{{_some(pairs, 6)}}}"
    return _number(value)


def form(value: Any) -> str:
    """Describe what a plain value consists of: shapes, dtypes and types, no numbers."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}" if value.ndim else "a number"
    if isinstance(value, list):
        return f"({_some([form(item) for item in value], 8)})"
    if isinstance(value, dict):
        shown = [f"{repr(key)[1:-1][:40]}: {form(v)}" for key, v in value.items()]
        return f"{{{_some(shown, 8)}}}"
    numbers = isinstance(value, (int, float)) and not isinstance(value, bool)
    return "a number" if numbers else _number(value)


def _some(parts: list[str], most: int) -> str:
    """Join the first parts, as long as they stay readable in one line."""
    shown: list[str] = []
    for part in parts[:most]:
        if shown and sum(map(len, shown)) + len(part) > 160:
            break
        shown.append(part)
    return ", ".join(shown) + (", ..." if len(shown) < len(parts) else "")


def _number(value: Any, digits: int = 6) -> str:
    if isinstance(value, (float, complex)):
        return f"{value:.{digits}g}"
    return repr(value)[:80]


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
    if isinstance(value, np.generic) and value.dtype.kind in "biufcU":
        return plain(value.item())
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return np.array(value)
    if isinstance(value, complex):
        return np.asarray(complex(value))
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    # A subclass, whatever it says of itself, gives the number or the text within.
    if isinstance(value, int):
        return int.__pos__(value)
    if isinstance(value, float):
        return float.__pos__(value)
    if isinstance(value, str):
        return str.__str__(value)
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
            if not DTYPE.fullmatch(value["dtype"]):  # numpy reads whole poems in it
                raise ValueError(f"dtype {value['dtype'][:20]!r}")
            dtype = np.dtype(value["dtype"])
            data = base64.b64decode(value["array"], validate=True)
            shape = tuple(int(n) for n in value["shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a record of a plain value: {error}") from None
        return np.frombuffer(data, dtype).reshape(shape)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ValueError(f"not a record of a plain value: {type(value).__name__}")


def leaves(value: Any) -> Iterator[Any]:
    """Yield the arrays, numbers and strings that a plain value holds, in order."""
    if isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value
