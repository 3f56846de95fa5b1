"""What stands between a solver and the field that it is given."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

State = Tensor | tuple[Tensor, ...]
Field = Callable[[float, Any], Any]

T = TypeVar("T")


class Overwritten(RuntimeError):
    """The field writes into a tensor that the solver still needs."""

    def __init__(self) -> None:
        super().__init__(
            "the field changes its argument, or returns the same tensor each time with "
            "other values: return a new tensor instead, such as result.clone()"
        )


class Called:
    """A field, called in the way it needs.

    Attributes:
        as_tensor: the time is handed over as a tensor without axes, in the dtype and on
            the device of the state. By default it is a Python float, exact and free;
            a field that cannot take one (``torch.sin(t)``, ``t.to(y)``) gets a tensor.
        copies: the field gets copies of the state, and what it returns is copied: a
            field that works in place can do no harm then.
    """

    def __init__(self, f: Field) -> None:
        self.f, self.as_tensor, self.copies = f, False, False

    @classmethod
    def of(cls, f: Field) -> "Called":
        return f if isinstance(f, cls) else cls(f)

    def __call__(self, t: float, y: Any) -> Any:
        try:
            if self.copies or self.as_tensor:
                return self._as_needed(t, y)
            return self.f(t, y)
        except (TypeError, AttributeError, RuntimeError) as error:
            return self._tried_again(error, t, y)

    def _as_needed(self, t: float, y: Any) -> Any:
        y = _copied(y) if self.copies else y
        time: Any = _as_tensor(t, y) if self.as_tensor else t
        slope = self.f(time, y)
        return _copied(slope) if self.copies else slope

    def _tried_again(self, error: Exception, t: float, y: Any) -> Any:
        """Call the field with a tensor for a time; raise `error` where that fails."""
        if not (self.as_tensor or isinstance(error, RuntimeError)):
            self.as_tensor = True
            try:
                return self._as_needed(t, y)
            except Exception as other:
                if not _in_place(other):
                    self.as_tensor = False  # the time was not to blame
                    raise error from None
                error = other
        if _in_place(error) and not self.copies:
            raise Overwritten from error
        raise error

    def carefully(self, attempt: Callable[[], T]) -> T:
        """Return `attempt()`; again, with copies, where the field overwrote something.

        While a CUDA graph is recorded nothing can be tried again: it is an error there.
        """
        try:
            return attempt()
        except Overwritten:
            if self.copies or _recording():
                raise
        self.copies = True
        return attempt()


def _as_tensor(t: float, y: Any) -> Tensor:
    like = y if isinstance(y, Tensor) else y[0]
    return torch.full((), t, dtype=like.dtype, device=like.device)


def _in_place(error: Exception) -> bool:
    """Tell whether autograd complains that y0 itself was changed."""
    return "leaf Variable that requires grad" in str(error)


def _copied(y: Any) -> Any:
    if isinstance(y, Tensor):
        return y.clone()
    return tuple(map(_copied, y)) if isinstance(y, (tuple, list)) else y


def _recording() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def watched(y: Tensor) -> bool:
    """Tell whether values may be looked at: not while a graph is being recorded.

    Nor where waiting for the GPU was made an error, as before such a recording.
    """
    if torch.compiler.is_compiling():
        return False
    return not y.is_cuda or not (
        _recording() or torch.cuda.get_sync_debug_mode() == _ERROR
    )


_ERROR = 2  # as `torch.cuda.set_sync_debug_mode("error")` is read back


def refuse_shared_memory(slopes: list[Tensor]) -> None:
    """Raise `Overwritten` if two slopes of one step lie in the same memory."""
    if torch.compiler.is_compiling():
        return
    try:
        places = {*map(Tensor.data_ptr, slopes)}
    except RuntimeError:  # within torch.func: no memory of its own
        return
    if len(places) < len(slopes) and places != {0}:
        raise Overwritten


def flat_state(y0: State) -> tuple[Tensor, list[torch.Size] | None]:
    """Return the state as one tensor, and the shapes of its parts if it is a tuple.

    Raises:
        TypeError: if it does not consist of real floats of one dtype and device.
    """
    parts = y0 if isinstance(y0, tuple) else (y0,)
    for part in parts:
        if not isinstance(part, Tensor):
            raise TypeError(
                f"the state must be a tensor or a tuple of them, not "
                f"{type(part).__name__}: torch.as_tensor makes one of an array"
            )
        if not part.is_floating_point():
            raise TypeError(f"the state must hold real floats, not {part.dtype}")
    if isinstance(y0, Tensor):
        return y0, None
    kinds = {(part.dtype, part.device) for part in parts}
    if len(kinds) != 1:
        raise TypeError(f"the parts of the state must share dtype and device: {kinds}")
    return torch.cat([p.reshape(-1) for p in parts]), [p.shape for p in parts]


def checked_field(
    call: Called, state: Tensor, shapes: list[torch.Size] | None, stats: Any
) -> Field:
    """Return the field for a flat state, with checks of what it does and returns.

    Args:
        stats: its `nfe` counts the evaluations.
    """
    f: Field = call if shapes is None else _of_flat(call, shapes)
    ask = f
    shape, dtype, kind = state.shape, state.dtype, state.device.type
    watch = watched(state)
    unproved = watch and torch.is_grad_enabled()
    versions = not (
        call.copies  # as it is set where a solve is compiled
        or torch.is_inference_mode_enabled()
        or state.is_inference()
    )

    def first(t: float, y: Tensor) -> Any:
        """Call the field for the first time, and find the shortest way to call it."""
        nonlocal ask
        version = y._version if versions else 0
        slope = f(t, y) if call.copies or not watch else _first_call(f, t, y)
        if versions and y._version != version:
            raise Overwritten
        plain = shapes is None and not (call.copies or call.as_tensor)
        ask = call.f if plain else f
        return slope

    ask = first

    def field(t: float, y: Tensor) -> Tensor:
        nonlocal ask, unproved
        stats.nfe += 1
        try:
            slope = ask(t, y)
        except (TypeError, AttributeError):
            if ask is f:
                raise
            ask = f  # which tries another time
            slope = f(t, y)
        # Stages are new tensors of version 0; the state was looked at in `first`.
        if versions and y._version and y is not state:
            raise Overwritten
        try:
            fits = slope.shape == shape
        except AttributeError:
            raise TypeError(_no_tensor(slope)) from None
        if not fits:
            raise ValueError(
                f"the field must return the shape of the state, {tuple(shape)}, "
                f"not {tuple(slope.shape)}"
            )
        if slope.dtype != dtype:
            if not isinstance(slope, Tensor):
                raise TypeError(_no_tensor(slope))
            if not torch.is_autocast_enabled(kind):
                raise TypeError(
                    f"the field must return the dtype of the state, {dtype}, "
                    f"not {slope.dtype}"
                )
            slope = slope.to(dtype)
        if unproved and y.requires_grad and torch.is_grad_enabled():
            unproved = False
            refuse_detached(lambda y: [f(t, y[0])], [y], [slope])
        return slope

    return field


def _first_call(f: Field, t: float, y: Tensor) -> Any:
    """Call the field; compare the state, which may be the caller's, before and after.

    Later changes are seen by the version that autograd counts; ``y.data`` and numpy
    pass that by.
    """
    before = y.detach().clone()
    slope = f(t, y)
    if not torch.equal(before, y):
        y.data.copy_(before)
        raise Overwritten
    return slope


def _no_tensor(slope: Any) -> str:
    if slope is None:
        return "the field returned None: is its `return` missing?"
    return f"the field must return a tensor, not {type(slope).__name__}"


def _of_flat(call: Called, shapes: list[torch.Size]) -> Field:
    """Return the field of a tuple as a field of the flat state."""
    sizes = [shape.numel() for shape in shapes]

    def f(t: float, y: Tensor) -> Any:
        parts = (p.view(s) for p, s in zip(y.split(sizes), shapes))
        slopes = call(t, tuple(parts))
        if not isinstance(slopes, (tuple, list)):
            kind = _no_tensor(slopes) if slopes is None else type(slopes).__name__
            raise TypeError(f"the field of a tuple must return a tuple; {kind}")
        for slope in slopes:
            if not isinstance(slope, Tensor):
                raise TypeError(_no_tensor(slope))
        given = [tuple(s.shape) for s in slopes]
        if given != [tuple(s) for s in shapes]:
            raise ValueError(
                "the field must return a tuple with the shapes of the state, "
                f"{[tuple(s) for s in shapes]}, not {given}"
            )
        return torch.cat([s.reshape(-1) for s in slopes])

    return f


# ------------------------------------------------------------ gradients cut off


def refuse_detached(
    f: Callable[[list[Tensor]], Iterable[Tensor]],
    ys: Sequence[Tensor],
    slopes: Sequence[Tensor],
) -> None:
    """Refuse a field whose values follow the state although its graph does not.

    Args:
        f: the field at one time.   ys: the states, some of which require gradients.
        slopes: what f returned for them.
    Raises:
        ValueError: if no path leads from the slopes to the states, and yet most values
            change with them. A constant field has no path either, and is fine.
    """
    if _reaches(slopes, ys):
        return
    with torch.no_grad():
        again = list(f([y.detach().clone() for y in ys]))
        moved = list(f([y.detach() + 1e-2 * (1 + y.detach().abs()) for y in ys]))
        for slope, same, other in zip(slopes, again, moved):
            if torch.equal(slope, same) and (other != same).float().mean() > 0.5:
                raise ValueError(
                    "the field cuts the gradient off: its values change with the "
                    "state, but not for autograd (is there a .detach(), .data, "
                    ".item(), numpy or torch.no_grad() in it?). If that is meant, "
                    "solve with y0.detach()"
                )


def _reaches(slopes: Iterable[Tensor], ys: Iterable[Tensor]) -> bool:
    """Tell whether the graph of one of the slopes leads to one of the states."""
    edge = torch.autograd.graph.get_gradient_edge
    goals = {edge(y).node for y in ys if y.requires_grad}
    todo = [edge(slope).node for slope in slopes if slope.requires_grad]
    seen = set(todo)
    for node in todo:  # grows meanwhile
        if node in goals:
            return True
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                todo.append(following)
    return False
