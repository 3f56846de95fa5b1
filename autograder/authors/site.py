"""The course as a web page: `python -m autograder site` makes build/site.

Nothing is executed and no network is used. The page of a notebook is the released text
with the pictures and printed results of the executed solution; test cells stay folded
and without results, since those name hidden checks. The other pages come from
`course/site/`, the docstrings, the records of the studies and the guides.
"""

import base64
import hashlib
import html
import importlib
import importlib.util
import inspect
import io
import json
import pkgutil
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import is_grade

from ..course import Course, CourseError
from . import pairs, readme, release
from .assignment import Assignment, assignment

ROOMS = [
    *("scale", "solvers", "adjoint", "training", "optimise"),
    *("data", "nets", "check", "plots", "studies"),
]
"""The package as its pages show it, in the order in which it is met."""

MATHJAX = ("tex-chtml.js", "output/chtml/fonts", "input/tex/extensions", "a11y", "sre")
GUIDES = {"instructors": "autograder/README.md", "authors": "CONTRIBUTING.md"}

# ------------------------------------------------------------------------ building


def build(course: Course, out: Path) -> list[str]:
    """Write the site into the folder `out`, and list what does not belong there.

    Raises:
        CourseError: if the extra `site` is not installed, or a page cannot be made.
    """
    if importlib.util.find_spec("sphinx") is None:
        raise CourseError('the site needs: python -m pip install -e ".[site]"')
    asked = [assignment(course, name) for name in course.notebooks()]
    with tempfile.TemporaryDirectory(prefix="odenets-site-") as folder:
        source = Path(folder) / "source"
        write_pages(course, asked, source)
        shutil.rmtree(out, ignore_errors=True)
        trees = str(Path(folder) / "trees")
        # In a process of its own: what Sphinx does to functions, to show their defaults
        # as they are written, must not meet others.
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
        command += ["-d", trees, str(source), str(out)]
        if subprocess.run(command).returncode:
            raise CourseError("Sphinx found something to mend, see above")
    (out / ".buildinfo").unlink(missing_ok=True)
    (out / ".nojekyll").touch()  # GitHub's pages leave out folders with an underscore
    return list(leaks(asked, out))


def write_pages(course: Course, asked: list[Assignment], source: Path) -> None:
    """Write everything that Sphinx reads into the folder `source`."""
    shutil.copytree(course.root / "course" / "site", source)
    mathjax = Path(str(_folder_of("sphinx-mathjax-offline"))) / "static" / "mathjax"
    for part in MATHJAX:
        target = source / "_static" / "mathjax" / part
        copy = shutil.copytree if (mathjax / part).is_dir() else shutil.copy
        target.parent.mkdir(parents=True, exist_ok=True)
        copy(mathjax / part, target)
    pictures = Pictures(source / "_static" / "pictures")
    downloads = source / "downloads"
    downloads.mkdir()
    documented = Documented.of_package()
    met_in: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for one in asked:
        shutil.copy(course.release(one.name), downloads)
        notebook = notebook_page(course, one, pictures, documented)
        for name in documented.used_in(one.released):
            met_in.setdefault(name, []).append(one.name)
        text = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
        found = re.search(r"_static/pictures/\w+\.png", text)
        first[one.name] = found[0] if found else ""
        text = pairs.to_text(notebook)
        (source / f"{one.name}.ipynb").write_text(text, encoding="utf-8")
    for record in sorted((course.root / "course/odenets/studies").glob("*.csv")):
        shutil.copy(record, downloads)
    _fill(source / "index.md", {
        "notebooks": cards(course, first),
        "picture": pictures.of_file(course.root / "course" / "features.png", HERO),
    })  # fmt: skip
    _fill(source / "notebooks.md", {
        "list": "\n".join(line(course, one.name) for one in asked),
        "names": "\n".join(one.name for one in asked),
    })  # fmt: skip
    (source / "package").mkdir()
    for module, text in documented.pages():
        (source / "package" / f"{module}.md").write_text(text, encoding="utf-8")
    _fill(source / "package.md", {"modules": documented.overview()})
    for page, path in GUIDES.items():
        text = (course.root / path).read_text(encoding="utf-8")
        text = with_addresses(course, text, posixpath.dirname(path))
        (source / f"{page}.md").write_text(text, encoding="utf-8")
    site = {"repository": course.repository, "met_in": met_in}
    (source / "site.json").write_text(json.dumps(site), encoding="utf-8")


