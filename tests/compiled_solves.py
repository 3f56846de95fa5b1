"""Solves through `torch.compile`; `test_solver_fields` runs them in a process."""

import pytest
import torch
from test_solver_fields import Field, decay, in_place

from odenets.solvers import odeint


@pytest.mark.parametrize("method", ["euler", "dopri5"])
def test_a_solve_with_fixed_steps_compiles_without_a_break(method):
    f, y0 = Field(), torch.randn(5, 2, generator=torch.Generator().manual_seed(1))

    def loss(y0):
        options = {"n_steps": 3}
        return odeint(f, y0, (0.0, 0.5, 1.0), method, options=options)[-1].sin().sum()

    def gradients(loss):
        start = y0.clone().requires_grad_()
        f.zero_grad()
        value = loss(start)
        value.backward()
        return [value.detach(), start.grad, *(p.grad.clone() for p in f.parameters())]

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    for mine, theirs in zip(gradients(compiled), gradients(loss)):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-7)


def test_a_compiled_solve_is_right_for_a_field_in_place():
    solve = torch.compile(
        lambda y: decay("heun", in_place, y, options={"n_steps": 2}),
        backend="aot_eager",
        fullgraph=True,
    )
    y0 = torch.ones(2)
    expected = decay("heun", lambda t, y: -y, options={"n_steps": 2})
    torch.testing.assert_close(solve(y0), expected, rtol=1e-6, atol=0)
    assert torch.equal(y0, torch.ones(2))
