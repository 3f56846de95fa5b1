"""Continuous-in-depth networks against their definition."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
import torch
from torch import nn

from odenets import training
from odenets.nets import continuous
from odenets.nets.continuous import (
    ContinuousNet,
    ResNet,
    WideContinuousNet,
    WideResNet,
    cell_index,
)
from odenets.solvers import TABLEAUS

torch.set_num_threads(1)


def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


def small(n_cells=2, scheme="euler", seed=0, **kwargs):
    training.set_seed(seed)
    settings = {"alpha": 4, "in_channels": 1} | kwargs
    return ContinuousNet(n_cells, scheme, **settings)


def lived_in(net, seed=0):
    """Give batch norms statistics and weights that are not those of the start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                n = module.num_features
                module.running_mean.copy_(0.3 * torch.randn(n, generator=generator))
                module.running_var.copy_(0.5 + torch.rand(n, generator=generator))
                module.weight.copy_(0.5 + torch.rand(n, generator=generator))
                module.bias.copy_(0.3 * torch.randn(n, generator=generator))
    return net.eval()


IMAGES = torch.randn(5, 1, 12, 12, generator=torch.Generator().manual_seed(1))


# ----------------------------------------------------------------------- the counts


@pytest.mark.parametrize(
    "n_cells, count",
    [(1, 175_770), (2, 273_210), (4, 468_090), (8, 857_850), (16, 1_637_370)],
)
def test_parameters_of_the_continuous_net(n_cells, count):
    assert n_parameters(ContinuousNet(n_cells)) == count == 78_330 + 97_440 * n_cells
    skip = ContinuousNet(n_cells, skip_init=True)
    assert n_parameters(skip) == count + 3 * n_cells + 3


def test_parameters_of_the_others():
    assert n_parameters(WideContinuousNet(8, n_classes=100)) == 13_630_676
    assert n_parameters(ResNet(20)) == 272_474
    assert n_parameters(ResNet(56)) == 855_770
    assert n_parameters(WideResNet()) == 13_631_108
    with pytest.raises(ValueError, match=r"6 n \+ 2"):
        ResNet(52)
    with pytest.raises(ValueError, match=r"6 n \+ 4"):
        WideResNet(56)


def test_a_wide_net_by_hand():
    """No norm works in eval mode, all kernels but the centre are zero: per pixel."""
    net = WideResNet(10, n_classes=2, in_channels=1, alpha=1, widen=1).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.fill_((1 + module.eps) ** 0.5)
            if isinstance(module, nn.Conv2d):
                middle = module.kernel_size[0] // 2
                module.weight[:, :, middle, middle] = 1.0
                module.bias.fill_(1.0)
        net.head[-1].weight[0] = 1.0
        # Stem 3; x -> 1 + x + relu-conv twice; the first block keeps its channel.
        x = 2.0 + 1.0
        x = x + (x + 2)  # one channel in, one out: no shortcut
        x = (x + 1) + 2 * (x + 1) + 1  # two channels from one, each from both
        x = (2 * x + 1) + 4 * (2 * x + 1) + 1
        expected = torch.tensor([[4 * x, 0.0]])
    scores = net(torch.full((1, 1, 8, 8), 2.0))
    torch.testing.assert_close(scores, expected)


# ------------------------------------------------------------------------ the cells


def test_cell_index_on_exact_fractions():
    nodes = [Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(2, 3), Fraction(1)]
    for n_cells in range(1, 33):
        for n_steps in range(1, 40):
            for step in range(n_steps):
                for c in nodes:
                    time = (step + c) / Fraction(n_steps)
                    got = cell_index(step, n_steps, n_cells, float(c))
                    left = Fraction(got, n_cells)
                    right = Fraction(got + 1, n_cells)
                    if c == 1:  # the limit from the left
                        assert left < time <= right
                    else:
                        assert left <= time < right


def test_aligned_steps_stay_in_their_cell():
    for n_cells in range(1, 65):
        for step in range(n_cells):
            for tableau in TABLEAUS.values():
                for c in tableau.c:
                    assert cell_index(step, n_cells, n_cells, c) == step


