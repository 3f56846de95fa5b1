"""The tool that tries named answers: what it finds, and that no answer stops it."""

import json

import numpy as np
import pytest
import torch
from grading_tools import TINY, course

from autograder.authors import constants, matrix
from odenets.check import mistakes

ANSWERS = """
# %% right: double -- times two
def double(x):
    return 2 * x

# %% wrong: double -- it is squared
def double(x):
    return x * x

# %% wrong: double -- it is tripled
def double(x):
    return 3 * x

# %% wrong: double -- once too often
def double(x):
    return x + x + x

# %% wrong: double -- its sign is lost
def double(x):
    return (2 * x).abs()

# %% wrong: double -- it never ends
def double(x):
    while True:
        pass

# %% wrong: double -- it calls itself
def double(x):
    return double(x)

# %% wrong: double -- it leaves
def double(x):
    raise SystemExit

# %% wrong: double -- it is no Python
def double(x) return x

# %% wrong: double -- it is the number one
double = torch.ones(2)

# %% wrong: double -- it lasts before it is defined
while True:
    pass
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    made = course(tmp_path_factory.mktemp("course"))
    made.answers(TINY).write_text(ANSWERS, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix, "SECONDS", "0.5")
        notebook = matrix.Notebook(made, TINY)
        own = matrix.answers.read(made, TINY)
        yield [notebook.try_answer(one) for one in own]


def test_no_answer_stops_the_others(tried):
    scores = {one.answer.title: (one.in_view, one.full) for one in tried}
    assert scores.pop("times two") == (2, 2)
    assert scores.pop("its sign is lost") == (2, 1)
    assert len(scores) == 9 and set(scores.values()) == {(0, 0)}


def test_what_is_to_mend(tried):
    told = "\n".join(matrix.findings(tried, matrix.catalogue(tried)))
    assert "green in view             double: wrong: its sign is lost" in told
    assert "double: wrong: it is tripled  (like: once too often)" in told
    assert "double: wrong: it never ends  (only errors came)" in told
    assert "it is squared" not in told and "times two" not in told
    counts = matrix.figures(tried, matrix.catalogue(tried))
    assert counts["wrong"] == 10 and counts["green in view"] == 1
    assert counts["named right"] == 1 and counts["named wrong"] == 0


def test_the_catalogue_names_what_it_was_made_from(tried, tmp_path, monkeypatch):
    monkeypatch.setattr(mistakes, "FOLDER", tmp_path)
    made = matrix.catalogue(tried)
    assert matrix.write_catalogue(TINY, made) and not matrix.write_catalogue(TINY, made)
    kept = json.loads((tmp_path / f"{TINY}.json").read_text(encoding="utf-8"))
    titles = [one["title"] for one in kept["double"]["mistakes"]]
    assert "it is squared" in titles and "its sign is lost" not in titles
    seen = next(one.seen for one in tried if one.answer.title == "it is squared")
    assert mistakes.name_of("double", seen) == "it is squared"
    mistakes.catalogue.cache_clear()


def test_what_another_processor_does_otherwise_is_no_mark_of_a_mistake(
    tmp_path, monkeypatch
):
    made = course(tmp_path)
    made.answers(TINY).write_text(
        "# %% wrong: double -- rounding grows\ndef double(x):\n"
        "    import os\n"
        "    rounding = len(os.environ.get('ATEN_CPU_CAPABILITY', ''))\n"
        "    return torch.stack([x[0], x[1] + rounding])\n"
    )
    (answer,) = matrix.answers.read(made, TINY)
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)
    here = matrix.Notebook(made, TINY).try_answer(answer)
    monkeypatch.setattr(matrix, "PROCESSORS", matrix.PROCESSORS[1:])
    (one,) = matrix.reproduced(made, TINY, [here])
    ((label, kept),) = one.seen.items()
    assert kept["form"] == here.seen[label]["form"]
    assert kept["numbers"][0] == 0.5 and kept["numbers"][1] is None
    assert mistakes.explains([kept], [here.seen[label]])
    assert not mistakes.explains([kept], [None])


def test_what_two_fingerprints_hold_in_common():
    one = {"form": "f8(2,)", "numbers": [1.0, 2.0]}
    other = {"form": "f8(2,)", "numbers": [1.0, 3.0]}
    error = {"error": "ValueError", "text": "no"}
    longer = {"form": "f8(3,)", "numbers": [1.0, 2.0, 3.0]}
    common = [
        matrix.in_common({"x": a}, {"x": b})["x"]
        for a, b in [(one, one), (one, other), (one, error), (one, longer), (one, None)]
    ]
    half = {"form": "f8(2,)", "numbers": [1.0, None]}
    assert common == [one, half, {}, {}, {}]
    assert matrix.in_common({"x": None}, {"x": None}) == {"x": None}
    assert matrix.in_common({"x": half}, {"x": one}) == {"x": half}
    for kept, came, same in [
        (half, other, True),
        (half, error, False),
        ({}, error, True),
    ]:
        assert mistakes.explains([kept], [came]) is same


def test_a_constant_has_the_form_of_the_result():
    def solution(x, n):
        return [x * n, (float(n), {"k": np.ones(2)}), lambda y: y + n]

    x = torch.tensor([3.0, 4.0])
    zeros = constants.constant(solution, "zeros")(x, 2)
    assert zeros[0].tolist() == [0, 0] and zeros[1][0] == 0.0
    assert zeros[1][1]["k"].tolist() == [0, 0] and zeros[2](x).tolist() == [0, 0]
    assert constants.constant(solution, "ones")(x, 2)[0].tolist() == [1, 1]
    assert constants.constant(solution, "input")(x, 2)[0] is x
    always = constants.constant(solution, "first")
    assert always(x, 2)[0].tolist() == always(2 * x, 5)[0].tolist() == [6, 8]


def test_a_class_gives_constants_and_a_refusal_is_none():
    class Net(torch.nn.Module):
        def forward(self, x):
            if len(x) == 1:
                raise ValueError
            return x.sum(dim=1)

    net = constants.constant(Net, "ones")()
    assert isinstance(net, Net) and net(torch.zeros(2, 3)).tolist() == [1, 1]
    net(torch.zeros(1, 3))
