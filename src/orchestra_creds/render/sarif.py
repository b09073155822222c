"""SARIF 2.1.0 for code scanning.

Nothing of a credential is in it: no snippet, no context region, no mail address, and the partial fingerprints are keyed,
`primaryLocationLineHash` included, which others compute from the line itself. GitHub keeps 5,000 results, so at most
that many are written, worst first, and a notification says how many were cut. Byte for byte the same for the same report.
"""

import json
from typing import Any
from urllib.parse import quote

from orchestra_creds import __version__
from orchestra_creds.core.text import visible
from orchestra_creds.render.numbers import count
from orchestra_creds.render.scan_text import origin, place_text
from orchestra_creds.scanner.finding import Finding, FindingPlace, ScanReport
from orchestra_creds.scanner.rule import Confidence, Severity

MOST_RESULTS = 5_000
MOST_PLACES = 20
"""Related locations of one result; the JSON report lists all."""

LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note"}
SCORES = {Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5", Severity.LOW: "2.5"}
PRECISIONS = {Confidence.PROVEN: "very-high", Confidence.LIKELY: "high", Confidence.POSSIBLE: "medium"}
MESSAGE = "{0} ({1}) stands in {2}. {3}."


def render(report: ScanReport) -> str:
    """The report as a SARIF log of one run."""
    findings = sorted(report.findings, key=lambda f: (-f.severity, -f.confidence, not f.in_head))[:MOST_RESULTS]
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    names = sorted(by_rule)
    indexes = {name: index for index, name in enumerate(names)}
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "orchestra-creds",
                "fullName": f"orchestra-creds {__version__}",
                "organization": "orchestra-creds",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(by_rule[name]) for name in names],
            }
        },
        "automationDetails": {"id": f"orchestra-creds/{report.source}/"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The folder or repository that was scanned."}}},
        "redactionTokens": ["***"],
        "invocations": [_invocation(report, len(report.findings) - len(findings))],
        "results": [_result(finding, indexes[finding.rule]) for finding in findings],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1) + "\n"


def _rule(findings: list[Finding]) -> dict[str, Any]:
    one = findings[0]
    sure = max(finding.confidence for finding in findings)
    remedy = one.remedy or "Revoke the credential where it was issued, then replace it."
    return {
        "id": one.rule,
        "name": "".join(part.capitalize() for part in one.rule.replace("_", "-").replace(".", "-").split("-")),
        "shortDescription": {"text": _sentence(one.description)},
        "fullDescription": {
            "text": f"{_sentence(one.description)} A credential in a repository is known to every reader."
        },
        "help": {"text": remedy, "markdown": _markdown(remedy)},
        "messageStrings": {"found": {"text": MESSAGE}},
        "defaultConfiguration": {"level": LEVELS[one.severity]},
        "properties": {
            "security-severity": SCORES[one.severity],
            "precision": PRECISIONS[sure],
            "tags": ["security", "external/cwe/cwe-798", *one.tags],
        },
    }


def _result(finding: Finding, index: int) -> dict[str, Any]:
    first = next((place for place in finding.places if place.in_head), finding.first)
    others = [place for place in finding.places if place is not first]
    details = origin(finding.first) or f"Confidence: {finding.confidence.name.lower()}"
    arguments = [finding.description.rstrip("."), visible(finding.mask), place_text(first), details]
    message = MESSAGE
    for number, argument in enumerate(arguments):
        message = message.replace(f"{{{number}}}", argument, 1)
    properties: dict[str, Any] = {"confidence": finding.confidence.name.lower(), "inHead": finding.in_head}
    if finding.first.commit:
        properties["commit"] = finding.first.commit
    if finding.decoded:
        properties["decoded"] = list(finding.decoded)
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": LEVELS[finding.severity],
        "message": {"id": "found", "arguments": arguments, "text": _text(message)},
        "locations": [_location(first)],
        "partialFingerprints": {
            "orchestraCredsFinding/v1": finding.fingerprint,
            "orchestraCredsCredential/v1": finding.credential,
            "primaryLocationLineHash": f"{finding.fingerprint[:16]}:1",
        },
        "properties": properties,
    }
    if others:
        result["relatedLocations"] = [
            {"id": number, **_location(place), "message": {"text": _text(_related_text(place))}}
            for number, place in enumerate(others[:MOST_PLACES], start=1)
        ]
    return result


def _location(place: FindingPlace) -> dict[str, Any]:
    path = place.path.encode("utf-8", "surrogateescape")
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(path, safe="/!+@=~"), "uriBaseId": "SRCROOT"},
            "region": {"startLine": place.line, "startColumn": place.column, "endLine": place.end_line},
        }
    }


def _related_text(place: FindingPlace) -> str:
    return f"Also at {place_text(place)}" + (f", {origin(place)}." if place.commit else ".")


def _invocation(report: ScanReport, cut: int) -> dict[str, Any]:
    warnings = [f"Not looked at: {item.path}: {item.reason}." for item in report.skipped]
    warnings += [f"{note}." for note in report.notes]
    if cut:
        warnings.append(
            f"{count(cut, 'finding')} of lesser severity not listed: {MOST_RESULTS:,} is the most GitHub keeps."
        )
    return {
        "executionSuccessful": report.complete,
        "exitCode": int(report.exit_code),
        "toolExecutionNotifications": [
            {"level": "warning", "message": {"text": _text(visible(text))}} for text in warnings
        ],
    }


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _text(text: str) -> str:
    """Plain text of a message: square brackets would make a link."""
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def _markdown(text: str) -> str:
    return "".join(f"\\{char}" if char in "\\[]<>*_`" else char for char in text)
