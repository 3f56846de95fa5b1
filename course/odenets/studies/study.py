"""A study is a list of jobs, the work that each of them is, and a table of results.

A file of this folder says these three, and what is left is the same for all::

    @dataclass(frozen=True)
    class Job:
        net: str
        seed: int

    def jobs(nets: Sequence[str] = ("ResNet", "RNN"), seeds: Sequence[int] = (0, 1)):
        return [Job(net, seed) for net in nets for seed in seeds]

    def work(job: Job, out: Path, device: str | None) -> Row:
        return {"accuracy": ..}

    STUDY = Study("name", jobs, work)

    if __name__ == "__main__":
        STUDY.main()

The results are lines of JSON in one file, each written when it is there: what was
interrupted goes on with the jobs that are missing, and several processes may write into
one file. The record is a table beside the study, which the package keeps and the
notebooks show. On the command line each parameter of `jobs` is a flag::

    python -m odenets.studies.name --nets RNN --out results --workers 2
    python -m odenets.studies.name table --out results
    python -m odenets.studies.name record --out results
"""

import argparse
import ast
import contextlib
import csv
import inspect
import io
import itertools
import json
import multiprocessing
import os
import re
import statistics
import tempfile
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import torch

from odenets import training

Row = dict[str, Any]

# --------------------------------------------------------------------- the study


