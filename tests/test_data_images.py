"""Images: the embedded digits, torchvision's files, and its guarded import."""

import functools
import gzip
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from filelock import FileLock
from sklearn.datasets import load_digits

from odenets.data import images


def test_digits():
    train, test = images.digits()
    assert train.images.shape == (1442, 1, 28, 28) and test.images.shape[0] == 355
    assert train.images.dtype == torch.float32 and train.labels.dtype == torch.int64
    for part in (train, test):
        assert part.images.min() >= 0 and part.images.max() <= 1
        assert part.labels.unique().tolist() == list(range(10))
    assert test.labels.bincount().min() >= 34  # every class a fifth
    again = images.digits()
    assert torch.equal(train.images, again.train.images)
    assert train.first(3).images.shape == (3, 1, 28, 28)
    assert len(train.first(None).labels) == 1442


def test_digits_are_those_of_scikit_learn():
    raw = load_digits()
    train, test = images.digits(size=8)
    ours = torch.cat([train.images, test.images]).flatten(1).double()
    theirs = torch.from_numpy(raw.images).flatten(1) / 16
    assert torch.equal(ours.sum(0), theirs.sum(0))
    rows = {tuple(r) for r in theirs.tolist()}
    assert all(tuple(r) in rows for r in test.images.double().flatten(1).tolist())
    tests = {tuple(r) for r in test.images.flatten(1).tolist()}
    assert not any(tuple(r) in tests for r in train.images.flatten(1).tolist())
    # Enlarged by bilinear interpolation: the mean brightness stays (away from the rim).
    large = images.digits().train.images
    assert abs(large.mean() - train.images.mean()) < 0.01


def test_load_by_name(monkeypatch):
    assert len(images.load("digits").train.labels) == 1442
    with pytest.raises(ValueError, match="cifar100"):
        images.load("letters")


def test_loaders():
    data = images.digits(size=8)
    train, test = images.loaders(data, batch_size=100, test_batch_size=200, generator=1)
    assert [len(y) for _, y in train] == [100] * 14 + [42]
    assert [len(y) for _, y in test] == [200, 155]
    assert torch.equal(torch.cat([y for _, y in test]), data.test.labels)
    orders = []
    for seed in (1, 1, 2):
        loader, _ = images.loaders(data, generator=seed)
        orders.append(torch.cat([y for _, y in loader]))
    assert torch.equal(orders[0], orders[1]) and not torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], data.train.labels)


def test_batches():
    part = images.digits(size=8).train.first(250)
    plain = images.Batches(part, 100)
    assert len(plain) == 3 and [len(y) for _, y in plain] == [100, 100, 50]
    assert torch.equal(torch.cat([x for x, _ in plain]), part.images)
    shuffled = images.Batches(part, 100, generator=1)
    first = torch.cat([y for _, y in shuffled])
    second = torch.cat([y for _, y in shuffled])
    assert not torch.equal(first, second)  # a new order in every epoch
    assert torch.equal(first.sort().values, part.labels.sort().values)
    again = images.Batches(part, 100, generator=torch.Generator().manual_seed(1))
    for (x, y), (x2, y2) in zip(again, images.Batches(part, 100, generator=1)):
        assert torch.equal(x, x2) and torch.equal(y, y2)
    with pytest.raises(ValueError, match="positive"):
        images.Batches(part, 0)
    with pytest.raises(ValueError, match="generator"):
        images.Batches(part, 10, augment=images.crop_and_flip)


def test_crop_and_flip_moves_and_mirrors_whole_images():
    image = torch.arange(1.0, 2 * 5 * 6 + 1).view(1, 2, 5, 6).repeat(200, 1, 1, 1)
    before = image.clone()
    moved = images.crop_and_flip(image, torch.Generator().manual_seed(0), edge=1)
    assert moved.shape == image.shape and torch.equal(image, before)
    padded = torch.nn.functional.pad(image[0], (1, 1, 1, 1))
    possible = {}
    for row in range(3):
        for column in range(3):
            crop = padded[:, row : row + 5, column : column + 6]
            for mirrored in (False, True):
                seen = crop.flip(-1) if mirrored else crop
                possible[tuple(seen.flatten().tolist())] = (row, column, mirrored)
    found = [possible[tuple(m.flatten().tolist())] for m in moved]
    assert len(set(found)) == 18  # all of them, in 200 draws
    assert 70 < sum(mirrored for *_, mirrored in found) < 130


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture
def tiny_mnist(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for part, n in (("train", 6), ("t10k", 4)):
        raw = tmp_path / "MNIST" / "raw"
        pixels = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8))
    monkeypatch.setenv("ODENETS_DATA", str(tmp_path))
    return tmp_path


