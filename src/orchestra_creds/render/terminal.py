"""The table: what a person reads.

On a terminal, findings stand together by credential, with what to do about each. Anywhere else each finding is one line,
`path:line:column severity rule mask ...`, never cut to a width and never coloured, so that grep and awk can read it.
Control characters are escaped everywhere: a file name cannot move the cursor. Notes are not in it: the command says them on
stderr.
"""

from collections.abc import Iterator

from orchestra_creds.core.text import visible
from orchestra_creds.render.numbers import count
from orchestra_creds.render.scan_text import by_credential, origin, place_text, summary
from orchestra_creds.render.style import PLAIN, Style
from orchestra_creds.scanner.finding import Finding, ScanReport
from orchestra_creds.scanner.rule import Severity

PLACES = 8
"""How many places of a credential a terminal shows; the other formats list all."""

SKIPPED = 20
"""How many items that could not be read a terminal lists."""

COLORS = {Severity.CRITICAL: "bold red", Severity.HIGH: "red", Severity.MEDIUM: "yellow", Severity.LOW: "cyan"}


def render(report: ScanReport, style: Style = PLAIN) -> str:
    """The report as text for a person or a pipe."""
    return "".join(pieces(report, style))


def pieces(report: ScanReport, style: Style = PLAIN) -> Iterator[str]:
    """Yield the same, line by line."""
    for line in _lines(report, style):
        yield line + "\n"


def _lines(report: ScanReport, style: Style) -> Iterator[str]:
    yield from _finding_lines(report, style) if style.terminal else map(_line, report.findings)
    shown = report.skipped[:SKIPPED] if style.terminal else report.skipped
    for item in shown:
        yield f"not looked at: {visible(item.path)}: {visible(item.reason)}"
    if len(shown) < len(report.skipped):
        yield f"not looked at: {len(report.skipped) - len(shown):,} more, listed by --format json"
    good = report.complete and not report.findings
    yield style.paint(summary(report), "green" if good else "bold")


def _line(finding: Finding) -> str:
    place = finding.first
    parts = [
        place_text(place),
        finding.severity.name.lower(),
        finding.rule,
        visible(finding.mask),
        finding.confidence.name.lower(),
        f"fingerprint={finding.fingerprint}",
    ]
    if finding.decoded:
        parts.append(f"decoded={'+'.join(finding.decoded)}")
    if place.commit:
        parts.append(f"commit={place.commit}")
        parts.append(f"in_head={'yes' if finding.in_head else 'no'}")
    if len(finding.places) > 1:
        parts.append(f"places={len(finding.places)}")
    return " ".join(parts)


def _finding_lines(report: ScanReport, style: Style) -> Iterator[str]:
    for group in by_credential(report.findings):
        lines: list[str] = []
        first = group[0]
        severity = style.paint(first.severity.name, COLORS[first.severity])
        confidence = style.paint(max(f.confidence for f in group).name.lower(), "dim")
        lines.append(f"{severity}  {style.paint(first.description, 'bold')}  {visible(first.mask)}  {confidence}")
        places = [(place, finding) for finding in group for place in finding.places]
        for place, finding in places[:PLACES]:
            wrapped = f"inside {', '.join(finding.decoded)}" if finding.decoded else ""
            details = "  ".join(part for part in (origin(place), wrapped) if part)
            lines.append(f"    {place_text(place)}" + (style.paint(f"  {details}", "dim") if details else ""))
        if len(places) > PLACES:
            lines.append(f"    and {count(len(places) - PLACES, 'place')} more, listed by --format json")
        if first.note:
            lines += _wrap_text("", visible(first.note), style)
        if first.remedy:
            lines += _wrap_text("to do: ", first.remedy, style)
        prints = ", ".join(finding.fingerprint[:12] for finding in group[:PLACES])
        lines += (style.paint(line, "dim") for line in _wrap_text("fingerprint ", prints, style))
        yield from lines
        yield ""


def _wrap_text(label: str, text: str, style: Style) -> list[str]:
    """Words on as many lines as the terminal needs, below each other; no word is cut."""
    import textwrap

    width, indent = max(style.width, 40), "    "
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent + label,
        subsequent_indent=indent + " " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )
