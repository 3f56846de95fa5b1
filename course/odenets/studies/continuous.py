"""Notebook 04 at full size: networks that are continuous in depth.

    python -m odenets train --dataset cifar10 --out results/mine
    python -m odenets evaluate results/mine
    python -m odenets.studies.continuous --out results

`train` fits a continuous-in-depth network or a plain residual network to images and
fills a folder::

    checkpoint.pt    weights, optimiser, random numbers; written after every epoch
    log.jsonl        one line of JSON per epoch
    history.csv      the same as a table
    history.png      loss, accuracy and step size against epochs

`evaluate` takes such a folder, solves the trained equation with other schemes and other
numbers of steps, and adds `manifestation.csv` and `manifestation.png`. The study does
both for the five networks of the record; see `odenets.studies.study`.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import nn

from odenets import plots, training
from odenets.data import images
from odenets.nets import continuous
from odenets.solvers import TABLEAUS
from odenets.studies import study
from odenets.studies.study import Row, Study
from odenets.training import CheckpointError

PLAIN = ("ResNet", "WideResNet")
CONTINUOUS = ("ContinuousNet", "ContinuousNetPreActivation", "WideContinuousNet")

PHOTOGRAPHS = ("cifar10", "cifar100")
"""Coloured; they survive a mirror and a shift. Digits and clothes stay as they are."""

MAY_BE_ZERO = ("weight_decay", "refine_variance", "warm_up", "label_smoothing")


@dataclass(frozen=True)
class Job:
    """A network and how it is trained.

    Args:
        model: the network
        dataset: the images
        alpha: channels of the first layer
        widen_factor: of the wide nets
        stages: of growing width, of a continuous net
        depth: layers of a ResNet; if left out 6 (M + 1) + 2, wide + 4: of equal size
        scheme: the solver
        initial_time_d: cells M of depth-time per stage, before any refinement
        n_time_steps_per: steps of the solver per cell
        time_epsilon: factor of the residual unit; M when left out
        refine: split all cells in two before these epochs, counted from 0
        refine_variance: relative noise on the weights of the new cells
        skip_init: multiply each unit by a number that starts at zero
        batch_norm: every batch norm, or none
        batch_size: images per training step
        n_train: use only so many training images
        n_test: use only so many test images
        epochs: epochs in all
        lr: learning rate
        lr_decay: factor of the learning rate
        lr_decay_epoch: decay before these epochs; at each quarter when left out
        schedule: of the learning rate: falling at epochs, or to zero like a cosine
        warm_up: epochs over which the learning rate rises at first
        nesterov: kind of momentum
        label_smoothing: share of all classes
        weight_decay: weight decay
        mixed_precision: bfloat16 where it is enough; only on cuda when left out
        seed: of weights, order and augmentation
    """

    model: str = "ContinuousNet"
    dataset: str = "digits"
    alpha: int = 16
    widen_factor: int = 4
    stages: int = 3
    depth: int | None = None
    scheme: str = "euler"
    initial_time_d: int = 2
    n_time_steps_per: int = 1
    time_epsilon: float | None = None
    refine: tuple[int, ...] = ()
    refine_variance: float = 0.0
    skip_init: bool = False
    batch_norm: bool = True
    batch_size: int = 128
    n_train: int | None = None
    n_test: int | None = None
    epochs: int = 15
    lr: float = 0.1
    lr_decay: float = 0.1
    lr_decay_epoch: tuple[int, ...] | None = None
    schedule: str = "steps"
    warm_up: int = 0
    nesterov: bool = False
    label_smoothing: float = 0.0
    weight_decay: float = 5e-4
    mixed_precision: bool | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse what would have no effect or make no sense.

        Raises:
            ValueError: naming the flag of the command line.
        """
        if self.model in PLAIN:
            for name in ("refine", "skip_init", "stages", "batch_norm"):
                if getattr(self, name) != getattr(Job, name):
                    raise ValueError(f"the {self.model} has no choice of {_flag(name)}")
        elif self.depth is not None:
            raise ValueError("--depth is for ResNets; use --initial-time-d")
        late = [epoch for epoch in self.refine if not 0 <= epoch < self.epochs]
        if late:
            raise ValueError(f"--refine {late[0]} is not one of {self.epochs} epochs")
        for name, value in asdict(self).items():
            if type(value) in (int, float) and name not in ("seed", "time_epsilon"):
                if not (value >= 0 if name in MAY_BE_ZERO else value > 0):
                    raise ValueError(f"{_flag(name)} must not be {value}")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


