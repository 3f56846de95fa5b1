"""Grading a class: sanitize, execute, record.

The first and the last step happen here, one submission at a time, on trusted ground and
with a single writer to the gradebook. The step between them is a pure function that
runs in as many sandboxes as there are workers, here or on other machines. A submission
is done when its result file is there, and that is written last: a run that was killed
is finished by the next one.
"""

import contextlib
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..authors import steps
from ..authors.assignment import Assignment, assignment
from ..classroom import changes, feedback, late, report, written
from ..classroom.gradebook import Classroom
from ..course import (
    MAX_SUBMISSION,
    Course,
    CourseError,
    printable,
    write_atomically,
)
from ..worker import cluster, execute, hands, sandbox
from . import attempts, files, judge, reasons, sanitize, tests

VERSION = 3  # of the result files
END_SECONDS = 15.0  # for sandboxes to close when a run is interrupted


@dataclass(frozen=True)
class Options:
    """How to grade."""

    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    scheduler: str = ""
    limits: sandbox.Limits = field(default_factory=sandbox.Limits)
    contained: bool = True
    all_cells: bool = False
    force: bool = False
    dry_run: bool = False
    students: tuple[str, ...] = ()
    quiet: bool = False


@dataclass
class Graded:
    """How many submissions met which fate."""

    done: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # the sandbox, not the student
    late: list[str] = field(default_factory=list)  # whose penalty is another one now
    changes: list["changes.Change"] = field(default_factory=list)


@dataclass
class _Task:
    student: str
    attempt: attempts.Attempt
    notes: list[str]
    submission: sanitize.Submission | None = None
    places: list[int | None] = field(default_factory=list)
    codes: list[execute.Code] = field(default_factory=list)


@dataclass
class _Outcome:
    """What grading found about one submission, not yet written anywhere."""

    result: dict[str, Any]
    notebook: NotebookNode | None  # None: the submission could not be read


def grade(asked: Assignment, room: Classroom, options: Options) -> Graded:
    """Grade every submission of an assignment that is new or changed.

    What is graded for the first time is written at once; what is graded again only
    after it was said what changes. With `dry_run` nothing is written.

    Raises:
        CourseError: if there is no sandbox, or the notebook itself is not in order.
    """
    sandbox.require(unsandboxed=not options.contained)
    name = asked.name
    references = judge.reference(
        asked, room.root / "results" / name / ".reference.json", options.contained
    )
    fate = Graded()
    students = room.students(name)
    if options.students:
        students = [one for one in students if one in options.students]
    todo: list[tuple[str, attempts.Attempt]] = []
    running = room.root / "results" / name / ".running"
    entered, base = room.entered(name), judge.fingerprint(asked)
    for student in students:
        key = _key(room, student, name, base, options)
        old = room.read_result(student, name)
        known = old is not None and old["key"] == key and student in entered
        if known and not options.force:
            fate.unchanged.append(student)
        else:
            one = attempts.attempt(running, student, key, forget=options.force)
            todo.append((student, one))
    if not options.dry_run:
        fate.late = late.settle(asked.course, room, name)  # dates before penalties
    if todo and not options.dry_run:
        room.enter_assignment(asked)
    grading = _Grading(room, asked, references, options, fate)
    # Who was there when a run was killed comes last, and has the sandboxes to itself.
    groups = [[one for one in todo if not one[1].killed]]
    groups += [[one] for one in todo if one[1].killed]
    try:
        with (
            _engine(options) as engine,
            _progress(len(todo), name, options) as advance,
        ):
            for group in groups:
                grading.all(group, engine, advance)
    finally:  # also where the run is interrupted: what is done is written
        grading.say_what_changes()
        if not options.dry_run:
            for outcome in grading.held:
                grading.write(outcome)
            fate.late += late.settle(asked.course, room, name)
            if (
                any(seconds for seconds, _ in late.state(room, name).values())
                or fate.late
            ):
                feedback.rewrite(room, name)
    return fate


