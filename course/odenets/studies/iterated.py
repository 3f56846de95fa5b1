"""The experiments of notebook 02: iterated networks, tied and untied, and competitors.

    python -m odenets.studies.iterated --dataset mnist --workers 8 --out results
    python -m odenets.studies.iterated channels --dataset digits --out results

See `odenets.studies.study`; a word chooses one of the `QUESTIONS`.
"""

import functools
import itertools
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from odenets import training
from odenets.data import images
from odenets.data.affine import rotations, warp
from odenets.data.images import ImageData, Labelled
from odenets.nets import iresnet, iterated
from odenets.studies import study
from odenets.studies.study import Row, Study

ITERATIONS = (0, 1, 2, 5, 10, 20)
CHANNELS = (1, 2, 5, 10, 20)
DEPLOYED = (0, 1, 2, 3, 5, 7, 10, 15, 20, 40)
"""Numbers of iterations at which a trained tied net is tested."""

SEED_TABLE = {
    "iterations": {
        0: (0.9380, 235.8),
        1: (0.9721, 355.8),
        2: (0.9791, 472.5),
        5: (0.9815, 824.4),
        10: (0.9860, 1414.2),
        20: (0.9855, 2591.5),
    },
    "channels": {
        1: (0.9749, 403.0),
        2: (0.9798, 495.5),
        5: (0.9835, 824.7),
        10: (0.9858, 1259.5),
        20: (0.9850, 2182.1),
    },
    "cnn": (0.9677, 650.2),
}
"""The original's single runs on MNIST: accuracy and training time in seconds."""

# ------------------------------------------------------------------- what to train


@dataclass(frozen=True)
class Recipe:
    """How all nets of a study are trained: Adam, one learning rate cycle."""

    epochs: int
    batch_size: int
    lr: float
    kernel_size: int = 5
    hidden: int = 1024
    filters: int = 32  # of the CNN


RECIPES = {
    "digits": Recipe(
        epochs=4, batch_size=64, lr=1e-2, kernel_size=3, hidden=128, filters=8
    ),
    "mnist": Recipe(epochs=4, batch_size=256, lr=2e-3),
}
"""The small digits in their own 8 x 8 pixels, and MNIST at the original's sizes."""


@dataclass(frozen=True)
class Job:
    """One training.

    Args:
        net: `iterated`, `untied`, `dense`, `cnn` (the original's baseline),
            `cnn_equal` (the same with the size of the iterated net) or `mlp`.
        channels, iterations: of the iterated net; the others are as large as it is.
        seed: of the weights, the order of the images and the dropout.
        any_depth: train each batch with a random depth from 1 to `iterations`.
        max_norm: keep the operator norm of the recurrent layer below this; 0 does not.
        moved: turn, scale and shift every image at random, also the test images.
        dataset, recipe: on what, and how.
    """

    net: str = "iterated"
    channels: int = 5
    iterations: int = 10
    seed: int = 0
    any_depth: bool = False
    max_norm: float = 0.0
    moved: bool = False
    dataset: str = "mnist"
    recipe: Recipe = RECIPES["mnist"]


def iteration_jobs(
    net: str = "iterated", iterations: Iterable[int] = ITERATIONS
) -> list[Job]:
    """A net, as large as that of five channels, with as many iterations as given."""
    return [Job(net, iterations=k) for k in iterations]


def channel_jobs() -> list[Job]:
    """Five iterations of each number of channels."""
    return [Job(channels=c, iterations=5) for c in CHANNELS]


