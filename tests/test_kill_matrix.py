"""What the named answers earn and are told: the proof that the tests teach.

The table is kept in `tests/kill_matrix.md`, and what the package names mistakes by in
`odenets/check/mistakes`: `make kill-matrix` writes both, and the tests here fail where
they are out of date.
"""

import functools
import pickle
import re

import notebooks
import pytest
import torch

from autograder.authors import matrix
from autograder.demo import sample
from odenets.check import mistakes

TABLE = notebooks.ROOT / "tests" / "kill_matrix.md"
ALL = [
    pytest.param(name, exercise.name, id=f"{name[:2]}-{exercise.name}")
    for name in notebooks.NAMES
    for exercise in notebooks.exercises(name)
]
CONSTRAINTS = notebooks.ROOT / "constraints.txt"
PINNED = re.search(r"(?m)^torch==(\S+)", CONSTRAINTS.read_text(encoding="utf-8"))[1]
as_written = pytest.mark.skipif(
    not torch.__version__.startswith(PINNED),
    reason=f"texts of errors and what dropout draws are those of torch {PINNED}",
)
opened = functools.cache(functools.partial(matrix.Notebook, notebooks.COURSE))


@pytest.fixture(scope="session", autouse=True)
def _once(once, request):
    global ONCE, WRITES
    ONCE, WRITES = once, request.config.getoption("--write-kill-matrix")


@functools.cache
def tried_at(name: str, exercise: str) -> list[matrix.Tried]:
    """Try the answers to an exercise, once for all processes of the tests."""

    def work(path):
        asked = [one for one in notebooks.answers(name) if one.exercise == exercise]
        path.write_bytes(pickle.dumps([opened(name).try_answer(one) for one in asked]))

    return pickle.loads(ONCE(f"{name}-{exercise}", work).read_bytes())


@functools.cache
def tried(name: str) -> list[matrix.Tried]:
    asked = dict.fromkeys(answer.exercise for answer in notebooks.answers(name))
    return [one for exercise in asked for one in tried_at(name, exercise)]


@functools.cache
def known(name: str) -> dict:
    """Return what the package knows, of a notebook anew where that is asked."""
    if WRITES:
        seen = matrix.reproduced(notebooks.COURSE, name, tried(name))
        matrix.write_catalogue(name, matrix.catalogue(seen))
    return mistakes.catalogue()


def score(name: str, exercise: str, source: str) -> tuple[float, str]:
    _, points, shown = opened(name).grade(exercise, source)
    return points, shown


@pytest.mark.parametrize(("name", "exercise"), ALL)
def test_the_solution_earns_all_points(name, exercise):
    assert opened(name).problems(exercise) == []


@pytest.mark.parametrize(("name", "exercise"), ALL)
def test_an_untouched_answer_earns_nothing(name, exercise):
    answer = matrix.without_solution(opened(name).exercises[exercise].answer)
    assert matrix.STUB in answer
    for stub in (answer, matrix.STUB):
        points, shown = score(name, exercise, stub)
        assert points == 0.0, shown


ATTACKS = notebooks.ROOT / "tests" / "attacks" / "01_resnets_as_euler"
ANYTHING = sample.read(ATTACKS / "object_for_everything.txt").changes[0][1]


@pytest.mark.parametrize(("name", "exercise"), ALL)
@pytest.mark.parametrize(
    "value", ["Anything()", "Anything().same", "lambda *a, **k: None"]
)
def test_an_answer_that_does_nothing_earns_nothing(name, exercise, value):
    """So a side condition (the input is left unchanged) is asked with a result."""
    asked = opened(name).defined(exercise)
    assert asked
    points, shown = score(name, exercise, f"{ANYTHING}\n{' = '.join(asked)} = {value}")
    assert points == 0.0, shown


@pytest.mark.parametrize(("name", "exercise"), ALL)
def test_a_constant_of_the_right_shape_and_type_earns_nothing(name, exercise):
    earned = opened(name).constants(exercise)
    assert not any(earned.values()), earned


@pytest.mark.parametrize(("name", "exercise"), ALL)
def test_wrong_answers_lose_and_right_ones_do_not(name, exercise):
    here = tried_at(name, exercise)
    kinds = [one.answer.kind for one in here]
    for kind, count in matrix.LEAST.items():
        assert kinds.count(kind) >= count, f"at least {count} {kind} answers"
    for one in here:
        told = f"{one.answer.kind}: {one.answer.title}\n{one.shown}"
        if one.answer.kind == "right":
            assert one.full == one.in_view == one.exercise.points, told
        else:
            assert one.noticed, told


