"""Reading what students wrote: a local page for each question, all its answers on it.

`python -m autograder read 01` serves the pages to this machine alone, to whoever has
the token. Points and comments go into nbgrader's gradebook, where formgrader sees them.
"""

import asyncio
import hashlib
import hmac
import json
import math
import secrets
import signal
import webbrowser
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from nbformat import NotebookNode
from nbgrader.api import MissingEntry
from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RequestHandler

from ..authors.assignment import Assignment
from ..course import CourseError
from . import prose, written
from .gradebook import Classroom

HERE = Path(__file__).parent
HOST = "127.0.0.1"
PAGES = Environment(
    loader=FileSystemLoader(HERE),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
MAX_COMMENT = 20_000  # characters


@dataclass(frozen=True)
class Answer:
    """What one student wrote under a question, and what was said to it."""

    key: str  # stands for the student, without a name
    student: str
    text: Markup
    digest: str
    score: float | None  # None: nobody has read it
    waits: bool
    comment: str


class Conflict(Exception):
    """The answer is not the one that was on the page."""


@dataclass
class Reader:
    """A class whose answers are read.

    Args:
        token: who knows it may read; keys of students are made with it.
    """

    room: Classroom
    asked: dict[str, Assignment]
    token: str
    names: bool = False

    def __post_init__(self) -> None:
        self.copies: dict[Path, tuple[float, NotebookNode]] = {}

    def questions(self) -> list[dict[str, Any]]:
        """Return every question, with how many answers wait for a person."""
        found = []
        for name, asked in self.asked.items():
            for cell in asked.manual:
                answers = self.answers(name, cell.name)
                found.append(
                    {
                        "notebook": name,
                        "cell": cell.name,
                        "title": written.title(asked, cell.name),
                        "answers": len(answers),
                        "waits": sum(one.waits for one in answers),
                    }
                )
        return found

    def answers(self, name: str, cell: str) -> list[Answer]:
        """Return all answers to a question, in an order that tells nothing.

        Who wrote nothing is left out, unless points were given by hand before.
        """
        asked = self.asked[name]
        found = []
        manual = self.room.manual(name)
        for student in self.room.students(name):
            decided = manual.get(student, {}).get(cell)
            cells = self.cells(asked, student, cell)
            if decided is None or not (cells or decided["waits"]):
                continue
            waits = decided["waits"]
            found.append(
                Answer(
                    self.key(name, student),
                    student,
                    Markup("".join(_shown(asked, cells))),
                    written.digest(cells),
                    decided["score"] if decided["by_hand"] or not waits else None,
                    waits,
                    decided.get("comment", ""),
                )
            )
        return sorted(found, key=lambda one: one.key)

    def cells(self, asked: Assignment, student: str, cell: str) -> list[NotebookNode]:
        """Return the cells of a student's answer, from the graded copy."""
        path = self.room.autograded(student, asked.name)
        try:
            changed = path.stat().st_mtime
            if self.copies.get(path, (0.0, None))[0] != changed:
                text = path.read_text(encoding="utf-8")
                self.copies[path] = changed, nbformat.v4.reads(text)
            return written.answers(asked, self.copies[path][1])[cell]
        except (OSError, ValueError):
            return []

    def key(self, name: str, student: str) -> str:
        text = f"{name}/{student}".encode()
        return hmac.new(self.token.encode(), text, hashlib.sha256).hexdigest()[:24]

    def save(
        self,
        name: str,
        cell: str,
        key: str,
        digest: str,
        points: float | None,
        comment: str,
    ) -> dict[str, Any]:
        """Write points and a comment into the gradebook.

        Raises:
            KeyError: if there is no such question or student.
            ValueError: if the points are not between nothing and all.
            Conflict: if the answer is another one by now.
        """
        asked = self.asked[name]
        question = next((one for one in asked.manual if one.name == cell), None)
        if question is None:
            raise KeyError(cell)
        students = {self.key(name, one): one for one in self.room.students(name)}
        student = students[key]
        if points is not None and not 0 <= points <= question.points:
            raise ValueError(f"points are between 0 and {question.points:g}")
        if len(comment) > MAX_COMMENT:
            raise ValueError("the comment is too long")
        if written.digest(self.cells(asked, student, cell)) != digest:
            raise Conflict("the answer was changed meanwhile: load the page again")
        with self.room.gradebook() as book:
            try:
                grade = book.find_grade(cell, name, name, student)
                note = book.find_comment(cell, name, name, student)
            except MissingEntry:
                raise KeyError(student) from None
            grade.manual_score = points
            grade.needs_manual_grade = points is None and bool(digest)
            note.manual_comment = comment or None
            book.db.commit()
        return {"comment": prose.to_html(comment), "waits": points is None}

    def comments(self, answers: list[Answer]) -> list[str]:
        """Return what was said under a question, the most frequent first."""
        said = Counter(one.comment.strip() for one in answers if one.comment.strip())
        return [text for text, _ in said.most_common(9)]


def _shown(asked: Assignment, cells: list[NotebookNode]) -> Iterator[str]:
    """Yield the HTML of the cells of an answer."""
    for cell in cells:
        if cell.cell_type == "markdown":
            text = written.text(asked, [cell])
            yield prose.to_html(text, cell.get("attachments", {}))
        else:
            yield str(Markup("<pre>{}</pre>").format(cell.source))


def scheme(asked: Assignment, cell: str) -> tuple[str, str]:
    """Return a question and its mark scheme as HTML."""
    target = asked.graded[cell]
    before, _, rest = target.source.partition("### BEGIN MARK SCHEME")
    inside, _, after = rest.partition("### END MARK SCHEME")
    if target.is_task:
        return prose.to_html(before + after), prose.to_html(inside)
    cells = asked.released.cells
    at = next(i for i, c in enumerate(cells) if c.source == target.visible)
    above = cells[at - 1] if at else cells[at]
    question = above.source if above.cell_type == "markdown" else ""
    return prose.to_html(question), prose.to_html(before + inside + after)


# ------------------------------------------------------------------------ serving


class _Page(RequestHandler):
    """Answers nobody but a browser on this machine that knows the token."""

    def initialize(self, reader: Reader) -> None:
        self.reader = reader

    def set_default_headers(self) -> None:
        for name, value in {
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }.items():
            self.set_header(name, value)

    @property
    def cookie(self) -> str:
        return f"read-{self.request.host.rpartition(':')[2]}"

    def prepare(self) -> None:
        # Another name for this machine would be a page elsewhere that calls it.
        if self.request.host.rpartition(":")[0] not in (HOST, "localhost"):
            raise HTTPError(403)
        given = self.get_query_argument("token", "") or self.get_cookie(self.cookie, "")
        if not self.knows(given or ""):
            raise HTTPError(403, reason="open the address that the terminal shows")

    def knows(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.reader.token.encode())

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: {self._reason}")


class _Index(_Page):
    def get(self) -> None:
        if self.get_query_argument("token", ""):
            self.set_cookie(
                self.cookie, self.reader.token, httponly=True, samesite="Strict"
            )
            self.redirect("/")
            return
        page = PAGES.get_template("read_index.html.j2")
        self.finish(page.render(questions=self.reader.questions()))


class _Question(_Page):
    def get(self, name: str, cell: str) -> None:
        asked = self.reader.asked.get(name)
        if asked is None or cell not in [one.name for one in asked.manual]:
            raise HTTPError(404)
        question, marks = scheme(asked, cell)
        answers = self.reader.answers(name, cell)
        page = PAGES.get_template("read.html.j2")
        self.finish(
            page.render(
                title=written.title(asked, cell),
                notebook=name,
                cell=cell,
                token=self.reader.token,
                points=asked.graded[cell].points,
                question=Markup(question),
                scheme=Markup(marks),
                answers=answers,
                comments=self.reader.comments(answers),
                rendered={
                    one.key: Markup(prose.to_html(one.comment)) for one in answers
                },
                names=self.reader.names,
            )
        )

    def post(self, name: str, cell: str) -> None:
        if not self.knows(self.request.headers.get("X-Token", "")):
            raise HTTPError(403)
        try:
            came = json.loads(self.request.body)
            points = came["points"]
            points = None if points is None else float(points)
            if points is not None and not math.isfinite(points):
                raise ValueError("points are a number")
            said = self.reader.save(
                name,
                cell,
                str(came["key"]),
                str(came["digest"]),
                points,
                str(came["comment"]),
            )
        except KeyError:
            raise HTTPError(404) from None
        except Conflict as error:
            raise HTTPError(409, reason=str(error)) from None
        except (TypeError, ValueError) as error:
            raise HTTPError(400, reason=str(error)[:80].replace("\n", " ")) from None
        self.finish(said)


class _File(_Page):
    kinds: ClassVar[dict[str, str]] = {
        "read.js": "text/javascript; charset=utf-8",
        "read.css": "text/css; charset=utf-8",
    }

    def get(self, name: str) -> None:
        self.set_header("Content-Type", self.kinds[name])
        self.finish((HERE / name).read_bytes())


def application(reader: Reader) -> Application:
    """Return the pages of a reader."""
    given = {"reader": reader}
    return Application(
        [
            (r"/", _Index, given),
            (r"/(read\.js|read\.css)", _File, given),
            (r"/([0-9a-z_]+)/([A-Za-z0-9_-]+)", _Question, given),
        ],
        log_function=lambda handler: None,
    )


def serve(
    room: Classroom, asked: list[Assignment], port: int, browser: bool, names: bool
) -> None:
    """Serve the pages until Ctrl-C or SIGTERM.

    Raises:
        CourseError: if the port is taken, or there is nothing to read.
    """
    reader = Reader(
        room,
        {one.name: one for one in asked if room.students(one.name)},
        secrets.token_urlsafe(24),
        names,
    )
    if not reader.asked:
        raise CourseError(f"nothing to read: nothing is handed in below {room.root}")
    asyncio.run(_serve(reader, port, browser))


async def _serve(reader: Reader, port: int, browser: bool) -> None:
    server = HTTPServer(application(reader), max_body_size=1 << 20)
    try:
        server.listen(port, HOST)
    except OSError as error:
        raise CourseError(f"port {port}: {error.strerror}; try --port") from None
    address = f"http://{HOST}:{port}/?token={reader.token}"
    print(f"Read at {address}", flush=True)
    print("Ctrl-C ends it.", flush=True)
    if browser:
        webbrowser.open(address)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    server.stop()
    for name in reader.asked:
        print(f"Pages with your comments: python -m autograder feedback {name}")