QUESTIONS: dict[str, list[Job]] = {
    "iterations": iteration_jobs(),
    "channels": channel_jobs(),
    # A layer of its own for every iteration.
    "untied": iteration_jobs("untied", (2, 5, 10, 20)),
    # Two ways to train a net for many depths: draw the depth, or contract.
    "depth-free": [Job(any_depth=True), Job(max_norm=0.9)],
    # The original's baseline, a CNN and an MLP as large as the iterated net.
    "competitors": [Job("cnn"), Job("cnn_equal"), Job("mlp")],
    # The fully connected version.
    "dense": iteration_jobs("dense"),
    # Images that are turned, scaled and shifted.
    "diverse": [
        Job(iterations=0, moved=True),
        *(Job(net, moved=True) for net in ("iterated", "untied", "cnn_equal", "mlp")),
    ],
}


def with_seeds(jobs: Iterable[Job], seeds: Sequence[int], **settings: Any) -> list[Job]:
    """Repeat the jobs with every seed, each once; `settings` are the same for all."""
    changed = dict.fromkeys(replace(job, **settings) for job in jobs)
    return [replace(job, seed=seed) for job in changed for seed in seeds]


def jobs(
    questions: Sequence[str] = tuple(QUESTIONS),
    /,
    seeds: Sequence[int] = (0, 1, 2),
    dataset: str = "mnist",
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
) -> list[Job]:
    """Return the jobs of some questions, each once.

    Args:
        dataset: digits, mnist, fashionmnist
        epochs: those of the data set when left out
        batch_size: that of the data set when left out
        lr: highest learning rate; that of the data set when left out
    """
    usual = RECIPES.get(dataset, RECIPES["mnist"])
    given: Row = {"epochs": epochs, "batch_size": batch_size, "lr": lr}
    recipe = replace(usual, **{name: value for name, value in given.items() if value})
    chosen = [job for name in questions for job in QUESTIONS[name]]
    return with_seeds(chosen, seeds, dataset=dataset, recipe=recipe)


# ------------------------------------------------------------------------ the data


def load(dataset: str) -> ImageData:
    """Return `digits` in their own 8 x 8 pixels, or any set of one colour by name."""
    return images.digits(8) if dataset == "digits" else images.load(dataset)


def moved(part: Labelled, generator: torch.Generator) -> Labelled:
    """Turn every image by up to 30 degrees, scale it by 0.8 to 1.2 and shift it by up
    to a tenth of its width; bilinear interpolation, black outside.
    """
    n = len(part.images)
    draw = 2 * torch.rand(4, n, generator=generator) - 1
    angle, scale = torch.pi / 6 * draw[0], 1 + 0.2 * draw[1]
    A = rotations(angle) / scale[:, None, None]
    moves = 0.2 * draw[2:].T  # the width goes from -1 to 1
    parts = (rows.split(5000) for rows in (part.images[:, 0], A, moves))
    pieces = [warp(*some)[:, None] for some in zip(*parts)]
    return Labelled(torch.cat(pieces), part.labels)


def to(data: ImageData, device: torch.device | str) -> ImageData:
    """Move images and labels to a device."""
    return ImageData(*(Labelled(*(t.to(device) for t in part)) for part in data))


# --------------------------------------------------------------------- one training


def build(job: Job, image_size: int) -> nn.Module:
    """Return the untrained net of a job; every net is as large as the iterated one.

    The untied net starts from the iterated one's weights, the same in all layers.
    """
    recipe, hidden, filters = job.recipe, job.recipe.hidden, job.recipe.filters
    tied = iterated.IteratedNet(job.channels, recipe.kernel_size, image_size, hidden)
    if job.net == "iterated":
        return tied
    if job.net == "untied":
        return iterated.untie(tied, job.iterations)
    if job.net == "cnn":
        return iterated.cnn(hidden, image_size, filters=filters)
    of_width: dict[str, Callable[[int], nn.Module]] = {
        "dense": lambda w: iterated.DenseIteratedNet(w, image_size, hidden),
        "cnn_equal": lambda w: iterated.cnn(w, image_size, filters=filters),
        "mlp": lambda w: iterated.mlp(w, image_size),
    }
    return iterated.of_equal_size(of_width[job.net], iterated.count(tied))


