r"""The JSON report, schema `orchestra-creds/scan/2`: what other programs read.

One object on many lines, keys in a fixed order, ASCII only, so that it can be shown by anything; findings in the order
of the report. Paths are exact: a byte that is no UTF-8 stands as `\xNN`. The schema ships in `schemas/scan-2.json`;
a field may be added under the same version, none changes its meaning or goes (docs/adr/0007-json-versions.md).

Imports next to nothing: a hook that finds nothing pays for no report.
"""

import json
from collections.abc import Sequence

from orchestra_creds.core.text import portable
from orchestra_creds.render.json_pieces import object_pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from orchestra_creds.scanner.finding import Finding, FindingPlace, ScanReport

SCHEMA = "orchestra-creds/scan/2"


def render(report: "ScanReport") -> str:
    """The report as JSON text."""
    return "".join(pieces(report))


def pieces(report: "ScanReport") -> "Iterator[str]":
    """Yield the report as JSON text, a finding at a time."""
    yield from object_pieces(_envelope(report), "findings", _findings(report), indent=1)
    yield "\n"


def clean(source: str, blobs: int, size: int, seconds: float) -> str:
    """The same for a scan that found nothing, missed nothing and hid nothing."""
    return as_text(_body(source, blobs, size, seconds))


def schema(version: int = 2) -> "dict[str, Any]":
    """The JSON Schema of the report, as shipped with the package."""
    from importlib import resources

    text = (
        resources.files("orchestra_creds.render").joinpath(f"schemas/scan-{version}.json").read_text(encoding="utf-8")
    )
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def as_json(report: "ScanReport") -> "dict[str, Any]":
    """The report as JSON values; `notes` stands only when there are some."""
    return {**_envelope(report), "findings": list(_findings(report))}


def _findings(report: "ScanReport") -> "Iterator[dict[str, Any]]":
    from orchestra_creds.scanner.source import SOURCES

    history = SOURCES[report.source].reads_history
    return (_finding(finding, history=history) for finding in report.findings)


def _envelope(report: "ScanReport") -> "dict[str, Any]":
    """The report without its findings, whose place is there."""
    stats = report.stats
    body = _body(
        report.source,
        stats.blobs,
        stats.bytes,
        stats.seconds,
        cached=stats.cached,
        hidden=(report.accepted, report.allowed, report.gitleaks),
        skipped=[{"path": portable(item.path), "reason": portable(item.reason)} for item in report.skipped],
        count=len(report.findings),
    )
    if report.notes:
        body["notes"] = [portable(note) for note in report.notes]
    return body


def as_text(body: "dict[str, Any]") -> str:
    """A body as JSON text."""
    return json.dumps(body, indent=1) + "\n"


def _body(
    source: str,
    blobs: int,
    size: int,
    seconds: float,
    *,
    cached: int = 0,
    hidden: tuple[int, int, int] = (0, 0, 0),
    skipped: Sequence[object] = (),
    count: int = 0,
) -> "dict[str, Any]":
    """`hidden`: how many the baseline accepts, an inline comment allows, and files of gitleaks hide; `count`: the findings to come."""
    return {
        "schema": SCHEMA,
        "complete": not skipped,
        "skipped": skipped,
        "stats": {
            "source": source,
            "blobs": blobs,
            "bytes": size,
            "cached": cached,
            "seconds": round(seconds, 3),
            "findings": count,
            "accepted": hidden[0],
            "allowed": hidden[1],
            "gitleaks": hidden[2],
        },
        "findings": [],
    }


def _finding(finding: "Finding", *, history: bool) -> "dict[str, Any]":
    """`history`: whether the scan read one; else nothing is known of HEAD."""
    body: dict[str, Any] = {
        "rule": finding.rule,
        "description": finding.description,
        "severity": finding.severity.name.lower(),
        "confidence": finding.confidence.name.lower(),
        **_place(finding.first, history=history),
        "in_head": finding.in_head if history else None,
        "fingerprint": finding.fingerprint,
        "credential": finding.credential,
        "mask": portable(finding.mask),
    }
    if finding.decoded:
        body["decoded"] = list(finding.decoded)
    if finding.note:
        body["note"] = portable(finding.note)
    body["places"] = [_place(place, history=history) for place in finding.places]
    return body


def _place(place: "FindingPlace", *, history: bool) -> "dict[str, Any]":
    body: dict[str, Any] = {
        "path": portable(place.path),
        "line": place.line,
        "end_line": place.end_line,
        "column": place.column,
    }
    for name in ("commit", "author", "date"):
        if value := getattr(place, name):
            body[name] = portable(value)
    body["in_head"] = place.in_head if history else None
    return body
