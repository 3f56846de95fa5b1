"""The full-size experiments: `python -m odenets train`, `python -m odenets evaluate`.

`train` fits a continuous-in-depth network or a plain residual network to images and
fills a folder::

    checkpoint.pt    weights, optimiser, random numbers; written after every epoch
    log.jsonl        one line of JSON per epoch
    history.csv      the same as a table
    history.png      loss, accuracy and step size against epochs

`evaluate` takes such a folder, solves the trained equation with other schemes and other
numbers of steps, and adds `manifestation.csv` and `manifestation.png`.
"""

import argparse
import csv
import io
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from odenets import training
from odenets.data import images
from odenets.nets import continuous
from odenets.solvers import TABLEAUS
from odenets.training import CheckpointError

PLAIN = ("ResNet", "WideResNet")
MODELS = (
    "ContinuousNet",
    "ContinuousNetPreActivation",
    "WideContinuousNet",
    *PLAIN,
)

# How the original programs spell what has another name here.
SPELLINGS = {
    "ContinuousNetActFirst": "ContinuousNetPreActivation",
    "rk4_classic": "rk4",
    "rk4_alt": "rk4_38",
    "FMNIST": "fashionmnist",
    "gpu": "cuda",
}

RECIPES: dict[str, dict[str, Any]] = {
    "sheet": {
        "batch_size": 128,
        "epochs": 120,
        "lr": 0.1,
        "lr_decay_epoch": [30, 60, 90],
    },
    "best": {
        "batch_size": 512,
        "epochs": 120,
        "lr": 0.4,
        "schedule": "cosine",
        "warm_up": 5,
        "nesterov": True,
        "label_smoothing": 0.1,
    },
}
"""Settings that belong together: those of the paper, and those that did best here."""

# What may differ between a run and the command that resumes it.
FREE = {"command", "recipe", "out", "resume", "device", "epochs", "test_batch_size"}

# Photographs survive a mirror and a shift, digits and clothes are left as they are.
AUGMENTED = ("cifar10", "cifar100")


# ----------------------------------------------------------------------- arguments

OUT = "results/MODEL-DATASET-SCHEME-SEED"
DEPTH = "6 (M + 1) + 2, wide + 4: as many parameters as the ContinuousNet,"
CELLS = "cells of depth-time per stage, before any refinement"
STEPS_PER = "steps of the solver per cell"
EPSILON = "factor of the residual unit; M when left out"
REFINE = "split all cells in two before these epochs, counted from 0"
VARIANCE = "relative noise on the weights of the new cells"
SKIP_INIT = "multiply each unit by a number that starts at zero"
DECAY = """epochs before which the learning rate decays, counted from 0; when left out
a quarter, a half and three quarters of all epochs (30 60 90 of 120)"""
RECIPE = "settings that belong together; flags beside it win"
SCHEDULE = "of the learning rate: falling at epochs, or to zero like a cosine"
WARM_UP = "epochs over which the learning rate rises at first"
MIXED = "bfloat16 where it is enough; on for cuda, off for others when left out"
RESUME = "go on from the checkpoint of the folder, if there is one"
DEVICE = "cuda, mps or cpu; the first that is there when left out"
STEPS = "numbers of steps per stage; some up to four times the trained one by default"


