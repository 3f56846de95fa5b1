"""Minimising: against closed forms and scipy; the value never rises."""

import itertools

import numpy as np
import pytest
import scipy.optimize
import torch

from odenets import optimise


def rosenbrock(x, y):
    return (1 - x).square().sum() + 100 * (y - x.square()).square().sum()


def test_it_finds_the_minimum_of_a_quadratic():
    A = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    b = torch.tensor([1.0, -1.0], dtype=torch.float64)
    start = torch.zeros(2, dtype=torch.float64)
    (x,) = optimise.minimise(lambda x: 0.5 * x @ A @ x - b @ x, [start])
    assert torch.allclose(x, torch.linalg.solve(A, b), atol=1e-7)
    assert torch.equal(start, torch.zeros(2, dtype=torch.float64))
    assert not x.requires_grad


def test_it_is_as_good_as_scipy_on_rosenbrock():
    start = [torch.tensor([-1.2, 0.3]).double(), torch.tensor([1.0, -2.0]).double()]
    x, y = optimise.minimise(rosenbrock, start, max_iter=200)

    def flat(z):
        return rosenbrock(torch.tensor(z[:2]), torch.tensor(z[2:])).item()

    reference = scipy.optimize.minimize(
        flat, np.concatenate([s.numpy() for s in start])
    )
    assert rosenbrock(x, y).item() <= reference.fun + 1e-6


def test_it_never_ends_higher_than_it_began():
    # A loss whose gradient lies: every step makes it worse.
    class Lie(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.square().sum()

        @staticmethod
        def backward(ctx, grad):
            return -grad * ctx.saved_tensors[0]

    (x,) = optimise.minimise(Lie.apply, [torch.tensor([2.0])])
    assert x.square().sum() <= 4.0


def test_a_loss_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="has to be finite"):
        optimise.minimise(lambda x: x.log().sum(), [torch.tensor([0.0])])


def test_in_turns_the_history_never_rises_and_reaches_the_minimum():
    start = [[torch.tensor([-1.2]).double()], [torch.tensor([1.0]).double()]]
    ((x,), (y,)), history = optimise.minimise_in_turns(rosenbrock, start, n_sweeps=30)
    assert len(history) == 61
    assert history[0] == pytest.approx(rosenbrock(*start[0], *start[1]).item())
    assert history[-1] == pytest.approx(rosenbrock(x, y).item())
    assert max(np.diff(history)) <= 0
    assert history[-1] < history[1] < history[0]


def test_in_turns_each_block_is_best_for_the_others():
    A = torch.tensor([[2.0, 0.9], [0.9, 1.0]], dtype=torch.float64)

    def loss(x, y):
        z = torch.cat([x, y]) - 1
        return z @ A @ z

    zero = torch.zeros(1, dtype=torch.float64)
    _, history = optimise.minimise_in_turns(loss, [[zero], [zero]], n_sweeps=1)
    # x = 1 + 0.9 / 2 minimises over x with y = 0; then y = 1 - 0.9 * 0.45.
    after_x = 2 * 0.45**2 - 2 * 0.9 * 0.45 + 1
    after_y = (2 - 0.9**2) * 0.45**2
    assert history == pytest.approx([4.8, after_x, after_y], abs=1e-8)


def test_lbfgs_on_rosenbrock_and_where_nothing_can_be_done():
    def value_and_gradient(z):
        z = z.clone().requires_grad_()
        value = rosenbrock(z[:1], z[1:])
        return value.item(), torch.autograd.grad(value, z)[0]

    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    points = list(optimise.lbfgs(value_and_gradient, start, 80))
    values = [value for _, value in points]
    assert all(b <= a for a, b in itertools.pairwise(values))
    assert values[-1] < 1e-10
    flat = list(optimise.lbfgs(lambda x: (0.0, torch.zeros_like(x)), start, 5))
    assert all(value == 0.0 for _, value in flat)
