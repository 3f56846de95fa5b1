"""Minimise a function of a few tensors, so that its value never rises."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import torch
from torch import Tensor

Loss = Callable[..., Tensor]


def minimise(
    loss: Loss, variables: Sequence[Tensor], max_iter: int = 100
) -> list[Tensor]:
    """Lower `loss(*variables)` by L-BFGS with a line search.

    Args:
        loss: returns a tensor without axes, differentiable in its arguments.
        variables: where to start; these tensors are left unchanged.
        max_iter: at most so many steps.

    Returns:
        New tensors, without gradients, in the order given. Their loss is never higher
        than that of the start: where rounding or a failed line search would end
        higher, the start comes back.

    Raises:
        ValueError: if the loss is not finite at the start.

    Source: Nocedal and Wright, Numerical Optimization, 2006, chapters 3 and 7.
    """
    start = [variable.detach().clone() for variable in variables]
    moving = [variable.clone().requires_grad_() for variable in start]
    optimiser = torch.optim.LBFGS(
        moving,
        max_iter=max_iter,
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(*moving)
        value.backward()
        return value

    before = float(loss(*start))
    if before - before != 0:
        raise ValueError(f"the loss is {before} at the start, it has to be finite")
    optimiser.step(closure)
    end = [variable.detach() for variable in moving]
    return end if float(loss(*end)) <= before else start


def minimise_in_turns(
    loss: Loss,
    blocks: Sequence[Sequence[Tensor]],
    n_sweeps: int,
    max_iter: int = 100,
) -> tuple[list[list[Tensor]], list[float]]:
    """Block coordinate descent: `minimise` over one block while the others rest.

    Args:
        loss: called with the tensors of all blocks, one after another.
        blocks: groups of tensors to start with; they are left unchanged.
        n_sweeps: so many times each block has its turn, in the order given.

    Returns:
        The new blocks, and the history of the loss: its value at the start and after
        each turn, `1 + n_sweeps * len(blocks)` floats that never rise.
    """
    now = [list(block) for block in blocks]

    def value(turn: int, *moving: Tensor) -> Tensor:
        return loss(*chain(*now[:turn], moving, *now[turn + 1 :]))

    history = [float(loss(*chain(*now)))]
    for _ in range(n_sweeps):
        for turn, block in enumerate(now):
            now[turn] = minimise(partial(value, turn), block, max_iter)
            history.append(float(loss(*chain(*now))))
    return now, history


def lbfgs(
    value_and_gradient: Callable[[Tensor], tuple[float, Tensor]],
    x: Tensor,
    iterations: int,
    memory: int = 20,
) -> Iterator[tuple[Tensor, float]]:
    """Minimise a function by L-BFGS with a backtracking line search.

    Yields the start and then every accepted point, with its value; stops early where
    rounding leaves no descent. The last evaluation is always that of the point yielded.
    Source: Nocedal and Wright, Numerical Optimization, algorithms 7.4, 7.5 and 3.1.
    """
    value, gradient = value_and_gradient(x)
    yield x, value
    pairs: deque[tuple[Tensor, Tensor]] = deque(maxlen=memory)
    for _ in range(iterations):
        direction = -_two_loops(gradient, pairs)
        slope = float((gradient * direction).sum())
        if not pairs:  # no curvature is known yet: a first step of moderate length
            size = max(1.0, float(gradient.norm()))
            direction, slope = direction / size, slope / size
        length = 1.0
        while True:
            trial = x + length * direction
            trial_value, trial_gradient = value_and_gradient(trial)
            if trial_value <= value + 1e-4 * length * slope:
                break
            length /= 2
            if length < 1e-8 and not pairs:
                return
            if length < 1e-8:  # the remembered curvature misleads: forget it
                pairs.clear()
                direction = -gradient / max(1.0, float(gradient.norm()))
                slope, length = float((gradient * direction).sum()), 1.0
        step, change = trial - x, trial_gradient - gradient
        if float((step * change).sum()) > 1e-10 * float(step.norm() * change.norm()):
            pairs.append((step, change))
        x, value, gradient = trial, trial_value, trial_gradient
        yield x, value


def _two_loops(gradient: Tensor, pairs: deque[tuple[Tensor, Tensor]]) -> Tensor:
    """Return the inverse Hessian that `pairs` imply, times the gradient.

    Args:
        pairs: the last steps, each with the change of the gradient along it.
    """
    q, shares = gradient, []
    for step, change in reversed(pairs):
        shares.append((step * q).sum() / (step * change).sum())
        q = q - shares[-1] * change
    if pairs:
        step, change = pairs[-1]
        q = q * (step * change).sum() / change.square().sum()
    for (step, change), share in zip(pairs, reversed(shares)):
        q = q + (share - (change * q).sum() / (step * change).sum()) * step
    return q
