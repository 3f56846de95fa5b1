"""The experiments of notebook 03: three stable networks on toy data and on images.

    python -m odenets.studies.stability toy --out results --workers 2
    python -m odenets.studies.stability images --dataset mnist --out results

Both train 4, 8, 16, .. layers (the swiss roll starts at 16); each level goes on from
the weights of the one before it. See `odenets.studies.study`.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

import torch
from torch import Tensor

from odenets import training
from odenets.data import images as image_data
from odenets.data import toy
from odenets.nets.stable import NETS, ImageNet, StableNet
from odenets.studies import multilevel
from odenets.studies.multilevel import Classifier, Data, Trained
from odenets.studies.study import Row, Study, checkpoint

# ----------------------------------------------------------- the problems


@dataclass(frozen=True)
class Problem:
    """A toy data set with the numbers of the talk: T, widths, alpha.

    `width` is that of the first-order networks; the Hamiltonian one has width 2.
    `first` is the number of layers to start with, `alpha_W` the factor of |W|^2 / 2.
    """

    name: str
    T: float
    width: int
    alpha: float
    alpha_W: float
    first: int
    n_classes: int
    box: tuple[float, float, float, float]


PROBLEMS = {
    p.name: p
    for p in (
        Problem("ellipses", 20, 2, 1e-3, 1e-3, 4, 2, toy.ELLIPSES_BOX),
        Problem("swiss roll", 20, 4, 5e-3, 3e-4, 16, 2, toy.SWISS_ROLL_BOX),
        Problem("peaks", 5, 8, 5e-6, 1e-5, 4, 5, toy.PEAKS_BOX),
    )
}


def load(problem: Problem, seed: int = 0) -> Data:
    """Return the points of the talk, in float64.

    Ellipses: 1000 and 200; swiss roll: 513 and 513, nothing is random; peaks: 4000 and
    1000.
    """
    rng, kind = torch.Generator().manual_seed(seed), torch.float64
    parts: Iterable[tuple[Tensor, Tensor]]
    if problem.name == "swiss roll":
        parts = toy.swiss_roll(256, dtype=kind)
    elif problem.name == "ellipses":
        parts = toy.ellipses(500, rng, kind), toy.ellipses(100, rng, kind)
    else:
        X, labels = toy.peaks(5000, generator=rng, dtype=kind)
        order = torch.randperm(5000, generator=rng)
        parts = ((X[rows], labels[rows]) for rows in order.split([4000, 1000]))
    train, val = parts
    return Data(*train, *val, n_classes=problem.n_classes)


def initial_net(problem: Problem, name: str, seed: int = 0) -> StableNet:
    """Return an untrained network with `problem.first` layers, all of them equal.

    The Hamiltonian network starts as an oscillator, K = I with some noise; the others
    start with random weights. (The swiss roll needs no noise and gets none.)
    """
    n = 2 if name == "Hamiltonian" else problem.width
    rng = torch.Generator().manual_seed(1000 + seed)
    K = 0.5 * torch.randn(1, n, n, generator=rng, dtype=torch.float64)
    if name == "Hamiltonian":
        noise = 0.0 if problem.name == "swiss roll" else 0.2
        K = torch.eye(n, dtype=torch.float64) + noise * K
    b = torch.zeros(problem.first, dtype=torch.float64)
    return NETS[name](K.repeat(problem.first, 1, 1), b, problem.T)


def train(
    problem: Problem,
    name: str,
    last: int,
    iterations: int,
    data: Data | None = None,
    seed: int = 0,
) -> Iterator[Trained]:
    """Train a network on all levels up to `last` layers; yield each level."""
    net, data = initial_net(problem, name, seed), data or load(problem, seed)
    return multilevel.train_multilevel(
        net, data, problem.alpha, last, iterations, problem.alpha_W
    )


def initial_image_net(
    name: str, image_size: int, layers: int = 4, channels: int = 6, seed: int = 0
) -> ImageNet:
    """Return an untrained network of 3 x 3 convolutions, T = 6, all layers equal."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        K = 0.1 * torch.randn(1, channels, channels, 3, 3)
        body = NETS[name](K.repeat(layers, 1, 1, 1, 1), torch.zeros(layers), 6.0)
        return ImageNet(body, image_size)


IMAGE_ALPHA = 0.005

# ----------------------------------------------------------- the study of toy data


@dataclass(frozen=True)
class ToyJob:
    """One level of a network on a data set, after the levels with fewer layers."""

    data: str
    net: str
    seed: int
    layers: int
    iterations: int


