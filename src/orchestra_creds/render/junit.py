"""JUnit XML: what every CI server shows as a list of failed tests.

Follows the schema of Jenkins' xUnit plugin (junit-10.xsd): one suite for the scan, one failed case for each finding, an error for each
item that was not looked at, and one passed case if there is neither. No value stands in it. Characters that XML forbids are shown escaped.
"""

from xml.sax.saxutils import escape, quoteattr

from orchestra_creds.core.text import visible
from orchestra_creds.render.scan_text import origin, place_text, summary
from orchestra_creds.scanner.finding import Finding, ScanReport, SkippedItem


def render(report: ScanReport) -> str:
    """The document, with a line break at its end."""
    cases = [_failed_case(finding) for finding in report.findings]
    cases += [_error_case(item) for item in report.skipped]
    if not cases:
        cases.append(f'    <testcase classname="orchestra-creds.scan" name={quoteattr(summary(report))}/>')
    counts = f'tests="{len(cases)}" failures="{len(report.findings)}" errors="{len(report.skipped)}" time="{report.stats.seconds:.3f}"'
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<testsuites name="orchestra-creds scan" {counts}>',
            f'  <testsuite name="orchestra-creds scan" {counts}>',
            *cases,
            f"    <system-out>{escape(visible(summary(report)))}</system-out>",
            "  </testsuite>",
            "</testsuites>",
            "",
        ]
    )


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
