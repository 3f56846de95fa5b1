"""Gradients of an ODE's solution without its stored steps: the continuous adjoint.

Let y' = f(t, y) and let L depend on y(t_1). The adjoint a(t) = dL/dy(t) starts at
a(t_1) = dL/dy(t_1) and obeys, backwards in time (Chen et al. 2018, section 2),

    a' = -a^T df/dy,        dL/dtheta = integral from t_0 to t_1 of a^T df/dtheta dt.

`odeint_adjoint` solves for y, a and the integral together, from t_1 back to t_0. All it
keeps of the forward solve are the states at the output times. Where the loss looks at
several of them, a jumps at each by dL/dy(t_i), and y is put back to its stored value.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from odenets import solvers
from odenets.solvers import Field, Settings, Stats, Tableau
from odenets.solvers.fields import Called, refuse_detached
from odenets.solvers.odeint import Times, split_times

Y = TypeVar("Y", Tensor, tuple[Tensor, ...])


def odeint_adjoint(
    f: Field,
    y0: Y,
    t: Times,
    method: str | Tableau = "dopri5",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    options: dict[str, Any] | None = None,
    stats: Stats | None = None,
    *,
    params: Iterable[Tensor] | None = None,
    adjoint_method: str | Tableau | None = None,
    adjoint_rtol: float | None = None,
    adjoint_atol: float | None = None,
    adjoint_options: dict[str, Any] | None = None,
    adjoint_stats: Stats | None = None,
) -> Y:
    """Solve as `solvers.odeint` does, with gradients from the adjoint equation.

    The memory that waits for the backward pass does not grow with the number of steps.
    The gradients, with respect to `y0`, the parameters and `t`, are those of the exact
    flow up to the tolerance. They can be taken once: where a second derivative is
    asked for (``create_graph=True``) there is an error, take `odeint` there.

    Args:
        f, y0, t, method, rtol, atol, options, stats: as in `solvers.odeint`.
        params: the tensors in `f` that are to receive gradients; by default all
            parameters of `f`, which must then be a module. Others receive none.
        adjoint_method, adjoint_rtol, adjoint_atol, adjoint_options: of the solve
            backwards; by default as forwards (without `first_step`).
        adjoint_stats: counts the evaluations of the backward solves; each of them is
            one evaluation of `f` and one vector-Jacobian product.
    Returns: a tensor `(len(t), *y0.shape)`, or a tuple of such tensors.
    Raises:
        TypeError: if `params` is missing and `f` is not a module; what `odeint` raises.
    """
    if params is None:
        if not isinstance(f, nn.Module):
            raise TypeError(
                "the parameters of a field that is not a module are not known: give "
                "params=[...], or params=() where it has none"
            )
        params = f.parameters()
    params = tuple(p for p in params if p.requires_grad)
    options = dict(options or {})
    same = {key: value for key, value in options.items() if key != "first_step"}
    parts = (y0,) if isinstance(y0, Tensor) else y0
    times, tensor = split_times(t)
    problem = _Problem(
        f=Called.of(f),
        times=times,
        tuple_state=isinstance(y0, tuple),
        n_parts=len(parts),
        params=params,
        forward=Settings(
            method=method, rtol=rtol, atol=atol, options=options, stats=stats
        ),
        backward=Settings(
            method=method if adjoint_method is None else adjoint_method,
            rtol=rtol if adjoint_rtol is None else adjoint_rtol,
            atol=atol if adjoint_atol is None else adjoint_atol,
            options=same if adjoint_options is None else dict(adjoint_options),
        ),
        stats=Stats() if adjoint_stats is None else adjoint_stats,
    )
    solution = _Adjoint.apply(problem, tensor, *parts, *params)
    return solution if problem.tuple_state else solution[0]


@dataclass
class _Problem:
    """All of a solve that is not a tensor with a gradient."""

    f: Called
    times: list[float]
    tuple_state: bool
    n_parts: int
    params: tuple[Tensor, ...]
    forward: Settings
    backward: Settings
    stats: Stats

    def field(self, t: float, y: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The field with a tuple for a state, in the state's dtype under autocast."""
        slopes = self.f(t, tuple(y)) if self.tuple_state else (self.f(t, y[0]),)
        return tuple(slope.to(part.dtype) for slope, part in zip(slopes, y))


def _autocast(kind: str) -> contextlib.AbstractContextManager:
    """Return the present autocast once more, for the device `kind`.

    Without its cache: it would keep copies of the weights that were made without
    gradients, and use them where gradients are wanted.
    """
    if not torch.amp.is_autocast_available(kind):
        return contextlib.nullcontext()
    return torch.autocast(
        kind,
        dtype=torch.get_autocast_dtype(kind),
        enabled=torch.is_autocast_enabled(kind),
        cache_enabled=False,
    )


