"""What a field may do, and what it is told when it does something else."""

import functools
import importlib
import math
import os
import subprocess
import sys

import notebooks
import numpy as np
import pytest
import torch
from torch import nn

from odenets import solvers
from odenets.solvers import TABLEAUS, SolverError, Stats, Tableau, fields, odeint

ADAPTIVE = ["bosh3", "dopri5"]
METHODS = list(TABLEAUS)
FINE = {"n_steps": 100}  # rk4 is exact to eight digits then


def decay(method, f, y0=None, **settings):
    """y(1) of y' = -y from 1."""
    y0 = torch.ones(2) if y0 is None else y0
    settings = {"options": None if method in ADAPTIVE else FINE} | settings
    return odeint(f, y0, [0.0, 1.0], method, **settings)[-1]


# ------------------------------------------------------------------ works in place


class Buffer:
    """-y, written into memory of its own: one tensor, a ring of two, or numpy's."""

    def __init__(self, kind):
        self.kind, self.calls = kind, 0
        self.buffers = [torch.empty(2), torch.empty(2)]
        self.array = np.empty(2, dtype=np.float32)

    def __call__(self, t, y):
        self.calls += 1
        if self.kind == "numpy":
            np.negative(y.detach().numpy(), out=self.array)
            return torch.from_numpy(self.array)
        buffer = self.buffers[self.calls % 2 if self.kind == "ring" else 0]
        if self.kind == "view":
            buffer.copy_(-y)
            return buffer.view(2)
        return torch.neg(y, out=buffer)


def in_place(t, y):
    return y.neg_()


def by_data(t, y):
    y.data.mul_(-1)  # not counted as a version by autograd
    return y.clone()


def by_numpy(t, y):
    array = y.detach().numpy()
    array *= -1
    return torch.from_numpy(array.copy())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["out", "view", "ring", "numpy"])
