"""Iterated networks: one layer, applied over and over.

The lifted image `a_0 = relu(W_1x1 * x + b_1)` is fed again and again through one and
the same convolution, and is added back each time:

    a_{k+1} = relu(W_5x5 * a_k + b) + a_0,        k = 0, 1, ..., iterations - 1.

This is a recurrent network whose time is its depth, and Euler's method with step one
for the autonomous field `f(a) = relu(W * a + b) + a_0 - a`. As the iterations go on
the features tend to a fixed point `z = relu(W * z + b) + a_0` whenever the operator
norm of the convolution is below one, because ReLU never stretches a distance.

Source: the recipe of *Iterated Networks* (github.com/tahsmith/iterated-networks).
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from odenets.nets.iresnet import power_iteration_norm

RUNAWAY = 1e3
"""`fixed_point` gives up when a step is this many times as long as the first one."""


def dense_head(n_features: int, hidden: int = 1024, n_classes: int = 10) -> nn.Module:
    """Return the classifier behind the features: dense, ReLU, dropout 0.4, dense."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(n_features, hidden),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Linear(hidden, n_classes),
    )


class _Iterated(nn.Module):
    """What all nets of this file share: lift, apply layers, classify.

    A subclass sets `lift` and `head`, and `recurrent` or else a `layer` of its own.
    """

    lift: nn.Module
    recurrent: Any  # a convolution or a linear map
    head: nn.Module

    def layer(self, k: int) -> nn.Module:
        """Return what acts at step k."""
        return self.recurrent

    def start(self, x: Tensor) -> Tensor:
        """Return `a_0` for images `x (s, 1, height, width)`."""
        return F.relu(self.lift(x))

    def features(self, x: Tensor, iterations: int) -> Iterator[Tensor]:
        """Yield `a_0`, ..., `a_iterations` for images `x (s, 1, height, width)`.

        Raises:
            ValueError: if `iterations` is negative.
        """
        if iterations < 0:
            raise ValueError(f"iterations must not be negative, not {iterations}")
        a0 = a = self.start(x)
        yield a
        for k in range(iterations):
            a = F.relu(self.layer(k)(a)) + a0
            yield a

    def forward(self, x: Tensor, iterations: int) -> Tensor:
        """Return the logits `(s, n_classes)` after `iterations` applications."""
        for a in self.features(x, iterations):
            last = a  # no list of them: without gradients only two are in memory
        return self.head(last)