class Smooth(nn.Module):
    def __init__(self, generator):
        super().__init__()
        self.K = torch.randn(3, 3, generator=generator, dtype=torch.float64)

    def forward(self, y):
        return torch.tanh(y @ self.K)


def smooth_block(n_cells):
    """A block whose units are smooth, so that a high order can be seen."""
    block = continuous.ContinuousStage(1, n_cells, epsilon=2.0)
    generator = torch.Generator().manual_seed(3)
    block.cells = nn.ModuleList(Smooth(generator) for _ in range(n_cells))
    return block


@pytest.mark.parametrize(
    "scheme, order",
    [("euler", 1), ("midpoint", 2), ("heun", 2), ("rk4", 4), ("rk4_38", 4)],
)
@pytest.mark.parametrize("n_cells", [3, 4, 7])
def test_order_with_piecewise_constant_weights(scheme, order, n_cells):
    block = smooth_block(n_cells)
    y0 = torch.ones(2, 3, dtype=torch.float64)
    exact = block(y0, TABLEAUS["dopri5"], 64 * n_cells)
    errors = []
    for k in (4, 8, 16):
        y = block(y0, TABLEAUS[scheme], k * n_cells)
        errors.append((y - exact).norm().item())
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes[-1] == pytest.approx(order, abs=0.25)


def test_euler_with_one_step_per_cell_is_a_residual_network_bit_for_bit():
    for n_cells in (1, 3, 6, 7):
        net = lived_in(small(n_cells, preactivation=n_cells == 3))
        x = net.stem(IMAGES)
        for stitch, block in zip(net.stitches, net.blocks):
            x = stitch.shortcut(x) + stitch.unit(x)  # epsilon / n_cells = 1
            for cell in block.cells:
                x = x + cell(x)
        assert torch.equal(net(IMAGES), net.head(x))


@pytest.mark.parametrize("scheme", ["euler", "rk4"])
def test_every_cell_learns(scheme):
    net = small(3, scheme)
    net(IMAGES).square().sum().backward()
    for name, parameter in net.named_parameters():
        # A bias before a batch norm of mean values is felt through the ReLU.
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", ["plain", "preactivation", "no norm", "wide"])
@pytest.mark.parametrize("scheme", list(TABLEAUS))
def test_shapes_batches_and_inputs(kind, scheme):
    if kind == "wide":
        net = WideContinuousNet(2, widen=2, alpha=2, in_channels=1, scheme=scheme)
    else:
        net = small(
            2,
            scheme,
            preactivation=kind == "preactivation",
            batch_norm=kind != "no norm",
            n_classes=7,
        )
    net.eval()
    before = IMAGES.clone()
    scores = net(IMAGES)
    assert scores.shape == (5, 10 if kind == "wide" else 7)
    assert torch.equal(IMAGES, before) and torch.equal(net(IMAGES), scores)
    torch.testing.assert_close(net(IMAGES[:2]), scores[:2], rtol=1e-4, atol=1e-5)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert bool(norms) == (kind != "no norm")


def test_skip_init_starts_as_the_identity():
    net = small(3, "rk4", skip_init=True)
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(net.blocks[0](x, net.tableau(), 3), x)


def test_time_epsilon_scales_the_field():
    one, two = small(2), small(2, time_epsilon=1.0)
    assert one.blocks[0].epsilon == 2.0 and two.blocks[0].epsilon == 1.0
    assert one.stitches[0].epsilon == 1.0 and two.stitches[0].epsilon == 0.5
    two.load_state_dict(one.state_dict())
    one.eval(), two.eval()
    x = torch.randn(2, 4, 6, 6)
    field = one.blocks[0].cells[0]
    torch.testing.assert_close(one.blocks[0](x, TABLEAUS["euler"], 1), x + 2 * field(x))
    torch.testing.assert_close(two.blocks[0](x, TABLEAUS["euler"], 1), x + field(x))
    assert small(2, n_steps_per=3).n_steps == 6


