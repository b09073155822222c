"""A verb's answer as text: a table, or one JSON object.

On a terminal the table is fitted to its width, long cells folded, nothing cut off. Anywhere else its columns are as wide as
their widest cell and it is plain, so that grep and awk can read it. Names from outside are escaped in both.
"""

import io
import json
from collections.abc import Sequence

from orchestra_creds.core.result import Result
from orchestra_creds.core.text import visible
from orchestra_creds.render.style import PLAIN, Style


def as_json(result: Result) -> str:
    """One object with its schema first."""
    return json.dumps({"schema": result.schema, **result.body}, indent=2) + "\n"


def as_table(result: Result, style: Style = PLAIN) -> str:
    """Columns, then the sentences."""
    rows = [tuple(visible(cell) for cell in row) for row in result.rows]
    if not rows:
        table = ""
    elif style.terminal:
        table = _terminal_table(result.columns, rows, style)
    else:
        table = _plain_table([result.columns, *rows])
    return table + "".join(visible(line) + "\n" for line in result.lines)


def _plain_table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(line + "\n" for line in lines)


def _terminal_table(columns: Sequence[str], rows: Sequence[tuple[str, ...]], style: Style) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: what stands in brackets is no markup
    console = Console(file=io.StringIO(), force_terminal=style.color, no_color=not style.color, width=style.width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()
