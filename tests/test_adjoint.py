"""The adjoint against closed forms, backpropagation, torchdiffeq and its promises."""

import math

import pytest
import torch
import torchdiffeq
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from odenets import adjoint, solvers
from odenets.adjoint import odeint_adjoint, saved_bytes
from odenets.solvers import SolverError, Stats, odeint


class Mixed(nn.Module):
    """A field in which time, state and parameters do not separate; one is unused."""

    def __init__(self, width=3, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def random(*shape):
            return nn.Parameter(
                torch.randn(*shape, generator=generator, dtype=torch.float64)
            )

        self.weight, self.bias, self.unused = (
            random(width, width),
            random(width),
            random(2),
        )

    def forward(self, t, y):
        return torch.tanh(y @ self.weight + t * self.bias) - 0.3 * t * y


class Autonomous(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, t, y):
        return self.net(y)


def double(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def gradients(solve, loss, f, y0, t, **settings):
    """The loss and its gradients for y0, t and all parameters of f."""
    y0 = y0.clone().requires_grad_()
    t = torch.as_tensor(t, dtype=torch.float64).clone().requires_grad_()
    value = loss(solve(f, y0, t, **settings))
    inputs = (y0, t, *f.parameters())
    return value, torch.autograd.grad(
        value, inputs, allow_unused=True, materialize_grads=True
    )


def relative(a, b):
    return max(((p - q).norm() / q.norm()).item() for p, q in zip(a, b) if q.norm() > 0)


def weighted(solution):
    """A loss that looks at all output times, at each in another way."""
    times = torch.arange(1, len(solution) + 1, dtype=solution.dtype)
    return (torch.sin(solution).flatten(1).sum(1) * times).sum()


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8, 1e-10])
def test_closed_form_of_a_linear_field(tolerance):
    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.A = nn.Parameter(0.7 * double(3, 3, seed=2))

        def forward(self, t, y):
            return y @ self.A.T

    f, y0, w = Linear(), double(3), double(3, seed=3)
    A = f.A.detach().clone().requires_grad_()
    start = y0.clone().requires_grad_()
    T = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    exact = torch.autograd.grad(
        w @ torch.matrix_exp(T * A) @ start, (start, T, A)
    )  # through the matrix exponential, no solver
    _, (grad_y0, grad_t, grad_A) = gradients(
        odeint_adjoint,
        lambda y: w @ y[-1],
        f,
        y0,
        [0.0, 1.3],
        rtol=tolerance,
        atol=tolerance,
    )
    ours = (grad_y0, grad_t[1], grad_A)
    assert relative(ours, exact) < 10 * tolerance
    assert grad_t[0].item() == pytest.approx(-grad_t[1].item(), rel=100 * tolerance)


def test_closed_form_of_a_scalar_field_with_time():
    theta = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    y = odeint_adjoint(
        lambda t, y: theta * t * y,
        y0,
        [1.0, 3.0],
        rtol=1e-10,
        atol=1e-10,
        params=[theta],
    )
    y[-1].backward()  # y = y0 exp(theta (t1^2 - t0^2) / 2)
    growth = math.exp(0.4 * 4)
    assert y0.grad.item() == pytest.approx(growth, rel=1e-8)
    assert theta.grad.item() == pytest.approx(2 * 4 * growth, rel=1e-8)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize(
    "times", [[0.0, 1.5], [0.2, 0.3, 1.0, 1.1, 2.0], [2.0, 1.0, 0.1]]
)
def test_same_as_backpropagation_through_a_fine_solve(tolerance, times):
    f, y0 = Mixed(), double(4, 3)
    value, exact = gradients(odeint, weighted, f, y0, times, rtol=1e-12, atol=1e-12)
    ours, grads = gradients(
        odeint_adjoint, weighted, f, y0, times, rtol=tolerance, atol=tolerance
    )
    assert ours.item() == pytest.approx(value.item(), rel=10 * tolerance)
    assert relative(grads, exact) < 10 * tolerance
    assert torch.equal(grads[-1], torch.zeros(2).double())  # the unused parameter


def test_forward_is_odeint_bit_for_bit():
    f, y0, t = Mixed(), double(4, 3), torch.linspace(0, 1, 4)
    for settings in ({}, {"method": "rk4", "options": {"n_steps": 3}}):
        plain = odeint(f, y0, t, **settings)
        assert torch.equal(odeint_adjoint(f, y0, t, **settings), plain)
        parts = odeint_adjoint(
            lambda t, s: (f(t, s[0]),), (y0,), t, params=(), **settings
        )
        assert torch.equal(parts[0], plain)


