"""Continuous-in-depth networks (Queiruga, Erichson, Taylor, Mahoney 2020, 2008.02389).

A stage of a residual network becomes an equation in depth-time t from 0 to 1,
`dx/dt = epsilon R(x; theta(t))`, whose weights are constant on `n_cells` equal cells,
and a Runge-Kutta method with `n_steps` equal steps solves it. Euler's method with one
step per cell and epsilon = n_cells is a residual network, layer by layer.

Which weights a stage of a step reads is decided on integers (`cell_index`), and
`refine` splits the cells without changing the weights as a function of depth-time.
"""

import copy
import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from odenets.solvers import TABLEAUS, Tableau, runge_kutta_step

# -------------------------------------------------------------- weights in depth-time


def cell_index(step: int, n_steps: int, n_cells: int, stage_c: float) -> int:
    """Return the cell whose weights a stage of a Runge-Kutta step reads.

    Step number `step` of `n_steps` equal steps over [0, 1] evaluates the field at
    t = (step + stage_c) / n_steps, and cell i is the half-open interval
    [i / n_cells, (i + 1) / n_cells). A stage at the end of its step (`stage_c` = 1)
    reads the cell that the step came from, the limit from the left: behind the end the
    weights may jump, and a method of order four would see the jump and lose its order.

    Args:
        step: 0 .. n_steps - 1.
        n_steps, n_cells: any two counts; they need not divide each other.
        stage_c: the node of the stage in its tableau, between 0 and 1.
    Returns: an index, 0 .. n_cells - 1.
    """
    # 1/3 as a float is not a third: the fraction that was meant is found again.
    node = Fraction(stage_c).limit_denominator(10_000)
    position = (step + node) * n_cells / n_steps
    index = math.ceil(position) - 1 if node == 1 else math.floor(position)
    return min(max(index, 0), n_cells - 1)


def refine(theta: Tensor) -> Tensor:
    """Split every cell in two: `(n_cells, ...)` -> `(2 n_cells, ...)`.

    Both children of a cell have its weights, so the function of depth-time is the same.
    """
    return theta.repeat_interleave(2, dim=0)


# ------------------------------------------------------------------------------ units


