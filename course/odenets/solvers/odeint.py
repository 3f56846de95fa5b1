"""The solver: one loop with fixed and one with adaptive steps."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from odenets.solvers.steps import Field, State, stages, weighted_sum
from odenets.solvers.tableaus import TABLEAUS, Tableau


class SolverError(ArithmeticError):
    """The solution cannot be continued; `time` and `step` say where it stopped."""

    def __init__(self, message: str, time: float, step: float | None = None) -> None:
        super().__init__(message)
        self.time, self.step = time, step


@dataclass
class Stats:
    """What a solve cost. Hand one to `odeint`; it adds up over several calls."""

    nfe: int = 0  # evaluations of the field
    accepted: int = 0  # steps
    rejected: int = 0  # steps that were tried again with a smaller step size
    times: list[float] = field(default_factory=list)  # ends of the accepted steps
    next_step: float | None = None  # what an adaptive solve would have tried next


def odeint(
    f: Field,
    y0: State,
    t: Tensor | Sequence[float],
    method: str = "dopri5",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    options: dict[str, Any] | None = None,
    stats: Stats | None = None,
) -> State:
    """Solve y' = f(t, y), y(t[0]) = y0, and return the states at all times `t`.

    Gradients flow through the steps to `y0` and to everything that `f` uses. Where `t`
    is a tensor that requires gradients it receives those of the exact flow,
    dy(t_i)/dt_i = f(t_i, y_i) and dy(t_i)/dt_0 = -dy(t_i)/dy_0 f(t_0, y_0): they agree
    with the discrete solution up to the error of the solver.

    Args:
        f: field, `f(t, y)` with a Python float `t`; returns what `y` is.
        y0: a tensor of floats, any shape, or a tuple of them with one dtype and device.
        t: times, strictly increasing or strictly decreasing.
        method: a name in `TABLEAUS`. ``bosh3`` and ``dopri5`` choose their steps by
            the tolerances unless `options` fix them; the others take fixed steps.
        rtol, atol: an adaptive step is accepted where the root mean square of
            error / (atol + rtol max(|y|, |y_new|)) is at most 1, in each part of a
            tuple: a large part does not hide the error of a small one.
        options: for fixed steps ``{"n_steps": n}``, per interval between two times
            (default 1), or ``{"step_size": h}``, the largest allowed; steps are shared
            out evenly so that they land on every time. For adaptive steps
            ``{"first_step": h, "max_steps": n}`` (default 10 000).
        stats: counts evaluations and steps.
    Returns: a tensor `(len(t), *y0.shape)`, or a tuple of such tensors.
    Raises:
        ValueError: unknown method or option, times not monotone, or a field that
            returns another shape.
        TypeError: a state that is not of floats, or a field that returns another dtype.
        SolverError: values that are not finite, or a step size too small to go on.
    """
    stats = Stats() if stats is None else stats
    tableau, options = _known_method(method), dict(options or {})
    times = checked_times(t)
    state, shapes = _flat_state(y0)
    field = _checked_field(f, state, shapes, stats)
    _stop_if_not_finite(state, times[0], None, "the initial state")

    fixed = tableau.b_error is None or "n_steps" in options or "step_size" in options
    shift = t - t.detach() if isinstance(t, Tensor) and t.requires_grad else None
    start = state if shift is None else state - field(times[0], state) * shift[0]
    if fixed:
        states = _fixed_steps(tableau, field, start, times, options, stats)
    else:
        tolerances = _checked_tolerances(rtol, atol)
        norm = _rms if shapes is None else _largest_rms([s.numel() for s in shapes])
        states = _adaptive_steps(
            tableau, field, start, times, *tolerances, norm, options, stats
        )
    if shift is not None:
        states = [y + field(s, y) * d for s, y, d in zip(times, states, shift)]
    states[0] = state
    solution = torch.stack(states)
    if shapes is None:
        return solution
    parts = solution.split([shape.numel() for shape in shapes], dim=1)
    return tuple(p.reshape(len(times), *shape) for p, shape in zip(parts, shapes))


def solve(f: Field, y0: State, t0: float, t1: float, **settings: Any) -> State:
    """Return the state at `t1` of the solution that is `y0` at `t0`.

    `settings` are those of `odeint`; `t1` may lie before `t0`.
    """
    solution = odeint(f, y0, (t0, t1), **settings)
    return tuple(s[-1] for s in solution) if isinstance(y0, tuple) else solution[-1]


def adaptive_solve(
    f: Field, y0: Tensor, t0: float, t1: float, rtol: float, atol: float
) -> tuple[Tensor, Tensor, int]:
    """Solve from `t0` to `t1` by ``bosh3`` with adaptive steps, and keep every step.

    Args: as in `odeint`; `t1` may lie before `t0`. The first step that is tried is
        (t1 - t0) / 100.
    Returns: `(ts, ys, n_rejected)`: the n accepted times, both ends included, a float64
        tensor `(n,)`; the states there, `(n, *y0.shape)`; and the number of rejected
        steps.
    """
    settings = dict(
        method="bosh3", rtol=rtol, atol=atol, options={"first_step": (t1 - t0) / 100}
    )
    odeint(f, y0, (t0, t1), stats=(stats := Stats()), **settings)
    ts = [float(t0), *stats.times]
    # The same steps once more, now with an output at the end of each.
    return (
        torch.tensor(ts, dtype=torch.float64),
        odeint(f, y0, ts, **settings),
        stats.rejected,
    )


def _fixed_steps(
    tableau: Tableau,
    f: Field,
    y: Tensor,
    times: list[float],
    options: dict[str, Any],
    stats: Stats,
) -> list[Tensor]:
    """The fixed-step loop: equal steps between every two times."""
    states = [y]
    count = _step_counter(options)
    for start, end in pairwise(times):
        n_steps = count(end - start)
        h = (end - start) / n_steps
        for i in range(n_steps):
            t = start + i * h
            y = stages(tableau, f, t, y, h)[0]
            t_new = end if i == n_steps - 1 else t + h
            _stop_if_not_finite(y, t_new, h, "the state")
            stats.accepted += 1
            stats.times.append(t_new)
        states.append(y)
    return states


def _adaptive_steps(
    tableau: Tableau,
    f: Field,
    y: Tensor,
    times: list[float],
    rtol: float,
    atol: float,
    norm: Callable[[Tensor], float],
    options: dict[str, Any],
    stats: Stats,
) -> list[Tensor]:
    """The adaptive loop: try a step, accept it where its error is small (HNW, II.4).

    Output times inside a step are read from its interpolation polynomial.
    """
    first_step = options.pop("first_step", None)
    max_steps = options.pop("max_steps", 10_000)
    _refuse_unknown(options, "n_steps, step_size, first_step or max_steps")
    t, end = times[0], times[-1]
    states, slope = [y], f(t, y)
    _stop_if_not_finite(slope, t, None, "the field")
    if len(times) == 1:
        return states
    if first_step is None:
        first_step = _first_step(tableau, f, t, end, y, slope, rtol, atol, norm)
    h = math.copysign(abs(first_step), end - t)

    for _ in range(max_steps):
        last = abs(end - t) <= 1.01 * abs(h)  # rather one longer step than a tiny one
        h = end - t if last else h
        t_new = end if last else t + h
        if abs(h) <= 1e-15 * max(abs(t), abs(end)):
            raise SolverError(
                f"the step size underflowed at t = {t:.10g} with h = {h:.3g}: the "
                "solution blows up here, or the field is not continuous",
                time=t,
                step=h,
            )
        new, slopes = stages(tableau, f, t, y, h, first=slope)
        error = _error_ratio(tableau, slopes, h, y, new, rtol, atol, norm)
        if error <= 1:  # False for NaN
            inside = [s for s in times[len(states) :] if abs(s - t) < abs(h)]
            if inside:
                fractions = [(s - t) / h for s in inside]
                states.extend(between(tableau, slopes, h, y, fractions))
            if t_new == times[len(states)]:
                states.append(new)
            t, y, slope = t_new, new, slopes[-1]
            stats.accepted += 1
            stats.times.append(t)
        else:
            stats.rejected += 1
        h *= _step_factor(error, tableau.order)
        stats.next_step = abs(h)
        if t == end:
            return states
    raise SolverError(
        f"{max_steps} steps did not suffice: t = {t:.10g} of {end:.10g} was reached "
        f"with h = {h:.3g}; the problem is stiff or the tolerances are too small",
        time=t,
        step=h,
    )


def _step_factor(error: float, order: int) -> float:
    """By how much the next step may be longer, from the error relative to 1."""
    if not math.isfinite(error):
        return 0.1
    if error == 0:
        return 10.0
    factor = 0.9 * error ** (-1 / order)
    return min(max(factor, 0.2), 10.0 if error <= 1 else 1.0)


@torch.no_grad()
def _error_ratio(
    tableau: Tableau,
    slopes: list[Tensor],
    h: float,
    y: Tensor,
    new: Tensor,
    rtol: float,
    atol: float,
    norm: Callable[[Tensor], float],
) -> float:
    """Size of the estimated error over what the tolerances allow."""
    error = weighted_sum(slopes, tableau.b_error, h)
    allowed = torch.maximum(y.abs(), new.abs()).mul_(rtol).add_(atol)
    return norm(error.div_(allowed))


def between(
    tableau: Tableau,
    slopes: list[Tensor],
    h: float,
    y: Tensor,
    fractions: list[float],
) -> Tensor:
    """The states at some fractions of a step, all at once (HNW, II.6)."""
    x = torch.tensor(fractions, dtype=torch.float64)
    dense = torch.tensor(tableau.dense, dtype=torch.float64)
    powers = torch.stack([x ** (j + 1) for j in range(dense.shape[1])], dim=1)
    weights = (h * powers @ dense.T).to(y)
    return y + torch.tensordot(weights, torch.stack(slopes), dims=1)


@torch.no_grad()
def _first_step(
    tableau: Tableau,
    f: Field,
    t: float,
    end: float,
    y: Tensor,
    slope: Tensor,
    rtol: float,
    atol: float,
    norm: Callable[[Tensor], float],
) -> float:
    """Guess a first step from the sizes of y, y' and y'' (HNW, II.4)."""
    allowed = y.abs().mul_(rtol).add_(atol)
    size, speed = norm(y / allowed), norm(slope / allowed)
    h0 = 1e-6 if min(size, speed) < 1e-5 else 0.01 * size / speed
    h0 = math.copysign(min(h0, abs(end - t)), end - t)
    bend = norm((f(t + h0, y + h0 * slope) - slope) / allowed) / abs(h0)
    largest = max(speed, bend)
    if not math.isfinite(largest):
        return abs(h0)
    h1 = abs(h0) * 1e3 if largest <= 1e-15 else (0.01 / largest) ** (1 / tableau.order)
    return min(100 * abs(h0), h1)


