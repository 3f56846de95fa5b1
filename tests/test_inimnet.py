"""InImNet against matrix exponentials, whole Jacobians, autograd and residual nets."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from odenets import solvers
from odenets.data.video import rotating_digits
from odenets.nets import inimnet
from odenets.studies import imbedding_cost
from odenets.studies import video as study

torch64 = torch.float64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch64)


def curved_fields(depth: int, dim: int = 3, size: float = 1.0, seed: int = 0) -> list:
    """phi(x) = size * V tanh(W x + b), a new one per layer."""
    fields = []
    for layer in range(depth):
        W, V = draw(dim, dim, seed=seed + layer), draw(dim, dim, seed=seed + 50 + layer)
        b = draw(dim, seed=seed + 90 + layer)
        fields.append(lambda x, W=W, V=V, b=b: size * torch.tanh(x @ W + b) @ V)
    return fields


def affine_fields(depth: int, dim: int = 3) -> list:
    pairs = [(draw(dim, dim, seed=i), draw(dim, seed=60 + i)) for i in range(depth)]
    return [lambda x, A=A, b=b: x @ A + b for A, b in pairs]


def order(errors, sizes) -> float:
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


# ------------------------------------------------------------------ the recursion


def test_no_layers_is_the_identity():
    x = draw(4, 3)
    for forward in inimnet.VARIANTS.values():
        (z,) = forward([], x)
        torch.testing.assert_close(z, x)


def test_first_two_layers_by_hand():
    phi1, phi2 = curved_fields(2)
    x = draw(5, 3, seed=9)
    z = inimnet.inimnet_forward([phi1, phi2], x)
    slope = torch.stack(
        [
            torch.func.jacfwd(lambda row: phi1(row[None])[0])(row) @ phi2(row[None])[0]
            for row in x
        ]
    )
    torch.testing.assert_close(z[1], x + phi1(x))
    torch.testing.assert_close(z[2], x + phi1(x) + phi2(x) + slope)


def test_exact_recursion_agrees_with_whole_jacobians():
    phis, x = curved_fields(4), draw(6, 3, seed=8)
    exact = inimnet.inimnet_forward(phis, x)
    whole = inimnet.inimnet_forward_jacobian(phis, x)
    assert len(exact) == 5
    for one, other in zip(exact, whole):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_jacobian_of_the_recursion_by_jacrev():
    """z_{l+1} - z_l is J_l phi_{l+1}, with J_l from a Jacobian of the shallower net."""
    phis, x = curved_fields(4), draw(1, 3, seed=8)
    z = inimnet.inimnet_forward(phis, x)
    for layer, phi in enumerate(phis):
        jacobian = torch.func.jacrev(
            lambda row, layer=layer: inimnet.inimnet_forward(phis[:layer], row[None])[
                -1
            ][0]
        )(x[0])
        expected = z[layer][0] + jacobian @ phi(x)[0]
        torch.testing.assert_close(z[layer + 1][0], expected, rtol=0, atol=1e-10)


def test_affine_layers_give_the_residual_network():
    phis, x = affine_fields(5), draw(7, 3, seed=8)
    ours = inimnet.inimnet_forward(phis, x)
    nets = inimnet.resnet_forward_from(phis, x)
    for one, other in zip(ours, nets):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_residual_network_reads_the_deepest_layer_first():
    phi1, phi2 = curved_fields(2)
    x = draw(4, 3, seed=5)
    first = x + phi2(x)
    expected = first + phi1(first)
    torch.testing.assert_close(
        inimnet.resnet_forward_from([phi1, phi2], x)[2], expected
    )


def test_curved_layers_agree_with_the_residual_network_to_second_order():
    sizes, x = [0.1, 0.05, 0.025, 0.0125], draw(6, 3, seed=8)
    errors = []
    for size in sizes:
        phis = curved_fields(3, size=size)
        one = inimnet.inimnet_forward(phis, x)[-1]
        errors.append((one - inimnet.resnet_forward_from(phis, x)[-1]).abs().max())
    assert 2.8 < order(errors, sizes) < 3.2


def test_approximate_jacobian_is_the_sum_of_the_layers_jacobians():
    phis, x = curved_fields(4), draw(5, 3, seed=8)
    z = inimnet.inimnet_forward_approximate(phis, x)
    jacobian = torch.eye(3, dtype=torch64).expand(5, 3, 3)
    expected = x
    for layer, phi in enumerate(phis):
        expected = expected + torch.einsum("sij,sj->si", jacobian, phi(x))
        torch.testing.assert_close(z[layer + 1], expected)
        rows = torch.func.vmap(torch.func.jacrev(lambda r, phi=phi: phi(r[None])[0]))
        jacobian = jacobian + rows(x)


def test_approximate_jacobian_errs_in_the_third_order():
    sizes, x = [0.1, 0.05, 0.025, 0.0125], draw(6, 3, seed=8)
    errors = []
    for size in sizes:
        phis = curved_fields(4, size=size)
        one = inimnet.inimnet_forward(phis, x)
        other = inimnet.inimnet_forward_approximate(phis, x)
        torch.testing.assert_close(one[2], other[2])
        errors.append((one[-1] - other[-1]).abs().max())
    assert 2.8 < order(errors, sizes) < 3.2


def test_coupled_layers_are_a_polynomial_in_the_depth():
    """(1 + V)^l = sum_k binomial(l, k) V^k: differences of order L + 1 need V^(L+1)."""
    (phi,) = curved_fields(1, size=0.3)
    x = draw(4, 3, seed=8)
    z = inimnet.inimnet_forward([phi] * 4, x)

    def power(k, x):
        if k == 0:
            return x
        return torch.func.jvp(lambda x: power(k - 1, x), (x,), (phi(x),))[1]

    terms = [power(k, x) for k in range(5)]
    for layer in range(5):
        expected = sum(math.comb(layer, k) * terms[k] for k in range(layer + 1))
        torch.testing.assert_close(z[layer], expected)


def test_every_sample_stands_for_itself():
    phis, x = curved_fields(3), draw(6, 3, seed=8)
    together = torch.stack(inimnet.inimnet_forward(phis, x))
    alone = torch.cat(
        [torch.stack(inimnet.inimnet_forward(phis, row[None])) for row in x], dim=1
    )
    torch.testing.assert_close(together, alone)


def test_in_parts_agrees_with_nested_products():
    torch.manual_seed(0)
    dense = [inimnet.DenseField(4, 5, 3, gain=1.0).double() for _ in range(4)]
    x = draw(6, 4, seed=8)
    around = [
        inimnet.OnCircle(inimnet.DenseField(5, 7, gain=1.0).double(), 1.3)
        for _ in range(4)
    ]
    conv = [inimnet.ConvField(2, 3, gain=1.0).double() for _ in range(3)]
    straight = [
        inimnet.DenseField(4, 5, 3, gain=1.0, activation="relu").double()
        for _ in range(4)
    ]
    far = [inimnet.HourglassField(2, 3, gain=1.0).double() for _ in range(3)]
    mixed = [dense[0], lambda x: torch.sin(x) * x.flip(-1), dense[1], torch.tanh]
    for phis, y in (
        (dense, x),
        (around, x),
        (mixed, x),
        (conv, draw(2, 2, 5, 4, seed=3)),
        (straight, x),
        (far, draw(2, 2, 8, 4, seed=3)),
    ):
        nested = inimnet.inimnet_forward(phis, y)
        for one, other in zip(inimnet.inimnet_forward_parts(phis, y), nested):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_gradients_in_parts_agree_too():
    torch.manual_seed(0)
    phis = [inimnet.DenseField(4, 5, gain=1.0).double() for _ in range(3)]
    params = [p for phi in phis for p in phi.parameters()]
    x = draw(6, 4, seed=8)
    one, other = (
        torch.autograd.grad(forward(phis, x)[-1].square().sum(), params)
        for forward in (inimnet.inimnet_forward, inimnet.inimnet_forward_parts)
    )
    for a, b in zip(one, other):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_phi_is_evaluated_once_per_layer():
    calls = []

    def counted(phi):
        return lambda x: (calls.append(1), phi(x))[1]

    phis = [counted(phi) for phi in curved_fields(5)]
    inimnet.inimnet_forward(phis, draw(2, 3))
    assert len(calls) == 5


# ------------------------------------------------------------------ the adjoint


def loss(x):
    return torch.sin(x).sum(dim=-1) + x.pow(2).sum(dim=-1) * x[..., 0]


def loss_grad(x):
    return torch.func.grad(lambda x: loss(x).sum())(x)


def test_adjoint_is_the_gradient_of_the_transported_loss():
    phis, x = curved_fields(4, size=0.5), draw(5, 3, seed=7).requires_grad_()
    adjoint = inimnet.inimnet_adjoint(phis, x, loss_grad)
    for Lambda, E in zip(adjoint, inimnet.transported_loss(phis, x, loss)):
        (expected,) = torch.autograd.grad(E.sum(), x, retain_graph=True)
        torch.testing.assert_close(Lambda, expected, rtol=0, atol=1e-10)


def test_adjoint_of_linear_layers_multiplies_transposed_matrices():
    matrices = [draw(3, 3, seed=i) for i in range(4)]
    phis = [lambda x, A=A: x @ A for A in matrices]
    weights = draw(3, seed=77)
    adjoint = inimnet.inimnet_adjoint(phis, draw(5, 3), lambda x: weights.expand_as(x))
    expected = weights
    for Lambda, A in zip(adjoint[1:], matrices):
        expected = expected + A @ expected  # a row y is mapped to y + y A
        torch.testing.assert_close(Lambda, expected.expand(5, 3))


def test_parameter_gradient_is_exact_for_the_transported_loss():
    torch.manual_seed(0)
    phis = [inimnet.DenseField(3, 5, gain=1.0).double() for _ in range(4)]
    x = draw(6, 3, seed=7)
    params = [*phis[-1].parameters(), torch.ones(2, requires_grad=True)]
    grads = inimnet.parameter_gradient(phis, params, x, loss_grad)
    E = inimnet.transported_loss(phis, x, loss)[-1].sum()
    expected = torch.autograd.grad(E, params, allow_unused=True)
    assert isinstance(grads, tuple) and len(grads) == len(params)
    for one, other in zip(grads[:-1], expected):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    assert torch.equal(grads[-1], torch.zeros(2))


def test_gradient_of_the_loss_itself_agrees_to_second_order():
    sizes, x, errors = [0.02, 0.01, 0.005], draw(6, 3, seed=7), []
    for size in sizes:
        phis = curved_fields(2, size=size)
        theta = torch.zeros(3, dtype=torch64, requires_grad=True)
        deepest = phis.pop()
        phis.append(
            lambda x, phi=deepest, size=size, theta=theta: phi(x) + size * theta
        )
        ours = inimnet.parameter_gradient(phis, [theta], x, loss_grad)[0]
        z = inimnet.inimnet_forward(phis, x)[-1]
        (exact,) = torch.autograd.grad(loss(z).sum(), theta)
        errors.append((ours - exact).abs().max())
    assert 1.8 < order(errors, sizes) < 2.2


def layers_of(coupled: bool, depth: int = 4, activation: str = "tanh") -> list:
    torch.manual_seed(1)
    fields = [
        inimnet.DenseField(3, 5, gain=1.0, activation=activation).double()
        for _ in range(1 if coupled else depth)
    ]
    return fields * depth if coupled else fields


def assert_same(ones, others, **tolerances):
    for one, other in zip(ones, others, strict=True):
        torch.testing.assert_close(one, other, **tolerances)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("coupled", [False, True])
def test_gradients_of_all_weights_at_all_depths(coupled, activation):
    phis, x = layers_of(coupled, activation=activation), draw(6, 3, seed=7)
    params = list(nn.ModuleList(phis).parameters())
    gradients = inimnet.parameter_gradients(phis, x, loss_grad)
    losses = inimnet.transported_loss(phis, x, loss)
    assert len(gradients) == len(losses) == 5
    assert all(not grad.any() for grad in gradients[0])
    for grads, E in zip(gradients[1:], losses[1:]):
        expected = torch.autograd.grad(
            E.sum(), params, retain_graph=True, materialize_grads=True
        )
        assert_same(grads, expected, rtol=1e-9, atol=1e-9)


def test_gradients_of_all_weights_agree_with_finite_differences():
    phis, x = layers_of(coupled=True, depth=3), draw(4, 3, seed=7)
    gradients = inimnet.parameter_gradients(phis, x, loss_grad)[3]
    h = 1e-5
    for weights, grads in zip(phis[0].parameters(), gradients, strict=True):
        flat, ends = weights.data.view(-1), []
        for sign in (1, -2, 1):
            flat[1] += sign * h
            ends.append(inimnet.transported_loss(phis, x, loss)[3].sum().item())
        slope = (ends[0] - ends[1]) / (2 * h)
        assert grads.reshape(-1)[1].item() == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("coupled", [False, True])
def test_a_constant_gradient_gives_that_of_a_loss_of_the_output(coupled):
    phis, x = layers_of(coupled), draw(6, 3, seed=7)
    z = inimnet.inimnet_forward(phis, x)
    for depth in (1, 3, 4):
        v = loss_grad(z[depth]).detach()
        grads = inimnet.parameter_gradients(phis, x, lambda x, v=v: v)[depth]
        expected = torch.autograd.grad(
            loss(z[depth]).sum(),
            list(nn.ModuleList(phis).parameters()),
            retain_graph=True,
            materialize_grads=True,
        )
        assert_same(grads, expected, rtol=1e-9, atol=1e-9)


def test_gradients_agree_with_those_of_the_deepest_layer_alone():
    phis, x = layers_of(coupled=False), draw(6, 3, seed=7)
    deepest = inimnet.parameter_gradient(phis, phis[-1].parameters(), x, loss_grad)
    assert_same(inimnet.parameter_gradients(phis, x, loss_grad)[-1][-4:], deepest)


# ------------------------------------------------------------------ continuous depth

A = torch.tensor([[-0.2, 0.9, 0.0], [-0.7, 0.1, 0.4], [0.3, -0.2, -0.5]], dtype=torch64)


def linear(p, x):
    return x @ A.T


def curved(p, x):
    return torch.sin(x) * (1 + p) / 2 + torch.roll(x, 1, dims=-1) * p / 2


@pytest.mark.parametrize(
    "method, steps",
    [("euler", (1, 2, 4)), ("midpoint", (1, 2)), ("heun", (1, 2))]
    + [(name, (1, 2)) for name in ("bosh3", "rk4", "rk4_38")],
)
def test_imbedding_converges_to_the_matrix_exponential(method, steps):
    x, p = draw(4, 3, seed=6), [0.6, 0.0]
    expected = x @ torch.matrix_exp(0.6 * A).T
    errors = []
    for n in steps:
        z = inimnet.imbed(linear, x, p, method, n)
        torch.testing.assert_close(z[0], x)
        errors.append((z[-1] - expected).abs().max())
    wanted = solvers.TABLEAUS[method].order
    assert wanted - 0.35 < -order(errors, steps) < wanted + 0.6


@pytest.mark.parametrize(
    "method, steps", [("euler", (2, 4, 6)), ("midpoint", (1, 2)), ("heun", (1, 2))]
)
def test_imbedding_of_a_field_that_depends_on_the_depth(method, steps):
    x = draw(4, 3, seed=6)
    t = torch.tensor([0.3, 0.9], dtype=torch64)
    expected = solvers.odeint(curved, x, t, method="dopri5", rtol=1e-11, atol=1e-12)[-1]
    errors = [
        (inimnet.imbed(curved, x, [0.9, 0.3], method, n)[-1] - expected).abs().max()
        for n in steps
    ]
    wanted = solvers.TABLEAUS[method].order
    assert wanted - 0.5 < -order(errors, steps) < wanted + 1.2


def test_all_depths_of_one_sweep():
    x, p = draw(4, 3, seed=6), [0.5, 0.25, 0.0]
    z = inimnet.imbed(linear, x, p, "heun", 2)
    assert z.shape == (3, 4, 3)
    torch.testing.assert_close(z[1], inimnet.imbed(linear, x, p[:2], "heun", 2)[-1])


def test_imbedding_also_rises_in_p():
    x = draw(4, 3, seed=6)
    z = inimnet.imbed(linear, x, [0.0, 0.3], "rk4", 2)[-1]
    torch.testing.assert_close(
        z, x @ torch.matrix_exp(-0.3 * A).T, atol=1e-5, rtol=1e-5
    )


def test_euler_in_p_with_unit_steps_is_the_discrete_network():
    phis, x = curved_fields(4, size=0.3), draw(5, 3, seed=6)

    def field(p, x):  # the layer phi_{l+1} acts from p = q - l down to q - l - 1
        return phis[round(4 - float(p))](x)

    z = inimnet.imbed(field, x, [4.0, 3.0, 2.0, 1.0, 0.0], "euler")
    torch.testing.assert_close(z, torch.stack(inimnet.inimnet_forward(phis, x)))


def test_imbedding_refuses_what_would_not_end():
    with pytest.raises(ValueError, match="stages"):
        inimnet.imbed(linear, draw(2, 3), [1.0, 0.0], "rk4", 8)


def test_transport_residual_vanishes_for_solutions_only():
    x = draw(5, 3, seed=6)

    def solution(p, x):
        return x @ torch.matrix_exp((1.0 - p) * A).T

    def other(p, x):
        return x @ torch.matrix_exp((1.0 + p) * A).T

    residuals = [
        inimnet.transport_residual(solution, linear, 0.4, x, dp).abs().max()
        for dp in (0.1, 0.05, 0.025)
    ]
    assert 1.9 < order(residuals, [0.1, 0.05, 0.025]) < 2.1
    assert residuals[-1] < 1e-3
    assert inimnet.transport_residual(other, linear, 0.4, x, 1e-3).abs().max() > 0.1


def test_projectile_is_an_affine_field_solved_exactly_in_two_layers_of_order_two():
    fall = inimnet.projectile_field(9.81)
    x = torch.tensor([[0.0, 12.0], [0.0, 7.0]], dtype=torch64)
    z = inimnet.imbed(fall, x, [1.0, 0.4], "heun")[-1]
    expected = inimnet.projectile(0.4, 1.0, x[:, 1], 9.81)
    torch.testing.assert_close(z[:, 0], expected)
    # Euler with n steps of size h is too high by exactly g T h / 2.
    z = inimnet.imbed(fall, x, [1.0, 0.4], "euler", 6)[-1]
    torch.testing.assert_close(z[:, 0], expected + 9.81 * 0.6 * 0.1 / 2)


class Swirl(nn.Module):
    """A field with weights, which depends on the depth."""

    def __init__(self, dim: int = 3):
        super().__init__()
        torch.manual_seed(3)
        self.phi = inimnet.DenseField(dim, 5, gain=1.0)
        self.double()

    def forward(self, p, x):
        return (1 + p) * self.phi(x.flatten(1)).view_as(x)


@pytest.mark.parametrize(
    "method, p, n",
    [
        ("euler", [0.9, 0.4, 0.1], 2),
        ("heun", [0.8, 0.5, 0.3], 1),
        ("rk4", [0.7, 0.2], 1),
    ],
)
def test_imbedded_gradients_are_those_of_the_imbedded_loss(method, p, n):
    """E is imbedded, too: as the function x -> loss(x), carried along by the field."""
    field, x = Swirl(), draw(5, 3, seed=6).requires_grad_()
    Lambda, grads = inimnet.imbed_adjoint(field, x, p, loss_grad, method, n)
    carried = inimnet._transport(field, lambda x: (loss(x),), None, x, p, method, n)
    assert len(carried) == len(grads) == len(p)
    params = list(field.parameters())
    for depth, (E,) in enumerate(carried):
        to_x, *to_params = torch.autograd.grad(
            E.sum(), [x, *params], retain_graph=True, materialize_grads=True
        )
        torch.testing.assert_close(Lambda[depth], to_x)
        assert_same(grads[depth], to_params)
    assert not Lambda.requires_grad


@pytest.mark.parametrize("method, n", [("heun", 2), ("rk4", 1)])
def test_imbedded_gradients_of_a_loss_of_the_output(method, n):
    field, x, p = Swirl(), draw(5, 3, seed=6), [0.9, 0.5]
    z = inimnet.imbed(field, x, p, method, n)[-1]
    v = loss_grad(z).detach()
    _, grads = inimnet.imbed_adjoint(field, x, p, lambda x: v, method, n)
    expected = torch.autograd.grad(loss(z).sum(), list(field.parameters()))
    assert_same(grads[-1], expected)


def test_imbedded_gradients_of_a_loss_of_all_depths():
    field, x, p = Swirl(), draw(2, 1, 3, seed=6).requires_grad_(), [1.0, 0.7, 0.1]
    ours = inimnet.imbed_gradients(field, x, p, total, "heun", 1)
    expected = total(inimnet.imbed(field, x, p, "heun", 1))
    to_x, *to_params = torch.autograd.grad(expected, [x, *field.parameters()])
    torch.testing.assert_close(ours[0], expected.detach())
    torch.testing.assert_close(ours[1], to_x)
    assert_same(ours[2], to_params)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 1, 1), (2, 1, 3)])
@pytest.mark.parametrize("method", ["dopri5", "bosh3", "rk4", "midpoint"])
def test_continuous_network_solves_every_depth(method, shape):
    """Each depth by itself, started at its own p."""
    field, x, p = Swirl(), draw(*shape, seed=6), [1.1, 0.8, 0.2, -0.3]
    exact = method in ("dopri5", "bosh3")
    options = None if exact else {"n_steps": 40}
    net = inimnet.ContinuousInImNet(field, p, method, 1e-9, 1e-9, options)
    z = net(x)
    assert z.shape == (4, *shape)
    assert torch.equal(z[0], x)
    for start, depth in zip(p[1:], z[1:]):
        expected = solvers.solve(field, x, start, p[0], rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(
            depth, expected, rtol=0, atol=1e-7 if exact else 1e-3
        )


def test_continuous_network_solves_the_transport_equation():
    field, x = Swirl(), draw(4, 3, seed=6)

    def z(p, x):
        net = inimnet.ContinuousInImNet(
            field, [1.0, float(p)], "rk4", options={"n_steps": 30}
        )
        return net(x)[-1]

    assert inimnet.transport_residual(z, field, 0.4, x, 1e-3).abs().max() < 1e-5


def total(z):
    """A loss that looks at all depths in different ways."""
    weights = torch.arange(1, len(z) + 1, dtype=z.dtype)
    return (weights * (loss(z.flatten(2)).mean(dim=1))).sum()


@pytest.mark.parametrize("shape", [(4, 3), (2, 1, 3)])
def test_sweep_of_the_continuous_network_against_autograd(shape):
    field = Swirl()
    x = draw(*shape, seed=6).requires_grad_()
    net = inimnet.ContinuousInImNet(field, [1.0, 0.7, 0.1], rtol=1e-10, atol=1e-10)
    value, to_x, grads = net.gradients(x.detach(), total)
    expected = total(net(x))
    torch.testing.assert_close(value, expected.detach())
    other, *others = torch.autograd.grad(expected, [x, *field.parameters()])
    torch.testing.assert_close(to_x, other, rtol=1e-6, atol=1e-6)
    assert_same(grads, others, rtol=1e-6, atol=1e-6)


def test_sweep_of_the_continuous_network_against_finite_differences():
    field, x, h = Swirl(), draw(4, 3, seed=6), 1e-5
    net = inimnet.ContinuousInImNet(field, [1.0, 0.7, 0.1], rtol=1e-11, atol=1e-12)
    _, to_x, grads = net.gradients(x, total)
    with torch.no_grad():
        for weights, grad in zip((x, *field.parameters()), (to_x, *grads), strict=True):
            flat, ends = weights.data.view(-1), []
            for sign in (1, -2, 1):
                flat[2] += sign * h
                ends.append(total(net(x)).item())
            slope = (ends[0] - ends[1]) / (2 * h)
            assert grad.reshape(-1)[2].item() == pytest.approx(slope, rel=1e-5)


def test_continuous_network_wants_falling_depths():
    with pytest.raises(ValueError, match="fall"):
        inimnet.ContinuousInImNet(Swirl(), [0.0, 0.5, 1.0])


# ------------------------------------------------------------------ networks


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("variant", ["exact", "approximate"])
def test_latent_network_shapes_and_gradients(coupled, variant):
    torch.manual_seed(0)
    model = inimnet.LatentInImNet(4, 9, 3, coupled=coupled, variant=variant)
    x, t = torch.randn(5, 4), torch.rand(5)
    z = model(x, t)
    assert z.shape == (4, 5, 4)
    torch.testing.assert_close(z[0], x)
    z[-1].square().sum().backward()
    assert all(
        p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters()
    )
    assert len(model.phis) == (1 if coupled else 3)


def test_latent_network_depends_on_time_from_depth_one_on():
    torch.manual_seed(0)
    model = inimnet.LatentInImNet(4, 9, 2)
    x = torch.randn(5, 4)
    early, late = model(x, torch.zeros(5)), model(x, torch.ones(5))
    assert torch.equal(early[0], late[0])
    assert ((early[1:] - late[1:]).abs().amax(dim=(1, 2)) > 1e-4).all()


def test_time_is_a_coordinate_that_is_differentiated_too():
    torch.manual_seed(0)
    model = inimnet.LatentInImNet(2, 5, 2).double()
    x, t = draw(3, 2), torch.rand(3, generator=seeded(), dtype=torch64)
    u = torch.cat([x, t[:, None]], dim=1)
    expected = inimnet.inimnet_forward_jacobian(list(model.phis), u)
    torch.testing.assert_close(model(x, t), torch.stack(expected)[..., :-1])


def test_on_a_circle_time_comes_back():
    torch.manual_seed(0)
    model = inimnet.LatentInImNet(3, 6, 3, period=0.8)
    x, t = torch.randn(5, 3), torch.rand(5)
    torch.testing.assert_close(model(x, t), model(x, t + 0.8), atol=1e-5, rtol=1e-5)
    assert (model(x, t) - model(x, t + 0.4)).abs().max() > 1e-3


def test_depth_is_an_argument():
    torch.manual_seed(0)
    model = inimnet.LatentInImNet(4, 9, 3, coupled=True)
    x, t = torch.randn(5, 4), torch.rand(5)
    deep = model(x, t, depth=6)
    assert deep.shape == (7, 5, 4)
    torch.testing.assert_close(deep[:4], model(x, t))
    torch.testing.assert_close(model(x, t, depth=1), deep[:2])
    torch.testing.assert_close(inimnet.extrapolate(model, x, t, 3), deep[4:])


def test_uncoupled_layers_do_not_go_deeper():
    model = inimnet.LatentInImNet(4, 9, 3)
    x, t = torch.randn(5, 4), torch.rand(5)
    with pytest.raises(ValueError, match="couple"):
        model(x, t, depth=4)
    with pytest.raises(ValueError, match="coupled"):
        inimnet.extrapolate(model, x, t, 1)


def test_convolutional_network():
    torch.manual_seed(0)
    model = inimnet.ConvInImNet(2, 3).double()
    x = draw(3, 2, 6, 5)
    z = model(x)
    assert z.shape == (4, 3, 2, 6, 5)
    flat = [
        lambda u, phi=phi: phi(u.view(-1, 2, 6, 5)).flatten(1) for phi in model.phis
    ]
    expected = torch.stack(inimnet.inimnet_forward(flat, x.flatten(1)))
    torch.testing.assert_close(z.flatten(2), expected)
    assert len(inimnet.ConvInImNet(1, 3, coupled=True).phis) == 1


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="activation"):
        inimnet.DenseField(2, 3, activation="wrong")


def test_film_without_a_code():
    torch.manual_seed(0)
    model = inimnet.ConvVideoInImNet(3, 2, hidden=4).double()
    films, t = draw(2, 3, 8, 8), torch.tensor([[0.1, 0.5, 0.9]]).expand(2, 3)
    frames = model(films, t.double())
    assert frames.shape == (3, 2, 3, 8, 8)
    torch.testing.assert_close(frames[0], films[:, -1:].expand(2, 3, 8, 8))
    # one frame of one film, by the recursion itself
    state = torch.cat([films[1:], torch.full((1, 1, 8, 8), t[1, 2].item())], dim=1)
    z = inimnet.inimnet_forward(list(model.imbedding.phis), state)
    torch.testing.assert_close(frames[:, 1, 2], torch.stack(z)[:, 0, 2])
    deepest = model(films, t.double(), deepest=True)
    torch.testing.assert_close(deepest, frames[-1:])


@pytest.mark.parametrize("coupled", [False, True])
def test_a_negative_depth_is_refused(coupled):
    net = inimnet.InImNet(lambda: nn.Linear(2, 2), 3, coupled)
    with pytest.raises(ValueError, match="depth is -1"):
        net(torch.ones(1, 2), depth=-1)


def test_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="variant"):
        inimnet.InImNet(lambda: nn.Linear(2, 2), 2, variant="wrong")


# ------------------------------------------------------------------ the video study

SMALL = study.Settings(
    latent_dim=3, width=6, depth=2, channels=8, batch=4, steps=6, decay=0.5
)


def small_videos(n: int = 8) -> torch.Tensor:
    return torch.rand(n, 16, 28, 28, generator=seeded())


def test_held_out_frame_is_really_held_out():
    task = study.TASKS["rotating"]
    torch.manual_seed(0)
    model = study.build(task, SMALL)
    videos = small_videos(5).requires_grad_()
    seen = torch.zeros(16)
    generator = seeded()
    for _ in range(6):
        frames = study.draw_frames(task, 5, generator)
        assert frames.shape == (5, 12)
        loss = study.training_loss(model, task, videos, frames)
        (grad,) = torch.autograd.grad(loss, videos)
        seen += grad.abs().sum(dim=(0, 2, 3))
    assert seen[task.held_out] == 0
    assert (seen[[k for k in range(16) if k != task.held_out]] > 0).all()


def test_context_comes_before_everything_that_is_predicted_of_balls():
    task = study.TASKS["balls"]
    frames = study.draw_frames(task, 50, seeded())
    assert frames.shape == (50, task.n_draw)
    assert frames.min() == 3 and frames.max() == 12
    assert all(len(set(row.tolist())) == task.n_draw for row in frames)
    assert task.scored == tuple(range(3, 13))


def test_deformed_digits_are_rotating_videos_again():
    rows = torch.linspace(-1, 1, 28)
    image = torch.exp(-8 * ((rows[:, None] - 0.2) ** 2 + 2 * (rows - 0.1) ** 2))
    videos = rotating_digits(image.expand(6, 28, 28), 16)
    settings = study.Settings(augment=0.05, tilt=0.5)
    deformed = study.deform_digits(videos, settings, seeded())
    changed = (deformed[:, 0] - videos[:, 0]).abs().amax(dim=(1, 2)) > 0.05
    assert changed.any() and not changed.all()
    expected = rotating_digits(deformed[:, 0], 16)
    assert (deformed - expected).abs().max() < 0.05
    torch.testing.assert_close(
        deformed[:, 4], torch.rot90(deformed[:, 0], dims=(1, 2)), atol=1e-5, rtol=0
    )


def test_turned_boxes_show_the_same_scene():
    videos = small_videos(40)
    turned = study.turn_boxes(videos, SMALL, seeded())
    assert turned.shape == videos.shape
    views = [v for base in (videos, videos.mT) for v in (base, base.flip(-1))]
    views += [v.flip(-2) for v in views]
    same = torch.stack([(v == turned).flatten(1).all(dim=1) for v in views])
    assert (same.sum(dim=0) == 1).all() and (same.sum(dim=1) > 0).all()


def test_errors_by_depth_and_frame():
    task = study.TASKS["rotating"]
    torch.manual_seed(0)
    model = study.build(task, SMALL)
    videos = small_videos(7)
    scores = study.errors(model, task, videos, [2, 4], batch=3)
    assert scores.shape == (3, 2)
    t = torch.tensor([[2 / 15, 4 / 15]]).expand(7, 2)
    expected = (model(videos[:, :1], t) - videos[:, [2, 4]]).square().mean((1, 3, 4))
    torch.testing.assert_close(scores.float(), expected)


def test_training_goes_on_from_a_checkpoint_bit_for_bit(tmp_path, monkeypatch):
    task, videos, path = study.TASKS["rotating"], small_videos(), tmp_path / "run.pt"
    whole = study.train(task, SMALL, videos)
    draw_frames, calls = study.draw_frames, []

    def power_cut(*args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return draw_frames(*args)

    monkeypatch.setattr(study, "draw_frames", power_cut)
    with pytest.raises(KeyboardInterrupt):
        study.train(task, SMALL, videos, checkpoint=path)
    assert len(torch.load(path, weights_only=True)["history"]) == 1  # two steps
    again = study.train(task, SMALL, videos, checkpoint=path)
    assert len(calls) == 4 + 4
    assert again.history == whole.history
    for one, other in zip(whole.model.parameters(), again.model.parameters()):
        assert torch.equal(one, other)


# ------------------------------------------------------------------ what gradients cost


def test_one_training_by_every_way_to_the_gradients():
    runs = {way: imbedding_cost.train(way, n_steps=10) for way in imbedding_cost.WAYS}
    one, *others = (run.gradient for run in runs.values())
    for other in others:
        assert (other - one).norm() < 1e-3 * one.norm()
    imbedded, again, paths, forwards = (run.losses for run in runs.values())
    # Float32: the ways are the same but for rounding, which training lets grow.
    assert imbedded == pytest.approx(again, rel=1e-2)
    assert paths == pytest.approx(forwards, rel=1e-2)
    assert all(run.losses[-1] < 0.9 * run.losses[0] for run in runs.values())
    kept, swept = list(runs.values())[2:]
    assert swept.kilobytes < kept.kilobytes / 2


def test_most_bytes_at_once():
    def run():
        x = torch.zeros(1000)  # 4000 bytes
        y = x + 1
        del x
        return y.sum()

    assert 8000 <= imbedding_cost.peak_bytes(run) < 8200
    assert imbedding_cost.bytes_held(run) < 100
