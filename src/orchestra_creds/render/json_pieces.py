"""JSON documents that are written piece by piece: a report of many findings is never in memory as a whole.

Imports next to nothing: a hook that finds nothing pays for no report.
"""

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any


def array_pieces(items: "Iterable[Any]", *, indent: int, level: int = 0, ascii_only: bool = True) -> "Iterator[str]":
    """Yield an array as `json.dumps` writes it at this level of nesting, one item at a time."""
    inner, outer = "\n" + " " * indent * (level + 1), "\n" + " " * indent * level
    before = "["
    for item in items:
        yield before + inner + json.dumps(item, indent=indent, ensure_ascii=ascii_only).replace("\n", inner)
        before = ","
    yield "[]" if before == "[" else outer + "]"


def object_pieces(
    body: "Mapping[str, Any]", key: str, items: "Iterable[Any]", *, indent: int, ascii_only: bool = True
) -> "Iterator[str]":
    """Yield an object as `json.dumps` writes it, with `items` as the array under `key`, which is empty in `body`."""
    mark = f"\n{' ' * indent}{json.dumps(key)}: "
    head, _, rest = json.dumps(body, indent=indent, ensure_ascii=ascii_only).partition(mark + "[]")
    yield head + mark  # a line break is never inside of a text
    yield from array_pieces(items, indent=indent, level=1, ascii_only=ascii_only)
    yield rest
