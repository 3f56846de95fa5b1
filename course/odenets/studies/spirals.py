"""The experiment of notebook 05: spirals seen at irregular times.

    python -m odenets.studies.spirals --out results/spirals

Trains the latent ODE and an RNN of equal size on 30, 50 and 100 noisy observations per
series, and lets both go on for 100 points of time that nobody observed (Chen et al.
2018, section 5.1). One line of JSON per run goes to `results/spirals/table.jsonl`; runs
that are there already are not repeated, and an interrupted one goes on from its
checkpoint. The data are the paper's (1000 series, 300 windows of two curves); it
trained for 2000 iterations on all series at once, here it is 6000 on 100 of them, which
is faster and ends lower.
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from odenets import training
from odenets.data import toy
from odenets.nets.neural_ode import Forecaster, LatentODE, elbo

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
    """How to build and train a model."""

    build: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Observed, torch.Generator], Tensor]
    lr: float


MODELS = {
    "latent_ode": Recipe(LatentODE, latent_loss, 0.02),
    "rnn": Recipe(Forecaster, rnn_loss, 0.01),
}


def train(
    name: str,
    sets: Sequence[Observed],
    iterations: int,
    batch_size: int = 100,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    desc: str | None = None,
) -> tuple[nn.Module, list[float]]:
    """Train a model with Adam and a learning rate that falls to zero like a cosine.

    Args:
        name: a key of `MODELS`.
        sets: series to learn from; each iteration takes a batch of the next set.
        batch_size: series per iteration, drawn with replacement.
        checkpoint: written every 100 iterations; training goes on from it.
        desc: words next to the progress bar.
    Returns: the model and its losses.
    """
    recipe = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = recipe.build()
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), recipe.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda i: min(1, (i + 1) / 50) * (1 + math.cos(math.pi * i / iterations)) / 2,
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


def study(
    folder: str | Path,
    n: int = 1000,
    iterations: int = 6000,
    observed: tuple[int, ...] = (30, 50, 100),
    seeds: tuple[int, ...] = (0,),
    models: tuple[str, ...] = tuple(MODELS),
) -> list[dict]:
    """Train and test everything that `folder` does not hold yet; return the table."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "table.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    table = [json.loads(line) for line in lines]
    keys = ("model", "observed", "seed", "n", "iterations")
    done = {tuple(row[key] for key in keys) for row in table}
    wanted = itertools.product(models, observed, seeds, [n], [iterations])
    for key in (key for key in wanted if key not in done):
        name, k, seed, *_ = key
        start = time.perf_counter()
        model, losses = train(
            name,
            [observe(n, k, seed=1000 + seed)],
            iterations,
            seed=seed,
            checkpoint=folder / ("-".join(map(str, key)) + ".pt"),
        )
        row = dict(zip(keys, key))
        row |= errors(model, observe(n, k, seed=seed, ahead=True))
        row["loss"] = sum(losses[-100:]) / len(losses[-100:])
        row["seconds"] = round(time.perf_counter() - start, 1)
        table.append(row)
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="results/spirals", help="folder")
    parser.add_argument("--n", type=int, default=1000, help="number of series")
    parser.add_argument("--iterations", type=int, default=6000)
    parser.add_argument("--observed", type=int, nargs="+", default=[30, 50, 100])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    options = parser.parse_args()
    study(
        options.out,
        options.n,
        options.iterations,
        tuple(options.observed),
        tuple(options.seeds),
        tuple(options.models),
    )


if __name__ == "__main__":
    main()