class _Adjoint(torch.autograd.Function):
    """Forward: solve and keep the outputs. Backward: solve the adjoint equation."""

    @staticmethod
    def forward(
        ctx: Any, problem: _Problem, t: Tensor | None, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        y0, params = tensors[: problem.n_parts], tensors[problem.n_parts :]
        start: Any = y0 if problem.tuple_state else y0[0]
        ctx.autocast = _autocast(y0[0].device.type)
        with ctx.autocast:
            solution = solvers.odeint(
                problem.f, start, problem.times, **problem.forward
            )
        solution = solution if problem.tuple_state else (solution,)
        ctx.problem, ctx.t = problem, t
        ctx.save_for_backward(*solution, *params)
        return solution

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "odeint_adjoint has no second derivative, but create_graph=True asks "
                "for one: solve with odeint"
            )
        problem, n = ctx.problem, ctx.problem.n_parts
        # Reading the saved parameters fails, as it should, if one of them was changed
        # since; the gradient is taken for the ones that `f` itself uses.
        solution, params = ctx.saved_tensors[:n], problem.params
        with ctx.autocast:
            a, total, grad_t = _backwards(
                problem, solution, grads, ctx.needs_input_grad[1]
            )
        sizes = [p.numel() for p in params]
        grad_params = [g.view_as(p).to(p) for g, p in zip(total.split(sizes), params)]
        if not ctx.needs_input_grad[1]:
            return (None, None, *a, *grad_params)
        return (None, grad_t.to(ctx.t.dtype).to(ctx.t.device), *a, *grad_params)


def _backwards(
    problem: _Problem,
    solution: Sequence[Tensor],
    grads: Sequence[Tensor],
    wants_times: bool,
) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
    """Walk from the last time to the first; return dL/dy0, dL/dparams and dL/dt."""
    n, times, dynamics = problem.n_parts, problem.times, _augmented(problem)
    grad_t = torch.zeros(len(times), dtype=torch.float64)
    a = tuple(grad[-1] for grad in grads)
    total = solution[0].new_zeros(sum(p.numel() for p in problem.params))
    settings, options = problem.backward, problem.backward["options"]
    problem.stats.next_step = None
    for i in range(len(times) - 1, 0, -1):
        y = tuple(part[i] for part in solution)
        if wants_times:  # dL/dt_i = dL/dy_i . f(t_i, y_i)
            grad_t[i] = _dot([g[i] for g in grads], problem.field(times[i], y))
        settings = Settings(**settings | {"options": options, "stats": problem.stats})
        end = solvers.solve(
            dynamics, (*y, *a, total), times[i], times[i - 1], **settings
        )
        a, total = end[n : 2 * n], end[2 * n]
        if wants_times and i == 1:  # dL/dt_0 = -a(t_0) . f(t_0, y_0)
            y = tuple(part[0] for part in solution)
            grad_t[0] = -_dot(a, problem.field(times[0], y))
        a = tuple(part + grad[i - 1] for part, grad in zip(a, grads))
        if problem.stats.next_step is not None:  # the next interval is like this
            options = options | {"first_step": problem.stats.next_step}
    return a, total, grad_t