def _rms(x: Tensor) -> float:
    return torch.linalg.vector_norm(x).item() / math.sqrt(max(x.numel(), 1))


def _largest_rms(sizes: list[int]) -> Callable[[Tensor], float]:
    """Return the norm of a tuple: the largest root mean square of its parts."""
    roots = [math.sqrt(max(size, 1)) for size in sizes]

    def norm(x: Tensor) -> float:
        parts = zip(x.split(sizes), roots)
        means = [torch.linalg.vector_norm(part) / root for part, root in parts]
        return torch.stack(means).max().item()  # NaN if one of them is

    return norm


# --------------------------------------------------------------- what may go wrong


def _known_method(name: str) -> Tableau:
    if name not in TABLEAUS:
        raise ValueError(
            f"unknown method {name!r}; choose one of {', '.join(TABLEAUS)}"
        )
    return TABLEAUS[name]


def checked_times(t: Tensor | Sequence[float]) -> list[float]:
    times = t.tolist() if isinstance(t, Tensor) else [float(s) for s in t]
    if not isinstance(times, list) or not times or isinstance(times[0], list):
        raise ValueError("the times must be a sequence with one axis and one entry")
    times = [float(s) for s in times]
    if not all(map(math.isfinite, times)):
        raise ValueError(f"the times must be finite: {times}")
    steps = [b - a for a, b in pairwise(times)]
    for i, step in enumerate(steps):
        if step == 0:
            raise ValueError(f"time {times[i]:g} is repeated at index {i + 1}")
        if step * steps[0] < 0:
            raise ValueError(
                "the times must all increase or all decrease, but turn back at index "
                f"{i + 1}: {times[i]:g}, then {times[i + 1]:g}"
            )
    return times


