"""The video study: what it records, and what it trains on."""

from dataclasses import replace

import pytest
import torch

from odenets.studies import video as study

TINY = study.Settings(
    latent_dim=4, width=8, depth=2, channels=8, dense_decoder=16, batch=2, steps=250
)


def test_the_record_holds_every_run_with_its_errors_by_depth():
    runs = study.recorded()
    assert {run["task"] for run in runs} == {"rotating", "balls"}
    for run in runs:
        deepest = study.BEYOND if run["coupled"] else run["trained"]
        assert len(run["mse"]) == deepest + 1
        frames = len(study.TASKS[run["task"]].scored)
        for error, by_frame in zip(run["mse"], run["mse_by_frame"]):
            assert len(by_frame) == frames
            assert abs(sum(by_frame) / frames - error) < 2e-5
        if run["loss"] == "all":  # whoever trains depth 0 too
            assert run["mse"][run["trained"]] < run["mse"][0] / 2


def test_the_record_holds_what_the_networks_draw():
    drawn = study.drawings()
    assert {name.rsplit("/", 1)[0] for name in drawn} == set(study.KEPT)
    for name, frames in drawn.items():
        task, tag, kind = name.split("/")
        (job, *_) = (j for j in study.jobs() if (j.task, j.tag) == (task, tag))
        size = study.TASKS[task].size
        kept = len(study.KEPT[f"{task}/{tag}"])
        assert frames.shape == (job.beyond + 2, kept, size, size), name
        errors = (frames[1:] - frames[0]).square().mean(dim=(1, 2, 3))
        assert errors[job.settings.depth] < errors[0] / 1.5, name
        assert kind in ("training", "test")
    assert study.DRAWINGS.stat().st_size < 300_000


def test_the_jobs_are_those_of_the_record():
    jobs = {(job.task, job.tag, job.settings.seed): job for job in study.jobs()}
    for run in study.recorded():
        job = jobs[run["task"], run["tag"], run["seed"]]
        for name in (
            *("latent_dim", "width", "n_layers", "augment"),
            *("coupled", "variant", "loss", "activation"),
        ):
            assert getattr(job.settings, name) == run[name]
        assert (job.n_train, job.n_test) == (run["n_train"], run["n_test"])
        assert job.settings.depth == run["trained"]
        assert run["steps"] <= job.settings.steps


def test_both_rules_and_both_losses_are_compared_with_three_seeds_each():
    found: dict[tuple, set] = {}
    for job in study.jobs(["coupled"]):
        settings = job.settings
        assert settings.coupled and job.beyond == 8
        key = job.task, settings.variant, settings.loss, settings.activation
        found.setdefault(key, set()).add(settings.seed)
    for task in study.TASKS:
        for variant in ("exact", "approximate"):
            for loss in study.LOSSES:
                assert found[task, variant, loss, "tanh"] == {0, 1, 2}
        assert found[task, "approximate", "deepest", "relu"] == {0, 1, 2}


def test_a_part_of_the_record_is_chosen_by_its_name():
    one = study.jobs(["coupled"], tasks=["balls"], seeds=[0])
    assert one and set(one) < set(study.jobs())
    assert {(job.task, job.settings.seed) for job in one} == {("balls", 0)}
    (mine,) = study.jobs(tag="mine", tasks=["rotating"], seeds=[0], width=80)
    assert (mine.settings.width, mine.settings.latent_dim) == (80, 20)
    with pytest.raises(ValueError, match="--tag"):
        study.jobs(["base"], width=128)


def test_a_loss_of_the_deepest_depth_trains_it_alone():
    task = study.TASKS["rotating"]
    videos = torch.rand(3, 16, 28, 28, generator=torch.Generator().manual_seed(0))
    frames = torch.tensor([[1, 5, 9]] * 3)
    torch.manual_seed(0)
    net = study.build(task, replace(TINY, dense_decoder=0))
    truth = videos[:, [1, 5, 9]]
    predicted = net(videos[:, :1], task.times(frames))
    for loss, depths in (("all", predicted), ("deepest", predicted[-1])):
        value = study.training_loss(net, task, videos, frames, loss)
        torch.testing.assert_close(value, (depths - truth).square().mean())
    with pytest.raises(ValueError, match="loss"):
        study.training_loss(net, task, videos, frames, "last")


