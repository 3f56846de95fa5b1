"""The instructor's side: release, grade, report. See `python -m autograder --help`."""
