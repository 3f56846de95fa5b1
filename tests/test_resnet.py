"""Residual networks: against numpy, the ODE's closed form, autograd, scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from odenets import solvers
from odenets.nets import resnet


@pytest.fixture
def layers():
    g = torch.Generator().manual_seed(0)
    K = torch.randn(6, 3, 3, generator=g, dtype=torch.float64)
    b = torch.randn(6, generator=g, dtype=torch.float64)
    return K, b, torch.randn(5, 3, generator=g, dtype=torch.float64)


def test_propagate_agrees_with_numpy(layers):
    K, b, Y0 = layers
    Y = Y0.numpy()
    stages = resnet.propagate(Y0, K, b, 0.3)
    for j in range(6):
        Y = Y + 0.3 * np.tanh(Y @ K[j].numpy() + b[j].item())
        np.testing.assert_allclose(stages[j + 1], Y, rtol=1e-13)
    assert stages.shape == (7, 5, 3)


def test_many_thin_layers_converge_to_the_matrix_exponential():
    A = torch.tensor([[0.0, 1.0], [-2.0, -0.1]], dtype=torch.float64)
    Y0 = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    exact = Y0 @ torch.matrix_exp(A)
    errors = []
    for N in (100, 200, 400):
        K, b = A.expand(N, 2, 2), torch.zeros(N, dtype=torch.float64)
        end = resnet.propagate(Y0, K, b, 1 / N, activation=lambda y: y)[-1]
        errors.append((end - exact).abs().max().item())
    assert np.log2(errors[0] / errors[2]) / 2 == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("shape", [(6, 3, 2), (6, 9), (5, 3, 3)])
def test_shapes_that_do_not_fit_are_refused(layers, shape):
    _, b, Y0 = layers
    with pytest.raises(ValueError, match=r"expected \(N, n, n\) and \(N,\)"):
        resnet.propagate(Y0, torch.zeros(shape, dtype=torch.float64), b, 0.1)


def test_features_of_another_width_are_refused(layers):
    K, b, _ = layers
    with pytest.raises(ValueError, match=r"expected \(s, 3\)"):
        resnet.propagate(torch.zeros(5, 4, dtype=torch.float64), K, b, 0.1)


@pytest.mark.parametrize("N", [*range(1, 130), 500, 1000])
def test_every_grid_time_reads_its_own_layer(N):
    for T in (1.0, 0.3, 20.0):
        grids = {
            "float32": torch.linspace(0, T, N + 1).tolist(),
            "float64": torch.linspace(0, T, N + 1, dtype=torch.float64).tolist(),
            "summed": np.cumsum([0.0] + [T / N] * N).tolist(),
        }
        for kind, times in grids.items():
            read = [resnet.layer_index(t, T, N) for t in times]
            assert read == [*range(N), N - 1], kind


def test_times_inside_a_cell_and_beyond_the_end():
    assert [resnet.layer_index(t, 1.0, 4) for t in (-0.1, 0.2499, 0.26, 1.5)] == [
        0,
        0,
        1,
        3,
    ]


@pytest.mark.parametrize("N", [1, 3, 6, 7, 11, 50])
def test_euler_gives_the_network_back_bit_for_bit(N):
    g = torch.Generator().manual_seed(N)
    K, b = torch.randn(N, 2, 2, generator=g), torch.randn(N, generator=g)
    Y0, h = torch.randn(4, 2, generator=g), 0.25
    field = resnet.vector_field(K, b, N * h)
    stages = solvers.odeint(field, Y0, torch.arange(N + 1) * h, method="euler")
    assert torch.equal(stages, resnet.propagate(Y0, K, b, h))


def test_the_misfit_is_the_log_loss_of_scikit_learn():
    g = torch.Generator().manual_seed(1)
    Y = torch.randn(20, 2, generator=g, dtype=torch.float64)
    W, mu = torch.randn(2, 3, generator=g, dtype=torch.float64), torch.zeros(3).double()
    labels = torch.randint(3, (20,), generator=g)
    P = resnet.predict_proba(Y, W, mu)
    assert torch.allclose(P.sum(dim=1), torch.ones(20).double())
    C = torch.eye(3, dtype=torch.float64)[labels]
    expected = log_loss(labels.numpy(), P.numpy(), labels=[0, 1, 2])
    assert resnet.misfit(Y, W, mu, C).item() == pytest.approx(expected, rel=1e-12)
    one = resnet.predict_proba(Y, W[:, :1], mu[:1])
    assert one.shape == (20, 1)
    binary = (labels == 1).double()[:, None]
    expected = log_loss(binary[:, 0].numpy(), one[:, 0].numpy())
    assert resnet.misfit(Y, W[:, :1], mu[:1], binary).item() == pytest.approx(expected)


def test_smoothness_converges_to_its_integral():
    def layers_of(N):
        t = (torch.arange(N, dtype=torch.float64) + 0.5) * (2 / N)
        return torch.sin(t)[:, None, None] * torch.ones(N, 1, 1), t**2, 2 / N

    exact = 0.5 * (1 + np.sin(4) / 4) + 0.5 * 4 * 8 / 3
    errors = [abs(resnet.smoothness(*layers_of(N)).item() - exact) for N in (100, 200)]
    assert errors[1] < 0.6 * errors[0] < 0.1


def test_the_objective_passes_gradcheck(layers):
    K, b, Y0 = layers
    W, mu = torch.ones(3, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    C = (Y0[:, :1] > 0).double()

    def loss(K, b, W, mu):
        Y = resnet.propagate(Y0, K, b, 0.2)[-1]
        return resnet.objective(Y, W, mu, C, K, b, 0.2, 0.1)

    inputs = [x.clone().requires_grad_() for x in (K, b, W, mu)]
    assert torch.autograd.gradcheck(loss, inputs)


def test_the_module_is_propagate_between_two_linear_maps():
    torch.manual_seed(0)
    net = resnet.VectorResNet(n_features=8, width=4, n_layers=5, T=2.0, n_classes=3)
    x = torch.randn(6, 2, 4)
    Y = resnet.propagate(net.opening(x.flatten(1)), net.K, net.b, 0.4)[-1]
    assert torch.equal(net(x), net.head(Y))
    assert sum(p.numel() for p in net.parameters()) == 8 * 4 + 4 + 5 * 17 + 4 * 3 + 3


def test_block_coordinate_descent_takes_turns_and_never_rises(layers):
    K, b, Y0 = layers
    C = torch.tensor([[1.0], [0.0], [1.0], [0.0], [1.0]], dtype=torch.float64)
    W, mu = torch.zeros(3, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    start = [p.clone() for p in (K, b, W, mu)]
    *end, history = resnet.block_coordinate_descent(
        Y0, C, K, b, W, mu, h=0.3, alpha=0.1, n_sweeps=2
    )
    assert all(torch.equal(p, q) for p, q in zip((K, b, W, mu), start))
    assert len(history) == 5 and sorted(history, reverse=True) == history

    def value(K, b, W, mu):
        Y = resnet.propagate(Y0, K, b, 0.3)[-1]
        return resnet.objective(Y, W, mu, C, K, b, 0.3, 0.1).item()

    assert history[0] == pytest.approx(value(*start))
    assert history[-1] == pytest.approx(value(*end))
    # One sweep: first the classifier on the given layers, then the layers.
    K1, b1, W1, mu1, turns = resnet.block_coordinate_descent(
        Y0, C, K, b, W, mu, h=0.3, alpha=0.1, n_sweeps=1
    )
    assert turns[1] == pytest.approx(value(K, b, W1, mu1))
    assert turns[2] == pytest.approx(value(K1, b1, W1, mu1)) and turns[2] < turns[1]
