"""Stable networks and their training, against closed forms and references."""

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import torch
from torch.func import jacrev

from odenets.nets import stable
from odenets.studies import multilevel, stability

F64 = torch.float64


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=F64)


# ----------------------------------------------------------- eigenvalues and steps


@pytest.mark.parametrize("activation", [torch.tanh, torch.sigmoid, torch.relu])
def test_jacobian_eigenvalues_are_those_of_the_automatic_jacobian(activation):
    K, y = draw(4, 4), draw(6, 4, seed=1)
    found = stable.in_order(stable.jacobian_eigenvalues(K, 0.3, y, activation))
    for row, values in zip(y, found):
        jacobian = jacrev(lambda u: activation(u @ K + 0.3))(row)
        expected = stable.in_order(torch.linalg.eigvals(jacobian))
        assert torch.allclose(values, expected, atol=1e-7)
        alone = stable.jacobian_eigenvalues(K, torch.tensor(0.3), row, activation)
        assert torch.allclose(stable.in_order(alone), expected, atol=1e-7)


def test_jacobian_eigenvalues_work_without_recording_gradients():
    with torch.no_grad():
        values = stable.jacobian_eigenvalues(draw(3, 3).float(), 0.0, torch.zeros(3))
    assert values.dtype == torch.complex64


def test_in_order_sorts_by_real_part_and_then_by_imaginary_part():
    mixed = torch.tensor([1 + 1j, 0 + 2j, 1 - 1j, 1e-12 - 2j, -3 + 0j])
    expected = torch.tensor([-3 + 0j, 1e-12 - 2j, 0 + 2j, 1 - 1j, 1 + 1j])
    assert torch.equal(stable.in_order(mixed), expected)


def test_the_largest_stable_step_is_where_the_growth_reaches_one():
    values = torch.complex(-draw(30).abs() - 0.01, draw(30, seed=1))
    h = stable.max_stable_step(values)
    assert (1 + h * values).abs().max() == pytest.approx(1.0, abs=1e-12)
    assert (1 + 1.01 * h * values).abs().max() > 1


@pytest.mark.parametrize(
    "values, expected",
    [
        ([-4.0], 0.5),
        ([-1.0, -4.0, 0.0], 0.5),
        ([1.0, -1.0], 0.0),
        ([1j, -1j], 0.0),
        ([-1e-17 + 1j, -1e-17 - 1j], 0.0),
        ([0.0, 0.0], math.inf),
        ([-1 + 1j, -1 - 1j], 1.0),
        ([-1e-9 + 0j], 2e9),
    ],
)
def test_max_stable_step_in_special_cases(values, expected):
    assert stable.max_stable_step(torch.tensor(values)) == pytest.approx(expected)


@pytest.mark.parametrize("gamma", [0.1, 1.0])
def test_the_step_for_damped_rotations_is_the_closed_form(gamma):
    K = stable.antisymmetric(draw(5, 5), gamma)
    omega = torch.linalg.eigvals(K).imag.abs().max().item()
    # eigenvalues -gamma/2 + i omega: h <= gamma / (gamma^2/4 + omega^2)
    expected = gamma / (gamma**2 / 4 + omega**2)
    assert stable.max_stable_step(torch.linalg.eigvals(K)) == pytest.approx(expected)
    assert stable.max_stable_step(torch.linalg.eigvals(stable.antisymmetric(K))) == 0.0


# ----------------------------------------------------------- weights with a structure


def test_antisymmetric_weights_have_the_promised_eigenvalues():
    K = draw(2, 7, 4, 4)
    A = stable.antisymmetric(K, 0.0)
    assert torch.equal(A, -A.mT)
    assert torch.linalg.eigvals(A).real.abs().max() < 1e-12
    damped = torch.linalg.eigvals(stable.antisymmetric(K, 0.6)).real
    assert torch.allclose(damped, torch.full_like(damped, -0.3))


def test_the_jacobian_of_an_antisymmetric_layer_has_imaginary_eigenvalues():
    K = stable.antisymmetric(draw(5, 5))
    values = stable.jacobian_eigenvalues(K, 0.2, draw(20, 5, seed=1))
    assert values.real.abs().max() < 1e-12