class IteratedNet(_Iterated):
    """A network that applies one convolution as often as its caller wishes.

    Args:
        channels: number of feature maps that are iterated.
        kernel_size: odd side of the iterated convolution, in pixels.
        image_size: height and width of the images, in pixels.
        hidden: width of the dense layer.
        n_classes: number of logits.

    Raises:
        ValueError: for an even `kernel_size`, which has no centre.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 5,
        image_size: int = 28,
        hidden: int = 1024,
        n_classes: int = 10,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, not {kernel_size}")
        self.lift = nn.Conv2d(1, channels, 1)
        with torch.no_grad():
            # Images are not negative: w < 0 with b < 0 would make a channel that is
            # dark for every image and never learns. Start with copies of the image.
            self.lift.weight.abs_()
            nn.init.zeros_(cast(Tensor, self.lift.bias))
        self.recurrent = nn.Conv2d(
            channels, channels, kernel_size, padding=kernel_size // 2
        )
        self.head = dense_head(channels * image_size**2, hidden, n_classes)

    def step(self, a: Tensor, a0: Tensor) -> Tensor:
        """Return the features that follow `a`; both `(s, channels, height, width)`."""
        return F.relu(self.recurrent(a)) + a0


class DenseIteratedNet(_Iterated):
    """The fully connected version: `a_{k+1} = relu(W a_k + b) + a_0`, `a_k (s, width)`.

    Args:
        width: number of features that are iterated.
        image_size, hidden, n_classes: as in `IteratedNet`.
    """

    def __init__(
        self,
        width: int,
        image_size: int = 28,
        hidden: int = 1024,
        n_classes: int = 10,
    ) -> None:
        super().__init__()
        self.lift = nn.Sequential(nn.Flatten(), nn.Linear(image_size**2, width))
        self.recurrent = nn.Linear(width, width)
        self.head = dense_head(width, hidden, n_classes)


class UntiedNet(_Iterated):
    """A network with a layer of its own for every step; made by `untie`."""

    def __init__(self, lift: nn.Module, layers: Iterable[nn.Module], head: nn.Module):
        super().__init__()
        self.lift = lift
        self.layers = nn.ModuleList(layers)
        self.head = head

    def layer(self, k: int) -> nn.Module:
        return self.layers[k]

    def features(self, x: Tensor, iterations: int) -> Iterator[Tensor]:
        """Yield `a_0`, ..., `a_iterations`.

        Raises:
            ValueError: if there are fewer layers than `iterations`, or it is negative.
        """
        if iterations > len(self.layers):
            raise ValueError(
                f"this net has {len(self.layers)} layers; {iterations} iterations "
                "need as many"
            )
        yield from super().features(x, iterations)


def untie(model: IteratedNet | DenseIteratedNet, iterations: int) -> UntiedNet:
    """Return an untied net that computes what `model` computes.

    Args:
        model: a tied net; it is left unchanged and shares no weight with the result.
        iterations: number of layers; each starts as a copy of `model.recurrent`.

    Returns:
        A net that is called like the original, with at most `iterations` iterations.
    """
    if iterations < 0:
        raise ValueError(f"iterations must not be negative, not {iterations}")
    net = UntiedNet(
        copy.deepcopy(model.lift),
        [copy.deepcopy(model.recurrent) for _ in range(iterations)],
        copy.deepcopy(model.head),
    )
    net.training = model.training
    return net


def count(module: nn.Module) -> int:
    """Return the number of trainable numbers in `module`, shared ones once."""
    return sum(p.numel() for p in module.parameters())


def parameter_budget(model: IteratedNet) -> dict[str, int]:
    """Return how many parameters the lift, the recurrent layer and the head have."""
    parts = ("lift", "recurrent", "head")
    budget = {name: count(getattr(model, name)) for name in parts}
    return budget | {"total": count(model)}


def fixed_point(
    step: Callable[[Tensor], Tensor], a0: Tensor, tol: float, max_iter: int
) -> tuple[Tensor, list[float]]:
    """Iterate `a_{k+1} = step(a_k)` until it hardly moves.

    Args:
        step: the map.   a0: where to start, any shape; left unchanged.
        tol: stop as soon as the residual `|a_{k+1} - a_k| / |a_k|` is at most this.
            Norms are Euclidean, over all entries; a zero iterate counts as norm 1.
        max_iter: stop after so many applications of `step` at the latest.

    Returns:
        The last iterate, and the list of all residuals as floats.

    Raises:
        ValueError: if it diverges: a step is not finite, or `RUNAWAY` times as long as
            the first one.
    """
    a, residuals, first = a0, [], None
    for k in range(max_iter):
        new = step(a)
        length = torch.linalg.vector_norm(new - a).item()
        size = torch.linalg.vector_norm(a).item() or 1.0
        first = length if first is None else first
        if not math.isfinite(length / size) or length > RUNAWAY * first:
            raise ValueError(
                f"the iteration diverges: step {k + 1} has length {length:.3g}, the "
                f"first one had {first:.3g}; is the map a contraction?"
            )
        a = new
        residuals.append(length / size)
        if residuals[-1] <= tol:
            break
    return a, residuals


def operator_norm(conv: nn.Conv2d, size: int, n_iter: int = 100) -> float:
    """Return the largest stretch of a convolution on `size` x `size` images.

    Power iteration, which approaches the norm from below.
    """
    generator = torch.Generator().manual_seed(0)
    return power_iteration_norm(conv, size, n_iter - 1, generator).item()


# ----------------------------------------------------------------- the competitors


def cnn(
    hidden: int = 1024, image_size: int = 28, n_classes: int = 10, filters: int = 32
) -> nn.Module:
    """Return the seed's baseline: two convolutions with pooling, then the same head.

    The first convolution has `filters` channels, the second one twice as many.
    """
    return nn.Sequential(
        nn.Conv2d(1, filters, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(filters, 2 * filters, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        dense_head(2 * filters * (image_size // 4) ** 2, hidden, n_classes),
    )


def mlp(hidden: int = 1024, image_size: int = 28, n_classes: int = 10) -> nn.Module:
    """Return the head alone, on the pixels: what is left without any features."""
    return dense_head(image_size**2, hidden, n_classes)


def of_equal_size(build: Callable[[int], nn.Module], n_parameters: int) -> nn.Module:
    """Return `build(width)` with the largest width that stays within `n_parameters`.

    Raises:
        ValueError: if even width 1 is too large.
    """

    def size(width: int) -> int:
        with torch.device("meta"):  # shapes only: nothing is allocated or drawn
            return count(build(width))

    low, high = 0, 1
    while size(high) <= n_parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) <= n_parameters else (low, middle)
    if low == 0:
        raise ValueError(f"width 1 has {size(1)} parameters, more than {n_parameters}")
    return build(low)