def test_mnist_reads_the_files_of_the_data_folder(tiny_mnist, capfd):
    train, test = images.load("mnist")
    assert train.images.shape == (6, 1, 28, 28) and test.images.shape == (4, 1, 28, 28)
    assert train.images.dtype == torch.float32 and train.images.max() <= 1
    raw = (tiny_mnist / "MNIST/raw/train-images-idx3-ubyte").read_bytes()[16:]
    pixels = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(6, 1, 28, 28)
    torch.testing.assert_close(train.images, pixels / 255)
    assert test.labels.tolist() == [0, 1, 2, 3]
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", ["mnist", "fashionmnist", "cifar10", "cifar100"])
def test_without_network_the_error_names_folder_and_files(name, tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setattr("socket.getaddrinfo", no_network)
    monkeypatch.setenv("ODENETS_DATA", str(tmp_path / "data"))
    with pytest.raises(FileNotFoundError) as caught:
        images.load(name)
    message = str(caught.value)
    assert str(tmp_path / "data") in message and "ODENETS_DATA" in message
    assert ("idx3-ubyte.gz" in message) == (name in ("mnist", "fashionmnist"))
    assert ("tar.gz" in message) == name.startswith("cifar")


def test_a_damaged_file_is_not_taken(tiny_mnist, monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("socket.socket.connect", no_network)
    monkeypatch.setattr("socket.getaddrinfo", no_network)
    raw = tiny_mnist / "MNIST" / "raw"
    (raw / "t10k-labels-idx1-ubyte").unlink()
    (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"nonsense"))
    with pytest.raises(FileNotFoundError, match=r"t10k-labels.*there, but damaged"):
        images.mnist()


@pytest.mark.parametrize("file", ["train-images-idx3", "t10k-labels-idx1"])
@pytest.mark.parametrize("kept", [0, 3, 9, -1])
def test_a_file_that_was_not_unpacked_to_its_end_is_named(tiny_mnist, file, kept):
    path = tiny_mnist / "MNIST" / "raw" / f"{file}-ubyte"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(images.DamagedFile, match="Delete it") as caught:
        images.mnist()
    assert str(path) in str(caught.value)


def test_a_label_for_every_image(tiny_mnist):
    write_idx(
        tiny_mnist / "MNIST/raw/train-labels-idx1-ubyte", np.arange(5, dtype=np.uint8)
    )
    with pytest.raises(images.DamagedFile, match="6 images but 5 labels"):
        images.mnist()


def test_a_batch_that_is_no_pickle_is_named(tmp_path, monkeypatch):
    cifar = images.torchvision_datasets().CIFAR10
    monkeypatch.setattr(cifar, "_check_integrity", lambda self: True)
    folder = tmp_path / cifar.base_folder
    folder.mkdir()
    for name, _ in cifar.train_list:
        (folder / name).write_bytes(b"nonsense")
    with pytest.raises(images.DamagedFile, match=r"CIFAR10.*Delete them"):
        images.cifar10(tmp_path)


def test_one_process_at_a_time_reads_or_unpacks(tiny_mnist, monkeypatch):
    monkeypatch.setattr(images, "FileLock", functools.partial(FileLock, timeout=0.1))
    with FileLock(tiny_mnist / ".MNIST.lock"):  # as another process holds it
        with pytest.raises(FileNotFoundError, match="Timeout"):
            images.mnist()
    assert len(images.mnist().train.labels) == 6


def test_a_folder_that_cannot_be_written_is_read(tiny_mnist, monkeypatch):
    monkeypatch.setattr("os.access", lambda *a: False)
    assert len(images.mnist().train.labels) == 6
    assert not (tiny_mnist / ".MNIST.lock").exists()


def test_data_folder(monkeypatch):
    monkeypatch.setenv("ODENETS_DATA", "~/somewhere")
    assert images.data_folder().name == "somewhere"
    assert "~" not in str(images.data_folder())
    monkeypatch.delenv("ODENETS_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert str(images.data_folder()) == "/elsewhere/odenets"


def python(script):
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_import_where_the_operators_cannot_load():
    said = python(
        """
        import torch
        load = torch.ops.load_library
        def fails(path):
            raise OSError(f"{path}: undefined symbol")
        torch.ops.load_library = fails
        try:
            import torchvision.datasets
            print("fine")
        except RuntimeError as error:
            assert "nms does not exist" in str(error), error
            print("trapped")
        from odenets.data import images
        datasets = images.torchvision_datasets()
        assert images.torchvision_datasets() is datasets
        print(datasets.MNIST.__name__, images._declared is not None)
        """
    )
    assert said == ["trapped", "MNIST", "True"]


def test_nothing_is_declared_where_the_operators_are_there():
    # A stand-in for the real operators is in the registry before the import; the real
    # ones, where they could load, are kept out: nothing is registered twice.
    said = python(
        """
        import torch
        def fails(path):
            raise OSError(f"{path}: not here")
        torch.ops.load_library = fails
        real = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            real.define(f"{name}(Tensor d, Tensor s, float t) -> Tensor")
        from odenets.data import images
        datasets = images.torchvision_datasets()
        print(datasets.MNIST.__name__, images._declared is None)
        """
    )
    assert said == ["MNIST", "True"]


def test_the_data_sets_import_here_whatever_the_operators_do():
    said = python(
        """
        from odenets.data import images
        print(images.torchvision_datasets().MNIST.__name__)
        """
    )
    assert said == ["MNIST"]


def test_another_error_of_the_import_is_passed_on():
    said = python(
        """
        import importlib
        from odenets.data import images
        def broken(name):
            raise RuntimeError("something else")
        importlib.import_module = broken
        try:
            images.torchvision_datasets()
        except RuntimeError as error:
            print(str(error).split()[0], images._declared is None)
        """
    )
    assert said == ["something", "True"]


def test_importing_images_does_not_import_torchvision():
    said = python(
        """
        import sys
        from odenets.data import images
        images.digits()
        print("torchvision" in sys.modules)
        """
    )
    assert said == ["False"]
