"""The training loop: reproducible, resumable, and kind to what it is given."""

import contextlib
import copy
import os
import random
import signal
import subprocess
import sys
import textwrap
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

from odenets import scale, training
from odenets.data import images
from odenets.nets import continuous


def problem(seed=0):
    """A small classifier with dropout and batch norm, shuffled batches, SGD."""
    training.set_seed(seed)
    model = nn.Sequential(
        nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)
    )
    X = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    data = TensorDataset(X, (X[:, 0] > 0).long())
    batches = DataLoader(
        data, 16, shuffle=True, generator=torch.Generator().manual_seed(2)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    return model, batches, optimizer, scheduler


LOSS = nn.CrossEntropyLoss()


def same(a, b):
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_seed_reaches_every_generator():
    draws = []
    for _ in range(2):
        training.set_seed(7)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))  # noqa: NPY002
    assert draws[0] == draws[1]


def test_pick_device(capsys):
    assert training.pick_device("cpu").type == "cpu"
    assert training.pick_device().type in ("cpu", "cuda", "mps")
    assert capsys.readouterr().err == ""
    if not torch.cuda.is_available():
        assert training.pick_device("cuda") == training.pick_device()
        assert "no device cuda" in capsys.readouterr().err
    for wrong in ("gpu", "meta"):
        with pytest.raises(ValueError, match=wrong):
            training.pick_device(wrong)


