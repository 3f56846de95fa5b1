"""The tables on CIFAR: every row is one command, and says what was measured."""

from dataclasses import replace

import pytest
import torch

from odenets.data import images
from odenets.studies import continuous, convergence, study, tables

torch.set_num_threads(1)

COMMANDS = {
    "resnet-20": "--name cifar10 --arch ResNet --depth_res 20",
    "euler-2": "--model ContinuousNet --scheme euler --dataset CIFAR10",
    "rk4-1-2": "--dataset cifar10 --scheme rk4_classic --initial_time_d 1 --refine 25",
    "rk4-1-8": "--dataset cifar10 --scheme rk4 --initial-time-d 1 --refine 30 50 70",
    "wideresnet-58": "--dataset CIFAR100 --model WideResNet --initial-time-d 8",
    "wide-euler-8": "--dataset CIFAR100 --model WideContinuousNet --initial_time_d 8",
}


@pytest.mark.parametrize("recipe", tables.RECIPES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_row_is_one_command(name, recipe, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(continuous, "train", lambda job, *_, **__: ran.append(job))
    own = "".join(
        f" --{flag} {value}"
        for flag, value in tables.OWN.get((name, recipe), {}).items()
    )
    options = f"{COMMANDS[name]}{own} --seed 2 --out {tmp_path}"
    command = f"train --recipe {recipe} {options}"
    assert continuous.main(command.split()) == 0
    (job,) = tables.jobs([name], [recipe], [2])
    if name == "wideresnet-58":  # depth 58 is that of 8 cells
        job = replace(job, run=replace(job.run, depth=None, initial_time_d=8))
    assert ran == [job.run]


def test_rows_have_the_published_sizes():
    millions = {"resnet-20": 0.27, "euler-2": 0.27, "rk4-1-2": 0.27, "resnet-56": 0.86}
    millions |= {"euler-8": 0.86, "rk4-1-8": 0.86}
    millions |= {"wideresnet-58": 13.63, "wide-euler-8": 13.63}
    for name, published in millions.items():
        (job,) = tables.jobs([name], ["sheet"], [1])
        net = continuous.build(job.run)
        for _ in job.run.refine:
            net = net.refined()
        count = sum(p.numel() for p in net.parameters())
        assert round(count / 1e6, 2) == published


def test_jobs_of_the_record():
    jobs = tables.jobs()
    assert len(jobs) == len(set(jobs)) == 2 * (3 * 3 + 8)
    assert set(tables.PUBLISHED) == set(tables.ROWS)
    sheet = {job.row: job.run for job in jobs if job.recipe == "sheet"}
    assert sheet["rk4-2"].weight_decay == 1e-4 and sheet["euler-2"].weight_decay == 5e-4
    assert all(run.epochs == 120 and run.batch_size == 128 for run in sheet.values())


@pytest.fixture
def small(monkeypatch):
    """A few coloured digits for CIFAR, one epoch; return the jobs."""
    data = images.digits(size=8)
    colours = images.ImageData(
        *(images.Labelled(part.images.repeat(1, 3, 1, 1), part.labels) for part in data)
    )
    monkeypatch.setitem(images.DATASETS, "cifar10", lambda: colours)
    tiny = dict(alpha=2, n_train=64, n_test=40, epochs=1, refine=())
    monkeypatch.setattr(continuous, "_plot_history", lambda rows, path: None)
    monkeypatch.setattr(continuous, "_plot_manifestation", lambda *a: None)

    def jobs(names, seeds):
        return [
            replace(job, run=replace(job.run, **tiny))
            for job in tables.jobs(names, ["best"], seeds)
        ]

    return jobs


def test_the_table_joins_seeds_and_shows_what_was_published(small, tmp_path):
    jobs = small(["rk4-2", "resnet-20"], [1, 2])
    results = tables.STUDY.run(jobs, tmp_path, "cpu")
    assert [row["seed"] for row in results] == [1, 2, 1, 2]
    path = tables.STUDY.record(jobs, tmp_path, tmp_path / "tables.csv")
    first, second = tables.recorded(path)
    assert (first["row"], second["row"]) == ("resnet-20", "rk4-2")  # as in the sheet
    assert first["published"] == 0.9131 and first["published_seconds"] == 48 * 60
    mine = [row["accuracy"] for row in results[:2]]
    assert second["seeds"] == "1 2" and second["card"] == "none"
    assert second["accuracy"] == pytest.approx(sum(mine) / 2, abs=1e-4)
    assert (second["lowest"], second["highest"]) == (min(mine), max(mine))
    assert second["seconds"] == max(row["seconds"] for row in results[:2])


def test_convergence_goes_on_from_the_tables(small, tmp_path, monkeypatch):
    (job,) = small(["rk4-2"], [1])
    (trained,) = tables.STUDY.run([job], tmp_path, "cpu")
    monkeypatch.setattr(continuous.training.Step, "epoch", None)  # nothing is trained
    convergence.STUDY.run([job], tmp_path, "cpu")
    path = convergence.STUDY.record([job], tmp_path, tmp_path / "convergence.csv")
    rows = convergence.recorded(path)
    assert {row["n_steps"] for row in rows} == set(convergence.STEPS[2])
    own = [r["accuracy"] for r in rows if (r["scheme"], r["n_steps"]) == ("rk4", 2)]
    assert own == [trained["accuracy"]]
    folder = study.checkpoint(job, tmp_path).with_suffix("")
    assert (folder / "manifestation.csv").exists()


def test_the_record_says_what_its_study_claims():
    seeds = {}
    for job in tables.jobs():
        seeds.setdefault((job.row, job.recipe), []).append(str(job.run.seed))
    kept = {(r["row"], r["recipe"]): str(r["seeds"]).split() for r in tables.recorded()}
    assert kept == seeds
    best = {row["row"]: row for row in tables.recorded() if row["recipe"] == "best"}
    assert list(best) == list(tables.ROWS)
    assert all(10 * row["seconds"] < row["published_seconds"] for row in best.values())
    short_of = {n for n, row in best.items() if row["accuracy"] < row["published"]}
    assert not short_of


def test_the_record_of_the_convergence_test():
    """Ties to the step: with more steps each net loses much, a little or nothing."""
    found = {(r["row"], r["scheme"], r["n_steps"]): r for r in convergence.recorded()}
    accuracy = {key: row["accuracy"] for key, row in found.items()}
    assert len(accuracy) == 8 * sum(map(len, convergence.STEPS.values()))
    trained = {(row["row"], row["recipe"]): row for row in tables.recorded()}
    for name in ("euler-2", "rk4-2", "euler-8", "rk4-8"):
        scheme, own = name.split("-")[0], int(name[-1])
        row = trained[name, found[name, scheme, own]["recipe"]]
        assert row["lowest"] <= accuracy[name, scheme, own] <= row["highest"]
    for scheme in ("euler", "midpoint", "rk4", "rk4_38"):
        assert accuracy["euler-2", "euler", 2] - accuracy["euler-2", scheme, 16] > 0.06
        assert accuracy["rk4-2", scheme, 16] >= accuracy["rk4-2", "rk4", 2]
        lost = accuracy["euler-8", "euler", 8] - accuracy["euler-8", scheme, 32]
        assert 0.01 < lost < 0.02
        kept = accuracy["rk4-8", scheme, 32] - accuracy["rk4-8", "rk4", 8]
        assert 0 <= kept < 0.002