class Scale(nn.Module):
    """Multiply by one number that is learned and starts at zero ("skip-init")."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def residual_unit(
    n_in: int,
    n_out: int,
    stride: int = 1,
    preactivation: bool = False,
    batch_norm: bool = True,
    skip_init: bool = False,
    bias: bool = True,
) -> nn.Sequential:
    """Return R: two 3 x 3 convolutions, with `bias`, each with ReLU and batch norm.

    They come as conv - ReLU - norm, or with `preactivation` as norm - ReLU - conv.
    """
    layers: list[nn.Module] = []
    for a, b, step in ((n_in, n_out, stride), (n_out, n_out, 1)):
        conv = nn.Conv2d(a, b, 3, step, padding=1, bias=bias)
        if preactivation:
            # Not in place: without a norm, its input is the state of the solver.
            layers += [nn.BatchNorm2d(a)] * batch_norm + [nn.ReLU(), conv]
        else:
            layers += [conv, nn.ReLU(inplace=True)] + [nn.BatchNorm2d(b)] * batch_norm
    return nn.Sequential(*layers, *([Scale()] * skip_init))


class Stitch(nn.Module):
    """One ordinary residual block that changes the width: D x + epsilon R(x)."""

    def __init__(
        self, n_in: int, n_out: int, stride: int, epsilon: float, **unit: bool
    ):
        super().__init__()
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
        self.unit = residual_unit(n_in, n_out, stride, **unit)
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(self.shortcut(x), self.unit(x), alpha=self.epsilon)


class ContinuousStage(nn.Module):
    """Solve dx/dt = epsilon R(x; theta(t)) for t from 0 to 1."""

    def __init__(self, width: int, n_cells: int, epsilon: float, **unit: bool) -> None:
        super().__init__()
        cells = [residual_unit(width, width, **unit) for _ in range(n_cells)]
        self.cells = nn.ModuleList(cells)
        self.epsilon = epsilon

    def forward(self, x: Tensor, tableau: Tableau, n_steps: int) -> Tensor:
        # The field does not depend on t inside a cell: epsilon may go into the step.
        h = self.epsilon / n_steps
        for step in range(n_steps):
            # A step asks for its stages in order: count them, never round a time.
            reads = iter(
                [cell_index(step, n_steps, len(self.cells), c) for c in tableau.c]
            )

            def field(t: float, y: Tensor, reads=reads) -> Tensor:
                return self.cells[next(reads)](y)

            x = runge_kutta_step(tableau, field, step / n_steps, x, h)
        return x

    def refine(self) -> None:
        """Split every cell in two equal ones, batch norm statistics included."""
        self.cells = nn.ModuleList(
            child for cell in self.cells for child in (cell, copy.deepcopy(cell))
        )


# ------------------------------------------------------------------------------- nets


class ContinuousNet(nn.Module):
    """Stages of growing width (three of them), each an equation in depth-time.

    Stem (conv, norm, ReLU) - three times a stitch and a `ContinuousStage`, of widths
    alpha, 2 alpha, 4 alpha - mean over the image - linear layer. With alpha = 16, ten
    classes and images in colour there are 78330 + 97440 n_cells parameters.

    Attributes:
        scheme: name of the solver, a key of `TABLEAUS`; change it at any time.
        n_steps: steps per stage; change it at any time ("manifestation").
        n_cells: cells of each stage; changed by `refined`.
    """

    def __init__(
        self,
        n_cells: int = 2,
        scheme: str = "euler",
        n_classes: int = 10,
        in_channels: int = 3,
        alpha: int = 16,
        n_steps_per: int = 1,
        time_epsilon: float | None = None,
        preactivation: bool = False,
        batch_norm: bool = True,
        skip_init: bool = False,
        widen: int = 1,
        stages: int = 3,
    ) -> None:
        """Build the net.

        Args:
            n_cells: pieces of the piecewise constant weights, per stage.
            scheme: solver, a key of `TABLEAUS`.
            n_classes, in_channels: of the data.
            alpha: channels of the stem; stage k has widen * alpha * 2^k.
            n_steps_per: steps per cell.
            time_epsilon: factor of the residual unit; `n_cells` by default, so that
                a Euler step of one cell is x + R(x).
            preactivation: norm - ReLU - conv instead of conv - ReLU - norm.
            batch_norm: False leaves out every norm.
            skip_init: multiply each unit by a number that starts at zero.
            widen: factor of the widths behind the stem.
            stages: how many; with a single one, depth-time must do all the work.
        Raises:
            ValueError: if a count is not positive or there is no such scheme.
        """
        super().__init__()
        if min(n_cells, n_steps_per, alpha, widen, stages) < 1:
            raise ValueError("counts of cells, steps, channels, stages are positive")
        self.n_cells, self.n_steps = n_cells, n_cells * n_steps_per
        self.scheme = scheme
        self.tableau()  # an unknown scheme is found out here
        epsilon = float(n_cells if time_epsilon is None else time_epsilon)
        unit = dict(
            preactivation=preactivation, batch_norm=batch_norm, skip_init=skip_init
        )
        norms = [nn.BatchNorm2d(alpha)] * batch_norm
        stem = nn.Conv2d(in_channels, alpha, 3, padding=1, bias=False)
        self.stem = nn.Sequential(stem, *norms, nn.ReLU())
        widths = [alpha] + [widen * alpha * 2**k for k in range(stages)]
        self.stitches, self.blocks = nn.ModuleList(), nn.ModuleList()
        for stage, (a, b) in enumerate(pairwise(widths)):
            stride = 1 if stage == 0 else 2
            self.stitches.append(Stitch(a, b, stride, epsilon / self.n_steps, **unit))
            self.blocks.append(ContinuousStage(b, n_cells, epsilon, **unit))
        last = [nn.BatchNorm2d(widths[-1], momentum=0.9)] * batch_norm * preactivation
        self.head = nn.Sequential(
            *last,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(widths[-1], n_classes),
        )
        initialise(self)

    def tableau(self) -> Tableau:
        """Return the tableau of the present scheme."""
        if self.scheme not in TABLEAUS:
            known = ", ".join(TABLEAUS)
            raise ValueError(f"no scheme {self.scheme!r}; choose one of {known}")
        return TABLEAUS[self.scheme]

    def forward(self, x: Tensor) -> Tensor:
        """Return scores: images `(s, in_channels, H, W)` -> `(s, n_classes)`."""
        tableau = self.tableau()
        x = self.stem(x)
        for stitch, block in zip(self.stitches, self.blocks):
            x = block(stitch(x), tableau, self.n_steps)
        return self.head(x)

    def refined(
        self, variance: float = 0.0, generator: torch.Generator | None = None
    ) -> "ContinuousNet":
        """Return a copy with twice the cells and twice the steps.

        Weights as a function of depth-time and epsilon stay: the equation is the same.
        Each step is half as long, so what the net computes changes by the error of its
        solver: little with rk4, much in a net that was trained with Euler's method.

        Args:
            variance: v > 0 multiplies every weight and bias of the convolutions in the
                cells by 1 + v xi with xi ~ N(0, 1), so that the children differ.
            generator: of xi.
        """
        net = copy.deepcopy(self)
        for block in net.blocks:
            cast(ContinuousStage, block).refine()
            for module in block.modules():
                if isinstance(module, nn.Conv2d) and variance:
                    for theta in module.parameters():
                        xi = torch.randn(theta.shape, generator=generator)
                        with torch.no_grad():
                            theta.mul_(1 + variance * xi.to(theta))
        net.n_cells, net.n_steps = 2 * self.n_cells, 2 * self.n_steps
        return net


class WideContinuousNet(ContinuousNet):
    """The pre-activation net with `widen` times as many channels in every stage."""

    def __init__(self, n_cells: int = 8, widen: int = 4, **kwargs) -> None:
        super().__init__(n_cells, widen=widen, **(kwargs | {"preactivation": True}))


class ResidualBlock(nn.Module):
    """conv - ReLU - norm, twice, plus a shortcut; nothing behind the sum."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.unit = residual_unit(n_in, n_out, stride, bias=False)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.unit(x)


