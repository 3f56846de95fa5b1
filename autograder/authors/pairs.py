"""From the text that authors edit to the executed notebook, and the proof of it.

`solutions/NN/NN.py` is the source. `build` turns it into a notebook whose cell ids
follow from the source, `execute` fills in the outputs in a fresh kernel, and `problems`
lists everything in which a committed pair is not what these two would make.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupytext.config import load_jupytext_config
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from traitlets.config import Config

from ..course import Course, CourseError, write_atomically

METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}
CELL_METADATA = {"nbgrader", "tags"}
WIDGET = {"application/vnd.jupyter.widget-view+json"}
MAX_BYTES = 1_000_000
EXECUTION_SECONDS = 900


def build(course: Course, name: str) -> NotebookNode:
    """Return the notebook of the source `name`, without outputs.

    Raises:
        CourseError: if the source is missing, or holds metadata that is not kept.
    """
    return notebook_of(course.source(name))


def notebook_of(source: Path) -> NotebookNode:
    """Return the notebook that the text file `source` stands for."""
    if not source.exists():
        raise CourseError(f"{source} does not exist")
    text = source.read_text(encoding="utf-8")
    config = load_jupytext_config(str(source))
    notebook = jupytext.reads(text, fmt="py:percent", config=config)
    cells = []
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        metadata = dict(cell.metadata)
        metadata.pop("lines_to_next_cell", None)
        unknown = set(metadata) - CELL_METADATA
        if unknown:
            raise CourseError(f"{source.name}: unknown cell metadata {sorted(unknown)}")
        new = {
            "code": nbformat.v4.new_code_cell,
            "markdown": nbformat.v4.new_markdown_cell,
            "raw": nbformat.v4.new_raw_cell,
        }[cell.cell_type](cell.source, metadata=metadata)
        new["id"] = _cell_id(new, seen)
        cells.append(new)
    result = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    nbformat.validate(result)
    return result


def _cell_id(cell: NotebookNode, seen: dict[str, int]) -> str:
    """Derive an id from the cell alone: equal cells are numbered in their order."""
    grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
    digest = hashlib.sha1(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()
    base = grade_id[:60] if grade_id else digest[:10]
    seen[base] = seen.get(base, 0) + 1
    return base if seen[base] == 1 else f"{base}-{seen[base]}"


def to_text(notebook: NotebookNode) -> str:
    """Return the notebook as the JSON that is committed: one form for one content."""
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def to_percent(notebook: NotebookNode, folder: Path) -> str:
    """Return the text twin of a notebook that lies in `folder`."""
    config = load_jupytext_config(str(folder / "notebook.ipynb"))
    return jupytext.writes(notebook, fmt="py:percent", config=config)


# --------------------------------------------------------------------- executing


@contextmanager
def quiet_kernels(**extra: str) -> Iterator[None]:
    """An environment in which a kernel prints what the notebook prints, no more."""
    with tempfile.TemporaryDirectory(prefix="odenets-ipython-") as profile:
        wanted = {
            "IPYTHONDIR": profile,  # a person's start-up files are not the notebook's
            "JUPYTER_PLATFORM_DIRS": "1",
            "ODENETS_PROGRESS": "off",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "PYTHONWARNINGS": "default",
            "PYTHONHASHSEED": "0",
            **extra,
        }
        removed = {"NBGRADER_EXECUTION", "ODENETS_SCALE", "ODENETS_CHECK_RECORDS"}
        before = {key: os.environ.get(key) for key in {*wanted, *removed}}
        for key in removed - set(wanted):
            os.environ.pop(key, None)
        os.environ.update(wanted)
        try:
            yield
        finally:
            for key, value in before.items():
                if value is None:
                    os.environ.pop(key, None)
                else:
                    os.environ[key] = value


def local_kernels(folder: str) -> Config:
    """Let kernels talk through sockets in `folder` instead of over the network.

    Over TCP a kernel warns that its words can be overheard; Windows has nothing else.
    """
    if os.name == "nt":
        return Config()
    return Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}})


def execute(
    notebook: NotebookNode,
    *,
    timeout: int = EXECUTION_SECONDS,
    advance: Callable[[], object] = lambda: None,
    **extra: str,
) -> NotebookNode:
    """Execute `notebook` in a fresh kernel and an empty folder, and return it.

    Args:
        timeout: seconds for one cell.
        advance: called after each cell of code.
        extra: environment variables for the kernel.

    Raises:
        CourseError: if a cell raises, says something on stderr, or the kernel dies;
            the message shows the cell and what it said.
    """
    with (
        quiet_kernels(**extra),
        tempfile.TemporaryDirectory(prefix="odenets-run-") as folder,
        tempfile.TemporaryDirectory(prefix="odenets-ipc-") as sockets,
    ):
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            store_widget_state=False,
            config=local_kernels(sockets),
            resources={"metadata": {"path": folder}},
            on_cell_executed=lambda **_: advance(),
        )
        try:
            client.execute()
        except CellExecutionError as error:
            raise CourseError(f"a cell failed:\n{error}") from None
        except (DeadKernelError, TimeoutError) as error:
            raise CourseError(f"the kernel died or hung: {error}") from None
        forbidden = [folder, str(Path.home() / ""), os.getcwd() + os.sep]
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        if cell.cell_type == "code":  # a slider lives in a kernel: nothing to store
            cell.outputs = [
                one for one in cell.outputs if set(one.get("data", ())) != WIDGET
            ]
    wrong = list(_unwanted_outputs(notebook, forbidden))
    if wrong:
        raise CourseError("\n".join(wrong))
    return notebook


def _unwanted_outputs(notebook: NotebookNode, paths: list[str]) -> Iterator[str]:
    """Name outputs that must not be stored: noise, errors, places on this machine."""
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            where = f"cell {index} ({_first_line(cell)})"
            if output.output_type == "error":
                yield f"{where} raised {output.ename}: {output.evalue}"
            if output.output_type == "stream" and output.name == "stderr":
                yield f"{where} says on stderr: {output.text.strip()[:400]}"
            text = _text_of(output)
            for path in paths:
                if len(path) > 1 and path in text:
                    yield f"{where} prints the path {path}"
            if " at 0x" in text:
                yield f"{where} prints an address in memory; end the line with `;`"


def _text_of(output: NotebookNode) -> str:
    if output.output_type == "stream":
        return output.text
    data = output.get("data", {})
    return "\n".join(str(data[key]) for key in data if key.startswith("text/"))


def _first_line(cell: NotebookNode) -> str:
    lines = [line for line in cell.source.splitlines() if line.strip()]
    return lines[0][:60] if lines else "empty"


# ----------------------------------------------------------------------- the pair


def sync(course: Course, name: str, *, force: bool = False) -> str:
    """Bring the notebook of `name` up to its source; return what was done.

    Outputs are kept where no code changed; otherwise, or with `force`, the whole
    notebook is executed.
    """
    notebook = build(course, name)
    target = course.solution(name)
    old = _read(target)
    done = "unchanged"
    if not force and old is not None and _keep_outputs(notebook, old):
        if write_atomically(target, to_text(notebook)):
            done = "text updated, outputs kept"
    else:
        try:
            execute(notebook)
        except CourseError as error:
            raise CourseError(f"{name}: {error}") from None
        done = "executed"
        if not write_atomically(target, to_text(notebook)):
            done = "executed, same outputs"
    size = target.stat().st_size
    if size > MAX_BYTES:
        raise CourseError(f"{name}: {size / 1e6:.1f} MB; a notebook stays below 1 MB")
    return done


def _read(path: Path) -> NotebookNode | None:
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, nbformat.ValidationError):
        return None


def _keep_outputs(notebook: NotebookNode, old: NotebookNode) -> bool:
    """Copy the outputs of `old` where all code is the same; return whether it is."""
    new_code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    old_code = [cell for cell in old.cells if cell.cell_type == "code"]
    same = [c.source for c in new_code] == [c.source for c in old_code]
    if not same or any(c.execution_count is None for c in old_code):
        return False
    for new, past in zip(new_code, old_code):
        new.outputs, new.execution_count = past.outputs, past.execution_count
    return True


def problems(
    course: Course, name: str, source: NotebookNode | None = None
) -> list[str]:
    """List in what the committed pair `name` differs from what `sync` would write.

    Args:
        source: what `build` gave, where it was called already.
    """
    source = source or build(course, name)
    target = course.solution(name)
    if not target.exists():
        return [f"{name}: {target.name} is missing; run: python -m autograder sync"]
    notebook = _read(target)
    if notebook is None:
        return [f"{name}: {target.name} is not a notebook"]
    found = []
    if len(source.cells) != len(notebook.cells):
        found.append(f"{len(source.cells)} cells in the text, {len(notebook.cells)} in")
    for index, (one, other) in enumerate(zip(source.cells, notebook.cells)):
        where = f"cell {index} ({_first_line(one)})"
        for part in ("cell_type", "id", "source", "metadata"):
            if _plain(one[part]) != _plain(other[part]):
                found.append(f"{where} differs in its {part}")
    if _plain(notebook.metadata) != METADATA:
        found.append("the notebook's metadata differ")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        if cell.source.strip() and cell.execution_count != number:
            came = cell.execution_count
            found.append(f"code cell {number} has execution count {came}")
    found += _unwanted_outputs(notebook, [str(Path.home() / "")])
    if not found and to_text(notebook) != target.read_text(encoding="utf-8"):
        found.append("the file is not written as sync writes it")
    if target.stat().st_size > MAX_BYTES:
        found.append("the notebook is larger than 1 MB")
    return [f"{name}: {problem}" for problem in found]


def _plain(value: Any) -> Any:
    """Turn notebook nodes into plain dicts and lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
