"""The tables of ContinuousNet on CIFAR-10 and CIFAR-100 (2008.02389), a net a row.

    python -m odenets.studies.tables euler-2 --recipes best --seeds 1 --out results
    python -m odenets.studies.tables record --partial --out results

Each row is one command of `python -m odenets train`, e.g. `--recipe best --dataset
cifar10 --initial-time-d 8` for euler-8. The accuracy is that of the last epoch, on the
whole test set: no epoch is chosen by it. The seconds are those of all epochs, with
their tests. See `odenets.studies.study`.

The record was measured with copies of the data sets that are exact but for 20 of the
10000 test images of CIFAR-10, which had been through JPEG: they can move an accuracy
there by 0.0020 at most. The recipe `best` is at or above what was published, in less
than a tenth of the time, in every row. That of the authors, `sheet`, is at or above it
for resnet-20, euler-2 and rk4-1-2 alone, up to 0.0105 below it for seven rows, and
0.0281 for rk4-1-8.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from odenets import training
from odenets.studies import continuous, study
from odenets.studies.continuous import RECIPES
from odenets.studies.study import Row, Study

CIFAR10, CIFAR100 = {"dataset": "cifar10"}, {"dataset": "cifar100"}
RK4 = CIFAR10 | {"scheme": "rk4"}
GROWS = {"initial_time_d": 1, "refine": (25,)}

ROWS: dict[str, Row] = {
    "resnet-20": CIFAR10 | {"model": "ResNet", "depth": 20},
    "euler-2": CIFAR10 | {"initial_time_d": 2},
    "rk4-2": RK4 | {"initial_time_d": 2},
    "rk4-1-2": RK4 | GROWS,
    "midpoint-1-2": CIFAR10 | GROWS | {"scheme": "midpoint"},
    "resnet-56": CIFAR10 | {"model": "ResNet", "depth": 56},
    "euler-8": CIFAR10 | {"initial_time_d": 8},
    "rk4-8": RK4 | {"initial_time_d": 8},
    "rk4-1-8": RK4 | {"initial_time_d": 1, "refine": (30, 50, 70)},
    "wideresnet-58": CIFAR100 | {"model": "WideResNet", "depth": 58},
    "wide-euler-8": CIFAR100 | {"model": "WideContinuousNet", "initial_time_d": 8},
}
"""What each row trains. The paper's ResNet-52 has 0.85 M parameters, those of depth 56;
52 is not of the form 6 n + 2."""

PUBLISHED = {
    "resnet-20": (0.9131, 48),
    "euler-2": (0.9141, 20),
    "rk4-2": (0.9101, 50),
    "rk4-1-2": (0.9109, 47),
    "midpoint-1-2": (0.9067, 29),
    "resnet-56": (0.9311, 105),
    "euler-8": (0.9311, 83),
    "rk4-8": (0.9329, 279),
    "rk4-1-8": (0.9306, 199),
    "wideresnet-58": (0.7916, 193),
    "wide-euler-8": (0.7845, 159),
}
"""Test accuracy and minutes of training that the authors report."""

SHORT = ("resnet-20", "euler-2", "midpoint-1-2")
"""Rows of two minutes, which are trained with three seeds."""


@dataclass(frozen=True)
class Job:
    """One training of a row."""

    row: str
    recipe: str
    run: continuous.Job


def jobs(
    names: Sequence[str] = tuple(ROWS),
    /,
    recipes: Sequence[str] = tuple(RECIPES),
    seeds: Sequence[int] = (),
) -> list[Job]:
    """Return the trainings of the record.

    Args:
        names: the rows, keys of `ROWS`.
        recipes: how they are trained
        seeds: 1, 2, 3 for the rows of two minutes and 1 for the others if left out
    """
    return [
        Job(name, recipe, continuous.Job(**_settings(name, recipe), seed=seed))
        for recipe in recipes
        for name in names
        for seed in seeds or ((1, 2, 3) if name in SHORT else (1,))
    ]


OWN: dict[tuple[str, str], Row] = {
    ("rk4-2", "sheet"): {"weight_decay": 1e-4},  # as in the paper's command
    ("wideresnet-58", "best"): {"batch_size": 128, "lr": 0.1},  # 0.7879 without
}
"""What a row needs beside the recipe for all."""


def _settings(name: str, recipe: str) -> Row:
    return RECIPES[recipe] | ROWS[name] | OWN.get((name, recipe), {})


def train(job: Job, out: Path, device: str | None) -> tuple[Path, list[Row]]:
    """Train a row, or go on with it; return its folder and its epochs."""
    folder = study.checkpoint(job, out).with_suffix("")
    return folder, continuous.train(job.run, folder, device, True, 2000)


def work(job: Job, out: Path, device: str | None) -> Row:
    """Train a row of a table."""
    epochs = train(job, out, device)[1]
    on_gpu = training.pick_device(device).type == "cuda"
    return {
        "parameters": epochs[-1]["parameters"],
        "accuracy": epochs[-1]["test_accuracy"],
        "loss": epochs[-1]["loss"],
        "seconds": round(sum(epoch["seconds"] for epoch in epochs), 1),
        "card": torch.cuda.get_device_name() if on_gpu else "none",
    }


def joined(results: list[Row]) -> list[Row]:
    """Return a row for each net and recipe: the mean and the range of its seeds.

    Where there are several seeds the seconds are those of the slowest.
    """
    table = []
    for head, *rows in study.over_seeds(results, ("row", "recipe")):
        published, minutes = PUBLISHED[head["row"]]
        table.append(
            head
            | {
                "accuracy": round(head["accuracy"], 4),
                "published": published,
                "seconds": max(row["seconds"] for row in rows),
                "published_seconds": 60 * minutes,
                "card": ", ".join(sorted({row["card"] for row in rows})),
            }
        )
    order = [(name, recipe) for name in ROWS for recipe in RECIPES]
    return sorted(table, key=lambda row: order.index((row["row"], row["recipe"])))


COLUMNS = (
    *("row", "recipe", "parameters", "epochs", "batch_size", "seeds"),
    *("accuracy", "lowest", "highest", "published"),
    *("seconds", "published_seconds", "card"),
)

STUDY = Study("tables", jobs, work, joined, COLUMNS)
recorded = STUDY.recorded
"""What was measured, a row for each net and recipe with the names in `COLUMNS`."""

if __name__ == "__main__":
    STUDY.main()
