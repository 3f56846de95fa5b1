"""A class of examples that proves the way from solution to feedback."""