class ResNet(nn.Module):
    """The plain baseline: three stages of n residual blocks, depth 6 n + 2.

    Depth 20 (272474 parameters) corresponds to `ContinuousNet(2)`, 56 to
    `ContinuousNet(8)`: there the first block of a stage is the stitch.
    """

    def __init__(
        self,
        depth: int = 20,
        n_classes: int = 10,
        in_channels: int = 3,
        alpha: int = 16,
    ) -> None:
        """Build the net.

        Raises:
            ValueError: if the depth is not 6 n + 2.
        """
        super().__init__()
        n, rest = divmod(depth - 2, 6)
        if n < 1 or rest:
            raise ValueError(f"the depth must be 6 n + 2 (8, 14, 20, ..), not {depth}")
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, alpha, 3, padding=1, bias=False),
            nn.BatchNorm2d(alpha),
            nn.ReLU(),
        )
        blocks, width = [], alpha
        for stage in range(3):
            wide = alpha * 2**stage
            for k in range(n):
                stride = 2 if stage and k == 0 else 1
                blocks.append(ResidualBlock(width, wide, stride))
                width = wide
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, n_classes)
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores: images `(s, in_channels, H, W)` -> `(s, n_classes)`."""
        return self.head(self.blocks(self.stem(x)))


class WideBlock(nn.Module):
    """norm - ReLU - conv, twice, plus a shortcut; every convolution has a bias."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.unit = residual_unit(n_in, n_out, stride, preactivation=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Conv2d(n_in, n_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.unit(x)


class WideResNet(nn.Module):
    """The wide baseline: three stages of n blocks with pre-activation, depth 6 n + 4.

    Zagoruyko and Komodakis 2016, "Wide residual networks" (1605.07146), without their
    dropout. Depth 58 with 100 classes (13631108 parameters) corresponds to
    `WideContinuousNet(8)` (13630676).
    """

    def __init__(
        self,
        depth: int = 58,
        n_classes: int = 100,
        in_channels: int = 3,
        alpha: int = 16,
        widen: int = 4,
    ) -> None:
        """Build the net.

        Raises:
            ValueError: if the depth is not 6 n + 4.
        """
        super().__init__()
        n, rest = divmod(depth - 4, 6)
        if n < 1 or rest:
            raise ValueError(f"the depth must be 6 n + 4 (10, 16, 22, ..), not {depth}")
        widths = [alpha] + [widen * alpha * 2**stage for stage in range(3)]
        blocks = []
        for stage, (a, b) in enumerate(pairwise(widths)):
            blocks.append(WideBlock(a, b, stride=1 if stage == 0 else 2))
            blocks += [WideBlock(b, b) for _ in range(n - 1)]
        self.stem = nn.Conv2d(in_channels, alpha, 3, padding=1)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.BatchNorm2d(widths[-1]),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(widths[-1], n_classes),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores: images `(s, in_channels, H, W)` -> `(s, n_classes)`."""
        return self.head(self.blocks(self.stem(x)))


def initialise(net: nn.Module) -> None:
    """Draw the kernels from N(0, 2 / (k^2 n_out)) and set their biases to zero."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.kernel_size[0] ** 2 * module.out_channels
            nn.init.normal_(module.weight, 0.0, math.sqrt(2 / fan))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


# ---------------------------------------------------------------------- manifestation


def manifestation_table(
    model: ContinuousNet,
    evaluate: Callable[[nn.Module], float],
    schemes: list[str],
    steps: list[int],
) -> dict[tuple[str, int], float]:
    """Evaluate one set of weights under several solvers and numbers of steps.

    Args:
        model: has attributes `scheme` and `n_steps`, which are put back in the end,
            also after an error.
        evaluate: `evaluate(model)` is a number such as the accuracy.
        schemes: names of solvers.
        steps: numbers of steps per stage.
    Returns: `{(scheme, n_steps): evaluate(model)}`.
    """
    net: Any = model
    own = net.scheme, net.n_steps
    table = {}
    try:
        for scheme in schemes:
            for n_steps in steps:
                net.scheme, net.n_steps = scheme, n_steps
                table[scheme, n_steps] = evaluate(net)
    finally:
        net.scheme, net.n_steps = own
    return table
