"""The runner of all studies: what is missing is done, kept, and read back."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from odenets.studies import study


@dataclass(frozen=True)
class Recipe:
    power: int = 2
    names: tuple[str, ...] = ("a", "b")


@dataclass(frozen=True)
class Job:
    base: int
    seed: int | None = None
    recipe: Recipe = Recipe()


def jobs(bases: Sequence[int] = (2, 3), seeds: Sequence[int] = (0, 1)) -> list[Job]:
    """List them.

    Args:
        bases: numbers to work on
    """
    return [Job(base, seed) for base in bases for seed in seeds]


def work(job: Job, out: Path, device: str | None) -> study.Row:
    """Note who did it, in which order."""
    with open(out / "log", "a") as file:
        file.write(f"{job.base} {job.seed} {os.getpid()}\n")
    if job.base == 13:
        raise OSError("unlucky")
    return {"value": job.base**job.recipe.power, "device": device, "long": [1, 2]}


STUDY = study.Study("powers", jobs, work)


def test_what_has_a_result_is_not_done_again(tmp_path):
    first = STUDY.run(jobs(bases=[2]), tmp_path, "cpu")
    assert [row["value"] for row in first] == [4, 4]
    assert {row["device"] for row in first} == {"cpu"}
    path = tmp_path / "powers.jsonl"
    before = path.read_text()
    rows = STUDY.run([*jobs(), Job(2, None), Job(3, 1)], tmp_path)
    assert rows[:2] == first
    assert [row["value"] for row in rows] == [4, 4, 9, 9, 4, 9]
    assert path.read_text().startswith(before)
    assert len(study.read_lines(path)) == 5
    # Another recipe is another job, and of two results the later one counts.
    cubed = Job(2, 0, Recipe(3))
    assert STUDY.run([cubed], tmp_path)[0]["value"] == 8
    study.append_line(path, study.settings(cubed) | {"value": -8})
    assert STUDY.run([cubed], tmp_path)[0]["value"] == -8
    assert len(STUDY.results(tmp_path)) == 7


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [row["value"] for row in STUDY.run(jobs())] == [4, 4, 9, 9]
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_fails_leaves_the_results_of_the_others(tmp_path):
    with pytest.raises(OSError, match="unlucky"):
        STUDY.run([Job(2), Job(13), Job(3)], tmp_path)
    assert [row["base"] for row in STUDY.results(tmp_path)] == [2]


def test_processes_share_the_jobs_and_keep_chains_together(tmp_path):
    chained = replace(STUDY, chain=lambda job: job.base)
    rows = chained.run(jobs(seeds=[5, 6, 7]), tmp_path, workers=2)
    assert [row["value"] for row in rows] == [4, 4, 4, 9, 9, 9]
    log = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    for base in ("2", "3"):
        mine = [(seed, process) for b, seed, process in log if b == base]
        assert [seed for seed, _ in mine] == ["5", "6", "7"]
        assert len({process for _, process in mine} - {str(os.getpid())}) == 1


def test_lines_survive_one_that_was_cut_off(tmp_path):
    path = tmp_path / "results.jsonl"
    assert study.read_lines(path) == []
    rows = [{"a": 1, "b": [0.5, 2.5]}, {"a": 2}, {"a": None}]
    for row in rows:
        study.append_line(path, row)
    assert study.read_lines(path) == rows
    path.write_text(path.read_text()[:-3])
    assert study.read_lines(path) == rows[:2]
    study.append_line(path, {"a": 4})
    assert study.read_lines(path) == [*rows[:2], {"a": 4}]


def test_a_table_gives_its_rows_back(tmp_path):
    rows = [
        {"name": "x, y", "n": 3, "share": 0.25, "good": True, "long": [1, 2]},
        {"name": "z", "n": -1, "error": 2e6, "none": None, "long": {"k": 1}},
    ]
    path = study.write_csv(rows, tmp_path / "table.csv")
    assert path.read_bytes().count(b"\n") == 3 and b"\r" not in path.read_bytes()
    assert study.read_csv(path) == [
        {"name": "x, y", "n": 3, "share": 0.25, "good": True},
        {"name": "z", "n": -1, "error": 2e6},
    ]
    study.write_csv(rows, path, ["n", "error"])
    assert path.read_text() == "n,error\n3,\n-1,2000000.0\n"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_the_record_says_what_is_missing(tmp_path):
    path = tmp_path / "record.csv"
    with pytest.raises(ValueError, match="4 of 4 results are missing"):
        STUDY.record(jobs(), tmp_path, path, partial=True)
    STUDY.run([*jobs()[:3], Job(7)], tmp_path)
    with pytest.raises(ValueError, match=r"1 of 4 .* Job\(base=3, seed=1"):
        STUDY.record(jobs(), tmp_path, path)
    assert not path.exists()
    STUDY.record(jobs(), tmp_path, path, partial=True)
    assert [row["base"] for row in STUDY.recorded(path)] == [2, 2, 3]
    STUDY.run(jobs(), tmp_path)
    STUDY.record(jobs(), tmp_path, path)  # in the order of the jobs, and only theirs
    assert [(r["base"], r["seed"]) for r in STUDY.recorded(path)] == [
        *((2, 0), (2, 1), (3, 0), (3, 1))
    ]


def test_the_command_line(tmp_path, capsys, monkeypatch):
    STUDY.main(["--bases", "3", "--seeds", "4", "5", "--out", str(tmp_path)])
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "base 3, power 2, value 9"
    assert [line.split() for line in shown[1:]] == [["seed"], ["4"], ["5"]]
    STUDY.main(["--out", str(tmp_path), "table"])
    assert capsys.readouterr().out.splitlines() == shown
    STUDY.main(["table", "--out", str(tmp_path / "nowhere")])
    assert "no results" in capsys.readouterr().out
    monkeypatch.setattr(study.Study, "kept", tmp_path / "kept.csv")
    record = ["record", "--out", str(tmp_path), "--bases", "3", "--seeds"]
    STUDY.main([*record, "4", "5"])
    assert len(STUDY.recorded()) == 2
    with pytest.raises(SystemExit):
        STUDY.main([*record, "4", "6"])
    assert "1 of 2 results are missing" in capsys.readouterr().err
    STUDY.main(["record", "--out", str(tmp_path), "--seed", "4", "6", "--partial"])
    assert [row["seed"] for row in STUDY.recorded()] == [4]
    with pytest.raises(SystemExit):
        STUDY.main(["--help"])
    said = capsys.readouterr().out
    assert "--bases" in said and "numbers to work on" in said and "--workers" in said


def test_flags_are_the_parameters_of_a_function():
    def function(
        names: Sequence[str] = ("x", "y"),
        /,
        n_test: int | None = None,
        rate: float = 0.5,
        kinds: Sequence[str] = ("a", "b"),
        steps: tuple[int, ...] = (),
        scheme: str = "euler",
        fast: bool = False,
        slow: bool = True,
        out: Path = Path("here"),
    ) -> None:
        """Do it.

        n_test: how many
        """

    parser = argparse.ArgumentParser()
    words = study.add_flags(parser, function, {"scheme": ["euler", "rk4"]})
    assert words == ("x", "y")
    asked = "--n-test 3 --rate 2 --kinds b --steps 1 2 --scheme rk4 --fast --no-slow"
    given = vars(parser.parse_args([*asked.split(), "--out", "there"]))
    assert given == {
        **{"n_test": 3, "rate": 2.0, "kinds": ["b"], "steps": [1, 2], "scheme": "rk4"},
        **{"fast": True, "slow": False, "out": Path("there")},
    }
    plain = vars(parser.parse_args([]))
    assert plain["n_test"] is None and plain["slow"] and plain["kinds"] == ("a", "b")
    for wrong in (["--kinds", "c"], ["--scheme", "heun"], ["--n-test", "many"]):
        with pytest.raises(SystemExit):
            parser.parse_args(wrong)


def test_fields_of_settings_are_flags_of_which_only_the_said_ones_count():
    @dataclass(frozen=True)
    class Settings:
        width: int = 4
        coupled: bool = False
        minutes: float | None = None
        seed: int = 0

    def jobs(seeds: Sequence[int] = (0,), **changes: float) -> list:
        asked.append(changes)
        return []

    asked: list[dict] = []
    changed = study.Study("changed", jobs, lambda *_: {}, changes=Settings)
    changed.main(["table"])
    changed.main(["table", "--width", "4", "--no-coupled", "--seeds", "1"])
    changed.main(["table", "--minutes", "2"])
    assert asked == [{}, {"width": 4, "coupled": False}, {"minutes": 2.0}]


def test_draws_go_on_from_their_generator():
    def draw(generator):
        return study.torch.rand(2, generator=generator)

    stream = study.Draws(draw, 3, 0)
    first = list(stream)
    assert len(first) == len(stream) == 3
    state = stream.generator.get_state()
    second = list(stream)
    stream.generator.set_state(state)
    assert all(study.torch.equal(a, b) for a, b in zip(stream, second, strict=True))
    assert not study.torch.equal(first[0], second[0])


def test_a_study_finds_its_checkpoints_started_or_imported(tmp_path):
    """The module of a job is `__main__` where its file was started."""
    line = "from odenets.studies import study; print(study.checkpoint(Job(1), OUT))"
    source = (
        "from dataclasses import dataclass\nfrom pathlib import Path\n\n"
        "OUT = Path()\n\n"
        "@dataclass(frozen=True)\nclass Job:\n    seed: int\n\n" + line
    )
    (tmp_path / "coins.py").write_text(source)
    run = dict(cwd=tmp_path, capture_output=True, text=True, check=True)
    started = subprocess.run([sys.executable, "-m", "coins"], **run).stdout
    imported = subprocess.run([sys.executable, "-c", "import coins"], **run).stdout
    assert started == imported and "coins-1" in started