def test_the_counterexample_to_eigenvalues_of_K():
    K = torch.tensor([[1.0, -4.0], [1.0, -3.0]], dtype=F64)
    D = torch.tensor([1.0, 0.1], dtype=F64).diag()
    assert torch.linalg.eigvals(K).real.max() < 0
    assert torch.allclose(
        stable.in_order(torch.linalg.eigvals(D @ K)).real,
        torch.tensor([0.2, 0.5], dtype=F64),
    )


@pytest.mark.parametrize("size", [1, 3, 5])
def test_the_transposed_kernel_is_the_adjoint_of_the_convolution(size):
    K, x, y = draw(4, 3, size, size), draw(2, 3, 9, 7), draw(2, 4, 9, 7, seed=1)
    conv = torch.nn.functional.conv2d
    forth = conv(x, K, padding=size // 2)
    back = conv(y, stable.transposed_kernel(K), padding=size // 2)
    assert (forth * y).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-12)


def test_antisymmetric_kernels_never_change_the_length_of_an_image():
    K, x = stable.antisymmetric_kernel(draw(6, 6, 3, 3), 0.8), draw(2, 6, 8, 8)
    Kx = torch.nn.functional.conv2d(x, K, padding=1)
    assert (x * Kx).sum().item() == pytest.approx(-0.4 * x.square().sum().item())


# ----------------------------------------------------------- steps


def test_verlet_there_and_back():
    y, z, K = draw(5, 3), draw(5, 4, seed=1), draw(3, 4, seed=2)
    there = stable.verlet_step(y, z, K, 0.3, 0.7, torch.relu)
    back = stable.verlet_step_back(*there, K, 0.3, 0.7, torch.relu)
    assert torch.allclose(back[0], y, atol=1e-14)
    assert torch.allclose(back[1], z, atol=1e-14)


def verlet_jacobian(step, n=3):
    K = draw(n, n, seed=5)

    def on_pair(u):
        return torch.cat(step(u[:n], u[n:], K))

    return jacrev(on_pair)(draw(2 * n, seed=6))


def test_verlet_keeps_the_volume_but_is_not_symplectic():
    n = 3
    J = torch.zeros(2 * n, 2 * n, dtype=F64)
    J[:n, n:], J[n:, :n] = torch.eye(n), -torch.eye(n)

    def one_sided(y, z, K):
        return stable.verlet_step(y, z, K, 0.1, 0.5)

    def two_sided(y, z, K):
        z = z - 0.5 * torch.tanh(y @ K + 0.1) @ K.mT
        return y + 0.5 * torch.tanh(z @ K.mT + 0.1) @ K, z

    M = verlet_jacobian(one_sided)
    assert torch.linalg.det(M).item() == pytest.approx(1.0, abs=1e-12)
    assert (M.mT @ J @ M - J).norm() > 0.1
    M = verlet_jacobian(two_sided)
    assert (M.mT @ J @ M - J).norm() < 1e-12


def test_verlet_follows_the_equations_of_the_hamiltonian_network():
    K, y0, T, N = draw(3, 3).numpy(), draw(3, seed=1).numpy(), 2.0, 2000

    def field(t, u):
        y, z = u[:3], u[3:]
        return np.concatenate([np.tanh(K @ z + 0.2), -np.tanh(K.T @ y + 0.2)])

    exact = scipy.integrate.solve_ivp(
        field, (0, T), np.concatenate([y0, np.zeros(3)]), rtol=1e-10, atol=1e-12
    ).y[:3, -1]
    net = stable.HamiltonianNet(
        torch.tensor(K).expand(N, 3, 3), torch.full((N,), 0.2, dtype=F64), T
    )
    assert torch.allclose(
        net(torch.tensor(y0)[None])[0], torch.tensor(exact), atol=2e-3
    )


def test_leapfrog_is_the_second_order_equation():
    C, y0, T, N = draw(3, 3), draw(3, seed=1), 2.0, 2000
    K = (-C.T @ C).numpy()

    def field(t, u):
        return np.concatenate([u[3:], np.tanh(K.T @ u[:3] - 0.1)])

    start = np.concatenate([y0.numpy(), np.zeros(3)])
    exact = scipy.integrate.solve_ivp(field, (0, T), start, rtol=1e-10, atol=1e-12)
    b = torch.full((N,), -0.1, dtype=F64)
    path = stable.leapfrog_forward(y0[None], C.expand(N, 3, 3), b, T / N)
    assert path.shape == (N + 1, 1, 3)
    assert torch.allclose(path[-1, 0], torch.tensor(exact.y[:3, -1]), atol=5e-3)


def test_leapfrog_oscillates_with_the_discrete_frequency():
    # y'' = -c^2 y: cos(w h) = 1 - (c h)^2 / 2 and y_{-1} = y_0 gives a shifted cosine
    c, h, N = 1.3, 0.2, 50
    path = stable.leapfrog_forward(
        torch.ones(1, 1, dtype=F64),
        torch.full((N, 1, 1), c, dtype=F64),
        torch.zeros(N, dtype=F64),
        h,
        activation=lambda u: u,
    )
    w = math.acos(1 - (c * h) ** 2 / 2)
    j = torch.arange(N + 1, dtype=F64)
    expected = torch.cos((j + 0.5) * w) / math.cos(w / 2)
    assert torch.allclose(path[:, 0, 0], expected, atol=1e-12)


# ----------------------------------------------------------- weights as functions of t


def test_smoothness_of_straight_lines_is_the_integral():
    N, T = 50, 2.0
    t = torch.arange(N, dtype=F64) * T / N
    K, b = t.view(N, 1, 1) * torch.ones(3, 3, dtype=F64), 2 * t
    expected = (9 + 4) / 2 * (T - T / N)
    assert stable.smoothness(K, b, T / N).item() == pytest.approx(expected)
    assert stable.smoothness(K[:1], b[:1], T).item() == 0.0


def test_prolong_samples_the_linear_interpolant():
    theta = draw(6, 2, 3)
    fine = stable.prolong(theta)
    times = np.arange(12) / 2
    for i in range(2):
        for k in range(3):
            expected = np.interp(times, np.arange(6), theta[:, i, k].numpy())
            assert np.allclose(fine[:, i, k].numpy(), expected)
    assert torch.equal(stable.prolong(theta[:1]), theta[:1].expand(2, 2, 3))


def test_a_finer_network_has_the_same_function_of_time_and_kind():
    net = stable.AntisymmetricNet(draw(4, 3, 3), draw(4), 2.0, torch.relu, 0.3)
    fine = net.refined()
    assert type(fine) is stable.AntisymmetricNet and fine.gamma == 0.3
    assert fine.h == net.h / 2 and fine.activation is torch.relu
    assert torch.equal(fine.K[::2], net.K)
    # the integral of |dK/dt|^2 is that of the coarse network
    assert fine.regularity().item() == pytest.approx(net.regularity().item())


# ----------------------------------------------------------- networks


def test_networks_are_their_steps():
    K, b, Y = draw(4, 3, 3), draw(4, seed=1), draw(5, 3, seed=2)
    h = 0.5
    res = stable.ResidualNet(K, b, 2.0).trajectory(Y)
    anti = stable.AntisymmetricNet(K, b, 2.0, gamma=0.4).trajectory(Y)
    ham = stable.HamiltonianNet(K, b, 2.0).trajectory(Y)
    y, z = Y, torch.zeros_like(Y)
    for j in range(4):
        A = stable.antisymmetric(K[j], 0.4)
        assert torch.allclose(res[j + 1], res[j] + h * torch.tanh(res[j] @ K[j] + b[j]))
        assert torch.allclose(anti[j + 1], anti[j] + h * torch.tanh(anti[j] @ A + b[j]))
        y, z = stable.verlet_step(y, z, K[j], b[j], h)
        assert torch.allclose(ham[j + 1], y)
    leap = stable.LeapfrogNet(K, b, 2.0)
    assert torch.allclose(leap.trajectory(Y), stable.leapfrog_forward(Y, K, b, h))
    assert torch.equal(leap(Y), leap.trajectory(Y)[-1])


@pytest.mark.parametrize("kind", stable.NETS.values())
def test_convolutions_are_matrices(kind):
    """A net of kernels agrees with the net of the matrices of its convolutions."""
    size, channels, N = 4, 2, 3
    K, b = draw(N, channels, channels, 3, 3), draw(N, seed=1)
    pixels = torch.eye(channels * size**2, dtype=F64)
    images = pixels.view(-1, channels, size, size)
    matrices = torch.stack(
        [torch.nn.functional.conv2d(images, k, padding=1).flatten(1) for k in K]
    )
    x = draw(5, channels, size, size, seed=2)
    convolved = kind(K, b, 1.5, gamma=0.1)(x).flatten(1)
    assert torch.allclose(convolved, kind(matrices, b, 1.5, gamma=0.1)(x.flatten(1)))


def test_narrow_input_is_padded_with_zeros():
    net = stable.ResidualNet(draw(3, 4, 4), draw(3), 1.0)
    Y = draw(6, 2)
    wide = torch.cat([Y, torch.zeros(6, 2, dtype=F64)], dim=1)
    assert torch.equal(net(Y), net(wide))
    assert net.trajectory(Y).shape == (4, 6, 4)


def test_image_net_has_the_width_of_the_talk():
    net = stability.initial_image_net("Hamiltonian", 28)
    assert net.head.in_features == 4704 == 6 * 28 * 28
    assert net(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    state = torch.get_rng_state()
    stability.initial_image_net("ResNet", 8)
    assert torch.equal(torch.get_rng_state(), state)


def test_sensitivity_is_the_stretching_of_small_differences():
    net = stable.HamiltonianNet(draw(8, 3, 3), draw(8), 2.0)
    y = draw(3, seed=3)
    values = stable.sensitivity(net, y)
    with torch.no_grad():
        columns = [
            (net((y + 1e-6 * e)[None]) - net((y - 1e-6 * e)[None]))[0] / 2e-6
            for e in torch.eye(3, dtype=F64)
        ]
    expected = torch.linalg.svdvals(torch.stack(columns))
    assert torch.allclose(values, expected, rtol=1e-6)


def test_antisymmetric_nets_keep_the_volume_and_contracting_ones_forget():
    K, y, T = draw(1, 3, 3), draw(3, seed=1), 5.0

    def values(kind, K, N):
        net = kind(K.expand(N, 3, 3), torch.zeros(N, dtype=F64), T)
        return stable.sensitivity(net, y)

    # The Jacobian D A has no trace: only the error of Euler's method changes volumes.
    growth = [values(stable.AntisymmetricNet, K, N).prod().log() for N in (512, 1024)]
    assert 1.8 < growth[0] / growth[1] < 2.2
    pull = K - (torch.linalg.eigvals(K).real.max() + 1) * torch.eye(3, dtype=F64)
    assert values(stable.ResidualNet, pull, 512).min() < 1e-3


# ----------------------------------------------------------- multilevel training


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_classifier_is_the_minimiser(n_classes):
    Y, labels = draw(80, 3), torch.arange(80) % n_classes
    Y = Y + labels[:, None]
    found = multilevel.solve_classifier(Y, labels, n_classes, 0.01, tol=1e-10)
    columns = found.W.shape[1]
    assert columns == (1 if n_classes == 2 else n_classes)

    def value(v):
        V = torch.tensor(v, dtype=F64).view(4, columns)
        loss = multilevel.cross_entropy(Y @ V[:3] + V[3], labels)
        return float(loss + 0.005 * V[:3].square().sum())

    v = torch.cat([found.W, found.mu[None]]).flatten().numpy()
    best = scipy.optimize.minimize(value, np.zeros_like(v), tol=1e-12)
    assert value(v) <= best.fun + 1e-9
    W = torch.tensor(best.x).view(4, columns)[:3]
    assert torch.allclose(found.W, W, atol=1e-3)


def test_the_classifier_survives_a_hopeless_start_and_separable_data():
    Y = torch.cat([draw(30, 2), draw(30, 2) + 10])
    labels = torch.arange(2).repeat_interleave(30)
    start = multilevel.Classifier(
        torch.full((2, 1), -1e3, dtype=F64), torch.zeros(1, dtype=F64)
    )
    found = multilevel.solve_classifier(Y, labels, 2, 1e-4, start)
    assert torch.equal(found.predict(Y), labels)


def small_problem():
    X = draw(60, 2)
    labels = (X.norm(dim=1) > 1).long()
    return multilevel.Data(X[:40], labels[:40], X[40:], labels[40:], 2)


def test_the_recorded_objective_is_the_reduced_one_and_falls():
    data = small_problem()

    def reduced(K, b):
        net = stable.HamiltonianNet(K, b, 4.0)
        with torch.no_grad():
            Y = net(data.points)
            best = multilevel.solve_classifier(Y, data.labels, 2, 0.01, tol=1e-11)
            loss = multilevel.cross_entropy(best.logits(Y), data.labels)
            loss = loss + 0.005 * best.W.square().sum()
            return float(loss + 0.1 * net.regularity())

    K, b = draw(3, 2, 2), draw(3)
    net = stable.HamiltonianNet(K, b, 4.0)
    trained = multilevel.train_level(net, data, 0.1, 4, alpha_W=0.01)
    history = trained.level.objective
    assert history[0] == pytest.approx(reduced(K, b), abs=1e-6)
    assert history[-1] == pytest.approx(
        reduced(trained.net.K.detach(), trained.net.b.detach()), abs=1e-6
    )
    assert len(history) == 5 and all(b < a for a, b in itertools.pairwise(history))


def test_levels_double_and_go_on_from_the_last_one():
    data = small_problem()
    net = stable.AntisymmetricNet(draw(2, 2, 2), torch.zeros(2, dtype=F64), 4.0)
    levels = list(multilevel.train_multilevel(net, data, 1e-3, 9, 5))
    assert [trained.level.layers for trained in levels] == [2, 4, 8]
    assert [len(trained.net.K) for trained in levels] == [2, 4, 8]
    last = levels[-1]
    predicted = last.classifier.predict(last.net(data.val_points))
    share = (predicted == data.val_labels).double().mean().item()
    assert last.level.val_accuracy[-1] == pytest.approx(share)


# ----------------------------------------------------------- the study


def test_the_data_have_the_sizes_of_the_talk():
    sizes = {"ellipses": (1000, 200), "swiss roll": (513, 513), "peaks": (4000, 1000)}
    for name, (train, val) in sizes.items():
        data = stability.load(stability.PROBLEMS[name])
        assert (len(data.points), len(data.val_points)) == (train, val)
        assert data.points.dtype == F64
        assert set(data.labels.tolist()) == set(range(data.n_classes))


def test_the_hamiltonian_network_unrolls_the_swiss_roll():
    problem = stability.PROBLEMS["swiss roll"]
    (trained,) = stability.train(problem, "Hamiltonian", 16, 60)
    assert trained.level.val_accuracy[-1] >= 0.98


def test_levels_of_the_toy_study_go_on_from_each_other(tmp_path):
    study = stability.STUDIES["toy"]

    def run(folder, last):
        jobs = stability.toy_jobs(["ellipses"], ["ResNet"], last=last, iterations=3)
        rows = study.run(jobs, tmp_path / folder)
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

    once = run("once", 8)
    assert [row["layers"] for row in once] == [4, 8]
    assert len(once[1]["objectives"]) == 4
    assert run("twice", 4) == once[:1]
    assert run("twice", 8) == once
    data = stability.load(stability.PROBLEMS["ellipses"])
    levels = stability.train(stability.PROBLEMS["ellipses"], "ResNet", 8, 3, data)
    for row, trained in zip(once, levels, strict=True):
        assert row["objectives"] == pytest.approx(trained.level.objective, rel=1e-3)


def test_the_image_study_on_a_few_digits(tmp_path, monkeypatch, capsys):
    parts = [(draw(20, 1, 8, 8).float(), torch.arange(20) % 10)] * 3
    monkeypatch.setattr(stability, "split_images", lambda dataset: parts)
    arguments = ["images", "--dataset", "digits", "--out", str(tmp_path)]
    arguments += ["--device", "cpu", "--epochs", "2", "--nets", "Hamiltonian"]
    arguments += ["--seeds", "0"]
    stability.main([*arguments, "--last", "4"])
    stability.main([*arguments, "--last", "8"])
    rows = stability.STUDIES["images"].results(tmp_path)
    assert [row["layers"] for row in rows] == [4, 8]
    assert all(0 <= row["val_error"] <= 1 for row in rows)
    assert "val_error" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="toy or images"):
        stability.main([])


def test_the_records_hold_every_level_of_the_toy_study():
    names = ("data", "net", "seed", "layers", "iterations")
    kept = {tuple(row[name] for name in names) for row in stability.recorded("toy")}
    assert kept == {tuple(vars(job).values()) for job in stability.toy_jobs()}
    names = ("data", "net", "seed", "layers", "epochs")
    kept = {tuple(row[name] for name in names) for row in stability.recorded("images")}
    assert kept <= {tuple(vars(job).values())[:5] for job in stability.image_jobs()}
