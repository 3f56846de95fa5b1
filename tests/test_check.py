"""The checks: what passes, what fails, what the student is told, what is recorded."""

import copy
import enum
import json
import linecache
import os
import random
import sys
import threading
import time
import types
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import odenets
from odenets import check
from odenets.check.compare import leaves, same
from odenets.check.mistakes import alike, fingerprint, name_of


def shown(capsys) -> str:
    return capsys.readouterr().out


def one(points: float = 2.0) -> check.Exercise:
    return check.exercise("answer", points=points)


def earned(kind: str, observed, *arguments, **options) -> float:
    """What one check earns; a value stands for a function that returns it."""
    if not isinstance(observed, types.FunctionType):
        value = observed
        observed = lambda: value  # noqa: E731

    @one()
    def exercise(checks):
        getattr(checks, kind)("label", observed, *arguments, **options)

    return check.score(exercise)


class TestClose:
    def test_agreement_up_to_rounding(self):
        assert (
            earned("close", torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.000001]))
            == 2
        )
        assert (
            earned("close", torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.001])) == 0
        )

    def test_float64_is_compared_more_strictly_than_float32(self):
        coarse, fine = torch.tensor([1.0]), torch.tensor([1.0], dtype=torch.float64)
        assert earned("close", coarse + 5e-6, coarse) == 2
        assert earned("close", fine + 5e-6, fine) == 0

    @pytest.mark.parametrize(
        "observed",
        [
            torch.ones(1, 2),
            torch.ones(2, dtype=torch.float64),
            1.0,
            None,
            "1",
            [1.0, 1.0],
        ],
    )
    def test_another_shape_dtype_or_type_fails(self, observed):
        assert earned("close", observed, torch.ones(2)) == 0

    def test_any_scalar_will_do_for_a_number(self):
        for scalar in (2, 2.0, np.float32(2), torch.tensor(2.0), np.array(2.0)):
            assert earned("close", scalar, 2.0) == 2
        assert earned("close", torch.tensor([2.0]), 2.0) == 0

    def test_nan_and_infinity_are_not_close_to_a_number(self):
        for bad in (float("nan"), float("inf"), -float("inf")):
            assert earned("close", bad, 1.0) == 0

    def test_lists_tuples_and_dicts_are_compared_entry_by_entry(self):
        value = {"a": (1.0, torch.ones(2)), "b": [2.0]}
        same = {"a": [1.0, torch.ones(2)], "b": (2.0,)}
        other = {"a": [1.0, torch.ones(2)], "b": (2.5,)}
        assert earned("close", value, same) == 2
        assert earned("close", value, other) == 0
        assert earned("close", value, {"a": same["a"]}) == 0
        assert earned("close", [1.0, 2.0], [1.0]) == 0

    def test_a_side_condition_counts_together_with_a_result(self):
        y = torch.ones(2)
        for result, kept, points in [(2 * y, y, 2), (None, y, 0), (2 * y, 0 * y, 0)]:
            came = [result, kept, torch.is_grad_enabled(), float.__name__]
            assert (
                earned("close", came, [2 * y, torch.ones(2), True, "float"]) == points
            )

    def test_tolerances_are_obeyed(self):
        assert earned("close", 1.09, 1.0, atol=0.1) == 2
        assert earned("close", 1.09, 1.0, atol=0.01) == 0
        assert earned("close", 109.0, 100.0, rtol=0.1) == 2


class TestOtherKinds:
    def test_equal_is_bit_for_bit(self):
        a = torch.tensor([0.1, 0.2])
        assert earned("equal", a, a.clone()) == 2
        assert earned("equal", a, torch.nextafter(a, torch.ones(2))) == 0
        assert earned("equal", (3, 4), torch.Size([3, 4])) == 2
        assert earned("equal", 1, True) == 0
        assert earned("equal", "a", "b") == 0

    def test_equal_tells_where_lists_first_differ(self, capsys):
        earned("equal", [0, 1, 1, 3], [0, 1, 2, 3])
        said = shown(capsys)
        assert "came      1  at [2]" in said and "expected  2" in said
        earned("equal", [0, 1], [0, 1, 2])
        assert "2 values instead of 3" in shown(capsys)

    @pytest.mark.parametrize(
        ("kind", "bounds", "good", "bad"),
        [
            ("at_most", (1.0,), 1.0, 1.1),
            ("at_least", (1.0,), 1.0, 0.9),
            ("between", (0.0, 1.0), [0.0, 1.0], [0.5, 1.1]),
        ],
    )
    def test_bounds(self, kind, bounds, good, bad):
        assert earned(kind, good, *bounds) == 2
        assert earned(kind, bad, *bounds) == 0
        for nothing in (float("nan"), [], "1 or so", None):
            assert earned(kind, nothing, *bounds) == 0

    def test_the_bound_is_told(self, capsys):
        earned("at_most", 3.0, 1.0)
        assert "at most 1" in shown(capsys)

    def test_raises_wants_the_error_or_a_subclass(self):
        def fails_with(error):
            def call():
                raise error

            return call

        assert earned("raises", fails_with(ValueError("no")), ValueError) == 2
        assert earned("raises", fails_with(UnicodeError("no")), ValueError) == 2
        assert earned("raises", fails_with(KeyError("no")), ValueError) == 0
        assert earned("raises", lambda: None, ValueError) == 0

    def test_what_is_not_written_yet_has_refused_nothing(self):
        def stub():
            raise NotImplementedError

        assert earned("raises", stub, NotImplementedError) == 0
        assert earned("raises", stub, Exception) == 0


