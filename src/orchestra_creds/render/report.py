"""A scan report in the format asked for. Each renderer is imported when it is used: JSON pays for no table.

A renderer has a function `render`, which returns the document. Where the document grows with the findings, it also has `pieces`, which
yields the same in parts.
"""

import importlib

from orchestra_creds.core.text import visible
from orchestra_creds.errors import ConfigError
from orchestra_creds.render.formats import FORMATS, ReportFormat
from orchestra_creds.render.style import PLAIN, Style
from orchestra_creds.scanner.finding import ScanReport

TYPE_CHECKING = False  # typing's own costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType


def render(report: ScanReport, format_: str, *, style: Style = PLAIN) -> str:
    """Return the whole document, ending with a line break, or "" when the format has nothing to say.

    `style` is what a styled format may assume of the place it is written to.

    Raises:
        ConfigError: there is no such format.
    """
    return "".join(pieces(report, format_, style=style))


def pieces(report: ScanReport, format_: str, *, style: Style = PLAIN) -> "Iterator[str]":
    """Return the same document in parts, so that a report of many findings is never in memory as a whole.

    Raises:
        ConfigError: there is no such format.
    """
    form = FORMATS.get(format_)
    if form is None:
        raise ConfigError(f"unknown format {format_!r}", hint=f"one of {', '.join(FORMATS)}")
    module, options = _load(form), (style,) if form.is_styled else ()
    in_parts: Callable[..., Iterator[str]] | None = getattr(module, "pieces", None)
    return in_parts(report, *options) if in_parts is not None else iter((load_renderer(form)(report, *options),))


def unnamed_skips(report: ScanReport, format_: str) -> str:
    """Return a line for each skipped item if the format cannot name them, to be printed beside the document."""
    if FORMATS[format_].names_skipped:
        return ""
    return "".join(f"incomplete: {visible(item.path)}: {visible(item.reason)}\n" for item in report.skipped)


def load_renderer(form: ReportFormat) -> "Callable[..., str]":
    """Import the renderer of a format and return its function."""
    renderer: Callable[..., str] = _load(form).render
    return renderer


def _load(form: ReportFormat) -> "ModuleType":
    return importlib.import_module(f"{__package__}.{form.renderer}")
