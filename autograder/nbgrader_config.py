"""nbgrader's configuration: its own commands work from this folder as they stand.

cd autograder
nbgrader validate ../solutions/01_resnets_as_euler/01_resnets_as_euler.ipynb
nbgrader generate_assignment 01_resnets_as_euler --force
nbgrader autograde 01_resnets_as_euler
nbgrader generate_feedback 01_resnets_as_euler
nbgrader export
"""

from pathlib import Path

from autograder.authors import steps
from autograder.course import find_course, tools_on_path

c = get_config()  # type: ignore[name-defined]  # noqa: F821 - nbgrader hands it in
tools_on_path()  # a new gradebook asks `alembic`, where no environment is activated

# The folders: authors and students have their own doors, all else stays in here.
c.CourseDirectory.course_id = "odenets"
c.CourseDirectory.source_directory = "../solutions"
c.CourseDirectory.release_directory = "../course"

# nbgrader copies every other file of a folder; the text twin holds the solutions, and
# a file named odenets.py next to a submission would shadow the package.
c.CourseDirectory.ignore = [
    ".ipynb_checkpoints",
    "__pycache__",
    "feedback",
    "*.py",
    "*.pyc",
    "*.tmp",
    "*.so",
    ".*",
]

# A release holds the badge and the address that students install from, and has a text
# twin: `nbgrader generate_assignment` makes what `python -m autograder release` makes.
c.Stamp.repository = find_course(Path(__file__).parent).repository
c.GenerateAssignment.preprocessors = steps.GENERATE
c.GenerateAssignment.post_convert_hook = "autograder.authors.release.write_twins"

# Whoever gets feedback reads neither hidden tests, nor what may quote them, nor mark
# schemes; whoever grades in formgrader reads the schemes.
c.GenerateFeedback.preprocessors = steps.FEEDBACK
c.HTMLExporter.preprocessors = ["autograder.authors.steps.ShowMarkScheme"]
c.ShowMarkScheme.solutions = str(find_course(Path(__file__).parent).solutions)

# What a student sees where an answer is missing.
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\nraise NotImplementedError()"}
c.ClearSolutions.text_stub = "YOUR ANSWER HERE"

# `nbgrader autograde` asks the gradebook what to grade: let it know, where it does not.
c.Autograde.pre_convert_hook = "autograder.classroom.gradebook.before_autograde"

# A test cell that a student deleted comes back, and scores what it finds.
c.OverwriteCells.add_missing_cells = True

# Long enough for a slow laptop, short enough for a class.
c.Execute.timeout = 60
c.Execute.startup_timeout = 120
c.Execute.interrupt_on_timeout = True
c.ExecutePreprocessor.timeout = 60

# What students write is shown in the browser of whoever grades: it must run nothing.
c.HTMLExporter.sanitize_html = True
c.HTMLExporter.filters = {"markdown2html": "autograder.classroom.feedback.markdown"}

# A page of output is feedback, a thousand lines are not.
c.LimitOutput.max_lines = 200
c.LimitOutput.max_traceback = 40
