"""A scan report in the format asked for. Each renderer is imported when it is used: JSON pays for no table."""

from orchestra_creds.errors import ConfigError
from orchestra_creds.render.style import PLAIN, Style
from orchestra_creds.scanner.finding import ScanReport

FORMATS = ("table", "json", "sarif", "gitleaks", "html", "github")


def render(report: ScanReport, format_: str, *, style: Style = PLAIN) -> str:
    """The whole document, ending with a line break, or "" when the format has nothing to say.

    `style` is what the table may assume of the place it is written to; no other format looks at it.

    Raises:
        ConfigError: there is no such format.
    """
    match format_:
        case "table":
            from orchestra_creds.render import terminal

            return terminal.render(report, style)
        case "json":
            from orchestra_creds.render import scan_json

            return scan_json.render(report)
        case "sarif":
            from orchestra_creds.render import sarif

            return sarif.render(report)
        case "gitleaks":
            from orchestra_creds.render import gitleaks_report

            return gitleaks_report.render(report)
        case "html":
            from orchestra_creds.render import html

            return html.render(report)
        case "github":
            from orchestra_creds.render import github

            return github.render(report)
    raise ConfigError(f"unknown format {format_!r}", hint=f"one of {', '.join(FORMATS)}")
