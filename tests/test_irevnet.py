"""Couplings, the i-RevNet of the lab, and its pieces that reach further."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from odenets.nets import irevnet


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randomise(net: nn.Module, seed: int, scale: float) -> nn.Module:
    """Draw all the weights anew; convolutions get a gain of about `scale`."""
    g = generator(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            noise = torch.randn(module.weight.shape, generator=g).to(module.weight)
            module.weight.data.copy_(scale * noise / math.sqrt(fan_in))
    return net


# ---------------------------------------------------------------------- couplings


def matrices(*shapes: tuple[int, int], seed: int = 0) -> list:
    g = generator(seed)
    Ms = [torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes]
    return [lambda x, M=M: torch.tanh(x @ M) for M in Ms]


def test_coupling_by_hand():
    fs = [lambda x: 2 * x, lambda x: x + 1]
    # (1, 10) -> (10 + 2, 1) = (12, 1) -> (1 + 13, 12)
    y, y_tilde = irevnet.coupling_forward(fs, torch.tensor(1.0), torch.tensor(10.0))
    assert (y.item(), y_tilde.item()) == (14.0, 12.0)


def test_coupling_with_halves_of_different_sizes():
    fs = matrices((3, 5), (5, 3), (3, 5))
    g = generator(1)
    x = torch.randn(7, 3, generator=g, dtype=torch.float64)
    x_tilde = torch.randn(7, 5, generator=g, dtype=torch.float64)
    kept = x.clone(), x_tilde.clone()
    y = irevnet.coupling_forward(fs, x, x_tilde)
    assert [half.shape[1] for half in y] == [5, 3]
    back = irevnet.coupling_inverse(fs, *y)
    for one, other in zip((x, x_tilde, *kept), (*back, x, x_tilde)):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-14)


@pytest.mark.parametrize("depth", range(5))
def test_inverse_element_is_a_product_of_layers(depth):
    fs = matrices(*[(4, 4)] * depth, seed=depth)
    x = torch.randn(2, 6, 4, generator=generator(9), dtype=torch.float64)
    undo = irevnet.inverse_element(fs)
    for first, second in ((fs, undo), (undo, fs)):
        y = irevnet.coupling_forward([*first, *second], *x)
        torch.testing.assert_close(torch.stack(y), x, rtol=0, atol=1e-14)


def test_sum_never_falls_where_f_is_not_negative():
    """Why relu(conv) alone generates no group: its inverse would lower the sum."""
    fs = [lambda x: torch.relu(x) + 0.1] * 3
    x = torch.randn(2, 4, generator=generator(2))
    y = irevnet.coupling_forward(fs, *x)
    assert torch.stack(y).sum() > x.sum() + 1


# ------------------------------------------------------------------ the lab's net


def test_parameter_counts_of_the_lab():
    counts = [
        sum(p.numel() for p in net.parameters())
        for net in (irevnet.Net(), irevnet.iRevNet())
    ]
    assert counts == [58090, 20426]


def test_lab_view_is_row_major():
    image = torch.arange(784.0).view(1, 1, 28, 28)
    view = irevnet.lab_view(image)
    assert view.shape == (1, 16, 7, 7)
    assert torch.equal(view[0, 3].flatten(), torch.arange(147.0, 196.0))
    # a batch that is not contiguous
    batch = image.expand(3, 1, 28, 28)
    assert torch.equal(irevnet.lab_view(batch)[2], view[0])


def test_split():
    split = irevnet.SplitAlongChannels()
    x = torch.randn(2, 6, 3, 5, generator=generator(0))
    a, b = split(x)
    assert torch.equal(a, x[:, :3]) and torch.equal(b, x[:, 3:])
    assert torch.equal(split.inverse((a, b)), x)
    with pytest.raises(ValueError, match=r"7 channels.*even"):
        split(torch.zeros(1, 7, 2, 2))
    with pytest.raises(ValueError, match="even"):
        irevnet.iRevNet(channels=5)
    with pytest.raises(ValueError, match="odd"):
        irevnet.InvertibleLayer(kernel_size=4)


def test_layer_formula():
    layer = irevnet.InvertibleLayer(3, channels=2).double()
    a, b = torch.randn(2, 4, 2, 5, 5, generator=generator(3), dtype=torch.float64)
    first, second = layer((a, b))
    assert torch.equal(first, b)
    torch.testing.assert_close(second, a + layer.conv(b).clamp(min=0))


@pytest.mark.parametrize("shape", [(1, 16, 7, 7), (3, 4, 5, 5), (2, 2, 1, 1)])
@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_inversion_holds_for_any_weights(shape, scale, seed):
    net = irevnet.iRevNet(shape[1], shape[2])
    for dtype, bound in ((torch.float64, 1e-12), (torch.float32, 1e-4)):
        net = randomise(net.to(dtype), seed, scale)
        x = torch.randn(shape, generator=generator(seed)).to(dtype)
        with torch.no_grad():
            features = net(x, classif=False)
            error = (net.inverse(features) - x).abs().max()
        assert features.shape == x.shape
        assert error <= bound, f"{dtype}: {error:.2e}"


def test_volume_is_preserved():
    net = randomise(irevnet.iRevNet(2, 3, kernel_size=3).double(), 4, 2.0)
    x = torch.randn(1, 2, 3, 3, generator=generator(5), dtype=torch.float64)
    J = torch.func.jacrev(lambda v: net(v, classif=False))(x).reshape(18, 18)
    assert not torch.allclose(J, torch.eye(18, dtype=J.dtype))
    assert abs(torch.linalg.slogdet(J)[1]) < 1e-12


def test_scores_are_linear_in_the_features():
    net = irevnet.iRevNet()
    x = torch.randn(2, 16, 7, 7, generator=generator(6))
    assert torch.equal(net(x), net.fc(net(x, classif=False).flatten(1)))


# ------------------------------------------------------------------ train and test


def test_train_and_test():
    g = generator(8)
    labels = torch.arange(100) % 10
    means = torch.randn(10, 16, 7, 7, generator=g)
    data = TensorDataset(means[labels], labels)
    torch.manual_seed(0)
    net = irevnet.iRevNet()
    calls = []
    losses = irevnet.train(net, DataLoader(data, 32), 5, 0.02, calls.append)
    assert len(losses) == 5 * 4 and all(isinstance(loss, float) for loss in losses)
    assert calls == [net] * 20
    assert losses[0] == pytest.approx(math.log(10), rel=0.2)
    assert losses[-1] < 0.1
    assert irevnet.test(net, DataLoader(data, 32)) == 1.0


def test_train_is_sgd_with_momentum():
    """Against the recursion written out: v <- 0.9 v + g, w <- w - lr v."""
    g = generator(9)
    data = [(torch.randn(6, 3, generator=g), torch.arange(6) % 2) for _ in range(3)]
    net = nn.Linear(3, 2)
    w, v = net.weight.detach().clone(), torch.zeros(2, 3)
    b, vb = net.bias.detach().clone(), torch.zeros(2)
    irevnet.train(net, data, 2, 0.1)
    for x, y in data * 2:
        p = torch.softmax(x @ w.T + b, 1) - nn.functional.one_hot(y, 2)
        v, vb = 0.9 * v + p.T @ x / 6, 0.9 * vb + p.mean(0)
        w, b = w - 0.1 * v, b - 0.1 * vb
    torch.testing.assert_close(net.weight.detach(), w)
    torch.testing.assert_close(net.bias.detach(), b)


def test_test_is_a_fraction_of_samples_and_restores_the_mode():
    net = nn.Sequential(nn.Identity(), nn.Dropout(0.9))
    net[1].eval()
    scores = torch.eye(3)[torch.tensor([0, 1, 2, 2, 0])]
    labels = torch.tensor([0, 1, 2, 0, 1])
    loader = DataLoader(TensorDataset(scores, labels), 4)  # batches of 4 and of 1
    assert irevnet.test(net, loader) == pytest.approx(3 / 5)
    assert (net.training, net[0].training, net[1].training) == (True, True, False)
    with pytest.raises(RuntimeError):
        irevnet.test(net, [(scores, labels[:2])])
    assert (net.training, net[0].training, net[1].training) == (True, True, False)


# --------------------------------------------------------------- reaching further


def test_squeeze_keeps_neighbours_together():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    squeeze = irevnet.SpaceToDepth(2)
    y = squeeze(x)
    assert torch.equal(y[0, :, 0, 0], torch.tensor([0.0, 1.0, 4.0, 5.0]))
    assert torch.equal(squeeze.inverse(y), x)
    with pytest.raises(ValueError, match="5x4"):
        squeeze(torch.zeros(1, 1, 5, 4))


def test_padding_is_injective():
    pad = irevnet.PadChannels(3)
    x = torch.randn(2, 1, 4, 4, generator=generator(1))
    assert pad(x).shape == (2, 4, 4, 4) and pad(x)[:, 1:].abs().max() == 0
    assert torch.equal(pad.inverse(pad(x)), x)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("first", [True, False])
def test_bottleneck_layer_inverts_in_eval_mode(stride, first):
    layer = irevnet.BottleneckLayer(4, stride, first).double()
    g = generator(2)
    X = torch.randn(2, 3, 4, 6, 6, generator=g, dtype=torch.float64)
    for _ in range(3):  # moves the running statistics away from their start
        layer((X[0], 2 * X[1] + 1))
    layer.eval()
    back = layer.inverse(layer((X[0], X[1])))
    torch.testing.assert_close(torch.stack(back), X, rtol=0, atol=1e-12)


def test_bottleneck_net():
    torch.manual_seed(0)
    net = irevnet.BottleneckiRevNet(n_layers=3, pad=2).double()
    x = torch.rand(5, 1, 28, 28, generator=generator(3), dtype=torch.float64)
    net(x)
    assert net(x).shape == (5, 10)
    with torch.no_grad():
        # In training mode the statistics of another batch normalise the way back.
        error = (net.inverse(net(x, classif=False))[:2] - x[:2]).abs().max()
        other = net.inverse(net(x, classif=False)[:2])
        assert error < 1e-9 and (other - x[:2]).abs().max() > 1e-3
        net.eval()
        for part in (x, x[:1]):
            features = net(part, classif=False)
            assert features.shape[1:] == (32, 7, 7)
            assert (net.inverse(features) - part).abs().max() < 1e-12


def test_bottleneck_net_still_inverts_after_training():
    """Padding must not leave a half of zeros, whose variance would be divided by."""
    g = generator(4)
    images, labels = torch.rand(64, 1, 28, 28, generator=g), torch.arange(64) % 10
    torch.manual_seed(0)
    net = irevnet.BottleneckiRevNet(n_layers=3, pad=2)
    irevnet.train(net, DataLoader(TensorDataset(images, labels), 16), 10)
    net.eval()
    with torch.no_grad():
        error = (net.inverse(net(images, classif=False)) - images).abs().max()
    assert error < 1e-4


@pytest.mark.full
def test_full_scale_beats_the_plain_net_with_a_third_of_its_parameters():
    """MNIST, 500 images to learn from, 10 000 to test, five seeds; needs the data."""
    from odenets import training
    from odenets.data import images

    data = images.load("mnist")
    few, many = data.train.first(500), data.test
    parts = images.ImageData(
        *(images.Labelled(irevnet.lab_view(x), labels) for x, labels in (few, many))
    )
    rates = {irevnet.Net: [], irevnet.iRevNet: []}
    for seed in range(5):
        for make, found in rates.items():
            training.set_seed(seed)
            net = make()
            loaders = images.loaders(parts, batch_size=64, generator=seed)
            irevnet.train(net, loaders[0])
            found.append(irevnet.test(net, loaders[1]))
    print({make.__name__: found for make, found in rates.items()})
    assert sum(rates[irevnet.iRevNet]) >= sum(rates[irevnet.Net])


# ---------------------------------------------------------------- there and back again


def test_roundtrip_error_by_hand():
    x = torch.tensor([[4.0, -2.0]])
    assert irevnet.roundtrip_error(lambda v: 2 * v, lambda v: 0.25 * v, x) == 0.5
    assert irevnet.roundtrip_error(lambda v: v.mul_(2), lambda v: v.div_(4), x) == 0.5
    assert x.tolist() == [[4.0, -2.0]]
    assert irevnet.roundtrip_error(lambda v: v / 0, lambda v: v, x) == math.inf
    with pytest.raises(ValueError, match="shape"):
        irevnet.roundtrip_error(lambda v: v[:, :1], lambda v: v, x)