# --------------------------------------------------------------------- the pieces


def build(job: Job) -> nn.Module:
    """Return the untrained network of a job."""
    wide = job.model.startswith("Wide")
    data: Row = {
        "n_classes": 100 if job.dataset == "cifar100" else 10,
        "in_channels": 3 if job.dataset in PHOTOGRAPHS else 1,
        "alpha": job.alpha,
    }
    if wide:
        data["widen"] = job.widen_factor
    if job.model in PLAIN:
        net = continuous.WideResNet if wide else continuous.ResNet
        depth = 6 * (job.initial_time_d + 1) + (4 if wide else 2)
        return net(job.depth or depth, **data)
    kind = continuous.WideContinuousNet if wide else continuous.ContinuousNet
    return kind(
        job.initial_time_d,
        scheme=job.scheme,
        n_steps_per=job.n_time_steps_per,
        time_epsilon=job.time_epsilon,
        preactivation=job.model != "ContinuousNet",
        batch_norm=job.batch_norm,
        skip_init=job.skip_init,
        stages=job.stages,
        **data,
    )


def rate_share(job: Job, epoch: float) -> float:
    """Return the share of `--lr` that is in force `epoch` epochs after the start."""
    warm = min(1.0, epoch / job.warm_up) if job.warm_up else 1.0
    if job.schedule == "cosine":
        return warm * (1 + math.cos(math.pi * epoch / job.epochs)) / 2
    decays = job.lr_decay_epoch
    if decays is None:
        decays = tuple(math.ceil(job.epochs * k / 4) for k in (1, 2, 3))
    return warm * job.lr_decay ** sum(epoch >= e for e in decays)


def load_data(
    name: str, n_train: int | None, n_test: int | None, device: torch.device
) -> images.ImageData:
    """Return a data set on the device, each channel with mean 0 and deviation 1.

    Mean and deviation are those of the whole training set.
    """
    data = images.load(name)
    mean = data.train.images.mean(dim=(0, 2, 3), keepdim=True)
    std = data.train.images.std(dim=(0, 2, 3), keepdim=True)
    parts = []
    for part, n in zip(data, (n_train, n_test)):
        pixels, labels = part.first(n)
        pixels = (pixels - mean) / std
        parts.append(images.Labelled(pixels.to(device), labels.to(device)))
    return images.ImageData(*parts)


# -------------------------------------------------------------------------- train


def train(
    job: Job,
    out: Path,
    device: str | None = None,
    resume: bool = False,
    test_batch_size: int = 512,
) -> list[Row]:
    """Train the network of a job and fill the folder; return its rows.

    Args:
        out: the folder; see the module for what is written.
        device: as in `training.pick_device`.
        resume: go on from the checkpoint in the folder, if there is one.
        test_batch_size: images per test batch.
    Raises:
        ValueError: if there is a checkpoint, but not `resume`.
        CheckpointError: if it was made with other settings, or is damaged.
    """
    place = training.pick_device(device)
    if job.mixed_precision is None:
        job = replace(job, mixed_precision=place.type == "cuda")
    path = out / "checkpoint.pt"
    if path.exists() and not resume:
        raise ValueError(
            f"{path} exists already: add --resume to go on with it, or choose "
            "another folder with --out"
        )
    state = _load_run(path, job) if path.exists() else None
    data = load_data(job.dataset, job.n_train, job.n_test, place)
    training.set_seed(job.seed)
    rows: list[Row] = state["rows"] if state else []
    model = _network(job, len(rows), place)
    augment = images.crop_and_flip if job.dataset in PHOTOGRAPHS else None
    batches = images.Batches(data.train, job.batch_size, job.seed, augment)
    tests = images.Batches(data.test, test_batch_size)
    step = _step(model, job, len(rows), len(batches))
    if state:
        training.restore_training_state(state, model, step.optimizer, None, batches)
        print(f"Resuming {out} after epoch {len(rows)}.")
    n_parameters = sum(p.numel() for p in model.parameters())
    print(
        f"{job.model} with {n_parameters} parameters on {place.type}, "
        f"{len(data.train.labels)} training and {len(data.test.labels)} test images"
    )

    for epoch in range(len(rows), job.epochs):
        start = time.perf_counter()
        for _ in range(job.refine.count(epoch)):
            model = model.refined(job.refine_variance)
            step = _step(model, job, epoch, len(batches))  # the momentum starts anew
        lr = step.optimizer.param_groups[0]["lr"]
        words = f"epoch {epoch + 1}/{job.epochs}"
        row: Row = {
            "epoch": epoch + 1,
            "loss": step.epoch(batches, words),
            "test_accuracy": training.accuracy(model, tests),
            "lr": lr,
            "n_cells": getattr(model, "n_cells", None),
            "n_steps": getattr(model, "n_steps", None),
            "parameters": sum(p.numel() for p in model.parameters()),
        }
        row["seconds"] = round(time.perf_counter() - start, 3)
        rows.append(row)
        state = training.training_state(model, step.optimizer, None, batches)
        training.save_checkpoint(path, state | {"config": asdict(job), "rows": rows})
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        study.write_text(lines, out / "log.jsonl")
        study.write_csv(rows, out / "history.csv")
        print(
            f"{words}  loss {row['loss']:.4f}  test accuracy "
            f"{row['test_accuracy']:.4f}  lr {lr:.3g}  {row['seconds']:.1f} s",
            flush=True,
        )
    _plot_history(rows, out / "history.png")
    print(f"Done: {path}")
    return rows


