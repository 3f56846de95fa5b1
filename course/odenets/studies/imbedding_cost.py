"""What InImNet costs at each depth: work, time and memory, for notebook 09."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

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


class _Storages(TorchDispatchMode):
    """Watches which memory the operations fill, without keeping it alive."""

    def __init__(self):
        super().__init__()
        self.filled: dict[int, tuple[StorageWeakRef, int]] = {}
        self.given: set[int] = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        for tensor in tree_leaves(args):
            if isinstance(tensor, Tensor):
                key = StorageWeakRef(tensor.untyped_storage()).cdata
                if key not in self.filled:
                    self.given.add(key)
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                reference = StorageWeakRef(storage)
                self.filled[reference.cdata] = (reference, storage.nbytes())
        return result


def bytes_held(run: Callable[[], object]) -> int:
    """Return the bytes that `run()` fills and that are still held at its end."""
    with _Storages() as storages:
        result = run()
    held = sum(
        size
        for key, (reference, size) in storages.filled.items()
        if key not in storages.given and not reference.expired()
    )
    del result
    return held


def measure(
    forward: Callable[..., list[Tensor]],
    depth: int,
    dim: int = 50,
    batch: int = 64,
    repeats: int = 3,
) -> Cost:
    """Measure one way to compute all depths, with dense phi of the width `dim`."""
    generator = torch.Generator().manual_seed(0)
    phis = [inimnet.DenseField(dim, dim) for _ in range(depth)]
    x = torch.randn(batch, dim, generator=generator)

    def whole() -> None:
        forward(phis, x)[-1].square().mean().backward()

    def seconds() -> float:
        start = time.process_time()
        whole()
        return time.process_time() - start

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        whole()
        return Cost(
            operations(lambda: forward(phis, x)) / operations(lambda: phis[0](x)),
            statistics.median(seconds() for _ in range(repeats)),
            bytes_held(lambda: forward(phis, x)) / 1e6,
        )
    finally:
        torch.set_num_threads(threads)
