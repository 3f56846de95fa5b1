"""What exact depths cost: paired timings against a residual network (`make bench`)."""

import statistics
import time
from collections.abc import Callable

import pytest
import torch

from odenets.data import video
from odenets.nets import inimnet

pytestmark = pytest.mark.benchmark


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def residual_net(phis, x):
    """The deepest network alone, as a residual network."""
    for phi in reversed(phis):
        x = x + phi(x)
    return [x]


def training_step(forward: Callable, depth: int, dim: int = 50) -> Callable[[], None]:
    torch.manual_seed(0)
    phis = [inimnet.DenseField(dim, dim) for _ in range(depth)]
    params = [p for phi in phis for p in phi.parameters()]
    optimizer = torch.optim.Adam(params)
    x = torch.randn(64, dim)

    def step() -> None:
        optimizer.zero_grad()
        (forward(phis, x)[-1] - x.flip(0)).square().mean().backward()
        optimizer.step()

    return step


def ratio_of_medians(one: Callable, other: Callable, repeats: int = 31) -> float:
    """Return how much longer `one` takes, in processor time, in turns."""
    one(), other()
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for run, times in zip((one, other), spent):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
    return statistics.median(spent[0]) / statistics.median(spent[1])


def test_exact_depth_four_within_ten_residual_steps():
    exact = training_step(inimnet.VARIANTS["exact"], 4)
    ratio = ratio_of_medians(exact, training_step(residual_net, 4))
    print(f"exact InImNet of depth 4: {ratio:.1f} steps of the residual net")
    assert ratio <= 10


def test_parts_are_faster_than_nested_products():
    nested = training_step(inimnet.VARIANTS["nested"], 5)
    ratio = ratio_of_medians(nested, training_step(inimnet.VARIANTS["exact"], 5), 7)
    print(f"nested products take {ratio:.1f} times as long as values in parts")
    assert ratio > 1.5


def test_depth_eight_trains_in_the_approximate_variant():
    step = training_step(inimnet.VARIANTS["approximate"], 8)
    step()
    start = time.process_time()
    for _ in range(10):
        step()
    seconds = (time.process_time() - start) / 10
    print(f"depth 8, batch 64, dimension 50: {1000 * seconds:.0f} ms a step")
    assert seconds < 0.3


def test_five_hundred_scenes_of_balls_in_ten_seconds():
    start = time.process_time()
    video.bouncing_balls(500, generator=torch.Generator().manual_seed(0))
    seconds = time.process_time() - start
    print(f"500 videos of 20 frames: {seconds:.1f} s")
    assert seconds < 10
