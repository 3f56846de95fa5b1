"""The adjoint beside torchdiffeq's, forward and backward, paired: `make bench`."""

import statistics
import time

import pytest
import torch
import torchdiffeq
from torch import nn

from odenets.adjoint import odeint_adjoint
from odenets.solvers import odeint

TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(0.5 * noise)

    def forward(self, t, y):
        return self.net(y)


def gradients(solve, f, y0, t, **settings):
    y = solve(f, y0, t, **settings)
    return torch.autograd.grad(y.square().sum(), f.parameters())


def seconds(solve, f, y0, t):
    start = time.process_time()  # not disturbed by other work as the wall clock is
    gradients(solve, f, y0, t, **TOLERANCE)
    return time.process_time() - start


def relative(a, b):
    return max(((p - q).norm() / q.norm()).item() for p, q in zip(a, b))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.benchmark
@pytest.mark.parametrize("n_times", [2, 20])
def test_faster_than_the_adjoint_of_torchdiffeq(n_times):
    f, t = Field(), torch.linspace(0, 1, n_times)
    y0 = torch.randn(64, 2, generator=torch.Generator().manual_seed(1))
    exact = gradients(odeint, f.double(), y0.double(), t, rtol=1e-11, atol=1e-12)
    f.float()
    solvers = (odeint_adjoint, torchdiffeq.odeint_adjoint)
    errors = [relative(gradients(s, f, y0, t, **TOLERANCE), exact) for s in solvers]
    assert errors[0] <= max(errors[1], 1e-5)  # float32
    rounds = [[seconds(s, f, y0, t) for s in solvers] for _ in range(33)][3:]
    medians = [statistics.median(column) * 1e3 for column in zip(*rounds)]
    ratio = medians[0] / medians[1]
    print(
        f"\n{n_times} times: {medians[0]:.2f} ms beside {medians[1]:.2f} ms, "
        f"ratio {ratio:.2f}; errors {errors[0]:.1e} and {errors[1]:.1e}"
    )
    assert ratio <= 0.8