def test_same_as_the_adjoint_of_torchdiffeq():
    f, y0, times = Mixed(), double(4, 3), [0.0, 0.4, 1.0]
    settings = {"rtol": 1e-8, "atol": 1e-8}
    _, ours = gradients(odeint_adjoint, weighted, f, y0, times, **settings)
    _, other = gradients(torchdiffeq.odeint_adjoint, weighted, f, y0, times, **settings)
    assert relative(ours, other) < 1e-6


def test_numerical_differentiation():
    f = Mixed()

    def end(y0, t, weight, bias):
        def g(t, y):
            return torch.tanh(y @ weight + t * bias) - 0.3 * t * y

        return odeint_adjoint(g, y0, t, rtol=1e-10, atol=1e-10, params=[weight, bias])

    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    inputs = (double(3).requires_grad_(), t, f.weight, f.bias)
    assert torch.autograd.gradcheck(end, inputs, rtol=1e-5, atol=1e-6, eps=1e-5)


def test_a_tuple_state():
    f = Mixed()

    def pair(t, state):
        y, log_p = state
        slope = f(t, y)
        return slope, -slope.square().sum(-1) * torch.cos(log_p)

    def loss(solution):
        return solution[0][-1].sum() + solution[1][-1].square().sum()

    results = []
    for solve, extra in (
        (odeint, {}),
        (odeint_adjoint, {"params": list(f.parameters())}),
    ):
        y0, z0 = double(4, 3).requires_grad_(), double(4, seed=5).requires_grad_()
        value = loss(solve(pair, (y0, z0), [0.0, 1.0], rtol=1e-9, atol=1e-9, **extra))
        inputs = (y0, z0, f.weight, f.bias)
        results.append(torch.autograd.grad(value, inputs))
    assert relative(results[1], results[0]) < 1e-7


def test_a_loss_that_looks_at_the_start():
    f, y0 = Mixed(), double(3)
    _, (grad, *_) = gradients(odeint_adjoint, lambda y: y[0].sum(), f, y0, [0.0, 1.0])
    assert torch.equal(grad, torch.ones(3).double())


def test_parameters_that_come_out_of_another_network():
    torch.manual_seed(0)
    hyper = nn.Linear(1, 9).double()
    one = torch.ones(1, dtype=torch.float64)

    def value(solve, **extra):
        weight = hyper(one).view(3, 3)
        params = {"params": [weight]} if extra else {}
        y = solve(
            lambda t, y: torch.tanh(y @ weight),
            double(3),
            [0.0, 1.0],
            rtol=1e-9,
            **params,
        )
        return torch.autograd.grad(y[-1].sum(), hyper.parameters())

    assert relative(value(odeint_adjoint, params=True), value(odeint)) < 1e-7


def test_frozen_parameters_get_no_gradient():
    f = Mixed()
    f.bias.requires_grad_(False)
    odeint_adjoint(f, double(3), [0.0, 1.0])[-1].sum().backward()
    assert f.bias.grad is None and f.weight.grad is not None


def test_constant_field_and_field_of_time_alone():
    for f in (lambda t, y: torch.ones_like(y), lambda t, y: t * torch.ones_like(y)):
        y0 = double(3).requires_grad_()
        odeint_adjoint(f, y0, [0.0, 1.0], params=())[-1].sum().backward()
        assert torch.allclose(y0.grad, torch.ones(3).double())


def test_separate_settings_for_the_way_back():
    f, y0 = Mixed(), double(4, 3)
    counts = {}
    for name, extra in {
        "same": {},
        "coarse": {"adjoint_rtol": 1e-3, "adjoint_atol": 1e-3},
        "rk4": {"adjoint_method": "rk4", "adjoint_options": {"n_steps": 5}},
    }.items():
        stats, back = Stats(), Stats()
        gradients(
            odeint_adjoint, weighted, f, y0, [0.0, 1.0], rtol=1e-8, atol=1e-8,
            stats=stats, adjoint_stats=back, **extra,
        )  # fmt: skip
        counts[name] = stats.nfe, back.nfe
    forwards = {forward for forward, _ in counts.values()}
    assert len(forwards) == 1
    assert counts["coarse"][1] < counts["same"][1]
    assert counts["rk4"][1] == 20
    with pytest.raises(ValueError, match="unknown method"):
        gradients(odeint_adjoint, weighted, f, y0, [0.0, 1.0], adjoint_method="rk5")


def test_a_stats_may_be_used_again_by_a_method_with_fixed_steps():
    f, y0, stats = Mixed(), double(3), Stats()
    gradients(odeint_adjoint, weighted, f, y0, [0.0, 1.0], adjoint_stats=stats)
    gradients(
        odeint_adjoint,
        weighted,
        f,
        y0,
        [0.0, 0.5, 1.0],
        method="rk4",
        adjoint_stats=stats,
    )


