"""One knob for the whole course: how large the experiments are.

* ``quick``: seconds; used by CI and by autograding.
* ``lesson``: the default; about a minute per notebook on a laptop with two cores.
* ``full``: the real data and sizes of the sources, best on a GPU.

Graded checks never depend on the scale.
"""

import os
from typing import TypeVar

import torch

T = TypeVar("T")

SCALES = ("quick", "lesson", "full")

_chosen = "lesson"


def use(name: str, threads: int = 1) -> str:
    """Choose the scale for this session and return the one that is in force.

    On the CPU torch computes with `threads` threads, whatever the machine has. Sums are
    then formed in the same order everywhere, so that training gives the same numbers,
    and small tensors are fastest on one thread anyway: at full scale what is large is
    on the GPU. (On one machine of 64 cores a determinant never came back from eight.)

    Two environment variables win over the call, so that a notebook runs at another
    scale without being edited: ``NBGRADER_EXECUTION`` (set by nbgrader while it
    grades) means ``quick``, and ``ODENETS_SCALE`` names a scale.

    Raises:
        ValueError: if `name` is not one of `SCALES`.
    """
    global _chosen
    _chosen = _known(name, "scale.use")
    torch.set_num_threads(threads)
    return current()


def current() -> str:
    """Return the scale in force: ``quick``, ``lesson`` or ``full``."""
    if os.environ.get("NBGRADER_EXECUTION"):
        return "quick"
    if os.environ.get("ODENETS_SCALE"):
        return _known(os.environ["ODENETS_SCALE"], "ODENETS_SCALE")
    return _chosen


def pick(*, quick: T, lesson: T, full: T) -> T:
    """Return the one of three values that belongs to the scale in force."""
    return {"quick": quick, "lesson": lesson, "full": full}[current()]


def _known(name: str, where: str) -> str:
    if name not in SCALES:
        raise ValueError(f"{where} got {name!r}; choose one of {', '.join(SCALES)}")
    return name