HERO = (
    "The features of two nested classes on their way through a residual network, until "
    "a line separates them"
)


def _folder_of(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise CourseError(f'{module} is missing: python -m pip install -e ".[site]"')
    return Path(spec.origin).parent


def _fill(path: Path, parts: Mapping[str, str]) -> None:
    """Put each part in the place of its mark `%% name %%`."""
    text = path.read_text(encoding="utf-8")
    for name, part in parts.items():
        mark = f"%% {name} %%"
        if text.count(mark) != 1:
            raise CourseError(f"{path.name} needs the mark {mark}, once")
        text = text.replace(mark, part)
    path.write_text(text, encoding="utf-8")


def cards(course: Course, pictures: Mapping[str, str]) -> str:
    """Return a card for every notebook: picture, question, minutes, points, links."""
    lines = ["::::{grid} 1 2 2 2", ":gutter: 3", ""]
    for name, picture in pictures.items():
        title = readme.title(course, name)
        image = [f":img-top: {picture}", ":img-alt: ''"] if picture else []
        lines += [
            f":::{{grid-item-card}} {name[:2]} {title.heading}",
            *image,
            "",
            title.question,
            "",
            f"{title.minutes} min, {title.points} points",
            "",
            *_buttons(course, name, read=True),
            ":::",
            "",
        ]
    return "\n".join([*lines, "::::"])


def line(course: Course, name: str) -> str:
    """Return the line of a notebook in the list of all."""
    title = readme.title(course, name)
    return f"* **[{name[:2]} - {title.heading}]({name}.ipynb)** {title.question}"


def _buttons(course: Course, name: str, read: bool = False) -> list[str]:
    """Return links that open a notebook here, in Colab, and on the reader's disc."""
    here = [f"[Read]({name}.ipynb)"] if read else []
    colab = readme.colab(course, f"course/{name}/{name}.ipynb")
    saved = f"{{download}}`Download </downloads/{name}.ipynb>`"
    return [" · ".join([*here, colab, saved])]


def with_addresses(course: Course, text: str, folder: str) -> str:
    """Lead the relative links of a guide to the pages, or to the repository."""
    pages = {path: f"{page}.md" for page, path in GUIDES.items()}

    def lead(match: re.Match[str]) -> str:
        path, _, anchor = match[1].partition("#")
        path = posixpath.normpath(posixpath.join(folder, path))
        target = pages.get(path, f"{course.repository}/blob/main/{path}")
        return f"]({target}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\((?!https?:|#|mailto:)([^)\s]+)\)", lead, text)


# ----------------------------------------------------------------- a notebook's page


def notebook_page(
    course: Course, asked: Assignment, pictures: "Pictures", documented: "Documented"
) -> NotebookNode:
    """Return the released notebook with what the executed solution shows."""
    executed = nbformat.read(course.solution(asked.name), as_version=4)
    page = deepcopy(asked.released)
    if len(page.cells) != len(executed.cells):
        raise CourseError(f"{asked.name}: run `make sync` first")
    for cell, ran in zip(page.cells, executed.cells):
        if cell.cell_type == "markdown":
            text = re.sub(r"\]\(\.\./\w+/(\w+\.ipynb)", r"](\1", cell.source)
            cell.source = documented.linked(text, page)
        elif cell.cell_type == "code":
            graded = is_grade(cell)
            outputs = [] if graded else ran.outputs
            cell.outputs = [pictures.kept(deepcopy(output)) for output in outputs]
            cell.metadata = {"tags": ["hide-input"]} if graded else {}
    heading, _, rest = page.cells[0].source.partition("\n")
    rest = re.sub(r"\[!\[Open in Colab\].*\n", "", rest)  # the badge lies elsewhere
    links = "\n".join(_buttons(course, asked.name))
    page.cells[0].source = f"{heading}\n\n{links}\n{rest}"
    return page


