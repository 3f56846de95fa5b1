"""A class with hostile students in it, and a run that is killed at a random moment."""

import os
import random

from grading_tools import JOBS, ROOT, TINY, executed, needs_bubblewrap
from whole_class import graded_through_kills

from autograder.classroom.gradebook import Classroom
from autograder.demo import sample

pytestmark = needs_bubblewrap
ATTACKS = ROOT / "tests" / "attacks" / "01_resnets_as_euler"
STUDENTS = 24


def test_a_run_that_is_killed_at_any_moment_leaves_nothing_behind(tmp_path):
    seed = int(os.environ.get("CLASS_SEED", random.SystemRandom().randrange(10**6)))
    print(f"CLASS_SEED={seed}")  # gives the same class and moment again
    chance = random.Random(seed)
    honest = [sample.Handed(f"s{i:02d}", "honest") for i in range(STUDENTS)]
    for name, place in zip(
        ("exit_at_once", "daemon_that_stays", "script_in_everything"),
        chance.sample(range(STUDENTS), 3),
    ):
        attack = sample.read(ATTACKS / f"{name}.txt")
        cells = [code for order, code in attack.changes if order.startswith("cell")]
        honest[place].story = attack.story
        honest[place].changes = [("cell before double", code) for code in cells]
    graded_through_kills(
        executed(tmp_path / "course"),
        Classroom(tmp_path / "class"),
        TINY,
        honest,
        kills=1,
        jobs=JOBS,
        chance=chance,
        options=("--timeout", "20"),
    )
