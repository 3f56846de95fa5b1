"""Iterated networks: against the equations, closed forms and dense matrices."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from odenets.nets import iterated

C = 3


def random_images(n: int = 4, size: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 1, size, size, generator=generator, dtype=torch.float64)


@pytest.fixture
def net() -> iterated.IteratedNet:
    torch.manual_seed(0)
    net = iterated.IteratedNet(C, image_size=6, hidden=16, n_classes=5)
    return net.double().eval()


def by_hand(net: iterated.IteratedNet, x: torch.Tensor, iterations: int):
    """The equations, written with functions only."""
    dense = [m for m in net.head.modules() if isinstance(m, nn.Linear)]
    a0 = a = F.relu(F.conv2d(x, net.lift.weight, net.lift.bias))
    for _ in range(iterations):
        a = F.relu(F.conv2d(a, net.recurrent.weight, net.recurrent.bias, padding=2))
        a = a + a0
    h = F.relu(a.flatten(1) @ dense[0].weight.T + dense[0].bias)
    return h @ dense[1].weight.T + dense[1].bias


@pytest.mark.parametrize("iterations", [0, 1, 2, 7])
def test_forward_is_the_recursion(net, iterations):
    x = random_images()
    torch.testing.assert_close(net(x, iterations), by_hand(net, x, iterations))


def test_one_net_serves_every_number_of_iterations(net):
    x = random_images()
    first = net(x, 3)
    assert not torch.allclose(net(x, 4), first)
    torch.testing.assert_close(net(x, 3), first, rtol=0, atol=0)


def test_negative_iterations_and_even_kernels_are_refused(net):
    with pytest.raises(ValueError, match="negative"):
        net(random_images(), -1)
    with pytest.raises(ValueError, match="odd"):
        iterated.IteratedNet(2, kernel_size=4)
    with pytest.raises(ValueError, match="negative"):
        iterated.untie(net, -1)


def test_a_step_is_an_euler_step_of_an_autonomous_field(net):
    a0, a1, a2 = net.features(random_images(), 2)
    field = F.relu(net.recurrent(a1)) + a0 - a1
    torch.testing.assert_close(a2, a1 + 1.0 * field)
    torch.testing.assert_close(net.step(a1, a0), a2)


def test_dropout_acts_in_train_mode_with_rate_04():
    torch.manual_seed(0)
    net = iterated.IteratedNet(1, image_size=2, hidden=1000, n_classes=1)
    dense = [m for m in net.head.modules() if isinstance(m, nn.Linear)]
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        dense[0].bias.fill_(1.0)
        dense[1].weight.fill_(1e-3)
    out = net(torch.zeros(2000, 1, 2, 2), 1)
    assert 5.5e-4 < out.var().item() < 7.8e-4  # p / (1 - p) / hidden = 6.7e-4
    assert net.eval()(torch.zeros(1, 1, 2, 2), 1).item() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("channels", "total"),
    [(1, 814_118), (2, 1_617_012), (5, 4_025_994), (10, 8_041_964), (20, 16_077_654)],
)
def test_parameter_budget_is_the_originals(channels, total):
    with torch.device("meta"):
        budget = iterated.parameter_budget(iterated.IteratedNet(channels))
    assert budget["lift"] == 2 * channels
    assert budget["recurrent"] == 25 * channels**2 + channels
    assert budget["total"] == total
    assert budget["lift"] + budget["recurrent"] + budget["head"] == total


def test_the_baseline_has_the_originals_size():
    with torch.device("meta"):
        assert iterated.count(iterated.cnn()) == 3_274_634


@pytest.mark.parametrize("build", [iterated.cnn, iterated.DenseIteratedNet])
def test_of_equal_size_is_the_largest_that_fits(build):
    budget = 4_025_994
    with torch.device("meta"):
        net = iterated.of_equal_size(build, budget)
        dense = [m.out_features for m in net.modules() if isinstance(m, nn.Linear)]
        width = dense[0]
        assert iterated.count(build(width)) == iterated.count(net) <= budget
        assert iterated.count(build(width + 1)) > budget
    assert iterated.count(net) > 0.998 * budget


def test_of_equal_size_refuses_the_impossible():
    with pytest.raises(ValueError, match="width 1"):
        iterated.of_equal_size(iterated.mlp, 10)


# ---------------------------------------------------------------------- untying


def test_untied_net_has_the_same_function_and_weights_of_its_own(net):
    x, untied = random_images(), iterated.untie(net, 4)
    for k in range(5):
        torch.testing.assert_close(untied(x, k), net(x, k), rtol=0, atol=0)
    own = {p.data_ptr() for p in untied.parameters()}
    assert len(own) == len(list(untied.parameters()))
    assert not own & {p.data_ptr() for p in net.parameters()}
    extra = iterated.count(untied) - iterated.count(net)
    assert extra == 3 * iterated.parameter_budget(net)["recurrent"]
    with pytest.raises(ValueError, match="4 layers"):
        untied(x, 5)


def test_untied_net_keeps_the_mode_and_leaves_the_model(net):
    before = copy.deepcopy(net.state_dict())
    untied = iterated.untie(net, 2)
    assert not any(module.training for module in [untied, untied.head])
    with torch.no_grad():
        for p in untied.parameters():
            p.add_(1.0)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_tied_gradient_is_the_sum_over_the_untied_layers(net):
    """Backpropagation through time."""
    x, untied = random_images(), iterated.untie(net, 3)
    net(x, 3).square().sum().backward()
    untied(x, 3).square().sum().backward()
    for name in ("weight", "bias"):
        parts = [getattr(layer, name).grad for layer in untied.layers]
        assert not torch.allclose(parts[0], parts[1])
        total = getattr(net.recurrent, name).grad
        torch.testing.assert_close(sum(parts), total)


def test_the_fully_connected_version_is_its_recursion():
    torch.manual_seed(0)
    net = iterated.DenseIteratedNet(7, image_size=6, hidden=8).double().eval()
    x = random_images()
    a0 = a = F.relu(x.flatten(1) @ net.lift[1].weight.T + net.lift[1].bias)
    for _ in range(3):
        a = F.relu(a @ net.recurrent.weight.T + net.recurrent.bias) + a0
    torch.testing.assert_close(net(x, 3), net.head(a))
    untied = iterated.untie(net, 3)
    torch.testing.assert_close(untied(x, 3), net(x, 3))


# ----------------------------------------------------------- fixed points and norms


def test_fixed_point_of_an_affine_contraction():
    generator = torch.Generator().manual_seed(2)
    A = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    A = 0.6 * A / torch.linalg.matrix_norm(A, 2)
    c = torch.randn(5, generator=generator, dtype=torch.float64)
    a, residuals = iterated.fixed_point(lambda a: A @ a + c, c, 1e-12, 200)
    exact = torch.linalg.solve(torch.eye(5, dtype=torch.float64) - A, c)
    torch.testing.assert_close(a, exact)
    assert residuals[-1] <= 1e-12 < residuals[-2]


def test_residuals_are_relative_to_the_current_iterate():
    one = torch.ones(1, dtype=torch.float64)
    a, residuals = iterated.fixed_point(lambda a: 0.5 * a + 1, one, 1e-3, 3)
    # 1, 1.5, 1.75, 1.875
    assert residuals == pytest.approx([0.5 / 1, 0.25 / 1.5, 0.125 / 1.75])
    assert a.item() == 1.875
    assert one.item() == 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "step",
    [
        lambda a: 2 * a + 1,
        lambda a: -3 * a + 1,
        lambda a: a * 1e30,
        lambda a: (a + 2).square(),
        lambda a: a / 0,
    ],
)
def test_a_diverging_map_is_refused(step, dtype):
    with pytest.raises(ValueError, match="diverges"):
        iterated.fixed_point(step, torch.ones(3, dtype=dtype), 1e-6, 2000)


def test_transient_growth_and_rotation_are_not_divergence():
    A = torch.tensor([[0.5, 20.0], [0.0, 0.5]], dtype=torch.float64)
    c = torch.tensor([0.0, 1.0], dtype=torch.float64)
    a, residuals = iterated.fixed_point(lambda a: A @ a + c, c, 1e-10, 200)
    assert max(residuals) > 1
    torch.testing.assert_close(a, A @ a + c, rtol=1e-8, atol=0)
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    _, residuals = iterated.fixed_point(lambda a: turn @ a, c, 1e-10, 50)
    assert len(residuals) == 50


def test_fixed_point_at_its_edges():
    zero = torch.zeros(2)
    a, residuals = iterated.fixed_point(lambda a: 0.5 * a, zero, 1e-6, 9)
    assert residuals == [0.0] and torch.equal(a, zero)
    a, _ = iterated.fixed_point(lambda a: 0.5 * a + 1, zero, 1e-6, 99)
    torch.testing.assert_close(a, torch.full((2,), 2.0), rtol=1e-5, atol=0)
    a, residuals = iterated.fixed_point(lambda a: a + 1, zero, 1e-6, 0)
    assert residuals == [] and torch.equal(a, zero)


def test_the_fixed_point_carries_gradients():
    slope = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    start = torch.zeros((), dtype=torch.float64)
    a, _ = iterated.fixed_point(lambda a: slope * a + 1, start, 1e-14, 200)
    a.backward()
    assert slope.grad.item() == pytest.approx(4.0)  # 1 / (1 - slope)^2


def test_operator_norm_is_the_largest_singular_value():
    torch.manual_seed(3)
    conv = nn.Conv2d(2, 2, 5, padding=2).double()
    identity = torch.eye(2 * 36, dtype=torch.float64).view(-1, 2, 6, 6)
    matrix = (conv(identity) - conv(torch.zeros_like(identity))).flatten(1)
    exact = torch.linalg.matrix_norm(matrix, 2).item()
    assert iterated.operator_norm(conv, 6, 300) == pytest.approx(exact, rel=1e-4)
    nn.init.zeros_(conv.weight)
    assert iterated.operator_norm(conv, 6) == 0.0


def test_a_net_with_norm_below_one_has_one_fixed_point(net):
    with torch.no_grad():
        net.recurrent.weight.mul_(0.8 / iterated.operator_norm(net.recurrent, 6))
    a0 = net.start(random_images())
    z, residuals = iterated.fixed_point(lambda a: net.step(a, a0), a0, 1e-13, 500)
    other, _ = iterated.fixed_point(lambda a: net.step(a, a0), 9 * a0 + 5, 1e-13, 500)
    torch.testing.assert_close(z, other)
    *_, many = net.features(random_images(), 300)
    torch.testing.assert_close(z, many)
    assert len(residuals) < 200
