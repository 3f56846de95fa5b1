"""Density matching and maximum likelihood with normalizing flows, at any size.

Notebook 06 calls these functions with small numbers. The large ones run as::

    python -m odenets.studies.flows all --out results/flows

An interrupted job goes on from its checkpoint. See `odenets.studies.study`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from odenets import training
from odenets.data import toy
from odenets.nets import flows
from odenets.studies import study
from odenets.studies.study import Row, Study

Potential = Callable[[Tensor], Tensor]

BASE = flows.Gaussian(2)
"""The base density of all flows here."""

SIZES = (2, 8, 32)
"""Numbers K of planar layers and M of planar units that are compared."""

# ------------------------------------------------------------------ flows of the study


def planar_nf(depth: int, copies: tuple[int, ...]) -> flows.PlanarFlow:
    """Return `depth` planar layers, several flows side by side."""
    return flows.PlanarFlow(2, depth, copies)


def planar_cnf(
    width: int, copies: tuple[int, ...], n_steps: int, gain: float = 1.0
) -> flows.CNF:
    """Return a planar CNF on t in [0, 1], solved with `n_steps` steps of RK4."""
    field = flows.PlanarField(2, width, copies=copies, gain=gain)
    return flows.CNF(field, BASE, method="rk4", options={"n_steps": n_steps})


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
    """What density matching minimises, summed over the copies.

    The mean of log q + beta U over samples of q, plus `energy` times the kinetic energy
    of a continuous flow. beta rises from 0.1 to 1 over the first 40 % of the steps:
    a flow that starts on a warm density finds more of its modes (Rezende and Mohamed
    2015, section 6.1).
    """

    count: Tensor

    def __init__(
        self,
        flow: nn.Module,
        potentials: Sequence[Potential],
        n_steps: int,
        energy: float,
    ) -> None:
        super().__init__()
        self.flow, self.potentials, self.energy = flow, potentials, energy
        self.warm = max(1, int(0.4 * n_steps))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, z: Tensor) -> Tensor:
        beta = min(1.0, 0.1 + 0.9 * int(self.count) / self.warm)
        self.count += 1
        x, log_q, energy = push(self.flow, z)
        values = torch.stack([U(x_i) for U, x_i in zip(self.potentials, x)])
        return (log_q + beta * values + self.energy * energy).mean(-1).sum()


def push(flow: nn.Module, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Push noise `(..., s, 2)` through a flow of either kind.

    Returns: samples, their log-density, and the kinetic energy of their paths (zero for
        planar layers).
    """
    if isinstance(flow, flows.CNF):
        x, integral, energy = flow.transport(z, flow.t0, flow.t1)
        return x, BASE.log_prob(z) - integral, energy
    x, log_det = flow(z)
    return x, BASE.log_prob(z) - log_det, torch.zeros_like(log_det)


def match_densities(
    flow: nn.Module,
    potentials: Sequence[Potential],
    n_steps: int,
    *,
    lr: float = 1e-2,
    batch_size: int = 256,
    energy: float = 0.0,
    device: torch.device | str | None = None,
    **others: Any,
) -> training.History:
    """Fit flows to densities exp(-U) / Z, all at once, by reverse KL.

    Args:
        flow: a `PlanarFlow` or `CNF` with a copy per potential; trained in place.
        potentials: one per copy.
        n_steps: gradient steps (Adam).
        lr: highest learning rate; it rises and falls once.
        batch_size: samples per copy and step.
        energy: weight of the kinetic energy of a CNF.
        device, checkpoint: as in `training.fit`.
        epochs: the history has so many entries; 20 if left out.
    Returns: the history; key `kl0`, `kl1`, .. for each potential is KL(q || p), with
        the normaliser, on 2000 fixed samples.
    """
    copies = (len(potentials),)
    logs = torch.tensor([log_normaliser(U) for U in potentials])
    fixed = BASE.sample((*copies, 2000), torch.Generator().manual_seed(1)).to(device)

    def draw(rng: torch.Generator) -> Tensor:
        return BASE.sample((*copies, batch_size), rng)

    def measure(epoch: int, _: nn.Module) -> dict[str, float]:
        values = kl_divergences(flow, potentials, fixed, logs)
        return {f"kl{i}": value for i, value in enumerate(values.tolist())}

    model = Matching(flow, potentials, n_steps, energy)
    others |= {"device": device, "callback": measure}
    return _train(model, model, draw, n_steps, lr, **others)


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