def test_the_step_size_is_carried_from_interval_to_interval():
    f, y0, stats = Mixed(), double(3), Stats()
    n = 40
    t = torch.linspace(0, 1, n + 1).tolist()
    gradients(
        odeint_adjoint, weighted, f, y0, t, rtol=1e-5, atol=1e-5, adjoint_stats=stats
    )
    assert stats.nfe <= 7 * n + 1  # one step each, and one guess in all


# ------------------------------------------------------- as in the equations


def fine(f, y0, t0, t1):
    with torch.no_grad():
        return solvers.solve(f, y0, t0, t1, rtol=1e-10, atol=1e-12)


def test_dynamics_against_the_jacobians():
    f, y, a = Mixed(), double(3), double(3, seed=4)
    dy, da, (d_weight, d_bias, d_unused) = adjoint.adjoint_dynamics(
        f, tuple(f.parameters()), 0.7, y, a
    )
    jacobian = torch.autograd.functional.jacobian(lambda y: f(0.7, y), y)
    slope = 1 - torch.tanh(y @ f.weight + 0.7 * f.bias) ** 2
    assert torch.allclose(dy, f(0.7, y))
    assert torch.allclose(da, -a @ jacobian)
    assert torch.allclose(d_weight, -torch.outer(y, a * slope))
    assert torch.allclose(d_bias, -0.7 * a * slope)
    assert torch.equal(d_unused, torch.zeros(2).double())
    assert not any(x.requires_grad for x in (dy, da, d_weight))


@pytest.mark.parametrize("times", [[1.5], [0.2, 0.9, 1.5], [0.9]])
def test_the_functions_of_the_notebook_against_backpropagation(times):
    f, y0, t0 = Mixed(), double(4, 3), 0.2
    start = y0.clone().requires_grad_()
    grid = [t0, *times] if times[0] > t0 else times
    solution = odeint(f, start, grid, rtol=1e-11, atol=1e-12)[-len(times) :]
    grad_ys = double(len(times), 4, 3, seed=6)
    params = tuple(f.parameters())
    exact = torch.autograd.grad(
        (solution * grad_ys).sum(), (start, *params), materialize_grads=True,
        allow_unused=True,
    )  # fmt: skip
    grad_y0, grads = adjoint.adjoint_at_observations(
        f, params, y0, t0, times, grad_ys, fine
    )
    assert relative((grad_y0, *grads), exact) < 1e-8
    if len(times) == 1:
        again = adjoint.adjoint_gradients(f, params, y0, t0, times[0], grad_ys[0], fine)
        assert torch.equal(again[0], grad_y0)


# ----------------------------------------------------------------------- memory


def held(solve, n_steps):
    f, y0 = Mixed(), double(50, 3).requires_grad_()
    with saved_bytes() as saved:
        solve(f, y0, [0.0, 1.0], method="rk4", options={"n_steps": n_steps})
    return saved.total


def test_memory_is_flat_for_the_adjoint_and_linear_for_backpropagation():
    steps = [8, 32, 128, 512, 1024]
    ours = [held(odeint_adjoint, n) for n in steps]
    assert len(set(ours)) == 1
    assert 0 < ours[0] < 10_000
    backprop = [held(odeint, n) for n in steps]
    for (n, small), (m, large) in zip(
        zip(steps, backprop), zip(steps[1:], backprop[1:])
    ):
        assert large / small == pytest.approx(m / n, rel=0.1)


def test_saved_bytes_of_a_known_graph():
    x = double(10, 10).requires_grad_()
    with saved_bytes() as saved:
        y = x.exp().exp()  # each keeps its own result
    assert saved.total == 2 * 800
    with saved_bytes() as saved:
        z = x * x  # keeps x twice, in one storage
    assert saved.total == 800
    (y + z).sum().backward()


# ----------------------------------------------------------------------- errors


def test_a_field_that_is_no_module_must_name_its_parameters():
    with pytest.raises(TypeError, match="params="):
        odeint_adjoint(lambda t, y: y, double(2), [0.0, 1.0])


def test_second_derivatives_are_refused():
    y0 = double(3).requires_grad_()
    # The sum's gradient does not depend on y: nothing shows that it was cut off.
    for loss in (lambda y: y.square().sum(), torch.sum):
        y = odeint_adjoint(Mixed(), y0, [0.0, 1.0])
        with pytest.raises(RuntimeError, match=r"no second derivative.*odeint"):
            torch.autograd.grad(loss(y[-1]), y0, create_graph=True)


