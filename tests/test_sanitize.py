"""Whatever is handed in becomes an orderly notebook: properties, on any input."""

import json
from collections import Counter
from copy import deepcopy

import nbformat
import pytest
from grading_tools import TINY, course
from hypothesis import given
from hypothesis import strategies as st

from autograder.authors import pairs, steps
from autograder.authors.assignment import Assignment, label_of
from autograder.grading import sanitize

MAKERS = {
    "code": nbformat.v4.new_code_cell,
    "markdown": nbformat.v4.new_markdown_cell,
    "raw": nbformat.v4.new_raw_cell,
}
LABELS = ["double", "test_double", "refuse", "test_refuse", "why"]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """The tiny assignment, without executing it."""
    made = course(tmp_path_factory.mktemp("course"))
    config = steps.load_config(made)
    source = pairs.build(made, TINY)
    complete = steps.apply(config, steps.COMPLETE, deepcopy(source), TINY)
    released = steps.apply(config, steps.RELEASED, deepcopy(complete), TINY)
    return Assignment(made, TINY, source, complete, released)


@st.composite
def _cells(draw):
    """A cell with any text, or that of a cell of the assignment, under any label."""
    label = draw(st.sampled_from([*LABELS, "unknown", None]))
    metadata = {"nbgrader": {"grade_id": label}} if label else {}
    text = st.sampled_from(["", "own = 1", "def double(x): return 2 * x"]) | st.text()
    same = draw(st.sampled_from([None, *LABELS]))
    return draw(st.sampled_from(sorted(MAKERS))), draw(text), metadata, same


def notebook(asked, drawn):
    cells = []
    for kind, text, metadata, same in drawn:
        source = asked.graded[same].visible if same else text
        cells.append(MAKERS[kind](source, metadata=deepcopy(metadata)))
    return nbformat.v4.new_notebook(cells=cells)


@given(st.lists(_cells(), max_size=12))
def test_each_graded_cell_is_there_exactly_once_and_as_it_was_asked(asked, drawn):
    came = notebook(asked, drawn)
    before = Counter(filter(None, map(label_of, came.cells)))
    restored = sanitize.restore(asked, came).notebook
    labels = [label_of(cell) for cell in restored.cells]
    counts = Counter(label for label in labels if label is not None)
    for name, target in asked.graded.items():
        if target.is_test or target.is_manual:
            assert counts[name] == 1
        else:  # an answer that was deleted stays away, unless its text is there
            stub = target.visible.strip()
            bare = any(same == name or stub in text for _, text, _, same in drawn)
            own = name == "double" and any("def double" in c[1] for c in drawn)
            assert min(before[name], 1) <= counts[name] <= 1
            assert counts[name] == 0 or before[name] or bare or own
    assert set(counts) <= set(asked.graded)
    for cell in restored.cells:
        if (name := label_of(cell)) is not None:
            target = asked.graded[name]
            assert cell.cell_type == target.cell_type
            assert cell.metadata == target.metadata
            if target.is_test:
                assert cell.source == target.visible
    for test in asked.tests:
        if counts[test.exercise]:
            assert labels.index(test.exercise) < labels.index(test.name)
    nbformat.validate(restored)
    assert len({cell.id for cell in restored.cells}) == len(restored.cells)


@given(st.lists(_cells(), max_size=12))
def test_no_answer_is_lost_and_a_second_time_changes_nothing(asked, drawn):
    came = notebook(asked, drawn)
    answers = {
        name: [c.source for c in came.cells if label_of(c) == name]
        for name in ("double", "refuse")
    }
    restored = sanitize.restore(asked, came).notebook
    found = {label_of(c): c.source for c in restored.cells}
    for name, written in answers.items():
        stub = asked.graded[name].visible.strip()
        worked_on = [text for text in written if text.strip() not in ("", stub)]
        if worked_on:
            assert found[name] in worked_on
        elif written:
            own = f"def {name}" in found[name]  # an unlabelled cell may be the answer
            assert own or not found[name].strip()
    again = sanitize.restore(asked, deepcopy(restored)).notebook
    assert again == restored


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["cell_type", "source", "metadata", "nbgrader", "grade_id", "outputs"]
                + ["attachments", "image/png", "cells", "nbformat"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(["code", "markdown", "raw", "heading"])
CELLS = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": KINDS | JSON,
        "source": st.text() | st.lists(st.text(max_size=9), max_size=3) | JSON,
        "metadata": JSON,
        "attachments": JSON,
    },
)


@given(
    st.fixed_dictionaries(
        {"nbformat": st.sampled_from([3, 4, 5]) | JSON},
        optional={"cells": st.lists(CELLS | JSON, max_size=4) | JSON, "metadata": JSON},
    )
    | JSON
)
def test_any_json_is_a_notebook_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.ipynb"
    path.write_text(json.dumps(data), encoding="utf-8")
    try:
        read = sanitize.read(path)
    except sanitize.Unreadable as error:
        assert str(error)
        return
    nbformat.validate(read)
    assert all(isinstance(cell.source, str) for cell in read.cells)
    assert all(set(cell.metadata) <= {"nbgrader"} for cell in read.cells)
    assert all(not cell.get("outputs") for cell in read.cells)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "bytes.ipynb"
    path.write_bytes(data)
    with pytest.raises(sanitize.Unreadable):
        sanitize.read(path)