@dataclass
class _Grading:
    room: Classroom
    asked: Assignment
    references: judge.Reference
    options: Options
    fate: Graded

    def __post_init__(self) -> None:
        self.secrets = judge.secrets(self.asked, self.references)
        names = [cell.exercise for cell in [*self.asked.tests, *self.asked.manual]]
        self.titles = {name: written.title(self.asked, name) for name in names}
        self.held: list[_Outcome] = []

    def all(
        self,
        todo: list[tuple[str, attempts.Attempt]],
        engine: Executor,
        advance: Callable[[], None],
    ) -> None:
        """Keep every worker busy, and record what comes back in whatever order."""
        waiting: dict[Future[dict[str, Any]], _Task] = {}
        rest = iter(todo)
        ahead = 2 * max(self.options.jobs, 1) if not self.options.scheduler else 200
        # Twice what a submission may take, twice over: each of them is tried again.
        patience = 4 * (self.options.limits.notebook_seconds + execute.MARGIN_SECONDS)
        more = True
        try:
            while more or waiting:
                while more and len(waiting) < ahead:
                    following = next(rest, None)
                    more = following is not None
                    if following is None:
                        break
                    task = self.sanitize(*following)
                    if task.submission is None:
                        self.record(task, None)
                        advance()
                        continue
                    waiting[self.start(engine, task)] = task
                if not waiting:
                    continue
                done, _ = wait(waiting, patience, return_when=FIRST_COMPLETED)
                for future in done or list(waiting):
                    task = waiting.pop(future)
                    why = f"nothing came back for {patience:g} s"
                    try:
                        ran = future.result(timeout=0)
                    except Exception as error:  # the machine, not the student
                        said = f"{type(error).__name__}: {error}" if done else why
                        self.fate.failed[task.student] = said
                        task.attempt.pause()
                    else:
                        self.record(task, ran)
                    advance()
        finally:  # also where the run is interrupted: that is nobody's fault
            self.end(waiting)

    def start(self, engine: Executor, task: _Task) -> Future[dict[str, Any]]:
        """Hand a submission to a worker."""
        job = self.job(task)
        if self.options.scheduler:
            return engine.submit(execute.execute_plain, job)

        def run() -> dict[str, Any]:
            task.attempt.begin()
            return execute.execute_plain(job)

        return engine.submit(run)

    def end(self, waiting: dict[Future[dict[str, Any]], _Task]) -> None:
        """Let go of what is still at work, at once."""
        for future in waiting:
            future.cancel()
        deadline = time.monotonic() + END_SECONDS
        while waiting and time.monotonic() < deadline and not self.options.scheduler:
            hands.end_all()
            if not wait(waiting, 0.1).not_done:
                break
        for task in waiting.values():
            task.attempt.pause()

    def sanitize(self, student: str, attempt: attempts.Attempt) -> _Task:
        """Make an orderly notebook of what a student handed in, if that can be done."""
        name = self.asked.name
        path = self.room.submission(student, name)
        notes = _notes_on_files(self.room, student, name)
        task = _Task(student, attempt, notes)
        if attempt.given_up:
            notes.append(
                f"not graded: {attempt.killed} runs of the grader were killed while "
                "they had this submission in hand; once more with: python -m "
                f"autograder grade {name[:2]} --force --students {student}"
            )
            return task
        attempt.begin()
        try:
            task.submission = sanitize.restore(self.asked, sanitize.read(path))
        except files.Unreadable as error:
            notes.append(str(error))
            return task
        finally:
            attempt.pause()
        notes += task.submission.notes
        listed = tests.codes(
            self.asked, task.submission.notebook, all_cells=self.options.all_cells
        )
        task.places = [place for place, _ in listed]
        task.codes = [code for _, code in listed]
        return task

    def job(self, task: _Task) -> dict[str, Any]:
        """Return what travels to a worker: code and limits, as plain data."""
        job = execute.Job(
            self.asked.name,
            tuple(replace(code, decoys=()) for code in task.codes),
            self.options.limits,
            self.options.contained,
        )
        return asdict(job)

    def record(self, task: _Task, ran: dict[str, Any] | None) -> None:
        """Judge what came back; write it down, unless it would replace something."""
        task.attempt.begin()
        outcome = self.outcome(task, ran)
        there = self.room.read_result(task.student, self.asked.name) is not None
        if there or self.options.dry_run:
            self.held.append(outcome)
        else:
            self.write(outcome)
        task.attempt.end()

    def outcome(self, task: _Task, ran: dict[str, Any] | None) -> _Outcome:
        """Judge what came back."""
        verdicts = self.verdicts(task, ran)
        notebook = None
        answers: dict[str, str] = {}
        own: dict[str, list[NotebookNode]] = {}
        if task.submission is not None and ran is not None:
            handed = task.submission.notebook
            own = written.answers(self.asked, handed)
            texts = {name: written.text(self.asked, own[name]) for name in own}
            answers = _answers(self.asked, handed) | texts
            shown = [self.shown(verdict) for verdict in verdicts]
            notebook = self.with_outputs(handed, task, ran, shown)
        notes = reasons.of_cells(task.notes) + _notes_on_run(ran, task)
        result = {
            "key": task.attempt.key,
            "version": VERSION,
            "student": task.student,
            "notebook": self.asked.name,
            "exercises": [asdict(self.shown(verdict)) for verdict in verdicts],
            "manual": [
                {
                    "name": cell.name,
                    "points": cell.points,
                    "written": written.digest(own.get(cell.name, [])),
                }
                for cell in self.asked.manual
            ],
            "answers": answers,
            "titles": self.titles,
            "notes": [self.redact(printable(n)) for n in notes],
            "readable": task.submission is not None,
            "sandboxed": self.options.contained,
            "seconds": ran["seconds"] if ran else 0.0,
        }
        return _Outcome(result, notebook)

    def write(self, outcome: _Outcome) -> None:
        """Write down what was found: gradebook, feedback, result."""
        name, result = self.asked.name, outcome.result
        student = result["student"]
        settled = self.settled(outcome)
        if outcome.notebook is None:
            self.room.enter_absent(student, name, settled)
        else:
            self.room.enter(self.asked, student, outcome.notebook, settled)
        manual = self.room.manual(name, [student]).get(student, {})
        page = feedback.page(result, manual)
        feedback.store(self.room, student, name, page)
        write_atomically(self.room.result(student, name), report.to_json(result))
        self.fate.done.append(student)

    def before(self, student: str) -> tuple[changes.Decisions, dict[str, Any] | None]:
        """Return what the gradebook says of a student, and the last result."""
        name = self.asked.name
        now = self.room.manual(name, [student]).get(student, {})
        return now, self.room.read_result(student, name)

    def read(self, student: str, old: dict[str, Any] | None) -> dict[str, str]:
        """Return digests of the answers that were there when they were last graded.

        Where no result tells, the copy does that a person had before them.
        """
        cells = old["manual"] if old else []
        if any("written" in cell for cell in cells):
            return {cell["name"]: cell["written"] for cell in cells}
        try:
            copy = sanitize.read(self.room.autograded(student, self.asked.name))
        except files.Unreadable:
            return {}
        own = written.answers(self.asked, copy)
        return {name: written.digest(own[name]) for name in own}

    def settled(self, outcome: _Outcome) -> changes.Decisions:
        """Return what the gradebook is to hold (see `changes.settled`)."""
        now, old = self.before(outcome.result["student"])
        by_hand = any(one.get("by_hand") for one in now.values())
        read = self.read(outcome.result["student"], old) if by_hand else {}
        return changes.settled(outcome.result, read, now)

    def say_what_changes(self) -> None:
        """Print who gets other points than before, and why."""
        again = 0
        for outcome in self.held:
            now, old = self.before(outcome.result["student"])
            again += old is not None
            after = self.settled(outcome)
            change = changes.between(outcome.result, old, now, after)
            if change is not None:
                self.fate.changes.append(change)
        if self.held and not self.options.quiet:
            print(changes.table(self.asked.name, self.fate.changes, again), flush=True)

    def shown(self, verdict: judge.Verdict) -> judge.Verdict:
        """Return a verdict whose texts repeat nothing of the hidden tests."""
        checks = [replace(c, message=self.redact(c.message)) for c in verdict.checks]
        return replace(verdict, checks=checks, reason=self.redact(verdict.reason))

    def with_outputs(
        self,
        notebook: NotebookNode,
        task: _Task,
        ran: dict[str, Any],
        verdicts: list[judge.Verdict],
    ) -> NotebookNode:
        """Return the copy for formgrader: outputs, and our verdicts in the test cells.

        It quotes no hidden test and holds no mark scheme, whatever is made of it.
        """
        earned = {verdict.exercise: verdict for verdict in verdicts}
        for code, place, cell in zip(task.codes, task.places, ran["cells"]):
            if place is None:
                continue
            count = cell["count"]
            if code.test:
                verdict = earned[self.asked.graded[code.test].exercise]
                outputs = _verdict_outputs(verdict, count)
            else:
                outputs = [self.quoting_nothing(one) for one in cell["outputs"]]
            notebook.cells[place].outputs = [nbformat.from_dict(one) for one in outputs]
            notebook.cells[place].execution_count = count
        notebook.metadata[steps.VERDICTS] = True
        return notebook

    def quoting_nothing(self, value: Any) -> Any:
        """Return an output without its texts that quote a hidden test."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, list):
            return [self.quoting_nothing(one) for one in value]
        if isinstance(value, dict):
            pictures = {k: v for k, v in value.items() if k.startswith("image/")}
            others = {k: v for k, v in value.items() if k not in pictures}
            return {k: self.quoting_nothing(v) for k, v in others.items()} | pictures
        return value

    def redact(self, text: str) -> str:
        """Withhold a text that quotes a hidden test: student code made it say so."""
        quoted = judge.quotes(text, self.secrets)
        return "(withheld: it repeats hidden tests)" if quoted else text

    def verdicts(self, task: _Task, ran: dict[str, Any] | None) -> list[judge.Verdict]:
        """Judge every exercise; one without a run earns nothing."""
        came = {}
        if ran is not None:
            for code, cell in zip(task.codes, ran["cells"]):
                if code.test:
                    came[code.test] = execute.Ran(**cell), code.decoys
        made = []
        for test in self.asked.tests:
            cell, decoys = came.get(test.name, (execute.Ran(), ()))
            criteria = self.references[test.name]
            verdict = judge.judge(test, cell, criteria, decoys)
            if ran is None:
                verdict.reason = task.notes[-1]
            made.append(verdict)
        return made


def _key(room: Classroom, student: str, name: str, base: str, options: Options) -> str:
    """Return a hash of all that a result depends on."""
    digest = hashlib.sha256(base.encode())
    limits = sorted(asdict(options.limits).items())
    digest.update(
        f"{VERSION} {limits} {options.contained} {options.all_cells}".encode()
    )
    folder = room.submitted / student / name
    try:
        for path in _listed(folder):
            link = path.is_symlink()
            digest.update(f"\0{path.name}\0{link}".encode(errors="replace"))
            read = path.name in (f"{name}.ipynb", "timestamp.txt")
            if read and not link and path.is_file():
                with open(path, "rb") as file:
                    digest.update(file.read(MAX_SUBMISSION + 1))
    except OSError as error:  # nobody may read it: its reason says so
        digest.update(f"\0{error.errno}".encode())
    return digest.hexdigest()


def _listed(folder: Path) -> list[Path]:
    """Return what is in a folder, in order; nothing where it is none, or a link."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(folder.iterdir())