@dataclass(frozen=True)
class Study:
    """A list of jobs, the work of one, and the columns of the table.

    Attributes:
        name: of the results, `NAME.jsonl`, and of the record, `NAME.csv` beside this
            file.
        jobs: returns the list of jobs, which are frozen dataclasses; without arguments
            it is that of the record. Its parameters are the flags of the command line;
            words without a flag go to one that is positional only.
        work: does a job and returns what came out, as JSON can hold it. It may keep
            checkpoints in the folder of the results.
        table: makes the rows of the table from those of the results; a result is what
            `settings` says of the job and what its work returned.
        columns: those of the table, in their order; all numbers and words if empty.
        chain: jobs that follow each other with the same value are done in turn, so that
            one can go on from the last one; the others may share processes.
        changes: a dataclass whose fields are flags, too; those that are said go to
            `jobs` as further keywords.
    """

    name: str
    jobs: Callable[..., list]
    work: Callable[[Any, Path, str | None], Row]
    table: Callable[[list[Row]], list[Row]] = list
    columns: tuple[str, ...] = ()
    chain: Callable[[Any], object] = lambda job: job
    changes: type | None = None

    @property
    def kept(self) -> Path:
        """The record that the package keeps."""
        return Path(__file__).with_name(f"{self.name}.csv")

    def results(self, out: str | Path, jobs: Iterable | None = None) -> list[Row]:
        """Return the results in a folder, or only those of some jobs, in their order.

        Of a job that was done twice the later one; what is missing is left out.
        """
        rows = read_lines(Path(out) / f"{self.name}.jsonl")
        if jobs is None:
            return rows
        return [row for job in jobs if (row := _result(job, rows)) is not None]

    def run(
        self,
        jobs: Sequence,
        out: str | Path | None = None,
        device: str | None = None,
        workers: int = 0,
    ) -> list[Row]:
        """Do the jobs that have no result yet, and return the results of all.

        Args:
            out: folder of the results; without one nothing is kept.
            device: as in `training.pick_device`; left to the work if None.
            workers: number of processes, one thread each; 0 works here, in turn.
        """
        if out is None:
            with tempfile.TemporaryDirectory() as folder:
                return self.run(jobs, folder, device, workers)
        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        rows = read_lines(out / f"{self.name}.jsonl")
        missing = [job for job in dict.fromkeys(jobs) if _result(job, rows) is None]
        chains = [list(chain) for _, chain in itertools.groupby(missing, self.chain)]
        rest = self.name, self.work, out, device
        if workers and missing:
            spawn = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
            with ProcessPoolExecutor(workers, spawn, _one_thread) as pool:
                tasks = [pool.submit(_do, chain, *rest) for chain in chains]
                for task in training.progress(tasks, self.name):
                    task.result()
        else:
            for chain in training.progress(chains, self.name):
                _do(chain, *rest)
        return self.results(out, jobs)

    def record(
        self,
        jobs: Sequence,
        out: str | Path,
        path: Path | None = None,
        partial: bool = False,
    ) -> Path:
        """Write the record from the results in a folder; return its path.

        Raises:
            ValueError: if a result is missing, unless `partial`; if there is none.
        """
        rows = self.results(out, jobs)
        missing = [job for job in jobs if _result(job, rows) is None]
        if not rows or (missing and not partial):
            raise ValueError(
                f"{len(missing)} of {len(jobs)} results are missing in {out}, "
                f"{missing[0]} first; --partial records the others"
            )
        return write_csv(self.table(rows), path or self.kept, self.columns)

    def recorded(self, path: Path | None = None) -> list[Row]:
        """Return what the package keeps, one dict a row; empty fields are left out."""
        return read_csv(path or self.kept)

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Run the study from the command line."""
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for equal results
        module = inspect.getmodule(self.jobs)
        parser = argparse.ArgumentParser(
            prog=f"python -m odenets.studies.{Path(inspect.getfile(self.jobs)).stem}",
            description=(inspect.getdoc(module) or "").split("\n")[0],
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        words, names = ("all", "table", "record"), add_flags(parser, self.jobs)
        if self.changes:
            add_flags(parser, self.changes, changes=True)
        add = parser.add_argument
        add("what", nargs="*", choices=[*words, *names], default="all", help=WHAT)
        add("--out", type=Path, default=Path("results"), help="folder of the results")
        add("--workers", type=int, default=0, help="processes; 0: none beside this one")
        add("--device", help="cuda, mps or cpu; chosen by the study when left out")
        add("--partial", action="store_true", help="record also if results are missing")
        given = vars(parser.parse_intermixed_args(arguments))
        what, out, workers, device, partial = (
            given.pop(name) for name in ("what", "out", "workers", "device", "partial")
        )
        chosen = [name for name in names if name in what]
        try:
            jobs = self.jobs(*([chosen] if chosen else []), **given)
            if "record" in what:
                print("table:", self.record(jobs, out, partial=partial))
                return
        except ValueError as error:
            parser.error(str(error))
        table = "table" in what
        rows = self.results(out) if table else self.run(jobs, out, device, workers)
        print(as_text(self.table(rows), self.columns) or f"no results in {out}")


WHAT = (
    "do all jobs or those of a name; print the table of the results; write the record"
)


def settings(job: Any) -> Row:
    """Return what a job says, as it is read back from a file; its parts side by side.

    Args:
        job: a dataclass of numbers, words, tuples of them, and other such dataclasses.
    """
    said: Row = {}
    for name, value in json.loads(json.dumps(asdict(job))).items():
        said |= value if isinstance(value, dict) else {name: value}
    return said


def checkpoint(job: Any, out: Path) -> Path:
    """Return where a job keeps its checkpoint, in the folder of the results."""
    # The same file whether its study was started or imported.
    words = [Path(inspect.getfile(type(job))).stem, *settings(job).values()]
    name = re.sub(r"[^\w.-]+", "_", "-".join(map(str, words)))
    return out / "checkpoints" / f"{name}.pt"


def over_seeds(rows: Iterable[Row], same: Collection[str]) -> list[list[Row]]:
    """Join rows that differ by their seed alone, in the order in which they came.

    Args:
        rows: with `accuracy` and `seed`.
        same: names in which the rows of a group agree.
    Returns: the groups; at the head of each a row with the mean `accuracy`, its
        `lowest`, its `highest` and the `seeds`, and all else as in the first one.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        key = json.dumps([row[name] for name in same])
        groups.setdefault(key, []).append(row)
    for group in groups.values():
        found = [row["accuracy"] for row in group]
        head: Row = {"accuracy": statistics.mean(found)}
        head |= {"lowest": min(found), "highest": max(found)}
        head["seeds"] = " ".join(str(row["seed"]) for row in group)
        group.insert(0, group[0] | head)
    return list(groups.values())


class Draws:
    """An endless stream, cut into epochs of `n` batches, to be resumed by `generator`.

    Args:
        draw: returns the next batch.   generator: a generator or a seed.
    """

    def __init__(
        self,
        draw: Callable[[torch.Generator], Any],
        n: int,
        generator: torch.Generator | int,
    ) -> None:
        if isinstance(generator, int):
            generator = torch.Generator().manual_seed(generator)
        self.draw, self.n, self.generator = draw, n, generator

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator:
        return (self.draw(self.generator) for _ in range(self.n))


def _result(job: Any, rows: list[Row]) -> Row | None:
    """Return the latest row that says all that the job says."""
    said = settings(job).items()
    return next((row for row in reversed(rows) if said <= row.items()), None)