def test_a_field_with_a_buffer_of_its_own(kind, method):
    expected = decay(method, lambda t, y: -y)
    assert torch.equal(decay(method, Buffer(kind)), expected)
    with torch.inference_mode():
        assert torch.equal(decay(method, Buffer(kind)), expected)
    step = functools.partial(solvers.runge_kutta_step, TABLEAUS[method])
    y = torch.ones(2)
    assert torch.equal(
        step(Buffer(kind), 0.0, y, 0.5), step(lambda t, y: -y, 0.0, y, 0.5)
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("f", [in_place, by_data, by_numpy])
def test_a_field_that_changes_its_argument(f, method):
    y0, stats, clean = torch.ones(2), Stats(), Stats()
    expected = decay(method, lambda t, y: -y, stats=clean)
    assert torch.equal(decay(method, f, y0, stats=stats), expected)
    assert torch.equal(y0, torch.ones(2)), "the caller's tensor"
    assert (stats.times, stats.rejected) == (clean.times, clean.rejected)
    # Some evaluations were in vain until it was noticed; they were evaluations.
    assert clean.nfe <= stats.nfe <= clean.nfe + 8


@pytest.mark.parametrize("method", METHODS)
def test_a_field_that_changes_its_argument_later_on_or_in_a_tuple(method):
    def late(t, y):
        return y.neg_() if t > 0.4 else -y

    def part(t, state):
        return state[0].neg_(), torch.zeros_like(state[1])

    expected = decay(method, lambda t, y: -y)
    assert torch.equal(decay(method, late), expected)
    end = solvers.solve(
        part,
        (torch.ones(2), torch.ones(1)),
        0.0,
        1.0,
        method=method,
        options=None if method in ADAPTIVE else FINE,
    )
    torch.testing.assert_close(end[0], expected, rtol=1e-5, atol=0)


def test_gradients_of_a_field_in_place():
    def gradients(f):
        rate = torch.tensor(0.7, requires_grad=True)
        y0 = torch.tensor([1.0, 2.0], requires_grad=True)
        odeint(functools.partial(f, rate), y0, [0.0, 1.0])[-1].sin().sum().backward()
        return rate.grad, y0.grad

    def plain(rate, t, y):
        return -rate * y

    def changes(rate, t, y):
        return y.mul_(-rate)

    assert all(map(torch.equal, gradients(changes), gradients(plain)))


def test_a_constant_tensor_and_the_state_itself_may_be_returned():
    constant = torch.tensor([1.0, 2.0])
    for method in METHODS:
        end = decay(method, lambda t, y: constant)
        torch.testing.assert_close(end, torch.tensor([2.0, 3.0]))
        end = decay(method, lambda t, y: y)
        rtol = {1: 1e-2, 2: 1e-4}.get(TABLEAUS[method].order, 1e-5)
        torch.testing.assert_close(end, torch.full((2,), math.e), rtol=rtol, atol=0)


# ---------------------------------------------------------------------------- time


USUAL_WAYS = {
    "sin": lambda t, y: -y * torch.sin(t),
    "reshape": lambda t, y: -y * t.reshape(1, 1).sin(),
    "expand": lambda t, y: -y * t.expand(3, 1).sin(),
    "item": lambda t, y: -y * math.sin(t.item()),
    "to": lambda t, y: -y * t.to(y).sin(),
    "cat": lambda t, y: -y * torch.cat([t.view(1), t.view(1)])[None].sin(),
    "index": lambda t, y: -y * t[None, None].sin(),
    "float": lambda t, y: -y * math.sin(t),
    "ones_like": lambda t, y: -y * torch.sin(t * torch.ones_like(y)),
    "full_like": lambda t, y: -y * torch.full_like(y, t).sin(),
    "branch": lambda t, y: -y * (math.sin(t) if t < 0.7 else torch.sin(t)),
}


@pytest.mark.parametrize("way", USUAL_WAYS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_usual_ways_to_write_the_time(way, method, dtype):
    y0, f = torch.ones(3, 2, dtype=dtype), USUAL_WAYS[way]
    options = None if method in ADAPTIVE else {"n_steps": 20}
    expected = odeint(USUAL_WAYS["float"], y0, [0.0, 2.0], method, options=options)
    found = odeint(f, y0, [0.0, 2.0], method, options=options)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)

    def of_tuple(t, state):
        return f(t, state[0]), -state[1]

    pair = odeint(of_tuple, (y0, y0), [0.0, 2.0], method, options=options)
    torch.testing.assert_close(pair[0], expected, rtol=1e-5, atol=0)


def test_a_field_that_takes_a_float_gets_one():
    kinds = set()

    def f(t, y):
        kinds.add(type(t))
        return -y

    odeint(f, torch.ones(2), torch.linspace(0, 1, 3))
    assert kinds == {float}


def test_an_error_that_is_not_about_the_time_is_the_fields_own():
    def f(t, y):
        return y.no_such_method()

    with pytest.raises(AttributeError, match="no_such_method"):
        odeint(f, torch.ones(2), [0.0, 1.0])

    def late(t, y):
        return -y if t < 0.5 else y + "text"

    with pytest.raises(TypeError, match="str"):
        odeint(late, torch.ones(2), [0.0, 1.0], "rk4", options=FINE)


@pytest.mark.parametrize(
    "t",
    [
        torch.tensor([0, 1, 2]),
        [0, 1, 2],
        range(3),
        np.arange(3),
        np.linspace(0, 2, 3, dtype=np.float32),
        (np.float64(0), torch.tensor(1.0), 2),
        torch.tensor([0.0, 1.0, 2.0], dtype=torch.float16),
    ],
    ids=lambda t: type(t).__name__,
)
def test_times_of_all_kinds(t):
    expected = odeint(lambda t, y: -t * y, torch.ones(2), [0.0, 1.0, 2.0])
    assert torch.equal(odeint(lambda t, y: -t * y, torch.ones(2), t), expected)


@pytest.mark.parametrize("t", [1.0, np.array(1.0), torch.tensor(1.0)])
def test_one_number_is_no_sequence_of_times(t):
    with pytest.raises(ValueError, match="sequence"):
        odeint(lambda t, y: -y, torch.ones(2), t)


def test_times_may_come_one_by_one():
    y = decay("dopri5", in_place)
    t = (s for s in (0.0, 1.0))  # it can be asked once only
    assert torch.equal(odeint(in_place, torch.ones(2), t)[-1], y)


def test_gradients_reach_times_in_a_list():
    start, end = (torch.tensor(s, requires_grad=True) for s in (0.0, 1.0))
    y = solvers.solve(lambda t, y: -y, torch.ones(2), start, end)
    y.sum().backward()
    slope = 2 * math.exp(-1)
    assert end.grad.item() == pytest.approx(-slope, rel=1e-5)
    assert start.grad.item() == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("method", METHODS)
def test_double_times_with_gradients_and_a_state_in_single_precision(shape, method):
    t = torch.linspace(0, 1, 3, dtype=torch.float64, requires_grad=True)
    options = None if method in ADAPTIVE else FINE
    y = odeint(lambda t, y: -y, torch.ones(shape), t, method, options=options)
    y[-1].sum().backward()
    assert y.dtype is torch.float32 and t.grad.dtype is torch.float64
    expected = [math.prod(shape) * math.exp(-1) * s for s in (1, 0, -1)]
    assert t.grad.tolist() == pytest.approx(expected, rel=0.02, abs=1e-6)


# ------------------------------------------------------------- what a field returns


@pytest.mark.parametrize(
    "f, message",
    [
        (lambda t, y: None, r"returned None: is its `return` missing\?"),
        (lambda t, y: [-1.0, -1.0], "must return a tensor, not list"),
        (lambda t, y: -y.numpy(), "must return a tensor, not ndarray"),
        (lambda t, y: -1.0, "must return a tensor, not float"),
        (lambda t, y: (-y,), "must return a tensor, not tuple"),
    ],
)
def test_a_field_that_returns_no_tensor(f, message):
    with pytest.raises(TypeError, match=message):
        odeint(f, torch.ones(2), [0.0, 1.0])


@pytest.mark.parametrize(
    "f, message",
    [
        (lambda t, s: None, r"is its `return` missing\?"),
        (lambda t, s: -s[0], "of a tuple must return a tuple.*Tensor"),
        (lambda t, s: (-s[0], None), r"is its `return` missing\?"),
    ],
)
def test_a_field_of_a_tuple_that_returns_something_else(f, message):
    with pytest.raises(TypeError, match=message):
        odeint(f, (torch.ones(2), torch.ones(2)), [0.0, 1.0])


net = nn.Linear(2, 2)


@pytest.mark.parametrize(
    "f",
    [
        lambda t, y: -y.detach(),
        lambda t, y: torch.from_numpy(-y.detach().numpy()),
        lambda t, y: net(y.detach()),
        torch.no_grad()(lambda t, y: net(y)),
    ],
    ids=["detach", "numpy", "a net", "no_grad"],
)
@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_a_field_that_cuts_gradients_off(f, method):
    with pytest.raises(ValueError, match=r"cuts the gradient off.*y0\.detach\(\)"):
        odeint(f, torch.ones(2, requires_grad=True), [0.0, 1.0], method)
    with torch.no_grad():  # nobody wants gradients there
        odeint(f, torch.ones(2, requires_grad=True), [0.0, 1.0], method)


def test_a_field_that_does_not_depend_on_the_state_cuts_nothing_off():
    weight = torch.ones(2, requires_grad=True)
    for f in (
        lambda t, y: torch.ones_like(y),
        lambda t, y: weight * t,
        lambda t, y: (y > 0).float(),  # its derivative is 0 wherever there is one
        lambda t, y: torch.cat([y[:1], torch.zeros(1)]),
    ):
        y0 = torch.tensor([1.0, -2.0], requires_grad=True)
        odeint(f, y0, [0.0, 1.0], "rk4")[-1].sum().backward()
        assert y0.grad is not None


# ---------------------------------------------------------------------- tolerances


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_half_precision(dtype, method):
    stats, y0 = Stats(), torch.tensor([1.0, 0.0], dtype=dtype)
    with pytest.raises(ValueError, match=f"rtol=1e-06.*finer than {dtype}"):
        odeint(lambda t, y: -y, y0, [0.0, 1.0], method, stats=stats)
    assert stats.nfe == 0
    end = odeint(lambda t, y: -y, y0, [0.0, 1.0], method, rtol=2e-2, atol=0.0)[-1]
    exact = torch.tensor([math.exp(-1), 0.0], dtype=dtype)
    torch.testing.assert_close(end, exact, rtol=4e-2, atol=0)
    odeint(lambda t, y: -y, y0, [0.0, 1.0], "rk4", options={"n_steps": 4})


@pytest.mark.parametrize("method", ADAPTIVE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_absolute_tolerance_and_an_entry_that_stays_zero(method, dtype):
    stats = Stats()
    y0 = torch.tensor([1.0, 0.0], dtype=dtype)
    y = odeint(lambda t, y: -y, y0, [0.0, 1.0], method, 1e-5, 0.0, stats=stats)
    assert y[-1].tolist() == pytest.approx([math.exp(-1), 0.0], rel=1e-4)
    assert stats.nfe < 200


# ------------------------------------------------------------------ steps and jumps


def pulse(t, y):
    return -0.1 * y + 100 * math.exp(-(((t - 5) / 0.02) ** 2))


def test_a_short_pulse_is_seen_by_steps_that_are_short_enough():
    y0 = torch.zeros(1, dtype=torch.float64)
    # The pulse is a jump of 100 * 0.02 sqrt(pi), up to the decay within its width.
    exact = 2 * math.sqrt(math.pi) * math.exp(-0.1 * 5 + (0.1 * 0.02) ** 2 / 4)
    assert odeint(pulse, y0, [0.0, 10.0])[-1].item() == 0  # overlooked
    stats = Stats()
    options = {"max_step": 0.05}
    y = odeint(pulse, y0, [0.0, 10.0], options=options, stats=stats)
    assert y[-1].item() == pytest.approx(exact, rel=1e-5)
    lengths = np.diff([0.0, *stats.times])
    assert lengths.max() <= 0.05
    back = odeint(pulse, y[-1], [10.0, 0.0], options=options)
    assert abs(back[-1].item()) < 1e-4


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_a_step_ends_where_the_field_jumps(method, closed):
    def f(t, y):
        before = t <= 0.5 if closed else t < 0.5
        return -y if before else 4 - 3 * y

    def exact(t):
        early = math.exp(-min(t, 0.5))
        if t <= 0.5:
            return early
        return 4 / 3 + (early - 4 / 3) * math.exp(-3 * (t - 0.5))

    y0, t = torch.ones(1, dtype=torch.float64), [0.0, 0.2, 0.5, 0.6, 1.0]
    plain, stats = Stats(), Stats()
    odeint(f, y0, t, method, stats=plain)
    options = {"jump_times": [2.0, 0.5]}  # one outside of the times
    y = odeint(f, y0, t, method, options=options, stats=stats)
    assert y[:, 0].tolist() == pytest.approx([exact(s) for s in t], rel=1e-5)
    assert 0.5 in stats.times and stats.rejected <= 2
    assert stats.nfe < 0.7 * plain.nfe
    back = odeint(f, y[-1], t[::-1], method, options=options)
    assert back[-1].item() == pytest.approx(1, rel=1e-4)
    # A jump between the output times, and one with gradients to the start.
    y0.requires_grad_()
    end = odeint(f, y0, [0.0, 1.0], method, options=options)[-1]
    end.backward()
    assert y0.grad.item() == pytest.approx(math.exp(-0.5 - 1.5), rel=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_step": 0.0}, "max_step must be positive"),
        ({"max_step": math.nan}, "max_step must be positive"),
        ({"first_step": 0.0}, "first_step must be positive"),
    ],
)
def test_bad_steps(options, message):
    with pytest.raises(ValueError, match=message):
        odeint(lambda t, y: -y, torch.ones(1), [0.0, 1.0], options=options)


# --------------------------------------------------------------- tableaus of one's own


RALSTON = Tableau(
    name="ralston", order=2, a=((), (2 / 3,)), b=(1 / 4, 3 / 4), c=(0, 2 / 3)
)
HEUN_EULER = Tableau(  # the last stage is not the next first one; no polynomial
    name="heun-euler",
    order=2,
    a=((), (1,)),
    b=(1 / 2, 1 / 2),
    c=(0, 1),
    b_error=(-1 / 2, 1 / 2),
)


def test_a_tableau_may_be_the_method():
    y0 = torch.tensor([1.0, 2.0], dtype=torch.float64)
    f = lambda t, y: torch.sin(t + y)  # noqa: E731
    for name in METHODS:
        ours = odeint(f, y0, [0.0, 1.0], TABLEAUS[name])
        assert torch.equal(ours, odeint(f, y0, [0.0, 1.0], name))
    errors = [
        (odeint(f, y0, [0.0, 1.0], RALSTON, options={"n_steps": n}) - ours)[-1].norm()
        for n in (20, 40)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_an_embedded_tableau_without_a_polynomial():
    y0, t = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.linspace(0, 2, 13)
    f = lambda t, y: torch.sin(t + y)  # noqa: E731
    exact, stats = odeint(f, y0, t, rtol=1e-11, atol=1e-11), Stats()
    for rtol in (1e-4, 1e-6):
        stats = Stats()
        y = odeint(f, y0, t, HEUN_EULER, rtol, rtol, stats=stats)
        assert (y - exact).abs().max() < 20 * rtol
        assert stats.accepted > 5
        # Two stages a step, the first of which is known from the step before.
        assert stats.nfe == 2 + 2 * stats.accepted + stats.rejected


# ------------------------------------------------------------- compiled and recorded


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, t, y):
        return self.net(y) * (1 + t)


def test_compiled_solves():
    """What counts lines changes the code that `torch.compile` reads: not there."""
    counting = ("SLIPCOVER", "PYTEST")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(counting)}
    command = [sys.executable, "-m", "pytest", "-q", "tests/compiled_solves.py"]
    done = subprocess.run(
        command, cwd=notebooks.ROOT, env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", METHODS)
def test_a_solve_with_fixed_steps_is_recorded_in_a_cuda_graph(method):
    f, y0 = Field().cuda(), torch.randn(5, 2, device="cuda")

    def solve(y0):
        with torch.no_grad():
            return odeint(f, y0, (0.0, 0.5, 1.0), method, options={"n_steps": 3})

    still, stream = y0.clone(), torch.cuda.Stream()
    with torch.cuda.stream(stream):  # the libraries get ready outside of the graph
        solve(still)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = solve(still)
    for start in (y0, 2 * y0):
        still.copy_(start)
        graph.replay()
        torch.testing.assert_close(recorded, solve(start))
    with pytest.raises(solvers.Overwritten):  # nothing can be tried again
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            odeint(in_place, still, (0.0, 1.0), method)


@pytest.mark.parametrize("method", METHODS)
def test_while_a_graph_is_recorded_work_in_place_is_an_error(method, monkeypatch):
    """Nothing can be tried again there, and no value be looked at."""
    monkeypatch.setattr(fields, "_recording", lambda: True)
    for module in (fields, importlib.import_module("odenets.solvers.odeint")):
        monkeypatch.setattr(module, "watched", lambda y: False)
    monkeypatch.setattr(torch.Tensor, "item", None)
    options = {"n_steps": 2}
    y = odeint(lambda t, y: -y, torch.ones(2), (0.0, 1.0), method, options=options)
    assert y[-1, 0] < 0.5
    with pytest.raises(solvers.Overwritten, match="return a new tensor"):
        odeint(in_place, torch.ones(2), (0.0, 1.0), method, options={"n_steps": 1})
    if method != "euler":  # which is through with a slope before the next one
        with pytest.raises(solvers.Overwritten, match="return a new tensor"):
            odeint(Buffer("out"), torch.ones(2), (0.0, 1.0), method, options=options)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_within_the_transforms_of_torch_func(method):
    def end(y0, scale=1.0):
        def f(t, y):
            return torch.tanh(scale * y) * (1 + t)

        return odeint(f, y0, [0.0, 0.5], method)[-1]

    y0, v = torch.tensor([0.3, -0.2]).double(), torch.tensor([1.0, 2.0]).double()
    y1, slope = torch.func.jvp(end, (y0,), (v,))
    h = 1e-5
    torch.testing.assert_close(y1, end(y0))
    difference = (end(y0 + h * v) - end(y0 - h * v)) / (2 * h)
    torch.testing.assert_close(slope, difference, rtol=1e-4, atol=1e-6)
    gradient = torch.func.grad(lambda y: end(y).sum())(y0)
    jacobian = torch.func.jacrev(end)(y0)
    torch.testing.assert_close(gradient, jacobian.sum(0))
    torch.testing.assert_close(jacobian @ v, slope, rtol=1e-4, atol=1e-6)


def test_values_that_are_not_finite_are_still_an_error_elsewhere():
    with pytest.raises(SolverError):
        decay("rk4", lambda t, y: y * math.inf)