def _network(job: Job, epochs: int, device: torch.device) -> Any:
    """Return a new network on the device, with its cells after so many epochs."""
    model: Any = build(job)
    for _ in range(sum(epoch < epochs for epoch in job.refine)):
        model = model.refined()
    # A GPU convolves fastest with channels last.
    layout = torch.channels_last if device.type == "cuda" else torch.preserve_format
    return model.to(device, memory_format=layout)


def _step(model: nn.Module, job: Job, epoch: int, per_epoch: int) -> training.Step:
    """Return the step of the optimiser, at the beginning of an epoch."""
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=job.lr,
        momentum=0.9,
        weight_decay=job.weight_decay,
        nesterov=job.nesterov,
    )
    return training.Step(
        model,
        nn.CrossEntropyLoss(label_smoothing=job.label_smoothing),
        optimizer,
        scheduler=torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda i: rate_share(job, epoch + i / per_epoch)
        ),
        mixed_precision=bool(job.mixed_precision),
        capture=True,
    )


def _load_run(path: Path, job: Job | None = None) -> Row:
    """Read a checkpoint of `train`, to go on with a job if one is given.

    Raises:
        CheckpointError: if it is damaged or something else, or if the job has other
            settings, but for more epochs.
    """
    state = training.load_checkpoint(path)
    config = state.get("config", {})
    if config.keys() != asdict(Job()).keys() or "rows" not in state:
        raise CheckpointError(
            f"{path} was not written by this version of 'odenets train'; it was left "
            "as it is"
        )
    for name, value in asdict(job).items() if job else ():
        if name != "epochs" and config[name] != value:
            raise CheckpointError(
                f"{path} was trained with {_flag(name)} {config[name]}, not {value}; "
                "it was left as it is"
            )
    return state


def _plot_history(rows: list[Row], path: Path) -> None:
    plots.style()
    fig = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = fig.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    left.semilogy(epochs, [row["loss"] for row in rows], color=plots.BLUE)
    left.set(xlabel="epoch", ylabel="training loss")
    right.plot(epochs, [row["test_accuracy"] for row in rows], color=plots.BLUE)
    right.set(xlabel="epoch", ylabel="test accuracy")
    for before, row in pairwise(rows):
        if row["n_cells"] != before["n_cells"]:
            for ax in (left, right):
                ax.axvline(before["epoch"] + 0.5, color=plots.GREY, ls=":")
            left.text(before["epoch"] + 0.6, before["loss"], f"{row['n_cells']} cells")
    fig.savefig(path, dpi=120)


# ----------------------------------------------------------------------- evaluate