def _notes_on_files(room: Classroom, student: str, name: str) -> list[str]:
    notes = []
    with contextlib.suppress(OSError):  # nobody may read it: its reason says so
        names = [path.name for path in _listed(room.submitted / student / name)]
        others = [n for n in names if n.endswith(".ipynb") and n != f"{name}.ipynb"]
        if others and f"{name}.ipynb" in names:
            notes.append(f"not graded: {', '.join(others)}")
    note = room.timestamp(student, name)[1]
    return notes + ([note] if note else [])


def _notes_on_run(ran: dict[str, Any] | None, task: _Task) -> list[str]:
    """Say which cells of the student ended the kernel, and which raised."""
    if ran is None:
        return []
    said = []
    for code, place, cell in zip(task.codes, task.places, ran["cells"]):
        if code.test:
            continue
        lines = [line for line in code.source.splitlines() if line.strip()]
        where = f"cell {place + 1}" if place is not None else "the set-up"
        title = f"{where} ({lines[0].strip()[:40]})" if lines else where
        if cell["trouble"]:
            said.append((title, reasons.of_trouble(cell["trouble"])))
        elif cell["error"]:
            name, _, text = cell["error"].partition(":")
            said.append((title, f"raised {reasons.of_error(name, text)}"))
    return reasons.together(said)


