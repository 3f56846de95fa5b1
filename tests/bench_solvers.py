"""Speed beside torchdiffeq, paired in one run on one core: `make bench`.

Both solve the same problem in turn, at the same tolerance or step size; the accuracy of
ours may not be worse. What counts is the ratio of the medians of the processor time,
which other work on the machine disturbs less than the clock on the wall.
torchdiffeq's rk4 is the 3/8 rule, ours the classic one; `rk4_38` is the same method.
"""

import importlib
import shutil
import statistics
import time

import pytest
import torch
import torchdiffeq
from torch import nn

from odenets.solvers import odeint

RTOL, ATOL = 1e-5, 1e-6
TIMES = torch.linspace(0, 1, 3)


class Autonomous(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, t, y):
        return self.net(y)


def problem(kind):
    generator = torch.Generator().manual_seed(0)
    if kind == "mlp":
        net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
        y0 = torch.randn(64, 2, generator=generator)
    else:
        conv = [nn.Conv2d(16, 16, 3, padding=1) for _ in range(2)]
        net = nn.Sequential(conv[0], nn.Tanh(), conv[1])
        y0 = torch.randn(8, 16, 14, 14, generator=generator)
    with torch.no_grad():
        for parameter in net.parameters():
            scale = 0.5 if kind == "mlp" else 0.1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return Autonomous(net), y0


def ours(f, y0, method):
    options = {"step_size": 0.05} if method.startswith("rk4") else None
    return odeint(f, y0, TIMES, method, RTOL, ATOL, options)


def theirs(f, y0, method):
    method, options = ("rk4", {"step_size": 0.05}) if "rk4" in method else (method, {})
    return torchdiffeq.odeint(
        f, y0, TIMES, method=method, rtol=RTOL, atol=ATOL, options=options
    )


def error(solve, f, y0, method):
    reference = torchdiffeq.odeint(
        f.double(), y0.double(), TIMES.double(), rtol=1e-11, atol=1e-12
    )
    f.float()
    with torch.no_grad():
        return (solve(f, y0, method) - reference).abs().max().item()


def seconds(solve, f, y0, method, backward):
    start = time.process_time()
    with torch.set_grad_enabled(backward):
        solution = solve(f, y0, method)
    if backward:
        solution[-1].square().sum().backward()
    return time.process_time() - start


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.benchmark
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "and-backward"])
@pytest.mark.parametrize(
    "kind, method, bound",
    [
        ("mlp", "rk4", 0.8),
        ("mlp", "rk4_38", 0.9),
        ("mlp", "dopri5", 0.8),
        ("conv", "rk4", 1.0),
        ("conv", "rk4_38", 1.1),
        ("conv", "dopri5", 1.0),
    ],
)
def test_faster_than_torchdiffeq(kind, method, bound, backward):
    f, y0 = problem(kind)
    accuracy = [error(solve, f, y0, method) for solve in (ours, theirs)]
    rounding = 4e-6  # of float32, over 20 steps; the methods are further apart
    assert accuracy[0] <= max(accuracy[1], rounding)
    rounds = 60 if kind == "mlp" else 25
    pairs = [
        [seconds(solve, f, y0, method, backward) for solve in (ours, theirs)]
        for _ in range(rounds + 3)
    ][3:]
    medians = [statistics.median(column) * 1e3 for column in zip(*pairs)]
    ratio = medians[0] / medians[1]
    print(
        f"\n{kind} {method} backward={backward}: {medians[0]:.2f} ms beside "
        f"{medians[1]:.2f} ms, ratio {ratio:.2f}; "
        f"errors {accuracy[0]:.1e} and {accuracy[1]:.1e}"
    )
    assert ratio <= bound


def without_guard(monkeypatch):
    """Count the evaluations and check shape and dtype, and nothing else."""
    module = importlib.import_module("odenets.solvers.odeint")

    def bare(call, state, shapes, stats):
        f = call.f

        def field(t, y):
            stats.nfe += 1
            slope = f(t, y)
            if slope.shape != state.shape or slope.dtype != state.dtype:
                raise ValueError
            return slope

        return field

    monkeypatch.setattr(module, "checked_field", bare)
    monkeypatch.setattr(module, "refuse_shared_memory", lambda slopes: None)


@pytest.mark.benchmark
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "and-backward"])
@pytest.mark.parametrize("kind", ["mlp", "conv"])
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_what_the_guard_costs(kind, method, backward, monkeypatch):
    """It watches for fields that work in place, and for gradients that are cut off."""
    f, y0 = problem(kind)
    pairs = []
    for k in range(600 if kind == "mlp" else 60):
        pair = {}
        for guarded in (k % 2 == 0, k % 2 == 1):  # in turn, which comes first
            with monkeypatch.context() as patch:
                if not guarded:
                    without_guard(patch)
                pair[guarded] = seconds(ours, f, y0, method, backward)
        pairs.append([pair[True], pair[False]])
    medians = [statistics.median(column) * 1e3 for column in zip(*pairs)]
    ratio = medians[0] / medians[1]
    print(
        f"\nguard, {kind} {method} backward={backward}: {medians[0]:.3f} ms beside "
        f"{medians[1]:.3f} ms, ratio {ratio:.3f}"
    )
    assert ratio <= 1.03


@pytest.mark.benchmark
@pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs a compiler"
)
def test_what_compiling_saves():
    """One solve of twenty steps, forwards, as one compiled function."""
    f, y0 = problem("mlp")

    def solve(f, y0, method):
        return odeint(f, y0, (0.0, 0.5, 1.0), method, options={"step_size": 0.05})

    compiled = torch.compile(solve, fullgraph=True)
    with torch.no_grad():
        difference = (compiled(f, y0, "rk4") - solve(f, y0, "rk4")).abs().max()
    assert difference < 4e-6
    pairs = [
        [seconds(how, f, y0, "rk4", False) for how in (compiled, solve)]
        for _ in range(100)
    ]
    medians = [statistics.median(column) * 1e3 for column in zip(*pairs)]
    print(
        f"\ncompiled, mlp rk4: {medians[0]:.2f} ms beside {medians[1]:.2f} ms, ratio "
        f"{medians[0] / medians[1]:.2f}"
    )
    assert medians[0] <= 0.6 * medians[1]
