"""What a class did: numbers against independent ones, and a page that runs nothing."""

import html.parser
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from test_browser import SHOTS, page  # noqa: F401 - a fixture

from autograder.classroom import overview, report, similar
from autograder.classroom.gradebook import Classroom

NAME = "01_tiny"
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
# Points in euler_step (2), middle (3) and hard (1), and the reason in euler_step.
CLASS = {
    "ada": ([2, 3, 1], ""),
    "bob": ([2, 2, 0], ""),
    "cat": ([0, 1, 0], "the step size h is missing"),
    "dan": ([0, 0, 0], "the step size h is missing"),
    "eve": ([1, 1.5, 0], EVIL),
    f"=1+1{EVIL[:-30]}".replace("/", ""): ([0, 0, 0], "not written yet"),
}


def result(student, scores, reason):
    def exercise(name, points, score, reason=""):
        checks = [
            {
                "label": f"{name} holds",
                "passed": score > 0,
                "hidden": False,
                "message": "",
            },
            {"label": f"{name} twice", "passed": False, "hidden": True, "message": ""},
        ]
        return {
            "exercise": name,
            "points": points,
            "score": score,
            "reason": reason,
            "checks": checks,
        }

    return {
        "key": "k",
        "student": student,
        "notebook": NAME,
        "exercises": [
            exercise("euler_step", 2, scores[0], reason),
            exercise("middle", 3, scores[1], EVIL),
            exercise("hard", 1, scores[2]),
        ],
        "manual": [{"name": "why", "points": 1, "written": "x"}],
        "answers": {},
        "titles": {"euler_step": "Exercise 1.1 - One Euler step"},
        "notes": [EVIL],
        "readable": True,
        "seconds": 2.0,
    }


@pytest.fixture
def room(tmp_path):
    room = Classroom(tmp_path)
    for student, (scores, reason) in CLASS.items():
        room.submission(student, NAME).parent.mkdir(parents=True)
        path = room.result(student, NAME)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(report.to_json(result(student, scores, reason)))
    room.submission("zoe", "02_other").parent.mkdir(parents=True)
    path = room.result("zoe", "02_other")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(result("zoe", [2, 3, 1], "")))
    return room


def test_numbers_of_exercises(room):
    sheet = overview.sheet(room, NAME)
    scores = np.array([scores for scores, _ in CLASS.values()])
    for i, name in enumerate(("euler_step", "middle", "hard")):
        (item,) = (one for one in sheet.items if one.name == name)
        rest = scores.sum(1) - scores[:, i]
        wanted = np.corrcoef(scores[:, i], rest)[0, 1]
        assert item.ease == pytest.approx(scores[:, i].mean() / item.points)
        assert item.discrimination == pytest.approx(wanted)
        assert item.full == (scores[:, i] == item.points).sum()
        assert item.nothing == (scores[:, i] == 0).sum()
    assert sheet.mean == pytest.approx(scores.sum(1).mean())
    assert sheet.median == pytest.approx(np.median(scores.sum(1)))
    known = [("Exercise 1.1 - One Euler step", "the step size h is missing", 2)]
    assert sheet.mistakes == known, "what student code says is no name"
    assert "hard: hidden test 'hard twice'" in sheet.nobody
    assert not [one for one in sheet.nobody if "holds" in one]


def test_being_late_does_not_change_what_an_exercise_tells(room, monkeypatch):
    before = overview.sheet(room, NAME)
    late = [replace(row, penalty=i / 4) for i, row in enumerate(before.rows)]
    monkeypatch.setattr(report, "rows", lambda *_: late)
    assert overview.sheet(room, NAME).items == before.items


def test_where_a_correlation_says_nothing():
    assert overview.correlation([1, 2], [1, 2]) is None
    assert overview.correlation([1, 1, 1], [1, 2, 3]) is None
    assert overview.correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_the_term_adds_up(room):
    sheets = [overview.sheet(room, name) for name in (NAME, "02_other")]
    term = {one["student"]: one for one in overview.term(sheets)}
    assert term["ada"]["total"] == 6 and term["ada"]["scores"] == [6, None]
    assert term["zoe"]["total"] == 6 and term["zoe"]["maximum"] == 14


class _Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.alternatives = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        attrs = dict(attrs)
        assert not [name for name in attrs if name.startswith("on")]
        if tag == "img":
            assert attrs["src"].startswith("data:image/png;base64,")
            self.alternatives.append(attrs["alt"])