def test_bad_settings():
    with pytest.raises(ValueError, match="rk4"):
        small(2, "runge")
    for wrong in ({"n_cells": 0}, {"n_steps_per": 0}, {"stages": 0}):
        with pytest.raises(ValueError, match="positive"):
            ContinuousNet(**wrong)
    net = small()
    net.scheme = "runge"
    with pytest.raises(ValueError, match="runge"):
        net(IMAGES)


def test_initial_kernels():
    net = ContinuousNet(8, alpha=32)
    kernels = [c[0].weight for c in net.blocks[2].cells]
    spread = torch.stack(kernels).std().item()
    assert spread == pytest.approx(math.sqrt(2 / (9 * 128)), rel=0.01)
    assert all(c[0].bias.abs().max() == 0 for c in net.blocks[2].cells)


# -------------------------------------------------------------------- refinement


def test_refine_copies_the_parents():
    theta = torch.randn(3, 2, 2)
    children = continuous.refine(theta)
    assert children.shape == (6, 2, 2)
    for k in range(6):
        assert torch.equal(children[k], theta[k // 2])


@pytest.mark.parametrize("kind", [{}, {"preactivation": True}, {"skip_init": True}])
@pytest.mark.parametrize("scheme", ["euler", "rk4"])
def test_refinement_leaves_the_function_unchanged(kind, scheme):
    coarse = lived_in(small(3, scheme, **kind))
    with torch.no_grad():
        for name, parameter in coarse.named_parameters():
            if name.endswith("factor"):
                parameter.fill_(0.7)
    fine = coarse.refined()
    assert fine.n_cells == 6 and fine.n_steps == 6 and fine.scheme == scheme
    assert coarse.n_cells == 3 and len(coarse.blocks[0].cells) == 3
    coarse.n_steps = 6
    with torch.no_grad():
        torch.testing.assert_close(fine(IMAGES), coarse(IMAGES), rtol=1e-6, atol=1e-6)
        twice = fine.refined()
        fine.n_steps = 12
        torch.testing.assert_close(twice(IMAGES), fine(IMAGES), rtol=1e-6, atol=1e-6)


def test_refined_children_are_separate_and_load_into_a_new_net():
    net = small(2)
    fine = net.refined()
    first, second = fine.blocks[0].cells[:2]
    with torch.no_grad():
        first[0].weight.add_(1.0)
    assert not torch.equal(first[0].weight, second[0].weight)
    assert torch.equal(second[0].weight, net.blocks[0].cells[0][0].weight)
    fresh = small(4, seed=1)
    fresh.load_state_dict(fine.state_dict())


def test_refinement_with_noise():
    net = small(2, alpha=16)
    fine = net.refined(0.1, torch.Generator().manual_seed(0))
    parent = net.blocks[2].cells[1][0].weight
    for child in fine.blocks[2].cells[2:4]:
        ratio = (child[0].weight / parent - 1).flatten()
        assert ratio.std().item() == pytest.approx(0.1, rel=0.05)
        assert abs(ratio.mean().item()) < 0.005
    a, b = fine.blocks[2].cells[2:4]
    assert not torch.equal(a[0].weight, b[0].weight)
    assert torch.equal(
        fine.stitches[0].shortcut.weight, net.stitches[0].shortcut.weight
    )


# ----------------------------------------------------------------- manifestation


def test_manifestation_table():
    net = small(2, "rk4")
    seen = []

    def evaluate(model):
        seen.append((model.scheme, model.n_steps))
        return float(len(seen))

    table = continuous.manifestation_table(net, evaluate, ["euler", "rk4"], [2, 4])
    assert seen == [("euler", 2), ("euler", 4), ("rk4", 2), ("rk4", 4)]
    assert table == {key: k + 1.0 for k, key in enumerate(seen)}
    assert (net.scheme, net.n_steps) == ("rk4", 2)

    def breaks(model):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="memory"):
        continuous.manifestation_table(net, breaks, ["euler"], [8])
    assert (net.scheme, net.n_steps) == ("rk4", 2)
