"""Density matching and maximum likelihood with normalizing flows, at any size.

Notebook 06 calls these functions with small numbers. The large ones run as::

    python -m odenets.studies.flows all --out results/flows

Every job writes a checkpoint beside its result and goes on from it when it is started
again; `python -m odenets.studies.flows table --out results/flows` prints what is there,
`record` writes it to `flows.csv` beside this file.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from odenets import training
from odenets.data import toy
from odenets.nets import flows

Potential = Callable[[Tensor], Tensor]

SIZES = (2, 8, 32)
"""Numbers K of planar layers and M of planar units that are compared."""

# ------------------------------------------------------------------ flows of the study


def planar_nf(depth: int, copies: tuple[int, ...]) -> "flows.PlanarFlow":
    """Return `depth` planar layers, several flows side by side."""
    return flows.PlanarFlow(2, depth, copies)


def planar_cnf(
    width: int, copies: tuple[int, ...], n_steps: int, gain: float = 1.0
) -> flows.CNF:
    """Return a planar CNF on t in [0, 1], solved with `n_steps` steps of RK4."""
    field = flows.PlanarField(2, width, copies=copies, gain=gain)
    options = {"n_steps": n_steps}
    return flows.CNF(field, flows.Gaussian(2), method="rk4", options=options)


# ------------------------------------------------------------------ density matching

WALL_BOX = (-6.0, 6.0, -6.0, 6.0)
"""Where nothing of a confined density is left outside."""


def confined(
    potential: Potential, half_width: float = 4.0, softness: float = 0.2
) -> Potential:
    """Add a steep wall outside the square |z_i| <= half_width.

    U2, U3 and U4 do not grow along z_1: exp(-U) cannot be normalised on the plane and
    KL(q || p) has no lower bound. With the wall both are put right.
    """

    def walled(z: Tensor) -> Tensor:
        outside = (z.abs() - half_width).clamp_min(0) / softness
        return potential(z) + 0.5 * outside.square().sum(-1)

    return walled


def log_normaliser(potential: Potential, n: int = 600) -> float:
    """Return the logarithm of the integral of exp(-potential) over `WALL_BOX`."""
    _, _, points = flows.grid(WALL_BOX, n, torch.float64)
    return flows.integrate(torch.exp(-potential(points)), WALL_BOX).log().item()


class Matching(nn.Module):
    """What density matching minimises, one number per copy.

    The mean of log q + beta U over samples of q, plus `energy` times the kinetic energy
    of a continuous flow. beta rises from 0.1 to 1 over the first 40 % of the steps:
    a flow that starts on a warm density finds more of its modes (Rezende and Mohamed
    2015, section 6.1).
    """

    def __init__(
        self,
        flow: nn.Module,
        potentials: Sequence[Potential],
        n_steps: int,
        energy: float,
    ) -> None:
        super().__init__()
        self.flow, self.potentials = flow, list(potentials)
        self.warm, self.energy = max(1, int(0.4 * n_steps)), energy
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, z: Tensor) -> Tensor:
        beta = min(1.0, 0.1 + 0.9 * int(self.count) / self.warm)
        self.count += 1
        x, log_q, energy = push(self.flow, z)
        values = torch.stack([U(x_i) for U, x_i in zip(self.potentials, x)])
        return (log_q + beta * values + self.energy * energy).mean(-1)


def push(flow: nn.Module, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Push noise `(..., s, 2)` through a flow of either kind.

    Returns: samples, their log-density, and the kinetic energy of their paths (zero for
        planar layers).
    """
    base = flows.Gaussian(2)
    if isinstance(flow, flows.CNF):
        x, integral, energy = flow.transport(z, flow.t0, flow.t1)
        return x, base.log_prob(z) - integral, energy
    x, log_det = flow(z)
    return x, base.log_prob(z) - log_det, torch.zeros_like(log_det)


class Batches:
    """An endless stream, cut into epochs of `n` batches; `generator` can be resumed."""

    def __init__(
        self, draw: Callable[[torch.Generator], Tensor], n: int, seed: int
    ) -> None:
        self.draw, self.n = draw, n
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Tensor]:
        return (self.draw(self.generator) for _ in range(self.n))


