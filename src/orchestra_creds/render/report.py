"""A scan report in the format asked for. Each renderer is imported when it is used: JSON pays for no table."""

import importlib
from collections.abc import Callable

from orchestra_creds.core.text import visible
from orchestra_creds.errors import ConfigError
from orchestra_creds.render.formats import FORMATS, ReportFormat
from orchestra_creds.render.style import PLAIN, Style
from orchestra_creds.scanner.finding import ScanReport


def render(report: ScanReport, format_: str, *, style: Style = PLAIN) -> str:
    """Return the whole document, ending with a line break, or "" when the format has nothing to say.

    `style` is what a styled format may assume of the place it is written to.

    Raises:
        ConfigError: there is no such format.
    """
    form = FORMATS.get(format_)
    if form is None:
        raise ConfigError(f"unknown format {format_!r}", hint=f"one of {', '.join(FORMATS)}")
    render_report = load_renderer(form)
    return render_report(report, style) if form.is_styled else render_report(report)


def unnamed_skips(report: ScanReport, format_: str) -> str:
    """Return a line for each skipped item if the format cannot name them, to be printed beside the document."""
    if FORMATS[format_].names_skipped:
        return ""
    return "".join(f"incomplete: {visible(item.path)}: {visible(item.reason)}\n" for item in report.skipped)


def load_renderer(form: ReportFormat) -> Callable[..., str]:
    """Import the renderer of a format and return its function."""
    renderer: Callable[..., str] = importlib.import_module(f"{__package__}.{form.renderer}").render
    return renderer
