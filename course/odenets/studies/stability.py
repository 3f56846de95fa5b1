"""The experiments of notebook 03: three stable networks on toy data and on images.

    python -m odenets.studies.stability toy --out results
    python -m odenets.studies.stability images --dataset mnist --out results

Both train 4, 8, 16, .. layers (the swiss roll starts at 16), append one line of JSON
per level to `results/toy.jsonl` or `results/images.jsonl`, and keep the weights of the
last level in a checkpoint. Started again with the same `--out` they go on from there.
"""

import argparse
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from odenets import multilevel, training
from odenets.data import images as image_data
from odenets.data import toy
from odenets.multilevel import Classifier, Data, Trained
from odenets.nets.stable import NETS, ImageNet, StableNet
from odenets.studies import files

# ----------------------------------------------------------- the problems


@dataclass(frozen=True)
class Problem:
    """A toy data set with the numbers of the talk: T, widths, alpha.

    `first` is the number of layers to start with, `alpha_W` the factor of |W|^2 / 2.
    """

    name: str
    T: float
    width: dict[str, int]
    alpha: float
    alpha_W: float
    first: int
    n_classes: int
    box: tuple[float, float, float, float]


def _widths(first_order: int, hamiltonian: int) -> dict[str, int]:
    return {
        "ResNet": first_order,
        "antisymmetric": first_order,
        "Hamiltonian": hamiltonian,
    }


PROBLEMS = {
    p.name: p
    for p in (
        Problem("ellipses", 20, _widths(2, 2), 1e-3, 1e-3, 4, 2, toy.ELLIPSES_BOX),
        Problem("swiss roll", 20, _widths(4, 2), 5e-3, 3e-4, 16, 2, toy.SWISS_ROLL_BOX),
        Problem("peaks", 5, _widths(8, 2), 5e-6, 1e-5, 4, 5, toy.PEAKS_BOX),
    )
}


def load(problem: Problem, seed: int = 0) -> Data:
    """Return the points of the talk, in float64.

    Ellipses: 1000 and 200; swiss roll: 513 and 513, nothing is random; peaks: 4000 and
    1000.
    """
    kind = torch.float64
    if problem.name == "swiss roll":
        train, val = toy.swiss_roll(256, dtype=kind)
    elif problem.name == "ellipses":
        rng = torch.Generator().manual_seed(seed)
        train, val = toy.ellipses(500, rng, kind), toy.ellipses(100, rng, kind)
    else:
        rng = torch.Generator().manual_seed(seed)
        X, labels = toy.peaks(5000, generator=rng, dtype=kind)
        order = torch.randperm(5000, generator=rng)
        X, labels = X[order], labels[order]
        train, val = (X[:4000], labels[:4000]), (X[4000:], labels[4000:])
    return Data(*train, *val, n_classes=problem.n_classes)


def initial_net(problem: Problem, name: str, seed: int = 0) -> StableNet:
    """Return an untrained network with `problem.first` layers, all of them equal.

    The Hamiltonian network starts as an oscillator, K = I with some noise; the others
    start with random weights. (The swiss roll needs no noise and gets none.)
    """
    n = problem.width[name]
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
    data = load(problem, seed) if data is None else data
    return multilevel.train_multilevel(
        initial_net(problem, name, seed),
        data,
        problem.alpha,
        last,
        iterations,
        problem.alpha_W,
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

# ----------------------------------------------------------- files


def read_rows(path: Path) -> list[dict]:
    """Return the results: one row per level, the latest where there are several.

    A line that was cut off is left out.
    """
    rows = {
        (row["data"], row["net"], row["seed"], row["layers"]): row
        for row in files.read(path)
    }
    return [rows[key] for key in sorted(rows)]


def write_csv(path: Path) -> Path:
    """Write the lines of a results file, without long lists, as a table next to it."""
    return files.write_csv(read_rows(path), path.with_suffix(".csv"))


RESULTS = Path(__file__).parent
"""Where the package keeps what the full-scale runs gave."""


def published(study: str) -> list[dict]:
    """Return the rows of the full-scale run that the package keeps.

    Args:
        study: "toy" or "images".
    """
    return files.read_csv(RESULTS / f"stability_{study}.csv")


# ----------------------------------------------------------- toy data


def toy_study(
    out: Path, problem: str, name: str, last: int, iterations: int, seed: int = 0
) -> None:
    """Train one network on one data set, level by level, from where it was left."""
    torch.set_num_threads(1)  # the tensors are small; other processes do the rest
    settings = PROBLEMS[problem]
    data = load(settings, seed)
    state_file = out / "checkpoints" / f"{problem}-{name}-{seed}.pt".replace(" ", "-")
    net, classifier = initial_net(settings, name, seed), None
    refine = False
    if state_file.exists():
        state = training.load_checkpoint(state_file)
        net = NETS[name](state["K"], state["b"], settings.T)
        classifier = Classifier(state["W"], state["mu"])
        refine = True
    while len(net.K) * (2 if refine else 1) <= last:
        net = net.refined() if refine else net
        start = time.perf_counter()
        trained = multilevel.train_level(
            net, data, settings.alpha, iterations, classifier, settings.alpha_W
        )
        net, classifier, refine = trained.net, trained.classifier, True
        level = trained.level
        row = {
            "data": problem,
            "net": name,
            "seed": seed,
            "layers": level.layers,
            "iterations": len(level.objective) - 1,
            "objective": level.objective[-1],
            "train_accuracy": level.train_accuracy[-1],
            "val_accuracy": level.val_accuracy[-1],
            "seconds": round(time.perf_counter() - start, 1),
            "objectives": level.objective,
            "val_accuracies": level.val_accuracy,
        }
        state = {"K": net.K.detach(), "b": net.b.detach()}
        state |= {"W": classifier.W, "mu": classifier.mu}
        files.append(out / "toy.jsonl", row)
        training.save_checkpoint(state_file, state)
        print(_told(row), flush=True)


def _told(row: dict) -> str:
    shown = {key: value for key, value in row.items() if not isinstance(value, list)}
    return "  ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in shown.items()
    )


