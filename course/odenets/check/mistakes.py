"""Names of mistakes: what known wrong answers show in the visible checks.

`mistakes/NN_topic.json` holds, for each exercise, the labels of its visible checks and,
for each known wrong answer, its title and what came in these checks: null where one
passed, else a small fingerprint. An answer gets a title when that title explains
*everything* that was seen: in every check both passed, or both failed with the same
fingerprint. The files are made from the course's own collection of wrong answers. What
is another on each processor, as where an answer is unstable and rounding grows, stands
in no fingerprint: there is null for such a number, or nothing at all in it.
"""

import contextlib
import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .compare import as_array, leaves

FOLDER = Path(__file__).parent / "mistakes"
ENTRIES = 3  # of an array, in a fingerprint
LONGEST = 15  # numbers in a fingerprint
NOISE = 1e-6  # what is smaller is rounding, and another on each processor

Came = Mapping[str, Any]
"""What a check saw: {"observed": plain value} or {"error": names, "text": message}."""


def name_of(
    exercise: str,
    seen: Mapping[str, Any],
    known: Mapping[str, Any] | None = None,
) -> str:
    """Return the title of the one mistake that explains all that came, or "".

    Args:
        exercise: the name of the exercise.
        seen: by the label of a check, the fingerprint of what came; None where it
            passed. Checks that the catalogue does not know are left out: graders see
            hidden ones, too.
        known: the catalogue, by exercise; the package's own by default.
    """
    entry = (catalogue() if known is None else known).get(exercise)
    if entry is None or any(label not in seen for label in entry["checks"]):
        return ""
    came = [seen[label] for label in entry["checks"]]
    if not any(came) or all(one and "error" in one for one in came):
        return ""  # nothing but errors: one error may have many causes
    titles = {one["title"] for one in entry["mistakes"] if explains(one["came"], came)}
    return titles.pop() if len(titles) == 1 else ""


def explains(known: Sequence[Any], came: Sequence[Any]) -> bool:
    """Return whether the same checks failed in the same way."""
    return len(known) == len(came) and all(
        (one is None) == (other is None) and (one is None or alike(one, other))
        for one, other in zip(known, came)
    )


@functools.cache
def catalogue() -> dict[str, Any]:
    """Return what is known, by exercise; a file that cannot be read names nothing."""
    known: dict[str, Any] = {}
    for path in sorted(FOLDER.glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            known |= json.loads(path.read_text(encoding="utf-8"))
    return known


# --------------------------------------------------------------- fingerprints


def fingerprint(came: Came) -> dict[str, Any]:
    """Return what tells one wrong result from another, in a few numbers.

    An error is its kind and its text, without the decimals in it; a value is its form
    (types, shapes, dtypes) and some entries and a norm of each of its parts, to six
    digits.
    """
    if "observed" not in came:
        text = re.sub(r"0x[0-9a-f]+", "0x", str(came.get("text", "")))
        text = re.sub(r"\d+\.\d+(e[+-]?\d+)?", "#", text)
        return {"error": str(came["error"][0]), "text": text[:100]}
    numbers: list[float | str] = []
    for leaf in leaves(came["observed"]):
        if len(numbers) >= LONGEST:
            break
        numbers += [] if isinstance(leaf, str) else _numbers(leaf)
    return {"form": _form(came["observed"])[:200], "numbers": numbers}


def _form(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_form(item) for item in value) + "]"
    if isinstance(value, dict):
        parts = [f"{key}: {_form(item)}" for key, item in value.items()]
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{value.dtype.str[1:]}{value.shape}"
    if value is None or isinstance(value, (str, bool)):
        return repr(value)
    return "number"  # whoever gives a number may give it as a tensor


def _numbers(leaf: Any) -> list[float | str]:
    """Return some entries of an array and its norm; a number by itself."""
    if leaf is None or isinstance(leaf, bool):
        return []
    values = as_array(leaf).astype(complex).ravel()
    if values.imag.any():
        values = np.stack([values.real, values.imag], axis=-1).ravel()
    else:
        values = values.real
    if values.size <= 1:
        return [_digits(value) for value in values]
    places = np.unique(np.linspace(0, values.size - 1, ENTRIES).round().astype(int))
    with np.errstate(all="ignore"):
        # Weighted, so that an exchange of entries shows.
        weights = np.cos(np.arange(values.size))
        sums = [np.sqrt(np.square(values).sum()), (weights * values).sum()]
    return [_digits(v) for v in [*values[places], *sums]]


def _digits(value: float) -> float | str:
    """Round to six digits; what JSON cannot hold becomes a word."""
    return float(f"{value:.6g}") if np.isfinite(value) else str(float(value))


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two fingerprints agree up to rounding, in what they hold."""
    if not (one and other):
        return True
    if "error" in one or "error" in other:
        return dict(one) == dict(other)
    a, b = one["numbers"], other["numbers"]
    if one["form"] != other["form"] or len(a) != len(b):
        return False
    return all(near(u, v) for u, v in zip(a, b))


def near(one: float | str | None, other: float | str | None) -> bool:
    """Return whether two numbers of fingerprints are the same up to rounding."""
    if one is None or other is None:
        return True
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return abs(one - other) <= 1e-4 * max(abs(one), abs(other)) + NOISE
