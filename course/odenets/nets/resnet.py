"""Residual networks as Euler's method (Haber and Ruthotto 2017, arXiv 1705.03341).

Features are rows: `Y` has shape `(s, n)`, one sample a row. Layer `j` has a matrix
`K[j]` of shape `(n, n)` and a scalar bias `b[j]`, and its step is
`Y_{j+1} = Y_j + h * activation(Y_j @ K[j] + b[j])` (equation 2 of the paper).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from odenets.optimise import minimise_in_turns
from odenets.solvers import Field

Activation = Callable[[Tensor], Tensor]


def propagate(
    Y0: Tensor, K: Tensor, b: Tensor, h: float, activation: Activation = torch.tanh
) -> Tensor:
    """Send features through all layers and keep every stage of the way.

    Args:
        Y0: features, `(s, n)`.
        K, b: weights `(N, n, n)` and biases `(N,)`.
        h: step size, in units of depth-time.
        activation: applied entry by entry.

    Returns:
        The features before the first and after each layer, `(N + 1, s, n)`.

    Raises:
        ValueError: if the shapes do not fit each other.
    """
    _require_layers(K, b)
    if Y0.ndim != 2 or Y0.shape[1] != K.shape[1]:
        raise ValueError(f"Y0 has shape {tuple(Y0.shape)}, expected (s, {K.shape[1]})")
    stages = [Y0]
    for K_j, b_j in zip(K, b):
        stages.append(stages[-1] + h * activation(stages[-1] @ K_j + b_j))
    return torch.stack(stages)


def layer_index(t: float, T: float, n_layers: int) -> int:
    """Return the layer whose half-open cell `[j h, (j + 1) h)` holds the time `t`.

    A time that rounding has moved off a cell's edge is put back on it: `int(t * N / T)`
    reads the neighbour for N = 3, 6, 7, 11, ... when `t` comes from a float32 grid.
    Times at or beyond `T` read the last cell, negative ones the first.
    """
    cell = t * n_layers / T
    edge = round(cell)
    # A float32 time is off by up to 1e-7 of its size: 1e-7 N cells, N cells on.
    if abs(cell - edge) > 1e-6 * max(1.0, n_layers):
        edge = int(cell // 1)
    return min(max(edge, 0), n_layers - 1)


def vector_field(
    K: Tensor, b: Tensor, T: float, activation: Activation = torch.tanh
) -> Field:
    """Return the field `f(t, y) = activation(y @ K(t) + b(t))` behind a ResNet.

    `K(t)` and `b(t)` are constant on the `N` equal cells of `[0, T]`.
    """
    _require_layers(K, b)

    def field(t: float, y: Tensor) -> Tensor:
        j = layer_index(float(t), T, len(K))
        return activation(y @ K[j] + b[j])

    return field


def predict_proba(Y: Tensor, W: Tensor, mu: Tensor) -> Tensor:
    """Turn features into class probabilities.

    Args:
        Y: features `(s, n)`.   W, mu: weights `(n, m)` and offsets `(m,)`.

    Returns:
        `(s, m)`; the logistic function for one column, softmax for more.
    """
    scores = Y @ W + mu
    return torch.sigmoid(scores) if W.shape[1] == 1 else torch.softmax(scores, dim=1)


def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy, in nats; one column of scores is logistic.

    Args:
        scores: `(s, m)`, before the logistic function (m = 1, two classes) or softmax.
        targets: labels `(s,)`, or `(s, m)`: rows of probabilities, for one column the
            probability of class one.
    """
    if scores.shape[1] == 1:
        ones = targets.flatten().to(scores.dtype)
        return F.binary_cross_entropy_with_logits(scores[:, 0], ones)
    return F.cross_entropy(scores, targets)


def misfit(Y: Tensor, W: Tensor, mu: Tensor, C: Tensor) -> Tensor:
    """Mean cross-entropy, in nats, of the classifier's probabilities against `C`.

    Args:
        Y, W, mu: see `predict_proba`.   C: labels, `(s, m)`, rows of probabilities
            (for one column the probability of class one).
    """
    return cross_entropy(Y @ W + mu, C)


def smoothness(K: Tensor, b: Tensor, h: float) -> Tensor:
    """Return R = sum_j (|K_j - K_{j-1}|_F^2 + |b_j - b_{j-1}|^2) / (2 h).

    The roughness of the weights in depth-time (Haber and Ruthotto 2017): the integral
    of (|dK/dt|^2 + |db/dt|^2) / 2, which a finer network shares.

    Args:
        K: `(N, ...)`.   b: `(N,)`.   h: step size.
    Returns: a tensor without axes; zero for one layer.
    """
    return (K.diff(dim=0).square().sum() + b.diff(dim=0).square().sum()) / (2 * h)


def objective(
    Y: Tensor,
    W: Tensor,
    mu: Tensor,
    C: Tensor,
    K: Tensor,
    b: Tensor,
    h: float,
    alpha: float,
) -> Tensor:
    """What learning minimises: `misfit` plus `alpha` times `smoothness`."""
    return misfit(Y, W, mu, C) + alpha * smoothness(K, b, h)


def block_coordinate_descent(
    Y0: Tensor,
    C: Tensor,
    K: Tensor,
    b: Tensor,
    W: Tensor,
    mu: Tensor,
    h: float,
    alpha: float,
    n_sweeps: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, list[float]]:
    """Minimise `objective` over (W, mu) and over (K, b) in turns.

    With the propagation fixed, the first half of a sweep is a convex problem.

    Args:
        Y0: features, `(s, n)`.   C: labels, `(s, m)`.
        K, b, W, mu: where to start; left unchanged.
        h: step size.   alpha: weight of the smoothness.   n_sweeps: of two halves each.

    Returns:
        `(K, b, W, mu, history)`: the objective at the start and after each half-sweep,
        `1 + 2 n_sweeps` floats that never rise.
    """

    def loss(W: Tensor, mu: Tensor, K: Tensor, b: Tensor) -> Tensor:
        Y = propagate(Y0, K, b, h)[-1]
        return objective(Y, W, mu, C, K, b, h, alpha)

    blocks, history = minimise_in_turns(loss, ((W, mu), (K, b)), n_sweeps)
    (W, mu), (K, b) = blocks
    return K, b, W, mu, history


class VectorResNet(nn.Module):
    """A classifier for flat features: opening layer, `n_layers` residual layers, head.

    Args:
        n_features: number of inputs.   width: number of hidden features.
        n_layers: number N of residual layers.   T: final depth-time, so `h = T / N`.
        n_classes: number of outputs (logits).
    """

    def __init__(
        self, n_features: int, width: int, n_layers: int, T: float, n_classes: int
    ):
        super().__init__()
        self.T = T
        self.opening = nn.Linear(n_features, width)
        self.K = nn.Parameter(torch.randn(n_layers, width, width) / width)
        self.b = nn.Parameter(torch.zeros(n_layers))
        self.head = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs `(s, ...)` with `n_features` entries each to logits `(s, m)`."""
        Y0 = self.opening(x.flatten(1))
        return self.head(propagate(Y0, self.K, self.b, self.T / len(self.K))[-1])


def _require_layers(K: Tensor, b: Tensor) -> None:
    if K.ndim != 3 or K.shape[1] != K.shape[2] or b.shape != K.shape[:1]:
        raise ValueError(
            f"K has shape {tuple(K.shape)} and b {tuple(b.shape)}, "
            "expected (N, n, n) and (N,)"
        )
