"""The checks: what passes, what fails, what the student is told, what is recorded."""

import json
import sys
import warnings

import numpy as np
import pytest
import torch

from odenets import check


def shown(capsys) -> str:
    return capsys.readouterr().out


def one(points: float = 2.0) -> check.Exercise:
    return check.exercise("answer", points=points)


def earned(kind: str, *arguments, **options) -> float:
    with one() as exercise:
        getattr(exercise, kind)("label", *arguments, **options)
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

    def test_the_misconception_is_named(self, capsys):
        earned("close", 2.0, 1.5, mistakes={"the step is missing": 2.0, "other": 9.0})
        said = shown(capsys)
        assert "came      2" in said and "expected  1.5" in said
        assert "this is what comes out when the step is missing" in said
        assert "other" not in said


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
        assert "first difference at [2]: 1 instead of 2" in shown(capsys)
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

    def test_the_bound_and_the_hint_are_told(self, capsys):
        earned("at_most", 3.0, 1.0, hint="too coarse")
        said = shown(capsys)
        assert "at most 1" in said and "usual mistake: too coarse" in said

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
        with one(points=3) as exercise:
            exercise.equal("a", 1, 1)
            exercise.equal("b", 1, 2)
            exercise.equal("c", lambda: 1 / 0, 2)
        assert check.score(exercise) == 1.0
        assert type(check.score(exercise)) is float

    def test_an_error_in_one_check_does_not_stop_the_next(self, capsys):
        with one() as exercise:
            exercise.equal("a", lambda: [][1], 1)
            exercise.equal("b", lambda: 1, 1)
        assert check.score(exercise) == 1.0
        assert "your answer raised IndexError" in shown(capsys)

    @pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)])
    def test_nothing_is_earned_where_the_checks_stopped(self, error):
        with one() as exercise:
            exercise.equal("a", 1, 1)
            raise error
        assert check.score(exercise) == 0.0

    def test_an_interrupt_goes_through(self):
        with pytest.raises(KeyboardInterrupt), one() as exercise:
            exercise.equal("a", lambda: (_ for _ in ()).throw(KeyboardInterrupt), 1)

    def test_no_checks_no_points(self):
        with one() as exercise:
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
        earned("close", torch.ones(2), torch.full((2,), 7.0), mistakes={"m": 9.0})
        (line,) = records()
        assert check.decode(line["observed"]).tolist() == [1.0, 1.0]
        assert line["label"] == "label" and line["exercise"] == "answer"
        assert "criterion" not in line

    def test_a_reference_holds_the_criterion_and_judges_alike(
        self, records, monkeypatch
    ):
        monkeypatch.setenv(check.REFERENCE, "1")
        earned("close", 2.0, 1.5, mistakes={"the step is missing": 2.0}, atol=1e-3)
        earned("at_most", 2.0, 1.0)
        earned("raises", lambda: int("x"), ValueError)
        for line, passed in zip(records(), (False, False, True)):
            criterion = check.decode(line["criterion"])
            observed = check.decode(line["observed"])
            assert check.compare(line["kind"], observed, criterion).passed is passed

    def test_a_withheld_criterion_is_recorded_and_earns_nothing_here(self, records):
        with one() as exercise:
            exercise.close("a", lambda: torch.ones(1))
            exercise.at_most("b", lambda: 3.0)
            exercise.between("c", lambda: 3.0)
            exercise.raises("d", lambda: int("x"))
        assert check.score(exercise) == 0.0
        assert [line["kind"] for line in records()] == [
            "close",
            "between",
            "between",
            "raises",
        ]

    def test_errors_and_stops_are_recorded(self, records):
        with one() as exercise:
            exercise.equal("a", lambda: 1 / 0, 1)
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
    assert check._same_plain(there_and_back, value)


@pytest.mark.parametrize(
    "forged",
    [
        {"array": "AAAA", "dtype": "|O", "shape": [1]},
        {"array": "not base64!", "dtype": "<f4", "shape": [1]},
        {"array": "AAAA", "dtype": "<f4", "shape": [1000]},
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
