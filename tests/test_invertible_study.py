"""The study of notebooks 07 and 08: what it trains, resumes and has recorded."""

from pathlib import Path

import pytest
import torch

from odenets.data import images
from odenets.nets import iresnet, irevnet
from odenets.studies import invertible as study


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> tuple[Path, list]:
    """One epoch of every job on the small digits, with one seed."""
    out = tmp_path_factory.mktemp("study")
    return out, study.STUDY.run(study.jobs([3], "digits", epochs=1), out)


def test_the_split_is_500_images_and_all_others():
    learn, held_out = study.load("digits")
    whole = images.digits()
    assert [len(part.labels) for part in (learn, held_out)] == [500, 1297]
    again = torch.cat([learn.images, held_out.images])
    assert torch.equal(again, torch.cat([part.images for part in whole]))
    assert torch.equal(learn.labels, whole.train.labels[:500])


def test_other_data_keep_their_test_images(monkeypatch):
    parts = [images.digits().train.first(n) for n in (600, 40)]
    monkeypatch.setattr(images, "load", lambda name: images.ImageData(*parts))
    learn, held_out = study.load("mnist")
    assert (len(learn.labels), len(held_out.labels)) == (500, 40)
    assert held_out is parts[1]


def test_the_jobs():
    jobs = study.jobs()
    assert len(set(jobs)) == len(jobs) == 5 * (4 + len(study.RHOS))
    assert {job.net for job in jobs} == set(study.NETS)
    assert all((job.rho is None) == (job.net != "i-ResNet") for job in jobs)


def test_a_job_is_what_the_notebooks_do(rows):
    by_job = {(row["net"], row["rho"]): row for row in rows[1]}
    data = study.seen(study.load("digits"), irevnet.lab_view)
    for name, rho, make in (
        ("i-RevNet", None, irevnet.iRevNet),
        ("i-ResNet", 0.85, iresnet.iResNet),
    ):
        torch.manual_seed(3)
        net = make()
        loader, tests = images.loaders(data, batch_size=64, generator=3)
        if rho is None:
            irevnet.train(net, loader, 1, 0.02)
        else:
            iresnet.train_norm(net, loader, 1, 0.02, rho)
        row = by_job[name, rho]
        assert row["accuracy"] == irevnet.test(net, tests)
        if rho is not None:
            x = data.test.images[:1000]
            with torch.no_grad():
                back = net.inverse(net(x, classif=False), 10)
            error = (back - x).abs().max().item()
            assert row["error_at_10"] == pytest.approx(error, rel=0.051)
    counts = {name: by_job[name, None]["parameters"] for name in ("ResNet", "i-RevNet")}
    assert counts == {"ResNet": 58090, "i-RevNet": 20426}


def test_the_inverse_of_a_resnet_is_looked_at_in_its_own_layers():
    net = iresnet.LabResNet()
    with torch.no_grad():
        for conv in (net.conv1, net.conv2, net.conv3, net.conv4):
            conv.weight.mul_(0.5)  # contractions
    x = torch.randn(5, 16, 7, 7, generator=torch.Generator().manual_seed(0))
    start, end = study.inverse_errors(net, x, (0, 60))
    with torch.no_grad():
        assert start == (net(x, classif=False) - x).abs().max().item()
    assert start > 0.1 and end < 1e-5


def test_results_are_resumed(rows, tmp_path):
    out, first = rows
    jobs = study.jobs([3], "digits", epochs=1)
    path = tmp_path / "invertible.jsonl"
    before = (out / "invertible.jsonl").read_text()
    path.write_text(before[:-20])  # a crash in the last line
    again = study.STUDY.run(jobs, tmp_path)
    assert again[:-1] == first[:-1]
    assert again[-1]["accuracy"] == first[-1]["accuracy"]
    assert path.read_text().startswith(before[:-20])
    written = path.read_text()
    study.STUDY.run(jobs, tmp_path)
    assert path.read_text() == written


def test_the_record_has_the_errors_of_residual_networks_only(rows, tmp_path):
    out, made = rows
    jobs = study.jobs([3], "digits", epochs=1)
    path = study.STUDY.record(jobs, out, tmp_path / "record.csv")
    head = study.STUDY.kept.read_text().split("\n")[0]
    assert path.read_text().split("\n")[0] == head
    for row, before in zip(study.recorded(path), made, strict=True):
        assert (row["net"], row.get("rho"), row["accuracy"]) == (
            *(before["net"], before["rho"], before["accuracy"]),
        )
        assert ("error_at_10" in row) == ("ResNet" in row["net"])


def test_what_was_recorded():
    kept = study.recorded()
    jobs = [study.Job(row["net"], row.get("rho"), row["seed"]) for row in kept]
    assert jobs == study.jobs()

    def values(name: str, quantity: str, rho: float | None = None) -> torch.Tensor:
        chosen = [row for row in kept if (row["net"], row.get("rho")) == (name, rho)]
        return torch.tensor([row[quantity] for row in chosen], dtype=torch.float64)

    # What notebooks 07 and 08 say about these numbers.
    assert (
        values("i-RevNet", "accuracy").mean() > values("plain net", "accuracy").mean()
    )
    assert (values("ResNet", "error_at_20") > values("ResNet", "error_at_10")).all()
    assert (values("i-ResNet", "error_at_20", 0.85) < 1e-5).all()
    assert values("i-ResNet", "error_at_20", 0.9).max() > 1e-5
    means = [values("i-ResNet", "accuracy", rho).mean() for rho in study.RHOS]
    assert means == sorted(means, reverse=True)
