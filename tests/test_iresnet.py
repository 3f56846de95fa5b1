"""Norms of convolutions against their explicit matrices; the i-ResNet; the series."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from odenets.nets import iresnet


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def convolution(
    seed: int, c_in: int, c_out: int, k: int, mode: str = "zeros"
) -> nn.Conv2d:
    conv = nn.Conv2d(c_in, c_out, k, padding=k // 2, padding_mode=mode).double()
    g = generator(seed)
    noise = torch.randn(conv.weight.shape, generator=g, dtype=torch.float64)
    conv.weight.data.copy_(noise)
    return conv


def true_norm(conv: nn.Conv2d, size) -> float:
    return torch.linalg.matrix_norm(iresnet.conv_matrix(conv, size), 2).item()


def chessboard(k: int) -> torch.Tensor:
    i = torch.arange(k)
    return ((-1.0) ** (i[:, None] + i)).double()[None, None]


# -------------------------------------------------------------------------- norms


def test_conv_matrix_is_the_convolution():
    conv = convolution(0, 2, 3, 3)
    x = torch.randn(2, 5, 4, generator=generator(1), dtype=torch.float64)
    by_hand = torch.zeros(3, 5, 4, dtype=torch.float64)
    for i in range(5):
        for j in range(4):
            for di in range(3):
                for dj in range(3):
                    row, column = i + di - 1, j + dj - 1
                    if 0 <= row < 5 and 0 <= column < 4:
                        by_hand[:, i, j] += (
                            conv.weight[:, :, di, dj] @ x[:, row, column]
                        )
    matrix = iresnet.conv_matrix(conv, (5, 4))
    assert torch.allclose(matrix @ x.flatten(), by_hand.flatten().detach())


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_circular_conv_norm(n):
    x = torch.randn(n, generator=generator(n), dtype=torch.float64)
    circulant = torch.stack([x.roll(i) for i in range(n)], 1)
    truth = torch.linalg.matrix_norm(circulant, 2)
    torch.testing.assert_close(iresnet.circular_conv_norm(x), truth)


@pytest.mark.parametrize("seed", range(40))
def test_exact_for_circular_padding(seed):
    """Also kernels that are wider than the image, and images that are not square."""
    g = generator(seed)
    c_in, c_out, height, width = torch.randint(1, 6, (4,), generator=g).tolist()
    k = [1, 3, 5, 7][seed % 4]
    size = (max(height + 1, k // 2), max(width + 1, k // 2))
    conv = convolution(seed, c_in, c_out, k, "circular")
    norm = iresnet.conv_norm(conv.weight, size, "circular")
    assert norm.item() == pytest.approx(true_norm(conv, size), rel=1e-6)


def test_upper_bound_for_zero_padding():
    """200 random kernels and sizes; and never above the supremum of all frequencies."""
    for seed in range(200):
        g = generator(seed)
        c_in, c_out, height, width = torch.randint(1, 6, (4,), generator=g).tolist()
        k = [1, 3, 5, 7][seed % 4]
        conv = convolution(seed, c_in, c_out, k)
        if seed % 3 == 0:
            conv.weight.data.mul_(chessboard(k))
        size = (height + 1, width + 1)
        bound = iresnet.conv_norm(conv.weight, size, "zeros").item()
        assert bound >= true_norm(conv, size) * (1 - 1e-12)
        fine = iresnet.conv_norm(conv.weight, 200, "circular").item()
        assert bound <= 1.01 * fine


def test_the_chessboard_defeats_the_fft_at_the_image_size():
    """FACTS: truth 29.98, transform at 7 points 20.20, at 13 points 38.56."""
    conv = nn.Conv2d(1, 1, 7, padding=3).double()
    conv.weight.data.copy_(chessboard(7))
    assert true_norm(conv, 7) == pytest.approx(29.98, abs=0.01)
    at_7 = iresnet.conv_norm(conv.weight, 7, "circular").item()
    at_13 = iresnet.conv_norm(conv.weight, 7, "zeros").item()
    assert at_7 == pytest.approx(20.20, abs=0.01)
    assert at_13 == pytest.approx(38.56, abs=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norm_against_the_singular_values_of_all_frequencies(dtype):
    """The shortcut that leaves frequencies out finds the same maximum."""
    for seed in range(20):
        g = generator(seed)
        weights = torch.randn(4, 5, 3, 3, 3, generator=g).to(dtype)
        weights[0] *= 1e-12
        weights[1] = 0
        weights[2] = weights[2].sum((-1, -2), keepdim=True)  # DC dominates
        symbols = torch.fft.fft2(weights, s=(8, 8)).flatten(-2).movedim(-1, 1)
        truth = torch.linalg.svdvals(symbols)[..., 0].amax(1)
        norms = iresnet.conv_norms(weights, 6, "zeros")
        assert norms.dtype == dtype
        rtol = 1e-5 if dtype == torch.float32 else 1e-12
        torch.testing.assert_close(norms, truth, rtol=rtol, atol=0)


def test_norm_is_differentiable():
    weight = torch.randn(2, 2, 3, 3, generator=generator(0), dtype=torch.float64)
    weight.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda w: iresnet.conv_norm(w, 4, "zeros"), (weight,)
    )


def test_bad_arguments_are_refused():
    weight = torch.ones(1, 1, 3, 3)
    with pytest.raises(ValueError, match="reflect"):
        iresnet.conv_norm(weight, 7, "reflect")
    with pytest.raises(ValueError, match="not finite"):
        iresnet.conv_norm(weight * math.nan, 7, "zeros")
    with pytest.raises(ValueError, match="odd"):
        iresnet.InvertibleResidual(kernel_size=2)


@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_the_other_estimates(mode):
    conv = convolution(3, 4, 4, 5, mode)
    truth = true_norm(conv, 6)
    few, many = (
        iresnet.power_iteration_norm(conv, 6, n, generator(0)).item() for n in (3, 500)
    )
    assert few < truth and many == pytest.approx(truth, rel=1e-6) and many > few
    reshaped = iresnet.reshaped_kernel_norm(conv.weight).item()
    assert reshaped < truth <= 5 * reshaped
    nn.init.zeros_(conv.weight)
    assert iresnet.power_iteration_norm(conv, 6, 5, generator(0)) == 0
    assert iresnet.conv_norm(conv.weight, 6, mode) == 0


@pytest.mark.parametrize("mode", ["zeros", "circular"])
def test_normalize(mode):
    conv = convolution(4, 3, 3, 3, mode)
    parameter = conv.weight
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    assert iresnet.normalize_(conv, 0.9, 6) is conv and conv.weight is parameter
    norm = iresnet.conv_norm(conv.weight, 6, mode).item()
    assert norm == pytest.approx(0.9, rel=1e-12) and true_norm(conv, 6) < 0.9 + 1e-12
    assert conv.weight.requires_grad and conv.weight.is_leaf
    before = conv.weight.detach().clone()
    iresnet.normalize_(conv, 0.95, 6)  # small enough already
    assert torch.equal(conv.weight, before)
    # between two steps of an optimiser nothing breaks
    conv(torch.ones(1, 3, 6, 6, dtype=torch.float64)).sum().backward()
    optimizer.step()
    assert not torch.equal(conv.weight, before)


# ------------------------------------------------------------------- the inverse


def test_fixed_point_iterates_by_hand():
    y = torch.tensor([1.0])
    values = [
        iresnet.fixed_point_inverse(lambda x: 0.5 * x, y, k).item() for k in range(4)
    ]
    assert values == [1.0, 1.5, 1.75, 1.875]
    assert y.item() == 1.0


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("ratio", [1e-9, 1e-6, 0.125, 1.0, 3.0])
def test_iterations_needed(rho, ratio):
    k = iresnet.iterations_needed(2.0, rho, 2.0 * ratio)
    assert rho**k * 2.0 <= 2.0 * ratio
    assert k == 0 or rho ** (k - 1) * 2.0 > 2.0 * ratio


def test_iterations_needed_at_exact_powers_and_outside():
    assert [iresnet.iterations_needed(1.0, 0.5, 0.5**k) for k in range(60)] == [
        *range(60)
    ]
    assert iresnet.iterations_needed(1.0, 0.9, 1e-6) == 132
    for rho, eps in ((1.0, 0.1), (0.0, 0.1), (-0.5, 0.1), (math.nan, 0.1), (0.5, 0.0)):
        with pytest.raises(ValueError):
            iresnet.iterations_needed(1.0, rho, eps)


@pytest.mark.parametrize("mode", ["zeros", "circular"])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_a_priori_bound_holds_at_every_iteration(mode, size):
    if mode == "circular" and size == 1:
        size = 2
    layer = iresnet.InvertibleResidual(3, 4, mode).double()
    layer.conv.weight.data.mul_(30)
    layer.normalize(0.9, size)
    g = generator(5)
    x = torch.randn(8, 4, size, size, generator=g, dtype=torch.float64)
    with torch.no_grad():
        y, start = layer(x), layer.residual(x).flatten(1).norm(dim=1)
        for k in range(60):
            error = (layer.inverse(y, k) - x).flatten(1).norm(dim=1)
            assert (error <= 0.9**k * start + 1e-13).all()
        assert error.max() < 1e-2


# --------------------------------------------------------------------- the networks


def test_parameter_counts():
    for net in (iresnet.LabResNet(), iresnet.iResNet()):
        assert sum(p.numel() for p in net.parameters()) == 58090


def test_resnet_and_iresnet_are_the_same_function():
    net, twin = iresnet.LabResNet(), iresnet.iResNet()
    names = {
        key.replace(".conv.", "."): value for key, value in twin.state_dict().items()
    }
    net.load_state_dict(names)
    x = torch.randn(3, 16, 7, 7, generator=generator(0))
    torch.testing.assert_close(net(x), twin(x))
    torch.testing.assert_close(net(x, classif=False), twin(x, classif=False))
    by_hand = x
    for layer in twin.layers:
        by_hand = by_hand - layer.conv(by_hand).clamp(min=0)
    torch.testing.assert_close(twin(x, classif=False), by_hand)


def test_normalize_all_layers_together():
    torch.manual_seed(0)
    net, one_by_one = iresnet.iResNet(), iresnet.iResNet()
    one_by_one.load_state_dict(net.state_dict())
    net.conv2.conv.weight.data.mul_(0.01)
    one_by_one.conv2.conv.weight.data.mul_(0.01)
    small = net.conv2.conv.weight.detach().clone()
    net.normalize(0.7)
    for layer in one_by_one.layers:
        iresnet.normalize_(layer.conv, 0.7, 7)
    for layer, other in zip(net.layers, one_by_one.layers):
        torch.testing.assert_close(layer.conv.weight, other.conv.weight)
    assert torch.equal(net.conv2.conv.weight, small)


def test_trained_net_can_be_inverted():
    g = generator(8)
    labels = torch.arange(60) % 10
    inputs = torch.rand(10, 16, 7, 7, generator=g)[labels]
    torch.manual_seed(0)
    net = iresnet.iResNet()
    loader = DataLoader(TensorDataset(inputs, labels), 32)
    losses = iresnet.train_norm(net, loader, 15, 0.05, rho=0.8)
    assert len(losses) == 30 and losses[-1] < 0.5 * losses[0]
    norms = [true_norm(layer.conv, 7) for layer in net.layers]
    assert max(norms) <= 0.8 + 1e-5
    for x in (inputs, inputs[:1]):
        with torch.no_grad():
            error = (net.inverse(net(x, classif=False), 60) - x).abs().max()
        assert error < 1e-5


def test_errors_of_the_inverse_by_explicit_matrices():
    """Where every ReLU is open a layer is (I - A) x - b, and its iterates are known."""
    torch.manual_seed(4)
    net = iresnet.iResNet(2, 3, kernel_size=3).double().normalize(0.2)
    biases = [3.0, 10.0, 30.0, 100.0]
    for layer, b in zip(net.layers, biases):
        layer.conv.bias.data.fill_(b)
    x = torch.rand(5, 2, 3, 3, generator=generator(9), dtype=torch.float64)
    matrices = [iresnet.conv_matrix(layer.conv, 3) for layer in net.layers]
    y = x.flatten(1).T
    for A, b in zip(matrices, biases):
        y = y - A @ y - b

    counts = [0, 1, 3, 30, 2]
    expected = []
    for count in counts:
        back = y
        for A, b in zip(matrices[::-1], biases[::-1]):
            # x^n = y + (1 + A + .. + A^(n-1)) (A y + b)
            powers = [torch.linalg.matrix_power(A, k) for k in range(count)]
            back = back + sum((power @ (A @ back + b) for power in powers), 0 * back)
        expected.append((back - x.flatten(1).T).abs().max().item())
    errors = iresnet.inverse_errors(net, x, counts)
    assert all(type(error) is float for error in errors)
    assert errors == pytest.approx(expected, rel=1e-9, abs=1e-11)
    assert errors[3] < 1e-9 < 1e-2 < errors[2] < errors[4] < errors[1] < errors[0]


def test_an_inverse_that_runs_away_has_an_infinite_error():
    class Net(nn.Module):
        def forward(self, x, classif):
            assert not classif
            return 2 * x

        def inverse(self, y, n_iter):
            back = y / 2 + n_iter
            back[1, 0] = [0.0, math.nan, math.inf, -math.inf][n_iter]
            return back

    x = torch.tensor([[0.25], [0.5], [-1.0]])
    assert iresnet.inverse_errors(Net(), x, range(4)) == [0.5, *3 * [math.inf]]


# ------------------------------------------------------------------ log-determinants


def small_residual(rho: float, seed: int = 0, dim: int = 6) -> iresnet.ResidualMLP:
    torch.manual_seed(seed)
    layer = iresnet.ResidualMLP(dim, 16).double()
    for linear in layer.linears:
        linear.weight.data.mul_(5)
    return layer.normalize(rho)


def whole_trace(residual, x, n_terms):
    """The series with exact traces: the noise sqrt(d) e_i, averaged over i."""
    d = x[0].numel()
    total = 0
    for i in range(d):
        noise = torch.zeros(d, dtype=x.dtype)
        noise[i] = d**0.5
        noise = noise.view(x.shape[1:]).expand_as(x)
        total = total + iresnet.log_det_series(residual, x, n_terms, noise) / d
    return total


def test_exact_log_det_against_a_linear_residual():
    A = torch.randn(5, 5, generator=generator(1), dtype=torch.float64)
    A = 0.9 * A / torch.linalg.matrix_norm(A, 2)
    x = torch.randn(3, 5, generator=generator(2), dtype=torch.float64)
    truth = torch.linalg.slogdet(torch.eye(5, dtype=A.dtype) - A)[1]
    exact = iresnet.log_det_exact(lambda x: x @ A.T, x)
    torch.testing.assert_close(exact, truth.expand(3))
    # one term is minus the trace, two terms add minus half the trace of the square
    for n_terms, value in (
        (0, 0.0),
        (1, -A.trace().item()),
        (2, -A.trace().item() - 0.5 * (A @ A).trace().item()),
    ):
        series = whole_trace(lambda x: x @ A.T, x, n_terms)
        torch.testing.assert_close(series, torch.full((3,), value, dtype=A.dtype))


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.9])
def test_series_within_its_truncation_bound(rho):
    layer = small_residual(rho)
    x = torch.randn(4, 6, generator=generator(3), dtype=torch.float64)
    exact = iresnet.log_det_exact(layer.residual, x)
    for n_terms in (1, 2, 5, 10, 40):
        error = (whole_trace(layer.residual, x, n_terms) - exact).abs().max().item()
        assert error <= iresnet.log_det_truncation_bound(6, rho, n_terms) + 1e-12
    with pytest.raises(ValueError):
        iresnet.log_det_truncation_bound(6, 1.0, 3)


def test_series_of_a_convolution_and_its_bias():
    layer = iresnet.InvertibleResidual(3, 2).double()
    layer.conv.weight.data.mul_(9)
    layer.normalize(0.6, 3)
    x = torch.randn(2, 2, 3, 3, generator=generator(4), dtype=torch.float64)
    exact = iresnet.log_det_exact(layer.residual, x)
    torch.testing.assert_close(whole_trace(layer.residual, x, 60), exact)
    # Hutchinson's estimate has the right mean: a z-score over 4000 draws
    many = x[:1].expand(4000, 2, 3, 3)
    noise = torch.randn(many.shape, generator=generator(5), dtype=torch.float64)
    draws = iresnet.log_det_series(layer.residual, many, 60, noise)
    z = (draws.mean() - exact[0]) / (draws.std() / 4000**0.5)
    assert abs(z) < 3.5 and draws.std() > 0.01


def test_gradients_flow_through_the_series():
    layer = small_residual(0.5, dim=3)
    x = torch.randn(2, 3, generator=generator(6), dtype=torch.float64)
    noise = torch.randn(2, 3, generator=generator(7), dtype=torch.float64)
    x.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: iresnet.log_det_series(layer.residual, x, 4, noise), (x,)
    )
    value = iresnet.log_det_series(layer.residual, x.detach(), 4, noise).sum()
    value.backward()
    assert layer.linears[0].weight.grad.abs().sum() > 0
    with torch.no_grad():
        again = iresnet.log_det_series(layer.residual, x.detach(), 4, noise)
    assert not again.requires_grad
    torch.testing.assert_close(again.sum(), value.detach())


def test_density_is_a_density():
    torch.manual_seed(1)
    flow = iresnet.iResNetDensity(2, 3, 16).double()
    for layer in flow.layers:
        for linear in layer.linears:
            linear.weight.data.mul_(5)
    flow.normalize(0.8)
    z = torch.randn(50, 2, generator=generator(0), dtype=torch.float64)
    with torch.no_grad():
        x = flow.inverse(z, 200)
        torch.testing.assert_close(flow(x), z, rtol=0, atol=1e-10)
        side = torch.linspace(-14, 14, 281, dtype=torch.float64)
        grid = torch.cartesian_prod(side, side)
        mass = flow.log_prob(grid).exp().sum() * 0.1**2
        assert mass.item() == pytest.approx(1, abs=1e-3)
        # the series with both unit vectors as noise gives the same
        noises = [
            [e.expand(50, 2) for _ in flow.layers]
            for e in 2**0.5 * torch.eye(2).double()
        ]
        series = sum(flow.log_prob(x, 80, noise) for noise in noises) / 2
        torch.testing.assert_close(series, flow.log_prob(x), rtol=0, atol=1e-6)


@pytest.mark.full
def test_full_scale_is_near_the_resnet_and_inverts():
    """MNIST, 500 images to learn from, 10 000 to test, five seeds; needs the data."""
    from odenets import training
    from odenets.data import images
    from odenets.nets import irevnet

    data = images.load("mnist")
    few, many = data.train.first(500), data.test
    parts = images.ImageData(
        *(images.Labelled(irevnet.lab_view(x), labels) for x, labels in (few, many))
    )
    rates, errors = {"ResNet": [], "iResNet": []}, []
    for seed in range(5):
        for name, found in rates.items():
            training.set_seed(seed)
            net = getattr(iresnet, name)()
            train, test = images.loaders(parts, batch_size=64, generator=seed)
            if name == "ResNet":
                irevnet.train(net, train)
            else:
                iresnet.train_norm(net, train, rho=0.85)
                x = parts.test.images[:1000]
                with torch.no_grad():
                    back = net.inverse(net(x, classif=False), 20)
                errors.append((back - x).abs().max().item())
            found.append(irevnet.test(net, test))
    print(rates, errors)
    assert sum(rates["iResNet"]) / 5 >= sum(rates["ResNet"]) / 5 - 0.03
    assert max(errors) <= 1e-5
