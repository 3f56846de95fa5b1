"""Named answers to the exercises of a notebook, wrong ones and right ones.

`solutions/NN/answers.py` holds them one after the other, each below a heading::

    # %% wrong: euler_step -- the step size h is missing
    def euler_step(f, x, h):
        return x + f(x)

The tests hold every one to what its heading says; the demo lets students hand some in.
"""

import re
from dataclasses import dataclass

from ..course import Course

HEADING = re.compile(r"^# %% (wrong|right): (\w+) -- (.+)$", flags=re.M)


@dataclass(frozen=True)
class Answer:
    """An answer that replaces the solution of an exercise: `right` or `wrong`."""

    kind: str
    exercise: str
    title: str
    source: str


def read(course: Course, name: str) -> list[Answer]:
    """Return the named answers of notebook `name`, in order; it may have none."""
    path = course.answers(name)
    if not path.exists():
        return []
    parts = HEADING.split(path.read_text(encoding="utf-8"))[1:]
    return [
        Answer(kind, exercise, title.strip(), source.strip("\n"))
        for kind, exercise, title, source in zip(*(parts[i::4] for i in range(4)))
    ]