class TestScore:
    def test_it_is_the_share_of_passed_checks_as_a_plain_float(self):
        @one(points=3)
        def exercise(checks):
            checks.equal("a", lambda: 1, 1)
            checks.equal("b", lambda: 1, 2)
            checks.equal("c", lambda: 1 / 0, 2)

        assert check.score(exercise) == 1.0
        assert type(check.score(exercise)) is float

    def test_an_error_in_one_check_does_not_stop_the_next(self, capsys):
        @one()
        def exercise(checks):
            checks.equal("a", lambda: [][1], 1)
            checks.equal("b", lambda: 1, 1)

        assert check.score(exercise) == 1.0
        assert "your answer raised IndexError" in shown(capsys)

    @pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)])
    def test_nothing_is_earned_where_the_checks_stopped(self, error):
        @one()
        def exercise(checks):
            checks.equal("a", lambda: 1, 1)
            raise error

        assert check.score(exercise) == 0.0

    def test_an_interrupt_goes_through(self):
        def interrupted():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            earned("equal", interrupted, 1)

    def test_no_checks_no_points(self):
        @one()
        def exercise(checks):
            pass

        assert check.score(exercise) == 0.0

    def test_warnings_and_stderr_inside_are_silenced(self, capsys):
        def noisy():
            warnings.warn("careful", stacklevel=1)
            print("progress 50 %", file=sys.stderr)
            return 1

        assert earned("equal", noisy, 1) == 2
        assert capsys.readouterr().err == ""

    def test_the_line_of_the_answer_that_failed_is_told(self, capsys):
        names = {}
        exec(compile("def answer():\n    return 1 / 0\n", "<answer>", "exec"), names)
        earned("equal", names["answer"], 1)
        assert "in answer, line 2" in shown(capsys)


class TestRecords:
    @pytest.fixture
    def records(self, tmp_path, monkeypatch):
        path = tmp_path / "records.jsonl"
        monkeypatch.setenv(check.RECORDS, str(path))
        return lambda: [json.loads(line) for line in path.read_text().splitlines()]

    def test_observed_values_are_recorded_and_criteria_are_not(self, records):
        earned("close", torch.ones(2), torch.full((2,), 7.0))
        (line,) = records()
        assert check.decode(line["observed"]).tolist() == [1.0, 1.0]
        assert line["label"] == "label" and line["exercise"] == "answer"
        assert "criterion" not in line

    def test_a_reference_holds_the_criterion_and_judges_alike(
        self, records, monkeypatch
    ):
        monkeypatch.setenv(check.REFERENCE, "1")
        earned("close", 2.0, 1.5, atol=1e-3)
        earned("at_most", 2.0, 1.0)
        earned("raises", lambda: int("x"), ValueError)
        for line, passed in zip(records(), (False, False, True)):
            criterion = check.decode(line["criterion"])
            observed = check.decode(line["observed"])
            assert check.compare(line["kind"], observed, criterion).passed is passed

    def test_a_withheld_criterion_is_recorded_and_earns_nothing_here(self, records):
        @one()
        def exercise(checks):
            checks.close("a", lambda: torch.ones(1))
            checks.at_most("b", lambda: 3.0)
            checks.between("c", lambda: 3.0)
            checks.raises("d", lambda: int("x"))

        assert check.score(exercise) == 0.0
        assert [line["kind"] for line in records()] == [
            "close",
            "between",
            "between",
            "raises",
        ]

    def test_errors_and_stops_are_recorded(self, records):
        @one()
        def exercise(checks):
            checks.equal("a", lambda: 1 / 0, 1)
            raise ValueError

        first, last = records()
        assert "ZeroDivisionError" in first["error"] and last["kind"] == "stopped"

    def test_a_huge_value_is_not_written(self, records):
        earned("equal", "x" * 2 * check.MAX_RECORD_BYTES, 1)
        (line,) = records()
        assert "observed" not in line and line["too_large"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        0.1,
        float("inf"),
        "text",
        np.arange(6.0).reshape(2, 3),
        np.zeros((0, 4), dtype=np.float32),
        np.array(2.5),
        np.array([1 + 2j]),
        np.array([True, False]),
        [1, [2.0, "b"], {"k": np.ones(2, dtype=np.int32)}],
        {"array": 1, "dict": {"x": 2}},
    ],
)
def test_encode_and_decode_are_inverse(value):
    there_and_back = check.decode(json.loads(json.dumps(check.encode(value))))
    assert same(there_and_back, value)


