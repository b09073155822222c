"""The report as one offline page: no script, no request to anywhere, readable in the dark and by a screen reader.

The page forbids itself everything but its own style sheet (CSP `default-src 'none'`). Findings stand together by
credential; for a history, a bar shows from when a credential was known until when.
"""

from dataclasses import dataclass
from datetime import date

from orchestra_creds import __version__
from orchestra_creds.core.text import visible
from orchestra_creds.render.numbers import seconds, size
from orchestra_creds.render.page import fill_template
from orchestra_creds.render.scan_text import by_credential, origin, place_text, summary, things
from orchestra_creds.scanner.finding import Finding, ScanReport
from orchestra_creds.scanner.rule import Severity

MOST_PLACES = 50
"""Places of one credential that the page lists; it says how many more there are."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """When a credential was known, in percent of the time between the first and the last date of the report."""

    start: float
    width: float
    text: str


def render(report: ScanReport) -> str:
    """The whole page."""
    groups = by_credential(report.findings)
    return fill_template(
        "scan.html",
        filters={"visible": visible, "place_text": place_text, "origin": origin},
        version=__version__,
        report=report,
        groups=[(group, exposure) for group, exposure in zip(groups, _exposures(groups), strict=True)],
        counters=[
            (severity.name.lower(), _credentials(groups, severity)) for severity in sorted(Severity, reverse=True)
        ],
        summary=summary(report),
        looked_at=[things(report), size(report.stats.bytes), seconds(report.stats.seconds)],
        most_places=MOST_PLACES,
    )


def _credentials(groups: list[list[Finding]], severity: Severity) -> int:
    return sum(1 for group in groups if group[0].severity is severity)


def _exposures(groups: list[list[Finding]]) -> list[Exposure | None]:
    """For each credential the bar from its introduction to its last commit, or to the end when it is still in HEAD."""
    spans = [_span(group) for group in groups]
    days = [day for span in spans if span for day in span]
    if not days or min(days) == max(days):
        return [None] * len(groups)
    begin, whole = min(days), (max(days) - min(days)).days

    def bar(group: list[Finding], span: tuple[date, date] | None) -> Exposure | None:
        if span is None:
            return None
        first, last = span
        live = any(finding.in_head for finding in group)
        end = max(days) if live else last
        until = "still in HEAD" if live else f"last seen {last.isoformat()}, still in the history"
        start = 100 * (first - begin).days / whole
        width = max(100 * (end - first).days / whole, 1.0)
        return Exposure(
            round(min(start, 99.0), 2),
            round(min(width, 100 - min(start, 99.0)), 2),
            f"introduced {first.isoformat()}, {until}",
        )

    return [bar(group, span) for group, span in zip(groups, spans, strict=True)]


def _span(group: list[Finding]) -> tuple[date, date] | None:
    days = [date.fromisoformat(place.date[:10]) for finding in group for place in finding.places if place.date]
    return (min(days), max(days)) if days else None
