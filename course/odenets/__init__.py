"""Helpers of the course on continuous-depth and invertible networks.

Every module is made to be read: open the one that a notebook imports and you meet the
same formulas again, with the same names.
"""

__version__ = "0.1.0"