def test_the_page_runs_nothing_and_says_what_pictures_show(room):
    path = overview.write(room, [NAME, "02_other", "03_none"])
    text = path.read_text(encoding="utf-8")
    tags = _Tags()
    tags.feed(text)
    assert not {"script", "iframe", "svg", "object"} & set(tags.found)
    assert "default-src 'none'" in text and len(tags.alternatives) == 4
    assert "Exercise 1.1 42 %" in tags.alternatives[1]
    counted = sum(int(n) for n in re.findall(r": (\d+)", tags.alternatives[0]))
    assert counted == len(CLASS)
    before = path.read_bytes()
    overview.write(room, [NAME, "02_other"])
    assert path.read_bytes() == before, "the same class gives the same page"
    assert overview.write(Classroom(room.root / "empty"), [NAME]) is None


def test_the_page_in_a_browser(room, page):  # noqa: F811
    alerts, called = [], []
    page.on("dialog", lambda dialog: (alerts.append(1), dialog.dismiss()))
    page.on("request", lambda request: called.append(request.url))
    page.goto(overview.write(room, [NAME, "02_other"]).as_uri())
    widths = page.locator("img").evaluate_all("all => all.map(i => i.naturalWidth)")
    assert len(widths) == 4 and min(widths) > 300
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "overview.png", full_page=True)
    assert not alerts
    assert all(url.startswith(("file:", "data:")) for url in called)


# ------------------------------------------------------------------------ similar

STUB = '''def advance(f, y, h, n):
    """Return the state after `n` steps."""
    # YOUR CODE HERE
    raise NotImplementedError()
'''
USUAL = '''def advance(f, y, h, n):
    """Return the state after `n` steps."""
    for _ in range(n):
        y = y + h * f(y)
    return y
'''
ODD = '''def advance(f, y, h, n):
    """Return the state after `n` steps."""
    states, left = [y], n
    while left > 0 and len(states) < 10**6:
        slope = f(states[-1])
        states.append(states[-1] + slope * h)
        left -= 1
    return states[-1] if states else None
'''
# The same with other names, comments, layout and docstring.
RENAMED = """def advance(field, start, step, number):
    "My own solution!"
    # I thought of this at night.
    path, k = [start], number
    while (
        k > 0 and len(path) < 10**6
    ):
        direction = field(path[-1])

        path.append(path[-1] + direction * step)   # go on
        k -= 1
    return path[-1] if path else None
"""
OTHER = """def advance(f, y, h, n):
    if n == 0:
        return y
    halfway = advance(f, y, h, n - 1)
    return torch.add(halfway, f(halfway), alpha=h)
"""


def compared(least=0.5, **answers):
    texts = {who: {"advance": text} for who, text in answers.items()}
    return similar.compare(texts, {"advance": STUB}, least)


def test_other_names_and_comments_hide_nothing():
    usual = {f"s{i}": USUAL for i in range(5)}
    (pair,) = compared(**usual, ann=ODD, bob=RENAMED, cat=OTHER)
    assert (pair.one, pair.other) == ("ann", "bob") and pair.share > 0.95
    assert pair.where[0][0] == "advance"


def test_what_most_wrote_and_what_all_were_given_is_no_agreement():
    assert not compared(least=0, **{f"s{i}": USUAL for i in range(6)})
    assert not compared(least=0, **{f"s{i}": STUB for i in range(6)})
    longer = STUB.replace("# YOUR", "# MY")
    assert not compared(least=0, ann=longer, bob=longer), "a stub alone is nothing"


def test_two_of_two_agree_and_strangers_do_not():
    (pair,) = compared(ann=ODD, bob=RENAMED)
    assert pair.share > 0.95
    assert not compared(ann=ODD, bob=OTHER, cat=USUAL)


def test_prose_and_what_is_no_code_are_compared_by_words():
    words = (
        "The error halves because every step of half the size is made twice as often."
    )
    other = (
        "Since the method has order one we expect that errors are proportional to h."
    )
    words, other = words + " " + words.replace("step", "stride"), other + other.upper()
    found = compared(ann=words, bob=words.replace(" ", "\n"), cat=other)
    assert [(pair.one, pair.other) for pair in found] == [("ann", "bob")]
    for text in ("def f(:", "(" * 5000, "\0", "'''", "x = 1\n\tif"):
        similar.fragments(text)


def test_the_table_is_printable():
    pair = similar.Pair("\x1b[31mann", "bob", 0.9, (("advance", 12),))
    text = similar.table(NAME, [pair], 7)
    assert "90%" in text and all(c.isprintable() for c in text.replace("\n", ""))
    assert "no pair" in similar.table(NAME, [], 7)
