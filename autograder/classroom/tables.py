"""Tables as spreadsheets and platforms save them: CSV of any separator and encoding."""

import csv
import io
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..course import CourseError, printable

MAX_TABLE = 50 << 20
ADVICE = "save it as CSV UTF-8, with commas, and give that file"


@dataclass(frozen=True)
class Table:
    """A head and rows of the same length."""

    head: list[str]
    rows: list[list[str]]
    separator: str = ","
    note: str = ""  # how it was read, where that was not plain

    def column(self, *names: str) -> int | None:
        """Return the first column with one of these names, whatever their case."""
        heads = [key(title) for title in self.head]
        return next((heads.index(n) for n in map(key, names) if n in heads), None)


def key(text: str) -> str:
    """Return a text as it is compared: its letters and digits."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in plain if c.isalnum())


def read(path: Path) -> Table:
    """Read a table that a person saved.

    Raises:
        CourseError: if it cannot be read; the message is one sentence with advice.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_TABLE + 1)
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_TABLE:
        raise CourseError(f"{path} is larger than a table of a class: {ADVICE}")
    try:
        return parse(*decode(data))
    except ValueError as error:
        raise CourseError(f"{path} {error}: {ADVICE}") from None


def decode(data: bytes) -> tuple[str, str]:
    """Return the text of a CSV, and a note where its encoding had to be found out.

    Raises:
        ValueError: if it is no text, or that of an encoding that cannot be told.
    """
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF")):
        raise ValueError("is a workbook or another document, not a CSV")
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, errors="strict"), "read as UTF-16"
    if data[1:2] == b"\0" or data[:1] == b"\0":
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
        return data.decode(encoding), "read as UTF-16"
    if b"\0" in data:
        raise ValueError("is not a text")
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise ValueError("is neither UTF-8 nor Windows-1252") from None
    letters = [c for c in text if c.isalpha()]
    foreign = [c for c in text if not c.isascii()]
    odd = [c for c in foreign if not (c.islower() or c.isupper() or c in " ªº’–“”«»")]
    # Another alphabet read as Western letters is made of them almost entirely.
    if odd or len(foreign) > len(letters) / 5:
        raise ValueError("is in an encoding that cannot be told")
    return text, "read as Windows-1252"


def parse(text: str, note: str = "") -> Table:
    """Return the table of a CSV with commas, semicolons or tabs.

    Raises:
        ValueError: if it is no table.
    """
    text = text.removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    first, _, rest = lines.partition("\n")
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's own line
        lines = rest
    best: list[list[str]] = []
    separator = ","
    csv.field_size_limit(MAX_TABLE)
    for candidate in ",;\t":
        try:
            rows = list(csv.reader(io.StringIO(lines, newline=""), delimiter=candidate))
        except csv.Error:
            continue
        rows = [row for row in rows if any(cell.strip() for cell in row)]
        if rows and (not best or len(rows[0]) > len(best[0])):
            best, separator = rows, candidate
    if not best:
        raise ValueError("holds no table")
    head, *rows = best
    if any(cell.strip() for row in rows for cell in row[len(head) :]):
        raise ValueError("has rows that are longer than its head")
    width = len(head)
    rows = [(row + [""] * width)[:width] for row in rows]
    if separator != ",":
        name = {";": "semicolons", "\t": "tabs"}[separator]
        note = " and ".join(filter(None, (note, f"separated by {name}")))
    return Table([title.strip() for title in head], rows, separator, note)


def text(head: list[str], rows: Iterable[list[str]], separator: str = ",") -> str:
    """Return a table as CSV."""
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n", delimiter=separator)
    writer.writerow(head)
    writer.writerows(rows)
    return made.getvalue()


def safe(text: str) -> str:
    """Return a text that a spreadsheet does not take for a formula, on one line."""
    text = printable(text)
    return "'" + text if text.lstrip()[:1] in ("=", "+", "-", "@") else text
