"""Submissions that try to win, to hurt others or to stop the run.

`tests/attacks/NN_topic/*.txt` holds them, each with the scores that it may earn: what
its honest cells are worth. They are handed in together with a student who did nothing
wrong, and graded in one run.
"""

import html
import json
import re

import pytest
from grading_tools import REAL, ROOT, graded, needs_bubblewrap, rows

from autograder.authors import matrix
from autograder.authors.assignment import assignment
from autograder.classroom.gradebook import Classroom
from autograder.demo import sample
from autograder.worker import sandbox

pytestmark = needs_bubblewrap

NAME = "01_resnets_as_euler"
# Most attacks that end by the limits wait for them: more sandboxes than processors.
# What only the limits bound is let run with little memory, so that the bomb is small.
LIMITS = sandbox.Limits(cell_seconds=6, notebook_seconds=150, memory_mb=1000)
JOBS = 4
ATTACKS = sample.students(ROOT / "tests" / "attacks" / NAME)
HALVES = [ATTACKS[0::2], ATTACKS[1::2]]


def plain_score(room, student, exercise):
    """What the answer earns where nobody defends anything, and nobody attacks."""
    cells = json.loads(room.submission(student, NAME).read_text())["cells"]
    for cell in cells:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == exercise:
            answer = "".join(cell["source"])
    return matrix.Notebook(REAL, NAME).grade(exercise, answer)[1]


@pytest.mark.parametrize("half", [0, 1])
def test_no_attack_wins_hurts_or_stops_anything(half, tmp_path):
    room = Classroom(tmp_path / "class")
    asked = assignment(REAL, NAME)
    honest = [sample.Handed(name, "An honest student.") for name in ("aa", "mm", "zz")]
    handed = [*HALVES[half], *honest]
    for one in handed:
        sample.write(room, asked, one)
    fate = graded(REAL, room, NAME, jobs=JOBS, limits=LIMITS)
    assert sorted(fate.done) == sorted(one.student for one in handed)

    table = rows(room, NAME)
    hidden = hidden_text(asked)
    wrong = []
    for one in handed:
        row = table[one.student]
        for exercise, points in one.expected(asked).items():
            if points is None:
                points = plain_score(room, one.student, exercise)
            if row.scores[exercise] != points:
                came = f"{exercise} {row.scores[exercise]} instead of {points}"
                wrong.append(f"{one.student}: {came} ({'; '.join(row.reasons)[:300]})")
        if one.reason not in "\n".join(row.reasons):
            wrong.append(f"{one.student}: no {one.reason!r} in {row.reasons}")
        if row.total < 19 and not row.reasons:
            wrong.append(f"{one.student}: nobody says why")
        page = room.feedback(one.student, NAME).read_text(encoding="utf-8")
        plain = html.unescape(page)
        # A formula is a picture in the page.
        drawn = re.sub(r'<img class="formula" alt="[^"]*" src="data:[^"]*">', "", page)
        if re.search(r"<(script|img|svg|iframe|object)|<[^>]* on\w+=", drawn):
            wrong.append(f"{one.student}: the feedback page may run something")
        wrong += [f"{one.student}: tells {line!r}" for line in hidden if line in plain]
    for one in honest:  # the gradebook itself
        with room.gradebook() as book:
            assert book.find_submission(NAME, one.student).score == 19
    assert not wrong, "\n".join(wrong)


def hidden_text(asked):
    """The lines that only hidden tests hold, without their labels."""
    found = set()
    for test in asked.tests:
        lines = set(test.source.splitlines()) - set(test.visible.splitlines())
        found |= {line.strip() for line in lines if "lambda" in line}
    return found


def test_the_corpus_covers_what_was_promised():
    """Attacks are not lost when files are renamed: each kind has its file."""
    names = {one.student for one in ATTACKS}
    promised = """
        loop_that_ignores_interrupts exit_at_once segfault memory_bomb fork_bomb
        output_flood huge_file huge_cell deep_recursion later_threads
        writes_the_gradebook reads_solutions reads_hidden_tests network
        patched_comparisons patched_check patched_builtins shadowed_package
        always_equal lying_tensors deleted_tests doubled_tests retyped_tests
        relabelled_cells not_a_notebook nbformat_3 link_to_passwd linked_folder
        script_in_everything forged_records rewritten_tests escape
        shared_memory shared_memory_of_children signals_to_the_parent raw_records
        careful_liar object_for_everything terminal_codes forged_protocol
        script_in_a_written_answer mark_scheme_in_a_written_answer
        junk_into_the_sockets junk_on_every_channel message_without_an_end
        endless_messages blocking_atexit finalizers stops_itself stopped_child
        no_descriptor_left streams_closed settings_left_behind shadowed_names alarms
        state_left_behind threads_that_change_the_state modules_gone
        constants_of_the_right_shape first_values_replayed says_equal_to_everything
        hooks_that_rewrite records_rewritten_by_a_child records_that_take_long
        forged_counts json_of_the_session collector reads_proc_and_sockets
    """.split()
    assert set(promised) <= names and len(names) >= 95
