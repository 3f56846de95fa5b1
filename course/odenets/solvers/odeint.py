"""The solver: one loop with fixed and one with adaptive steps."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypedDict, TypeVar, Unpack

import torch
from torch import Tensor

from odenets.solvers.fields import (
    Called,
    Field,
    checked_field,
    flat_state,
    refuse_shared_memory,
    watched,
)
from odenets.solvers.steps import stages, weighted_sum
from odenets.solvers.tableaus import TABLEAUS, Tableau

Y = TypeVar("Y", Tensor, tuple[Tensor, ...])
Times = Tensor | Iterable[float]


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


class Settings(TypedDict, total=False):
    """How to solve: the arguments of `odeint` behind the times."""

    method: str | Tableau
    rtol: float
    atol: float
    options: dict[str, Any] | None
    stats: Stats | None


def odeint(
    f: Field,
    y0: Y,
    t: Times,
    method: str | Tableau = "dopri5",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    options: dict[str, Any] | None = None,
    stats: Stats | None = None,
) -> Y:
    """Solve y' = f(t, y), y(t[0]) = y0, and return the states at all times `t`.

    Gradients flow through the steps to `y0` and to everything that `f` uses. Where `t`
    is a tensor that requires gradients it receives those of the exact flow,
    dy(t_i)/dt_i = f(t_i, y_i) and dy(t_i)/dt_0 = -dy(t_i)/dy_0 f(t_0, y_0): they agree
    with the discrete solution up to the error of the solver.

    A solve with fixed steps, and times that are numbers, can be compiled as a whole by
    `torch.compile` and recorded in a CUDA graph. It then runs without looking at its
    values: one that is not finite stays in the result and raises nothing.

    Args:
        f: field, `f(t, y)` returns what `y` is. The time is a Python float, or a tensor
            without axes where the field needs one.
        y0: a tensor of floats, any shape, or a tuple of them with one dtype and device.
        t: times, strictly increasing or strictly decreasing: a tensor, an array, or a
            sequence of numbers.
        method: a name in `TABLEAUS` or a `Tableau`. One with an embedded method
            (``bosh3``, ``dopri5``) chooses its steps by the tolerances unless `options`
            fix them; the others take fixed steps.
        rtol, atol: an adaptive step is accepted where the root mean square of
            error / (atol + rtol max(|y|, |y_new|)) is at most 1, in each part of a
            tuple: a large part does not hide the error of a small one.
        options: for fixed steps ``{"n_steps": n}``, per interval between two times
            (default 1), or ``{"step_size": h}``, the largest allowed; steps are shared
            out evenly so that they land on every time. For adaptive steps any of
            ``{"first_step": h, "max_step": h, "max_steps": n, "jump_times": [..]}``:
            no step is longer than `max_step` (a short pulse is overlooked by longer
            ones), there are at most `max_steps` (default 10 000), and at a jump, where
            the field is not continuous, a step ends and the next begins.
        stats: counts evaluations and steps.
    Returns: a tensor `(len(t), *y0.shape)`, or a tuple of such tensors.
    Raises:
        ValueError: unknown method or option, times not monotone, tolerances finer than
            the dtype, or a field that returns another shape or cuts gradients off.
        TypeError: a state that is not of floats, or a field that returns another dtype
            or no tensor.
        SolverError: values that are not finite, or a step size too small to go on.
    """
    stats = Stats() if stats is None else stats
    call, times = Called.of(f), split_times(t)
    before = stats.accepted, stats.rejected, len(stats.times)

    def attempt() -> Any:
        stats.accepted, stats.rejected = before[:2]
        stats.times[before[2] :] = []  # torch 2.6 compiles no `del` of them
        return _odeint(call, y0, *times, method, rtol, atol, dict(options or {}), stats)

    if torch.compiler.is_compiling():  # where copies cost nothing
        call.copies = True
    return call.carefully(attempt)


def _odeint(
    call: Called,
    y0: Y,
    times: list[float],
    tensor: Tensor | None,
    method: str | Tableau,
    rtol: float,
    atol: float,
    options: dict[str, Any],
    stats: Stats,
) -> Any:
    tableau = _known_method(method)
    state, shapes = flat_state(y0)
    field = checked_field(call, state, shapes, stats)
    watch = watched(state)
    if watch:
        _stop_if_not_finite(state, times[0], None, "the initial state")
    fixed = tableau.b_error is None or "n_steps" in options or "step_size" in options
    shift = None
    if tensor is not None and tensor.requires_grad:  # zeros, like the state
        shift = (tensor - tensor.detach()).to(state.dtype).to(state.device)
    start = state if shift is None else state - field(times[0], state) * shift[0]
    if fixed:
        states = _fixed_steps(tableau, field, start, times, options, stats, watch)
    else:
        norm = _rms if shapes is None else _largest_rms([s.numel() for s in shapes])
        tolerance = Tolerance(rtol, atol, state.dtype, norm)
        states = _over_jumps(tableau, field, start, times, tolerance, options, stats)
    if shift is not None:
        states = [y + field(s, y) * d for s, y, d in zip(times, states, shift)]
    states[0] = state
    solution = torch.stack(states)
    if isinstance(y0, Tensor) or shapes is None:
        return solution
    parts = solution.split([shape.numel() for shape in shapes], dim=1)
    return tuple(p.reshape(len(times), *shape) for p, shape in zip(parts, shapes))


def solve(f: Field, y0: Y, t0: float, t1: float, **settings: Unpack[Settings]) -> Y:
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
    options = {"first_step": abs(t1 - t0) / 100}
    odeint(f, y0, (t0, t1), "bosh3", rtol, atol, options, stats=(stats := Stats()))
    ts = [float(t0), *stats.times]
    # The same steps once more, now with an output at the end of each.
    ys = odeint(f, y0, ts, "bosh3", rtol, atol, options)
    return torch.tensor(ts, dtype=torch.float64), ys, stats.rejected


def _fixed_steps(
    tableau: Tableau,
    f: Field,
    y: Tensor,
    times: list[float],
    options: dict[str, Any],
    stats: Stats,
    watch: bool,
) -> list[Tensor]:
    """The fixed-step loop: equal steps between every two times."""
    states = [y]
    count = _step_counter(options)
    for start, end in pairwise(times):
        n_steps = count(end - start)
        h = (end - start) / n_steps
        for i in range(n_steps):
            t = start + i * h
            y, slopes = stages(tableau, f, t, y, h)
            if t == times[0]:
                refuse_shared_memory(slopes)
            t_new = end if i == n_steps - 1 else t + h
            if watch:
                _stop_if_not_finite(y, t_new, h, "the state")
            stats.accepted += 1
            stats.times.append(t_new)
        states.append(y)
    return states


def _over_jumps(
    tableau: Tableau,
    f: Field,
    y: Tensor,
    times: list[float],
    tolerance: "Tolerance",
    options: dict[str, Any],
    stats: Stats,
) -> list[Tensor]:
    """Solve by adaptive steps, anew behind each time where the field jumps."""
    low, high = min(times), max(times)
    jumps = sorted({float(s) for s in options.pop("jump_times", ()) if low < s < high})
    if not jumps:
        return _adaptive_steps(tableau, f, y, times, tolerance, options, stats)
    if times[0] > times[-1]:
        jumps.reverse()
    states = [y]
    for start, end in pairwise([times[0], *jumps, times[-1]]):
        # The field counts as it is inside: what it is at the jump is not asked.
        left, right = sorted((start, end))
        left, right = math.nextafter(left, right), math.nextafter(right, left)

        def inside(t: float, y: Tensor, left=left, right=right) -> Tensor:
            return f(min(max(t, left), right), y)

        within = [s for s in times if min(start, end) < s < max(start, end)]
        stops = [start, *within, end]
        part = _adaptive_steps(
            tableau, inside, y, stops, tolerance, dict(options), stats
        )
        states += part[1:] if end in times else part[1:-1]
        y = part[-1]
        options.pop("first_step", None)
    return states


def _adaptive_steps(
    tableau: Tableau,
    f: Field,
    y: Tensor,
    times: list[float],
    tolerance: "Tolerance",
    options: dict[str, Any],
    stats: Stats,
) -> list[Tensor]:
    """The adaptive loop: try a step, accept it where its error is small (HNW, II.4).

    Output times inside a step are read from its interpolation polynomial.
    """
    first_step = options.pop("first_step", None)
    longest = _positive("max_step", options.pop("max_step", math.inf)) / 1.01
    max_steps = options.pop("max_steps", 10_000)
    _refuse_unknown(
        options,
        "n_steps, step_size, first_step, max_step, max_steps or jump_times",
    )
    t, end = times[0], times[-1]
    states, slope = [y], f(t, y)
    assert tableau.b_error is not None
    _stop_if_not_finite(slope, t, None, "the field")
    if len(times) == 1:
        return states
    if first_step is None:
        first_step = _first_step(tableau, f, t, end, y, slope, tolerance)
    h = math.copysign(min(_positive("first_step", first_step), longest), end - t)

    last_is_next = tableau.last_is_next
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
        if t == times[0]:
            refuse_shared_memory(slopes)
        with torch.no_grad():
            difference = weighted_sum(slopes, tableau.b_error, h)
            error = tolerance.norm(difference / tolerance.allowed(y, new))
        if error <= 1:  # False for NaN
            slope = slopes[-1] if last_is_next else f(t_new, new)
            inside = [s for s in times[len(states) :] if abs(s - t) < abs(h)]
            if inside:
                fractions = [(s - t) / h for s in inside]
                states.extend(between(tableau, slopes, h, y, fractions, new, slope))
            if t_new == times[len(states)]:
                states.append(new)
            t, y = t_new, new
            stats.accepted += 1
            stats.times.append(t)
        else:
            stats.rejected += 1
        h *= _step_factor(error, tableau.order)
        h = h if abs(h) <= longest else math.copysign(longest, h)
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


def between(
    tableau: Tableau,
    slopes: list[Tensor],
    h: float,
    y: Tensor,
    fractions: list[float],
    new: Tensor,
    slope: Tensor,
) -> Tensor:
    """Return the states at some fractions of a step, all at once (HNW, II.6).

    A tableau without a polynomial of its own gets the cubic through the ends of the
    step, `y` and `new`, with the slopes there, `slopes[0]` and `slope` (Hermite).
    """
    x = torch.tensor(fractions, dtype=torch.float64)
    if tableau.dense is None:
        columns = [x**2 * (3 - 2 * x), h * x * (1 - x) ** 2, h * x**2 * (x - 1)]
        weights, parts = torch.stack(columns, dim=1), [new - y, slopes[0], slope]
    else:
        dense = tableau.dense_matrix
        powers = torch.stack([x ** (j + 1) for j in range(dense.shape[1])], dim=1)
        weights, parts = h * powers @ dense.T, slopes
    weights = weights.to(y.dtype).to(y.device)
    return y + torch.tensordot(weights, torch.stack(parts), dims=1)


@torch.no_grad()
def _first_step(
    tableau: Tableau,
    f: Field,
    t: float,
    end: float,
    y: Tensor,
    slope: Tensor,
    tolerance: "Tolerance",
) -> float:
    """Guess a first step from the sizes of y, y' and y'' (HNW, II.4)."""
    allowed, norm = tolerance.allowed(y), tolerance.norm
    size, speed = norm(y / allowed), norm(slope / allowed)
    h0 = 1e-6 if min(size, speed) < 1e-5 else 0.01 * size / speed
    h0 = h0 if math.isfinite(h0) else 1e-6
    h0 = math.copysign(min(h0, abs(end - t)), end - t)
    bend = norm((f(t + h0, y + h0 * slope) - slope) / allowed) / abs(h0)
    largest = max(speed, bend)
    if not math.isfinite(largest):
        return abs(h0)
    h1 = abs(h0) * 1e3 if largest <= 1e-15 else (0.01 / largest) ** (1 / tableau.order)
    return min(100 * abs(h0), h1)


