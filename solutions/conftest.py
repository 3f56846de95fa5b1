"""nbval executes these notebooks again, under the conditions of `autograder sync`."""

import os

os.environ["ODENETS_PROGRESS"] = "off"
os.environ.pop("ODENETS_SCALE", None)
os.environ.pop("NBGRADER_EXECUTION", None)