def evaluate(
    run: Path,
    schemes: Sequence[str] = ("euler", "midpoint", "rk4", "rk4_38"),
    steps: Sequence[int] = (),
    dataset: str | None = None,
    test_batch_size: int = 512,
    n_test: int | None = None,
    device: str | None = None,
) -> list[Row]:
    """Solve a trained network with other schemes and steps; the convergence test.

    Args:
        run: folder that train has filled
        schemes: some of the solvers
        steps: numbers of steps per stage; some up to four times the trained one
        dataset: that of training when left out
        test_batch_size: images per test batch
        n_test: use only so many test images
        device: cuda, mps or cpu; the first that is there when left out
    Returns: a row with `scheme`, `n_steps` and `accuracy` for each pair.
    """
    state = _load_run(run / "checkpoint.pt")
    job = Job(**state["config"])
    place = training.pick_device(device)
    model = _network(job, len(state["rows"]), place)
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(f"the weights do not fit the network: {error}") from error
    data = load_data(dataset or job.dataset, 1, n_test or job.n_test, place)
    if data.test.images.shape[1] != (3 if job.dataset in PHOTOGRAPHS else 1):
        raise ValueError(f"the network cannot read the images of {dataset}")
    tests = images.Batches(data.test, test_batch_size)
    if job.model in PLAIN:
        print(f"test accuracy {training.accuracy(model, tests):.4f}")
        print("A ResNet has no scheme and no steps to change.")
        return []

    own = model.n_steps
    steps = sorted(set(steps) or {*range(1, 2 * own + 1), 3 * own, 4 * own})
    words = f"{len(data.test.labels)} images"
    with training.progress(None, words, len(schemes) * len(steps)) as bar:

        def measure(net: nn.Module) -> float:
            bar.update()
            return training.accuracy(net, tests)

        table = continuous.manifestation_table(model, measure, [*schemes], steps)
    print(f"Trained with {job.scheme}, {own} steps on {model.n_cells} cells.")
    print("steps  " + "".join(f"{scheme:>10}" for scheme in schemes))
    for n in steps:
        values = "".join(f"{table[scheme, n]:>10.4f}" for scheme in schemes)
        print(f"{n:>5}  {values}")
    rows = [
        {"scheme": scheme, "n_steps": n, "accuracy": value}
        for (scheme, n), value in table.items()
    ]
    path = study.write_csv(rows, run / "manifestation.csv")
    _plot_manifestation(rows, job.scheme, own, path.with_suffix(".png"))
    print(f"Written: {path}")
    return rows


def _plot_manifestation(rows: list[Row], scheme: str, own: int, path: Path) -> None:
    plots.style()
    fig = Figure(figsize=(7, 4), layout="constrained")
    ax = fig.subplots()
    for name, group in groupby(rows, lambda row: row["scheme"]):
        steps, values = zip(*((row["n_steps"], row["accuracy"]) for row in group))
        ax.plot(steps, values, "o-", color=plots.COLOURS.get(name), label=name)
    ax.axvline(own, color=plots.GREY, ls=":", label=f"trained: {scheme}, {own}")
    ax.set(xlabel="steps per stage", ylabel="test accuracy")
    ax.set_xscale("log", base=2)
    ax.legend()
    fig.savefig(path, dpi=120)


# ---------------------------------------------------------------------- the study

STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 32)


def jobs(dataset: str = "mnist") -> list[Job]:
    """Return the trainings of the record: Euler and rk4 with one stage and with three.

    The last two were stopped early. At which epochs the last one split its cells was
    not kept with the record.

    Args:
        dataset: mnist, digits, fashionmnist, cifar10, cifar100
    """
    shared: Row = {"dataset": dataset, "epochs": 10, "initial_time_d": 4}
    short = shared | {"scheme": "rk4", "epochs": 6}
    return [
        Job(scheme="euler", stages=1, **shared),
        Job(scheme="rk4", stages=1, **shared),
        Job(scheme="euler", **shared),
        Job(**short),
        Job(**short | {"initial_time_d": 1, "refine": (2, 4)}),
    ]


def work(job: Job, out: Path, device: str | None) -> Row:
    """Train a network and solve it with every scheme."""
    folder = study.checkpoint(job, out).with_suffix("")
    train(job, folder, device, resume=True)
    return {"accuracies": evaluate(folder, steps=STEPS, device=device)}


def one_accuracy_a_row(results: list[Row]) -> list[Row]:
    """Return a row for each scheme and number of steps, `trained` in words."""
    return [
        {"trained": _trained(row), "epochs": row["epochs"]} | found
        for row in results
        for found in row["accuracies"]
    ]


