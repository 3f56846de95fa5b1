"""Helpers of the course on continuous-depth and invertible networks.

Every module is made to be read: open the one that a notebook imports and you meet the
same formulas again, with the same names.
"""

import os
import sys

__version__ = "0.1.0"

START = os.getcwd(), tuple(sys.path)
"""The folder and the path of the session, as they were at first: checks run in them."""
