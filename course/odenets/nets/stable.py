"""Networks whose depth can be trusted: what makes forward propagation stable.

The networks of Haber and Ruthotto, *Stable architectures for deep neural networks*,
Inverse Problems 34 (2017) 014004. A layer is a step of size h = T/N of a differential
equation; the family decides which equation and which step:

================== ======================================= =============
network            equation                                step
================== ======================================= =============
`ResidualNet`      y' = act(y K + b)                       forward Euler
`AntisymmetricNet` y' = act(y (K - K^T - gamma I)/2 + b)   forward Euler
`HamiltonianNet`   z' = -act(y K + b), y' = act(z K^T + b) Verlet
`LeapfrogNet`      y'' = act(y K + b), K = -C^T C          leapfrog
================== ======================================= =============

Everything is row-major: `Y` is `(s, n)`, one sample a row, `K` is `(N, n, n)` with one
matrix a layer, and `b` is `(N,)` with one *number* a layer. For images `Y` is
`(s, channels, height, width)`, `K` is `(N, channels, channels, k, k)` and the product
`Y K` is a convolution with zero padding. Its transpose is a convolution too, with the
channels swapped and the kernel turned by 180 degrees, so that one set of formulas
serves both.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from odenets.nets.resnet import Activation, smoothness

# ----------------------------------------------------------- eigenvalues and steps


def jacobian_eigenvalues(
    K: Tensor, b: Tensor | float, y: Tensor, activation: Activation = torch.tanh
) -> Tensor:
    """Return the eigenvalues of the Jacobian of `y -> activation(y K + b)`.

    In the column convention of the slides the Jacobian is
    J = diag(act'(K^T y + b)) K^T (Haber and Ruthotto 2017, eq. 7).

    Args:
        K: `(n, n)`.   b: a number, or a tensor without axes.
        y: one state `(n,)`, or a batch `(s, n)`.
        activation: acts on every entry alone.
    Returns: complex eigenvalues in no particular order, shaped like `y`.
    """
    argument = (y @ K + b).detach().requires_grad_()
    with torch.enable_grad():
        # The activation acts on every entry alone: its sum has the slopes as gradient.
        (slope,) = torch.autograd.grad(activation(argument).sum(), argument)
    return torch.linalg.eigvals(slope.unsqueeze(-1) * K.mT)


def in_order(eigenvalues: Tensor) -> Tensor:
    """Sort complex numbers along the last axis by real part, then by imaginary part.

    Real parts that agree to nine digits (five in single precision) count as equal.
    """
    digits = 9 if eigenvalues.dtype == torch.complex128 else 5
    by_imaginary = eigenvalues.imag.argsort(dim=-1, stable=True)
    eigenvalues = eigenvalues.gather(-1, by_imaginary)
    by_real = eigenvalues.real.round(decimals=digits).argsort(dim=-1, stable=True)
    return eigenvalues.gather(-1, by_real)


def max_stable_step(eigenvalues: Tensor) -> float:
    """Return the largest h with |1 + h lambda| <= 1 for all eigenvalues.

    Solving |1 + h lambda|^2 <= 1 for h gives h <= -2 Re(lambda) / |lambda|^2.

    Args:
        eigenvalues: complex or real, any shape.
    Returns: 0.0 when no positive step is stable (an eigenvalue is in the right half
        plane, or imaginary up to rounding), infinity when all eigenvalues are zero.
    """
    values = torch.as_tensor(eigenvalues).reshape(-1)
    values = values if values.is_complex() else torch.complex(values, 0 * values)
    size = values.abs()
    tiny = 100 * torch.finfo(values.dtype).eps
    nonzero = size > tiny * size.max()
    values, size = values[nonzero], size[nonzero]
    if values.numel() == 0:
        return float("inf")
    if bool((values.real > -tiny * size).any()):
        return 0.0
    return float((-2 * values.real / size**2).min())


# ----------------------------------------------------------- weights with a structure


def antisymmetric(K: Tensor, gamma: float = 0.0) -> Tensor:
    """Return (K - K^T - gamma I) / 2: imaginary eigenvalues, moved left by gamma / 2.

    Args:
        K: `(..., n, n)`.   gamma: damping, at least 0.
    """
    identity = torch.eye(K.shape[-1], dtype=K.dtype, device=K.device)
    return (K - K.mT - gamma * identity) / 2


def transposed_kernel(K: Tensor) -> Tensor:
    """Return the kernel of the transposed convolution operator.

    For zero padding that keeps the image size, <conv(x, K), y> = <x, conv(y, K')>
    with the two channel axes swapped and the kernel turned by 180 degrees.

    Args:
        K: `(..., channels out, channels in, k, k)` with k odd.
    """
    return K.transpose(-4, -3).flip(-1, -2)


def antisymmetric_kernel(K: Tensor, gamma: float = 0.0) -> Tensor:
    """Return the kernel of (K - K^T - gamma I) / 2 for convolutions.

    Args:
        K: `(..., channels, channels, k, k)` with k odd.   gamma: damping.
    """
    identity = torch.zeros_like(K)
    centre = K.shape[-1] // 2
    identity[..., centre, centre] = torch.eye(K.shape[-3], dtype=K.dtype)
    return (K - transposed_kernel(K) - gamma * identity) / 2


# ----------------------------------------------------------- steps


def verlet_step(
    y: Tensor,
    z: Tensor,
    K: Tensor,
    b: Tensor | float,
    h: float,
    activation: Activation = torch.tanh,
) -> tuple[Tensor, Tensor]:
    """Advance the Hamiltonian network by one layer: first z, then y with the new z.

    z' = -act(y K + b) and y' = act(z K^T + b): without the minus sign the matrix of
    the pair would be symmetric, with real eigenvalues of both signs.

    Args:
        y: `(s, n)`.   z: `(s, m)`, half a step behind.   K: `(n, m)`.
        b: a number.   h: step size.
    Returns: the new `(y, z)`.
    """
    z = z - h * activation(y @ K + b)
    y = y + h * activation(z @ K.mT + b)
    return y, z


def verlet_step_back(
    y: Tensor,
    z: Tensor,
    K: Tensor,
    b: Tensor | float,
    h: float,
    activation: Activation = torch.tanh,
) -> tuple[Tensor, Tensor]:
    """Undo `verlet_step`: the same two increments, the last one first.

    Args and returns as for `verlet_step`; the inverse is exact up to rounding,
    whatever K, b, h and the activation are.
    """
    y = y - h * activation(z @ K.mT + b)
    z = z + h * activation(y @ K + b)
    return y, z


def leapfrog_forward(
    y0: Tensor,
    C: Tensor,
    b: Tensor,
    h: float,
    activation: Activation = torch.tanh,
) -> Tensor:
    """Propagate y'' = act(y K + b) with K = -C^T C from rest by the leapfrog scheme.

    y_{j+1} = 2 y_j - y_{j-1} + h^2 act(y_j K_j + b_j), and y_{-1} = y_0.

    Args:
        y0: `(s, n)`.   C: `(N, n, n)`.   b: `(N,)`.   h: step size.
    Returns: the trajectory `(N + 1, s, n)`.
    """
    return torch.stack([y0, *_leapfrog(y0, -C.mT @ C, b, h, activation)])


def _leapfrog(
    y0: Tensor, K: Tensor, b: Tensor, h: float, activation: Activation
) -> Iterator[Tensor]:
    previous, y = y0, y0
    for K_j, b_j in zip(K.unbind(), b.unbind()):
        previous, y = y, 2 * y - previous + h**2 * activation(y @ K_j + b_j)
        yield y


# ----------------------------------------------------------- weights as functions of t


def prolong(theta: Tensor) -> Tensor:
    """Return the weights of a network with twice the layers.

    The weights are samples of a function of time at 0, h, .., (N - 1) h. The finer
    network samples its linear interpolant at 0, h/2, h, ..; after the last sample the
    function is constant.

    Args:
        theta: `(N, ...)`, one slice a layer.
    Returns: `(2 N, ...)`.
    """
    following = torch.cat([theta[1:], theta[-1:]])
    return torch.stack([theta, (theta + following) / 2], dim=1).flatten(0, 1)


# ----------------------------------------------------------- networks


class StableNet(nn.Module):
    """What the four networks share: weights `K (N, n, n)`, `b (N,)`, a final time T.

    Args:
        K: initial weights, `(N, n, n)`, or `(N, c, c, k, k)` for images.
        b: initial biases, `(N,)`.
        T: final time; a layer is a step of h = T / N.
        activation: acts on every entry alone.
    """

    def __init__(
        self,
        K: Tensor,
        b: Tensor,
        T: float,
        activation: Activation = torch.tanh,
        gamma: float = 0.0,
    ) -> None:
        super().__init__()
        self.K = nn.Parameter(K.detach().clone())
        self.b = nn.Parameter(b.detach().clone())
        self.T, self.activation, self.gamma = T, activation, gamma

    @property
    def h(self) -> float:
        """The step size T / N."""
        return self.T / len(self.K)

    @property
    def convolutional(self) -> bool:
        """Whether the weights are kernels rather than matrices."""
        return self.K.dim() == 5

    def layers(self, Y: Tensor) -> Iterator[Tensor]:
        """Yield Y_1, .., Y_N for `Y` `(s, n)` or `(s, channels, height, width)`."""
        raise NotImplementedError

    def forward(self, Y: Tensor) -> Tensor:
        """Return the last features Y_N; narrower input is padded with zeros."""
        Y = self.pad(Y)
        for Y in self.layers(Y):  # noqa: B020, B007 - only the last one is wanted
            pass
        return Y

    def trajectory(self, Y: Tensor) -> Tensor:
        """Return Y_0, .., Y_N as one tensor, `(N + 1, *Y.shape)`."""
        Y = self.pad(Y)
        return torch.stack([Y, *self.layers(Y)])

    def pad(self, Y: Tensor) -> Tensor:
        """Append zero features up to the width of the network."""
        missing = self.K.shape[2] - Y.shape[1]
        spare = (0, 0) * (Y.dim() - 2) + (0, missing)
        return F.pad(Y, spare) if missing else Y

    def regularity(self) -> Tensor:
        """Return the smoothness of the weights in time."""
        return smoothness(self.K, self.b, self.h)

    def refined(self) -> "StableNet":
        """Return a network of the same kind with twice the layers (see `prolong`)."""
        with torch.no_grad():
            K, b = prolong(self.K), prolong(self.b)
        return type(self)(K, b, self.T, self.activation, self.gamma)

    def _argument(self, Y: Tensor, K: Tensor, b: Tensor) -> Tensor:
        """Return Y K + b, for a matrix or a kernel."""
        if K.dim() == 2:
            return torch.addmm(b, Y, K)
        return F.conv2d(Y, K, b.expand(len(K)), padding=K.shape[-1] // 2)

    def _transposed(self, K: Tensor) -> Tensor:
        return transposed_kernel(K) if self.convolutional else K.mT


class ResidualNet(StableNet):
    """Y_{j+1} = Y_j + h act(Y_j K_j + b_j), with weights of any kind."""

    def weights(self) -> Tensor:
        """Return the matrices that the layers use."""
        return self.K

    def layers(self, Y: Tensor) -> Iterator[Tensor]:
        for K, b in zip(self.weights().unbind(), self.b.unbind()):
            slope = self.activation(self._argument(Y, K, b))
            Y = torch.add(Y, slope, alpha=self.h)
            yield Y


class AntisymmetricNet(ResidualNet):
    """A residual network whose weights are (K - K^T - gamma I) / 2."""

    def weights(self) -> Tensor:
        build = antisymmetric_kernel if self.convolutional else antisymmetric
        return build(self.K, self.gamma)


class HamiltonianNet(StableNet):
    """A pair (Y, Z), Z_0 = 0, propagated by `verlet_step`; only Y is shown outside."""

    def layers(self, Y: Tensor) -> Iterator[Tensor]:
        for Y, _ in self.pairs(Y):  # noqa: B020
            yield Y

    def pairs(self, Y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (Y_1, Z_1), .., (Y_N, Z_N)."""
        Z = torch.zeros_like(Y)
        back = self._transposed(self.K)
        for K, K_back, b in zip(self.K.unbind(), back.unbind(), self.b.unbind()):
            Z = torch.sub(Z, self.activation(self._argument(Y, K, b)), alpha=self.h)
            slope = self.activation(self._argument(Z, K_back, b))
            Y = torch.add(Y, slope, alpha=self.h)
            yield Y, Z


class LeapfrogNet(StableNet):
    """Second order in time; `K` holds the factors C of -C^T C. Matrices only."""

    def layers(self, Y: Tensor) -> Iterator[Tensor]:
        K = -self.K.mT @ self.K
        return _leapfrog(Y, K, self.b, self.h, self.activation)


NETS: dict[str, type[StableNet]] = {
    "ResNet": ResidualNet,
    "antisymmetric": AntisymmetricNet,
    "Hamiltonian": HamiltonianNet,
}
"""The three networks that the talk compares, by the names that figures use."""


class ImageNet(nn.Module):
    """An opening convolution, a stable network of convolutions, a linear classifier.

    Args:
        body: a `StableNet` with kernels, `channels` wide.
        image_size: height and width of the images.
        n_classes: number of classes.
        in_channels: channels of the images.
    """

    def __init__(
        self,
        body: StableNet,
        image_size: int = 28,
        n_classes: int = 10,
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        channels = body.K.shape[1]
        self.lift = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.body = body
        self.head = nn.Linear(channels * image_size**2, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `(s, n_classes)` of images `(s, channels, size, size)`."""
        return self.head(self.body(torch.tanh(self.lift(x))).flatten(1))


# ----------------------------------------------------------- how much a net stretches


def sensitivity(net: StableNet, y: Tensor) -> Tensor:
    """Return the singular values of dY_N/dY_0 at one input, largest first.

    Args:
        net: a network of matrices.   y: one input `(n,)`, as wide as the network.
    Returns: `(n,)`.
    """
    jacobian = torch.autograd.functional.jacobian(lambda row: net(row[None])[0], y)
    with torch.no_grad():
        return torch.linalg.svdvals(jacobian)