def _augmented(problem: _Problem) -> Field:
    """Return the right-hand side of (y, a, integral), integrated backwards in time."""
    n, params, unproved = problem.n_parts, problem.params, True

    def dynamics(t: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        nonlocal unproved
        y, a = state[:n], state[n : 2 * n]
        with torch.enable_grad():
            y = tuple(part.detach().requires_grad_() for part in y)
            dy = problem.field(t, y)
            if unproved:
                unproved = False
                refuse_detached(lambda ys: problem.field(t, ys), y, dy)
            known = [(d, -p) for d, p in zip(dy, a) if d.requires_grad]
            products = _products(known, (*y, *params))
        # The integral has the dtype of the state, whatever that of a parameter is.
        pieces = [p.reshape(-1).to(state[2 * n]) for p in products[n:]]
        total = torch.cat(pieces) if pieces else state[2 * n]
        return *(d.detach() for d in dy), *products[:n], total

    return dynamics


def _products(
    known: list[tuple[Tensor, Tensor]], inputs: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    """Return the sums of w^T dv/dinput over the pairs (v, w), one for each input."""
    if not known:  # a constant field
        return tuple(torch.zeros_like(x) for x in inputs)
    values, weights = zip(*known)
    return torch.autograd.grad(
        values, inputs, weights, allow_unused=True, materialize_grads=True
    )


def _dot(a: Iterable[Tensor], b: Iterable[Tensor]) -> float:
    # A number: some devices have no tensors of double precision.
    return sum((p * q).sum().item() for p, q in zip(a, b))


# ------------------------------------------------------- as in the equations

# The functions of notebook 05: for one tensor as a state, and for any solver that
# returns the end of the path, `solve(f, y0, t0, t1)`.


def adjoint_dynamics(
    f: Field, params: Sequence[Tensor], t: float, y: Tensor, a: Tensor
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Return the rates of the augmented state: f, -a^T df/dy and -a^T df/dparams.

    Args:
        f: field, `f(t, y)`; it reads its parameters by closure.
        params: the parameters, tensors that require gradients.
        t: time.   y: state, any shape.   a: adjoint, shaped like `y`.
    Returns: `(dy, da, dparams)`, all detached; `dparams` has one tensor per parameter,
        zeros where `f` does not use it.
    """
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        dy = f(t, y)
        known = [(dy, -a.detach())] if dy.requires_grad else []
        da, *dparams = _products(known, (y, *params))
    return dy.detach(), da, tuple(dparams)


def adjoint_gradients(
    f: Field,
    params: Sequence[Tensor],
    y0: Tensor,
    t0: float,
    t1: float,
    grad_y1: Tensor,
    solve: Callable[..., Tensor],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return dL/dy0 and dL/dparams of a loss L(y(t1)) by the adjoint equation.

    Args:
        f, params: as in `adjoint_dynamics`.
        y0: state at `t0`.   grad_y1: dL/dy at `t1`, shaped like `y0`.
        solve: `solve(f, y0, t0, t1)` returns the state at `t1`, a single tensor, also
            where `t1` lies before `t0`.
    """
    sizes = [y0.numel(), y0.numel(), *(p.numel() for p in params)]
    shapes = [y0.shape, y0.shape, *(p.shape for p in params)]

    def joined(tensors: Iterable[Tensor]) -> Tensor:
        return torch.cat([p.reshape(-1) for p in tensors])

    def parts(state: Tensor) -> list[Tensor]:
        return [p.view(s) for p, s in zip(state.split(sizes), shapes)]

    def augmented(t: float, state: Tensor) -> Tensor:
        y, a = parts(state)[:2]
        dy, da, dparams = adjoint_dynamics(f, params, t, y, a)
        return joined((dy, da, *dparams))

    y1 = solve(f, y0, t0, t1)
    end = joined((y1, grad_y1, *(torch.zeros_like(p) for p in params)))
    _, grad_y0, *grads = parts(solve(augmented, end, t1, t0))
    return grad_y0, tuple(grads)


def adjoint_at_observations(
    f: Field,
    params: Sequence[Tensor],
    y0: Tensor,
    t0: float,
    times: Sequence[float],
    grad_ys: Sequence[Tensor],
    solve: Callable[..., Tensor],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return dL/dy0 and dL/dparams where L looks at the state at several times.

    Args:
        f, params, y0, t0, solve: as in `adjoint_gradients`.
        times: increasing, from `t0` on; the first one may be `t0` itself.
        grad_ys: dL/dy at each of them, shaped like `y0`.
    """
    nodes, states = [t0, *times], [y0]
    for before, after in zip(nodes, times):
        y = states[-1]
        states.append(y if after == before else solve(f, y, before, after))
    a, total = torch.zeros_like(y0), [torch.zeros_like(p) for p in params]
    for i in range(len(times), 0, -1):
        a = a + grad_ys[i - 1]  # the jump
        if nodes[i] != nodes[i - 1]:
            a, grads = adjoint_gradients(
                f, params, states[i - 1], nodes[i - 1], nodes[i], a, solve
            )
            total = [g + more for g, more in zip(total, grads)]
    return a, tuple(total)


# ----------------------------------------------------------------------- memory


class SavedBytes:
    """How many bytes autograd keeps for a backward pass; see `saved_bytes`."""

    def __init__(self) -> None:
        self.total = 0
        self._seen: set[int] = set()

    def note(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:  # shared memory counts once
            self._seen.add(storage.data_ptr())
            self.total += storage.nbytes()
        return tensor


@contextlib.contextmanager
def saved_bytes() -> Iterator[SavedBytes]:
    """Measure what the operations inside keep for their backward pass, in bytes.

    ::

        with saved_bytes() as saved:
            y = odeint(f, y0, t)
        print(saved.total)

    Counted are the storages of the tensors that autograd saves, each once.
    """
    saved = SavedBytes()
    with torch.autograd.graph.saved_tensors_hooks(saved.note, lambda tensor: tensor):
        yield saved