def log_prob_and_energy(flow: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return log p(x) under a flow of either kind, and the energy of the paths.

    Planar layers are read from data to base here: that is the direction in which their
    determinant is known for every point.
    """
    if isinstance(flow, flows.CNF):
        return flow.log_prob_and_energy(x)
    z, log_det = flow(x)
    return BASE.log_prob(z) + log_det, torch.zeros_like(log_det)


def fit_densities(
    flow: nn.Module,
    data: Tensor,
    n_steps: int,
    *,
    lr: float = 5e-3,
    batch_size: int = 256,
    energy: float = 0.0,
    **others: Any,
) -> training.History:
    """Fit flows to data sets, all at once, by maximum likelihood.

    What is minimised is -log p(x) + energy * kinetic energy, the mean over the points.

    Args:
        flow: with `copies=(n_sets,)`; trained in place.
        data: `(n_sets, s, 2)`.
        others: as in `match_densities`.
    Returns: the history.
    """

    def draw(rng: torch.Generator) -> Tensor:
        return data[:, torch.randint(data.shape[1], (batch_size,), generator=rng)]

    def loss(x: Tensor) -> Tensor:
        log_p, kinetic = log_prob_and_energy(flow, x)
        return (energy * kinetic - log_p).mean(-1).sum()

    # Hundreds of small kernels a step: they are recorded.
    return _train(flow, loss, draw, n_steps, lr, capture=True, **others)


@torch.no_grad()
def mean_log_prob(flow: nn.Module, data: Tensor) -> Tensor:
    """Return the mean log-likelihood per point, `(n_sets, s, 2)` -> `(n_sets,)`."""
    return log_prob_and_energy(flow, data)[0].mean(-1).cpu()


def mixture_log_prob(train: Tensor, test: Tensor) -> Tensor:
    """The baseline: Gaussian mixtures with 10 components, `(n_sets,)`."""
    from sklearn.mixture import GaussianMixture

    scores = [
        GaussianMixture(10, n_init=3, random_state=0).fit(a).score(b)
        for a, b in zip(train.double().numpy(), test.double().numpy())
    ]
    return torch.tensor(scores)


def _train(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    draw: Callable[[torch.Generator], Tensor],
    n_steps: int,
    lr: float,
    epochs: int = 20,
    device: torch.device | str | None = None,
    **others: Any,
) -> training.History:
    """Minimise `loss(draw(generator))`; `others` are those of `training.fit`."""
    optimizer = torch.optim.Adam(model.to(device).parameters(), lr)
    return training.fit(
        model,
        study.Draws(draw, n_steps // epochs, 0),
        None,
        optimizer,
        epochs,
        batch_loss=loss,
        scheduler=torch.optim.lr_scheduler.OneCycleLR(
            optimizer, lr, total_steps=epochs + 1, pct_start=0.1
        ),
        clip=10.0,  # one odd batch must not throw the flow far away
        device=device,
        desc="flow",
        **others,
    )


# ------------------------------------------------------------------ the large runs

EPOCHS = 100
NAMES = (
    *(f"match-{kind}-{size}" for kind in ("nf", "cnf") for size in SIZES),
    "likelihood-nf",
    "likelihood-cnf",
)


class Plan(NamedTuple):
    """Gradient steps, learning rate, price of the energy, steps of a CNF's solver."""

    n_steps: int
    lr: float
    energy: float = 0.0
    solver_steps: int = 0


PLANS = {
    ("match", "nf"): Plan(50_000, 1e-2),
    ("match", "cnf"): Plan(10_000, 5e-3, 2e-3, 16),
    ("likelihood", "nf"): Plan(10_000, 1e-2),
    ("likelihood", "cnf"): Plan(10_000, 5e-3, 5e-3, 32),
}


@dataclass(frozen=True)
class Job:
    """One of `NAMES`, with a fraction of the planned steps."""

    job: str
    fraction: float = 1.0


def jobs(names: Sequence[str] = NAMES, /, fraction: float = 1.0) -> list[Job]:
    """Return the jobs of these names.

    Args:
        fraction: of the full number of steps, for trying out
    """
    return [Job(name, fraction) for name in names]


def work(job: Job, out: Path, device: str | None) -> Row:
    """Train and measure; these nets are so small that a CPU is as good as a GPU."""
    place, start = training.pick_device(device or "cpu"), time.perf_counter()
    training.set_seed(0)
    task, kind, *rest = job.job.split("-")
    plan, size = PLANS[task, kind], int(rest[0]) if rest else 64
    measure, cases = MEASURES[task]
    flow: nn.Module = planar_nf(size, (len(cases),))
    if kind == "cnf":
        flow = planar_cnf(size, (len(cases),), plan.solver_steps)
    n_steps = max(EPOCHS, int(plan.n_steps * job.fraction))
    settings: Row = {"lr": plan.lr, "energy": plan.energy, "epochs": EPOCHS}
    settings |= {"device": place, "checkpoint": study.checkpoint(job, out)}
    found = {
        quantity: dict(zip(cases, (round(value, 4) for value in values.tolist())))
        for quantity, values in measure(flow, n_steps, settings).items()
    }
    seconds = round(time.perf_counter() - start, 1)
    return {"steps": n_steps, "found": found, "device": place.type, "seconds": seconds}


def _match(flow: Any, n_steps: int, settings: Row) -> dict[str, Tensor]:
    potentials = [confined(U) for U in toy.POTENTIALS.values()]
    match_densities(flow, potentials, n_steps, **settings)
    logs = torch.tensor([log_normaliser(U) for U in potentials])
    z = BASE.sample((len(potentials), 50_000), torch.Generator().manual_seed(7))
    z = z.to(settings["device"])
    found = {"kl": kl_divergences(flow, potentials, z, logs)}
    if isinstance(flow, flows.CNF):  # the same flow, solved four times as finely
        flow.solver["options"] = {"n_steps": 64}
        found["kl, 64 steps"] = kl_divergences(flow, potentials, z, logs)
    return found


def _fit(flow: Any, n_steps: int, settings: Row) -> dict[str, Tensor]:
    train, test = circles_and_moons(20_000, 0), circles_and_moons(20_000, 1)
    fit_densities(flow, train, n_steps, **settings)
    if isinstance(flow, flows.CNF):  # four times as finely as in training
        flow.solver["options"] = {"n_steps": 128}
    return {
        "test log-likelihood": mean_log_prob(flow, test.to(settings["device"])),
        "mixture of 10 Gaussians": mixture_log_prob(train, test),
    }


MEASURES: dict[str, tuple[Callable[..., dict[str, Tensor]], tuple[str, ...]]] = {
    "match": (_match, tuple(toy.POTENTIALS)),
    "likelihood": (_fit, ("circles", "moons")),
}


def one_number_a_row(results: list[Row]) -> list[Row]:
    """Return a row for each quantity and case of the results."""
    return [
        {"job": row["job"], "steps": row["steps"]}
        | {"quantity": quantity, "case": case, "value": value}
        for row in results
        for quantity, values in row["found"].items()
        for case, value in values.items()
    ]


STUDY = Study("flows", jobs, work, one_number_a_row)


def recorded(path: Path | None = None) -> dict[tuple[str, str], dict[str, float]]:
    """Return the recorded results, `{(job, quantity): {case: value}}`."""
    results: dict[tuple[str, str], dict[str, float]] = {}
    for row in STUDY.recorded(path):
        key = (row["job"], row["quantity"])
        results.setdefault(key, {})[row["case"]] = float(row["value"])
    return results


if __name__ == "__main__":
    STUDY.main()
