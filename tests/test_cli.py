"""The command line: every flag is obeyed, and no run is lost."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from odenets import training
from odenets.data import images
from odenets.nets import continuous
from odenets.studies import continuous as study
from odenets.studies.study import settings

torch.set_num_threads(1)

SMALL = "--alpha 2 --stages 1 --n-train 60 --n-test 40 --batch-size 32 --epochs 2"


SLOW = {"test_train_writes_its_results", "test_kill_in_the_middle_of_an_epoch"}


@pytest.fixture(autouse=True)
def fast(request, monkeypatch):
    """Digits of 8 x 8 pixels and no history figure, but for the tests in `SLOW`."""
    if request.node.name not in SLOW:
        small_digits = images.digits(size=8)
        monkeypatch.setitem(images.DATASETS, "digits", lambda: small_digits)
        monkeypatch.setattr(study, "_plot_history", lambda rows, path: None)


@pytest.fixture
def train(tmp_path):
    """Run `train` on a few digits; return its checkpoint and its rows."""

    def run(more="", out="run", status=0):
        arguments = ["train", *SMALL.split(), *more.split()]
        arguments += ["--device", "cpu"] if "--device" not in more else []
        assert study.main([*arguments, "--out", str(tmp_path / out)]) == status
        if status:
            return None, None
        with open(tmp_path / out / "log.jsonl") as file:
            rows = [json.loads(line) for line in file]
        return training.load_checkpoint(tmp_path / out / "checkpoint.pt"), rows

    return run


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def build(state):
    return study.build(study.Job(**state["config"]))


def without_times(rows):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


# ------------------------------------------------------------------ what is written


def test_train_writes_its_results(train, tmp_path, capsys):
    state, rows = train()
    folder = tmp_path / "run"
    names = {"checkpoint.pt", "log.jsonl", "history.csv", "history.png"}
    assert {p.name for p in folder.iterdir()} == names
    assert [row["epoch"] for row in rows] == [1, 2]
    with open(folder / "history.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [float(r["loss"]) for r in table] == [r["loss"] for r in rows]
    assert (folder / "history.png").read_bytes()[:4] == b"\x89PNG"
    captured = capsys.readouterr()
    assert "epoch 2/2" in captured.out and captured.err == ""
    # The accuracy in the table is that of the weights in the checkpoint.
    model = build(state)
    model.load_state_dict(state["model"])
    data = study.load_data("digits", 60, 40, torch.device("cpu"))
    again = training.accuracy(model, images.Batches(data.test, 7))
    assert again == pytest.approx(rows[-1]["test_accuracy"])


def test_the_same_command_gives_the_same_run(train):
    first, rows = train(out="a")
    second, again = train(out="b")
    assert same(first["model"], second["model"])
    assert without_times(rows) == without_times(again)


# -------------------------------------------------------------------- flag by flag


@pytest.mark.parametrize(
    "flag",
    [
        "--lr 0.05",
        "--weight-decay 0.5",
        "--seed 2",
        "--batch-size 20",
        "--scheme rk4",
        "--time-epsilon 1",
        "--n-time-steps-per 2",
        "--lr-decay-epoch 1 --lr-decay 0.5",
        "--n-train 50",
        "--model ContinuousNetPreActivation",
        "--alpha 3",
    ],
)
def test_a_flag_changes_the_run(train, flag):
    base, rows = train(out="base")
    other, changed = train(flag, out="other")
    assert not same(base["model"], other["model"])
    assert rows[-1]["loss"] != changed[-1]["loss"]


def test_scheme_cells_steps_and_epsilon(train):
    state, rows = train("--scheme midpoint --initial-time-d 3 --n-time-steps-per 2")
    model = build(state)
    assert model.scheme == "midpoint" and model.n_cells == 3 and model.n_steps == 6
    assert model.blocks[0].epsilon == 3.0
    assert (rows[0]["n_cells"], rows[0]["n_steps"]) == (3, 6)
    state, _ = train("--time-epsilon 0.25", out="slow")
    assert build(state).blocks[0].epsilon == 0.25


def test_models(train):
    def counts(flags, out):
        return train(flags, out=out)[1][0]["parameters"]

    wide = "--model WideContinuousNet --widen-factor"
    assert counts(f"{wide} 3", "w3") > counts(f"{wide} 2", "w2")
    shallow = counts("--model ResNet --stages 3 --depth 8", "r8")
    assert counts("--model ResNet --stages 3", "r20") > shallow
    state, _ = train("--model ContinuousNetPreActivation", out="pre")
    assert isinstance(build(state).blocks[0].cells[0][1], nn.ReLU)


def test_skip_init_and_batch_norm(train):
    state, _ = train("--skip-init", out="skip")
    assert sum(k.endswith("factor") for k in state["model"]) == 3
    assert any("running_mean" in k for k in state["model"])
    state, _ = train("--no-batch-norm --lr 0.01", out="bare")
    assert not any("running_mean" in k for k in state["model"])


def test_learning_rate_schedule(train):
    _, rows = train("--epochs 5 --lr 0.2 --lr-decay 0.5 --lr-decay-epoch 1 3", out="a")
    assert [r["lr"] for r in rows] == pytest.approx([0.2, 0.1, 0.1, 0.05, 0.05])
    _, rows = train("--epochs 8", out="b")
    expected = [0.1] * 2 + [0.01] * 2 + [0.001] * 2 + [0.0001] * 2
    assert [r["lr"] for r in rows] == pytest.approx(expected)
    _, rows = train("--epochs 3 --lr-decay-epoch", out="c")
    assert [r["lr"] for r in rows] == [0.1] * 3


def test_cosine_and_warm_up(train):
    # 2 steps an epoch; the rate of an epoch is that of its first step.
    flags = "--epochs 4 --lr 0.2 --schedule cosine"
    _, rows = train(flags, out="cosine")
    cosine = [(1 + math.cos(math.pi * e / 4)) / 2 * 0.2 for e in range(4)]
    assert [r["lr"] for r in rows] == pytest.approx(cosine)
    state, rows = train(f"{flags} --warm-up 2", out="warm")
    assert [r["lr"] for r in rows] == pytest.approx([0, cosine[1] / 2, *cosine[2:]])
    assert state["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0)


def test_kind_of_momentum_and_of_loss(train):
    plain, _ = train(out="plain")
    nesterov, _ = train("--nesterov", out="nesterov")
    assert nesterov["optimizer"]["param_groups"][0]["nesterov"]
    assert not same(plain["model"], nesterov["model"])
    # With all of the label spread, no answer costs less than log 10.
    _, rows = train("--label-smoothing 1 --epochs 6 --lr 0.05", out="smoothed")
    assert all(row["loss"] > math.log(10) for row in rows)
    _, rows = train("--epochs 6 --lr 0.05", out="sharp")
    assert rows[-1]["loss"] < math.log(10)


def test_mixed_precision(train):
    exact, _ = train(out="exact")  # off on the CPU
    mixed, _ = train("--mixed-precision", out="mixed")
    assert mixed["config"]["mixed_precision"] and not exact["config"]["mixed_precision"]
    assert not same(mixed["model"], exact["model"])
    assert {v.dtype for v in mixed["model"].values()} == {torch.float32, torch.int64}


def test_recipes_are_defaults():
    sheet = study.parse(["train", "--recipe", "sheet"])
    assert (sheet.epochs, sheet.lr_decay_epoch) == (120, (30, 60, 90))
    best = study.parse(["train", "--recipe", "best", "--lr", "0.25"])
    assert (best.schedule, best.nesterov, best.lr) == ("cosine", True, 0.25)
    assert study.parse(["train"]).schedule == "steps"


def test_the_spellings_of_the_original_programs():
    words = (
        "train --name CIFAR100 --arch ContinuousNetActFirst --scheme rk4_classic "
        "--lr_decay_epoch 30 60 90 --lr_decay=0.2 --initial_time_d 2 --batch_size 7 "
        "--n_time_steps_per 3 --time_epsilon 0.5 --use_skipinit --batch-norm "
        "--weight_decay 1e-4 --widen_factor 3 --device gpu --out my_folder"
    )
    ours = study.parse(words.split())
    assert ours.dataset == "cifar100" and ours.model == "ContinuousNetPreActivation"
    assert (
        ours.scheme == "rk4" and ours.device == "cuda" and ours.out.name == "my_folder"
    )
    assert ours.lr_decay_epoch == [30, 60, 90] and ours.lr_decay == 0.2
    assert (ours.initial_time_d, ours.n_time_steps_per, ours.time_epsilon) == (
        2,
        3,
        0.5,
    )
    assert ours.skip_init and ours.batch_norm and ours.weight_decay == 1e-4
    assert (ours.batch_size, ours.widen_factor) == (7, 3)
    words = "train --arch ResNet --name cifar10 --depth_res 20 --no_batch_norm"
    ours = study.parse(words.split())
    assert ours.depth == 20 and ours.dataset == "cifar10" and not ours.batch_norm
    assert study.parse(["evaluate", "x", "--schemes", "rk4_alt"]).schemes == ["rk4_38"]


def test_plain_nets_have_the_depth_of_the_continuous_one(train):
    state, rows = train("--model WideResNet --initial-time-d 1 --stages 3 --epochs 1")
    model = build(state)
    assert isinstance(model, continuous.WideResNet) and len(model.blocks) == 3 * 2
    model.load_state_dict(state["model"])
    assert rows[0]["parameters"] == sum(p.numel() for p in model.parameters())


def test_refine(train):
    state, rows = train("--epochs 4 --initial-time-d 1 --refine 1 3")
    assert [r["n_cells"] for r in rows] == [1, 2, 2, 4]
    assert [r["n_steps"] for r in rows] == [1, 2, 2, 4]
    model = build(state)
    assert model.n_cells == 1 and model.refined().refined().blocks[0].epsilon == 1.0
    model.refined().refined().load_state_dict(state["model"])
    train("--refine 2", out="late", status=1)


def test_refine_variance(train):
    plain, _ = train("--refine 1", out="plain")
    noisy, _ = train("--refine 1 --refine-variance 0.3", out="noisy")
    assert not same(plain["model"], noisy["model"])
    assert plain["model"].keys() == noisy["model"].keys()


def test_batch_sizes(train, monkeypatch):
    trained, tested = [], []
    epoch, accuracy = training.Step.epoch, training.accuracy

    def spy_train(step, batches, *args, **kwargs):
        trained.append([len(y) for _, y in batches])
        return epoch(step, batches, *args, **kwargs)

    def spy_test(model, batches, *args, **kwargs):
        tested.append([len(y) for _, y in batches])
        return accuracy(model, batches, *args, **kwargs)

    monkeypatch.setattr(training.Step, "epoch", spy_train)
    monkeypatch.setattr(training, "accuracy", spy_test)
    train("--batch-size 25 --test-batch-size 15 --epochs 1")
    assert trained == [[25, 25, 10]] and tested == [[15, 15, 10]]


def test_weight_decay_and_momentum_reach_the_optimiser(train):
    state, _ = train("--weight-decay 0.125 --lr 0.25 --lr-decay-epoch")
    (group,) = state["optimizer"]["param_groups"]
    assert (group["weight_decay"], group["lr"], group["momentum"]) == (0.125, 0.25, 0.9)


def test_dataset(train, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    calls = []

    def fake(channels, size, n_classes):
        def load():
            pixels = torch.rand(80, channels, size, size, generator=generator)
            part = images.Labelled(pixels, torch.arange(80) % n_classes)
            return images.ImageData(part, part)

        return load

    def spy(batch, generator):
        calls.append(len(batch))
        return batch

    shapes = {
        "mnist": (1, 28, 10),
        "fashionmnist": (1, 28, 10),
        "cifar10": (3, 32, 10),
        "cifar100": (3, 32, 80),
    }
    for name, shape in shapes.items():
        monkeypatch.setitem(images.DATASETS, name, fake(*shape))
    monkeypatch.setattr(images, "crop_and_flip", spy)
    for name, (channels, _, _) in shapes.items():
        calls.clear()
        state, _ = train(f"--dataset {name} --epochs 1", out=name)
        weights = list(state["model"].values())
        assert weights[0].shape[1] == channels
        assert len(weights[-1]) == (100 if name == "cifar100" else 10)
        assert bool(calls) == name.startswith("cifar")  # photographs are augmented


def test_images_are_normalised():
    data = study.load_data("digits", None, None, torch.device("cpu"))
    assert abs(data.train.images.mean()) < 1e-3
    assert data.train.images.std().item() == pytest.approx(1.0, abs=1e-3)


def test_device(train, capsys):
    train("--device cpu", out="cpu")
    if not torch.cuda.is_available():
        train("--device cuda", out="cuda")
        assert "no device cuda" in capsys.readouterr().err
    train("--device abacus", out="abacus", status=1)
    assert "abacus" in capsys.readouterr().err


def test_default_folder_tells_runs_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in ("1", "2"):
        arguments = ["train", *SMALL.split(), "--epochs", "1", "--seed", seed]
        assert study.main([*arguments, "--device", "cpu"]) == 0
    names = {p.name for p in (tmp_path / "results").iterdir()}
    assert names == {"ContinuousNet-digits-euler-1", "ContinuousNet-digits-euler-2"}


@pytest.mark.parametrize(
    "flags, word",
    [
        ("--model ResNet --refine 1", "refine"),
        ("--model ResNet --stages 1", "stages"),
        ("--model ResNet --stages 3 --skip-init", "skip-init"),
        ("--model ResNet --stages 3 --no-batch-norm", "batch-norm"),
        ("--model ResNet --stages 3 --depth 9", "6 n"),
        ("--depth 20", "depth"),
        ("--epochs 0", "epochs"),
        ("--n-test 0", "n-test"),
        ("--lr 0", "lr"),
        ("--lr nan", "lr"),
        ("--weight-decay -1", "weight-decay"),
    ],
)
def test_senseless_flags_are_refused(train, capsys, flags, word):
    if "ResNet" in flags and "stages" not in flags:
        flags += " --stages 3"
    train(flags, status=1)
    assert word in capsys.readouterr().err


def test_unknown_choices_are_refused(capsys):
    for flags in (["--scheme", "runge"], ["--dataset", "cats"], ["--epochs", "few"]):
        with pytest.raises(SystemExit) as stop:
            study.main(["train", *flags])
        assert stop.value.code == 2
    capsys.readouterr()


def test_divergence_is_reported_and_the_last_checkpoint_kept(train, tmp_path, capsys):
    train("--epochs 1 --no-batch-norm --lr 0.001", out="run")
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    train("--no-batch-norm --lr 1e30", out="wild", status=1)
    assert "learning rate" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


# -------------------------------------------------------------------------- resume


def test_resume_gives_the_run_that_was_never_stopped(train, tmp_path, capsys):
    flags = "--lr-decay-epoch 1 3 --initial-time-d 1 --refine 2 --refine-variance 0.1"
    whole, rows = train(f"{flags} --epochs 4", out="whole")
    for stop in (1, 3):  # before and after the cells are split
        out = f"parts{stop}"
        interrupt_after(train, f"{flags} --epochs 4", out, stop)
        resumed, again = train(f"{flags} --epochs 4 --resume", out=out)
        assert same(whole["model"], resumed["model"])
        assert without_times(rows) == without_times(again)
    assert "Resuming" in capsys.readouterr().out


def interrupt_after(train, flags, out, epochs):
    """Run, and stop as if by Ctrl-C in the middle of the epoch after `epochs`."""
    done = []
    epoch = training.Step.epoch

    def stops(step, batches, *args, **kwargs):
        if len(done) == epochs:
            for parameter in step.model.parameters():
                parameter.data.zero_()
            raise KeyboardInterrupt
        done.append(1)
        return epoch(step, batches, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Step, "epoch", stops)
        with pytest.raises(KeyboardInterrupt):
            train(flags, out=out)


def test_without_resume_a_run_is_not_overwritten(train, tmp_path, capsys):
    train()
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    train(status=1)
    assert "--resume" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


def test_resume_starts_anew_where_there_is_nothing(train):
    _, rows = train("--resume")
    assert len(rows) == 2


def test_resume_with_more_epochs_goes_on(train):
    train("--lr-decay-epoch 1")
    whole, _ = train("--lr-decay-epoch 1 --epochs 3", out="whole")
    longer, rows = train("--lr-decay-epoch 1 --epochs 3 --resume")
    assert len(rows) == 3 and same(whole["model"], longer["model"])


def test_resume_refuses_other_settings(train, tmp_path, capsys):
    train()
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    for flag in ("--lr 0.3", "--seed 5", "--scheme rk4", "--n-train 40"):
        train(f"{flag} --resume", status=1)
        assert flag.split()[0] in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("damage", ["truncated", "text", "other"])
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_damaged_checkpoints_are_refused(train, tmp_path, capsys, damage, command):
    train()
    path = tmp_path / "run" / "checkpoint.pt"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "text":
        path.write_text("not weights")
    else:
        training.save_checkpoint(path, {"weights": torch.zeros(3)})
    before = path.read_bytes()
    if command == "train":
        train("--resume", status=1)
    else:
        assert study.main(["evaluate", str(tmp_path / "run")]) == 1
    message = capsys.readouterr().err
    assert "checkpoint.pt" in message and "left as it is" in message.replace("was ", "")
    assert path.read_bytes() == before


def test_kill_in_the_middle_of_an_epoch(tmp_path):
    """kill -9 loses at most the epoch it hits; the end is that of a quiet run."""
    base = [sys.executable, "-m", "odenets", "train", *SMALL.split(), "--epochs", "6"]
    base += ["--n-train", "400", "--device", "cpu", "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    victim = subprocess.Popen(
        [*base, str(tmp_path / "killed")],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    finished = 0
    for line in victim.stdout:
        if line.startswith("epoch "):
            finished = int(line.split()[1].split("/")[0])
        if finished == 2:
            break
    time.sleep(0.02)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    left = training.load_checkpoint(tmp_path / "killed" / "checkpoint.pt")
    assert 2 <= len(left["rows"]) < 6
    arguments = base[3:]
    assert study.main([*arguments, str(tmp_path / "killed"), "--resume"]) == 0
    assert study.main([*arguments, str(tmp_path / "quiet")]) == 0
    killed, quiet = (
        training.load_checkpoint(tmp_path / name / "checkpoint.pt")
        for name in ("killed", "quiet")
    )
    assert same(killed["model"], quiet["model"])
    assert without_times(killed["rows"]) == without_times(quiet["rows"])


# ------------------------------------------------------------------------ evaluate


def test_evaluate(train, tmp_path, capsys):
    state, rows = train("--scheme rk4")
    folder = str(tmp_path / "run")
    flags = ["--schemes", "euler", "rk4", "--steps", "2", "5", "--device", "cpu"]
    assert study.main(["evaluate", folder, *flags]) == 0
    said = capsys.readouterr().out
    assert "Trained with rk4, 2 steps on 2 cells." in said
    with open(tmp_path / "run" / "manifestation.csv", newline="") as file:
        table = {(r["scheme"], int(r["n_steps"])): r for r in csv.DictReader(file)}
    assert set(table) == {("euler", 2), ("euler", 5), ("rk4", 2), ("rk4", 5)}
    own = float(table["rk4", 2]["accuracy"])
    assert own == pytest.approx(rows[-1]["test_accuracy"])
    assert (tmp_path / "run" / "manifestation.png").stat().st_size > 1000
    # By hand: the same weights under another scheme.
    model = build(state)
    model.load_state_dict(state["model"])
    model.scheme, model.n_steps = "euler", 5
    data = study.load_data("digits", 60, 40, torch.device("cpu"))
    by_hand = training.accuracy(model, images.Batches(data.test, 40))
    assert float(table["euler", 5]["accuracy"]) == pytest.approx(by_hand)


def test_evaluate_options(train, tmp_path, capsys, monkeypatch):
    train("--refine 1")
    sizes = []
    accuracy = training.accuracy

    def spy(model, batches, *args):
        sizes.append([len(y) for _, y in batches])
        return accuracy(model, batches, *args)

    monkeypatch.setattr(training, "accuracy", spy)
    folder = str(tmp_path / "run")
    flags = "--n-test 30 --test-batch-size 20 --schemes euler --steps 4"
    assert study.main(["evaluate", folder, *flags.split()]) == 0
    assert sizes == [[20, 10]] and "4 cells" in capsys.readouterr().out
    assert study.main(["evaluate", folder, "--schemes", "euler"]) == 0
    said = capsys.readouterr().out.splitlines()
    steps = [int(line.split()[0]) for line in said if line[:5].strip().isdigit()]
    assert steps == [*range(1, 9), 12, 16]
    assert study.main(["evaluate", str(tmp_path / "nowhere")]) == 1


def test_evaluate_on_other_images(train, tmp_path, monkeypatch, capsys):
    train()
    grey = images.Labelled(torch.rand(20, 1, 28, 28), torch.arange(20) % 10)
    colour = images.Labelled(torch.rand(20, 3, 32, 32), torch.arange(20) % 10)
    monkeypatch.setitem(images.DATASETS, "mnist", lambda: images.ImageData(grey, grey))
    flags = ["--schemes", "euler", "--steps", "2"]
    folder = str(tmp_path / "run")
    assert study.main(["evaluate", folder, "--dataset", "mnist", *flags]) == 0
    monkeypatch.setitem(
        images.DATASETS, "cifar10", lambda: images.ImageData(colour, colour)
    )
    assert study.main(["evaluate", folder, "--dataset", "cifar10", *flags]) == 1
    assert "cannot read" in capsys.readouterr().err


def test_evaluate_a_resnet(train, tmp_path, capsys):
    _, rows = train("--model ResNet --stages 3 --depth 8 --epochs 1")
    assert study.main(["evaluate", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert f"test accuracy {rows[-1]['test_accuracy']:.4f}" in said


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as stop:
        study.main(["train", "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    for flag in (
        "dataset scheme initial-time-d n-time-steps-per time-epsilon refine "
        "refine-variance skip-init no-batch-norm batch-size test-batch-size epochs lr "
        "lr-decay lr-decay-epoch weight-decay device seed resume"
    ).split():
        assert f"--{flag}" in said


# ----------------------------------------------------------------------- the study


def test_the_record_is_of_the_jobs():
    kept = study.recorded()
    trained = [study._trained(settings(job)) for job in study.jobs()]
    assert list(dict.fromkeys(row["trained"] for row in kept)) == trained
    for row in kept:
        assert row["n_steps"] in study.STEPS and row["scheme"] in study.TABLEAUS
        assert 0 < row["accuracy"] < 1


def test_the_study_trains_and_evaluates(tmp_path, monkeypatch, capsys):
    small = {"alpha": 2, "n_train": 60, "n_test": 40, "epochs": 1}
    jobs = [study.Job(stages=1, **small), study.Job(scheme="rk4", refine=(0,), **small)]
    monkeypatch.setattr(study, "STEPS", (1, 4))
    rows = study.STUDY.run(jobs, tmp_path, "cpu")
    path = study.STUDY.record(jobs, tmp_path, tmp_path / "record.csv")
    table = study.recorded(path)
    assert path.read_text().split("\n")[0] == "trained,epochs,scheme,n_steps,accuracy"
    names = {row["trained"] for row in table}
    assert names == {"euler, one stage", "rk4, three stages, cells 1 to 4"}
    assert len(table) == 2 * 4 * 2
    assert table[0]["accuracy"] == rows[0]["accuracies"][0]["accuracy"]
    said = capsys.readouterr().out
    assert study.STUDY.run(jobs, tmp_path, "cpu") == rows
    assert "Trained with rk4, 4 steps on 4 cells." in said
