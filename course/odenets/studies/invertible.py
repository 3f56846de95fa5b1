"""The experiments of notebooks 07 and 08 on MNIST: two roads to invertible networks.

    python -m odenets.studies.invertible --out results --workers 2
    python -m odenets.studies.invertible record --out results

A plain network, an i-RevNet, a ResNet and i-ResNets with several bounds rho learn from
500 images and are tested on all others. Each training is one line in
`results/invertible-mnist.jsonl`, written when it is done; started again with the same
`--out` the command goes on with the trainings that are missing. `record` writes the
table that the notebooks show, `invertible_mnist.csv` beside this file.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from odenets import training
from odenets.data import images
from odenets.data.images import ImageData, Labelled
from odenets.nets import iresnet, irevnet
from odenets.studies import files
from odenets.studies.files import Row

# ------------------------------------------------------------------- what to train


@dataclass(frozen=True)
class Job:
    """One training: a key of `NETS`, the bound of an i-ResNet, and a seed."""

    net: str
    rho: float | None = None
    seed: int = 0


NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[Tensor], Tensor]]] = {
    "plain net": (irevnet.Net, irevnet.lab_view),
    "i-RevNet": (irevnet.iRevNet, irevnet.lab_view),
    "i-RevNet, squeezed": (irevnet.iRevNet, irevnet.SpaceToDepth(4)),
    "ResNet": (iresnet.ResNet, irevnet.lab_view),
    "i-ResNet": (iresnet.iResNet, irevnet.lab_view),
}
"""How to make each net, and how it sees an image as `(16, 7, 7)`."""

RHOS = (0.90, 0.85, 0.80)
LEARNING_RATES = {"digits": 0.02, "mnist": 0.05}
N_EPOCH = 40
BATCH_SIZE = 64
COUNTS = (10, 20)
"""Numbers of fixed-point iterations per layer after which the inverse is looked at."""


def all_jobs(seeds: Iterable[int] = range(5)) -> list[Job]:
    """Return the jobs of both notebooks."""
    kinds = [Job(net) for net in NETS if net != "i-ResNet"]
    kinds += [Job("i-ResNet", rho) for rho in RHOS]
    seeds = list(seeds)
    return [Job(kind.net, kind.rho, seed) for kind in kinds for seed in seeds]


def load(dataset: str, n_train: int = 500) -> ImageData:
    """Return `n_train` images to learn from, and those to test on, `(n, 1, 28, 28)`.

    Of the small digits all others are tested on; the other data sets have test images
    of their own.
    """
    data = images.load(dataset)
    if dataset != "digits":
        return ImageData(data.train.first(n_train), data.test)
    pool, labels = (torch.cat(parts) for parts in zip(data.train, data.test))
    return ImageData(
        Labelled(pool[:n_train], labels[:n_train]),
        Labelled(pool[n_train:], labels[n_train:]),
    )


def seen(data: ImageData, view: Callable[[Tensor], Tensor]) -> ImageData:
    """Apply `view` to all images, those to learn from and those to test on."""
    return ImageData(*(Labelled(view(part.images), part.labels) for part in data))


# --------------------------------------------------------------------- one training


def train(job: Job, data: ImageData, n_epoch: int, learning_rate: float) -> nn.Module:
    """Train the net of a job on images that are seen through its view already."""
    training.set_seed(job.seed)
    net = NETS[job.net][0]()
    loader, _ = images.loaders(data, BATCH_SIZE, generator=job.seed)
    if job.rho is None:
        irevnet.train(net, loader, n_epoch, learning_rate)
    else:
        iresnet.train_norm(net, loader, n_epoch, learning_rate, job.rho)
    return net


def inverse_errors(net: nn.Module, x: Tensor, counts: Sequence[int]) -> list[float]:
    """Return the largest error of the inverse of a residual network, over all pixels.

    Args:
        net: a `ResNet` or an `iResNet`.   x: images `(s, 16, 7, 7)`.
        counts: numbers of fixed-point iterations per layer; an error for each.
    """
    undone = iresnet.iResNet()  # same function, and it has an inverse
    parameters = zip(undone.state_dict(), net.state_dict().values())
    undone.load_state_dict(dict(parameters))
    with torch.no_grad():
        y = undone(x, classif=False)
        return [(undone.inverse(y, n) - x).abs().max().item() for n in counts]


def run_job(job: Job, dataset: str, n_epoch: int, path: Path | None = None) -> Row:
    """Train and test one net; write the row to `path` where there is one."""
    torch.set_num_threads(1)  # the numbers are then those of any number of cores
    data = seen(load(dataset), NETS[job.net][1])
    start = time.perf_counter()
    net = train(job, data, n_epoch, LEARNING_RATES.get(dataset, 0.05))
    seconds = time.perf_counter() - start
    _, test_loader = images.loaders(data, BATCH_SIZE)
    row = {
        "dataset": dataset,
        "n_epoch": n_epoch,
        **asdict(job),
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "accuracy": irevnet.test(net, test_loader),
        "seconds": round(seconds, 1),
    }
    if job.net in ("ResNet", "i-ResNet"):
        errors = inverse_errors(net, data.test.images[:1000], COUNTS)
        row |= {f"error_at_{n}": error for n, error in zip(COUNTS, errors)}
    if path is not None:
        files.append(path, row)
    return row


# ----------------------------------------------------------------------- the study


def read_rows(path: Path, dataset: str, n_epoch: int) -> dict[Job, Row]:
    """Return the finished trainings of these settings in a results file."""
    return {
        Job(row["net"], row["rho"], row["seed"]): row
        for row in files.read(path)
        if (row["dataset"], row["n_epoch"]) == (dataset, n_epoch)
    }


def results_file(out: Path, dataset: str) -> Path:
    """Return the path of the results file in a folder."""
    return out / f"invertible-{dataset}.jsonl"


def run(
    jobs: Sequence[Job],
    out: Path,
    dataset: str = "mnist",
    n_epoch: int = N_EPOCH,
    workers: int = 0,
) -> list[Row]:
    """Train and test what is not in the results file yet; return all rows.

    Args:
        workers: number of processes, one thread each; 0 trains here, in turn.
    """
    path = results_file(out, dataset)
    known = read_rows(path, dataset, n_epoch)
    arguments = [(job, dataset, n_epoch, path) for job in jobs if job not in known]
    if workers:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, spawn) as pool:
            tasks = [pool.submit(run_job, *a) for a in arguments]
            for task in training.progress(tasks, "study"):
                task.result()
    else:
        for a in training.progress(arguments, "study"):
            run_job(*a)
    known = read_rows(path, dataset, n_epoch)
    return [known[job] for job in jobs]


RECORD = Path(__file__).with_name("invertible_mnist.csv")
"""Results on MNIST, one line per training: see `recorded`."""


def write_record(out: Path, path: Path = RECORD, n_epoch: int = N_EPOCH) -> Path:
    """Write the table of all jobs on MNIST from the results in a folder.

    Errors of the inverse are rounded to two digits.

    Raises:
        ValueError: if a training is missing.
    """
    known = read_rows(results_file(out, "mnist"), "mnist", n_epoch)
    missing = [job for job in all_jobs() if job not in known]
    if missing:
        raise ValueError(f"{len(missing)} trainings are missing, {missing[0]} first")
    names = ("net", "rho", "seed", "parameters", "accuracy")
    table = []
    for job in all_jobs():
        row = known[job]
        line = {name: row[name] for name in names}
        for name in (f"error_at_{n}" for n in COUNTS):
            line[name] = f"{row[name]:.1e}" if name in row else None
        table.append(line)
    return files.write_csv(table, path)


def recorded(path: Path = RECORD) -> list[Row]:
    """Return what was measured on MNIST: one dict per training.

    Keys: `net`, `rho` (i-ResNets only), `seed`, `parameters`, `accuracy` on the 10 000
    test images, and, for the residual networks, `error_at_10` and `error_at_20`: the
    largest error of the inverse of 1000 test images after so many iterations per layer.
    """
    return files.read_csv(path)


# ---------------------------------------------------------------------- the command


def main(arguments: list[str] | None = None) -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m odenets.studies.invertible", description=__doc__.split("\n")[0]
    )
    parser.add_argument("job", nargs="?", default="train", choices=["train", "record"])
    parser.add_argument("--dataset", default="mnist", help="mnist, digits, ..")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--n-epoch", type=int, default=N_EPOCH)
    parser.add_argument("--workers", type=int, default=0, help="processes; default: 0")
    chosen = parser.parse_args(arguments)
    if chosen.job == "record":
        print("table:", write_record(chosen.out))
        return
    jobs = all_jobs(chosen.seeds)
    for row in run(jobs, chosen.out, chosen.dataset, chosen.n_epoch, chosen.workers):
        bound = "" if row["rho"] is None else f" rho {row['rho']:.2f}"
        errors = "".join(
            f"  error at {n}: {row[f'error_at_{n}']:.1e}"
            for n in COUNTS
            if f"error_at_{n}" in row
        )
        print(
            f"{row['net'] + bound:18s} seed {row['seed']}"
            f"  accuracy {row['accuracy']:.4f}{errors}"
        )


if __name__ == "__main__":
    main()
