"""Whose function drives the rest of a notebook: the student's, once it is right."""

import contextlib
import copy
import functools
import time
import types
from collections.abc import Callable
from typing import Any

import torch

from .. import scale
from . import guard
from .checks import Exercise, package_name

TOGETHER = 60.0
"""After so many seconds of computing in all, a call is compared with one of ours..."""

SLOWER = 3.0
"""... and the function left aside if it takes so many times as long."""

FULL = 1000.0
"""How many times as long one call may take at full scale: it may be a training."""


def yours(exercise: Exercise, *several: Any) -> Any:
    """Return the student's function or class if all its checks passed, else ours.

    It prints one line that says which. Should the student's version fail later, or take
    too long, one message is printed and the package's version goes on.

    Args:
        several: where `answer=` gives a tuple, the package's versions of its parts; a
            tuple comes back then.
    Raises:
        ValueError: if the exercise names no version of the package.
    """
    if not exercise.package:
        raise ValueError(f"{exercise.name}: package= is needed to go on with")
    ours, mine = exercise.package[0], exercise.written()
    if exercise.passed and mine is not None:
        print(f"your {exercise.name} drives what follows")
        if several:
            return tuple(
                _Guarded(one.__name__, other).around(one, other)
                for one, other in zip(mine, several, strict=True)
            )
        return _Guarded(exercise.name, ours).around(mine, ours)
    good = sum(result.passed is True for result in exercise.results)
    why = f"{good} of {len(exercise.results)} checks passed"
    if exercise.handed_on:
        why = str(guard.PackageAnswer())
    print(f"the package's {package_name(ours)} drives what follows: {why}")
    return several or ours


class _Guarded:
    """Calls the student's version, and ours from its first failure on."""

    def __init__(self, name: str, ours: Any) -> None:
        self.name, self.ours = name, ours
        self.failed = False
        self.took = 0.0

    def around(self, mine: Callable, ours: Callable) -> Callable:
        """Return a function that calls `mine`, or `ours` once something failed."""

        @functools.wraps(mine, updated=())
        def guarded(*args: Any, **kwargs: Any) -> Any:
            came = self._call(mine, ours, args, kwargs)
            if self.failed:
                return came
            if isinstance(came, torch.nn.Module):
                self._guard_forward(came, functools.partial(ours, *args, **kwargs))
            elif isinstance(came, types.FunctionType) and not vars(came):
                # A function that returns a function: this one may fail, too. One with
                # attributes of its own, such as a counter, has to stay what it is.
                made = functools.cache(lambda: ours(*args, **kwargs))
                return self.around(came, lambda *a, **k: made()(*a, **k))
            return came

        return guarded

    def _guard_forward(self, mine: torch.nn.Module, make_ours: Callable) -> None:
        """Guard a module: ours takes over its parameters, where they have one form."""
        written: Any = mine.forward
        is_method = getattr(written, "__self__", None) is mine

        def forward(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            call = types.MethodType(written.__func__, module) if is_method else written
            theirs = functools.partial(_with_parameters, make_ours, module)
            return self._call(call, lambda *a, **k: theirs()(*a, **k), args, kwargs)

        # A method: a copy of the module calls the copy, not the original.
        mine.forward = types.MethodType(forward, mine)  # type: ignore[method-assign]

    def _call(self, mine: Callable, ours: Callable, args: Any, kwargs: Any) -> Any:
        if self.failed:
            return ours(*args, **kwargs)
        again = None
        if self.took > TOGETHER:  # ours gets copies: a call may change what it is given
            self.took = 0.0
            with contextlib.suppress(Exception):
                again = copy.deepcopy((args, kwargs))
        limit = guard.seconds() * scale.pick(quick=1, lesson=1, full=FULL)
        started = time.thread_time()
        try:
            with guard.time_limit(limit):
                came = mine(*args, **kwargs)
        except (Exception, SystemExit, guard.TimeLimit) as error:
            try:
                came = ours(*args, **kwargs)
            except type(error):
                raise error from None  # ours refuses these arguments, too
            self._give_up(f"{type(error).__name__}: {error}".rstrip(": "))
            return came
        took = time.thread_time() - started
        self.took += took
        if again is not None:
            started = time.thread_time()
            ours(*again[0], **again[1])
            if took > SLOWER * (time.thread_time() - started):
                self._give_up(f"it has taken more than {TOGETHER:g} s")
        return came

    def _give_up(self, why: str) -> None:
        self.failed = True
        ours = package_name(self.ours)
        print(f"your {self.name} is left aside ({why}); the package's {ours} goes on")


def _with_parameters(make: Callable, mine: torch.nn.Module) -> torch.nn.Module:
    """Return our module with the parameters of another one of the same form."""
    module = make()
    held = dict(mine.named_parameters())
    if {k: v.shape for k, v in held.items()} == {
        k: v.shape for k, v in module.named_parameters()
    }:
        for name, parameter in held.items():
            path, _, last = name.rpartition(".")
            setattr(module.get_submodule(path), last, parameter)
    return module.train(mine.training)
