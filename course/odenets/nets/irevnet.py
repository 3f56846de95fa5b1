"""Networks that are invertible by construction: additive couplings and the i-RevNet.

Sources: Jacobsen, Smeulders and Oyallon 2018, "i-RevNet: deep invertible networks"
(couplings, squeeze, bottleneck), and the lab "i-RevNet and i-ResNet" whose names and
sizes are kept: an image of 28x28 pixels is read as 16 channels of 7x7 pixels.

Shapes: images `(s, C, N, N)`; the two halves of a split `(s, C/2, N, N)`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from odenets import training

Halves = tuple[torch.Tensor, torch.Tensor]
Layer = Callable[[torch.Tensor], torch.Tensor]


def lab_view(images: torch.Tensor) -> torch.Tensor:
    """Read images of 28x28 pixels as `(s, 16, 7, 7)`, row by row as the lab does.

    Channel c holds the pixels 49 c ... 49 c + 48 of the image, so one and three
    quarter rows of it. Compare `SpaceToDepth`, which keeps neighbours together.

    Args:
        images: `(s, 1, 28, 28)`, `(s, 28, 28)` or `(s, 784)`.
    """
    return images.reshape(-1, 16, 7, 7)


# ------------------------------------------------------------------ train and test


def train(
    net: nn.Module,
    loader: Iterable,
    n_epoch: int = 40,
    learning_rate: float = 0.05,
    after_step: Callable[[nn.Module], Any] | None = None,
) -> list[float]:
    """Train a classifier with the cross-entropy, SGD and momentum 0.9 (question 2).

    Args:
        net: maps inputs to scores `(s, n_classes)`; it is left in training mode.
        loader: yields pairs of inputs and integer labels; it is read once per epoch.
        n_epoch: how often all the data are seen.
        learning_rate: step size of the optimiser.
        after_step: called with the net after every step, e.g. to normalise weights.
    Returns:
        The loss of every step, as floats.
    """
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate, momentum=0.9)
    step = training.Step(
        net, functional.cross_entropy, optimizer, after_step=after_step
    )
    net.train()
    return [step(batch).item() for _ in range(n_epoch) for batch in loader]


def test(net: nn.Module, loader: Iterable) -> float:
    """Return the fraction of samples that the net classifies correctly.

    The net is evaluated in eval mode and without a graph; the mode of every one of its
    modules is restored afterwards, also after an error.
    """
    return training.accuracy(net, loader)


vars(test)["__test__"] = False  # the lab's name; pytest must not take it for a test


class Net(nn.Module):
    """The lab's plain network: four convolutions, each with a ReLU, then a linear map.

    58 090 parameters; nothing in it can be inverted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(16, 16, 7, padding=3)
        self.conv2 = nn.Conv2d(16, 16, 7, padding=3)
        self.conv3 = nn.Conv2d(16, 16, 7, padding=3)
        self.conv4 = nn.Conv2d(16, 16, 7, padding=3)
        self.fc = nn.Linear(28 * 28, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(s, 16, 7, 7)` to scores `(s, 10)`."""
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = torch.relu(conv(x))
        return self.fc(x.flatten(1))


# ---------------------------------------------------------------- couplings, bare


def coupling_forward(
    fs: Sequence[Layer], x: torch.Tensor, x_tilde: torch.Tensor
) -> Halves:
    """Apply the layers `(x, x~) -> (x~ + F(x), x)`, the first of `fs` first (Q3).

    Args:
        fs: functions from the space of `x` to the space of `x_tilde`, and back, in
            turn: the halves swap places in every layer.
        x, x_tilde: the two halves; any shapes that `fs` can add.
    """
    for f in fs:
        x, x_tilde = x_tilde + f(x), x
    return x, x_tilde


def coupling_inverse(
    fs: Sequence[Layer], y: torch.Tensor, y_tilde: torch.Tensor
) -> Halves:
    """Undo `coupling_forward` with the same functions; none of them is inverted."""
    for f in reversed(fs):
        y, y_tilde = y_tilde, y - f(y_tilde)
    return y, y_tilde


def inverse_element(fs: Sequence[Layer]) -> list[Layer]:
    """Return functions whose `coupling_forward` undoes that of `fs` (question 4).

    With B_F(x, x~) = (x~ + F(x), x), the layer of the zero function B_0 is a swap and
    B_F^{-1} = B_0 B_{-F} B_0, a product of layers of the same kind. This needs halves
    of one common size, and a class of functions that contains 0 and -F.
    """

    def negative(f: Layer) -> Layer:
        return lambda x: -f(x)

    # Swaps between two neighbours cancel, so that one at either end is left.
    return [torch.zeros_like, *(negative(f) for f in reversed(fs)), torch.zeros_like]


# ------------------------------------------------------------------- the lab's net


class SplitAlongChannels(nn.Module):
    """Cut a tensor into its first and its second half of channels (question 5)."""

    def forward(self, x: torch.Tensor) -> Halves:
        """Map `(s, C, H, W)` to two tensors `(s, C/2, H, W)`.

        Raises:
            ValueError: if the number of channels is odd.
        """
        half = _half(x.shape[1])
        return x[:, :half], x[:, half:]

    def inverse(self, X: Halves) -> torch.Tensor:
        """Put the two halves together again."""
        return torch.cat(X, dim=1)


class InvertibleLayer(nn.Module):
    """One additive coupling, `(a, b) -> (b, a + relu(conv(b)))` (question 6)."""

    def __init__(self, kernel_size: int = 7, channels: int = 8) -> None:
        """Make a layer for halves of `channels` channels; `kernel_size` is odd."""
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, but it has to be odd")
        self.conv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, X: Halves) -> Halves:
        """Map `(a, b)`, each `(s, channels, H, W)`, to `(b, a + relu(conv(b)))`."""
        a, b = X
        return b, a + torch.relu(self.conv(b))

    def inverse(self, X: Halves) -> Halves:
        """Undo `forward`: one more evaluation of the same convolution."""
        a, b = X
        return b - torch.relu(self.conv(a)), a


class iRevNet(nn.Module):
    """Split, four couplings, join, and a linear classifier on top (question 7).

    With the lab's sizes it has 20 426 parameters, about a third of `Net`.
    """

    def __init__(
        self,
        channels: int = 16,
        image_size: int = 7,
        n_classes: int = 10,
        kernel_size: int = 7,
    ) -> None:
        """Make a net for inputs `(s, channels, image_size, image_size)`.

        Raises:
            ValueError: if `channels` or `kernel_size` does not suit: an even number of
                channels is needed for the split, an odd kernel keeps the size.
        """
        super().__init__()
        half = _half(channels)
        self.split = SplitAlongChannels()
        self.conv1 = InvertibleLayer(kernel_size, half)
        self.conv2 = InvertibleLayer(kernel_size, half)
        self.conv3 = InvertibleLayer(kernel_size, half)
        self.conv4 = InvertibleLayer(kernel_size, half)
        self.fc = nn.Linear(channels * image_size**2, n_classes)

    def forward(self, x: torch.Tensor, classif: bool = True) -> torch.Tensor:
        """Return scores `(s, n_classes)`, or features of the shape of `x`."""
        X = self.split(x)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            X = layer(X)
        features = self.split.inverse(X)
        return self.fc(features.flatten(1)) if classif else features

    def inverse(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input whose features are `x`."""
        X = self.split(x)
        for layer in (self.conv4, self.conv3, self.conv2, self.conv1):
            X = layer.inverse(X)
        return self.split.inverse(X)


def _half(channels: int) -> int:
    if channels % 2:
        raise ValueError(
            f"{channels} channels cannot be cut into two halves of equal size; "
            "the number of channels has to be even"
        )
    return channels // 2


# ---------------------------------------------------------------- there and back again


def roundtrip_error(there: Layer, back: Layer, x: torch.Tensor) -> float:
    """Return what `x` loses on the way through `there` and `back` (question 9).

    The largest error of an entry, relative to the largest entry of `x`; infinite if
    anything comes back that is not finite. No gradients are recorded, and `x` stays as
    it is where a map writes into its argument.

    Args:
        there, back: maps of one tensor.
        x: any shape, not all zero.
    Raises:
        ValueError: if what comes back has another shape than `x`.
    """
    with torch.no_grad():
        came = back(there(x.clone()))
        if came.shape != x.shape:
            raise ValueError(
                f"what comes back has the shape {tuple(came.shape)}, but "
                f"{tuple(x.shape)} was sent"
            )
        if not torch.isfinite(came).all():
            return float("inf")
        return ((came - x).abs().max() / x.abs().max()).item()


# ------------------------------------------------------------- how it reaches further


class SpaceToDepth(nn.Module):
    """The squeeze: pixels of every r x r square become r^2 channels; nothing is lost.

    A pooling layer would forget; this only sorts, so its inverse sorts back.
    """

    def __init__(self, r: int = 2) -> None:
        super().__init__()
        self.r = r

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(s, C, r H, r W)` to `(s, r^2 C, H, W)`.

        Raises:
            ValueError: if `r` does not divide the height and the width.
        """
        if x.shape[-1] % self.r or x.shape[-2] % self.r:
            raise ValueError(
                f"an image of {x.shape[-2]}x{x.shape[-1]} pixels has no whole number "
                f"of {self.r}x{self.r} squares"
            )
        return functional.pixel_unshuffle(x, self.r)

    def inverse(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(s, r^2 C, H, W)` back to `(s, C, r H, r W)`."""
        return functional.pixel_shuffle(x, self.r)


class PadChannels(nn.Module):
    """Append channels of zeros: injective, and undone by dropping them again."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `(s, C, H, W)` to `(s, C + extra, H, W)`."""
        return functional.pad(x, (0, 0, 0, 0, 0, self.extra))

    def inverse(self, x: torch.Tensor) -> torch.Tensor:
        """Drop the last `extra` channels."""
        return x[:, : x.shape[1] - self.extra]


class BottleneckLayer(nn.Module):
    """The coupling of the i-RevNet paper: `(x1, x2) -> (S x2, S x1 + F(x2))`.

    F is a pre-activation bottleneck, [BN-ReLU-] conv 3x3 - BN-ReLU - conv 3x3 -
    BN-ReLU - conv 3x3, which narrows to a quarter of the channels in between.
    S is the identity at stride 1 and the squeeze at stride 2, which quarters the image
    and makes four times as many channels.

    Batch normalisation computes with the statistics of the batch in training mode:
    the layer can be inverted in eval mode only, where it is a fixed affine map.
    """

    def __init__(self, channels: int, stride: int = 1, first: bool = False) -> None:
        """Make a layer for halves of `channels` channels.

        Args:
            channels: per half, on entry.
            stride: 1 or 2.
            first: leave out the first BN-ReLU, which would hide half of the raw input.
        """
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride is {stride}, but 1 or 2 are possible")
        out = channels * stride**2
        narrow = max(out // 4, 1)
        self.squeeze = SpaceToDepth(stride)
        layers = [] if first else [nn.BatchNorm2d(channels), nn.ReLU()]
        layers += [nn.Conv2d(channels, narrow, 3, stride, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(narrow), nn.ReLU()]
        layers += [nn.Conv2d(narrow, narrow, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(narrow), nn.ReLU()]
        layers += [nn.Conv2d(narrow, out, 3, padding=1, bias=False)]
        self.residual = nn.Sequential(*layers)

    def forward(self, X: Halves) -> Halves:
        """Map `(x1, x2)` to `(S x2, S x1 + F(x2))`."""
        x1, x2 = X
        return self.squeeze(x2), self.squeeze(x1) + self.residual(x2)

    def inverse(self, X: Halves) -> Halves:
        """Undo `forward`, in eval mode."""
        y1, y2 = X
        x2 = self.squeeze.inverse(y1)
        return self.squeeze.inverse(y2 - self.residual(x2)), x2


class BottleneckiRevNet(nn.Module):
    """A small i-RevNet in the style of the paper, for images `(s, 1, 28, 28)`.

    Squeeze, split, injective padding of both halves with zeros, couplings whose first
    one squeezes again, and a head BN - ReLU - mean over the pixels - linear map.

    Both halves hold a part of the image. Were one of them all zeros,
    batch normalisation would divide by the root of a variance near zero, and ruin
    the inverse.
    """

    def __init__(self, n_layers: int = 4, pad: int = 6, n_classes: int = 10) -> None:
        """Make a net with `n_layers` couplings; `pad` zero channels go to each half."""
        super().__init__()
        half = 2 + pad
        self.squeeze = SpaceToDepth(2)
        self.split = SplitAlongChannels()
        self.pad = PadChannels(pad)
        self.layers = nn.ModuleList(
            BottleneckLayer(half if i == 0 else 4 * half, 2 if i == 0 else 1, i == 0)
            for i in range(n_layers)
        )
        self.norm = nn.BatchNorm2d(8 * half)
        self.fc = nn.Linear(8 * half, n_classes)

    def forward(self, x: torch.Tensor, classif: bool = True) -> torch.Tensor:
        """Return scores `(s, n_classes)`, or features `(s, 8 (2 + pad), 7, 7)`."""
        x1, x2 = self.split(self.squeeze(x))
        X = self.pad(x1), self.pad(x2)
        for layer in self.layers:
            X = layer(X)
        features = self.split.inverse(X)
        if not classif:
            return features
        return self.fc(torch.relu(self.norm(features)).mean((2, 3)))

    def inverse(self, x: torch.Tensor) -> torch.Tensor:
        """Return the image whose features are `x`; call it in eval mode."""
        X = self.split(x)
        for layer in reversed(self.layers):
            X = cast(BottleneckLayer, layer).inverse(X)
        x1, x2 = map(self.pad.inverse, X)
        return self.squeeze.inverse(self.split.inverse((x1, x2)))