def _answers(asked: Assignment, notebook: NotebookNode) -> dict[str, str]:
    found = {}
    for cell in notebook.cells:
        target = asked.graded.get(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
        if target is not None and target.is_answer:
            found[target.name] = cell.source
    return found


def _verdict_outputs(verdict: judge.Verdict, count: int | None) -> list[dict[str, Any]]:
    text = "\n".join(_check_lines(verdict)) + "\n"
    score = {"text/plain": repr(float(verdict.score))}
    return [
        {"output_type": "stream", "name": "stdout", "text": text},
        {
            "output_type": "execute_result",
            "data": score,
            "metadata": {},
            "execution_count": count,
        },
    ]


def _check_lines(verdict: judge.Verdict) -> list[str]:
    """Return what the checks of an exercise found; hidden ones by name only."""
    lines = [verdict.exercise]
    for one in verdict.checks:
        hidden = "hidden: " if one.hidden else ""
        lines.append(f"  {'✓' if one.passed else '✗'} {hidden}{one.label}")
        if not one.hidden:
            lines += [f"      {line}" for line in one.message.splitlines()]
    return [*lines, f"{verdict.score:g} of {verdict.points:g} points"]


# --------------------------------------------------------------- workers, progress


@contextmanager
def _engine(options: Options) -> Iterator[Executor]:
    """Yield what runs the jobs: threads with a sandbox each, or a Dask cluster."""
    if options.scheduler:
        with cluster.executor(options.scheduler) as engine:
            yield engine
        return
    engine = ThreadPoolExecutor(options.jobs, thread_name_prefix="grade")
    try:
        yield engine
    finally:
        engine.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _progress(total: int, name: str, options: Options) -> Iterator[Callable[[], None]]:
    """Show how many students per minute are graded."""
    if options.quiet or not total:
        yield lambda: None
        return
    from tqdm import tqdm

    form = "{desc} {n_fmt}/{total_fmt} |{bar:24}| {postfix} {remaining} left"
    with tqdm(total=total, desc=name, file=sys.stderr, bar_format=form) as bar:

        def advance() -> None:
            bar.update()
            seconds = bar.format_dict["elapsed"]
            if seconds > 0:
                rate = 60 * bar.n / seconds
                bar.set_postfix_str(f"{rate:.0f} students per minute", refresh=False)

        yield advance


# --------------------------------------------------------------- a run of notebooks


def session(
    course: Course,
    room: Classroom,
    names: list[str],
    options: Options,
    *,
    resume: bool = False,
) -> int:
    """Grade several notebooks, print their tables, and return an exit status.

    Args:
        resume: take notebooks and options of the last run that did not finish.
    """
    note = room.root / "results" / "run.json"
    if resume:
        names, options = _interrupted(note)
    else:
        came = {name: set(room.students(name)) for name in names}
        wanted = set(options.students) or set().union(*came.values())
        names = [n for n in names if came[n] & wanted or room.misnamed(n)]
        if not names:
            print(
                f"Nothing handed in: {room.submitted}/STUDENT/NOTEBOOK/NOTEBOOK.ipynb"
            )
            return 1
        missing = wanted.difference(*came.values())
        if missing:
            raise CourseError(f"nothing handed in by {', '.join(sorted(missing))}")
    with room.alone(), _signals():
        failed = False
        plain = asdict(options) | {"names": names}
        if not options.dry_run:
            write_atomically(note, json.dumps(plain, indent=1) + "\n")
        for name in names:
            failed |= not _grade_and_say(course, room, name, options)
        if not failed and not options.dry_run:
            note.unlink(missing_ok=True)
    return 1 if failed else 0


def _grade_and_say(
    course: Course, room: Classroom, name: str, options: Options
) -> bool:
    """Grade one notebook and print its table; return whether all was graded."""
    try:
        fate = grade(assignment(course, name), room, options)
    except KeyboardInterrupt:
        if not options.dry_run:
            report.write(room, name)
            print("\nWhat is graded is written; python -m autograder grade --resume")
        raise
    if options.dry_run:
        print(f"{len(fate.unchanged)} unchanged. A trial: nothing was written.")
        return _say_failures(fate, room.misnamed(name))
    print(report.table(name, report.write(room, name)))
    print(f"{len(fate.done)} graded, {len(fate.unchanged)} unchanged.")
    for line in fate.late:
        print(f"  {printable(line)}")
    if not options.contained:
        print("Graded without a sandbox, with resource limits only.")
    in_order = _say_failures(fate, room.misnamed(name))
    print(f"Feedback: {room.root}/feedback/STUDENT/{name}/{name}.html")
    print(f"As CSV:   {room.table(name)}\n")
    return in_order


def _say_failures(fate: Graded, misnamed: list[str]) -> bool:
    """Name who could not be graded; return whether all were."""
    for student, why in fate.failed.items():
        said = f"{printable(student)}, the machine failed ({printable(why)})"
        print(f"NOT graded: {said}. Grade again.")
    for folder in misnamed:
        said = "the folder's name is not UTF-8. Rename it, and grade again."
        print(f"NOT graded: {folder}: {said}")
    return not (fate.failed or misnamed)


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, and both of them in the background, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, signal.default_int_handler) for one in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


def _interrupted(note: Path) -> tuple[list[str], Options]:
    try:
        plain = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CourseError("no interrupted run to resume") from None
    names = plain.pop("names")
    plain["limits"] = sandbox.Limits(**plain["limits"])
    plain["students"] = tuple(plain["students"])
    return names, Options(**plain)