@pytest.mark.parametrize(
    "forged",
    [
        {"array": "AAAA", "dtype": "|O", "shape": [1]},
        {"array": "not base64!", "dtype": "<f4", "shape": [1]},
        {"array": "AAAA", "dtype": "<f4", "shape": [1000]},
        {"array": "AAAA", "dtype": "i4," * 100_000 + "i4", "shape": [1]},
        {"array": "AAAA", "dtype": ["<f4"], "shape": [1]},
        {"something": 1},
    ],
)
def test_a_forged_record_is_refused(forged):
    with pytest.raises(ValueError, match=r"not a record|reshape|buffer"):
        check.decode(forged)


def test_plain_refuses_what_it_does_not_know():
    with pytest.raises(TypeError, match="object came"):
        check.plain(object())


def test_plain_sees_through_subclasses():
    class Liar(float):
        def __eq__(self, other):
            return True

        __hash__ = float.__hash__

    came = check.plain(Liar(3.0))
    assert type(came) is float and came != 4.0


# ------------------------------------------------------------- plain values, at random

numbers = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(),
)
arrays = hnp.arrays(
    st.sampled_from("? i1 i4 i8 u1 f2 f4 f8 c8 c16 >f8".split()).map(np.dtype),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
plain_values = st.recursive(
    numbers | arrays,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(plain_values)
def test_any_plain_value_goes_there_and_back(value):
    there_and_back = check.decode(json.loads(json.dumps(check.encode(value))))
    native = check.decode(check.encode(value))
    assert same(there_and_back, native) and type(there_and_back) is type(value)
    if not isinstance(value, np.ndarray) or value.dtype.isnative:
        assert same(there_and_back, value) or contains_foreign(value)


def contains_foreign(value) -> bool:
    """Arrays of the other byte order come back in this machine's order."""
    return any(
        isinstance(leaf, np.ndarray) and not leaf.dtype.isnative
        for leaf in leaves(value)
    )


@given(plain_values)
def test_plain_values_are_plain_already(value):
    once = check.plain(value)
    assert same(once, value)
    assert same(check.plain(once), once)


@given(plain_values)
def test_a_value_is_close_and_equal_to_itself_and_briefly_told(value):
    for kind in ("close", "equal"):
        criterion = {"expected": value, "rtol": None, "atol": None}
        assert check.compare(kind, check.plain(value), criterion).passed
    assert "\n" not in check.brief(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["array", "dtype", "shape", "dict", "x"]), inner
        )
    ),
    max_leaves=6,
)


@given(json_values)
def test_whatever_a_record_holds_is_decoded_or_refused(value):
    try:
        came = check.decode(value)
    except (ValueError, AttributeError, TypeError, OverflowError):
        return
    assert same(check.plain(came), came)


@given(plain_values, plain_values)
def test_any_two_values_are_compared(one, other):
    """It never raises, and what it says of a difference is short."""
    for kind in ("close", "equal"):
        criterion = {"expected": other, "rtol": None, "atol": None}
        verdict = check.compare(kind, one, criterion)
        assert verdict.passed or len(verdict.message) < 2000
    alike(fingerprint({"observed": one}), fingerprint({"observed": other}))
    json.dumps(fingerprint({"observed": one}), allow_nan=False)


class Deep(int):
    pass


class Deeper(Deep):
    pass


class Light(enum.IntEnum):
    RED = 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Light.RED, 3),
        (Deeper(4), 4),
        (type("Text", (type("Base", (str,), {}),), {})("a"), "a"),
        (np.float64(0.5), 0.5),
        (np.str_("a"), "a"),
        (torch.Size([2]), [2]),
        (torch.tensor(True), np.array(True)),
    ],
)
def test_plain_sees_through_any_subclass(value, expected):
    came = check.plain(value)
    assert type(came) is type(expected) and same(came, expected)


