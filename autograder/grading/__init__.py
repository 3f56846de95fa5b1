"""The trusted step: put a submission in order, have it executed, judge, record."""