# ----------------------------------------------------------- images


def split_images(dataset: str, size: int = 28) -> tuple[tuple[Tensor, Tensor], ...]:
    """Return training, validation and test images with their labels.

    As in the talk, 10 000 of the 60 000 images of MNIST are kept for validation (the
    last ones); of the digits, every fifth of the training images.

    Args:
        dataset: a name that `odenets.data.images.load` knows.
        size: height and width of the digits; the other images have their own.
    """
    digits = dataset == "digits"
    train, test = image_data.digits(size) if digits else image_data.load(dataset)
    validating = torch.zeros(len(train.images), dtype=torch.bool)
    if digits:
        validating[4::5] = True
    else:
        validating[-(len(train.images) // 6) :] = True
    return (
        (train.images[~validating], train.labels[~validating]),
        (train.images[validating], train.labels[validating]),
        tuple(test),
    )


def image_study(
    out: Path,
    dataset: str,
    name: str,
    epochs: int,
    last: int = 16,
    device: str = "cpu",
    batch_size: int = 250,
    lr: float = 5e-3,
    seed: int = 0,
) -> None:
    """Train one network of convolutions with 4, 8, 16 layers, one line per level."""
    parts = [(x.to(device), labels.to(device)) for x, labels in split_images(dataset)]
    size = parts[0][0].shape[-1]
    state_file = out / "checkpoints" / f"{dataset}-{name}-{seed}.pt"
    net, layers, trained = initial_image_net(name, size, seed=seed), 4, False
    if state_file.exists():
        state = training.load_checkpoint(state_file)
        layers, trained = len(state["model"]["body.K"]), True
        net = initial_image_net(name, size, layers, seed=seed)
        net.load_state_dict(state["model"])
    while layers * (2 if trained else 1) <= last:
        if trained:
            net.body, layers = net.body.refined(), 2 * layers
        net.to(device)
        start = time.perf_counter()
        losses = multilevel.train_images(
            net, *parts[0], IMAGE_ALPHA, epochs, batch_size, lr, seed=seed
        )
        trained = True
        errors = [multilevel.error_rate(net, *part) for part in parts]
        row = {
            "data": dataset,
            "net": name,
            "seed": seed,
            "layers": layers,
            "epochs": epochs,
            "loss": losses[-1],
            "train_error": errors[0],
            "val_error": errors[1],
            "test_error": errors[2],
            "seconds": round(time.perf_counter() - start, 1),
            "losses": losses,
        }
        files.append(out / "images.jsonl", row)
        training.save_checkpoint(state_file, {"model": net.state_dict()})
        print(_told(row), flush=True)


# ----------------------------------------------------------- the command


def main(arguments: list[str] | None = None) -> None:
    """Run a study from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m odenets.studies.stability", description=__doc__.split("\n")[0]
    )
    parser.add_argument("study", choices=["toy", "images"])
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument(
        "--data", nargs="+", choices=list(PROBLEMS), default=[*PROBLEMS]
    )
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=[*NETS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--last", type=int, help="layers of the last level")
    parser.add_argument("--iterations", type=int, default=300, help="per level (toy)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="(toy)")
    parser.add_argument("--dataset", default="mnist", help="digits or mnist (images)")
    parser.add_argument("--epochs", type=int, default=12, help="per level (images)")
    parser.add_argument("--batch-size", type=int, default=250, help="(images)")
    parser.add_argument("--lr", type=float, default=5e-3, help="(images)")
    parser.add_argument("--device", default=None, help="cuda, mps or cpu (images)")
    chosen = parser.parse_args(arguments)
    if chosen.study == "toy":
        last = chosen.last or 1024
        with ProcessPoolExecutor(chosen.jobs) as pool:
            running = [
                pool.submit(toy_study, chosen.out, p, n, last, chosen.iterations, s)
                for s in chosen.seeds
                for p in sorted(
                    chosen.data, key=lambda p: p != "peaks"
                )  # longest first
                for n in chosen.nets
            ]
            for task in running:
                task.result()
    else:
        device = str(training.pick_device(chosen.device))
        for seed in chosen.seeds:
            for name in chosen.nets:
                image_study(
                    chosen.out,
                    chosen.dataset,
                    name,
                    chosen.epochs,
                    chosen.last or 16,
                    device,
                    chosen.batch_size,
                    chosen.lr,
                    seed,
                )
    print("table:", write_csv(chosen.out / f"{chosen.study}.jsonl"))


if __name__ == "__main__":
    main()