def match_densities(
    flow: nn.Module,
    potentials: Sequence[Potential],
    n_steps: int,
    *,
    learning_rate: float = 1e-2,
    batch_size: int = 256,
    energy: float = 0.0,
    seed: int = 0,
    epochs: int = 20,
    device: torch.device | str | None = None,
    checkpoint: str | Path | None = None,
) -> training.History:
    """Fit flows to densities exp(-U) / Z, all at once, by reverse KL.

    Args:
        flow: a `PlanarFlow` or `CNF` with a copy per potential; trained in place.
        potentials: one per copy.
        n_steps: gradient steps (Adam, learning rate rising and falling once).
        batch_size: samples per copy and step.
        energy: weight of the kinetic energy of a CNF.
        epochs: the history has so many entries.
        device, checkpoint: as in `training.fit`.
    Returns: the history; key `kl0`, `kl1`, .. for each potential is KL(q || p), with
        the normaliser, on 2000 fixed samples.
    """
    base = flows.Gaussian(2)
    copies = (len(potentials),)
    logs = torch.tensor([log_normaliser(U) for U in potentials])
    fixed = base.sample((*copies, 2000), torch.Generator().manual_seed(seed + 1))
    fixed = fixed if device is None else fixed.to(device)

    def measure(epoch: int, _: nn.Module) -> dict[str, float]:
        values = kl_divergences(flow, potentials, fixed, logs)
        return {f"kl{i}": value for i, value in enumerate(values.tolist())}

    model = Matching(flow, potentials, n_steps, energy)
    model = model if device is None else model.to(device)
    batches = Batches(
        lambda rng: base.sample((*copies, batch_size), rng), n_steps // epochs, seed
    )
    return _train(
        model, batches, torch.sum, learning_rate, epochs, measure, device, checkpoint
    )


@torch.no_grad()
def kl_divergences(
    flow: nn.Module, potentials: Sequence[Potential], z: Tensor, logs: Tensor
) -> Tensor:
    """Estimate KL(q || p) of each copy from noise `(copies, s, 2)`, `-> (copies,)`.

    Args:
        logs: log Z of each potential, see `log_normaliser`.
    """
    x, log_q, _ = push(flow, z)
    pairs = zip(x, log_q, potentials)
    return torch.stack([flows.reverse_kl(*pair) for pair in pairs]).cpu() + logs


# ------------------------------------------------------------------ maximum likelihood


def circles_and_moons(n: int, seed: int) -> Tensor:
    """Return both sets, `(2, n, 2)`: circles of radius 3 and 1.5, and two moons."""
    circles = 3 * toy.two_circles(n, noise=0.08, generator=seed).X
    return torch.stack([circles, toy.two_moons(n, generator=seed).X])


class Likelihood(nn.Module):
    """What maximum likelihood minimises: -log p(x) + energy * kinetic energy."""

    def __init__(self, flow: nn.Module, energy: float) -> None:
        super().__init__()
        self.flow, self.energy = flow, energy

    def forward(self, x: Tensor) -> Tensor:
        log_p, energy = log_prob_and_energy(self.flow, x)
        return (self.energy * energy - log_p).mean(-1)


