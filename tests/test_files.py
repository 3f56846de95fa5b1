"""Files of the studies: lines of JSON that survive a crash, and tables."""

from odenets.studies import files


def test_lines_are_appended_and_one_that_was_cut_off_is_left_out(tmp_path):
    path = tmp_path / "folder" / "results.jsonl"
    assert files.read(path) == []
    rows = [{"a": 1, "b": [0.5, 2.5]}, {"a": 2}, {"a": None}]
    for row in rows:
        files.append(path, row)
    assert files.read(path) == rows
    path.write_text(path.read_text()[:-3])
    assert files.read(path) == rows[:2]
    files.append(path, {"a": 4})
    assert files.read(path) == [*rows[:2], {"a": 4}]


def test_a_table_gives_its_rows_back(tmp_path):
    rows = [
        {"name": "x, y", "n": 3, "share": 0.25, "good": True, "long": [1, 2]},
        {"name": "z", "n": -1, "error": 2e6, "none": None, "nested": {"k": 1}},
    ]
    path = files.write_csv(rows, tmp_path / "table.csv")
    assert path.read_bytes().count(b"\n") == 3 and b"\r" not in path.read_bytes()
    assert files.read_csv(path) == [
        {"name": "x, y", "n": 3, "share": 0.25, "good": True},
        {"name": "z", "n": -1, "error": 2e6},
    ]