def _do(jobs: list, name: str, work: Callable, out: Path, device: str | None) -> None:
    for job in jobs:
        append_line(out / f"{name}.jsonl", settings(job) | work(job, out, device))


def _one_thread() -> None:
    torch.set_num_threads(1)  # the processes share the cores


# --------------------------------------------------------------------- its files


def append_line(path: Path, row: Row) -> None:
    """Append a row to a file in one write, as a line of JSON.

    The line begins with a line break: one that a crash cut off stays alone.
    """
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(row))


def read_lines(path: Path) -> list[Row]:
    """Return the rows of such a file, none if there is none.

    A line that was cut off is left out.
    """
    found = []
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def write_text(text: str, path: Path) -> Path:
    """Replace a file in one go, so that a reader never sees half of it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    beside.write_text(text, encoding="utf-8", newline="")
    os.replace(beside, path)
    return path


def write_csv(rows: Sequence[Row], path: Path, columns: Sequence[str] = ()) -> Path:
    """Write rows as a table; return its path.

    Args:
        columns: in their order; if empty every name gets one, lists and dicts aside.
    """
    file, names = io.StringIO(), columns or _columns(rows)
    writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return write_text(file.getvalue(), path)


def read_csv(path: Path) -> list[Row]:
    """Return the rows of a table; empty fields are left out.

    Numbers and truth values are numbers and truth values again.
    """
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {name: _value(text) for name, text in line.items() if text != ""}
            for line in csv.DictReader(file)
        ]


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _columns(rows: Sequence[Row]) -> list[str]:
    """Return the names in the rows but those of lists and dicts."""
    long = {name for row in rows for name in row if isinstance(row[name], list | dict)}
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if name not in long]


def as_text(rows: Sequence[Row], columns: Sequence[str] = ()) -> str:
    """Return a table in words: what all rows share once, the rest in columns."""
    names = columns or _columns(rows)
    words = {name: [_word(row.get(name)) for row in rows] for name in names}
    same = {n: w[0] for n, w in words.items() if len(rows) > 1 and len(set(w)) == 1}
    lines = [", ".join(f"{name} {word}" for name, word in same.items() if word)]
    table = [[n, *w] for n, w in words.items() if n not in same]
    widths = [max(map(len, column)) for column in table]
    for line in zip(*table):
        lines.append("  ".join(w.ljust(n) for w, n in zip(line, widths)).rstrip())
    return "\n".join(line for line in lines if line)


def _word(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# --------------------------------------------------------------------- its flags


def add_flags(
    parser: argparse.ArgumentParser,
    function: Callable,
    choices: Mapping[str, Collection[str]] | None = None,
    word: Callable[[str], str] = str,
    changes: bool = False,
) -> Sequence[str]:
    """Add a flag for each parameter of a function: `n_test: int = 5` is `--n-test`.

    One without a default is a word in its place, and one that is True has `--no-...`.
    Help is the line `n_test: ...` of the docstring. Where several words are the
    default, only they can be chosen.

    Args:
        choices: what can be chosen, by parameter.
        word: reads such a choice, e.g. in another spelling.
        changes: leave out what is not said, and `seed`: jobs have `seeds`.
    Returns: the default of a parameter that is positional only, or nothing.
    """
    notes = dict(re.findall(r"^ *(\w+): (.+)$", inspect.getdoc(function) or "", re.M))
    words: Sequence[str] = ()
    for name, parameter in inspect.signature(function).parameters.items():
        kind, flag = parameter.annotation, "--" + name.replace("_", "-")
        options: dict[str, Any] = {"help": notes.get(name, " ")}
        if isinstance(kind, UnionType):  # `int | None`
            kind = next(part for part in typing.get_args(kind) if part is not NoneType)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            words = parameter.default
            continue
        if parameter.kind is parameter.VAR_KEYWORD or (changes and name == "seed"):
            continue
        if parameter.default is parameter.empty:
            parser.add_argument(name, type=kind, **options)
            continue
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif typing.get_origin(kind):  # `Sequence[int]`, `tuple[int, ...]`
            options |= {"type": typing.get_args(kind)[0], "nargs": "*"}
            if options["type"] is str:
                options["choices"] = parameter.default or None
        else:
            options["type"] = kind
        if choices and name in choices:
            options |= {"choices": list(choices[name]), "type": word}
        default = argparse.SUPPRESS if changes else parameter.default
        parser.add_argument(flag, dest=name, default=default, **options)
    return words
