"""Multilevel training of stable networks: shallow first, then twice as deep.

On every level the classifier is eliminated: for given weights theta of the layers the
best classifier solves a small convex problem, which Newton's method does in a few
steps, and what is left is a function of theta alone ("variable projection"). Because
the classifier is optimal, its derivative does not appear in the gradient. The reduced
objective is minimised by L-BFGS in coordinates in which the smoothness of the weights
has unit curvature, so that the number of iterations does not grow with the depth.

Method: Haber and Ruthotto 2017, sections 5 and 6 (they use Gauss-Newton for theta).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from odenets import training
from odenets.data.images import Batches, Labelled
from odenets.nets.resnet import cross_entropy, smoothness
from odenets.nets.stable import ImageNet, StableNet
from odenets.optimise import lbfgs

# ----------------------------------------------------------- the classifier


@dataclass
class Classifier:
    """Y W + mu; one column is a logistic classifier, more a softmax."""

    W: Tensor  # (n, m)
    mu: Tensor  # (m,)

    def logits(self, Y: Tensor) -> Tensor:
        """Return `(s, m)` for features `(s, n)`."""
        return Y @ self.W + self.mu

    def predict(self, Y: Tensor) -> Tensor:
        """Return the most likely class of each row, `(s,)`."""
        logits = self.logits(Y)
        if logits.shape[1] == 1:
            return (logits[:, 0] > 0).long()
        return logits.argmax(dim=1)


def solve_classifier(
    Y: Tensor,
    labels: Tensor,
    n_classes: int,
    alpha: float,
    start: Classifier | None = None,
    max_iter: int = 30,
    tol: float = 1e-6,
) -> Classifier:
    """Minimise cross-entropy + alpha |W|^2 / 2 over W and mu by Newton's method.

    Args:
        Y: features `(s, n)`, no gradients are recorded.   labels: `(s,)`, integers.
        alpha: positive, so that the minimiser is unique (mu gets 1e-6 of it).
        start: where to start.
        tol: the gradient's largest entry at the end.
    """
    Y = Y.detach()
    X = torch.cat([Y, torch.ones_like(Y[:, :1])], dim=1)
    columns = 1 if n_classes == 2 else n_classes
    ridge = Y.new_full((X.shape[1], columns), alpha)
    ridge[-1] *= 1e-6
    if columns == 1:
        target = labels.to(Y.dtype).unsqueeze(1)
    else:
        target = F.one_hot(labels, n_classes).to(Y.dtype)

    def value(V: Tensor) -> Tensor:
        return cross_entropy(X @ V, labels) + (ridge * V.square()).sum() / 2

    V = torch.zeros_like(ridge)
    if start is not None:
        warm = torch.cat([start.W, start.mu.unsqueeze(0)])
        V = warm if value(warm) < value(V) else V
    pairs = (X.unsqueeze(2) * X.unsqueeze(1)).flatten(1)
    current = value(V)
    for _ in range(max_iter):
        logits = X @ V
        p = torch.sigmoid(logits) if columns == 1 else torch.softmax(logits, dim=1)
        gradient = X.mT @ (p - target) / len(X) + ridge * V
        if gradient.abs().max() <= tol:
            break
        step = -torch.linalg.solve(_hessian(pairs, p, ridge), gradient.mT.flatten())
        step = step.view(columns, -1).mT
        slope = (gradient * step).sum()
        length = 1.0
        while (trial := value(V + length * step)) > current + 1e-4 * length * slope:
            length /= 2
            if length < 1e-6:  # rounding: no further progress is possible
                return Classifier(V[:-1], V[-1])
        V, current = V + length * step, trial
    return Classifier(V[:-1], V[-1])


def _hessian(pairs: Tensor, p: Tensor, ridge: Tensor) -> Tensor:
    """Return the second derivative, the columns of V one after the other.

    Args:
        pairs: the products x_i x_j of the features of each sample, `(s, n * n)`.
        p: probabilities, `(s, m)`.   ridge: `(n, m)`.
    """
    n, m = ridge.shape
    if m == 1:
        weights = p * (1 - p)
    else:  # d p_k / d logit_l = p_k (delta_kl - p_l)
        weights = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    blocks = weights.flatten(1).mT @ pairs / len(p)
    curvature = blocks.view(m, m, n, n).transpose(1, 2).reshape(m * n, m * n)
    return curvature + ridge.mT.flatten().diag()


# ----------------------------------------------------------- one level


@dataclass
class Data:
    """Points `(s, d)` and labels `(s,)` to learn from and to validate with."""

    points: Tensor
    labels: Tensor
    val_points: Tensor
    val_labels: Tensor
    n_classes: int


@dataclass
class Level:
    """What happened on one level: one entry an iteration, the first is the start."""

    layers: int
    objective: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)


@dataclass
class Trained:
    """A network after a level, its classifier, and the record of that level."""

    net: StableNet
    classifier: Classifier
    level: Level


def train_level(
    net: StableNet,
    data: Data,
    alpha: float,
    iterations: int,
    classifier: Classifier | None = None,
    alpha_W: float = 1e-4,
) -> Trained:
    """Minimise the reduced objective on one level; `net` is trained in place.

    Args:
        alpha: factor of the smoothness of K and b.
        iterations: of L-BFGS.
        classifier: where the convex solves start.
        alpha_W: factor of |W|^2 / 2.
    """
    root = _inverse_root(len(net.K), net.h, alpha).to(net.K)
    solved: Classifier | None = classifier
    features = data.points  # of the last evaluation

    def weights(phi: Tensor) -> tuple[Tensor, Tensor]:
        theta = root @ phi
        return theta[:, :-1].reshape(net.K.shape), theta[:, -1]

    def reduced_objective(phi: Tensor) -> tuple[float, Tensor]:
        nonlocal solved, features
        phi = phi.detach().requires_grad_()
        K, b = weights(phi)
        Y = torch.func.functional_call(net, {"K": K, "b": b}, (data.points,))
        solved = solve_classifier(Y, data.labels, data.n_classes, alpha_W, solved)
        value = cross_entropy(solved.logits(Y), data.labels)
        value = value + alpha_W / 2 * solved.W.square().sum()
        value = value + alpha * smoothness(K, b, net.h)
        (gradient,) = torch.autograd.grad(value, phi)
        features = Y.detach()
        return float(value.detach()), gradient

    level = Level(len(net.K))
    start = torch.cat([net.K.detach().flatten(1), net.b.detach().unsqueeze(1)], dim=1)
    steps = lbfgs(reduced_objective, torch.linalg.solve(root, start), iterations)
    for phi, value in steps:
        assert solved is not None  # an objective was evaluated
        accepted = solved
        with torch.no_grad():
            for parameter, trained in zip((net.K, net.b), weights(phi)):
                parameter.copy_(trained)
            seen = accepted.predict(features) == data.labels
            unseen = accepted.predict(net(data.val_points)) == data.val_labels
        level.objective.append(value)
        level.train_accuracy.append(float(seen.cpu().double().mean()))
        level.val_accuracy.append(float(unseen.cpu().double().mean()))
    return Trained(net, accepted, level)


def _inverse_root(n_layers: int, h: float, alpha: float) -> Tensor:
    """Return M with M M^T = (alpha / h D^T D + 0.1 h I)^-1, D the difference in time.

    In the coordinates phi, theta = M phi, the smoothness is as curved as the rest.
    """
    D = torch.diff(torch.eye(n_layers, dtype=torch.float64), dim=0)
    A = alpha / h * D.mT @ D + 0.1 * h * torch.eye(n_layers, dtype=torch.float64)
    curvatures, modes = torch.linalg.eigh(A)
    return modes @ (curvatures.rsqrt().unsqueeze(1) * modes.mT)


def train_multilevel(
    net: StableNet,
    data: Data,
    alpha: float,
    last: int,
    iterations: int,
    alpha_W: float = 1e-4,
) -> Iterator[Trained]:
    """Train `net`, then nets with 2, 4, .. times its layers; yield every level.

    Args: as for `train_level`; `last` is the number of layers of the last level.
    """
    classifier = None
    while len(net.K) <= last:
        trained = train_level(net, data, alpha, iterations, classifier, alpha_W)
        yield trained
        net, classifier = net.refined(), trained.classifier


# ----------------------------------------------------------- images


def train_images(
    net: ImageNet,
    images: Tensor,
    labels: Tensor,
    alpha: float,
    epochs: int,
    batch_size: int = 100,
    lr: float = 3e-3,
    alpha_W: float = 1e-4,
    seed: int = 0,
) -> list[float]:
    """Train one level of an image network with Adam; return the mean loss per epoch.

    The loss is cross-entropy + alpha R + alpha_W |W|^2 / 2. With thousands of features
    Newton's method for the classifier is out of reach: all weights move together. The
    learning rate falls to zero along a cosine.

    Args:
        net: trained in place, on the device of the images.
        images, labels: all of them; batches are cut anew in each epoch.
        alpha, alpha_W: factors of the smoothness of K and b, and of the classifier.
        lr: the largest learning rate.
        seed: of the order of the images.
    """
    batches = Batches(Labelled(images, labels), batch_size, seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    steps = epochs * len(batches)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        penalty = alpha_W / 2 * net.head.weight.square().sum()
        return cross_entropy(logits, labels) + alpha * net.body.regularity() + penalty

    history = training.fit(
        net, batches, loss, optimizer, epochs, scheduler=schedule, per_step=True
    )
    return history["loss"]


def error_rate(net: ImageNet, images: Tensor, labels: Tensor) -> float:
    """Return the fraction of images that get a wrong class."""
    batches = Batches(Labelled(images, labels), 1000)
    return training.evaluate(net, batches, lambda y, right: y.argmax(dim=1) != right)