def _checked_tolerances(rtol: float, atol: float) -> tuple[float, float]:
    if not (rtol >= 0 and atol >= 0 and rtol + atol > 0):
        raise ValueError(f"tolerances must be positive, not rtol={rtol}, atol={atol}")
    return rtol, atol


def _refuse_unknown(options: dict[str, Any], known: str) -> None:
    if options:
        raise ValueError(f"unknown options {sorted(options)}; there are {known}")


def _step_counter(options: dict[str, Any]) -> Callable[[float], int]:
    """Read the options of fixed steps; return the number of steps for a length."""
    options = dict(options)
    n_steps, size = options.pop("n_steps", None), options.pop("step_size", None)
    _refuse_unknown(options, "n_steps or step_size for fixed steps")
    if n_steps is not None and size is not None:
        raise ValueError("give n_steps or step_size, not both")
    if size is None:
        n_steps = 1 if n_steps is None else n_steps
        if n_steps != int(n_steps) or n_steps < 1:
            raise ValueError(f"n_steps must be a whole number from 1, not {n_steps}")
        return lambda length: int(n_steps)
    if not size > 0:
        raise ValueError(f"step_size must be positive, not {size}")
    # A length of ten steps stays ten steps where it was rounded in single precision.
    return lambda length: max(1, math.ceil(abs(length) / size * (1 - 1e-6)))


