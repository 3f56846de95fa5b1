"""The experiment of notebook 05: spirals seen at irregular times.

    python -m odenets.studies.spirals --out results/spirals

Trains the latent ODE and an RNN of equal size on 30, 50 and 100 noisy observations per
series, and lets both go on for 100 points of time that nobody observed (Chen et al.
2018, section 5.1). One line of JSON per run goes to `results/spirals/table.jsonl`; runs
that are there already are not repeated, and an interrupted one goes on from its
checkpoint. The defaults are the paper's: 1000 series, 2000 iterations, full batches.
"""

import argparse
import json
import time
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
    """(200,): all times; the second half lies ahead."""
    truth: Tensor
    """(s, 200, 2): the clean curve."""
    kinds: Tensor
    """(s,): 0 for a clockwise spiral, 1 for the other."""


def observe(n: int, n_observed: int, seed: int) -> Observed:
    """Draw `n` series and observe each at `n_observed` random ones of 100 times."""
    rng = torch.Generator().manual_seed(seed)
    data = toy.spirals(n, N_TIMES, n_ahead=N_TIMES, noise=SIGMA, generator=rng)
    index = toy.irregular_indices(N_TIMES, n_observed, n, generator=rng)
    return Observed(
        index=index,
        times=data.times[index],
        x=take(data.noisy, index),
        grid=data.times,
        truth=data.clean,
        kinds=data.kinds,
    )


def take(values: Tensor, index: Tensor) -> Tensor:
    """Pick entries of series, `(s, n, d)` at `(s, k)` -> `(s, k, d)`."""
    return values.gather(1, index[:, :, None].expand(-1, -1, values.shape[2]))


def latent_loss(model: LatentODE, data: Observed, noise: torch.Generator) -> Tensor:
    """Return minus the mean ELBO of the observed values."""
    x_hat, mean, log_var = model(data.times, data.x, data.grid[:N_TIMES], noise)
    return -elbo(data.x, take(x_hat, data.index), mean, log_var, SIGMA).mean()


def rnn_loss(model: Forecaster, data: Observed, noise: torch.Generator) -> Tensor:
    """Return the mean squared error of predicting each value from those before it."""
    return (model(data.times, data.x) - data.x[:, 1:]).square().mean()


MODELS = {"latent_ode": (LatentODE, latent_loss), "rnn": (Forecaster, rnn_loss)}


def train(
    name: str,
    data: Observed,
    iterations: int,
    seed: int = 0,
    lr: float = 0.01,
    checkpoint: str | Path | None = None,
    desc: str | None = None,
) -> tuple[nn.Module, list[float]]:
    """Train a model on all series at once with Adam; return it and its losses.

    Args:
        name: a key of `MODELS`.
        checkpoint: written every 100 iterations; training goes on from it.
        desc: words next to the progress bar.
    """
    build, loss_fn = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
    noise = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    losses: list[float] = []
    if checkpoint is not None and Path(checkpoint).exists():
        state = training.load_checkpoint(checkpoint)
        training.restore_training_state(state, model, optimizer)
        noise.set_state(state["noise"])
        losses = state["losses"]
    bar = training.progress(range(len(losses), iterations), desc or name)
    for i in bar:
        optimizer.zero_grad()
        loss = loss_fn(model, data, noise)
        loss.backward()
        # One step along a gradient that exploded would end the training of either.
        nn.utils.clip_grad_norm_(model.parameters(), 100.0 if name != "rnn" else 1.0)
        optimizer.step()
        losses.append(loss.item())
        if checkpoint is not None and (i + 1) % 100 == 0:
            state = training.training_state(model, optimizer)
            state |= {"losses": losses, "noise": noise.get_state()}
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
    iterations: int = 2000,
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
    for seed in seeds:
        for k in observed:
            for name in models:
                key = (name, k, seed, n, iterations)
                if key in done:
                    continue
                start = time.perf_counter()
                checkpoint = folder / f"{name}-{k}-{seed}-{n}.pt"
                data = observe(n, k, seed=1000 + seed)
                model, losses = train(
                    name, data, iterations, seed, checkpoint=checkpoint
                )
                row = dict(zip(keys, key)) | errors(model, observe(n, k, seed=seed))
                row["loss"] = sum(losses[-20:]) / len(losses[-20:])
                row["seconds"] = round(time.perf_counter() - start, 1)
                table.append(row)
                with open(path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", default="results/spirals", help="folder of the results"
    )
    parser.add_argument("--n", type=int, default=1000, help="number of series")
    parser.add_argument("--iterations", type=int, default=2000)
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
