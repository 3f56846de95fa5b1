"""Visible checks that teach: what was asked, what came, what was expected, and why.

A test cell of a notebook has always the same form::

    @check.exercise(
        "euler_step",
        points=2,
        answer=lambda: euler_step,
        package=solvers.euler_step,
        further=1,
    )
    def exercise(checks):
        y = torch.ones(2)
        checks.close(
            "one step of y' = y from 1 with h = 0.5",
            lambda: euler_step(lambda t, y: y, 0.0, y, 0.5),
            torch.full((2,), 1.5),
        )
        ### BEGIN HIDDEN TESTS
        checks.close(...)
        ### END HIDDEN TESTS
    check.score(exercise)

The decorator runs the checks at once and leaves behind what came of them. Every check
names what it asks, hands over one *observed* value, and compares it with a *criterion*:
an expected value or a bound. A side condition, such as an input that is left unchanged,
is asked together with a result, as one check: `lambda: [euler_step(f, t, y, h), y]`.
Alone it would be fulfilled by an answer that does nothing.

* `compare` holds plain values and their comparison, for a notebook and for the grader.
* `checks` holds the exercise: it runs the checks, prints them and writes records.
* `mistakes` names a known mistake by what it shows in the checks.
* `guard` stands around an answer: time, global state, the package's own version.
* `drive` (`yours`) lets the student's version drive the rest of a notebook.
* `predictions` (`predict`) takes a prediction and compares it with what came.
"""

from .checks import (
    MAX_RECORD_BYTES,
    RECORDS,
    REFERENCE,
    Exercise,
    Result,
    exercise,
    score,
)
from .compare import WITHHELD, Verdict, brief, compare, decode, encode, plain
from .drive import yours
from .guard import PackageAnswer, TimeLimit
from .predictions import Prediction, number, predict

__all__ = [
    "MAX_RECORD_BYTES",
    "RECORDS",
    "REFERENCE",
    "WITHHELD",
    "Exercise",
    "PackageAnswer",
    "Prediction",
    "Result",
    "TimeLimit",
    "Verdict",
    "brief",
    "compare",
    "decode",
    "encode",
    "exercise",
    "number",
    "plain",
    "predict",
    "score",
    "yours",
]
