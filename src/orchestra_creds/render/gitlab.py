"""GitLab's secret detection report, version 15.0.4 of its schema: findings in the security tab and in merge requests.

https://gitlab.com/gitlab-org/security-products/security-report-schemas says what the fields mean. A report of an incomplete scan has the
status `failure` and a message for each item that was not looked at. No value stands in it: `raw_source_code_extract` is left out.
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from orchestra_creds import __version__
from orchestra_creds.core.text import visible
from orchestra_creds.render.json_pieces import object_pieces
from orchestra_creds.render.scan_text import summary
from orchestra_creds.scanner.finding import Finding, FindingPlace, ScanReport, ScanStats
from orchestra_creds.scanner.rule import Confidence, Severity

SCHEMA = "15.0.4"
LEVELS = {Severity.CRITICAL: "Critical", Severity.HIGH: "High", Severity.MEDIUM: "Medium", Severity.LOW: "Low"}
_NAMESPACE = uuid.UUID("8f0b0b5e-6f57-5a5c-9a55-4d4c1f5f2f30")
_SCANNER = {"id": "orchestra-creds", "name": "orchestra-creds"}
_NO_COMMIT = "0" * 40
_TIME = "%Y-%m-%dT%H:%M:%S"


def render(report: ScanReport) -> str:
    """The report as JSON, with a line break at its end."""
    return "".join(pieces(report))


def pieces(report: ScanReport) -> Iterator[str]:
    """Yield the same, a spot at a time."""
    begin, end = _scan_times(report.stats)
    tool = {**_SCANNER, "version": __version__, "vendor": {"name": "orchestra-creds"}}
    messages = [{"level": "warn", "value": f"{visible(item.path)}: {visible(item.reason)}"} for item in report.skipped]
    messages += [{"level": "info", "value": visible(note)} for note in (*report.notes, summary(report))]
    document = {
        "version": SCHEMA,
        "scan": {
            "type": "secret_detection",
            "status": "success" if report.complete else "failure",
            "start_time": begin.strftime(_TIME),
            "end_time": end.strftime(_TIME),
            "analyzer": tool,
            "scanner": tool,
            "messages": messages,
        },
        "vulnerabilities": [],
    }
    found = (_vulnerability(finding, place) for finding in report.findings for place in finding.places)
    yield from object_pieces(document, "vulnerabilities", found, indent=2, ascii_only=False)
    yield "\n"


def _scan_times(stats: ScanStats) -> tuple[datetime, datetime]:
    """When the scan began and ended, in UTC; a report that was remembered is made now."""
    took = timedelta(seconds=stats.seconds)
    begin = datetime.fromisoformat(stats.began) if stats.began else datetime.now(UTC) - took
    return begin, begin + took


def _vulnerability(finding: Finding, place: FindingPlace) -> dict[str, object]:
    path = visible(place.path)
    text = f"{finding.description} {finding.mask} ({'proven' if finding.confidence is Confidence.PROVEN else finding.confidence.name.lower()})"
    commit = {"sha": place.commit or _NO_COMMIT}
    if place.author:
        commit["author"] = visible(place.author)
    if place.date:
        commit["date"] = place.date
    return {
        "id": str(uuid.uuid5(_NAMESPACE, f"{finding.fingerprint}:{place.commit}:{path}:{place.line}:{place.column}")),
        "category": "secret_detection",
        "name": finding.description,
        "description": text,
        "severity": LEVELS[finding.severity],
        **({"solution": finding.remedy} if finding.remedy else {}),
        "scanner": _SCANNER,
        "location": {"file": path, "start_line": place.line, "end_line": place.end_line, "commit": commit},
        "identifiers": [
            {"type": "orchestra_creds_rule", "name": f"orchestra-creds rule {finding.rule}", "value": finding.rule},
            {
                "type": "orchestra_creds_fingerprint",
                "name": "orchestra-creds fingerprint",
                "value": finding.fingerprint,
            },
        ],
    }