def parser(recipe: dict[str, Any] | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line, with the defaults of a recipe."""
    shows_defaults = argparse.ArgumentDefaultsHelpFormatter
    switch = argparse.BooleanOptionalAction
    top = argparse.ArgumentParser(prog="python -m odenets", description=__doc__)
    top.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = top.add_subparsers(dest="command", required=True)

    train = commands.add_parser(
        "train", help="train a network", formatter_class=shows_defaults
    )
    add = train.add_argument
    add("--recipe", choices=list(RECIPES), help=RECIPE)
    add(
        "--model",
        "--arch",
        type=spelling,
        choices=MODELS,
        default="ContinuousNet",
        help="the network",
    )
    add(
        "--dataset",
        "--name",
        type=dataset,
        choices=list(images.DATASETS),
        default="digits",
        help="the images",
    )
    add("--out", type=Path, help=f"folder of the run; {OUT} when left out")
    add("--alpha", type=positive, default=16, help="channels of the first layer")
    add("--widen-factor", type=positive, default=4, help="of the wide nets")
    add(
        "--stages",
        type=positive,
        default=3,
        help="of growing width, of a continuous net",
    )
    add(
        "--depth",
        "--depth-res",
        "--depth-wide",
        type=positive,
        help=f"layers of the ResNet; {DEPTH} when left out",
    )
    add(
        "--scheme",
        type=spelling,
        choices=list(TABLEAUS),
        default="euler",
        help="the solver",
    )
    add("--initial-time-d", type=positive, default=2, metavar="M", help=CELLS)
    add("--n-time-steps-per", type=positive, default=1, metavar="N", help=STEPS_PER)
    add("--time-epsilon", type=float, metavar="E", help=EPSILON)
    add("--refine", type=int, nargs="*", default=[], metavar="EPOCH", help=REFINE)
    add("--refine-variance", type=float, default=0.0, metavar="V", help=VARIANCE)
    add("--skip-init", "--use-skipinit", action="store_true", help=SKIP_INIT)
    add("--batch-norm", action=switch, default=True, help="every batch norm, or none")
    add("--batch-size", type=positive, default=128, help="images per training step")
    add("--test-batch-size", type=positive, default=512, help="images per test batch")
    add("--n-train", type=positive, help="use only so many training images")
    add("--n-test", type=positive, help="use only so many test images")
    add("--epochs", type=positive, default=15, help="epochs in all")
    add("--lr", type=float, default=0.1, help="learning rate")
    add("--lr-decay", type=float, default=0.1, help="factor of the learning rate")
    add("--lr-decay-epoch", type=int, nargs="*", metavar="EPOCH", help=DECAY)
    add("--schedule", choices=["steps", "cosine"], default="steps", help=SCHEDULE)
    add("--warm-up", type=int, default=0, metavar="EPOCHS", help=WARM_UP)
    add("--nesterov", action=switch, default=False, help="kind of momentum")
    add("--label-smoothing", type=float, default=0.0, help="share of all classes")
    add("--weight-decay", type=float, default=5e-4, help="weight decay")
    add("--mixed-precision", action=switch, help=MIXED)
    add("--device", type=spelling, help=DEVICE)
    add("--seed", type=int, default=1, help="of weights, order and augmentation")
    add("--resume", action="store_true", help=RESUME)
    train.set_defaults(**(recipe or {}))

    test = commands.add_parser(
        "evaluate", help="other schemes and steps", formatter_class=shows_defaults
    )
    add = test.add_argument
    add("run", type=Path, help="folder that train has filled")
    schemes = dict(nargs="+", type=spelling, choices=list(TABLEAUS), metavar="SCHEME")
    usual = ["euler", "midpoint", "rk4", "rk4_38"]
    add("--schemes", **schemes, default=usual, help=f"of {', '.join(TABLEAUS)}")
    add("--steps", type=positive, nargs="+", metavar="N", help=STEPS)
    add(
        "--dataset",
        type=dataset,
        choices=list(images.DATASETS),
        help="that of training by default",
    )
    add("--test-batch-size", type=positive, default=512, help="images per test batch")
    add("--n-test", type=positive, help="use only so many test images")
    add("--device", type=spelling, help=DEVICE)
    return top


def positive(text: str) -> int:
    """Return a positive integer, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def spelling(text: str) -> str:
    """Return our name of what the original programs call otherwise, for argparse."""
    return SPELLINGS.get(text, text)


def dataset(text: str) -> str:
    """Return our name of a data set, for argparse: CIFAR10 is cifar10."""
    return spelling(text).lower()


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of a command line; `--lr_decay` is `--lr-decay`.

    A recipe replaces the defaults; what is given beside it wins.
    """
    given = sys.argv[1:] if arguments is None else arguments
    words = []
    for word in given:
        flag, equals, value = word.partition("=")
        dashes = flag.replace("_", "-") if flag.startswith("--") else flag
        words.append(dashes + equals + value)
    options = parser().parse_args(words)
    recipe = getattr(options, "recipe", None)
    return parser(RECIPES[recipe]).parse_args(words) if recipe else options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status, 1 after a message on stderr."""
    options = parse(arguments)
    command = {"train": train, "evaluate": evaluate}[options.command]
    try:
        command(options)
    except (CheckpointError, FloatingPointError, OSError, ValueError) as error:
        print(f"odenets {options.command}: {error}", file=sys.stderr)
        return 1
    return 0


# --------------------------------------------------------------------- the pieces


def build_model(config: dict[str, Any]) -> nn.Module:
    """Return the untrained network that a configuration describes.

    Args:
        config: the options of `train`, and `in_channels` and `n_classes` of the data.
    """
    data = {name: config[name] for name in ("n_classes", "in_channels", "alpha")}
    blocks = config["initial_time_d"] + 1
    if config["model"] == "ResNet":
        return continuous.ResNet(config["depth"] or 6 * blocks + 2, **data)
    if config["model"] == "WideResNet":
        depth = config["depth"] or 6 * blocks + 4
        return continuous.WideResNet(depth, widen=config["widen_factor"], **data)
    settings = data | {
        "n_cells": config["initial_time_d"],
        "scheme": config["scheme"],
        "n_steps_per": config["n_time_steps_per"],
        "time_epsilon": config["time_epsilon"],
        "batch_norm": config["batch_norm"],
        "skip_init": config["skip_init"],
        "stages": config["stages"],
    }
    if config["model"] == "WideContinuousNet":
        return continuous.WideContinuousNet(widen=config["widen_factor"], **settings)
    early = config["model"] == "ContinuousNetPreActivation"
    return continuous.ContinuousNet(preactivation=early, **settings)


def rate_share(config: dict[str, Any], epoch: float) -> float:
    """Return the share of `--lr` that is in force `epoch` epochs after the start."""
    warm = min(1.0, epoch / config["warm_up"]) if config["warm_up"] else 1.0
    if config["schedule"] == "cosine":
        return warm * (1 + math.cos(math.pi * epoch / config["epochs"])) / 2
    decays = config["lr_decay_epoch"]
    if decays is None:
        decays = [math.ceil(config["epochs"] * k / 4) for k in (1, 2, 3)]
    return warm * config["lr_decay"] ** sum(epoch >= e for e in decays)


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


def _write(path: Path, text: str) -> None:
    """Replace a file in one go, so that a reader never sees half of it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def _table(rows: list[dict[str, Any]]) -> str:
    """Return rows as CSV, with a header."""
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


# -------------------------------------------------------------------------- train


def train(options: argparse.Namespace) -> None:
    """Train a network, one line per epoch; see the module for what is written."""
    config = {name: value for name, value in vars(options).items() if name not in FREE}
    config["epochs"] = options.epochs
    _check(options)
    out = options.out or Path("results") / "-".join(
        str(config[name]) for name in ("model", "dataset", "scheme", "seed")
    )
    device = training.pick_device(options.device)
    run(config, out, device, options.resume, options.test_batch_size)


def run(
    config: dict[str, Any],
    out: Path,
    device: torch.device,
    resume: bool = False,
    test_batch_size: int = 512,
) -> list[dict[str, Any]]:
    """Train the network of a configuration and fill the folder; return its rows.

    Args:
        config: the options of `train`, see `build_model`.
        out: the folder; see the module for what is written.
        resume: go on from the checkpoint in the folder, if there is one.
        test_batch_size: images per test batch.
    Raises:
        ValueError: if there is a checkpoint, but not `resume`.
        CheckpointError: if it was made with other settings, or is damaged.
    """
    if config["mixed_precision"] is None:
        config = config | {"mixed_precision": device.type == "cuda"}
    path = out / "checkpoint.pt"
    state = None
    if path.exists():
        state = _load_run(path)
        if not resume:
            raise ValueError(
                f"{path} exists already: add --resume to go on with it, or choose "
                "another folder with --out"
            )
        _require_same(config, state["config"], path)

    name = config["dataset"]
    data = load_data(name, config["n_train"], config["n_test"], device)
    config["in_channels"] = data.train.images.shape[1]
    config["n_classes"] = 100 if name == "cifar100" else 10

    training.set_seed(config["seed"])
    model = _placed(build_model(config), device)
    augment = images.crop_and_flip if name in AUGMENTED else None
    batches = images.Batches(data.train, config["batch_size"], config["seed"], augment)
    tests = images.Batches(data.test, test_batch_size)
    rows: list[dict[str, Any]] = []
    refined = 0
    if state is not None:
        rows, refined = state["rows"], state["refined"]
        for _ in range(refined):
            model = model.refined()
        print(f"Resuming {out} after epoch {len(rows)}.")
    step = _step(model, config, len(rows), len(batches))
    if state is not None:
        training.restore_training_state(state, model, step.optimizer, None, batches)
    n_parameters = sum(p.numel() for p in model.parameters())
    print(
        f"{config['model']} with {n_parameters} parameters on {device.type}, "
        f"{len(data.train.labels)} training and {len(data.test.labels)} test images"
    )

    for epoch in range(len(rows), config["epochs"]):
        start = time.perf_counter()
        while refined < sum(epoch >= e for e in config["refine"]):
            model = model.refined(config["refine_variance"])
            step = _step(model, config, epoch, len(batches))  # the momentum starts anew
            refined += 1
        lr = step.optimizer.param_groups[0]["lr"]
        words = f"epoch {epoch + 1}/{config['epochs']}"
        loss = step.epoch(batches, words)
        seconds = time.perf_counter() - start
        row = {
            "epoch": epoch + 1,
            "loss": loss,
            "test_accuracy": training.accuracy(model, tests),
            "lr": lr,
            "n_cells": getattr(model, "n_cells", None),
            "n_steps": getattr(model, "n_steps", None),
            "parameters": sum(p.numel() for p in model.parameters()),
            "seconds": round(seconds, 3),
        }
        rows.append(row)
        state = training.training_state(model, step.optimizer, None, batches)
        state |= {"config": config, "rows": rows, "refined": refined}
        training.save_checkpoint(path, state)
        _write(out / "log.jsonl", "".join(json.dumps(r) + "\n" for r in rows))
        _write(out / "history.csv", _table(rows))
        print(
            f"{words}  loss {loss:.4f}  test accuracy {row['test_accuracy']:.4f}  "
            f"lr {lr:.3g}  {seconds:.1f} s",
            flush=True,
        )
    _plot_history(rows, out / "history.png")
    print(f"Done: {path}")
    return rows


def _placed(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model on the device; a GPU convolves fastest with channels last."""
    layout = torch.channels_last if device.type == "cuda" else torch.preserve_format
    return model.to(device, memory_format=layout)


def _step(
    model: nn.Module, config: dict[str, Any], epoch: int, per_epoch: int
) -> training.Step:
    """Return the step of the optimiser, at the beginning of an epoch."""
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=config["lr"],
        momentum=0.9,
        weight_decay=config["weight_decay"],
        nesterov=config["nesterov"],
    )
    return training.Step(
        model,
        nn.CrossEntropyLoss(label_smoothing=config["label_smoothing"]),
        optimizer,
        scheduler=torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda i: rate_share(config, epoch + i / per_epoch)
        ),
        mixed_precision=config["mixed_precision"],
        capture=True,
    )


