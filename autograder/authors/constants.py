"""Answers that only look right: a constant of the right shape and type."""

import copy
import functools
import inspect
from typing import Any

import numpy as np
import torch

KINDS = ("zeros", "ones", "input", "first")


def constant(solution: Any, kind: str) -> Any:
    """Return `solution` with constant results instead of its own.

    Args:
        solution: a function or class; anything else comes back as it is. Of a class,
            all methods that it defines give constants, apart from its construction.
        kind: "zeros", "ones", "input" (the first argument of the same shape), or
            "first" (whatever the first call gave).
    """
    if inspect.isclass(solution):
        methods = {
            name: constant(value, kind)
            for name, value in vars(solution).items()
            if inspect.isfunction(value) and not name.startswith("__")
        }
        return type(solution.__name__, (solution,), methods)
    if not inspect.isfunction(solution):
        return solution
    first: list[Any] = []

    @functools.wraps(solution)
    def replaced(*args: Any, **kwargs: Any) -> Any:
        try:
            with torch.no_grad():
                came = solution(*_copied(args), **_copied(kwargs))
        except Exception:  # a constant refuses nothing
            return first[0] if first else 0.0
        first[:] = first or [came]
        if kind == "first":
            return first[0]
        given = [*_tensors(args), *_tensors(tuple(kwargs.values()))]
        return _like(came, kind, given)

    return replaced


def _like(value: Any, kind: str, given: list[torch.Tensor]) -> Any:
    """Replace the numbers in a result; functions in it give constants, too."""
    if isinstance(value, torch.Tensor):
        if kind == "input" and given:
            return next((x for x in given if x.shape == value.shape), given[0])
        return torch.full_like(value, kind == "ones")
    if isinstance(value, torch.nn.Module):  # its outputs are constant
        forward = value.forward
        value.forward = constant(lambda *a, **k: forward(*a, **k), kind)
        return value
    if isinstance(value, np.ndarray):
        return np.full_like(value, kind == "ones")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_like(item, kind, given) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(_like(item, kind, given) for item in value)
    if isinstance(value, dict):
        return {key: _like(item, kind, given) for key, item in value.items()}
    if isinstance(value, (bool, int, float, complex)):
        return type(value)(kind == "ones")
    return constant(value, kind) if callable(value) else value


def _copied(values: Any) -> Any:
    """Copy arguments, where they can be: a constant changes nothing in place."""
    try:
        return copy.deepcopy(values)
    except Exception:
        return values


def _tensors(values: Any) -> list[torch.Tensor]:
    """Return the tensors among arguments, inside of lists and tuples too."""
    found: list[torch.Tensor] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += _tensors(value)
    return found
