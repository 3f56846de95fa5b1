"""Images with labels: digits that come with scikit-learn, and torchvision's data sets.

Every function returns `(train, test)`, two pairs `(images, labels)`: images as float32
`(n, channels, height, width)` with values in [0, 1], labels as int64 `(n,)`. The lab's
view of a digit is `images.view(-1, 16, 7, 7)`.
"""

import contextlib
import hashlib
import importlib
import io
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Labelled(NamedTuple):
    """Images `(n, channels, height, width)` and their labels `(n,)`."""

    images: Tensor
    labels: Tensor

    def first(self, n: int | None) -> "Labelled":
        """Return the first `n` of them, or all of them for None."""
        return Labelled(self.images[:n], self.labels[:n])


class ImageData(NamedTuple):
    """A training and a test set."""

    train: Labelled
    test: Labelled


# ------------------------------------------------------------------------ digits


def digits(size: int = 28) -> ImageData:
    """Return the 1797 handwritten digits of scikit-learn, enlarged from 8 x 8 pixels.

    They come with scikit-learn, so that nothing is downloaded. Every fifth image of
    each class is for testing: 1442 for training, 355 for testing, always the same ones.

    Args:
        size: height and width of the images; bilinear interpolation, no randomness.
    Returns: images `(n, 1, size, size)`.
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    images = torch.from_numpy(raw.images).to(torch.float32)[:, None] / 16
    if size != 8:
        images = F.interpolate(
            images, size=(size, size), mode="bilinear", align_corners=False
        )
    labels = torch.from_numpy(raw.target).long()
    testing = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(10):
        testing[(labels == label).nonzero().squeeze(1)[4::5]] = True
    return ImageData(
        Labelled(images[~testing], labels[~testing]),
        Labelled(images[testing], labels[testing]),
    )


# ------------------------------------------------------------------- torchvision


def data_folder() -> Path:
    """Return the folder of the downloaded data: `ODENETS_DATA`, or one in the cache."""
    if os.environ.get("ODENETS_DATA"):
        return Path(os.environ["ODENETS_DATA"]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "odenets"


_declared: torch.library.Library | None = None


def torchvision_datasets() -> ModuleType:
    """Import `torchvision.datasets`, also where torchvision's operators cannot load.

    A torchvision built for CUDA next to a CPU-only torch cannot load its compiled
    operators, and then its import stops with "operator torchvision::nms does not
    exist", although data sets never need them. Declaring the two operators that the
    import looks up, without any implementation, is enough. Where the real ones load,
    nothing is declared.
    """
    global _declared
    if "torchvision" not in sys.modules:
        _forget_torchvision()
    try:
        return importlib.import_module("torchvision.datasets")
    except RuntimeError as error:
        if "torchvision::" not in str(error) or _declared is not None:
            raise
    # The library keeps its declarations only as long as the object lives.
    _declared = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        _declared.define(
            f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    _forget_torchvision()
    return importlib.import_module("torchvision.datasets")


def _forget_torchvision() -> None:
    """Drop what an import that failed left behind."""
    for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        del sys.modules[name]


_RAW = (
    "train-images-idx3",
    "train-labels-idx1",
    "t10k-images-idx3",
    "t10k-labels-idx1",
)
_FILES = {
    "MNIST": [f"MNIST/raw/{file}-ubyte.gz" for file in _RAW],
    "FashionMNIST": [f"FashionMNIST/raw/{file}-ubyte.gz" for file in _RAW],
    "CIFAR10": ["cifar-10-python.tar.gz"],
    "CIFAR100": ["cifar-100-python.tar.gz"],
}


class DamagedFile(OSError):
    """A file of a data set is there but cannot be read; the message says which."""


def _torchvision(name: str, folder: str | Path | None) -> ImageData:
    folder = data_folder() if folder is None else Path(folder)
    kind = getattr(torchvision_datasets(), name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two processes do not unpack one data set at once.
        with _lock(folder / f".{name}.lock"):
            _refuse_damaged(folder / name / "raw")
            return ImageData(*(_part(kind, folder, train) for train in (True, False)))
    except DamagedFile:
        raise
    except (OSError, RuntimeError) as error:
        wanted = [folder / file for file in _FILES[name]]
        files = "\n".join(
            f"  {file}{' (which is there, but damaged)' if file.exists() else ''}"
            for file in wanted
            if not _is_whole(kind, file)
        )
        raise FileNotFoundError(
            f"{name} is not in the data folder {folder} and could not be "
            f"downloaded ({type(error).__name__}: {str(error).splitlines()[0]}).\n"
            f"Connect to the network, or put these files there:\n{files}\n"
            "The environment variable ODENETS_DATA chooses another folder."
        ) from error
    except Exception as error:  # unpickling, unpacking: whatever a broken file does
        raise DamagedFile(
            f"the files of {name} in {folder} cannot be read "
            f"({type(error).__name__}: {error}). Delete them, and they are downloaded "
            "again."
        ) from error


def _part(kind: type, folder: Path, train: bool) -> Labelled:
    # torchvision prints; its progress bar is on stderr.
    with contextlib.redirect_stdout(io.StringIO()):
        data = kind(str(folder), train=train, download=True)
    raw = torch.from_numpy(np.ascontiguousarray(data.data))  # uint8
    raw = raw[:, None] if raw.ndim == 3 else raw.permute(0, 3, 1, 2)
    labels = torch.as_tensor(data.targets, dtype=torch.int64)
    if len(raw) != len(labels):
        raise ValueError(f"{len(raw)} images but {len(labels)} labels")
    return Labelled(raw.contiguous().to(torch.float32).div_(255), labels)


def _lock(path: Path) -> contextlib.AbstractContextManager:
    """Return a lock between processes; none where nothing can be written anyway."""
    writable = os.access(path.parent, os.W_OK)
    return FileLock(path) if writable else contextlib.nullcontext()


def _refuse_damaged(raw: Path) -> None:
    """Compare the lengths of unpacked files with what their first bytes say.

    torchvision takes a file that an interrupted unpacking left behind for whole.
    """
    for path in sorted(raw.glob("*-ubyte")):
        length = path.stat().st_size
        with open(path, "rb") as file:
            axes = (file.read(4)[3:] or b"\0")[0]
            sizes = [int.from_bytes(file.read(4), "big") for _ in range(axes)]
        if not axes or length != 4 + 4 * axes + math.prod(sizes):
            raise DamagedFile(
                f"{path} is damaged: with {length} bytes it is not complete. Delete "
                "it, and it is unpacked or downloaded again."
            )


def _is_whole(kind: Any, file: Path) -> bool:
    known = dict(getattr(kind, "resources", ()))
    md5 = known.get(file.name, getattr(kind, "tgz_md5", None))
    if not file.exists():
        return False
    return hashlib.md5(file.read_bytes()).hexdigest() == md5


def mnist(folder: str | Path | None = None) -> ImageData:
    """Return MNIST: 60000 + 10000 digits `(n, 1, 28, 28)`, downloaded when absent.

    Args:
        folder: where the files are or go; `data_folder()` by default.
    Raises:
        FileNotFoundError: if they are absent and there is no network; the message names
            the folder and the files.
        DamagedFile: if a file cannot be read; the message names it.
    """
    return _torchvision("MNIST", folder)


def fashion_mnist(folder: str | Path | None = None) -> ImageData:
    """Return Fashion-MNIST: 60000 + 10000 `(n, 1, 28, 28)`; else as `mnist`."""
    return _torchvision("FashionMNIST", folder)


def cifar10(folder: str | Path | None = None) -> ImageData:
    """Return CIFAR-10: 50000 + 10000 `(n, 3, 32, 32)`; else as `mnist`."""
    return _torchvision("CIFAR10", folder)


def cifar100(folder: str | Path | None = None) -> ImageData:
    """Return CIFAR-100: 50000 + 10000 `(n, 3, 32, 32)`; else as `mnist`."""
    return _torchvision("CIFAR100", folder)


DATASETS: dict[str, Callable[[], ImageData]] = {
    "digits": digits,
    "mnist": mnist,
    "fashionmnist": fashion_mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
}


def load(name: str) -> ImageData:
    """Return a data set by its name, a key of `DATASETS`.

    Raises:
        ValueError: if there is no such data set.
    """
    if name not in DATASETS:
        raise ValueError(f"no data set {name!r}; choose one of {', '.join(DATASETS)}")
    return DATASETS[name]()


class Batches:
    """Mini-batches of images that lie in memory, gone through anew by each loop.

    Much faster than a DataLoader where no image has to be read or decoded.
    """

    def __init__(
        self,
        part: Labelled,
        batch_size: int,
        generator: int | torch.Generator | None = None,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ) -> None:
        """Prepare to go through `part`.

        Args:
            part: images and labels, on any device.
            batch_size: the last batch may be smaller.
            generator: seed or generator of the order; None keeps the order of `part`.
                With a seed, a GPU draws for itself what lies on it, so that nothing
                waits for the CPU; its numbers are others than those of the CPU.
            augment: changes the images of a batch at random, with the same generator.
        Raises:
            ValueError: if the batch size is not positive, or if there is something to
                draw but no generator.
        """
        if batch_size < 1:
            raise ValueError(f"the batch size must be positive, not {batch_size}")
        if augment is not None and generator is None:
            raise ValueError("augmentation needs a generator")
        if isinstance(generator, int):
            where = part.labels.device if part.labels.is_cuda else "cpu"
            generator = torch.Generator(where).manual_seed(generator)
        self.part, self.batch_size = part, batch_size
        self.generator, self.augment = generator, augment

    def __len__(self) -> int:
        return -(-len(self.part.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        images, labels = self.part
        if self.generator is None:
            order = torch.arange(len(labels))
        else:
            rng = self.generator
            order = torch.randperm(len(labels), generator=rng, device=rng.device)
        for index in order.to(labels.device).split(self.batch_size):
            batch = images[index]
            if self.augment is not None and self.generator is not None:
                batch = self.augment(batch, self.generator)
            yield batch, labels[index]


def crop_and_flip(images: Tensor, generator: torch.Generator, edge: int = 4) -> Tensor:
    """Move each image by up to `edge` pixels, with zeros behind it; mirror every other.

    Args:
        images: `(s, channels, h, w)`; not changed.
        generator: of the shifts and of the coin for the mirror.
        edge: largest shift in each direction.
    Returns: images of the same shape.
    """
    n, _, height, width = images.shape
    device = images.device
    drawn = generator.device
    shift = torch.randint(2 * edge + 1, (2, n, 1), generator=generator, device=drawn)
    mirror = torch.rand(n, 1, generator=generator, device=drawn).to(device) < 0.5
    shift = shift.to(device)
    rows = shift[0] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device)
    columns = shift[1] + torch.where(mirror, columns.flip(0), columns)
    padded = F.pad(images, (edge,) * 4).permute(0, 2, 3, 1)
    which = torch.arange(n, device=device)[:, None, None]
    moved = padded[which, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2).contiguous()


def loaders(
    data: ImageData,
    batch_size: int = 64,
    test_batch_size: int = 512,
    generator: int | torch.Generator = 0,
) -> tuple[DataLoader, DataLoader]:
    """Return a shuffling loader of the training set and one of the test set, in order.

    Args:
        data: what one of the functions above returns.
        batch_size, test_batch_size: samples per batch; the last batch may be smaller.
        generator: seed or generator of the shuffling.
    """
    if not isinstance(generator, torch.Generator):
        generator = torch.Generator().manual_seed(generator)
    train = DataLoader(
        TensorDataset(*data.train), batch_size, shuffle=True, generator=generator
    )
    return train, DataLoader(TensorDataset(*data.test), test_batch_size)