def _check(options: argparse.Namespace) -> None:
    """Refuse options that would have no effect or make no sense."""
    if options.model in PLAIN:
        kind = options.model
        for name, neutral in (("refine", []), ("skip_init", False), ("stages", 3)):
            if getattr(options, name) != neutral:
                raise ValueError(f"the {kind} has no --{name.replace('_', '-')}")
        if not options.batch_norm:
            raise ValueError(f"the {kind} is built with batch norm only")
    elif options.depth is not None:
        raise ValueError("--depth is for ResNets; use --initial-time-d")
    late = [e for e in options.refine if not 0 <= e < options.epochs]
    if late:
        raise ValueError(f"--refine {late[0]} is not one of {options.epochs} epochs")
    for name in ("lr", "lr_decay"):
        if not getattr(options, name) > 0:
            raise ValueError(f"--{name.replace('_', '-')} must be positive")
    for name in ("weight_decay", "refine_variance", "warm_up", "label_smoothing"):
        if not getattr(options, name) >= 0:
            raise ValueError(f"--{name.replace('_', '-')} must not be negative")


def _load_run(path: Path) -> dict[str, Any]:
    """Read a checkpoint of `train`.

    Raises:
        CheckpointError: if it is damaged or something else.
    """
    state = training.load_checkpoint(path)
    missing = {"config", "rows", "refined", "model", "optimizer"} - state.keys()
    if missing:
        raise CheckpointError(
            f"{path} was not written by 'odenets train' (it has no "
            f"{', '.join(sorted(missing))}); it was left as it is"
        )
    return state


