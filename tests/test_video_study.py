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
        assert len(run["mse"]) == (5 if run["task"] == "rotating" else 4)
        frames = len(study.TASKS[run["task"]].scored)
        for error, by_frame in zip(run["mse"], run["mse_by_frame"]):
            assert len(by_frame) == frames
            assert abs(sum(by_frame) / frames - error) < 2e-5
        assert max(run["mse"][1:]) < run["mse"][0] / 2


def test_the_jobs_are_those_of_the_record():
    jobs = study.jobs()
    assert len(jobs) == len(study.recorded()) == 9
    for run in study.recorded():
        (job,) = (
            job
            for job in jobs
            if (job.task, job.tag, job.settings.seed)
            == (run["task"], run["tag"], run["seed"])
        )
        for name in ("latent_dim", "width", "n_layers", "augment"):
            assert getattr(job.settings, name) == run[name]
        assert (job.n_train, job.n_test) == (run["n_train"], run["n_test"])
        assert job.settings.minutes == 8 and run["steps"] <= job.settings.steps


def test_the_commands_of_the_notebook_name_these_jobs():
    wide = {"width": 128, "n_layers": 3, "latent_dim": 32, "channels": 32}
    asked = [
        *study.jobs(["rotating"], tag="base", seeds=[0], minutes=8.0),
        *study.jobs(["rotating"], tag="wide", seeds=[0], minutes=8.0, **wide),
        *study.jobs(["balls"], tag="base", seeds=[0], minutes=8.0),
    ]
    assert set(asked) <= set(study.jobs())
    with pytest.raises(ValueError, match="--tag"):
        study.jobs(["rotating"], width=128)


def test_a_run_is_scored_by_depth_and_frame(tmp_path):
    settings = replace(TINY, steps=2, minutes=5)
    job = study.Job("balls", "tiny", settings, "mnist", 4, 3)
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