def _levels(first: int, last: int) -> list[int]:
    """Return first, 2 first, 4 first, .. up to last."""
    return [first * 2**k for k in range((last // first).bit_length())]


def toy_jobs(
    data: Sequence[str] = tuple(PROBLEMS),
    nets: Sequence[str] = tuple(NETS),
    seeds: Sequence[int] = (0,),
    last: int = 1024,
    iterations: int | None = None,
) -> list[ToyJob]:
    """Return all levels of all networks, those that take longest first.

    Args:
        last: layers of the last level
        iterations: of each level; 60 for the peaks and 300 for the others if left out
    """
    return [
        ToyJob(name, net, seed, layers, iterations or (60 if name == "peaks" else 300))
        for seed in seeds
        for name in sorted(data, key=lambda name: name != "peaks")
        for net in nets
        for layers in _levels(PROBLEMS[name].first, last)
    ]


def toy_work(job: ToyJob, out: Path, device: str | None) -> Row:
    """Train one level, on the CPU."""
    torch.set_num_threads(1)  # the tensors are small; other processes do the rest
    problem, classifier = PROBLEMS[job.data], None
    data, net = load(problem, job.seed), initial_net(problem, job.net, job.seed)
    if job.layers > problem.first:
        below = replace(job, layers=job.layers // 2)
        state = training.load_checkpoint(checkpoint(below, out))
        net = NETS[job.net](state["K"], state["b"], problem.T).refined()
        classifier = Classifier(state["W"], state["mu"])
    start = time.perf_counter()
    trained = multilevel.train_level(
        net, data, problem.alpha, job.iterations, classifier, problem.alpha_W
    )
    state = {"K": net.K.detach(), "b": net.b.detach()}
    state |= {"W": trained.classifier.W, "mu": trained.classifier.mu}
    training.save_checkpoint(checkpoint(job, out), state)
    level = trained.level
    return {
        "objective": level.objective[-1],
        "train_accuracy": level.train_accuracy[-1],
        "val_accuracy": level.val_accuracy[-1],
        "seconds": round(time.perf_counter() - start, 1),
        "objectives": level.objective,
        "val_accuracies": level.val_accuracy,
    }


# ----------------------------------------------------------- the study of images


def split_images(dataset: str, size: int = 28) -> tuple[tuple[Tensor, Tensor], ...]:
    """Return training, validation and test images with their labels.

    As in the talk, 10 000 of the 60 000 images of MNIST are kept for validation (the
    last ones); of the digits, every fifth of the training images.

    Args:
        dataset: a name that `odenets.data.images.load` knows.
        size: height and width of the digits; the other images have their own.
    """
    digits = dataset == "digits"
    (X, labels), test = image_data.digits(size) if digits else image_data.load(dataset)
    validating = torch.zeros(len(X), dtype=torch.bool)
    if digits:
        validating[4::5] = True
    else:
        validating[-(len(X) // 6) :] = True
    kept = X[~validating], labels[~validating]
    return kept, (X[validating], labels[validating]), test


@dataclass(frozen=True)
class ImageJob:
    """One level of a network of convolutions, after the levels with fewer layers."""

    data: str
    net: str
    seed: int
    layers: int
    epochs: int
    batch_size: int
    lr: float


def image_jobs(
    dataset: str = "mnist",
    nets: Sequence[str] = tuple(NETS),
    seeds: Sequence[int] = (0, 1, 2),
    last: int = 16,
    epochs: int = 12,
    batch_size: int = 250,
    lr: float = 5e-3,
) -> list[ImageJob]:
    """Return the levels with 4, 8, .. layers of all networks.

    Args:
        dataset: digits, mnist, fashionmnist
        last: layers of the last level
        epochs: of each level
        lr: the largest learning rate
    """
    return [
        ImageJob(dataset, net, seed, layers, epochs, batch_size, lr)
        for seed in seeds
        for net in nets
        for layers in _levels(4, last)
    ]


def image_work(job: ImageJob, out: Path, device: str | None) -> Row:
    """Train one level."""
    place = training.pick_device(device)
    parts = [(x.to(place), labels.to(place)) for x, labels in split_images(job.data)]
    size = parts[0][0].shape[-1]
    below = replace(job, layers=job.layers // 2)
    net = initial_image_net(job.net, size, max(4, below.layers), seed=job.seed)
    if job.layers > 4:
        net.load_state_dict(training.load_checkpoint(checkpoint(below, out))["model"])
        net.body = net.body.refined()
    net.to(place)
    start = time.perf_counter()
    losses = multilevel.train_images(
        net, *parts[0], IMAGE_ALPHA, job.epochs, job.batch_size, job.lr, seed=job.seed
    )
    training.save_checkpoint(checkpoint(job, out), {"model": net.state_dict()})
    errors = [multilevel.error_rate(net, *part) for part in parts]
    return {
        "loss": losses[-1],
        **dict(zip(("train_error", "val_error", "test_error"), errors)),
        "seconds": round(time.perf_counter() - start, 1),
        "losses": losses,
    }


# ----------------------------------------------------------- both


def _sorted(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=itemgetter("data", "net", "seed", "layers"))


def _network(job: ToyJob | ImageJob) -> ToyJob | ImageJob:
    return replace(job, layers=0)


STUDIES = {
    "toy": Study("stability_toy", toy_jobs, toy_work, _sorted, chain=_network),
    "images": Study(
        "stability_images", image_jobs, image_work, _sorted, chain=_network
    ),
}


def recorded(study: str) -> list[Row]:
    """Return what was measured at full size, a row per level.

    Args:
        study: "toy" or "images".
    """
    return STUDIES[study].recorded()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the studies from the command line; its name comes first."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] not in STUDIES:
        sys.exit(f"name the study first: {' or '.join(STUDIES)}")
    STUDIES[given[0]].main(given[1:])


if __name__ == "__main__":
    main()