def test_a_parameter_that_was_changed_meanwhile_is_noticed():
    f, y0 = Mixed(), double(3).requires_grad_()
    y = odeint_adjoint(f, y0, [0.0, 1.0])
    with torch.no_grad():
        f.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y[-1].sum().backward()


def test_a_gradient_that_is_not_finite_is_reported():
    y0 = double(3).requires_grad_()
    y = odeint_adjoint(Mixed(), y0, [0.0, 1.0])
    with pytest.raises(SolverError, match="t = 1"):
        (y[-1].sum() * math.inf).backward()


def test_forward_errors_are_those_of_odeint():
    with pytest.raises(ValueError, match="repeated"):
        odeint_adjoint(Mixed(), double(3), [0.0, 0.0])
    with pytest.raises(SolverError, match="t = 1"):
        odeint_adjoint(lambda t, y: y * y, torch.ones(1), [0.0, 2.0], params=())


# --------------------------------------------------------------- kinds of numbers


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_parameter_may_have_another_dtype_than_the_state(dtype):
    def gradient(solve, **params):
        a = torch.tensor(-1.0, dtype=dtype, requires_grad=True)
        y0 = torch.ones(2, requires_grad=True)

        def f(t, y):
            return (a.to(torch.float64) * y.double()).float()

        if params:
            params = {"params": [a]}
        solve(f, y0, [0.0, 1.0], **params)[-1].sum().backward()
        return a.grad, y0.grad

    ours, expected = gradient(odeint_adjoint, params=True), gradient(odeint)
    assert [g.dtype for g in ours] == [dtype, torch.float32]
    for mine, theirs in zip(ours, expected):
        torch.testing.assert_close(
            mine, theirs, rtol=max(1e-5, 3 * torch.finfo(dtype).eps), atol=0
        )


class WithoutFloat64(TorchDispatchMode):
    """A device that has no float64, imitated: converting one of its tensors fails."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        to_double = kwargs.get("dtype") is torch.float64
        if func is torch.ops.aten._to_copy.default and to_double:
            if args[0].dtype is torch.float32 and kwargs.get("device") is None:
                raise TypeError("this device has no float64")
        return func(*args, **kwargs)


@pytest.mark.parametrize("solve", [odeint, odeint_adjoint])
def test_nothing_becomes_float64_on_the_way(solve):
    f = Mixed().float()
    with WithoutFloat64():
        for method in ("dopri5", "rk4"):
            t = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
            y0 = torch.ones(3, requires_grad=True)
            solve(f, y0, t, method).sum().backward()
            assert t.grad.dtype is y0.grad.dtype is torch.float32


@pytest.mark.parametrize("solve", [odeint, odeint_adjoint])
@pytest.mark.parametrize("within", [True, False], ids=["backward within", "after"])
def test_autocast(solve, within):
    torch.manual_seed(0)
    f = Autonomous(nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3)))
    y0 = torch.randn(5, 3)

    def gradients(enabled):
        f.zero_grad()
        start = y0.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            y = solve(f, start, [0.0, 1.0], rtol=1e-3, atol=1e-3)[-1]
            loss = y.square().sum() + f.net(y0).float().square().sum()
            if within:
                loss.backward()
        if not within:
            loss.backward()
        assert y.dtype is torch.float32
        return [y.detach(), start.grad, *(p.grad.clone() for p in f.parameters())]

    for low, exact in zip(gradients(True), gradients(False)):
        assert not torch.equal(low, exact)  # the field did run in bfloat16
        assert (low - exact).norm() < 0.05 * exact.norm()


def test_a_field_that_cuts_the_gradient_off_is_named():
    net = nn.Linear(3, 3)
    for f in (Autonomous(lambda y: net(y.detach())), Autonomous(lambda y: -y.detach())):
        f.net_ = net  # its parameters
        y = odeint_adjoint(f, torch.ones(3, requires_grad=True), [0.0, 1.0])
        with pytest.raises(ValueError, match="cuts the gradient off"):
            y.sum().backward()


def test_the_adjoint_serves_fields_of_a_tensor_time_and_fields_in_place():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(0.7))

        def forward(self, t, y):
            y.mul_(-self.rate * torch.cos(t))
            return y

    def gradients(f, solve):
        y0 = torch.tensor([1.0, 2.0], requires_grad=True)
        t = torch.tensor([0.0, 0.4, 1.0], requires_grad=True)
        solve(f, y0, t)[1:].sin().sum().backward()
        return y0.grad, t.grad, f.rate.grad

    class Plain(InPlace):
        def forward(self, t, y):
            return y * (-self.rate * math.cos(t))

    expected = gradients(Plain(), odeint)
    for solve in (odeint, odeint_adjoint):
        for mine, theirs in zip(gradients(InPlace(), solve), expected):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
