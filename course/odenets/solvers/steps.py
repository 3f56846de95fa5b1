"""Single steps of the methods, and two tools around them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from odenets.solvers.fields import (
    Called,
    Field,
    Overwritten,
    State,
    refuse_shared_memory,
)
from odenets.solvers.tableaus import Tableau


def runge_kutta_step(
    tableau: Tableau, f: Field, t: float, y: Tensor, h: float
) -> Tensor:
    """Advance `y` from time `t` to `t + h` with one step of the method `tableau`.

    Args:
        tableau: one of `TABLEAUS`, or anything with the fields `a`, `b` and `c`.
        f: field, `f(t, y)` returns a tensor of the shape of `y`.
        t: time.   y: state, any shape.   h: step size, may be negative.
    Returns: the new state; `y` itself is left unchanged.
    """
    return _careful_stages(tableau, f, t, y, h)[0]


def embedded_step(
    tableau: Tableau, f: Field, t: float, y: Tensor, h: float
) -> tuple[Tensor, Tensor]:
    """Advance `y` by one step and estimate the error of that step.

    Args: as in `runge_kutta_step`; the tableau has weights `b_error`.
    Returns: the new state, and its difference to the embedded method of lower order.
    Raises:
        ValueError: if the tableau has no embedded method.
    """
    if tableau.b_error is None:
        raise ValueError(f"the method {tableau.name!r} has no embedded method")
    new, slopes = _careful_stages(tableau, f, t, y, h)
    return new, weighted_sum(slopes, tableau.b_error, h)


def euler_step(f: Field, t: float, y: Tensor, h: float) -> Tensor:
    """Advance `y` by one step of Euler's method, a residual block: y + h f(t, y)."""
    return y + h * f(t, y)


def symplectic_euler_step(
    f: Field, g: Field, t: float, y: Tensor, z: Tensor, h: float
) -> tuple[Tensor, Tensor]:
    """Advance y' = f(t, z), z' = g(t, y) by h: first z, then y with the new z.

    The two live on grids that are staggered by half a step. The map is reversible
    (`symplectic_euler_step_back`) and keeps the volume, whatever `f` and `g` are.
    Source: Haber and Ruthotto 2017, eq. (16).
    """
    z = z + h * g(t, y)
    return y + h * f(t, z), z


def symplectic_euler_step_back(
    f: Field, g: Field, t: float, y: Tensor, z: Tensor, h: float
) -> tuple[Tensor, Tensor]:
    """Undo `symplectic_euler_step`: same arguments, the two lines in reverse."""
    y = y - h * f(t, z)
    return y, z - h * g(t, y)


def leapfrog_step(f: Field, t: float, y: Tensor, previous: Tensor, h: float) -> Tensor:
    """Advance y'' = f(t, y) from the states at t - h (`previous`) and t to t + h."""
    return 2 * y - previous + h**2 * f(t, y)


def stages(
    tableau: Tableau,
    f: Field,
    t: float,
    y: Tensor,
    h: float,
    first: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Return the new state and the slopes of all stages; `first`: f(t, y) if known.

    Raises:
        Overwritten: if the field returned one tensor twice: it may hold other values.
    """
    new = y
    slopes = [f(t, y) if first is None else first]
    for row, node in zip(tableau.a[1:], tableau.c[1:]):
        new = weighted_sum(slopes, row, h, start=y)
        slopes.append(f(t + node * h, new))
    if tableau.b[-1] or tableau.a[-1] != tableau.b[:-1]:  # not the last stage already
        # Summed first and added last: a small increment loses no digits to a large
        # state, and Euler's step is a residual block, y + h f, bit for bit.
        new = y + weighted_sum(slopes, tableau.b, h)
    if slopes[-1] is slopes[0] and len(slopes) > 1:
        raise Overwritten
    return new, slopes


def _careful_stages(
    tableau: Tableau, f: Field, t: float, y: Tensor, h: float
) -> tuple[Tensor, list[Tensor]]:
    call = Called.of(f)

    def attempt() -> tuple[Tensor, list[Tensor]]:
        new, slopes = stages(tableau, call, t, y, h)
        refuse_shared_memory(slopes)
        return new, slopes

    return call.carefully(attempt)


def weighted_sum(
    slopes: list[Tensor],
    weights: Sequence[float],
    h: float,
    start: Tensor | None = None,
) -> Tensor:
    """Return start + h sum_i weights_i slopes_i; a weight of zero costs nothing."""
    total = start
    for slope, weight in zip(slopes, weights):
        if weight and total is None:
            total = slope * (h * weight)
        elif weight and total is not None:
            total = torch.add(total, slope, alpha=h * weight)  # one pass, not two
    return torch.zeros_like(slopes[0]) if total is None else total


def count_nfe(f: Field) -> Any:
    """Wrap a field so that its integer attribute `nfe` counts the evaluations."""

    def evaluate(t: float, y: State) -> State:
        counted.nfe += 1
        return f(t, y)

    counted: Any = evaluate
    counted.nfe = 0
    return counted


def observed_order(errors: Sequence[float], step_sizes: Sequence[float]) -> float:
    """Return the slope of the least-squares line through (log h, log error).

    Args:
        errors, step_sizes: positive numbers, as many of one as of the other.
    """
    x = torch.as_tensor(step_sizes, dtype=torch.float64).log()
    y = torch.as_tensor(errors, dtype=torch.float64).log()
    x = x - x.mean()
    return (x.dot(y) / x.dot(x)).item()
