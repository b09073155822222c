"""Markdown tables, and the marked parts of a page that a benchmark writes.

A part stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`; all else on the page is written by hand.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path


def table(rows: Iterable[Sequence[object]]) -> str:
    """A table whose first row is its head; all columns but the first are aligned to the right."""
    head, *body = rows
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def replace(path: Path, name: str, text: str) -> None:
    """Puts `text` between the marks of `name`.

    Raises:
        SystemExit: the page has no such marks.
    """
    page = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{path} has no marks for {name}")
    path.write_text(f"{before}{begin}\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