def _require_same(config: dict[str, Any], stored: dict[str, Any], path: Path) -> None:
    """Refuse to resume a run with other settings than those it started with."""
    for name, value in config.items():
        if name not in FREE and stored.get(name) != value:
            flag = "--" + name.replace("_", "-")
            raise CheckpointError(
                f"{path} was trained with {flag} {stored.get(name)}, not {value}; it "
                "was left as it is"
            )


def _plot_history(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    from odenets import plots

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


def evaluate(options: argparse.Namespace) -> None:
    """Solve a trained network with other schemes and steps; the convergence test."""
    state = _load_run(options.run / "checkpoint.pt")
    config = state["config"]
    device = training.pick_device(options.device)
    model = build_model(config)
    for _ in range(state["refined"]):
        model = model.refined()
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(f"the weights do not fit the network: {error}") from error
    model = _placed(model, device)
    dataset = options.dataset or config["dataset"]
    n_test = options.n_test or config["n_test"]
    data = load_data(dataset, 1, n_test, device)
    if data.test.images.shape[1] != config["in_channels"]:
        raise ValueError(f"the network cannot read the images of {dataset}")
    tests = images.Batches(data.test, options.test_batch_size)
    if config["model"] in PLAIN:
        print(f"test accuracy {training.accuracy(model, tests):.4f}")
        print("A ResNet has no scheme and no steps to change.")
        return

    own = model.n_steps
    steps = sorted(set(options.steps or [*range(1, 2 * own + 1), 3 * own, 4 * own]))
    words = f"{len(data.test.labels)} images"
    total = len(options.schemes) * len(steps)
    with training.progress(None, words, total) as bar:

        def measure(net: nn.Module) -> float:
            bar.update()
            return training.accuracy(net, tests)

        table = continuous.manifestation_table(model, measure, options.schemes, steps)
    print(f"Trained with {config['scheme']}, {own} steps on {model.n_cells} cells.")
    print("steps  " + "".join(f"{scheme:>10}" for scheme in options.schemes))
    for n in steps:
        values = "".join(f"{table[scheme, n]:>10.4f}" for scheme in options.schemes)
        print(f"{n:>5}  {values}")
    rows = [
        {"scheme": scheme, "n_steps": n, "accuracy": value}
        for (scheme, n), value in table.items()
    ]
    _write(options.run / "manifestation.csv", _table(rows))
    _plot_manifestation(rows, config["scheme"], own, options.run / "manifestation.png")
    print(f"Written: {options.run / 'manifestation.csv'}")


def _plot_manifestation(
    rows: list[dict[str, Any]], scheme: str, own: int, path: Path
) -> None:
    from matplotlib.figure import Figure

    from odenets import plots

    plots.style()
    fig = Figure(figsize=(7, 4), layout="constrained")
    ax = fig.subplots()
    for name in dict.fromkeys(row["scheme"] for row in rows):
        mine = [row for row in rows if row["scheme"] == name]
        ax.plot(
            [row["n_steps"] for row in mine],
            [row["accuracy"] for row in mine],
            "o-",
            color=plots.COLOURS.get(name),
            label=name,
        )
    ax.axvline(own, color=plots.GREY, ls=":", label=f"trained: {scheme}, {own}")
    ax.set(xlabel="steps per stage", ylabel="test accuracy")
    ax.set_xscale("log", base=2)
    ax.legend()
    fig.savefig(path, dpi=120)