def _flat_state(y0: State) -> tuple[Tensor, list[torch.Size] | None]:
    """Return the state as one tensor, and the shapes of its parts if it is a tuple."""
    parts = y0 if isinstance(y0, tuple) else (y0,)
    for part in parts:
        if not isinstance(part, Tensor):
            raise TypeError(f"the state must be a tensor, not {type(part).__name__}")
        if not part.is_floating_point():
            raise TypeError(f"the state must hold real floats, not {part.dtype}")
    if isinstance(y0, Tensor):
        return y0, None
    kinds = {(part.dtype, part.device) for part in parts}
    if len(kinds) != 1:
        raise TypeError(f"the parts of the state must share dtype and device: {kinds}")
    return torch.cat([p.reshape(-1) for p in parts]), [p.shape for p in parts]


def _checked_field(
    f: Field, state: Tensor, shapes: list[torch.Size] | None, stats: Stats
) -> Field:
    """Wrap the field: count its evaluations and check what it returns."""
    shape, dtype = state.shape, state.dtype

    def field(t: float, y: Tensor) -> Tensor:
        stats.nfe += 1
        slope = f(t, y)
        if slope.shape != shape:
            raise ValueError(
                f"the field must return the shape of the state, {tuple(shape)}, "
                f"not {tuple(slope.shape)}"
            )
        if slope.dtype != dtype:
            raise TypeError(
                f"the field must return the dtype of the state, {dtype}, "
                f"not {slope.dtype}"
            )
        return slope

    if shapes is None:
        return field
    sizes, of_parts = [part.numel() for part in shapes], f

    def f(t: float, y: Tensor) -> Tensor:
        parts = (p.view(s) for p, s in zip(y.split(sizes), shapes))
        slopes = of_parts(t, tuple(parts))
        given = [tuple(s.shape) for s in slopes]
        if given != [tuple(s) for s in shapes]:
            raise ValueError(
                "the field must return a tuple with the shapes of the state, "
                f"{[tuple(s) for s in shapes]}, not {given}"
            )
        return torch.cat([s.reshape(-1) for s in slopes])

    return field


def _stop_if_not_finite(y: Tensor, t: float, h: float | None, what: str) -> None:
    # The sum is one cheap pass and finite wherever y is, but for an overflow.
    y = y.detach()
    if math.isfinite(y.sum().item()) or bool(torch.isfinite(y).all()):
        return
    step = "" if h is None else f", after a step of size {h:.3g}"
    raise SolverError(
        f"{what} holds values that are not finite (NaN or infinity) at t = {t:.10g}"
        f"{step}",
        time=t,
        step=h,
    )
