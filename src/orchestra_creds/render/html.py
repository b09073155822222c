"""The report as one offline page: no script, no request to anywhere, readable in the dark and by a screen reader.

The page forbids itself everything but its own style sheet (CSP `default-src 'none'`). Findings stand together by
credential; for a history, a bar shows from when a credential was known until when. A page has at most `LARGEST` bytes, so that
browsers open it: the worst credentials are listed, the others counted by rule and by file, and the page says so.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from html import escape
from pathlib import Path

from orchestra_creds import __version__
from orchestra_creds.core.text import visible
from orchestra_creds.render.numbers import count, seconds, size
from orchestra_creds.render.page import fill_template
from orchestra_creds.render.scan_text import by_credential, origin, place_text, summary, things
from orchestra_creds.scanner.finding import Finding, ScanReport, SkippedItem
from orchestra_creds.scanner.rule import Severity

LARGEST = 2_000_000
"""Bytes of a page."""
MOST_PLACES = 50
"""Places of one credential that the page lists; it says how many more there are."""
MOST_ROWS = 200
"""Rules, and files, for which the page counts what it does not list."""
_FOR_LISTED = 1_500_000
_FOR_SKIPPED = 200_000
_FOR_COUNTED = 120_000
"""Bytes of the credentials that are listed, of what was not looked at, and of each of the two tables of counts."""
_ARTICLE = 900
_ITEM = 130
"""Bytes that a credential and a place take beside their texts, with room to spare."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """When a credential was known, in percent of the time between the first and the last date of the report."""

    start: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class CountedRow:
    """Credentials and places that are not listed one by one: of a rule, or in a file."""

    name: str
    credentials: int
    places: int


@dataclass(frozen=True, slots=True)
class Unlisted:
    """What the page leaves out: numbers, and the rows of its tables with how many rows are not shown."""

    text: str
    rules: Sequence[CountedRow]
    more_rules: int
    files: Sequence[CountedRow]
    more_files: int


def render(report: ScanReport) -> str:
    """The whole page."""
    groups = by_credential(report.findings)
    listed = groups[: _how_many_fit((_group_size(group) for group in groups), _FOR_LISTED)]
    timeline = _Timeline(groups)
    skipped = report.skipped[: _how_many_fit(map(_skipped_size, report.skipped), _FOR_SKIPPED)]
    return fill_template(
        "scan.html",
        filters={"visible": visible, "place_text": place_text, "origin": origin},
        version=__version__,
        report=report,
        number=len(groups),
        groups=[(group, timeline.exposure(group)) for group in listed],
        unlisted=_count_unlisted(groups[len(listed) :]),
        skipped=skipped,
        more_skipped=len(report.skipped) - len(skipped),
        counters=[
            (severity.name.lower(), _credentials(groups, severity)) for severity in sorted(Severity, reverse=True)
        ],
        summary=summary(report),
        scanned=_subject_facts(report),
        looked_at=[things(report), size(report.stats.bytes), seconds(report.stats.seconds)],
        most_places=MOST_PLACES,
    )


def _how_many_fit(sizes: Iterable[int], room: int) -> int:
    """Return how many of the first items fit into so many bytes."""
    number = 0
    for one in sizes:
        room -= one
        if room < 0:
            break
        number += 1
    return number


def _bytes(*texts: str) -> int:
    return sum(len(escape(text).encode("utf-8", "backslashreplace")) for text in texts)


def _group_size(group: list[Finding]) -> int:
    one = group[0]
    places = [(finding, place) for finding in group for place in finding.places[:MOST_PLACES]][:MOST_PLACES]
    return (
        _ARTICLE
        + _bytes(one.description, visible(one.mask), visible(one.note), one.remedy, one.rule, one.credential)
        + sum(_ITEM + _bytes(place_text(place), origin(place), *finding.decoded) for finding, place in places)
    )


def _skipped_size(item: SkippedItem) -> int:
    return _ITEM + _bytes(visible(item.path), visible(item.reason))


def _count_unlisted(groups: list[list[Finding]]) -> Unlisted | None:
    """Count credentials that are not listed, by rule and by file; None if there are none."""
    if not groups:
        return None
    rules, places_of_rule = Counter[str](), Counter[str]()
    files, places_of_file = Counter[str](), Counter[str]()
    for group in groups:
        rules[group[0].rule] += 1
        for finding in group:
            files[finding.first.path] += 1
            places_of_rule[group[0].rule] += len(finding.places)
            places_of_file[finding.first.path] += len(finding.places)
    of_rules, of_files = _rows(rules, places_of_rule), _rows(files, places_of_file)
    shown_rules, shown_files = of_rules[: _fitting(of_rules)], of_files[: _fitting(of_files)]
    places = sum(places_of_rule.values())
    return Unlisted(
        f"{count(len(groups), 'credential')} in {count(places, 'place')} and {count(len(files), 'file')}",
        shown_rules,
        len(of_rules) - len(shown_rules),
        shown_files,
        len(of_files) - len(shown_files),
    )


def _rows(credentials: Counter[str], places: Counter[str]) -> list[CountedRow]:
    return [CountedRow(name, number, places[name]) for name, number in credentials.most_common()]


def _fitting(rows: Sequence[CountedRow]) -> int:
    return _how_many_fit((_ITEM + _bytes(visible(row.name)) for row in rows[:MOST_ROWS]), _FOR_COUNTED)


def _subject_facts(report: ScanReport) -> list[tuple[str, str]]:
    """What the page is about: the folder or repository by its name alone, the commit that was checked out, and when."""
    name = "" if report.source == "stdin" else Path(report.root).name
    began = report.stats.began
    when = f"{datetime.fromisoformat(began):%Y-%m-%d %H:%M} UTC" if began else ""
    facts = [
        ("Repository" if report.revision else "Folder", visible(name)),
        ("revision", report.revision),
        ("scanned", when),
    ]
    return [(label, value) for label, value in facts if value]


def _credentials(groups: list[list[Finding]], severity: Severity) -> int:
    return sum(1 for group in groups if group[0].severity is severity)


class _Timeline:
    """The time from the first to the last date of a report."""

    def __init__(self, groups: Iterable[list[Finding]]) -> None:
        spans = [span for group in groups if (span := _span(group))]
        self._begin = min((first for first, _ in spans), default=None)
        self._end = max((last for _, last in spans), default=None)

    def exposure(self, group: list[Finding]) -> Exposure | None:
        """Return the bar from a credential's introduction to its last commit, or to the end when it is still in HEAD."""
        span, begin, last_day = _span(group), self._begin, self._end
        if span is None or begin is None or last_day is None or begin == last_day:
            return None
        whole = (last_day - begin).days
        first, last = span
        live = any(finding.in_head for finding in group)
        end = last_day if live else last
        until = "still in HEAD" if live else f"last seen {last.isoformat()}, still in the history"
        start = 100 * (first - begin).days / whole
        width = max(100 * (end - first).days / whole, 1.0)
        return Exposure(
            round(min(start, 99.0), 2),
            round(min(width, 100 - min(start, 99.0)), 2),
            f"introduced {first.isoformat()}, {until}",
        )


def _span(group: list[Finding]) -> tuple[date, date] | None:
    days = [date.fromisoformat(place.date[:10]) for finding in group for place in finding.places if place.date]
    return (min(days), max(days)) if days else None