def test_a_given_network_is_trained_between_encoder_and_decoder():
    class Middle(torch.nn.Module):  # as a student writes it: no depth to ask for
        def __init__(self):
            super().__init__()
            self.shift = torch.nn.Parameter(torch.zeros(4))

        def forward(self, x, t):
            return torch.stack([x, x + self.shift * t[:, None]])

    videos = torch.rand(4, 16, 28, 28, generator=torch.Generator().manual_seed(0))
    settings = replace(TINY, steps=5)
    net = study.build(study.TASKS["rotating"], settings)
    net.imbedding = Middle()
    task = study.TASKS["rotating"]
    result = study.train(task, settings, videos, model=net)
    assert result.model.imbedding.shift.abs().min() > 0
    assert study.errors(result.model, task, videos).shape == (2, 1)


def test_films_are_trained_without_a_code():
    task = replace(study.TASKS["balls"], size=16)
    settings = replace(TINY, convolutional=True, channels=4, depth=1, steps=60, lr=1e-2)
    videos, test = study.balls_videos(40, 10, n_balls=1)
    small = [v[..., ::2, ::2].contiguous() for v in (videos, test)]
    before = study.errors(study.build(task, settings), task, small[1])
    after = study.errors(study.train(task, settings, small[0]).model, task, small[1])
    assert torch.equal(after[0], before[0])  # the last frame that was seen
    assert after[1].mean() < before[1].mean()


def test_a_run_is_scored_by_depth_and_frame(tmp_path):
    settings = replace(TINY, steps=2, minutes=5)
    job = study.Job("balls", "exact, all", settings, "mnist", 4, 3, beyond=2)
    (row,) = study.STUDY.run([job], tmp_path, "cpu")
    assert row["steps_taken"] == 2 and len(row["history"]) == 1
    assert row["device"] == "cpu" and 0 <= row["seconds"] < 300
    for error, frames in zip(row["mse"], row["mse_by_frame"], strict=True):
        assert len(frames) == 10 and error == pytest.approx(sum(frames) / 10)
    path = study.STUDY.record([job], tmp_path, tmp_path / "record.csv")
    head = study.STUDY.kept.read_text().split("\n")[0]
    assert path.read_text().split("\n")[0] == head
    (run,) = study.recorded(path)
    assert (run["seed"], run["steps"], run["latent_dim"]) == (0, 2, 4)
    assert run["mse"] == pytest.approx(row["mse"], abs=1e-5)
    assert run["mse_by_frame"][2] == pytest.approx(row["mse_by_frame"][2], abs=1e-5)
    drawn = study.drawings(tmp_path / "record_drawings.npz")
    assert set(drawn) == {"balls/exact, all/training", "balls/exact, all/test"}
    _, test = study.balls_videos(4, 3)
    for frames in drawn.values():
        assert frames.shape == (1 + 3, 10, 32, 32)
        assert frames.min() >= 0 and frames.max() <= 1
    truth = drawn["balls/exact, all/test"][0]
    assert (truth - test[1, 3:13]).abs().max() <= 0.5 / study.GREYS + 1e-6


def test_training_ends_in_time():
    videos = torch.rand(4, 16, 28, 28, generator=torch.Generator().manual_seed(0))
    settings = replace(TINY, steps=250_000, minutes=0.01)
    result = study.train(study.TASKS["rotating"], settings, videos)
    steps, _ = result.history[-1]
    assert 0 < steps < 10_000 and 0.6 <= result.seconds < 5


def test_small_digits_have_a_margin_that_a_turn_does_not_cut():
    train, test = study.rotating_videos("digits", 3, 4, 2)
    assert train.shape == (4, 16, 28, 28) and len(test) == 2
    assert train[:, 0, :4].max() == 0 and train[:, 0, :, -4:].max() == 0


def test_balls_videos_take_the_number_of_balls():
    one, _ = study.balls_videos(3, 1, n_balls=1)
    three, _ = study.balls_videos(3, 1)
    assert one.shape == three.shape
    assert one.mean() < 0.5 * three.mean()


def test_training_never_reads_the_held_out_frame():
    videos = torch.rand(4, 16, 28, 28, generator=torch.Generator().manual_seed(0))
    changed = videos.clone()
    changed[:, 4] = 1 - changed[:, 4]
    task = replace(study.TASKS["rotating"], n_random=12)
    settings = replace(TINY, steps=3, augment=0.1)
    one, other = (study.train(task, settings, v).model for v in (videos, changed))
    for a, b in zip(one.parameters(), other.parameters()):
        assert torch.equal(a, b)


def test_a_dense_decoder_draws_pictures_of_the_right_size():
    task = replace(study.TASKS["balls"], size=16)
    net = study.build(task, TINY)
    frames = net(torch.zeros(2, 3, 16, 16), torch.zeros(2, 5))
    assert frames.shape == (3, 2, 5, 16, 16)
