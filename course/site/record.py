"""A directive that shows a recorded table: `{record} tables.csv`.

    ```{record} tables.csv
    :columns: row = network, accuracy % = accuracy, seconds
    :where: recipe = best
    ```

A column is a name of the file and, after `=`, the words above it. ` %` shows a fraction
as percent, ` min` seconds as minutes. `where` keeps the rows of one value. The whole
file can be downloaded below the table.
"""

import csv
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective


class Record(SphinxDirective):
    """The table of a study, as the package holds it."""

    required_arguments = 1
    option_spec: ClassVar = {
        "columns": directives.unchanged_required,
        "where": directives.unchanged,
    }

    def run(self):
        """Return the table and the link to its file."""
        path = Path(self.env.srcdir) / "downloads" / self.arguments[0]
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for condition in filter(None, self.options.get("where", "").split(",")):
            column, value = (word.strip() for word in condition.split("="))
            rows = [row for row in rows if row[column] == value]
        if not rows:
            raise self.error(f"no row of {path.name} is like {self.options['where']!r}")
        columns = [_read(words) for words in self.options["columns"].split(",")]
        lines = [[title for _, _, title in columns]]
        for row in rows:
            lines.append([shown(row[name], unit) for name, unit, _ in columns])
        link = f":download:`{path.name} </downloads/{path.name}>`"
        parsed, _ = self.parse_inline(f"All columns: {link}.")
        return [table(lines), nodes.paragraph("", "", *parsed)]


def _read(words):
    """Return name, unit and title of `name unit = title`."""
    name, _, title = (word.strip() for word in words.partition("="))
    name, _, unit = name.partition(" ")
    return name, unit, title or name


def shown(value, unit):
    """Return a value of the file as the table shows it."""
    try:
        number = float(value)
    except ValueError:
        return value or "-"
    if unit == "%":
        return f"{100 * number:.2f} %"
    if unit == "min":
        return f"{number / 60:.1f} min"
    return f"{number:,.0f}" if number.is_integer() else f"{number:.4g}"


def table(lines):
    """Return a table whose first line is its head."""
    width = len(lines[0])
    group = nodes.tgroup(cols=width)
    group += [nodes.colspec(colwidth=1) for _ in range(width)]
    head, body = nodes.thead(), nodes.tbody()
    for k, line in enumerate(lines):
        row = nodes.row()
        for cell in line:
            row += nodes.entry("", nodes.paragraph(text=cell))
        (body if k else head).append(row)
    group += [head, body]
    box = nodes.table("", group)
    return nodes.container("", box, classes=["record"])


def setup(app):
    """Make the directive known."""
    app.add_directive("record", Record)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
