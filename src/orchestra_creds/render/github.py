"""Workflow commands of GitHub Actions: findings beside the lines they are about.

GitHub shows ten annotations of a level for a step, so ten are written, worst first, and one line says how many are not.
A finding that is no longer in HEAD is annotated without a file: its line number belongs to an older text. Everything
from outside is escaped as the command syntax demands; a path or a note cannot start a command of its own.
"""

from collections import Counter

from orchestra_creds.core.text import visible
from orchestra_creds.render.numbers import count
from orchestra_creds.render.scan_text import origin, place_text, summary
from orchestra_creds.scanner.finding import Finding, ScanReport
from orchestra_creds.scanner.rule import Severity

LEVELS = {Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "notice"}
SHOWN = 10


def render(report: ScanReport) -> str:
    """Annotations, and a last line that sums up."""
    lines: list[str] = []
    written: Counter[str] = Counter()
    for finding in report.findings:
        level = LEVELS[finding.severity]
        written[level] += 1
        if written[level] <= SHOWN:
            lines.append(_annotation(level, finding))
    if more := sum(max(0, number - SHOWN) for number in written.values()):
        lines.append(f"{count(more, 'finding')} more than GitHub shows: use --format sarif or json to see all")
    if report.skipped:
        first = report.skipped[0]
        text = f"{count(len(report.skipped), 'item')} not looked at, first {first.path}: {first.reason}"
        lines.append(f"::warning title=incomplete scan::{_data(text)}")
    lines += [f"::notice title=about this scan::{_data(note)}" for note in report.notes]
    lines.append(summary(report))
    return "\n".join(lines) + "\n"


def _annotation(level: str, finding: Finding) -> str:
    place = finding.first
    here = next((p for p in finding.places if p.in_head), place if not place.commit else None)
    properties = {"title": finding.description}
    if here is not None:
        properties = {
            "file": visible(here.path),
            "line": str(here.line),
            "endLine": str(here.end_line),
            "col": str(here.column),
            **properties,
        }
    where = place_text(here or place)
    text = f"{finding.description} {finding.mask} at {where} ({finding.confidence.name.lower()})"
    if details := origin(place):
        text += f", first in {details}"
    if finding.remedy:
        text += f". {finding.remedy}"
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{level} {listed}::{_data(text)}"


def _data(text: str) -> str:
    return visible(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