class AtDepth(nn.Module):
    """A net at a number of iterations, to be called with images alone.

    Args:
        net: called as `net(x, iterations)`, or as `net(x)` where it has no iterations.
        iterations: their number.
        any_depth: draw it from 1 to `iterations` at every call in train mode.
    """

    def __init__(self, net: nn.Module, iterations: int, any_depth: bool = False):
        super().__init__()
        self.net, self.iterations, self.any_depth = net, iterations, any_depth

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.net, nn.Sequential):
            return self.net(x)
        k = self.iterations
        if self.any_depth and self.training:
            k = int(torch.randint(1, k + 1, ()))
        return self.net(x, k)


def keep_below(conv: nn.Conv2d, max_norm: float, size: int) -> Callable[..., None]:
    """Return a function that scales `conv` down to the operator norm `max_norm`.

    Call it after every step of the optimiser: two steps of power iteration follow the
    norm of weights that change slowly.
    """
    v = iresnet.power_start(conv, size, torch.Generator().manual_seed(0))

    def project(*_: object) -> None:
        nonlocal v
        with torch.no_grad():
            for _step in range(2):
                norm, v = iresnet.power_step(conv, v)
            conv.weight.mul_((max_norm / norm.clamp(min=1e-12)).clamp(max=1.0))

    return project


def train(
    job: Job,
    data: ImageData,
    device: torch.device | str = "cpu",
    build: Callable[[Job, int], nn.Module] = build,
) -> tuple[nn.Module, float]:
    """Train one net; return it in eval mode, and the time in seconds.

    Args:
        data: images and labels, on `device` already.
        build: makes the untrained net from the job and the image size.
    """
    training.set_seed(job.seed)
    size, recipe = data.train.images.shape[-1], job.recipe
    start = time.perf_counter()
    net: Any = build(job, size).to(device)
    on_cpu = torch.device(device).type == "cpu"
    if on_cpu:  # a third faster with few channels
        net = net.to(memory_format=torch.channels_last)
    batches = images.Batches(data.train, recipe.batch_size, job.seed)
    # Small tensors: one kernel for all of them saves a tenth of the step.
    optimizer = torch.optim.Adam(net.parameters(), recipe.lr, fused=on_cpu or None)
    steps = recipe.epochs * len(batches)
    project = keep_below(net.recurrent, job.max_norm, size) if job.max_norm else None
    step = training.Step(
        AtDepth(net, job.iterations, job.any_depth),
        F.cross_entropy,
        optimizer,
        scheduler=torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.lr, total_steps=max(steps, 2), pct_start=0.2
        ),
        after_step=project,
    )
    for _ in range(recipe.epochs):
        step.epoch(batches)
    return net.eval(), time.perf_counter() - start


def iteration_study(
    model: nn.Module, loader: Iterable, iterations: Iterable[int]
) -> dict[int, float]:
    """Return the accuracy of `model(x, k)` for every number `k` of test iterations.

    The model is in eval mode meanwhile; the mode of every module is restored.
    """
    return {k: training.accuracy(AtDepth(model, k), loader) for k in iterations}


def deployed(
    net: Any, batches: Iterable, depths: Sequence[int] = DEPLOYED
) -> dict[int, float]:
    """Return what `iteration_study` does, in one pass through the deepest network."""
    hits, count = dict.fromkeys(depths, 0), 0
    with training.evaluating(net):
        for x, labels in batches:
            count += len(labels)
            for k, a in enumerate(net.features(x, max(depths))):
                if k in hits:
                    hits[k] += (net.head(a).argmax(dim=1) == labels).sum().item()
    return {k: n / count for k, n in hits.items()}


def decay(net: Any, x: Tensor, iterations: int = 40) -> list[float]:
    """Return the residuals `|a_{k+1} - a_k| / |a_k|` of a tied net."""
    with training.evaluating(net):
        stages = list(net.features(x, iterations))
    return [((b - a).norm() / a.norm()).item() for a, b in itertools.pairwise(stages)]


