"""JUnit XML: what every CI server shows as a list of failed tests.

Follows the schema of Jenkins' xUnit plugin (junit-10.xsd): one suite for the scan, one failed case for each finding, an error for each
item that was not looked at, and one passed case if there is neither. No value stands in it. Characters that XML forbids are shown escaped.
"""

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from orchestra_creds.core.text import visible
from orchestra_creds.render.scan_text import origin, place_text, summary
from orchestra_creds.scanner.finding import Finding, ScanReport, SkippedItem


def render(report: ScanReport) -> str:
    """The document, with a line break at its end."""
    return "".join(pieces(report))


def pieces(report: ScanReport) -> Iterator[str]:
    """Yield the same, a case at a time."""
    number = len(report.findings) + len(report.skipped)
    counts = f'tests="{number or 1}" failures="{len(report.findings)}" errors="{len(report.skipped)}" time="{report.stats.seconds:.3f}"'
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<testsuites name="orchestra-creds scan" {counts}>\n'
    yield f'  <testsuite name="orchestra-creds scan" {counts}>\n'
    for finding in report.findings:
        yield _failed_case(finding) + "\n"
    for item in report.skipped:
        yield _error_case(item) + "\n"
    if not number:
        yield f'    <testcase classname="orchestra-creds.scan" name={quoteattr(summary(report))}/>\n'
    yield f"    <system-out>{escape(visible(summary(report)))}</system-out>\n  </testsuite>\n</testsuites>\n"


def _failed_case(finding: Finding) -> str:
    where = place_text(finding.first)
    details = [f"{finding.mask} at {where}, {finding.severity.name.lower()}, {finding.confidence.name.lower()}"]
    details += [f"at {place_text(place)}" for place in finding.places[1:]]
    details += filter(None, (origin(finding.first), visible(finding.note), finding.remedy))
    details.append(f"fingerprint: {finding.fingerprint}")
    message = f"{finding.description} at {where}"
    return (
        f"    <testcase classname={quoteattr(finding.rule)} name={quoteattr(where)}>\n"
        f"      <failure type={quoteattr(finding.severity.name.lower())} message={quoteattr(message)}>{escape(chr(10).join(details))}</failure>\n"
        "    </testcase>"
    )


def _error_case(item: SkippedItem) -> str:
    path, reason = visible(item.path), visible(item.reason)
    return (
        f'    <testcase classname="orchestra-creds.skipped" name={quoteattr(path)}>\n'
        f'      <error type="not looked at" message={quoteattr(reason)}/>\n'
        "    </testcase>"
    )
