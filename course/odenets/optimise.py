"""Minimise a function of a few tensors, so that its value never rises."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Loss = Callable[..., Tensor]


def minimise(
    loss: Loss, variables: Sequence[Tensor], max_iter: int = 50
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
    max_iter: int = 50,
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
    blocks = [list(block) for block in blocks]

    def value(turn: int, moving: Sequence[Tensor]) -> Tensor:
        return loss(
            *(v for i, b in enumerate(blocks) for v in (moving if i == turn else b))
        )

    history = [float(loss(*(variable for block in blocks for variable in block)))]
    for _ in range(n_sweeps):
        for turn in range(len(blocks)):
            blocks[turn] = minimise(
                lambda *moving, turn=turn: value(turn, moving), blocks[turn], max_iter
            )
            history.append(float(value(turn, blocks[turn])))
    return blocks, history
