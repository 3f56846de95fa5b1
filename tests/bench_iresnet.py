"""What normalisation costs: a training step with it against one without, paired."""

import statistics
import time

import pytest
import torch
from torch.nn.functional import cross_entropy

from odenets.nets import iresnet


@pytest.mark.benchmark
def test_a_normalised_step_costs_at_most_twice_a_plain_step():
    torch.manual_seed(0)
    net = iresnet.iResNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    inputs = torch.rand(64, 16, 7, 7)
    labels = torch.randint(10, (64,))

    def step(normalised: bool) -> float:
        start = time.perf_counter()
        optimizer.zero_grad()
        cross_entropy(net(inputs), labels).backward()
        optimizer.step()
        if normalised:
            net.normalize(0.9)
        return time.perf_counter() - start

    # In turn, so that a busy machine slows both; without normalisation every other
    # step the weights grow and the norms exceed rho: the expensive case.
    times = [(step(False), step(True)) for _ in range(80)][10:]
    plain, normalised = map(statistics.median, zip(*times))
    ratio = normalised / plain
    print(
        f"plain {1e3 * plain:.1f} ms, normalised {1e3 * normalised:.1f} ms: "
        f"{ratio:.2f} times"
    )
    assert ratio <= 2
