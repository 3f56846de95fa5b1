"""The experiments of notebooks 07 and 08 on MNIST: two roads to invertible networks.

    python -m odenets.studies.invertible --out results --workers 2
    python -m odenets.studies.invertible record --out results

A plain network, an i-RevNet, a ResNet and i-ResNets with several bounds rho learn from
500 images and are tested on all others. See `odenets.studies.study`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from odenets import training
from odenets.data import images
from odenets.data.images import ImageData, Labelled
from odenets.nets import iresnet, irevnet
from odenets.studies.study import Row, Study

# ------------------------------------------------------------------- what to train


NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[Tensor], Tensor]]] = {
    "plain net": (irevnet.Net, irevnet.lab_view),
    "i-RevNet": (irevnet.iRevNet, irevnet.lab_view),
    "i-RevNet, squeezed": (irevnet.iRevNet, irevnet.SpaceToDepth(4)),
    "ResNet": (iresnet.LabResNet, irevnet.lab_view),
    "i-ResNet": (iresnet.iResNet, irevnet.lab_view),
}
"""How to make each net, and how it sees an image as `(16, 7, 7)`."""

RHOS = (0.90, 0.85, 0.80)
LEARNING_RATES = {"digits": 0.02}
"""Where the learning rate is not 0.05."""

BATCH_SIZE = 64
COUNTS = (10, 20)
"""Numbers of fixed-point iterations per layer after which the inverse is looked at."""


@dataclass(frozen=True)
class Job:
    """One training: a key of `NETS`, the bound of an i-ResNet, a seed; on what."""

    net: str
    rho: float | None = None
    seed: int = 0
    dataset: str = "mnist"
    epochs: int = 40


def jobs(
    seeds: Sequence[int] = (0, 1, 2, 3, 4), dataset: str = "mnist", epochs: int = 40
) -> list[Job]:
    """Return the trainings of both notebooks.

    Args:
        dataset: mnist, digits, fashionmnist
    """
    return [
        Job(net, rho, seed, dataset, epochs)
        for net in NETS
        for rho in (RHOS if net == "i-ResNet" else (None,))
        for seed in seeds
    ]


def load(dataset: str, n_train: int = 500) -> ImageData:
    """Return `n_train` images to learn from, and those to test on, `(n, 1, 28, 28)`.

    Of the small digits all others are tested on; the other data sets have test images
    of their own.
    """
    data = images.load(dataset)
    if dataset != "digits":
        return ImageData(data.train.first(n_train), data.test)
    pool = Labelled(*map(torch.cat, zip(*data)))
    others = Labelled(pool.images[n_train:], pool.labels[n_train:])
    return ImageData(pool.first(n_train), others)


def seen(data: ImageData, view: Callable[[Tensor], Tensor]) -> ImageData:
    """Apply `view` to all images, those to learn from and those to test on."""
    return ImageData(*(Labelled(view(part.images), part.labels) for part in data))


# --------------------------------------------------------------------- one training


def inverse_errors(net: nn.Module, x: Tensor, counts: Sequence[int]) -> list[float]:
    """Return the largest error of the inverse of a residual network, over all pixels.

    Args:
        net: a `ResNet` or an `iResNet`.   x: images `(s, 16, 7, 7)`.
        counts: numbers of fixed-point iterations per layer; an error for each.
    """
    undone = iresnet.iResNet()  # same function, and it has an inverse
    parameters = zip(undone.state_dict(), net.state_dict().values())
    undone.load_state_dict(dict(parameters))
    return iresnet.inverse_errors(undone, x, counts)


def work(job: Job, out: Path, device: str | None) -> Row:
    """Train and test one net."""
    torch.set_num_threads(1)  # the numbers are then those of any number of cores
    make, view = NETS[job.net]
    data = seen(load(job.dataset), view)
    start = time.perf_counter()
    training.set_seed(job.seed)
    net: Any = make()
    lr = LEARNING_RATES.get(job.dataset, 0.05)
    loader, test_loader = images.loaders(data, BATCH_SIZE, generator=job.seed)
    if job.rho is None:
        irevnet.train(net, loader, job.epochs, lr)
    else:
        iresnet.train_norm(net, loader, job.epochs, lr, job.rho)
    seconds = time.perf_counter() - start
    row = {
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "accuracy": irevnet.test(net, test_loader),
        "seconds": round(seconds, 1),
    }
    if job.net in ("ResNet", "i-ResNet"):
        errors = inverse_errors(net, data.test.images[:1000], COUNTS)
        row |= {f"error_at_{n}": float(f"{e:.1e}") for n, e in zip(COUNTS, errors)}
    return row


COLUMNS = ("net", "rho", "seed", "parameters", "accuracy")
STUDY = Study(
    "invertible", jobs, work, columns=(*COLUMNS, *(f"error_at_{n}" for n in COUNTS))
)
recorded = STUDY.recorded
"""What was measured on MNIST, a row per training: its accuracy on the 10 000 test
images and, for residual networks, the largest error of the inverse of 1000 of them."""

if __name__ == "__main__":
    STUDY.main()
