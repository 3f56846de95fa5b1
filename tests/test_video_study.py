"""The video study: what it records, and what it trains on."""

import json
from dataclasses import replace

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


def test_write_record_reads_back(tmp_path):
    result = {
        "task": "rotating",
        "tag": "tiny",
        "n_train": 5,
        "n_test": 6,
        "settings": {"seed": 3, "latent_dim": 4, "width": 8, "n_layers": 2}
        | {"augment": 0.1},
        "history": [[250, 0.5], [500, 0.25]],
        "seconds": 7.4,
        "mse_by_depth": [0.5, 0.25],
        "mse_by_depth_and_frame": [[0.5], [0.25]],
    }
    (tmp_path / "tiny.json").write_text(json.dumps(result))
    study.write_record(tmp_path, tmp_path / "record.csv")
    (run,) = study.recorded(tmp_path / "record.csv")
    assert (run["seed"], run["steps"], run["seconds"]) == (3, 500, 7)
    assert run["mse"] == [0.5, 0.25] and run["mse_by_frame"] == [[0.5], [0.25]]


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
