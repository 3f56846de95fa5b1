"""What InImNet and its gradients cost: work, time and memory, for notebook 09."""

import contextlib
import statistics
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from odenets import solvers
from odenets.nets import inimnet


@dataclass(frozen=True)
class Cost:
    """What one forward pass takes.

    Attributes:
        work: multiplications, in units of one evaluation of phi.
        seconds: processor time of a forward and a backward pass.
        megabytes: memory that is held for the backward pass, the outputs included.
    """

    work: float
    seconds: float
    megabytes: float


def operations(run: Callable[[], object]) -> int:
    """Return the floating point operations of matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def _storages(tree: object) -> dict[StorageWeakRef, int]:
    """Return the memory of all tensors in a tree, and its bytes."""
    memory = [x.untyped_storage() for x in tree_leaves(tree) if isinstance(x, Tensor)]
    return {StorageWeakRef(part): part.nbytes() for part in memory}


class _Storages(TorchDispatchMode):
    """Watches which memory the operations fill, without keeping it alive."""

    def __init__(self) -> None:
        super().__init__()
        self.filled: dict[StorageWeakRef, int] = {}
        self.given: set[StorageWeakRef] = set()
        self.peak = 0

    def held(self) -> int:
        """Return the bytes that are held now."""
        self.filled = {s: n for s, n in self.filled.items() if not s.expired()}
        return sum(self.filled.values())

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.given |= _storages(args).keys() - self.filled.keys()
        result = operation(*args, **(kwargs or {}))
        found = _storages(result)
        self.filled |= {s: found[s] for s in found.keys() - self.given}
        self.peak = max(self.peak, self.held())
        return result


def bytes_held(run: Callable[[], object]) -> int:
    """Return the bytes that `run()` fills and that are still held at its end."""
    with _Storages() as storages:
        result = run()
    held = storages.held()
    del result
    return held


def peak_bytes(run: Callable[[], object]) -> int:
    """Return the most bytes that are held at once while `run()` runs."""
    with _Storages() as storages:
        run()
    return storages.peak


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread, so that processor time is time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def measure(forward: Callable[..., list[Tensor]], depth: int) -> Cost:
    """Measure one way to compute all depths, with dense phi of the width 50."""
    phis = [inimnet.DenseField(50, 50) for _ in range(depth)]
    x = torch.randn(64, 50, generator=torch.Generator().manual_seed(0))

    def whole() -> None:
        forward(phis, x)[-1].square().mean().backward()

    whole()
    seconds = timeit.repeat(whole, timer=time.process_time, repeat=3, number=1)
    return Cost(
        operations(lambda: forward(phis, x)) / operations(lambda: phis[0](x)),
        statistics.median(seconds),
        bytes_held(lambda: forward(phis, x)) / 1e6,
    )


# ------------------------------------------------------------------ gradients

Gradients = tuple[Tensor, Sequence[Tensor]]
"""A loss, and one tensor for each parameter."""


class Pendulum(torch.nn.Module):
    """A field for (angle, speed) with weights to be learned, the same at all depths."""

    def __init__(self) -> None:
        super().__init__()
        self.phi = inimnet.DenseField(2, 16)

    def forward(self, p: float, x: Tensor) -> Tensor:
        return self.phi(x)


def swing(p: float, x: Tensor) -> Tensor:
    """The field of a true pendulum, of length g: angle'' = -sin(angle)."""
    return torch.stack([x[:, 1], -x[:, 0].sin()], dim=1)


METHOD, N_STEPS = "heun", 1
"""How the transport equation is solved by `imbed`, between two depths."""


def by_autograd(value: Tensor, field: torch.nn.Module) -> Gradients:
    """Return a loss and its gradients by a backward pass."""
    return value.detach(), torch.autograd.grad(value, list(field.parameters()))


def imbedded_backwards(field, x, p, loss) -> Gradients:
    z = inimnet.imbed(field, x, p, METHOD, N_STEPS)
    return by_autograd(loss(z), field)


def imbedded_forwards(field, x, p, loss) -> Gradients:
    value, _, grads = inimnet.imbed_gradients(field, x, p, loss, METHOD, N_STEPS)
    return value, grads


def paths_backwards(field, x, p, loss) -> Gradients:
    return by_autograd(loss(inimnet.ContinuousInImNet(field, p)(x)), field)


def paths_forwards(field, x, p, loss) -> Gradients:
    value, _, grads = inimnet.ContinuousInImNet(field, p).gradients(x, loss)
    return value, grads


WAYS = {
    "imbedded, autograd": imbedded_backwards,
    "imbedded, forwards in depth": imbedded_forwards,
    "along paths, autograd": paths_backwards,
    "along paths, forwards in depth": paths_forwards,
}
"""The ways to the gradients of a continuous InImNet: `imbed` with fixed steps or a
`ContinuousInImNet` with adaptive ones, with a backward pass or without."""


@dataclass(frozen=True)
class Training:
    """A training by one way to the gradients.

    Attributes:
        losses: one per step.
        gradient: of the first step, all parameters in a row.
        milliseconds: processor time of one gradient, a median.
        kilobytes: the most that is held at once for one gradient.
    """

    losses: list[float]
    gradient: Tensor
    milliseconds: float
    kilobytes: float


@one_thread()
def train(way: str, n_steps: int = 200) -> Training:
    """Train a continuous InImNet to be a pendulum at all its depths, in one way.

    From the angle and the speed x at time p it is to tell those at time q = p[0], for
    64 samples. The loss is the mean squared error over all depths, Adam follows its
    gradient.

    Args:
        way: a name in `WAYS`.
    """
    torch.manual_seed(0)
    field, p = Pendulum(), (1.0, 0.5, 0.0)
    x = 1.5 * torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    targets = torch.stack([x] + [solvers.solve(swing, x, q, p[0]) for q in p[1:]])

    def gradients() -> Gradients:
        return WAYS[way](field, x, p, lambda z: (z - targets).square().mean())

    optimizer = torch.optim.Adam(field.parameters(), lr=1e-2)
    losses, times = [], []
    first = torch.cat([grad.flatten() for grad in gradients()[1]])
    for _ in range(n_steps):
        start = time.process_time()
        value, grads = gradients()
        times.append(time.process_time() - start)
        losses.append(value.item())
        for weights, grad in zip(field.parameters(), grads, strict=True):
            weights.grad = grad
        optimizer.step()
    peak = peak_bytes(gradients)
    return Training(losses, first, 1e3 * statistics.median(times), peak / 1e3)
