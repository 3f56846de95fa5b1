"""The experiment of notebook 05: spirals seen at irregular times.

    python -m odenets.studies.spirals --out results --workers 4
    python -m odenets.studies.spirals --out results --iterations 1200 --batch-size 50
    python -m odenets.studies.spirals record --out results

The latent ODE and recurrent nets of equal size learn from series with 30, 50 or 100
noisy observations, or from all three in turns, and go on for 100 points of time that
nobody observed (Chen et al. 2018, section 5.1). Each training is one line in
`results/spirals.jsonl`; an interrupted one goes on from its checkpoint, and those that
are there already are not repeated. `record` writes the table that the notebook shows,
`spirals.csv` beside this file.

The data are the paper's (1000 series, 300 windows of two curves). It trained for 2000
iterations on all series at once, here it is 8000 on 100 of them.

The record holds a part of these trainings: at full length the latent ODE with the
smaller learning rate, the paper's decoder for all three numbers in turns, and the RNN;
the short ones for all three in turns, with seeds 0 to 6 for the latent ODE, the paper's
decoder and the RNN at their larger learning rate. `--lrs`, `--models`, `--trained-on`
and `--seeds` choose them.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from math import cos, pi
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from odenets import training
from odenets.data import toy
from odenets.nets.neural_ode import Forecaster, LatentODE, elbo
from odenets.studies import files
from odenets.studies.files import Row

SIGMA = 0.3
N_TIMES = 100

PAPER = {
    "latent_ode": {30: 0.1642, 50: 0.1502, 100: 0.1346},
    "rnn": {30: 0.3937, 50: 0.3202, 100: 0.1813},
}
"""RMSE of the extrapolation in table 2 of the paper."""


class Observed(NamedTuple):
    """Series of which each was observed at times of its own."""

    index: Tensor
    """(s, k): which of the first 100 times."""
    times: Tensor
    """(s, k): these times."""
    x: Tensor
    """(s, k, 2): noisy values there."""
    grid: Tensor
    """(100,), or (200,) where the truth goes on: all times."""
    truth: Tensor
    """(s, 100, 2) or (s, 200, 2): the clean curve."""
    kinds: Tensor
    """(s,): 0 for a clockwise spiral, 1 for the other."""

    def rows(self, chosen: Tensor) -> "Observed":
        """Return some of the series."""
        parts = (self.index, self.times, self.x)
        rest = self.grid, self.truth[chosen], self.kinds[chosen]
        return Observed(*(part[chosen] for part in parts), *rest)


def observe(n: int, n_observed: int, seed: int, ahead: bool = False) -> Observed:
    """Draw `n` series and observe each at `n_observed` random ones of 100 times.

    The curves have 500 points; beyond the 400th the clockwise one widens so fast that
    its last windows would decide every mean. All windows end before it: those to learn
    from start at points 100 to 300, those whose truth goes on (`ahead`) at 100 to 200.
    """
    rng = torch.Generator().manual_seed(seed)
    reach = 200 if ahead else 100
    data = toy.spirals(n, N_TIMES, n_ahead=reach, noise=SIGMA, generator=rng)
    index = toy.irregular_indices(N_TIMES, n_observed, n, generator=rng)
    return Observed(
        index=index,
        times=data.times[index],
        x=take(data.noisy, index),
        grid=data.times[:reach],
        truth=data.clean[:, :reach],
        kinds=data.kinds,
    )


def take(values: Tensor, index: Tensor) -> Tensor:
    """Pick entries of series, `(s, n, d)` at `(s, k)` -> `(s, k, d)`."""
    return values.gather(1, index[:, :, None].expand(-1, -1, values.shape[2]))


def latent_loss(model: LatentODE, data: Observed, noise: torch.Generator) -> Tensor:
    """Return minus the mean ELBO per observation.

    Series with more observations then do not outweigh the others in a mixture.
    """
    x_hat, mean, log_var = model(data.times, data.x, data.grid[:N_TIMES], noise)
    bound = elbo(data.x, take(x_hat, data.index), mean, log_var, SIGMA)
    return -bound.mean() / data.index.shape[1]


def rnn_loss(model: Forecaster, data: Observed, noise: torch.Generator) -> Tensor:
    """Return the mean squared error of predicting each value from those before it."""
    return (model(data.times, data.x) - data.x[:, 1:]).square().mean()


class Recipe(NamedTuple):
    """How to build and train a model; the first learning rate suits short trainings."""

    build: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Observed, torch.Generator], Tensor]
    lrs: tuple[float, ...]


MODELS = {
    "latent_ode": Recipe(LatentODE, latent_loss, (0.05, 0.03)),
    "relu_decoder": Recipe(
        partial(LatentODE, latent=4, decoder_hidden=20), latent_loss, (0.05, 0.03)
    ),
    "rnn": Recipe(Forecaster, rnn_loss, (0.02, 0.01)),
    "gru": Recipe(partial(Forecaster, hidden=20, cell=nn.GRU), rnn_loss, (0.02,)),
}
"""The latent ODE; the same with the paper's decoder and 4 latent dimensions; two nets
that predict the next value."""


def train(
    name: str,
    sets: Sequence[Observed],
    iterations: int,
    batch_size: int = 100,
    seed: int = 0,
    lr: float | None = None,
    checkpoint: str | Path | None = None,
    desc: str | None = None,
) -> tuple[nn.Module, list[float]]:
    """Train a model with Adam and a learning rate that falls to zero like a cosine.

    Args:
        name: a key of `MODELS`.
        sets: series to learn from; each iteration takes a batch of the next set.
        batch_size: series per iteration, drawn with replacement.
        lr: highest learning rate; the model's first one if None.
        checkpoint: written every 100 iterations; training goes on from it.
        desc: words next to the progress bar.
    Returns: the model and its losses.
    """
    recipe = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = recipe.build()
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr or recipe.lrs[0])
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1, (i + 1) / 50) * (1 + cos(pi * i / iterations)) / 2
    )
    losses: list[float] = []
    if checkpoint is not None and Path(checkpoint).exists():
        state = training.load_checkpoint(checkpoint)
        training.restore_training_state(state, model, optimizer, schedule)
        rng.set_state(state["rng"])
        losses = state["losses"]
    for i in training.progress(range(len(losses), iterations), desc or name):
        data = sets[i % len(sets)]
        batch = data.rows(torch.randint(len(data.x), (batch_size,), generator=rng))
        optimizer.zero_grad()
        loss = recipe.loss(model, batch, rng)
        loss.backward()
        # A single gradient that explodes would spoil Adam's memory for long.
        nn.utils.clip_grad_norm_(model.parameters(), 30.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if checkpoint is not None and (i + 1) % 100 == 0:
            state = training.training_state(model, optimizer, schedule)
            state |= {"losses": losses, "rng": rng.get_state()}
            training.save_checkpoint(checkpoint, state)
    return model, losses


@torch.no_grad()
def errors(model: nn.Module, data: Observed) -> dict[str, float]:
    """Return the RMSE to the clean curve, within and ahead of the observed window.

    Within: at the observed times but the first, which the RNN cannot predict.
    """
    grid, truth = data.grid, data.truth
    if isinstance(model, LatentODE):
        x_hat = model(data.times, data.x, grid)[0]
        within, ahead = take(x_hat, data.index[:, 1:]), x_hat[:, N_TIMES:]
    else:
        within = model(data.times, data.x)
        ahead = model.extrapolate(data.times, data.x, grid[N_TIMES:])
    return {
        "within": (within - take(truth, data.index[:, 1:]))
        .square()
        .mean()
        .sqrt()
        .item(),
        "ahead": (ahead - truth[:, N_TIMES:]).square().mean().sqrt().item(),
    }


# ------------------------------------------------------------------- the study

COUNTS = (30, 50, 100)
TRAINED_ON = {str(k): (k,) for k in COUNTS} | {"all": COUNTS}
"""What a model learns from: series with so many observations."""


@dataclass(frozen=True)
class Job:
    """One training: a key of `MODELS`, a key of `TRAINED_ON`, learning rate, seed."""

    model: str
    trained_on: str
    lr: float
    seed: int = 0


def all_jobs(
    models: Iterable[str] = MODELS,
    trained_on: Iterable[str] = TRAINED_ON,
    seeds: Iterable[int] = range(3),
) -> list[Job]:
    """Return the jobs of the study, each model with each of its learning rates."""
    trained_on, models = list(trained_on), list(models)
    return [
        Job(model, kind, lr, seed)
        for seed in seeds
        for model in models
        for lr in MODELS[model].lrs
        for kind in trained_on
    ]


@dataclass(frozen=True)
class Size:
    """Number of series to learn from, of iterations, and of series in each of them."""

    n: int = 1000
    iterations: int = 8000
    batch_size: int = 100


def run_job(job: Job, size: Size, out: Path) -> None:
    """Train and test one model, and append the line of its results."""
    torch.set_num_threads(1)
    row = asdict(job) | asdict(size)
    name = "-".join(map(str, ("spirals", *row.values())))
    start = time.perf_counter()
    model, losses = train(
        job.model,
        [observe(size.n, k, seed=1000 + job.seed) for k in TRAINED_ON[job.trained_on]],
        size.iterations,
        size.batch_size,
        seed=job.seed,
        lr=job.lr,
        checkpoint=out / f"{name}.pt",
    )
    for k in TRAINED_ON[job.trained_on]:
        found = errors(model, observe(size.n, k, seed=job.seed, ahead=True))
        row |= {f"{where}_{k}": round(rmse, 4) for where, rmse in found.items()}
    row["loss"] = sum(losses[-100:]) / len(losses[-100:])
    row["seconds"] = round(time.perf_counter() - start)
    files.append(out / "spirals.jsonl", row)


def read_rows(out: Path) -> dict[tuple[Job, Size], Row]:
    """Return the results in a folder."""

    def pick(kind: type, row: Row) -> Any:
        return kind(**{field.name: row[field.name] for field in fields(kind)})

    found = files.read(out / "spirals.jsonl")
    return {(pick(Job, row), pick(Size, row)): row for row in found}


def run(
    jobs: Sequence[Job], out: str | Path, size: Size | None = None, workers: int = 0
) -> list[Row]:
    """Train whatever the folder does not hold yet; return the results of all jobs.

    Args:
        workers: number of processes, one thread each; 0 trains here, in turn.
    """
    out, size = Path(out), size or Size()
    out.mkdir(parents=True, exist_ok=True)
    known = read_rows(out)
    arguments = [(job, size, out) for job in jobs if (job, size) not in known]
    if workers:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, spawn) as pool:
            tasks = [pool.submit(run_job, *a) for a in arguments]
            for task in training.progress(tasks, "study"):
                task.result()
    else:
        for a in arguments:
            run_job(*a)
    known = read_rows(out)
    return [known[job, size] for job in jobs]


RECORD = Path(__file__).with_name("spirals.csv")


def write_record(rows: Iterable[Row], path: Path = RECORD) -> Path:
    """Write the table that the notebook shows."""
    return files.write_csv(rows, path)


def recorded(path: Path = RECORD) -> list[Row]:
    """Return what was measured at full size, one dict per training.

    Keys: those of `Job` and `Size`; `within_30`, `ahead_30` and so on for the
    numbers of observations it was trained on (see `errors`); `loss`, `seconds`.
    """
    rows = files.read_csv(path)
    return [row | {"trained_on": str(row["trained_on"])} for row in rows]


def main(arguments: list[str] | None = None) -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m odenets.studies.spirals", description=__doc__.split("\n")[0]
    )
    parser.add_argument("job", nargs="?", default="train", choices=["train", "record"])
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--n", type=int, default=1000, help="number of series")
    parser.add_argument("--iterations", type=int, default=8000)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument(
        "--trained-on", nargs="+", default=list(TRAINED_ON), choices=TRAINED_ON
    )
    parser.add_argument("--lrs", type=float, nargs="+", help="only these")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=0, help="processes; default: 0")
    chosen = parser.parse_args(arguments)
    if chosen.job == "record":
        rows = read_rows(chosen.out)
        print("table:", write_record(rows[key] for key in sorted(rows, key=str)))
        return
    jobs = all_jobs(chosen.models, chosen.trained_on, chosen.seeds)
    jobs = [job for job in jobs if not chosen.lrs or job.lr in chosen.lrs]
    size = Size(chosen.n, chosen.iterations, chosen.batch_size)
    for row in run(jobs, chosen.out, size, chosen.workers):
        found = "".join(
            f"  {k}: {row[f'within_{k}']:.3f} {row[f'ahead_{k}']:.3f}"
            for k in TRAINED_ON[row["trained_on"]]
        )
        print(f"{row['model']} {row['trained_on']} {row['lr']} {row['seed']}{found}")


if __name__ == "__main__":
    main()
