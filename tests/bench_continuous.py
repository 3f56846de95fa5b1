"""Speed of a training step beside a plain ResNet of equal parameters: `make bench`.

Both nets take one step of SGD on the same images in turn; what counts is the ratio of
the medians of the processor time of the process, which other work on the machine
disturbs less than the clock on the wall. ContinuousNet(2) has 273210 parameters, the
ResNet of depth 20 has 272474.

On a GPU, the step that the command line takes (recorded as a CUDA graph, in bfloat16,
channels last, images drawn and moved on the device) beside the plain one (kernel by
kernel, float32, drawn on the CPU): time per step of whole epochs, which take turns.
"""

import statistics
import time

import pytest
import torch
from torch import nn

from odenets import training
from odenets.data import images
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


def epoch_of(n_cells, scheme, fast):
    training.set_seed(0)
    layout = torch.channels_last if fast else torch.contiguous_format
    net = ContinuousNet(n_cells, scheme).to("cuda", memory_format=layout)
    X = torch.randn(128 * STEPS, 3, 32, 32, device="cuda")
    part = images.Labelled(X, torch.randint(10, (len(X),), device="cuda"))
    order = 1 if fast else torch.Generator().manual_seed(1)
    batches = images.Batches(part, 128, order, images.crop_and_flip)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    step = training.Step(
        net, nn.CrossEntropyLoss(), optimizer, mixed_precision=fast, capture=fast
    )

    def epoch():
        start = time.perf_counter()
        step.epoch(batches)
        return (time.perf_counter() - start) / STEPS

    return epoch


STEPS = 50


@pytest.mark.benchmark
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(
    "n_cells, scheme, limit", [(2, "euler", 0.4), (2, "rk4", 0.4), (8, "euler", 0.4)]
)
def test_recorded_step_against_the_plain_one(n_cells, scheme, limit):
    recorded, plain = (epoch_of(n_cells, scheme, fast) for fast in (True, False))
    recorded(), plain()
    times = [(recorded(), plain()) for _ in range(REPEATS)]
    a, b = (1e3 * statistics.median(t) for t in zip(*times))
    print(
        f"\n{scheme}, {n_cells} cells on {torch.cuda.get_device_name()}: recorded "
        f"{a:.2f} ms, plain {b:.2f} ms, ratio {a / b:.2f} of {limit}"
    )
    assert a / b <= limit