# -------------------------------------------------------------------- tolerances


class Tolerance:
    """What an error may be, and the norm that says how large it is.

    Raises:
        ValueError: for tolerances that are not positive, or that half precision cannot
            meet: its steps would be too short to change the state.
    """

    def __init__(
        self,
        rtol: float,
        atol: float,
        dtype: torch.dtype,
        norm: Callable[[Tensor], float],
    ) -> None:
        if not (rtol >= 0 and atol >= 0 and rtol + atol > 0):
            raise ValueError(
                f"tolerances must be positive, not rtol={rtol}, atol={atol}"
            )
        eps = torch.finfo(dtype).eps
        if max(rtol, atol) < eps and eps > 1e-4:
            raise ValueError(
                f"rtol={rtol} and atol={atol} are finer than {dtype}, which rounds to "
                f"{eps:.1g}: take larger tolerances, fixed steps, or a float32 state"
            )
        self.wide = torch.promote_types(dtype, torch.float32)
        # Where atol is 0, an error of 0 in an entry of 0 is none: not 0 / 0.
        self.rtol, self.atol = rtol, max(atol, torch.finfo(self.wide).tiny)
        self.norm = norm

    def allowed(self, y: Tensor, new: Tensor | None = None) -> Tensor:
        """Return atol + rtol max(|y|, |new|)."""
        size = y.abs() if new is None else torch.maximum(y.abs(), new.abs())
        return size.to(self.wide).mul_(self.rtol).add_(self.atol)


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