def log_prob_and_energy(flow: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(x) under a flow of either kind, and the energy of the paths.

    Planar layers are read from data to base here: that is the direction in which their
    determinant is known for every point.
    """
    if isinstance(flow, flows.CNF):
        return flow.log_prob_and_energy(x)
    z, log_det = flow(x)
    return flows.Gaussian(2).log_prob(z) + log_det, torch.zeros_like(log_det)


def fit_densities(
    flow: nn.Module,
    data: Tensor,
    n_steps: int,
    *,
    learning_rate: float = 5e-3,
    batch_size: int = 256,
    energy: float = 0.0,
    seed: int = 0,
    epochs: int = 20,
    device: torch.device | str | None = None,
    checkpoint: str | Path | None = None,
) -> training.History:
    """Fit flows to data sets, all at once, by maximum likelihood.

    Args:
        flow: with `copies=(n_sets,)`; trained in place.
        data: `(n_sets, s, 2)`.
        others: as in `match_densities`.
    Returns: the history.
    """

    def draw(rng: torch.Generator) -> Tensor:
        return data[:, torch.randint(data.shape[1], (batch_size,), generator=rng)]

    model = Likelihood(flow, energy)
    model = model if device is None else model.to(device)
    batches = Batches(draw, n_steps // epochs, seed)
    return _train(
        model, batches, torch.sum, learning_rate, epochs, None, device, checkpoint
    )


@torch.no_grad()
def mean_log_prob(flow: nn.Module, data: Tensor) -> Tensor:
    """Return the mean log-likelihood per point, `(n_sets, s, 2)` -> `(n_sets,)`."""
    return log_prob_and_energy(flow, data)[0].mean(-1).cpu()


def mixture_log_prob(train: Tensor, test: Tensor, seed: int = 0) -> Tensor:
    """The baseline: Gaussian mixtures with 10 components, `(n_sets,)`."""
    from sklearn.mixture import GaussianMixture

    scores = [
        GaussianMixture(10, n_init=3, random_state=seed).fit(a).score(b)
        for a, b in zip(train.double().numpy(), test.double().numpy())
    ]
    return torch.tensor(scores)


def _train(
    model: nn.Module,
    batches: Batches,
    loss_fn: Callable[[Tensor], Tensor],
    learning_rate: float,
    epochs: int,
    callback: Any,
    device: torch.device | str | None,
    checkpoint: str | Path | None,
) -> training.History:
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=epochs + 1, pct_start=0.1
    )

    def clip(*_: Any) -> None:  # one odd batch must not throw the flow far away
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)

    optimizer.register_step_pre_hook(clip)
    return training.fit(
        model,
        batches,
        loss_fn,
        optimizer,
        epochs,
        scheduler=schedule,
        device=device,
        checkpoint=checkpoint,
        callback=callback,
        desc="flow",
    )


# ------------------------------------------------------------------ the large runs

NF_STEPS, CNF_STEPS, LIKELIHOOD_STEPS = 50_000, 10_000, 10_000
JOBS = (
    *(f"match-{kind}-{size}" for kind in ("nf", "cnf") for size in SIZES),
    "likelihood-nf",
    "likelihood-cnf",
)


def run_job(
    name: str, out: Path, device: torch.device, fraction: float = 1.0
) -> dict[str, Any]:
    """Run one of `JOBS` or go on with it; write `name.json` and return what is in it.

    Args:
        out: folder of results and checkpoints.
        fraction: of the full number of steps, for trying out.
    """
    target = out / f"{name}.json"
    if target.exists():
        return json.loads(target.read_text())
    training.set_seed(0)
    started = time.perf_counter()
    job = _match_job if name.startswith("match") else _likelihood_job
    result = {"job": name, "device": device.type, "torch": torch.__version__}
    result |= job(name, out, device, fraction)
    result["seconds of this call"] = round(time.perf_counter() - started, 1)
    out.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1))
    return result


def _match_job(name: str, out: Path, device: torch.device, fraction: float) -> dict:
    _, kind, size = name.split("-")
    potentials = [confined(U) for U in toy.POTENTIALS.values()]
    copies = (len(potentials),)
    if kind == "nf":
        flow, n_steps, options = planar_nf(int(size), copies), NF_STEPS, {}
    else:
        flow, n_steps = planar_cnf(int(size), copies, n_steps=16), CNF_STEPS
        options = {"energy": 2e-3, "learning_rate": 5e-3}
    epochs = 100
    n_steps = max(epochs, int(n_steps * fraction))
    history = match_densities(
        flow,
        potentials,
        n_steps,
        epochs=epochs,
        device=device,
        checkpoint=out / f"{name}.pt",
        **options,
    )
    logs = torch.tensor([log_normaliser(U) for U in potentials])
    z = flows.Gaussian(2).sample((*copies, 50_000), torch.Generator().manual_seed(7))
    finals = {"kl": _final_kl(flow, potentials, z.to(device), logs)}
    if kind == "cnf":  # the same flow, solved four times as finely
        flow.solver["options"] = {"n_steps": 64}
        finals["kl, 64 steps"] = _final_kl(flow, potentials, z.to(device), logs)
    return {"steps": n_steps, **finals, "history": history}


def _final_kl(flow: nn.Module, potentials: list, z: Tensor, logs: Tensor) -> dict:
    values = kl_divergences(flow, potentials, z, logs).tolist()
    return {key: round(value, 4) for key, value in zip(toy.POTENTIALS, values)}


def _likelihood_job(
    name: str, out: Path, device: torch.device, fraction: float
) -> dict:
    train, test = circles_and_moons(20_000, 0), circles_and_moons(20_000, 1)
    if name.endswith("cnf"):
        flow = planar_cnf(64, (2,), n_steps=32)
        options = {"energy": 5e-3, "learning_rate": 5e-3}
    else:
        flow, options = planar_nf(64, (2,)), {"learning_rate": 1e-2}
    epochs = 100
    n_steps = max(epochs, int(LIKELIHOOD_STEPS * fraction))
    fit_densities(
        flow,
        train,
        n_steps,
        epochs=epochs,
        device=device,
        checkpoint=out / f"{name}.pt",
        **options,
    )
    if name.endswith("cnf"):
        flow.solver["options"] = {"n_steps": 128}
    sets = ("circles", "moons")
    log_p = mean_log_prob(flow, test.to(device)).tolist()
    mixture = mixture_log_prob(train, test).tolist()
    return {
        "steps": n_steps,
        "test log-likelihood": dict(zip(sets, (round(v, 4) for v in log_p))),
        "mixture of 10 Gaussians": dict(zip(sets, (round(v, 4) for v in mixture))),
    }


def table(out: Path) -> str:
    """Return the results that are in a folder, as lines of text."""
    lines = []
    for name in JOBS:
        if (out / f"{name}.json").exists():
            result = json.loads((out / f"{name}.json").read_text())
            numbers = [f"{k}: {v}" for k, v in result.items() if isinstance(v, dict)]
            numbers = [text for text in numbers if not text.startswith("history")]
            lines.append(f"{name}, {result['steps']} steps: " + "; ".join(numbers))
    return "\n".join(lines) or f"no results in {out}"


RECORD = Path(__file__).with_suffix(".csv")
"""Results of the large runs, which notebook 06 shows; written by the job `record`."""


def write_record(out: Path, path: Path = RECORD) -> None:
    """Gather the results in a folder into one table: one number a row."""
    rows = []
    for name in JOBS:
        if (out / f"{name}.json").exists():
            result = json.loads((out / f"{name}.json").read_text())
            for quantity, values in result.items():
                if isinstance(values, dict) and quantity != "history":
                    cases = values.items()
                    rows += [(name, result["steps"], quantity, *case) for case in cases]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("job", "steps", "quantity", "case", "value"))
        writer.writerows(rows)


def recorded(path: Path = RECORD) -> dict[tuple[str, str], dict[str, float]]:
    """Return the recorded results, `{(job, quantity): {case: value}}`."""
    results: dict[tuple[str, str], dict[str, float]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = (row["job"], row["quantity"])
            results.setdefault(key, {})[row["case"]] = float(row["value"])
    return results


def main(arguments: list[str] | None = None) -> None:
    """Run jobs in turn; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=(*JOBS, "all", "table", "record"))
    parser.add_argument("--out", type=Path, default=Path("results/flows"))
    parser.add_argument(
        "--device", default="cpu", help="these nets are small: cpu is good"
    )
    parser.add_argument("--fraction", type=float, default=1.0, help="of the steps")
    given = parser.parse_args(arguments)
    if given.job == "record":
        write_record(given.out)
    elif given.job != "table":
        for name in JOBS if given.job == "all" else (given.job,):
            run_job(name, given.out, training.pick_device(given.device), given.fraction)
    print(table(given.out))


if __name__ == "__main__":
    main()