def _trained(row: Row) -> str:
    stages = {1: "one stage", 3: "three stages"}[row["stages"]]
    cells = ", cells 1 to 4" if row["refine"] else ""
    return f"{row['scheme']}, {stages}{cells}"


STUDY = Study("continuous", jobs, work, one_accuracy_a_row)
recorded = STUDY.recorded
"""What was measured on MNIST: rows with `trained`, `epochs`, and `scheme`, `n_steps`,
`accuracy` of the test."""


# -------------------------------------------------------------- python -m odenets

SPELLINGS = {
    "ContinuousNetActFirst": "ContinuousNetPreActivation",
    "rk4_classic": "rk4",
    "rk4_alt": "rk4_38",
    "CIFAR10": "cifar10",
    "CIFAR100": "cifar100",
    "FMNIST": "fashionmnist",
    "gpu": "cuda",
    "--arch": "--model",
    "--name": "--dataset",
    "--depth-res": "--depth",
    "--depth-wide": "--depth",
    "--use-skipinit": "--skip-init",
}
"""How the original programs spell what has another name here."""

RECIPES: dict[str, Row] = {
    "sheet": {
        "batch_size": 128,
        "epochs": 120,
        "lr": 0.1,
        "lr_decay_epoch": (30, 60, 90),
    },
    "best": {
        "batch_size": 512,
        "epochs": 160,
        "lr": 0.4,
        "schedule": "cosine",
        "warm_up": 5,
        "nesterov": True,
        "label_smoothing": 0.1,
    },
}
"""Settings that belong together: those of the paper, and those that did best here."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of a command line; `--lr_decay` is `--lr-decay`.

    A recipe replaces the defaults; what is given beside it wins.
    """
    words = []
    for word in sys.argv[1:] if arguments is None else arguments:
        flag, equals, value = word.partition("=")
        if flag.startswith("--"):
            flag = flag.replace("_", "-")
            word = SPELLINGS.get(flag, flag) + equals + value
        words.append(word)

    top = argparse.ArgumentParser(prog="python -m odenets", description=__doc__)
    top.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = top.add_subparsers(dest="command", required=True)
    defaults = argparse.ArgumentDefaultsHelpFormatter
    choices = {
        "model": (*CONTINUOUS, *PLAIN),
        "dataset": images.DATASETS,
        "scheme": TABLEAUS,
        "schemes": TABLEAUS,
        "schedule": ("steps", "cosine"),
    }
    options = commands.add_parser(
        "train", help="train a network", formatter_class=defaults
    )
    study.add_flags(options, Job, choices, _spelled)
    add = options.add_argument
    add("--recipe", choices=RECIPES, help="settings that belong together; flags win")
    add(
        "--out", type=Path, help="folder; results/MODEL-DATASET-SCHEME-SEED if left out"
    )
    add("--test-batch-size", type=int, default=512, help="images per test batch")
    add("--device", help="cuda, mps or cpu; the first that is there")
    add("--resume", action="store_true", help="go on from the checkpoint, if any")
    tests = commands.add_parser(
        "evaluate", help="other schemes and steps", formatter_class=defaults
    )
    study.add_flags(tests, evaluate, choices, _spelled)
    given = top.parse_args(words)
    if getattr(given, "recipe", None):
        options.set_defaults(**RECIPES[given.recipe])
        given = top.parse_args(words)
    given.device = _spelled(given.device)
    return given


def _spelled(text: Any) -> Any:
    return SPELLINGS.get(text, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `train` or `evaluate`; return the exit status, 1 after a message."""
    given = vars(parse(arguments))
    command, _ = given.pop("command"), given.pop("recipe", None)
    try:
        if command == "evaluate":
            evaluate(**given)
        else:
            said = {field.name: given.pop(field.name) for field in fields(Job)}
            lists = {n: tuple(v) for n, v in said.items() if isinstance(v, list)}
            job = Job(**said | lists)
            words = (job.model, job.dataset, job.scheme, str(job.seed))
            out = given.pop("out") or Path("results") / "-".join(words)
            train(job, out, **given)
    except (CheckpointError, FloatingPointError, OSError, ValueError) as error:
        print(f"odenets {command}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    STUDY.main()