def _known_method(method: str | Tableau) -> Tableau:
    if isinstance(method, Tableau):
        return method
    if method not in TABLEAUS:
        raise ValueError(
            f"unknown method {method!r}; choose one of {', '.join(TABLEAUS)}, or hand "
            "over a Tableau"
        )
    return TABLEAUS[method]


def split_times(t: Times) -> tuple[list[float], Tensor | None]:
    """Return the times as numbers, and as a tensor where they may need gradients."""
    if not isinstance(t, Tensor):
        try:
            t = list(t)
        except TypeError:
            raise ValueError(f"the times must be a sequence, not {t}") from None
        if any(isinstance(s, Tensor) and s.requires_grad for s in t):
            t = torch.stack([torch.as_tensor(s, dtype=torch.float64) for s in t])
    return checked_times(t), t if isinstance(t, Tensor) else None


def checked_times(t: Times) -> list[float]:
    """Return the times as floats.

    Raises:
        ValueError: if there are none, or they are not finite or not monotone.
    """
    times = t.tolist() if isinstance(t, Tensor) else list(t)
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


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be positive, not {value}")
    return value


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
    size = _positive("step_size", size)
    # A length of ten steps stays ten steps where it was rounded in single precision.
    return lambda length: max(1, math.ceil(abs(length) / size * (1 - 1e-6)))


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
