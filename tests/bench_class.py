"""A class with 5 % hostile or broken submissions, graded through kills of the run.

    python -m pytest -q -s -m benchmark tests/bench_class.py

CLASS_SIZE (400) students, CLASS_JOBS (1,4) sandboxes at a time, CLASS_KILLS (5) kills
at moments that CLASS_SEED chooses. Run it as an ordinary user, and as root.
"""

import getpass
import os
import random
from dataclasses import replace

import pytest
from grading_tools import REAL, ROOT, needs_bubblewrap
from whole_class import graded_through_kills

from autograder.classroom.gradebook import Classroom
from autograder.demo import sample

pytestmark = [pytest.mark.benchmark, needs_bubblewrap]

NAME = "01_resnets_as_euler"
SIZE = int(os.environ.get("CLASS_SIZE", "400"))
JOBS = [int(one) for one in os.environ.get("CLASS_JOBS", "1,4").split(",")]
KILLS = int(os.environ.get("CLASS_KILLS", "5"))


@pytest.mark.parametrize("jobs", JOBS)
def test_a_class_with_hostile_students_through_kills(jobs, tmp_path):
    seed = int(os.environ.get("CLASS_SEED", random.SystemRandom().randrange(10**6)))
    chance = random.Random(seed)
    attacks = sample.students(ROOT / "tests" / "attacks" / NAME)
    handed = [sample.Handed(f"s{i:03d}", "honest") for i in range(SIZE)]
    for place in chance.sample(range(SIZE), SIZE // 20):
        attack = chance.choice(attacks)
        print(attack.student, end=" ", flush=True)
        attack.story = attack.student
        handed[place] = replace(attack, student=handed[place].student)
    seen = graded_through_kills(
        REAL,
        Classroom(tmp_path / "class"),
        NAME,
        handed,
        kills=KILLS,
        jobs=jobs,
        chance=chance,
    )
    cpu = sum(seen.cpu.values())
    print(f"\n{SIZE} students, {SIZE // 20} of them hostile, as {getpass.getuser()}")
    print(f"CLASS_SEED={seed}, {KILLS} kills, {jobs} sandboxes at a time")
    print(f"{seen.seconds / SIZE:.2f} s each, {cpu / SIZE:.2f} s of a processor")
    print(f"memory: {seen.trusted >> 20} MB here, {seen.workers >> 20} MB in sandboxes")
    print(
        f"open descriptors: {seen.descriptors[len(seen.descriptors) // 2]} midway, "
        f"{max(seen.descriptors)} at most"
    )
    assert seen.trusted < 500 * 2**20 + 2**30 and seen.workers < jobs * 2**31
    assert max(seen.descriptors) < 64 + 64 * jobs
