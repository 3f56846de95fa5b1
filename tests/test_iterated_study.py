"""The study of notebook 02: what it trains, what it measures, and that it resumes."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from odenets.data.images import Batches, ImageData, Labelled
from odenets.nets import iterated
from odenets.studies import iterated as study
from odenets.studies.study import settings

RECIPE = study.Recipe(2, 100, 1e-2, kernel_size=3, hidden=16, filters=1)


def run(*jobs, recipe=RECIPE, out=None):
    """Do the jobs on few images, with a small net."""
    jobs = [replace(job, dataset="any", recipe=recipe) for job in jobs]
    return study.run(jobs, out, "cpu")


@pytest.fixture(autouse=True)
def _few_images(monkeypatch, request):
    """150 images whose class is the bright quarter; not at full scale."""
    if request.node.get_closest_marker("full"):
        yield
        return
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (150,), generator=generator)
    pictures = 0.3 * torch.rand(150, 1, 8, 8, generator=generator)
    for i, label in enumerate(labels.tolist()):
        row, column = 4 * (label // 2), 4 * (label % 2)
        pictures[i, 0, row : row + 4, column : column + 4] += 0.7
    data = ImageData(
        Labelled(pictures[:110], labels[:110]), Labelled(pictures[110:], labels[110:])
    )
    monkeypatch.setattr(study, "load", lambda name: data)
    study._data.cache_clear()
    yield
    study._data.cache_clear()


def test_moved_images_are_those_of_a_seed_and_keep_their_labels():
    part = study.load("any").train
    one, two = (study.moved(part, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.labels, part.labels)
    assert one.images.shape == part.images.shape
    assert (one.images - part.images).abs().mean() > 0.01
    low, high = one.images.min().item(), one.images.max().item()
    assert low >= 0 and high <= part.images.max().item() + 1e-6


@pytest.mark.parametrize("net", ["untied", "dense", "cnn_equal", "mlp"])
def test_competitors_are_as_large_as_the_iterated_net(net):
    job = study.Job(net, iterations=1)
    with torch.device("meta"):
        tied = study.build(replace(job, net="iterated"), 28)
        other = study.build(job, 28)
    assert iterated.count(other) == pytest.approx(iterated.count(tied), rel=2e-3)


def test_all_jobs_are_different_and_cover_the_seeds_tables():
    jobs = study.jobs(seeds=[0])
    assert len(set(jobs)) == len(jobs)
    assert {j.iterations for j in study.iteration_jobs()} == {0, 1, 2, 5, 10, 20}
    assert {j.channels for j in study.channel_jobs()} == {1, 2, 5, 10, 20}
    assert len(study.with_seeds(jobs, range(3))) == 3 * len(jobs)


@pytest.mark.parametrize(
    "job",
    [
        study.Job(iterations=2),
        study.Job("untied", iterations=2),
        study.Job("dense", iterations=2),
        study.Job("cnn"),
        study.Job(iterations=3, any_depth=True),
        study.Job(iterations=2, moved=True),
    ],
)
def test_every_kind_of_job_trains_and_repeats(job):
    one, two = (run(job)[0] for _ in range(2))
    assert one["accuracy"] == two["accuracy"] and one["loss"] == two["loss"]
    assert 0 <= one["accuracy"] <= 1 and one["seconds"] > 0
    other = run(replace(job, seed=1))[0]
    assert other["loss"] != one["loss"]


def test_training_learns():
    recipe = replace(RECIPE, epochs=12, batch_size=20)
    row = run(study.Job(iterations=2), recipe=recipe)[0]
    assert row["accuracy"] > 0.95
    assert row["deployed"]["2"] == row["accuracy"]
    assert len(row["residuals"]) == 40


def test_a_contracting_net_stays_below_its_norm():
    recipe = replace(RECIPE, epochs=6, batch_size=20)
    jobs = (study.Job(iterations=3, max_norm=m) for m in (0.0, 0.5))
    free, bound = run(*jobs, recipe=recipe)
    assert free["norm"] > 0.6
    assert bound["norm"] == pytest.approx(0.5, rel=0.02)
    assert bound["residuals"][-1] < 1e-5


def test_iteration_study_is_the_accuracy_at_each_depth():
    class Known(nn.Module):
        def forward(self, x, k):
            assert not self.training
            return nn.functional.one_hot((x + k) % 4, 4).float()

    x = torch.arange(10)
    loader = [(x[:7], x[:7] % 4), (x[7:], torch.full((3,), 3))]
    model = Known()
    assert study.iteration_study(model, loader, (0, 1, 4)) == pytest.approx(
        {0: 0.8, 1: 0.0, 4: 0.8}
    )
    assert model.training


def test_one_pass_gives_the_accuracies_of_all_depths():
    data = study.load("any")
    net, _ = study.train(study.Job(iterations=2, recipe=RECIPE), data)
    batches = Batches(data.test, 7)
    depths = (0, 1, 3, 9)
    assert study.deployed(net.train(), batches, depths) == pytest.approx(
        study.iteration_study(net, batches, depths)
    )
    assert net.training


def test_results_are_resumed_and_a_line_cut_off_is_trained_again(tmp_path):
    jobs = study.with_seeds([study.Job("mlp"), study.Job(iterations=1)], (0, 1))
    rows = run(*jobs, out=tmp_path)
    file = tmp_path / "iterated.jsonl"
    before = file.read_text()
    assert run(*jobs, out=tmp_path) == rows
    assert file.read_text() == before
    file.write_text(before[:-20])
    again = run(*jobs, out=tmp_path)
    assert [r["accuracy"] for r in again] == [r["accuracy"] for r in rows]
    assert again[:3] == rows[:3]
    assert len(study.STUDY.results(tmp_path)) == 4
    # Another recipe is another experiment.
    run(jobs[0], recipe=replace(RECIPE, epochs=1), out=tmp_path)
    assert len(study.STUDY.results(tmp_path)) == 5


def test_summary_joins_seeds_only():
    jobs = study.with_seeds([study.Job("mlp"), study.Job(iterations=1)], (0, 1))
    rows = run(*jobs)
    table = study.summary(rows)
    assert [(t["net"], t["seeds"]) for t in table] == [("mlp", 2), ("iterated", 2)]
    assert table[0]["accuracy"] == (rows[0]["accuracy"] + rows[1]["accuracy"]) / 2
    assert table[1]["lowest"] <= table[1]["accuracy"] <= table[1]["highest"]


def test_a_summary_survives_its_file(tmp_path):
    jobs = [study.Job("mlp"), study.Job(iterations=1)]
    table = study.summary(run(*jobs, out=tmp_path))
    jobs = [replace(job, dataset="any", recipe=RECIPE) for job in jobs]
    kept = study.recorded(study.STUDY.record(jobs, tmp_path, tmp_path / "table.csv"))
    assert len(kept) == 2
    for before, after in zip(table, kept):
        for name, value in after.items():
            assert value == before[name] and type(value) is type(before[name]), name
    assert set(kept[1]["deployed"]) == {str(k) for k in study.DEPLOYED}


def test_the_recorded_results_are_of_every_job_and_reach_the_original():
    rows = study.recorded()
    names = [name for name in settings(study.Job()) if name != "seed"]

    def said(row) -> tuple:
        return tuple(row[name] for name in names)

    by_job = {said(row): row for row in rows}
    assert set(by_job) == {said(settings(job)) for job in study.jobs()}
    for row in rows:
        assert row["lowest"] <= row["accuracy"] <= row["highest"]
        assert (row["dataset"], row["seeds"]) == ("mnist", 3) and row["machine"]
    best = by_job[said(settings(study.Job(channels=5, iterations=10)))]
    assert best["lowest"] >= 0.986 and best["seconds"] <= 141


def test_the_command_trains_what_its_flags_say(tmp_path, capsys, monkeypatch):
    recipe = replace(RECIPE, epochs=4)
    monkeypatch.setitem(study.RECIPES, "digits", recipe)
    arguments = ["competitors", "--dataset", "digits", "--out", str(tmp_path)]
    arguments += ["--seeds", "0", "--epochs", "1", "--batch-size", "50", "--lr", "0.02"]
    study.STUDY.main(arguments)
    rows = study.STUDY.results(tmp_path)
    assert [row["net"] for row in rows] == ["cnn", "cnn_equal", "mlp"]
    assert {(r["epochs"], r["batch_size"], r["lr"]) for r in rows} == {(1, 50, 0.02)}
    assert {row["hidden"] for row in rows} == {16}
    assert "cnn_equal" in capsys.readouterr().out


@pytest.mark.full
def test_mnist_is_as_accurate_as_the_original_in_a_tenth_of_its_time():
    row = study.run([study.Job(channels=5, iterations=10)])[0]
    assert row["accuracy"] >= 0.986
    assert row["seconds"] <= 141
