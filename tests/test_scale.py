"""The one knob: which of environment and call wins."""

import pytest
import torch

from odenets import scale


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.delenv("ODENETS_SCALE", raising=False)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    monkeypatch.setattr(scale, "_chosen", "lesson")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_lesson_is_the_default():
    assert scale.current() == "lesson"


def test_the_call_chooses():
    assert scale.use("quick") == "quick"
    assert scale.pick(quick=1, lesson=2, full=3) == 1


def test_the_environment_wins_over_the_call(monkeypatch):
    monkeypatch.setenv("ODENETS_SCALE", "full")
    assert scale.use("quick") == "full"
    assert scale.pick(quick=1, lesson=2, full=3) == 3


def test_grading_is_quick_whatever_else_is_said(monkeypatch):
    monkeypatch.setenv("ODENETS_SCALE", "full")
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert scale.use("lesson") == "quick"


@pytest.mark.parametrize("name", ["big", "", "Lesson"])
def test_an_unknown_scale_is_refused(name, monkeypatch):
    with pytest.raises(ValueError, match="quick, lesson, full"):
        scale.use(name)
    monkeypatch.setenv("ODENETS_SCALE", name or "none")
    with pytest.raises(ValueError, match="ODENETS_SCALE"):
        scale.current()


@pytest.mark.parametrize("name", scale.SCALES)
def test_the_number_of_threads_does_not_depend_on_the_machine(name):
    torch.set_num_threads(3)
    scale.use(name)
    assert torch.get_num_threads() == 1
    scale.use("quick", threads=2)
    assert torch.get_num_threads() == 2