@dataclass(frozen=True)
class Pictures:
    """The folder in which the pictures of all pages lie, each once."""

    folder: Path

    def kept(self, output: NotebookNode) -> NotebookNode:
        """Move the pictures of an output into files; animations get controls."""
        data = output.get("data", {})
        if "text/html" in data:
            data.pop("text/plain", None)
            page = data["text/html"]
            page = re.sub(
                r'<img src="data:image/(png|gif);base64,([^"]+)" alt="([^"]*)"'
                r'(?: width="(\d+)")?[^>]*>',
                lambda m: self._element(*m.groups()),
                page,
            )
            data["text/html"] = page
        return output

    def of_file(self, path: Path, alt: str) -> str:
        """Return the element that shows a picture of the repository."""
        data = base64.b64encode(path.read_bytes()).decode()
        return self._element("png", data, html.escape(alt), None)

    def _element(self, kind: str, data: str, alt: str, width: str | None) -> str:
        from PIL import Image

        content = base64.b64decode(data)
        with Image.open(io.BytesIO(content)) as picture:
            if kind == "gif":
                return self._film(picture, alt, width)
            size = f'width="{picture.width}" height="{picture.height}"'
        place = self._save(content)
        return f'<img src="{place}" alt="{alt}" {size} loading="lazy">'

    def _film(self, picture: Any, alt: str, width: str | None) -> str:
        """Return an animation that a reader plays: all frames below each other."""
        from PIL import Image, ImageSequence

        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(picture)]
        wide, high = picture.size
        strip = Image.new("RGB", (wide, high * len(frames)))
        for k, frame in enumerate(frames):
            strip.paste(frame, (0, k * high))
        file = io.BytesIO()
        strip.quantize(128).save(file, format="png", optimize=True)
        shown = int(width or wide)
        style = f"width: {shown}px; aspect-ratio: {wide} / {high}; "
        style += f"background-image: url({self._save(file.getvalue())})"
        interval = picture.info.get("duration", 100)
        return (
            f'<div class="film" data-interval="{interval}">'
            f'<div class="film-frame" role="img" aria-label="{alt}" style="{style}">'
            "</div>"
            '<div class="film-controls">'
            '<button type="button" class="btn btn-primary btn-sm">Play</button>'
            f'<input type="range" min="0" max="{len(frames) - 1}" value="0" '
            'aria-label="frame"></div></div>'
        )

    def _save(self, content: bytes) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha1(content).hexdigest()[:16] + ".png"
        (self.folder / name).write_bytes(content)
        return f"_static/pictures/{name}"


# ------------------------------------------------------------------------ the package