def test_every_answer_belongs_to_an_exercise():
    for name in notebooks.NAMES:
        asked = {exercise.name for exercise in notebooks.exercises(name)}
        assert {answer.exercise for answer in notebooks.answers(name)} <= asked


@pytest.mark.parametrize("name", notebooks.NAMES)
def test_the_figures_hold(name):
    """A mistake shows in the notebook itself, and is told by its own name."""
    counts = matrix.figures(tried(name), known(name))
    assert counts["named wrong"] == counts["never noticed"] == 0, counts
    told = matrix.findings(tried(name), known(name))
    assert not [line for line in told if "(like: " in line], "two titles look alike"
    assert counts["green in view"] <= 0.03 * counts["wrong"], counts
    assert counts["named right"] >= 0.6 * counts["rejected"], counts


@as_written
@pytest.mark.parametrize("name", notebooks.NAMES)
def test_the_catalogue_is_up_to_date(name):
    for exercise, made in matrix.catalogue(tried(name)).items():
        kept = known(name).get(exercise, {"checks": [], "mistakes": []})
        assert list(kept["checks"]) == list(made["checks"]), "make kill-matrix"
        have, want = kept["mistakes"], made["mistakes"]
        for some, others in ((have, want), (want, have)):
            for one in some:
                assert any(
                    other["title"] == one["title"]
                    and (
                        mistakes.explains(other["came"], one["came"])
                        or unstable(one["came"])
                        or unstable(other["came"])
                    )
                    for other in others
                ), f"{exercise}: {one['title']}: make kill-matrix"


def unstable(came: list) -> bool:
    """Return whether it is another on each processor: what comes on a third is open."""
    return any(one == {} or (one and None in one.get("numbers", ())) for one in came)


def test_few_mistakes_are_unstable():
    kept = [m["came"] for e in mistakes.catalogue().values() for m in e["mistakes"]]
    assert sum(map(unstable, kept)) <= 0.01 * len(kept)


# ------------------------------------------------------------------------ the table


def table() -> str:
    total = {
        key: sum(
            matrix.figures(tried(name), known(name))[key] for name in notebooks.NAMES
        )
        for key in matrix.figures([], {})
    }
    wrong, rejected = total["wrong"], total["rejected"]
    lines = [
        "# The kill matrix",
        "",
        "Made by `make kill-matrix` from the answers in `solutions/NN/answers.py`.",
        "*In view* is what an answer earns in the notebook, *in full* what it earns",
        "when graded; *told* is the name that its mistake is given.",
        "",
        "| of all wrong answers | |",
        "|---|---|",
        f"| wrong answers | {wrong} |",
        f"| green in view | {total['green in view']} "
        f"({total['green in view'] / wrong:.1%}; at most 3 %) |",
        f"| never noticed | {total['never noticed']} (none) |",
        f"| rejected in view and named right | {total['named right']} of {rejected} "
        f"({total['named right'] / rejected:.0%}; at least 60 %) |",
        f"| named wrong | {total['named wrong']} (none) |",
    ]
    for name in notebooks.NAMES:
        lines += ["", f"## {name}", ""]
        lines += ["| exercise | answer | in view | in full | told |"]
        lines += ["|---|---|---|---|---|"]
        for exercise in notebooks.exercises(name):
            for one in tried(name):
                if one.exercise.name == exercise.name:
                    lines.append(row(one, known(name)))
    return "\n".join(lines) + "\n"


def row(one: matrix.Tried, names: dict) -> str:
    title = one.answer.title.replace("|", "\\|")
    name = one.name(names).replace("|", "\\|")
    told = {"": "-", title: "its own"}.get(name, f"**another's**: {name}")
    points = f"{one.in_view:g} | {one.full:g} of {one.exercise.points:g}"
    return f"| {one.exercise.name} | {one.answer.kind}: {title} | {points} | {told} |"


@as_written
def test_the_table_is_up_to_date(request):
    """But for some points of unstable wrong answers: rounding differs by processor."""
    computed = table()
    if request.config.getoption("--write-kill-matrix"):
        TABLE.write_text(computed, encoding="utf-8")
    told = "run: make kill-matrix"
    # The figures above the first notebook are held by a test of their own.
    kept = TABLE.read_text(encoding="utf-8")
    have, want = (text.partition("## ")[2].splitlines() for text in (kept, computed))
    assert len(have) == len(want), told
    differ = [pair for pair in zip(have, want, strict=True) if pair[0] != pair[1]]
    for pair in differ:
        told += "\n- {}\n+ {}".format(*pair)
    assert all(a.split(" | ")[:2] == b.split(" | ")[:2] for a, b in differ), told
    assert not [a for a, _ in differ if "| right: " in a], told
    assert len(differ) <= 0.01 * len(want), told