def examine(job: Job, net: nn.Module, data: ImageData) -> Row:
    """Return what the notebook asks of a trained net."""
    batches = images.Batches(data.test, 500)
    with training.evaluating(net):
        model = AtDepth(net, job.iterations)
        scores = torch.cat([model(x).cpu().double() for x, _ in batches])
    labels = data.test.labels.cpu()
    row: Row = {
        "accuracy": (scores.argmax(dim=1) == labels).double().mean().item(),
        "loss": F.cross_entropy(scores, labels).item(),
        "parameters": iterated.count(net),
    }
    if isinstance(net, iterated.IteratedNet):
        row["recurrent_parameters"] = iterated.parameter_budget(net)["recurrent"]
        row["norm"] = iterated.operator_norm(net.recurrent, data.test.images.shape[-1])
    if hasattr(net, "recurrent"):
        row["deployed"] = {str(k): a for k, a in deployed(net, batches).items()}
        row["residuals"] = decay(net, data.test.images[:200])
    return row


# ----------------------------------------------------------------------- the study


@functools.lru_cache(maxsize=2)
def _data(dataset: str, device: str, is_moved: bool) -> ImageData:
    data = load(dataset)
    if is_moved:
        generator = torch.Generator().manual_seed(0)
        data = ImageData(*(moved(part, generator) for part in data))
    return to(data, device)


@functools.lru_cache(maxsize=1)
def _warm_up(device: str) -> None:
    """Let the first training pay for no start-up: libraries load at the first step."""
    net = nn.Conv2d(1, 1, 3).to(device)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.zeros(1, 1, 8, 8, device=device)).sum().backward()
    optimizer.step()


def work(job: Job, out: Path, device: str | None) -> Row:
    """Train and examine one net; the small digits stay on the CPU by default."""
    if device is None and job.dataset == "digits":
        device = "cpu"
    device = str(training.pick_device(device))
    data = _data(job.dataset, device, job.moved)
    _warm_up(device)
    net, seconds = train(job, data, device)
    machine = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    if device.startswith("cuda"):
        machine = torch.cuda.get_device_name()
    row = {"seconds": round(seconds, 2), "machine": machine}
    return row | examine(job, net, data)


# -------------------------------------------------------------------------- tables


def summary(rows: Iterable[Row]) -> list[Row]:
    """Join the seeds of each experiment: mean, lowest and highest accuracy, time."""
    names = [name for name in study.settings(Job()) if name != "seed"]
    table = []
    for head, *group in study.over_seeds(rows, names):
        head |= {
            "seed": None,
            "seeds": len(group),
            "seconds": statistics.median(row["seconds"] for row in group),
        }
        for name in ("loss", "norm", "deployed", "residuals"):
            if name in head:
                head[name] = _mean([row[name] for row in group])
        table.append(head)
    return table


def _mean(parts: list) -> Any:
    if isinstance(parts[0], dict):
        return {k: statistics.mean(part[k] for part in parts) for k in parts[0]}
    if isinstance(parts[0], list):
        return [statistics.mean(values) for values in zip(*parts)]
    return statistics.mean(parts)


def as_table(rows: Iterable[Row]) -> list[Row]:
    """Return the summary with a column for the accuracy at each depth."""
    return [
        row | {f"accuracy_at_{k}": a for k, a in row.get("deployed", {}).items()}
        for row in summary(rows)
    ]


STUDY = Study("iterated", jobs, work, as_table)
run = STUDY.run


def recorded(path: Path | None = None) -> list[Row]:
    """Return the results that were measured on MNIST, as `summary` made them."""
    rows = STUDY.recorded(path)
    for row in rows:
        depths = [name for name in row if name.startswith("accuracy_at_")]
        if depths:
            deployed = {n.removeprefix("accuracy_at_"): row.pop(n) for n in depths}
            row["deployed"] = deployed
    return rows


if __name__ == "__main__":
    STUDY.main()
