"""Networks that are invertible by contraction: the i-ResNet.

Sources: Behrmann et al. 2019, "Invertible residual networks" (Theorem 1, Algorithm 1,
equation 4), and the lab "i-RevNet and i-ResNet" whose layer is `x - F(x)`.

The layer can be undone by fixed-point iteration when F is a contraction, so everything
here turns around one number: the norm of a convolution as a linear map between images.

Shapes: images `(s, C, N, N)`; kernels `(C_out, C_in, k, k)`.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional

from odenets.nets import irevnet

Residual = Callable[[torch.Tensor], torch.Tensor]
Size = int | tuple[int, int]
Padding = Literal["zeros", "circular"]

# ------------------------------------------------------------------- the inverse


def fixed_point_inverse(residual: Residual, y: torch.Tensor, n_iter: int):
    """Solve `x - residual(x) = y` by `x <- y + residual(x)`, starting at y (Q11).

    If the residual has a Lipschitz constant rho < 1, the error after k iterations is at
    most rho^k times the norm of residual(x) (Banach's fixed-point theorem).

    Args:
        residual: function F of the layer `x - F(x)`.
        y: output of the layer; it is left unchanged.
        n_iter: how often the residual is applied.
    """
    x = y
    for _ in range(n_iter):
        x = y + residual(x)
    return x


def iterations_needed(residual_norm: float, rho: float, eps: float) -> int:
    """Return the smallest k with `rho^k residual_norm <= eps` (question 11).

    Raises:
        ValueError: unless 0 < rho < 1 and eps > 0.
    """
    if not 0 < rho < 1:
        raise ValueError(f"rho is {rho}; the bound holds for 0 < rho < 1 only")
    if not eps > 0:
        raise ValueError(f"eps is {eps}, but it has to be positive")
    if residual_norm <= eps:
        return 0
    k = max(math.ceil(math.log(eps / residual_norm) / math.log(rho)), 0)
    # Rounding of the logarithms may move an exact power by one, either way.
    while k > 0 and rho ** (k - 1) * residual_norm <= eps:
        k -= 1
    while rho**k * residual_norm > eps:
        k += 1
    return k


# --------------------------------------------------------- norms of a convolution


def circular_conv_norm(x: torch.Tensor) -> torch.Tensor:
    """Return the norm of `y -> x (*) y`, the circular convolution (question 12).

    The discrete Fourier transform turns it into a product, frequency by frequency, so
    the norm is the largest modulus of the unnormalised transform of x, `(N,)`.
    """
    return torch.fft.fft(x).abs().max()


def conv_norm(weight: torch.Tensor, image_size: Size, padding: str) -> torch.Tensor:
    """Return the norm of a stride-1 convolution, or a bound on it (question 12).

    Args:
        weight: kernel `(C_out, C_in, k, k)`.
        image_size: height and width of the images, or one number for both.
        padding: `"circular"`, where the result is exact, or `"zeros"`, where it is an
            upper bound: a convolution with zero padding is the circular convolution
            on a grid of N + k - 1 points, seen through a window of N points.
    Raises:
        ValueError: for other paddings, or weights that are not finite.
    """
    return conv_norms(weight[None], image_size, padding)[0]


def conv_norms(weights: torch.Tensor, image_size: Size, padding: str) -> torch.Tensor:
    """Return `conv_norm` for a stack of kernels `(L, C_out, C_in, k, k)` at once.

    At every frequency the convolution is a small matrix, `C_out` times `C_in`. The
    norm is the largest singular value of all of them.
    """
    size = weights.detach().abs().amax((1, 2, 3, 4))
    if not torch.isfinite(size).all():
        raise ValueError("the weights are not finite: did the training diverge?")
    size = torch.where(size > 0, size, 1)  # keeps squares of tiny weights above zero
    symbols = conv_symbols(weights / size.view(-1, 1, 1, 1, 1), image_size, padding)
    return _largest_singular_value(symbols) * size


def conv_symbols(weights: torch.Tensor, image_size: Size, padding: str) -> torch.Tensor:
    """Return the matrices `(L, n_frequencies, C_out, C_in)` of `conv_norms`.

    The kernels are real, so the frequency -w gives the complex conjugate of w, with the
    same singular values: half of the grid is enough (`rfft2`). Where the kernel sits on
    the grid, and that torch computes a correlation, changes phases only.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    height, width = weights.shape[-2:]
    if padding == "zeros":
        grid = (size[0] + height - 1, size[1] + width - 1)
    elif padding == "circular":
        grid = size
        weights = _wrap(weights, grid)
    else:
        raise ValueError(f"padding is {padding!r}, not 'circular' or 'zeros'")
    return torch.fft.rfft2(weights, s=grid).flatten(-2).movedim(-1, 1)


def _wrap(weights: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Add up what falls on the same point of a circular grid smaller than the kernel.

    `rfft2(weights, s=grid)` alone would cut the rest of the kernel off.
    """
    for dim, n in zip((-2, -1), grid):
        rows = weights.movedim(dim, -1)
        rows = functional.pad(rows, (0, -rows.shape[-1] % n)).unflatten(-1, (-1, n))
        weights = rows.sum(-2).movedim(-1, dim)
    return weights


def _largest_singular_value(symbols: torch.Tensor) -> torch.Tensor:
    """Return the largest singular value of `(L, f, m, n)` over f, as `(L,)`.

    The eigenvalues of the Gram matrices are their squares. A Frobenius norm bounds them
    and costs next to nothing: where even the bound is below a value that is already
    known, no eigenvalue has to be computed. This changes the time only.
    """
    gram = symbols @ symbols.mH
    with torch.no_grad():
        square = torch.view_as_real(gram @ gram)
        bound = square.square().sum((-3, -2, -1)) ** 0.25  # >= the largest eigenvalue
        layer = torch.arange(len(bound), device=bound.device)
        best = torch.linalg.eigvalsh(gram[layer, bound.argmax(1)])[:, -1]
        # A little slack for rounding; and every layer keeps its best candidate.
        candidate = bound * (1 + 1e-5) >= best[:, None]
    values = gram.real.new_zeros(candidate.shape)
    values[candidate] = torch.linalg.eigvalsh(gram[candidate])[:, -1].clamp_min(0)
    return values.amax(1).sqrt()


def conv_matrix(conv: nn.Conv2d, image_size: Size) -> torch.Tensor:
    """Return the convolution (without its bias) as an explicit matrix: the truth.

    Column i holds the flattened image that comes of the i-th unit image. It has
    `(C_out H' W')` rows and `(C_in H W)` columns, so this is for small images only.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    shape = (conv.in_channels, *size)
    units = torch.eye(math.prod(shape), dtype=conv.weight.dtype).view(-1, *shape)
    with torch.no_grad():
        images = _linear_part(conv)(units)
    return images.flatten(1).T


def power_iteration_norm(
    conv: nn.Conv2d, image_size: Size, n_iter: int, generator: torch.Generator
) -> torch.Tensor:
    """Estimate the norm with `v <- W^T W v`, for any padding; a *lower* bound.

    Args:
        conv: convolution, whose bias is ignored.
        image_size: height and width of the images, or one number for both.
        n_iter: number of iterations.
        generator: draws the image to start with.
    """
    v = power_start(conv, image_size, generator)
    for _ in range(n_iter):
        _, v = power_step(conv, v)
    return power_step(conv, v)[0]


def power_start(
    conv: nn.Conv2d, image_size: Size, generator: torch.Generator
) -> torch.Tensor:
    """Draw a unit image `(1, C_in, N, N)` to start the power iteration from."""
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    shape = (1, conv.in_channels, *size)
    v = torch.randn(shape, generator=generator, dtype=conv.weight.dtype)
    return (v / v.norm()).to(conv.weight.device)


def power_step(conv: nn.Conv2d, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return `|W v|` and the unit image along `W^T W v`; zero where W v is zero."""
    with torch.no_grad():
        # The product with the transposed matrix is the gradient of W v . (W v).
        image, transposed, *_ = torch.func.vjp(_linear_part(conv), v)
        (back,) = transposed(image)
        return image.norm(), back / back.norm().clamp(torch.finfo(back.dtype).tiny)


def reshaped_kernel_norm(weight: torch.Tensor) -> torch.Tensor:
    """Return the norm of the kernel read as a matrix `(C_out, C_in k k)`.

    This is what `torch.nn.utils.parametrizations.spectral_norm` controls. It is *not*
    the norm of the convolution, which may be up to k times (the kernel's width) larger.
    """
    return torch.linalg.matrix_norm(weight.flatten(1), 2)


def _linear_part(conv: nn.Conv2d) -> Residual:
    def linear(x: torch.Tensor) -> torch.Tensor:
        if conv.padding_mode != "zeros":
            pads = conv._reversed_padding_repeated_twice
            x = functional.pad(x, pads, mode=conv.padding_mode)
            return functional.conv2d(x, conv.weight, None, conv.stride)
        return functional.conv2d(x, conv.weight, None, conv.stride, conv.padding)

    return linear


def normalize_(conv: nn.Conv2d, rho: float, image_size: Size) -> nn.Conv2d:
    """Scale the weight in place so that the norm of `conv` is at most `rho` (Q12, 13).

    A weight whose norm is at most rho already is left as it is. The parameter stays the
    same object, so that an optimiser that holds it goes on with it.
    """
    with torch.no_grad():
        norm = conv_norm(conv.weight, image_size, conv.padding_mode)
        if norm > rho:
            conv.weight.mul_(rho / norm)
    return conv


# -------------------------------------------------------------------- the networks


class LabResNet(irevnet.Net):
    """The lab's residual network: the plain one, with layers `x - relu(conv(x))`."""

    def forward(self, x: torch.Tensor, classif: bool = True) -> torch.Tensor:
        """Return scores `(s, 10)`, or features of the shape of `x`."""
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = x - torch.relu(conv(x))
        return self.fc(x.flatten(1)) if classif else x


class InvertibleResidual(nn.Module):
    """One layer `x - relu(conv(x))` that can be kept a contraction (question 13)."""

    def __init__(
        self, kernel_size: int = 7, channels: int = 16, padding_mode: Padding = "zeros"
    ) -> None:
        """Make a layer for images of `channels` channels; `kernel_size` is odd."""
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}, but it has to be odd")
        self.conv = nn.Conv2d(
            channels,
            channels,
            kernel_size,
            padding=kernel_size // 2,
            padding_mode=padding_mode,
        )

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        """Return F(x); its Lipschitz constant is at most the norm of `conv`."""
        return torch.relu(self.conv(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x - F(x)`."""
        return x - self.residual(x)

    def normalize(self, rho: float = 0.9, image_size: Size = 7) -> "InvertibleResidual":
        """Make the Lipschitz constant of F at most `rho`, for images of this size."""
        normalize_(self.conv, rho, image_size)
        return self

    def inverse(self, y: torch.Tensor, n_iter: int = 100) -> torch.Tensor:
        """Solve `x - F(x) = y`; right only where F is a contraction."""
        return fixed_point_inverse(self.residual, y, n_iter)


class iResNet(nn.Module):
    """Four invertible residual layers and a linear classifier on top (question 14)."""

    def __init__(
        self,
        channels: int = 16,
        image_size: int = 7,
        n_classes: int = 10,
        kernel_size: int = 7,
        padding_mode: Padding = "zeros",
    ) -> None:
        """Make a net for inputs `(s, channels, image_size, image_size)`."""
        super().__init__()
        self.image_size = image_size
        self.conv1 = InvertibleResidual(kernel_size, channels, padding_mode)
        self.conv2 = InvertibleResidual(kernel_size, channels, padding_mode)
        self.conv3 = InvertibleResidual(kernel_size, channels, padding_mode)
        self.conv4 = InvertibleResidual(kernel_size, channels, padding_mode)
        self.fc = nn.Linear(channels * image_size**2, n_classes)

    @property
    def layers(self) -> tuple[InvertibleResidual, ...]:
        """The four residual layers, in the order of `forward`."""
        return self.conv1, self.conv2, self.conv3, self.conv4

    def normalize(self, rho: float = 0.9) -> "iResNet":
        """Make the Lipschitz constant of every residual at most `rho`.

        The norms of all layers are computed together, which is what makes it cheap
        enough to be done after every step of the optimiser.
        """
        convs = [layer.conv for layer in self.layers]
        with torch.no_grad():
            weights = torch.stack([conv.weight for conv in convs])
            norms = conv_norms(weights, self.image_size, convs[0].padding_mode)
            for conv, factor in zip(convs, (rho / norms).clamp(max=1)):
                conv.weight.mul_(factor)
        return self

    def forward(self, x: torch.Tensor, classif: bool = True) -> torch.Tensor:
        """Return scores `(s, n_classes)`, or features of the shape of `x`."""
        for layer in self.layers:
            x = layer(x)
        return self.fc(x.flatten(1)) if classif else x

    def inverse(self, x: torch.Tensor, n_iter: int = 100) -> torch.Tensor:
        """Return the input whose features are `x`, by `n_iter` iterations a layer."""
        for layer in reversed(self.layers):
            x = layer.inverse(x, n_iter)
        return x


def train_norm(
    net: iResNet,
    loader: Iterable,
    n_epoch: int = 40,
    learning_rate: float = 0.05,
    rho: float = 0.9,
) -> list[float]:
    """Train as `irevnet.train` does, and normalise after every step (question 13).

    The net is normalised before the first step too, so that the function that is
    trained is a contraction from the beginning.
    """
    net.normalize(rho)
    return irevnet.train(
        net, loader, n_epoch, learning_rate, lambda _: net.normalize(rho)
    )


def inverse_errors(
    net: nn.Module, x: torch.Tensor, counts: Iterable[int]
) -> list[float]:
    """Return the largest error of the inverse over all entries (question 15).

    Args:
        net: `net(x, classif=False)` are its features, and it has an `inverse`.
        x: images `(s, ...)`.
        counts: numbers of fixed-point iterations per layer; an error for each,
            infinite where something comes back that is not finite.
    """
    inverse: Any = net.inverse
    with torch.no_grad():
        y = net(x, classif=False)
        errors = [(inverse(y, n_iter) - x).abs().max() for n_iter in counts]
    return [error.item() if error.isfinite() else math.inf for error in errors]


# ------------------------------------------------------- log-determinants and density


def log_det_series(
    residual: Residual, x: torch.Tensor, n_terms: int, noise: torch.Tensor
) -> torch.Tensor:
    """Estimate `ln det(I - dF/dx)` for every sample, without a determinant.

    ln det(I - J) = - sum_{k >= 1} tr(J^k) / k for a contraction, and with v^T J^k v in
    place of the trace, which has the right mean for noise v of unit covariance
    (Hutchinson; Behrmann et al. 2019, section 3.2, with the sign of the layer x - F).

    Args:
        residual: F, which treats the samples of a batch independently.
        x: `(s, ...)`, where the derivative is taken.
        n_terms: where the series is cut off.
        noise: v, of the shape of `x`; the same for all terms.
    Returns:
        One value per sample, `(s,)`; gradients flow through it.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        value = residual(x)
    w, total = noise, x.new_zeros(len(x))
    for k in range(1, n_terms + 1):
        # One product of a row with the Jacobian: w <- J^T w.
        (w,) = torch.autograd.grad(
            value, x, w, retain_graph=True, create_graph=create_graph
        )
        total = total - (w * noise).flatten(1).sum(1) / k
    return total


def log_det_exact(residual: Residual, x: torch.Tensor) -> torch.Tensor:
    """Compute `ln |det(I - dF/dx)|` for every sample from the whole Jacobian.

    One backward pass per entry of a sample: for small samples only. Arguments and
    gradients as for `log_det_series`.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        values = residual(x).flatten(1).sum(0).unbind()  # samples are independent
    rows = []
    for value in values:
        (row,) = torch.autograd.grad(
            value, x, create_graph=create_graph, retain_graph=True
        )
        rows.append(row.flatten(1))
    jacobian = torch.stack(rows, dim=1)
    return torch.linalg.slogdet(torch.eye(len(rows)).to(x) - jacobian)[1]


def log_det_truncation_bound(d: int, lipschitz: float, n_terms: int) -> float:
    """Bound what `n_terms` terms leave out: d (-ln(1 - L) - sum_{k<=n} L^k / k).

    (Behrmann et al. 2019, Theorem 3.) The traces are exact here: the spread of
    Hutchinson's estimate comes on top.

    Raises:
        ValueError: unless 0 <= lipschitz < 1.
    """
    if not 0 <= lipschitz < 1:
        raise ValueError(f"the Lipschitz constant is {lipschitz}, not in [0, 1)")
    kept = sum(lipschitz**k / k for k in range(1, n_terms + 1))
    return d * (-math.log1p(-lipschitz) - kept)


class ResidualMLP(nn.Module):
    """A layer `z - F(z)` for vectors; F is a small fully connected net with ELUs.

    An ELU has slopes between 0 and 1 and, other than a ReLU, a curved graph: the
    gradient of the log-determinant needs second derivatives.
    """

    def __init__(self, dim: int = 2, width: int = 64, n_linear: int = 3) -> None:
        super().__init__()
        sizes = [dim, *[width] * (n_linear - 1), dim]
        self.linears: Any = nn.ModuleList(map(nn.Linear, sizes[:-1], sizes[1:]))

    def residual(self, z: torch.Tensor) -> torch.Tensor:
        """Return F(z), of the shape of `z`, `(s, dim)`."""
        for linear in self.linears[:-1]:
            z = functional.elu(linear(z))
        return self.linears[-1](z)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return `z - F(z)`."""
        return z - self.residual(z)

    def normalize(self, rho: float) -> "ResidualMLP":
        """Bound the Lipschitz constant of F by `rho`: each factor takes its share."""
        share = rho ** (1 / len(self.linears))
        with torch.no_grad():
            for linear in self.linears:
                norm = torch.linalg.matrix_norm(linear.weight, 2)
                linear.weight.mul_((share / norm).clamp(max=1))
        return self

    def inverse(self, y: torch.Tensor, n_iter: int = 100) -> torch.Tensor:
        """Solve `z - F(z) = y` by fixed-point iteration."""
        return fixed_point_inverse(self.residual, y, n_iter)


class iResNetDensity(nn.Module):
    """Residual layers that carry a density to the standard normal distribution.

    log p(x) = log N(Phi(x)) + the sum over the layers of ln det(I - dF/dz): the change
    of variables. Sampling goes the other way, through the fixed-point inverse.
    """

    def __init__(self, dim: int = 2, n_layers: int = 8, width: int = 64) -> None:
        super().__init__()
        layers = [ResidualMLP(dim, width) for _ in range(n_layers)]
        self.layers: Any = nn.ModuleList(layers)

    def normalize(self, rho: float = 0.9) -> "iResNetDensity":
        """Make the Lipschitz constant of every residual at most `rho`."""
        for layer in self.layers:
            layer.normalize(rho)
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Carry data `(s, dim)` to the noise."""
        for layer in self.layers:
            x = layer(x)
        return x

    def inverse(self, z: torch.Tensor, n_iter: int = 100) -> torch.Tensor:
        """Carry noise `(s, dim)` to the data."""
        for layer in reversed(self.layers):
            z = layer.inverse(z, n_iter)
        return z

    def log_prob(
        self,
        x: torch.Tensor,
        n_terms: int | None = None,
        noise: Sequence[torch.Tensor] = (),
    ) -> torch.Tensor:
        """Return log p(x) in nats, one value per sample.

        Args:
            x: `(s, dim)`.
            n_terms: terms of the series; None computes the determinants instead.
            noise: for the series, one tensor like `x` per layer.
        """
        total = x.new_zeros(len(x))
        for i, layer in enumerate(self.layers):
            if n_terms is None:
                total = total + log_det_exact(layer.residual, x)
            else:
                total = total + log_det_series(layer.residual, x, n_terms, noise[i])
            x = layer(x)
        base = -0.5 * (x**2 + math.log(2 * math.pi)).flatten(1).sum(1)
        return base + total
