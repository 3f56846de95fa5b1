"""Networks with an ODE inside: shapes, sizes, gradients, and what they promise."""

import math

import pytest
import torch
from torch import nn

from odenets import solvers
from odenets.nets import neural_ode
from odenets.nets.neural_ode import Forecaster, LatentODE, ODEBlock, ODENet
from odenets.studies import spirals


def n_parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_sizes_are_those_of_the_paper():
    assert n_parameters(ODENet()) == 208_266
    ratio = n_parameters(LatentODE()) / n_parameters(Forecaster())
    assert ratio == pytest.approx(1, abs=0.02)


def test_block_solves_its_field_and_counts():
    block = ODEBlock(neural_ode.LatentField(3).double(), tolerance=1e-8)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()
    exact = solvers.solve(block.field, x, 0.0, 1.0, rtol=1e-11, atol=1e-11)
    assert torch.allclose(block(x), exact, atol=1e-7)
    assert block.forward_stats.nfe > 0 and block.backward_stats.nfe == 0
    block(x.requires_grad_()).sum().backward()
    assert block.backward_stats.nfe > 0
    block.reset_stats()
    assert block.forward_stats.nfe == block.backward_stats.nfe == 0


def test_adjoint_and_backpropagation_agree():
    torch.manual_seed(0)
    block = ODEBlock(neural_ode.LatentField(3).double(), tolerance=1e-9)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()
    grads = []
    for block.adjoint in (True, False):
        block.zero_grad()
        block(x).square().sum().backward()
        grads.append(torch.cat([p.grad.reshape(-1) for p in block.parameters()]))
    # The kinks of the field's second derivative (ELU) keep both from the tolerance.
    assert (grads[0] - grads[1]).norm() < 1e-4 * grads[1].norm()


@pytest.mark.parametrize("size", [12, 16, 28])
def test_the_classifier_gives_scores_sample_by_sample(size):
    torch.manual_seed(0)
    net = ODENet(4, n_classes=7, image_channels=2).eval()
    x = torch.rand(3, 2, size, size)
    scores = net(x)
    assert scores.shape == (3, 7)
    alone = torch.cat([net(image[None]) for image in x])
    # The steps depend on the batch.
    assert torch.allclose(scores, alone, atol=1e-2)


