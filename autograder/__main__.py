"""The commands: `python -m autograder --help`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from .course import Course, CourseError, find_course, printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    # Where this package is there, jsonschema reads the grammar of web addresses when it
    # is imported, a second in each command; nothing here checks an address.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    parser = argparse.ArgumentParser(
        prog="python -m autograder", description=sys.modules[__package__].__doc__
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        _add_demo,
        _add_sync,
        _add_release,
        _add_mistakes,
        _add_readme,
        _add_site,
        _add_doctor,
        _add_collect,
        _add_roster,
        _add_merge,
        _add_due,
        _add_grade,
        _add_read,
        _add_formgrader,
        _add_report,
        _add_similar,
        _add_feedback,
        _add_export,
    ):
        add(commands)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(find_course(), options) or 0)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[Course, argparse.Namespace], int | None],
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument(
        "notebooks", nargs="*", metavar="NOTEBOOK", help="all where none is named"
    )
    return parser


def _each(
    names: Sequence[str],
    work: Callable[[str], str | list[str]],
    verb: str,
    jobs: int = 1,
) -> int:
    """Do `work` for every notebook, report each, and fail if one of them fails."""
    failed = 0
    with ProcessPoolExecutor(jobs) if jobs > 1 else nullcontext() as pool:
        tried = partial(_try, work)
        results = (pool.map if pool else map)(tried, names)
        for name, result in zip(names, results):
            if isinstance(result, list) and result:
                failed += 1
                print(f"{verb} {name}: not in order")
                print("\n".join(f"  {problem}" for problem in result), flush=True)
            else:
                print(f"{verb} {name}: {result or 'in order'}", flush=True)
    return 1 if failed else 0


def _try(work: Callable[[str], str | list[str]], name: str) -> str | list[str]:
    try:
        return work(name)
    except CourseError as error:
        return str(error).splitlines()


# ------------------------------------------------------------------------ authors


def _add_sync(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from .authors import pairs

        names = course.notebooks(options.notebooks)
        if options.check:
            return _each(names, lambda name: pairs.problems(course, name), "pair")
        return _each(
            names, lambda name: pairs.sync(course, name, force=options.execute), "sync"
        )

    parser = _command(
        commands, "sync", run, "bring solutions/NN/NN.ipynb up to its text NN.py"
    )
    parser.add_argument(
        "--execute", action="store_true", help="execute even where no code changed"
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing, list what is not in sync"
    )


def _add_release(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from .authors import release

        names = course.notebooks(options.notebooks)
        if not options.check:
            return _each(names, lambda name: release.release(course, name), "release")

        jobs = min(len(names), os.cpu_count() or 1)
        gate = partial(release.gate, course, fast=options.fast)
        return _each(names, gate, "gate", jobs)

    parser = _command(
        commands, "release", run, "build course/NN from solutions/NN through nbgrader"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing: rebuild, compare, search for leaks, validate both ways",
    )
    parser.add_argument(
        "--fast", action="store_true", help="with --check: execute nothing"
    )


def _add_mistakes(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from .authors import matrix

        matrix.bound_memory()
        for name in course.notebooks(options.notebooks):
            print("\n".join(matrix.report(course, name, options.exercise)), flush=True)
        return 0

    parser = _command(
        commands,
        "mistakes",
        run,
        "try the named answers of notebooks, and keep by what their mistakes are known",
    )
    parser.add_argument("--exercise", help="only this one; nothing is written")


def _add_readme(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from .authors import readme

        in_order = readme.write(course, check=options.check)
        if options.check:
            print("README:", "in order" if in_order else "run `make release`")
        return int(options.check and not in_order)

    text = "write the table of notebooks in README.md"
    parser = commands.add_parser("readme", help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--check", action="store_true", help="only compare")


def _add_site(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from .authors import site

        out = course.root / "build" / "site"
        found = site.build(course, out)
        print("\n".join(found) or f"open {out / 'index.html'}")
        return int(bool(found))

    text = "build the course as a web page in build/site; nothing is executed"
    parser = commands.add_parser("site", help=text, description=text)
    parser.set_defaults(run=run)


# -------------------------------------------------------------------- instructors


def _add_doctor(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from .grading import doctor

        found = []
        for one in doctor.look(course, options.jobs):
            print(printable(str(one)), flush=True)
            found.append(one)
        lacking = [one.what for one in found if one.state == doctor.LACKS]
        print(f"It lacks: {', '.join(lacking)}." if lacking else "Grade as you like.")
        return int(bool(lacking))

    text = "say what this machine can protect when it grades, and what it lacks"
    parser = commands.add_parser("doctor", help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument(
        "--jobs",
        type=_at_least(1),
        default=grade_defaults()["jobs"],
        help="sandboxes at a time",
    )


def _add_grade(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from .classroom.gradebook import Classroom
        from .grading import grade
        from .worker import sandbox

        room = Classroom(options.folder or course.autograder)
        limits = sandbox.Limits(cell_seconds=options.timeout, memory_mb=options.memory)
        chosen = grade.Options(
            jobs=options.jobs,
            scheduler=options.scheduler,
            limits=limits,
            contained=not options.unsandboxed,
            all_cells=options.all_cells,
            force=options.force,
            dry_run=options.dry_run,
            students=tuple(options.students),
        )
        names = course.notebooks(options.notebooks)
        return grade.session(course, room, names, chosen, resume=options.resume)

    parser = _command(
        commands, "grade", run, "grade what was handed in and is new or changed"
    )
    defaults = grade_defaults()
    parser.add_argument(
        "--students", nargs="+", default=[], metavar="NAME", help="only these"
    )
    parser.add_argument(
        "--jobs",
        type=_at_least(1),
        default=defaults["jobs"],
        help="sandboxes at a time",
    )
    parser.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="run on a Dask cluster"
    )
    parser.add_argument(
        "--timeout",
        type=_at_least(1),
        default=defaults["timeout"],
        help="seconds for a cell",
    )
    parser.add_argument(
        "--memory",
        type=_at_least(500),
        default=defaults["memory"],
        help="MB for a submission",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="finish the last run that was interrupted, with its options",
    )
    parser.add_argument(
        "--force", action="store_true", help="grade again what did not change"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing: say who would get other points, and by which check",
    )
    parser.add_argument(
        "--all-cells",
        action="store_true",
        help="also execute the cells that everyone was given",
    )
    parser.add_argument(
        "--unsandboxed",
        action="store_true",
        help="run student code without a sandbox, with resource limits only",
    )
    _add_folder(parser)


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return int(text)

    return number


def grade_defaults() -> dict[str, int]:
    """Return the defaults of `grade`."""
    return {"jobs": os.cpu_count() or 1, "timeout": 30, "memory": 2000}


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        type=Path,
        help="the class: a folder with submitted/ (default: autograder/)",
    )


def _add_read(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    def run(course: Course, options: argparse.Namespace) -> None:
        from .authors.assignment import assignment
        from .classroom import read
        from .classroom.gradebook import Classroom

        room = Classroom(options.folder or course.autograder)
        names = [n for n in course.notebooks(options.notebooks) if room.students(n)]
        asked = [assignment(course, name) for name in names]
        read.serve(room, asked, options.port, not options.no_browser, options.names)

    parser = _command(
        commands, "read", run, "read the written answers, a page for each question"
    )
    parser.add_argument("--port", type=int, default=8899, help="of the server")
    parser.add_argument("--no-browser", action="store_true", help="only say where")
    parser.add_argument("--names", action="store_true", help="show who wrote what")
    _add_folder(parser)


def _add_formgrader(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        server = [sys.executable, "-m", "jupyter_server", f"--port={options.port}"]
        server += ["--ServerApp.root_dir=.", "--ServerApp.default_url=/formgrader"]
        if not options.no_browser:
            server += ["--ServerApp.open_browser=True"]
        if options.allow_root:
            server += ["--allow-root"]
        # nbgrader reads its configuration from the folder where the server starts.
        os.chdir(course.autograder)
        if os.name == "posix":  # it takes this process's place: no signal misses it
            os.execv(sys.executable, server)
        import subprocess

        return subprocess.run(server).returncode

    text = "open nbgrader's formgrader, to read and grade what people wrote"
    parser = commands.add_parser("formgrader", help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--port", type=int, default=8888, help="of the server")
    parser.add_argument(
        "--allow-root", action="store_true", help="as root, as in most containers"
    )
    parser.add_argument("--no-browser", action="store_true", help="only say where")


def _add_report(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> None:
        from .classroom import late, overview, report
        from .classroom.gradebook import Classroom

        room = Classroom(options.folder or course.autograder)
        names = course.notebooks(options.notebooks)
        if options.html:
            page = overview.write(room, names)
            print(page or f"nothing is graded below {room.root}")
            return
        for name in names:
            late.settle(course, room, name)
            rows = report.write(room, name)
            if rows or options.notebooks:
                print(report.table(name, rows))
                print(f"As CSV: {room.table(name)}\n")

    parser = _command(commands, "report", run, "print the table of a class again")
    parser.add_argument(
        "--html",
        action="store_true",
        help="write one page instead: points, exercises, mistakes, the term",
    )
    _add_folder(parser)


def _add_similar(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> None:
        from .authors.assignment import assignment
        from .classroom import similar
        from .classroom.gradebook import Classroom

        room = Classroom(options.folder or course.autograder)
        for name in course.notebooks(options.notebooks):
            students = len(room.students(name))
            if students:
                asked = assignment(course, name)
                found = similar.pairs(room, asked, options.least)
                print(similar.table(name, found, students))

    text = "list pairs of answers that agree in what few others wrote"
    parser = _command(commands, "similar", run, text)
    parser.add_argument(
        "--least", type=float, default=0.5, help="how far they agree, from 0 to 1"
    )
    _add_folder(parser)


def _add_feedback(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> None:
        from .classroom import feedback, late, lms
        from .classroom.gradebook import Classroom
        from .course import write_atomically

        room = Classroom(options.folder or course.autograder)
        for name in course.notebooks(options.notebooks):
            late.settle(course, room, name)
            print(f"feedback {name}: {feedback.rewrite(room, name)} pages changed")
            if options.zip and room.students(name):
                packed, missing = lms.feedback_zip(room, name, options.zip)
                path = room.root / f"{name}_{options.zip}_feedback.zip"
                write_atomically(path, packed)
                print(f"for {options.zip.title()}: {path}")
                _say("NOT in it", missing)

    parser = _command(
        commands, "feedback", run, "write the pages again, after grading by hand"
    )
    parser.add_argument(
        "--zip",
        choices=["moodle", "canvas"],
        help="also pack the pages as the LMS takes them back",
    )
    _add_folder(parser)


def _add_collect(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from tqdm import tqdm

        from .classroom import collect
        from .classroom.gradebook import Classroom

        room = Classroom(options.folder or course.autograder)
        only = course.notebooks([options.notebook])[0] if options.notebook else ""
        came = collect.collect(
            room,
            options.archive,
            course.notebooks(),
            only,
            course=course,
            worksheet=options.worksheet,
            progress=partial(tqdm, desc="collecting", unit="student"),
        )
        _say("new", came.new)
        _say("replaced", came.replaced)
        _say("unchanged", came.unchanged)
        _say("new in roster.csv", came.people)
        _say("older or untouched, not taken", came.older)
        _say("LATE", came.late)
        for name, students in came.missing.items():
            _say(f"nothing came for {name} from", students)
        _say("NOT matched", came.unmatched)
        there = came.new or came.replaced or came.unchanged
        return 0 if there and not came.unmatched else 1

    text = "sort the zip of an LMS (Moodle, Canvas) into submitted/"
    parser = commands.add_parser("collect", help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("archive", type=Path, help="the zip that the LMS gave you")
    parser.add_argument(
        "--notebook", default="", help="what files with a wrong name stand for"
    )
    parser.add_argument(
        "--worksheet",
        type=Path,
        help="the LMS's sheet for it: e-mail addresses, ID numbers, times",
    )
    _add_folder(parser)


def _say(title: str, lines: Sequence[str]) -> None:
    if lines:
        print(f"{title}: {len(lines)}")
        print("\n".join(f"  {printable(line)}" for line in lines))


def _add_roster(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from .classroom import sheets
        from .classroom.gradebook import Classroom
        from .classroom.roster import Roster

        room = Classroom(options.folder or course.autograder)
        roster = Roster.open(room)
        name = course.notebooks([options.notebook])[0] if options.notebook else ""
        unclear: list[str] = []
        for path in options.sheets:
            unclear += sheets.learn(roster, sheets.people(path), name)
        if options.sheets:
            roster.save(room)
        print(f"{len(roster.people)} people: {room.root}/roster.csv")
        for field in ("name", "email", "id_number"):
            lacking = [s for s, p in roster.people.items() if not getattr(p, field)]
            _say(f"without {field}", sorted(lacking))
        _say("NOT clear", unclear)
        return 1 if unclear else 0

    text = "say who is who: complete roster.csv from worksheets or a list of the class"
    parser = commands.add_parser("roster", help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("sheets", type=Path, nargs="*", metavar="CSV")
    parser.add_argument(
        "--notebook", default="", help="whose worksheet of Moodle it is: its numbers"
    )
    _add_folder(parser)


def _add_merge(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from .classroom import merge
        from .classroom.gradebook import Classroom

        room = Classroom(options.folder or course.autograder)
        found = merge.proposed(room, options.students)
        for one in found:
            said = one.problem or "one person"
            print(printable(f"{', '.join(one.doubles)} -> {one.into}: {said}"))
        ready = [one for one in found if not one.problem]
        if not ready:
            print("nobody to merge")
        elif options.yes:
            with room.alone():
                print("\n".join(map(printable, merge.merge(room, ready))))
        else:
            print("Nothing was changed: --yes does it.")
        return 1 if len(ready) < len(found) else 0

    text = "make one student of people who were entered twice; first show whom"
    parser = commands.add_parser("merge", help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument(
        "students",
        nargs="*",
        metavar="STUDENT",
        help="the one to keep, and the doubles (default: all of one name)",
    )
    parser.add_argument("--yes", action="store_true", help="do it")
    _add_folder(parser)


def _add_due(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    def run(course: Course, options: argparse.Namespace) -> None:
        from .classroom import feedback, late
        from .classroom.gradebook import Classroom
        from .classroom.moments import shown

        room = Classroom(options.folder or course.autograder)
        if not options.notebook:
            for one in late.dates(room):
                who = one.student or "everybody"
                print(f"{one.notebook}, {printable(who)}: due {shown(one.due)}")
            return
        name = course.notebooks([options.notebook])[0]
        if not options.date:
            raise CourseError(f"due {options.notebook}: when? 'none' takes it back")
        for student in options.students or [""]:
            known = {*room.students(name), *room.enrolled(), ""}
            if student not in known:
                print(f"not in this class until now: {printable(student)}")
            print(printable(late.set_date(room, name, options.date, student)))
        _say("changed", late.settle(course, room, name))
        feedback.rewrite(room, name)

    text = "say when a notebook is due, for everybody or for some students"
    parser = commands.add_parser("due", help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("notebook", nargs="?", default="", metavar="NOTEBOOK")
    parser.add_argument(
        "date", nargs="?", default="", help='"2025-03-01 23:59", here; or none'
    )
    parser.add_argument("--students", nargs="+", default=[], metavar="NAME")
    _add_folder(parser)


def _add_export(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    def run(course: Course, options: argparse.Namespace) -> None:
        from .classroom import late, lms, tables
        from .classroom.gradebook import Classroom
        from .course import write_atomically

        room = Classroom(options.folder or course.autograder)
        name = course.notebooks([options.notebook])[0]
        given = options.worksheet
        table = tables.read(given) if given else None
        late.settle(course, room, name)
        made = lms.with_comments(room, name, lms.grades(room, name, options.to))
        filling = lms.Filling(room, name, options.to, options.overwrite)
        if table is None:
            text = (
                lms.new_moodle(made)
                if options.to == "moodle"
                else lms.new_canvas(made, name)
            )
            notes = [
                f"left empty: {one.student}, {one.why}"
                for one in made
                if one.score is None
            ]
            if options.to == "moodle":
                notes.append(
                    "heads in English, no comments: where Moodle speaks another "
                    "language, give its own sheet with --worksheet"
                )
        else:
            filled = (
                filling.moodle(made, table, str(given))
                if options.to == "moodle"
                else filling.canvas(made, table, str(given), options.column)
            )
            text, notes = filled.text, [*filter(None, [table.note]), *filled.notes]
        out = options.out or room.root / f"{name}_{options.to}.csv"
        write_atomically(out, text)
        if table is not None:
            filling.remember()
            written = sum(bool(one[0]) for one in filling.filled.written.values())
            print(f"{written} grades filled in: {out}")
        else:
            print(f"{len(made)} students: {out}")
        for line in notes:
            print(f"  {printable(line)}")

    text = "write the grades as Moodle or Canvas import them"
    parser = commands.add_parser("export", help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("notebook", metavar="NOTEBOOK")
    parser.add_argument("--to", choices=["moodle", "canvas"], required=True)
    parser.add_argument(
        "--worksheet", type=Path, help="the CSV that the LMS gave you, to be filled in"
    )
    parser.add_argument(
        "--column", default="", help="Canvas's column, where it has another name"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace grades and comments that were typed in the LMS, too",
    )
    parser.add_argument("--out", type=Path, help="the CSV to write")
    _add_folder(parser)


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from .demo import demo

        folder = options.folder or course.root / "build" / "demo"
        names = options.notebooks or demo.with_a_class(course)
        return demo.run(course, folder, course.notebooks(names), options.unsandboxed)

    parser = _command(
        commands, "demo", run, "build, release and grade the sample class, from scratch"
    )
    parser.add_argument("--unsandboxed", action="store_true", help="see grade")
    parser.add_argument("--folder", type=Path, help="where (default: build/demo/)")


if __name__ == "__main__":
    sys.exit(main())
