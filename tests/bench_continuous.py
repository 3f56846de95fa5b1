"""Speed of a training step beside a plain ResNet of equal parameters: `make bench`.

Both nets take one step of SGD on the same images in turn; what counts is the ratio of
the medians of the processor time of the process, which other work on the machine
disturbs less than the clock on the wall. ContinuousNet(2) has 273210 parameters, the
ResNet of depth 20 has 272474.
"""

import statistics
import time

import pytest
import torch
from torch import nn

from odenets.nets.continuous import ContinuousNet, ResNet

REPEATS = 9


def step_of(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(64, 3, 32, 32, generator=generator)
    labels = torch.randint(10, (64,), generator=generator)
    loss_fn = nn.CrossEntropyLoss()

    def step():
        start = time.process_time()
        optimizer.zero_grad()
        loss_fn(net(images), labels).backward()
        optimizer.step()
        return time.process_time() - start

    return step


@pytest.mark.benchmark
@pytest.mark.parametrize("scheme, limit", [("euler", 1.1), ("rk4", 4.4)])
def test_training_step_against_a_resnet(scheme, limit):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ours, plain = step_of(ContinuousNet(2, scheme)), step_of(ResNet(20))
    ours(), plain()
    times = [(ours(), plain()) for _ in range(REPEATS)]
    a, b = (statistics.median(t) for t in zip(*times))
    ratio = a / b
    print(f"\n{scheme}: {a:.3f} s against {b:.3f} s, ratio {ratio:.2f} of {limit}")
    assert ratio <= limit