def test_an_ode_net_learns():
    torch.manual_seed(0)
    net = ODENet(4, n_classes=2)
    x = torch.rand(20, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(20) % 2
    x[labels == 1, :, :8] += 1.0
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
    assert (net(x).argmax(1) == labels).float().mean() > 0.9


# ------------------------------------------------------------------- time series


def test_elbo_against_distributions():
    generator = torch.Generator().manual_seed(0)
    x, x_hat = (torch.randn(3, 5, 2, generator=generator) for _ in range(2))
    mean, log_var = (torch.randn(3, 4, generator=generator) for _ in range(2))
    posterior = torch.distributions.Normal(mean, (0.5 * log_var).exp())
    prior = torch.distributions.Normal(torch.zeros(4), 1.0)
    expected = torch.distributions.Normal(x_hat, 0.3).log_prob(x).sum((1, 2))
    expected = expected - torch.distributions.kl_divergence(posterior, prior).sum(1)
    assert torch.allclose(neural_ode.elbo(x, x_hat, mean, log_var, 0.3), expected)


def test_elbo_is_a_lower_bound_and_tight_for_the_exact_posterior():
    # z ~ N(0, 1), x = z + noise: evidence and posterior are known
    sigma, x = 0.5, torch.tensor([[[0.8]]]).double()
    evidence = torch.distributions.Normal(0.0, math.sqrt(1 + sigma**2)).log_prob(x)
    variance = sigma**2 / (1 + sigma**2)
    exact_mean, generator = x / (1 + sigma**2), torch.Generator().manual_seed(0)

    def bound(mean, variance):
        noise = torch.randn(200_000, 1, 1, generator=generator, dtype=torch.float64)
        z = mean + math.sqrt(variance) * noise
        shape = (len(noise), 1)
        return neural_ode.elbo(
            x.expand_as(z),
            z,
            mean.reshape(1, 1).expand(shape),
            torch.full(shape, math.log(variance)).double(),
            sigma,
        ).mean()

    assert bound(exact_mean, variance).item() == pytest.approx(
        evidence.item(), abs=0.01
    )
    assert bound(exact_mean + 0.3, variance) < evidence - 0.05
    assert bound(exact_mean, 4 * variance) < evidence - 0.05


def test_latent_ode_shapes_times_and_noise():
    torch.manual_seed(0)
    model = LatentODE(n_values=3)
    times = torch.tensor([[0.1, 0.5, 0.7], [0.0, 0.2, 0.9]])
    x = torch.randn(2, 3, 3)
    ahead = torch.linspace(0, 2, 7)
    x_hat, mean, log_var = model(times, x, ahead)
    assert x_hat.shape == (2, 7, 3) and mean.shape == log_var.shape == (2, 3)
    assert torch.equal(x_hat, model(times, x, ahead)[0])  # without noise: the mean
    drawn = [
        model(times, x, ahead, torch.Generator().manual_seed(s))[0] for s in (1, 1, 2)
    ]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    later = model(times, x, ahead[3:])[0]  # the first time asked for is not 0
    assert torch.allclose(later, x_hat[:, 3:], atol=1e-3)
    before = model.latent_path(mean, torch.tensor([-0.5, -1.0]))
    back = solvers.solve(model.field, before[:, 1], -1.0, 0.0)
    assert torch.allclose(back, mean, atol=1e-3)


def test_encoder_reads_values_and_times():
    torch.manual_seed(0)
    encoder = neural_ode.Encoder()
    times, x = torch.tensor([[0.0, 0.3, 1.0]]), torch.randn(1, 3, 2)
    mean, log_var = encoder(times, x)
    assert (log_var < -3).all()  # nearly certain before it has learned anything
    assert not torch.allclose(mean, encoder(torch.tensor([[0.0, 0.6, 1.0]]), x)[0])
    assert not torch.allclose(mean, encoder(times, x.flip(1))[0])
    # The same series seen later: the way back to time 0 is longer.
    assert not torch.allclose(mean, encoder(times + 0.5, x)[0], atol=1e-3)


def test_a_trained_encoder_finds_time_0_however_late_the_first_observation_is():
    """Values on a line of known speed: x(0) follows from x and the times."""
    torch.manual_seed(0)
    encoder = neural_ode.Encoder(n_values=1, latent=1)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(encoder.parameters(), 0.02)

    def draw(n):
        start = torch.rand(n, 1, generator=generator)
        times = 0.2 * torch.rand(n, 4, generator=generator).cumsum(1)
        return start, times, (start + times)[:, :, None]

    for _ in range(300):
        start, times, x = draw(100)
        loss = (encoder(times, x)[0] - start).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    start, times, x = draw(500)
    # Blind to the time before the first value it would be off by 0.2 / sqrt(12) = 0.06.
    assert (encoder(times, x)[0] - start).square().mean().sqrt().item() < 0.02


@pytest.mark.parametrize("hidden", [None, 20])
def test_the_decoder_is_linear_unless_asked_otherwise(hidden):
    torch.manual_seed(0)
    model = LatentODE(decoder_hidden=hidden)
    z, w = torch.randn(2, 50, 3)
    middle = (model.decode(z) + model.decode(w)) / 2
    linear = torch.allclose(model.decode((z + w) / 2), middle, atol=1e-5)
    assert linear == (hidden is None)


@pytest.mark.parametrize("cell", [torch.nn.RNN, torch.nn.GRU])
def test_forecaster_never_looks_ahead(cell):
    torch.manual_seed(0)
    model = Forecaster(cell=cell)
    times, x = torch.rand(2, 6).cumsum(1), torch.randn(2, 6, 2)
    predicted = model(times, x)
    assert predicted.shape == (2, 5, 2)
    changed = x.clone()
    changed[:, 3:] += 10
    assert torch.equal(model(times, changed)[:, :3], predicted[:, :3])
    one = model.extrapolate(times[:, :5], x[:, :5], times[:1, 5])[0]
    assert torch.allclose(one[0], predicted[0, 4], atol=1e-6)


def test_observed_series_are_windows_with_times_of_their_own():
    data = spirals.observe(20, 30, seed=0, ahead=True)
    assert data.x.shape == (20, 30, 2) and data.truth.shape == (20, 200, 2)
    assert (data.times.diff(dim=1) > 0).all()
    assert torch.equal(data.times, data.grid[data.index])
    noise = data.x - spirals.take(data.truth, data.index)
    assert noise.std().item() == pytest.approx(spirals.SIGMA, rel=0.1)
    assert not torch.equal(data.index[0], data.index[1])
    rows = data.rows(torch.tensor([3, 5]))
    assert torch.equal(rows.x[1], data.x[5]) and len(rows.grid) == 200


@pytest.mark.parametrize("name", list(spirals.MODELS))
def test_training_lowers_the_loss_and_goes_on_where_it_was(name, tmp_path):
    data = [spirals.observe(30, 20, seed=1)]
    _, losses = spirals.train(name, data, 120, batch_size=20)
    assert len(losses) == 6 and losses[-1] < 0.5 * losses[0]
    path = tmp_path / "run.pt"
    with pytest.MonkeyPatch.context() as patch:
        stop = iter(range(110))
        build, loss, lrs = spirals.MODELS[name]

        def interrupted(*arguments):
            if next(stop, None) is None:
                raise KeyboardInterrupt
            return loss(*arguments)

        recipe = spirals.Recipe(build, interrupted, lrs)
        patch.setitem(spirals.MODELS, name, recipe)
        with pytest.raises(KeyboardInterrupt):
            spirals.train(name, data, 120, batch_size=20, checkpoint=path)
    _, again = spirals.train(name, data, 120, batch_size=20, checkpoint=path)
    assert again == losses  # bit for bit, from iteration 100 on


def test_a_job_is_observed_trained_and_scored(tmp_path):
    jobs = spirals.jobs(["rnn"], ["30", "all"], seeds=[0], iterations=2, n=10)
    assert len(jobs) == 4  # two learning rates
    rows = spirals.STUDY.run(jobs, tmp_path)
    assert {"within_30", "ahead_30"} <= set(rows[0])
    assert {"ahead_30", "ahead_50", "ahead_100"} <= set(rows[1])
    again, _ = spirals.train(
        "rnn", [spirals.observe(10, 30, seed=1000)], 2, lr=jobs[0].lr
    )
    test = spirals.observe(10, 30, seed=0, ahead=True)
    assert rows[0]["ahead_30"] == round(spirals.errors(again, test)["ahead"], 4)
    kept = spirals.recorded(spirals.STUDY.record(jobs, tmp_path, tmp_path / "kept.csv"))
    assert [row["trained_on"] for row in kept] == ["30", "all"] * 2
    assert kept[1]["ahead_100"] == rows[1]["ahead_100"]


def test_the_jobs_are_those_of_the_record():
    kept = {spirals.Job(*list(row.values())[:7]) for row in spirals.recorded()}
    jobs = spirals.jobs()
    assert kept == set(jobs) and len(jobs) == len(kept)
    assert spirals.jobs(lrs=[0.01], seeds=[1]) == [
        job for job in jobs if (job.lr, job.seed) == (0.01, 1)
    ]


def test_the_record_is_complete_and_the_latent_ode_wins():
    """What notebook 05 says of the paper's protocol, read off the recorded runs."""
    rows = spirals.recorded()
    for where in ("within", "ahead"):
        for k in spirals.COUNTS:
            found = {name: [] for name in ("latent_ode", "rnn")}
            for row in rows:
                if row["model"] in found and row["trained_on"] == str(k):
                    assert row["iterations"] == 8000
                    found[row["model"]].append(row[f"{where}_{k}"])
            assert len(found["latent_ode"]) == 3 and len(found["rnn"]) == 6
            mean = sum(found["latent_ode"]) / 3
            assert mean < min(found["rnn"])


def test_reverse_reconstruction():
    def solve(f, y0, t0, t1):
        return solvers.solve(f, y0, t0, t1, rtol=1e-6, atol=1e-8)

    y0 = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    turning = torch.tensor([[0.0, 1.0], [-1.0, 0.0]]).double()
    assert (
        neural_ode.reverse_reconstruction_error(
            lambda t, y: y @ turning, y0, 5.0, solve
        )
        < 1e-4
    )
    lost = neural_ode.reverse_reconstruction_error(
        lambda t, y: -4 * torch.tanh(y), y0, 5.0, solve
    )
    assert lost > 0.1