def test_progress_is_silent_when_nobody_watches(capsys):
    assert list(training.progress(range(3), "counting")) == [0, 1, 2]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_progress_shows_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    for name in ("ODENETS_PROGRESS", "ODENETS_SCALE", "NBGRADER_EXECUTION"):
        monkeypatch.delenv(name, raising=False)
    assert training.shows_progress()
    list(training.progress(range(3), "counting"))
    captured = capsys.readouterr()
    assert "counting" in captured.err and captured.out == ""
    for name, value in (
        ("ODENETS_PROGRESS", "off"),
        ("ODENETS_SCALE", "quick"),
        ("NBGRADER_EXECUTION", "autograde"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert not training.shows_progress()
    monkeypatch.setattr(scale, "_chosen", "quick")
    assert not training.shows_progress()


def test_progress_leaves_nothing_in_a_stored_notebook(monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    for name in ("ODENETS_PROGRESS", "ODENETS_SCALE", "NBGRADER_EXECUTION"):
        monkeypatch.delenv(name, raising=False)
    source = """
from odenets import training
for _ in training.progress(range(3), "to the end"):
    pass
for _ in zip("ab", training.progress(range(3), "left early")):
    pass
with training.progress(None, "counted", total=2) as bar:
    bar.update()
print(type(bar).__mro__[1].__module__)
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    bars = [output for output in outputs if output.output_type == "display_data"]
    assert [bar.data for bar in bars] == [{"text/plain": ""}] * 3
    (printed,) = [output for output in outputs if output not in bars]
    assert printed.name == "stdout" and printed.text == "tqdm.auto\n"


def test_accuracy_weights_unequal_batches_and_restores_modes():
    model = nn.Sequential(nn.Dropout(0.9), nn.Identity(), nn.BatchNorm1d(2))
    model.train()
    model[2].eval()
    scores = torch.eye(2)[[0, 0, 0, 1, 1]]
    labels = torch.tensor([0, 0, 1, 1, 1])
    batches = [(scores[:4], labels[:4]), (scores[4:], labels[4:])]
    assert training.accuracy(model, batches) == pytest.approx(0.8)
    assert [m.training for m in model.modules()] == [True, True, True, False]
    assert training.evaluate(
        model, batches, lambda z, y: (z.argmax(1) == y).float().mean()
    ) == pytest.approx(0.8)
    with pytest.raises(ValueError, match="no batches"):
        training.accuracy(model, [])


def test_evaluation_makes_no_float64_of_a_tensor_on_the_device(monkeypatch):
    """Apple's GPU has none: what becomes one has come to the CPU before."""
    arrived, real_cpu, real_double = [], torch.Tensor.cpu, torch.Tensor.double

    def cpu(self):
        arrived.append(real_cpu(self))
        return arrived[-1]

    def double(self):
        assert any(self is tensor for tensor in arrived)
        return real_double(self)

    monkeypatch.setattr(torch.Tensor, "cpu", cpu)
    monkeypatch.setattr(torch.Tensor, "double", double)
    batches = [(torch.eye(2), torch.tensor([0, 0]))]
    assert training.accuracy(nn.Identity(), batches) == 0.5
    error = training.evaluate(nn.Identity(), batches, lambda z, y: z.sum(1) * 3)
    assert error == 3.0 and len(arrived) == 2


def test_modes_are_restored_after_an_error():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    model[1].eval()
    with pytest.raises(RuntimeError):
        training.accuracy(model, [(torch.zeros(3, 5), torch.zeros(3))])
    assert [m.training for m in model.modules()] == [True, True, False]
    assert torch.is_grad_enabled()


def test_fit_is_gradient_descent():
    # One parameter, two batches, by hand: w <- w - lr (w - mean of the batch).
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    batches = [torch.ones(2, 1), torch.full((1, 1), 1.0)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history = training.fit(model, batches, lambda z: (z**2 / 2).mean(), optimizer, 1)
    assert model.weight.item() == pytest.approx(0.9**2)
    assert history["loss"] == [pytest.approx((2 * 0.5 + 0.5 * 0.9**2) / 3)]


def test_fit_learns_and_notes_the_callback():
    model, batches, optimizer, scheduler = problem()
    history = training.fit(
        model,
        batches,
        LOSS,
        optimizer,
        5,
        scheduler=scheduler,
        callback=lambda epoch, m: {"epoch": epoch, "mode": float(m.training)},
    )
    assert len(history["loss"]) == 5 and history["loss"][-1] < history["loss"][0]
    assert history["epoch"] == [0, 1, 2, 3, 4]
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.025)
    with pytest.raises(ValueError, match="no batches"):
        training.fit(model, [], LOSS, optimizer, 1)


def test_fit_stops_when_the_loss_is_not_finite():
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(FloatingPointError, match="smaller"):
        training.fit(model, [torch.ones(1, 1)], lambda z: (z / 0).sum(), optimizer, 1)


def test_a_step_clips_schedules_and_calls_the_hook_in_this_order():
    # One weight w, loss c w, so that the gradient is c: clipped to norm 2, times lr.
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    halving = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    seen = []

    def hook(net):
        seen.append((net.weight.item(), optimizer.param_groups[0]["lr"]))
        net.weight.data.clamp_(min=-2.5)

    batches = [torch.tensor([[c]]) for c in (5.0, -1.0, 2.0)]
    training.fit(
        model,
        batches,
        torch.sum,
        optimizer,
        1,
        scheduler=halving,
        per_step=True,
        clip=2.0,
        after_step=hook,
    )
    w = [pytest.approx(value) for value in (-2.0, -1.5, -2.0)]
    assert seen == list(zip(w, (0.5, 0.25, 0.125)))


def test_hook_has_the_last_word():
    model = nn.Linear(1, 1, bias=False)
    step = training.Step(
        model,
        torch.sum,
        torch.optim.SGD(model.parameters(), 1.0),
        after_step=lambda net: nn.init.constant_(net.weight, 7.0),
    )
    step(torch.ones(2, 1))
    assert model.weight.item() == 7.0


def test_any_loss_of_a_batch():
    # The batch is no tensor; the loss knows the model.
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [{"weight": 2.0}, {"weight": 4.0}]
    history = training.fit(
        model,
        batches,
        None,
        optimizer,
        1,
        batch_loss=lambda batch: (batch["weight"] * model.weight).sum(),
    )
    assert history["loss"] == [pytest.approx((2.0 + 4.0 * 0.8) / 2)]
    assert model.weight.item() == pytest.approx(1 - 0.1 * 6)
    for both in (dict(batch_loss=torch.sum), {}):
        loss_fn = torch.sum if both else None
        with pytest.raises(ValueError, match="either"):
            training.fit(model, batches, loss_fn, optimizer, 1, **both)


def test_named_batches_keep_their_names():
    pair = images.Labelled(torch.ones(3, 1), torch.zeros(3))
    seen = []
    model = nn.Linear(1, 1)
    step = training.Step(
        model,
        None,
        torch.optim.SGD(model.parameters(), 0.1),
        device="cpu",
        batch_loss=lambda batch: seen.append(batch.labels) or model(batch.images).sum(),
    )
    step.epoch([pair])
    assert torch.equal(seen[0], pair.labels)


def test_what_else_changes_is_resumed_too(tmp_path):
    """Schedule per step, a running mean of the weights, an order of its own."""

    def run(epochs, checkpoint=None, seed=0):
        model, batches, optimizer, _ = problem(seed)
        mean = copy.deepcopy(model)
        rise = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1 / (1 + i))

        def follow(net):
            for ours, theirs in zip(mean.parameters(), net.parameters()):
                ours.data.lerp_(theirs.data, 0.1)

        history = training.fit(
            model,
            batches,
            LOSS,
            optimizer,
            epochs,
            scheduler=rise,
            per_step=True,
            after_step=follow,
            clip=0.5,
            also={"mean": mean},
            checkpoint=checkpoint,
        )
        return history, model, mean

    whole = run(4)
    run(2, tmp_path / "run.pt")
    resumed = run(4, tmp_path / "run.pt", seed=99)
    assert resumed[0] == whole[0]
    assert same(resumed[1], whole[1]) and same(resumed[2], whole[2])
    assert not same(whole[1], whole[2])


def test_nothing_asks_for_a_number_inside_an_epoch(monkeypatch):
    """On a GPU each question would wait for all the work that is queued."""
    model, batches, optimizer, _ = problem()
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.9)
    batches = list(batches)
    step = training.Step(
        model, LOSS, optimizer, clip=1.0, scheduler=schedule, device="cpu"
    )
    asked = []
    for name in ("item", "tolist", "__float__", "__int__", "__bool__", "cpu"):
        real = getattr(torch.Tensor, name)

        def spy(self, *args, name=name, real=real):
            asked.append(name)
            return real(self, *args)

        monkeypatch.setattr(torch.Tensor, name, spy)
    step.epoch(batches)
    assert asked == ["__float__"]  # the mean, once


def test_mixed_precision_keeps_weights_in_float32():
    model, batches, optimizer, _ = problem()
    plain, same_batches, other, _ = problem()
    kinds = []
    model[0].register_forward_hook(lambda m, x, y: kinds.append(y.dtype))
    history = training.fit(model, batches, LOSS, optimizer, 3, mixed_precision=True)
    exact = training.fit(plain, same_batches, LOSS, other, 3)
    assert set(kinds) == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
    assert history["loss"] == pytest.approx(exact["loss"], rel=0.1)  # 8 bits each
    assert history["loss"] != exact["loss"]


# ------------------------------------------------------- a recorded step, as on a GPU


class Tape(TorchDispatchMode):
    """A CUDA graph for the CPU: kernels and their memory, nothing of Python."""

    def __init__(self):
        super().__init__()
        self.kernels = []

    def __torch_dispatch__(self, kernel, types, args=(), kwargs=None):
        out = kernel(*args, **(kwargs or {}))
        self.kernels.append((kernel, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def replay(self):
        for kernel, args, kwargs, out in self.kernels:
            new = kernel(*args, **kwargs)
            pairs = zip(out, new) if isinstance(out, (tuple, list)) else [(out, new)]
            for place, value in pairs:
                if isinstance(place, torch.Tensor) and not place.is_set_to(value):
                    place.copy_(value)


@pytest.fixture
def tapes(monkeypatch):
    """Record on the CPU as on a GPU; return the recordings."""
    made = []

    def tape():
        made.append(Tape())
        return made[-1]

    nothing = contextlib.nullcontext
    monkeypatch.setattr(training, "_on_gpu", lambda part: True)
    for name, value in {
        "get_rng_state": torch.get_rng_state,
        "set_rng_state": torch.set_rng_state,
        "get_sync_debug_mode": lambda: 0,
        "set_sync_debug_mode": lambda mode: None,
        "current_stream": Mock,
        "Stream": Mock,
        "stream": nothing,
        "CUDAGraph": tape,
        "graph": lambda graph: graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return made


def test_a_recorded_step_is_the_plain_one(tapes):
    """Dropout, batch norm, momentum, clipping, and a last batch of another shape."""
    plain, batches, optimizer, scheduler = problem()
    kind = dict(scheduler=scheduler, clip=0.7, per_step=True)
    expected = training.fit(plain, batches, LOSS, optimizer, 3, **kind)
    after = torch.rand(1)

    model, batches, optimizer, scheduler = problem()
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    kind |= dict(scheduler=scheduler, capture=True)
    history = training.fit(model, batches, LOSS, optimizer, 3, **kind)
    assert history == expected and same(model, plain)
    assert torch.equal(torch.rand(1), after)
    assert len(tapes) == 2  # 16 images, and the 2 that are left over
    assert len(calls) == 2 * (3 + 1)  # Python runs to warm up and to record, then never


def test_a_recorded_run_is_resumed_bit_for_bit(tapes, tmp_path):
    whole, batches, optimizer, _ = problem()
    expected = training.fit(whole, batches, LOSS, optimizer, 4, capture=True)
    path = tmp_path / "run.pt"
    for epochs, seed in ((2, 0), (4, 99)):
        model, batches, optimizer, _ = problem(seed)
        kind = dict(capture=True, checkpoint=path)
        history = training.fit(model, batches, LOSS, optimizer, epochs, **kind)
    assert history == expected and same(model, whole)


def test_a_step_that_cannot_be_recorded_is_taken_plainly(tapes, capsys, monkeypatch):
    plain, batches, optimizer, _ = problem()
    expected = training.fit(plain, batches, LOSS, optimizer, 2)

    def refuse(stream):
        raise RuntimeError("called a synchronizing CUDA operation\nmore about it")

    monkeypatch.setattr(torch.cuda, "stream", refuse)
    model, batches, optimizer, _ = problem()
    history = training.fit(model, batches, LOSS, optimizer, 2, capture=True)
    said = "Notice: no CUDA graph of the step: called a synchronizing CUDA operation\n"
    assert capsys.readouterr().err == said  # once, in one line
    assert history == expected and same(model, plain)


def test_without_a_gpu_nothing_is_recorded(capsys):
    plain, batches, optimizer, _ = problem()
    expected = training.fit(plain, batches, LOSS, optimizer, 2)
    model, batches, optimizer, _ = problem()
    history = training.fit(model, batches, LOSS, optimizer, 2, capture=True)
    assert history == expected and same(model, plain)
    assert capsys.readouterr().err == ""


# ----------------------------------------------------------------- with a GPU in sight

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def gpu_problem(seed=0, scheme="euler", augment=True):
    """A small net with batch norm and dropout, images on the GPU, and its order."""
    training.set_seed(seed)
    net = continuous.ContinuousNet(2, scheme, alpha=8)
    net.head.insert(2, nn.Dropout(0.1))
    net = net.to("cuda", memory_format=torch.channels_last)
    X = torch.randn(200, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    part = images.Labelled(X.cuda(), (X.mean(dim=(1, 2, 3)) > 0).long().cuda())
    moved = images.crop_and_flip if augment else None
    batches = images.Batches(part, 64, 3, moved)
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, weight_decay=1e-3)
    return net, batches, optimizer


@needs_gpu
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("scheme", ["euler", "rk4"])
def test_gpu_recorded_steps_are_the_plain_ones_and_come_again(scheme, mixed, capsys):
    runs = []
    for capture in (False, True, True):
        net, batches, optimizer = gpu_problem(scheme=scheme)
        kind = dict(mixed_precision=mixed, capture=capture, clip=1.0)
        history = training.fit(net, batches, LOSS, optimizer, 4, **kind)
        runs.append((history, net, torch.rand(1, device="cuda")))
    assert capsys.readouterr().err == ""
    (_, plain, _), (first, one, drawn), (second, other, again) = runs
    assert first == second and same(one, other) and torch.equal(drawn, again)
    assert runs[0][0]["loss"] == pytest.approx(first["loss"], rel=1e-3)
    for name, value in plain.state_dict().items():
        found = one.state_dict()[name].double()
        torch.testing.assert_close(found, value.double(), rtol=0.02, atol=2e-3)


@needs_gpu
def test_gpu_run_is_resumed_bit_for_bit(tmp_path):
    kind = dict(capture=True, mixed_precision=True)
    whole, batches, optimizer = gpu_problem()
    expected = training.fit(whole, batches, LOSS, optimizer, 4, **kind)
    kind |= dict(checkpoint=tmp_path / "run.pt")
    for epochs, seed in ((2, 0), (4, 99)):
        net, batches, optimizer = gpu_problem(seed)
        history = training.fit(net, batches, LOSS, optimizer, epochs, **kind)
    assert history == expected and same(net, whole)


@needs_gpu
@pytest.mark.parametrize("capture", [False, True])
def test_gpu_is_never_waited_for_inside_an_epoch(capture):
    net, batches, optimizer = gpu_problem()
    rate = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.99)
    kind = dict(capture=capture, mixed_precision=True, scheduler=rate, clip=1.0)
    step = training.Step(net, LOSS, optimizer, **kind)
    step.epoch(batches)  # records, and asks for the mean
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches:
            step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@needs_gpu
@pytest.mark.parametrize("kind", ["number", "draws on the CPU"])
def test_gpu_step_that_cannot_be_recorded(kind, capsys):
    def loss(scores, labels):
        value = LOSS(scores, labels)
        if kind == "number":
            return value * (1.0 if value.item() < 1e9 else 2.0)
        return value + 0 * torch.randn(3).to("cuda").sum()

    net, batches, optimizer = gpu_problem()
    history = training.fit(net, batches, loss, optimizer, 2, capture=True)
    assert capsys.readouterr().err.count("Notice: no CUDA graph of the step") == 1
    plain, batches, optimizer = gpu_problem()
    expected = training.fit(plain, batches, loss, optimizer, 2)
    assert history == expected and same(net, plain)
    torch.randn(3, device="cuda").sum().item()  # the generator is as good as before


@pytest.mark.parametrize("epochs", [1, 3])
def test_resume_is_bit_for_bit(tmp_path, epochs):
    straight, batches, optimizer, scheduler = problem()
    whole = training.fit(straight, batches, LOSS, optimizer, 6, scheduler=scheduler)
    after = torch.rand(1).item()

    path = tmp_path / "folder" / "run.pt"
    model, batches, optimizer, scheduler = problem()
    kind = dict(scheduler=scheduler, checkpoint=path)
    training.fit(model, batches, LOSS, optimizer, epochs, **kind)
    resumed, batches, optimizer, scheduler = problem(seed=99)  # another world
    kind = dict(scheduler=scheduler, checkpoint=path)
    history = training.fit(resumed, batches, LOSS, optimizer, 6, **kind)
    assert history == whole and same(straight, resumed)
    assert torch.rand(1).item() == after
    assert [p.name for p in path.parent.iterdir()] == ["run.pt"]


def test_finished_run_is_not_trained_further(tmp_path):
    model, batches, optimizer, _ = problem()
    path = tmp_path / "run.pt"
    first = training.fit(model, batches, LOSS, optimizer, 2, checkpoint=path)
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    again = training.fit(model, batches, LOSS, optimizer, 2, checkpoint=path)
    assert again == first
    assert all(torch.equal(v, weights[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("damage", ["half", "text", "empty", "foreign", "code"])
def test_damaged_checkpoints_are_refused_and_left_alone(tmp_path, damage):
    model, batches, optimizer, _ = problem()
    path = tmp_path / "run.pt"
    training.fit(model, batches, LOSS, optimizer, 1, checkpoint=path)
    if damage == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "text":
        path.write_text("my shopping list")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        torch.save(nn.Linear(2, 2).state_dict(), path)
    else:
        torch.save({"format": "odenets checkpoint 1", "model": model}, path)
    before = path.read_bytes()
    with pytest.raises(training.CheckpointError, match=r"run\.pt"):
        training.fit(model, batches, LOSS, optimizer, 2, checkpoint=path)
    assert path.read_bytes() == before


def test_checkpoint_of_another_model_is_refused(tmp_path):
    model, batches, optimizer, _ = problem()
    path = tmp_path / "run.pt"
    training.fit(model, batches, LOSS, optimizer, 1, checkpoint=path)
    before = path.read_bytes()
    other = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    with pytest.raises(training.CheckpointError, match="another model"):
        training.fit(other, batches, LOSS, optimizer, 2, checkpoint=path)
    assert path.read_bytes() == before
    with pytest.raises(FileNotFoundError):
        training.load_checkpoint(tmp_path / "nothing.pt")


def test_failed_write_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    training.save_checkpoint(path, {"epoch": 1})

    def breaks(state, file):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", breaks)
    with pytest.raises(OSError, match="space"):
        training.save_checkpoint(path, {"epoch": 2})
    assert training.load_checkpoint(path)["epoch"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def test_killed_while_writing(tmp_path):
    """kill -9 at some moment of a loop that does nothing but save."""
    path = tmp_path / "run.pt"
    script = textwrap.dedent(
        """
        import sys, torch
        from odenets import training
        for epoch in range(10**6):
            state = {"epoch": epoch, "w": torch.full((10**5,), float(epoch))}
            training.save_checkpoint(sys.argv[1], state)
            print(epoch, flush=True)
        """
    )
    command = [sys.executable, "-c", script, str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for _ in range(20):
        told = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    state = training.load_checkpoint(path)
    assert state["epoch"] >= told and (state["w"] == state["epoch"]).all()