@dataclass(frozen=True)
class Documented:
    """The public modules of the package, and where each of their names is described."""

    modules: Mapping[str, ModuleType]  # "nets.resnet": the module
    names: frozenset[str]  # full names, "odenets.nets.resnet.ResNet"

    @classmethod
    def of_package(cls) -> "Documented":
        """Look at all modules without an underscore, down to the rooms' files."""
        modules = {name: module for room in ROOMS for name, module in _modules(room)}
        names = {f"odenets.{name}" for name in modules}
        for name, module in modules.items():
            for member in public(module):
                full = f"odenets.{name}.{member}"
                names.add(full)
                thing = getattr(module, member)
                if inspect.isclass(thing):
                    own = [key for key in vars(thing) if not key.startswith("_")]
                    names |= {f"{full}.{key}" for key in own}
        return cls(modules, frozenset(names))

    def pages(self) -> Iterator[tuple[str, str]]:
        """Yield the page of each module."""
        for name, module in self.modules.items():
            members = ", ".join(public(module))
            yield (
                name,
                f"# {name}\n\n```{{eval-rst}}\n.. automodule:: odenets.{name}\n"
                f"   :members: {members}\n   :imported-members:\n   :undoc-members:\n"
                "   :show-inheritance:\n```\n",
            )

    def overview(self) -> str:
        """Return the list of modules, a sentence each, and the tree of their pages."""
        lines = []
        for name, module in self.modules.items():
            sentence = (inspect.getdoc(module) or "").split("\n\n")[0]
            lines.append(f"* [{name}](package/{name}.md): {' '.join(sentence.split())}")
        tree = ["```{toctree}", ":hidden:", "", *(f"package/{n}" for n in self.modules)]
        return "\n".join([*lines, "", *tree, "```"])

    def aliases(self, notebook: NotebookNode) -> dict[str, str]:
        """Return what a notebook imports from the package: word and full name."""
        found = {}
        for cell in notebook.cells:
            if cell.cell_type == "code":
                for module, words in re.findall(
                    r"^from (odenets[\w.]*) import ([\w, ]+)$",
                    cell.source,
                    re.MULTILINE,
                ):
                    for word in words.split(", "):
                        found[word] = f"{module}.{word}"
        return found

    def full_name(self, words: str, aliases: Mapping[str, str]) -> str | None:
        """Return where `solvers.odeint` is described, if it is."""
        head, dot, rest = words.removeprefix("odenets.").partition(".")
        full = aliases.get(head, f"odenets.{head}") + dot + rest
        return full if full in self.names and dot else None

    def used_in(self, notebook: NotebookNode) -> Iterator[str]:
        """Yield the described names that the visible code of a notebook uses."""
        aliases = self.aliases(notebook)
        code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
        for words in sorted(set(re.findall(r"\b[a-z_]\w*(?:\.\w+)+", code))):
            if full := self.full_name(words, aliases):
                yield full

    def linked(self, text: str, notebook: NotebookNode) -> str:
        """Turn `solvers.odeint` in a text into a link to its description."""
        aliases = self.aliases(notebook)

        def link(match: re.Match[str]) -> str:
            full = self.full_name(match[1], aliases)
            return f"{{py:obj}}`{match[1]} <{full}>`" if full else match[0]

        parts = re.split(r"(```.*?```|<details>.*?</details>)", text, flags=re.DOTALL)
        parts[::2] = [
            re.sub(r"(?<![`}])`([a-z_]\w*(?:\.\w+)+)`(?!`)", link, part)
            for part in parts[::2]
        ]
        return "".join(parts)


def _modules(room: str) -> Iterator[tuple[str, ModuleType]]:
    """Yield a room; one that only holds files (nets, data) gives way to these."""
    module = importlib.import_module(f"odenets.{room}")
    yield room, module
    if hasattr(module, "__path__") and not hasattr(module, "__all__"):
        for info in pkgutil.iter_modules(module.__path__):
            name = f"{room}.{info.name}"
            yield name, importlib.import_module(f"odenets.{name}")


def public(module: ModuleType) -> list[str]:
    """Return the names that a module offers: `__all__`, else what it defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


# --------------------------------------------------------------------------- the gate


def leaks(asked: Iterable[Assignment], site: Path) -> Iterator[str]:
    """Name each line of a page that only a solution has."""
    from bs4 import BeautifulSoup

    parts = {one.name: release.hidden_and_seen(one) for one in asked}
    hidden = [region for regions, _ in parts.values() for region in regions]
    seen = sum((seen for _, seen in parts.values()), Counter[str]())
    for path in sorted(site.rglob("*.html")):
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        lines = Counter(line.strip() for line in soup.get_text().split("\n"))
        yield from release.leaked(
            *parts.get(path.stem, (hidden, seen)),
            lines,
            f"page {path.relative_to(site)}",
        )
