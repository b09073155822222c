"""Names and spots in the words that all human-readable formats share."""

from orchestra_creds.core.text import visible
from orchestra_creds.render.numbers import count, nothing_scanned, scan_extent
from orchestra_creds.scanner.finding import Finding, FindingPlace, ScanReport
from orchestra_creds.scanner.source import SOURCES


def place_text(place: FindingPlace) -> str:
    """`path:line:column`, on one line whatever the path holds."""
    return f"{visible(place.path)}:{place.line}:{place.column}"


def origin(place: FindingPlace) -> str:
    """Which commit a place is from, and whether it still stands; "" for a place outside a history."""
    if not place.commit:
        return ""
    by = f" by {visible(place.author)}" if place.author else ""
    when = f" on {place.date[:10]}" if place.date else ""
    return f"commit {place.commit[:12]}{when}{by}, {'in HEAD' if place.in_head else 'not in HEAD'}"


def things(report: ScanReport) -> str:
    """What the scan counted: files of a tree, objects of a history and how many of them it knew already."""
    stats = report.stats
    known = f", {stats.cached:,} of them known from an earlier scan" if stats.cached else ""
    return count(stats.blobs + stats.cached, SOURCES[report.source].unit) + known


def by_credential(findings: tuple[Finding, ...]) -> list[list[Finding]]:
    """The findings of each credential together, in the order in which credentials first appear."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.credential, []).append(finding)
    return list(groups.values())


def summary(report: ScanReport) -> str:
    """One sentence on the result, never "no credentials" without saying when something was not looked at."""
    if not (report.findings or report.skipped or report.stats.blobs or report.stats.cached):
        return nothing_scanned(SOURCES[report.source].unit)
    seen = scan_extent(things(report), report.stats.bytes, report.stats.seconds)
    if report.findings:
        credentials = len({finding.credential for finding in report.findings})
        places = sum(len(finding.places) for finding in report.findings)
        result = f"{count(credentials, 'credential')} in {count(places, 'place')}"
    else:
        result = "no credentials found"
    hidden = [
        f"{number:,} {word}"
        for number, word in (
            (report.accepted, "accepted by the baseline"),
            (report.allowed, "allowed inline"),
            (report.gitleaks, "hidden by gitleaks files"),
        )
        if number
    ]
    open_ = "" if report.complete else f"; INCOMPLETE: {count(len(report.skipped), 'item')} not looked at"
    return f"{result}{', ' + ', '.join(hidden) if hidden else ''} ({seen}){open_}"
