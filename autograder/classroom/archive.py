"""What lies in a zip from outside: names to read, never places to write to.

A file is unpacked into memory, one at a time and up to a limit; zips in zips are looked
into. What is wrong with one file is said of that file.
"""

import io
import re
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..course import MAX_SUBMISSION, CourseError

MAX_FILES = 50_000
MAX_TOTAL = 4 << 30  # bytes that are unpacked at all
MAX_DEPTH = 3
JUNK = re.compile(
    r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$|\.ipynb_checkpoints/)"
)
OTHER_PACKERS = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")


class Damaged(Exception):
    """A file that cannot be unpacked; the message says why."""


@dataclass
class Budget:
    """How much may still be unpacked, and how many files looked at."""

    left: int = MAX_TOTAL
    files: int = MAX_FILES


@dataclass(frozen=True)
class File:
    """A file in an archive."""

    path: str  # with the names of the zips it lies in
    size: int  # as the archive says
    when: tuple[int, ...]
    opened: zipfile.ZipFile = field(repr=False)
    entry: zipfile.ZipInfo = field(repr=False)
    budget: Budget = field(repr=False)

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    def read(self, limit: int = MAX_SUBMISSION) -> bytes:
        """Unpack it.

        Raises:
            Damaged: if that cannot be done, or it is larger than the limit.
        """
        if self.entry.flag_bits & 1:
            raise Damaged("it is encrypted")
        if self.size > limit:
            raise Damaged(f"it is too large ({self.size >> 20} MB)")
        try:
            with self.opened.open(self.entry) as file:
                data = file.read(min(limit, self.budget.left) + 1)
        except (
            OSError,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise Damaged(f"it cannot be unpacked ({error})") from None
        self.budget.left -= len(data)
        if len(data) > limit:
            raise Damaged("it is larger than it says")
        if self.budget.left < 0:
            raise Damaged("the archive unpacks to more than 4 GB")
        return data


def files(path: Path) -> Iterator[File | tuple[str, str]]:
    """Yield the files of a zip, or (name, reason) for one that cannot be looked at.

    Raises:
        CourseError: if it is no zip, or no platform made it: its names lead out of it.
    """
    try:
        opened = _packed(path) if path.is_dir() else zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise CourseError(f"{path} is not a zip that can be read: {error}") from None
    for entry in opened.infolist():
        if trick := _trick(entry):
            raise CourseError(f"{path}: {trick} ({entry.filename!r}): refused")
    yield from _files(opened, "", 0, Budget())


def _packed(folder: Path) -> zipfile.ZipFile:
    """Return a folder as the zip that a browser made it of; links are left out."""
    held = tempfile.SpooledTemporaryFile(64 << 20)
    with zipfile.ZipFile(held, "w", strict_timestamps=False) as made:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                made.write(path, path.relative_to(folder))
    return zipfile.ZipFile(held)


def _files(
    opened: zipfile.ZipFile, within: str, depth: int, budget: Budget
) -> Iterator[File | tuple[str, str]]:
    for entry in opened.infolist():
        path = within + _name(entry)
        if entry.is_dir() or JUNK.search(path):
            continue
        budget.files -= 1
        if budget.files < 0:
            yield path, f"the archive holds more than {MAX_FILES} files"
            return
        if trick := _trick(entry):
            yield path, f"it is {trick}"
            continue
        file = File(path, entry.file_size, entry.date_time, opened, entry, budget)
        if not path.lower().endswith(".zip"):
            yield file
        elif depth == MAX_DEPTH:
            yield path, "it is a zip in a zip in a zip: unpack it by hand"
        else:
            yield from _inner(file, depth + 1)


def _inner(file: File, depth: int) -> Iterator[File | tuple[str, str]]:
    try:
        inner = zipfile.ZipFile(io.BytesIO(file.read(2 * MAX_SUBMISSION)))
    except Damaged as error:
        yield file.path, str(error)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        yield file.path, f"it is not a zip that can be read ({error})"
    else:
        yield from _files(inner, f"{file.path}/", depth, file.budget)


def _trick(entry: zipfile.ZipInfo) -> str:
    """Return what is wrong with the name or the kind of an entry; "" for nothing."""
    name = entry.filename
    path = PurePosixPath(name.replace("\\", "/"))
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if path.is_absolute() or re.match(r"[A-Za-z]:[/\\]", name):
        return "an absolute path"
    if ".." in path.parts:
        return "a path that leaves the archive"
    if "\0" in entry.orig_filename:
        return "a name with a null in it"
    if kind == stat.S_IFLNK:
        return "a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "something that is not a file"
    return ""


def _name(entry: zipfile.ZipInfo) -> str:
    """Return the name of an entry: UTF-8 also where its flag is missing, composed."""
    name = entry.filename
    if not entry.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return unicodedata.normalize("NFC", name.replace("\\", "/"))