TWO = {"form": "number", "numbers": [2.0]}
NO_KEY = {"error": "KeyError", "text": "'x'"}
HUNG = {"error": "TimeLimit", "text": ""}
KNOWN = {
    "f": {
        "checks": ["a", "b", "c"],
        "mistakes": [
            {"title": "late", "came": [None, TWO, None]},
            {"title": "lost", "came": [None, TWO, NO_KEY]},
            {"title": "never", "came": [HUNG, HUNG, HUNG]},
        ],
    }
}


class TestNames:
    """A title is given where it explains everything, and only then."""

    def named(self, **seen) -> str:
        made = {
            label: None if came is None else fingerprint(came)
            for label, came in seen.items()
        }
        return name_of("f", made, KNOWN)

    def test_everything_has_to_agree(self):
        two, other = {"observed": 2.0000001}, {"observed": 2.1}
        error = {"error": ["KeyError", "Exception"], "text": "'x'"}
        assert self.named(a=None, b=two, c=None) == "late"
        assert self.named(a=None, b=two, c=error) == "lost"
        assert self.named(a=None, b=other, c=None) == ""
        assert self.named(a=other, b=two, c=None) == ""
        assert self.named(a=None, b=two, c=error | {"text": "'y'"}) == ""
        assert self.named(a=None, b=None, c=None) == ""

    def test_hidden_checks_do_not_count_and_all_visible_ones_do(self):
        two = {"observed": np.float32(2)}
        assert self.named(a=None, b=two, c=None, hidden=two) == "late"
        assert self.named(a=None, b=two) == ""
        assert name_of("unknown", {"a": None}, KNOWN) == ""

    def test_errors_alone_name_nothing(self):
        hung = {"error": ["TimeLimit"], "text": ""}
        assert self.named(a=hung, b=hung, c=hung) == ""

    def test_two_titles_for_one_behaviour_name_nothing(self):
        entry = KNOWN["f"]
        twin = entry["mistakes"][0] | {"title": "another"}
        both = {"f": entry | {"mistakes": [*entry["mistakes"], twin]}}
        seen = {"a": None, "b": fingerprint({"observed": 2.0}), "c": None}
        assert name_of("f", seen, both) == ""

    def test_the_student_reads_the_name_first(self, monkeypatch, capsys):
        monkeypatch.setattr("odenets.check.mistakes.catalogue", lambda: KNOWN)

        @check.exercise("f", points=3)
        def exercise(checks):
            checks.equal("a", lambda: 1, 1)
            checks.equal("b", lambda: 2, 1)
            checks.equal("c", lambda: 3, 3)

        lines = shown(capsys).splitlines()
        assert lines[:2] == ["f: 2 of 3 points", "  this looks like: late"]

    @pytest.mark.parametrize(
        "change",
        [
            lambda x: x.T,
            lambda x: x.flip(0),
            lambda x: x.double(),
            lambda x: x + 1e-3,
            lambda x: x[:, [1, 0, 2]],
            lambda x: -x,
            lambda x: torch.where(x > 1, torch.nan, x),
        ],
    )
    def test_fingerprints_tell_results_apart(self, change):
        x = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
        one, other = (fingerprint({"observed": check.plain(v)}) for v in (x, change(x)))
        assert alike(one, one) and not alike(one, other)
        rounded = fingerprint({"observed": check.plain(x * (1 + 1e-6))})
        assert alike(one, rounded)

    def test_what_only_rounding_leaves_is_the_same_on_all_processors(self):
        one, other, more = (fingerprint({"observed": v}) for v in (6e-15, -5e-15, 1e-5))
        assert alike(one, other) and not alike(one, more)


class TestMessages:
    """Both lines show the part that differs."""

    def said(self, capsys, observed, expected, kind="close") -> str:
        earned(kind, lambda: observed, expected)
        return shown(capsys)

    def test_a_large_array_is_cut_to_the_worst_entry(self, capsys):
        expected = torch.zeros(3, 50)
        observed = expected.clone()
        observed[2, 40] = 7.0
        said = self.said(capsys, observed, expected)
        assert "7" in said.split("came")[1].splitlines()[0]
        assert "at [2, 37:43] of shape (3, 50)" in said

    def test_differences_in_late_digits_are_shown(self, capsys):
        one = torch.tensor([1.0, 2.0], dtype=torch.float64)
        said = self.said(capsys, one + 1e-8, one)
        came, expected = (
            next(line for line in said.splitlines() if word in line).split()[1:]
            for word in ("came", "expected")
        )
        assert came != expected

    def test_of_nested_results_only_the_part_that_differs(self, capsys):
        said = self.said(
            capsys, [torch.ones(9), {"k": 2.0}], [torch.ones(9), {"k": 3.0}]
        )
        assert "came      2  at [1]['k']" in said and "1, 1, 1" not in said

    def test_of_results_of_another_form_the_forms(self, capsys):
        x = torch.ones(2, 3)
        said = self.said(capsys, [x, x, 1.0], [x, (x, 1.0)])
        assert "came      (float32 (2, 3), float32 (2, 3), a number)" in said
        assert "expected  (float32 (2, 3), (float32 (2, 3), a number))" in said

    def test_the_worst_entry_of_a_bound(self, capsys):
        values = torch.linspace(0, 1, 30)
        values[17] = -4.0
        earned("at_least", lambda: values, 0.0)
        assert "came      -4  at [17], the worst of 30" in shown(capsys)

    def test_a_bare_assertion_shows_its_line(self, capsys):
        names = {}
        source = "def answer():\n    assert 1 > 2\n"
        linecache.cache["<answer>"] = (0, None, source.splitlines(True), "<answer>")
        exec(compile(source, "<answer>", "exec"), names)
        earned("equal", lambda: names["answer"](), 1)
        assert "line 2: assert 1 > 2" in shown(capsys)


# ------------------------------------------------------------- guards around an answer


def ours(x):
    """Stands for the package's version of an exercise."""
    return 2 * x


class OurNet(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = torch.nn.Linear(width, 1)

    def forward(self, x):
        return self.layer(x)


def asked(answer, package=ours, further=0) -> check.Exercise:
    """Twice three and a refusal, asked of an answer."""

    @check.exercise("twice", 2, lambda: answer, package, further)
    def exercise(checks):
        checks.close("twice three", lambda: answer(3.0), 6.0)
        checks.raises("a string", lambda: answer("3"), TypeError)

    return exercise


def right(x):
    if isinstance(x, str):
        raise TypeError
    return x + x


class TestThePackageIsNoAnswerKey:
    def test_a_right_answer_of_ones_own_is_untouched(self, capsys):
        assert check.score(asked(right)) == 2
        assert "to compare: test_check.ours" in shown(capsys)
        assert ours(1) == 2

    @pytest.mark.parametrize(
        "answer",
        [
            ours,
            lambda x: ours(x),
            lambda x: sys.modules[__name__].ours(x),
            lambda x: right(x) if isinstance(x, str) else ours(x),
        ],
        ids=["alias", "call", "attribute", "for one input only"],
    )
    def test_who_hands_the_work_on_earns_nothing(self, answer, capsys):
        assert check.score(asked(answer)) == 0
        assert "this is the exercise: write it yourself" in shown(capsys)

    def test_nothing_is_earned_where_the_refusal_is_swallowed(self):
        def answer(x):
            try:
                return ours(x)
            except BaseException:
                return right(x)

        assert check.score(asked(answer)) == 0

    def test_a_class_a_subclass_and_a_decorated_function(self):
        class Same(OurNet):
            pass

        class Sly(OurNet):
            def __init__(self, width):
                torch.nn.Module.__init__(self)
                self.layer = torch.nn.Linear(width, 1)

        decorated = torch.no_grad()(ours)
        for answer in (OurNet, Same, Sly):

            @check.exercise("net", 1, lambda answer=answer: answer, OurNet)
            def exercise(checks, answer=answer):
                checks.equal("shape", lambda: answer(3)(torch.ones(2, 3)).shape, (2, 1))

            assert check.score(exercise) == 0
        assert check.score(asked(lambda x: decorated(x), decorated)) == 0
        assert OurNet(3)(torch.ones(2, 3)).shape == (2, 1)

    def test_a_function_with_a_closure(self):
        def make(factor):
            def inside(x):
                return factor * x

            return inside

        twice = make(2)
        assert check.score(asked(lambda x: twice(x), twice)) == 0
        assert twice(2) == 4

    def test_expected_values_may_come_from_it(self):
        @check.exercise("twice", 1, lambda: right, ours)
        def exercise(checks):
            checks.close("three", lambda: right(3.0), ours(3.0))

        assert check.score(exercise) == 1

    def test_only_functions_and_classes_can_be_out_of_order(self):
        with pytest.raises(TypeError, match="functions and classes"):
            check.exercise("sine", 1, package=np.sin)


def compute(seconds):
    """Compute for so many seconds of the processor, then return 7."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return 7


def polls():
    while True:
        time.sleep(0.01)


def other_programs_run(monkeypatch):
    """Let the clock run as if this process got a fifth of the processor."""
    monkeypatch.setattr(time, "monotonic", lambda: 5 * time.process_time())


class TestTime:
    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch):
        monkeypatch.setenv("ODENETS_CHECK_SECONDS", "0.3")

    def test_an_endless_loop_is_stopped_and_the_rest_goes_on(self, capsys):
        def swallows(x):
            while True:
                try:
                    torch.ones(3) @ torch.ones(3)
                except Exception:
                    pass

        @check.exercise("hangs", points=3)
        def exercise(checks):
            checks.equal("a", lambda: swallows(1), 1)
            checks.equal("b", lambda: 1, 1)

        assert check.score(exercise) == 1.5
        assert "it did not come back and was stopped" in shown(capsys)

    def test_one_that_waits_too(self):
        assert earned("equal", lambda: time.sleep(60), None) == 0

    def test_one_that_looks_again_and_again_whether_it_may_go_on(self):
        assert earned("equal", polls, None) == 0

    @pytest.mark.parametrize("threaded", [False, True])
    def test_a_busy_machine_does_no_harm(self, threaded, monkeypatch):
        other_programs_run(monkeypatch)
        came = []

        def work():
            came.append(earned("equal", lambda: compute(0.2), 7))

        if threaded:
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        else:
            work()
        assert came == [2.0]

    @pytest.mark.parametrize("hangs", [lambda: compute(60), polls])
    def test_in_another_thread(self, hangs):
        came = []
        work = threading.Thread(target=lambda: came.append(earned("equal", hangs, 1)))
        work.start()
        work.join(40)
        assert came == [0.0]

    def test_a_module_is_loaded_to_its_end(self, tmp_path, monkeypatch):
        lines = ["import time", "end = time.thread_time() + 0.8"]
        lines += ["while time.thread_time() < end: pass", "value = 7"]
        (tmp_path / "slow_to_load.py").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(tmp_path)

        def imports():
            import slow_to_load

            return slow_to_load.value

        assert earned("equal", imports, 7) == 2


class TestState:
    def test_what_a_student_has_set_does_not_reach_the_checks(self):
        torch.set_default_dtype(torch.float64)
        try:
            with torch.no_grad():
                x = earned(
                    "equal",
                    lambda: [torch.ones(1), torch.is_grad_enabled()],
                    [torch.ones(1, dtype=torch.float32), True],
                )
                assert not torch.is_grad_enabled()
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
        assert x == 2

    def test_what_an_answer_changes_is_put_back(self, tmp_path):
        import matplotlib.pyplot as plt

        def careless():
            torch.set_default_dtype(torch.float64)
            torch.set_grad_enabled(False)
            torch.set_num_threads(3)
            torch.use_deterministic_algorithms(True)
            torch.manual_seed(5), np.random.seed(5), random.seed(5)  # noqa: NPY002
            np.seterr(all="raise")
            warnings.simplefilter("error")
            plt.rcParams["lines.linewidth"] = 17.0
            os.chdir(tmp_path)
            os.environ["ODENETS_TEST"] = "yes"
            sys.path.insert(0, "nowhere")
            return 1

        def state():
            kept = [torch.get_default_dtype(), torch.is_grad_enabled(), os.getcwd()]
            kept += [torch.are_deterministic_algorithms_enabled(), np.geterr()]
            kept += [torch.get_num_threads(), dict(plt.rcParams), list(sys.path)]
            kept += [warnings.filters[:], dict(os.environ), torch.get_rng_state()[:9]]
            return str(kept), random.getstate(), str(np.random.get_state())  # noqa: NPY002

        before = state()
        assert earned("equal", careless, 1) == 2
        assert state() == before

    def test_the_folder_and_the_path_of_the_session_are_found_again(self, tmp_path):
        folder, path = os.getcwd(), list(sys.path)
        first_folder, first_path = odenets.START
        os.chdir(tmp_path)
        sys.path.clear()
        try:
            came = [
                earned("equal", lambda: os.getcwd(), first_folder),
                earned(
                    "equal", lambda: list(sys.path), list(dict.fromkeys(first_path))
                ),
            ]
            assert (os.getcwd(), sys.path) == (str(tmp_path), [])
        finally:
            os.chdir(folder)
            sys.path[:] = path
        assert came == [2, 2]

    def test_draws_are_the_same_each_time(self):
        drawn = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            earned("equal", lambda: drawn.append(torch.rand(3)), None)
        assert torch.equal(*drawn)


class TestTheCell:
    def test_nothing_stays_behind_but_the_result(self):
        cell = """
@check.exercise("a", points=1)
def exercise(checks):
    helper = 1
    checks.equal("one", lambda: helper, 1)
"""
        names = {"check": check}
        exec(cell, names)
        assert set(names) == {"check", "exercise", "__builtins__"}
        assert isinstance(names["exercise"], check.Exercise)

    def test_an_error_in_the_cell_stops_this_exercise_only(self, capsys):
        @check.exercise("a", points=1)
        def exercise(checks):
            checks.equal("one", lambda: 1, 1)
            raise RuntimeError("lost")

        assert check.score(exercise) == 0
        assert "RuntimeError: lost" in shown(capsys)

    def test_what_is_missing_or_not_written_is_told_once(self, capsys):
        def stub(x):
            raise NotImplementedError

        asked(stub)
        said = shown(capsys)
        assert said.count("not written yet") == 1

        @check.exercise("twice", 2, lambda: undefined)  # noqa: F821
        def exercise(checks):
            checks.raises("a name", lambda: undefined, NameError)  # noqa: F821

        assert "there is no answer" in shown(capsys)
        assert check.score(exercise) == 0

    def test_further_inputs_are_announced(self, capsys):
        asked(right, further=3)
        assert "3 further inputs are tried when a class is graded" in shown(capsys)


class TestYours:
    def test_the_students_version_goes_on_when_it_is_right(self, capsys):
        mine = check.yours(asked(right))
        assert mine(2.0) == 4.0 and mine.__name__ == "right"
        assert "your twice drives what follows" in shown(capsys)

    def test_the_packages_version_when_it_is_not(self, capsys):
        assert check.yours(asked(lambda x: x)) is ours
        assert "0 of 2 checks passed" in shown(capsys)
        assert check.yours(asked(ours)) is ours
        assert "write it yourself" in shown(capsys)

    def test_an_answer_of_several_functions(self, capsys):
        def theirs(x):
            return 3 * x

        def thrice(x):
            return x + x + x

        def asked_for(*mine):
            @check.exercise("both", 1, lambda: mine, (ours, theirs))
            def exercise(checks):
                checks.equal("both", lambda: [f(2.0) for f in mine], [4.0, 6.0])

            return check.yours(exercise, ours, theirs)

        assert [f.__name__ for f in asked_for(right, thrice)] == ["right", "thrice"]
        assert asked_for(thrice, right) == (ours, theirs)
        assert asked_for(right, theirs) == (ours, theirs)
        assert "write it yourself" in shown(capsys)

    def test_a_failure_later_is_told_once_and_ours_goes_on(self, capsys):
        def fragile(x):
            if isinstance(x, float) and x > 100:
                raise ValueError("too large")
            return right(x)

        mine = check.yours(asked(fragile))
        assert [mine(200.0), mine(300.0), mine(1.0)] == [400.0, 600.0, 2.0]
        assert shown(capsys).count("is left aside (ValueError: too large)") == 1

    def test_what_hangs_later_is_stopped(self, capsys, monkeypatch):
        monkeypatch.setenv("ODENETS_CHECK_SECONDS", "0.3")

        def lazy(x):
            while x == 100.0:
                pass
            return right(x)

        mine = check.yours(asked(lazy))
        assert mine(100.0) == 200.0
        assert "left aside (TimeLimit" in shown(capsys)

    def test_a_busy_machine_does_no_harm(self, capsys, monkeypatch):
        monkeypatch.setenv("ODENETS_CHECK_SECONDS", "0.3")
        other_programs_run(monkeypatch)

        def trains(x):
            compute(0.2 if x == 100.0 else 0)
            return right(x)

        mine = check.yours(asked(trains))
        assert mine(100.0) == 200.0
        assert "left aside" not in shown(capsys)

    def test_at_full_scale_a_call_takes_longer(self, capsys, monkeypatch):
        monkeypatch.setenv("ODENETS_CHECK_SECONDS", "0.1")
        monkeypatch.setenv("ODENETS_SCALE", "full")

        def trains(x):
            compute(0.3 if x == 100.0 else 0)
            return right(x)

        mine = check.yours(asked(trains))
        assert mine(100.0) == 200.0
        assert "left aside" not in shown(capsys)

    def test_what_is_much_slower_than_ours_is_left_aside(self, capsys, monkeypatch):
        monkeypatch.setattr("odenets.check.drive.TOGETHER", 0.3)

        def busy(x):
            compute(0.2 if x == 5.0 else 0)
            return right(x)

        mine = check.yours(asked(busy))
        assert [mine(5.0) for _ in range(4)] == [10.0] * 4
        assert shown(capsys).count("left aside (it has taken more than") == 1

    def test_the_comparison_changes_nothing(self, capsys, monkeypatch):
        monkeypatch.setattr("odenets.check.drive.TOGETHER", 0.0)

        def counts(given):
            given[0] += 1
            return given

        @check.exercise("counts", 1, lambda: counts, right)
        def exercise(checks):
            checks.equal("one more", lambda: counts([1]), [2])

        monkeypatch.setattr("odenets.check.drive.SLOWER", float("inf"))
        mine, given = check.yours(exercise), [0]
        assert [mine(given) is given for _ in range(3)] == [True] * 3
        assert given == [3]

    def test_a_function_that_returns_a_function(self, capsys):
        def make(factor):
            return lambda x: factor * x

        def mine(factor):
            return lambda x: [][1] if x > 9 else factor * x

        @check.exercise("make", 1, lambda: mine, make)
        def exercise(checks):
            checks.equal("six", lambda: mine(2)(3), 6)

        made = check.yours(exercise)(2)
        assert [made(3), made(10), made(3)] == [6, 20, 6]
        assert "left aside (IndexError" in shown(capsys)

    def test_a_module_hands_its_parameters_over(self, capsys):
        class Mine(torch.nn.Module):
            def __init__(self, width):
                super().__init__()
                self.layer = torch.nn.Linear(width, 1)

            def forward(self, x):
                if len(x) > 2:
                    raise RuntimeError("more than two")
                return self.layer(x)

        @check.exercise("net", 1, lambda: Mine, OurNet)
        def exercise(checks):
            checks.equal("shape", lambda: Mine(3)(torch.ones(2, 3)).shape, (2, 1))

        net = check.yours(exercise)(3)
        x = torch.ones(4, 3)
        expected = torch.nn.functional.linear(x, net.layer.weight, net.layer.bias)
        assert torch.equal(net(x), expected)
        net(x).sum().backward()
        assert net.layer.weight.grad is not None
        assert "RuntimeError: more than two" in shown(capsys)

    def test_a_copy_of_a_module_uses_its_own_parameters(self, capsys):
        class Mine(torch.nn.Module):
            def __init__(self, width):
                super().__init__()
                self.layer = torch.nn.Linear(width, 1)

            def forward(self, x):
                return self.layer(x)

        @check.exercise("net", 1, lambda: Mine, OurNet)
        def exercise(checks):
            checks.equal("shape", lambda: Mine(3)(torch.ones(2, 3)).shape, (2, 1))

        net = check.yours(exercise)(3)
        twin = copy.deepcopy(net).double()
        assert twin(torch.ones(2, 3).double()).dtype == torch.float64
        assert net(torch.ones(2, 3)).dtype == torch.float32

    def test_arguments_that_ours_refuses_too_leave_nobody_aside(self, capsys):
        def mine(x):
            if x > 100:
                raise ValueError("too large")
            return right(x)

        def strict(x):
            if x > 100:
                raise ValueError("larger than 100")
            return right(x)

        @check.exercise("twice", 2, lambda: mine, strict)
        def exercise(checks):
            checks.equal("twice three", lambda: mine(3.0), 6.0)

        twice = check.yours(exercise)
        with pytest.raises(ValueError, match="too large"):
            twice(200.0)
        assert twice(2.0) == 4.0
        assert "left aside" not in shown(capsys)

    def test_it_needs_a_version_of_ours(self):
        with pytest.raises(ValueError, match="package="):
            check.yours(asked(right, package=None))


class TestPredictions:
    def test_nothing_typed_prints_nothing(self, capsys):
        said = check.predict("How much?", among=["2", "10"], mine="")
        said.reveal("2", "because")
        assert shown(capsys) == ""

    def test_words_are_compared(self, capsys):
        check.predict("Which?", among=["left", "right"], mine=" Left ").reveal(
            "left", "A."
        )
        assert shown(capsys) == "as you said: A.\n"
        check.predict("Which?", among=["left", "right"], mine="right").reveal(
            "left", "A."
        )
        assert shown(capsys) == "you said 'right', the answer is 'left': A.\n"

    def test_numbers_count_within_a_factor(self, capsys):
        ask = lambda mine: check.predict("?", check.number(0, 99), mine, within=2.0)  # noqa: E731
        for mine, right in [("11", True), ("19", True), ("4", False), ("21", False)]:
            ask(mine).reveal(10, "so.")
            told = "as you said" if right else f"you said {mine}, the answer is 10"
            assert shown(capsys) == f"{told}: so.\n"
        ask("0").reveal(0.0, "so.")
        assert shown(capsys).startswith("as you said")

    def test_what_may_be_typed_is_told(self, capsys):
        said = check.predict("Which?", among=["left", "right"], mine="up")
        assert shown(capsys) == "Which? - type one of 'left', 'right', not 'up'\n"
        said.reveal("left", "A.")
        check.predict("?", check.number(0, 1), "nan").reveal(1, "A.")
        assert shown(capsys) == "? - type a number from 0 to 1, not 'nan'\n"
        check.predict("?", check.number(0, 20), "12").reveal(4, "A.")
        assert shown(capsys) == "you said 12, the answer is 4: A.\n"
