"""The experiment of notebook 05: spirals seen at irregular times.

    python -m odenets.studies.spirals --out results --workers 4
    python -m odenets.studies.spirals record --out results

The latent ODE and recurrent nets of equal size learn from series with 30, 50 or 100
noisy observations, or from all three in turns, and go on for 100 points of time that
nobody observed (Chen et al. 2018, section 5.1). See `odenets.studies.study`.

The data are the paper's (1000 series, 300 windows of two curves). It trained for 2000
iterations on all series at once, here it is 8000 on 100 of them.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from odenets import training
from odenets.data import toy
from odenets.nets.neural_ode import Forecaster, LatentODE, elbo
from odenets.studies import study
from odenets.studies.study import Row, Study

SIGMA = 0.3
N_TIMES = 100

PAPER = {
    "latent_ode": {30: 0.1642, 50: 0.1502, 100: 0.1346},
    "rnn": {30: 0.3937, 50: 0.3202, 100: 0.1813},
}
"""RMSE of the extrapolation in table 2 of the paper."""


@dataclass(frozen=True, eq=False)
class Observed:
    """Series of which each was observed at times of its own.

    Attributes:
        index: `(s, k)`, which of the first 100 times.   times: `(s, k)`, these times.
        x: `(s, k, 2)`, noisy values there.
        grid: `(100,)`, or `(200,)` where the truth goes on: all times.
        truth: `(s, 100, 2)` or `(s, 200, 2)`, the clean curve.
        kinds: `(s,)`, 0 for a clockwise spiral, 1 for the other.
    """

    index: Tensor
    times: Tensor
    x: Tensor
    grid: Tensor
    truth: Tensor
    kinds: Tensor

    def rows(self, chosen: Tensor) -> "Observed":
        """Return some of the series."""
        names = ("index", "times", "x", "truth", "kinds")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})


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
    """Return minus the mean evidence bound per observation.

    Series with more observations then do not outweigh the others in a mixture.
    """
    x_hat, mean, log_var = model(data.times, data.x, data.grid[:N_TIMES], noise)
    bounds = elbo(data.x, take(x_hat, data.index), mean, log_var, SIGMA)
    return -bounds.mean() / data.index.shape[1]


def latent_step(
    model: LatentODE,
    optimiser: torch.optim.Optimizer,
    data: Observed,
    noise: Tensor,
    bound: Callable[..., Tensor],
) -> float:
    """Take one training step of a latent ODE, up the bound of a batch of series.

    Args:
        noise: of the draw of z(0), `(s, latent)`.
        bound: `bound(x, x_hat, mean, log_var)` -> `(s,)`, see `neural_ode.elbo`.
    Returns: the loss before the step, minus the mean bound per observation.
    """
    mean, log_var = model.encode(data.times, data.x)
    z0 = mean + torch.exp(0.5 * log_var) * noise
    x_hat = take(model.decode(model.latent_path(z0, data.grid)), data.index)
    loss = -bound(data.x, x_hat, mean, log_var).mean() / data.x.shape[1]
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.item()


def rnn_loss(model: Forecaster, data: Observed, noise: torch.Generator) -> Tensor:
    """Return the mean squared error of predicting each value from those before it."""
    return (model(data.times, data.x) - data.x[:, 1:]).square().mean()


class Recipe(NamedTuple):
    """How to build and train a model; the first learning rate suits short trainings."""

    build: Callable[[], nn.Module]
    loss: Callable[[Any, Observed, torch.Generator], Tensor]
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
) -> tuple[Any, list[float]]:
    """Train a model with Adam and a learning rate that falls to zero like a cosine.

    Args:
        name: a key of `MODELS`.
        sets: series to learn from; each iteration takes a batch of the next set.
        batch_size: series per iteration, drawn with replacement.
        lr: highest learning rate; the model's first one if None.
        checkpoint: written every 100 iterations; training goes on from it.
    Returns: the model and its losses, the mean of every 100 iterations (of the greatest
        number that divides both 100 and `iterations`).
    """
    recipe = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = recipe.build()
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr or recipe.lrs[0])

    def rate(i: int) -> float:
        return min(1, (i + 1) / 50) * (1 + math.cos(math.pi * i / iterations)) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)

    def draw(rng: torch.Generator) -> Observed:
        data = sets[schedule.last_epoch % len(sets)]
        return data.rows(torch.randint(len(data.x), (batch_size,), generator=rng))

    every = math.gcd(iterations, 100)
    history = training.fit(
        model,
        study.Draws(draw, every, rng),
        None,
        optimizer,
        iterations // every,
        batch_loss=lambda batch: recipe.loss(model, batch, rng),
        scheduler=schedule,
        per_step=True,
        clip=30.0,  # a gradient that explodes would spoil Adam's memory for long
        checkpoint=checkpoint,
        desc=name,
    )
    return model, history["loss"]


@torch.no_grad()
def errors(model: LatentODE | Forecaster, data: Observed) -> dict[str, float]:
    """Return the RMSE to the clean curve, within and ahead of the observed window.

    Within: at the observed times but the first, which the RNN cannot predict.
    """
    if isinstance(model, LatentODE):
        x_hat = model(data.times, data.x, data.grid)[0]
        within, ahead = take(x_hat, data.index[:, 1:]), x_hat[:, N_TIMES:]
    else:
        within = model(data.times, data.x)
        ahead = model.extrapolate(data.times, data.x, data.grid[N_TIMES:])
    return {
        "within": rmse(within, take(data.truth, data.index[:, 1:])),
        "ahead": rmse(ahead, data.truth[:, N_TIMES:]),
    }


def rmse(x: Tensor, truth: Tensor) -> float:
    """Return the root of the mean squared error over all entries."""
    return (x - truth).square().mean().sqrt().item()


# ------------------------------------------------------------------- the study

COUNTS = (30, 50, 100)
TRAINED_ON = {str(k): (k,) for k in COUNTS} | {"all": COUNTS}
"""What a model learns from: series with so many observations."""


@dataclass(frozen=True)
class Job:
    """One training: a key of `MODELS`, a key of `TRAINED_ON`, learning rate, seed; how
    many series there are to learn from, iterations, and series in each of them.
    """

    model: str
    trained_on: str
    lr: float
    seed: int = 0
    n: int = 1000
    iterations: int = 8000
    batch_size: int = 100


def jobs(
    models: Sequence[str] = tuple(MODELS),
    trained_on: Sequence[str] = tuple(TRAINED_ON),
    lrs: Sequence[float] = (),
    seeds: Sequence[int] = tuple(range(7)),
    iterations: int | None = None,
    batch_size: int = 100,
    n: int = 1000,
) -> list[Job]:
    """Return the trainings of the record, or those of another length.

    Args:
        lrs: only these learning rates
        iterations: train all of these models, and so long
        batch_size: series in each of these iterations
        n: number of series to learn from
    """
    sizes = [(iterations, batch_size)] if iterations else [(8000, 100), (1200, 50)]
    found = [
        Job(model, kind, lr, seed, n, *size)
        for size in sizes
        for seed in seeds
        for model in models
        for lr in MODELS[model].lrs
        for kind in trained_on
        if not lrs or lr in lrs
    ]
    return found if iterations else [job for job in found if _recorded(job)]


def _recorded(job: Job) -> bool:
    """Tell whether the record holds a training; not all of them were worth the time."""
    at_first_rate = job.lr == MODELS[job.model].lrs[0]
    if job.iterations == 1200:
        n_seeds = 7 if at_first_rate and job.model != "gru" else 3
        return job.trained_on == "all" and job.seed < n_seeds
    if job.model != "rnn" and (at_first_rate or job.model == "gru"):
        return False
    return job.seed < 3 and (job.model != "relu_decoder" or job.trained_on == "all")


def work(job: Job, out: Path, device: str | None) -> Row:
    """Train and test one model, on the CPU: `within_30`, `ahead_30` as in `errors`."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    counts = TRAINED_ON[job.trained_on]
    model, losses = train(
        job.model,
        [observe(job.n, k, seed=1000 + job.seed) for k in counts],
        job.iterations,
        job.batch_size,
        seed=job.seed,
        lr=job.lr,
        checkpoint=study.checkpoint(job, out),
    )
    row: Row = {}
    for k in counts:
        found = errors(model, observe(job.n, k, seed=job.seed, ahead=True))
        row |= {f"{where}_{k}": round(rmse, 4) for where, rmse in found.items()}
    return row | {"loss": losses[-1], "seconds": round(time.perf_counter() - start)}


STUDY = Study("spirals", jobs, work)


def recorded(path: Path | None = None) -> list[Row]:
    """Return what was measured at full size, one dict per training.

    Keys: those of `Job`; `within_30`, `ahead_30` and so on for the numbers of
    observations it was trained on (see `errors`); `loss`, `seconds`.
    """
    rows = STUDY.recorded(path)
    return [row | {"trained_on": str(row["trained_on"])} for row in rows]


if __name__ == "__main__":
    STUDY.main()
