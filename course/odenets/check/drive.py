"""Whose function drives the rest of a notebook: the student's, once it is right."""

import functools
import time
from collections.abc import Callable
from typing import Any

import torch

from . import guard
from .checks import Exercise, package_name

TOGETHER = 60.0
"""How many seconds all calls of one function may take before the package goes on."""


def yours(exercise: Exercise) -> Any:
    """Return the student's function or class if all its checks passed, else ours.

    It prints one line that says which. Should the student's version fail later, or take
    too long, one message is printed and the package's version goes on.

    Raises:
        ValueError: if the exercise names no version of the package.
    """
    if not exercise.package:
        raise ValueError(f"{exercise.name}: package= is needed to go on with")
    ours, mine = exercise.package[0], exercise.written()
    if exercise.passed and mine is not None:
        print(f"your {exercise.name} drives what follows")
        return _Guarded(exercise.name, ours).around(mine, ours)
    good = sum(result.passed is True for result in exercise.results)
    why = f"{good} of {len(exercise.results)} checks passed"
    if exercise.handed_on:
        why = str(guard.PackageAnswer())
    print(f"the package's {package_name(ours)} drives what follows: {why}")
    return ours


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
            came = self._try(mine, args, kwargs)
            if self.failed:
                return ours(*args, **kwargs)
            if isinstance(came, torch.nn.Module):
                again = functools.partial(ours, *args, **kwargs)
                came.forward = self._forward(came, again)  # type: ignore[method-assign]
            elif callable(came) and not isinstance(came, torch.Tensor):
                # A function that returns a function: this one may fail, too.
                made = functools.cache(lambda: ours(*args, **kwargs))
                return self.around(came, lambda *a, **k: made()(*a, **k))
            return came

        return guarded

    def _forward(self, mine: torch.nn.Module, make_ours: Callable) -> Callable:
        """Guard a module: ours takes over its parameters, where they have one form."""

        @functools.cache
        def theirs() -> torch.nn.Module:
            module = make_ours()
            held = dict(mine.named_parameters())
            if {k: v.shape for k, v in held.items()} == {
                k: v.shape for k, v in module.named_parameters()
            }:
                for name, parameter in held.items():
                    path, _, last = name.rpartition(".")
                    setattr(module.get_submodule(path), last, parameter)
            return module

        return self.around(mine.forward, lambda *a, **k: theirs()(*a, **k))

    def _try(self, call: Callable, args: Any, kwargs: Any) -> Any:
        if self.failed:
            return None
        started = time.thread_time()
        try:
            with guard.time_limit(guard.seconds()):
                came = call(*args, **kwargs)
        except (Exception, guard.TimeLimit) as error:
            self._give_up(f"{type(error).__name__}: {error}".rstrip(": "))
            return None
        self.took += time.thread_time() - started
        if self.took > TOGETHER:
            self._give_up(f"it has taken more than {TOGETHER:g} s")
        return came

    def _give_up(self, why: str) -> None:
        self.failed = True
        ours = package_name(self.ours)
        print(f"your {self.name} is left aside ({why}); the package's {ours} goes on")
