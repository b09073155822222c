"""A verb's answer as text: a plain table that is never cut to a width, or one JSON object."""

import json

from orchestra_creds.core.result import Result
from orchestra_creds.core.text import visible


def as_json(result: Result) -> str:
    """One object with its schema first."""
    return json.dumps({"schema": result.schema, **result.body}, indent=2) + "\n"


def as_table(result: Result) -> str:
    """Columns as wide as their widest cell, then the sentences; names from outside are escaped."""
    lines = []
    if result.rows:
        rows = [result.columns, *(tuple(visible(cell) for cell in row) for row in result.rows)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(result.columns))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "".join(line + "\n" for line in [*lines, *(visible(line) for line in result.lines)])
