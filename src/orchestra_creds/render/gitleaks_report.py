"""gitleaks' JSON report: one object for each spot, for the programs that read it today.

All fields are there, `Secret` and `Match` hold the mask. What would say more than we say anywhere is left empty or
levelled: Email and Message are "", Entropy is 0, and EndColumn repeats StartColumn, for their difference is the length.
"""

from collections.abc import Iterator
from typing import Any

from orchestra_creds.core.text import portable
from orchestra_creds.render.json_pieces import array_pieces
from orchestra_creds.scanner.finding import Finding, FindingPlace, ScanReport


def render(report: ScanReport) -> str:
    """The report as a JSON array, indented by one space as gitleaks does."""
    return "".join(pieces(report))


def pieces(report: ScanReport) -> Iterator[str]:
    """Yield the same, a spot at a time."""
    yield from array_pieces((_row(finding, place) for finding in report.findings for place in finding.places), indent=1)
    yield "\n"


def _row(finding: Finding, place: FindingPlace) -> dict[str, Any]:
    path = portable(place.path)
    position = f"{path}:{finding.rule}:{place.line}"
    tags = [*finding.tags, *(f"decoded:{name}" for name in finding.decoded)]
    if finding.decoded:
        tags.append(f"decode-depth:{len(finding.decoded)}")
    return {
        "RuleID": finding.rule,
        "Description": finding.description,
        "StartLine": place.line,
        "EndLine": place.end_line,
        "StartColumn": place.column,
        "EndColumn": place.column,
        "Match": finding.mask,
        "Secret": finding.mask,
        "File": path,
        "SymlinkFile": "",
        "Commit": place.commit,
        "Entropy": 0,
        "Author": portable(place.author),
        "Email": "",
        "Date": place.date,
        "Message": "",
        "Tags": tags,
        "Fingerprint": f"{place.commit}:{position}" if place.commit else position,
    }
