"""The commands: `python -m autograder --help`."""

import argparse
import sys
from collections.abc import Callable, Sequence

from .layout import Course, CourseError, find_course


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m autograder", description=sys.modules[__package__].__doc__
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_sync, _add_release):
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
    names: Sequence[str], work: Callable[[str], str | list[str]], verb: str
) -> int:
    """Do `work` for every notebook, report each, and fail if one of them fails."""
    failed = 0
    for name in names:
        try:
            result = work(name)
        except CourseError as error:
            result = [str(error)]
        if isinstance(result, list) and result:
            failed += 1
            print(f"{verb} {name}: not in order")
            for problem in result:
                print(f"  {problem}")
        else:
            print(f"{verb} {name}: {result or 'in order'}", flush=True)
    return 1 if failed else 0


# ------------------------------------------------------------------------ authors


def _add_sync(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    def run(course: Course, options: argparse.Namespace) -> int:
        from . import pairs

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
        from . import release

        names = course.notebooks(options.notebooks)
        if not options.check:
            return _each(names, lambda name: release.release(course, name), "release")

        def check(name: str) -> list[str]:
            found = release.differences(course, name)
            return found or ([] if options.fast else release.scores(course, name))

        return _each(names, check, "gate")

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


if __name__ == "__main__":
    sys.exit(main())
