"""From sightings to a report: what is allowed, accepted or too mild is taken out, and the rest gets an identity.

Steps, each on the result of the one before: gitleaks' allowlists and ignores, the least severity, compiled twins of a source, inline
allows, one finding per credential and path, the baseline. The result depends on the sightings as a set, not on their order: findings
stand worst first, then by path and line; places in the order of their dates, then by line. Material goes in, none comes
out.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Protocol

from orchestra_creds.core.material import Material
from orchestra_creds.core.record import dataclass, replace
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.finding import Finding, FindingPlace, ScanReport, ScanStats, SkippedItem
from orchestra_creds.scanner.fingerprint import FingerprintKey, mask
from orchestra_creds.scanner.rule import Severity

if TYPE_CHECKING:
    from orchestra_creds.scanner.baseline.file import Baseline


class SightingPolicy(Protocol):
    """Rules about findings that another tool's files state; gitleaks' is in `gitleaks/setup.py`.

    `hidden` are the findings that those files accept.
    """

    hidden: set[tuple[str, Material, str]]

    def keep(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """The sightings that count."""
        ...


@dataclass(frozen=True, slots=True)
class Filters:
    """What decides which sightings count, beside the rules themselves.

    today   ends entries of the baseline
    below   the scanned folder as seen from the top of its repository, with a slash at its end: a finding is the same
            whichever folder around it is scanned
    unread  see `file.judge`
    """

    key: FingerprintKey
    today: date
    baseline: "Baseline | None" = None
    gitleaks: SightingPolicy | None = None
    min_severity: Severity = Severity.LOW
    below: str = ""
    unread: Callable[[str], bool] | None = None


def report(
    sightings: Iterable[Sighting],
    *,
    root: str,
    source: str,
    filters: Filters,
    skipped: Iterable[SkippedItem] = (),
    stats: ScanStats | None = None,
    notes: Sequence[str] = (),
) -> ScanReport:
    """The report of one scan. `source` is tree, history, staged, since or stdin.

    Sightings that come one by one, and that nobody else holds, are forgotten one by one: a report of many findings takes less memory.
    """
    if filters.gitleaks is not None:
        sightings = filters.gitleaks.keep(list(sightings))
    groups: dict[tuple[str, Material, str], list[Sighting]] = {}
    for sighting in sightings:
        found = sighting.detection
        if found.rule.severity >= filters.min_severity:
            groups.setdefault((found.rule.id, found.material, sighting.place.path), []).append(sighting)
    twins = _drop_twins(groups)
    counted = sum(map(len, groups.values()))
    findings, open_sightings = [], 0
    while groups:
        _, group = groups.popitem()
        if left := _drop_allowed(group):
            open_sightings += len(left)
            findings.append(_finding(left, filters))
    findings.sort(key=_order)
    whole = ScanReport(
        root=root,
        source=source,
        findings=tuple(findings),
        skipped=tuple(sorted(set(skipped), key=lambda s: (s.path, s.reason))),
        allowed=counted - open_sightings,
        gitleaks=0 if filters.gitleaks is None else len(filters.gitleaks.hidden),
        notes=(*notes, *_twin_notes(twins), *_key_notes(filters.key)),
        stats=stats or ScanStats(),
    )
    return whole if filters.baseline is None else _apply_baseline(whole, filters.baseline, filters)


def _drop_twins(groups: dict[tuple[str, Material, str], list[Sighting]]) -> int:
    """Take out what stands in Python's compiled code and in its source too; return how many findings that are.

    A twin that is in HEAD stays when its source is not.
    """
    twins = []
    for (rule, material, path), group in groups.items():
        source = groups.get((rule, material, _source_of(path))) if path.endswith(".pyc") else None
        if source is not None and _is_in_head(source) >= _is_in_head(group):
            twins.append((rule, material, path))
    for twin in twins:
        del groups[twin]
    return len(twins)


def _source_of(path: str) -> str:
    """The path of the source of compiled Python code, which lies beside it or in the folder above `__pycache__`."""
    folder, _, name = path.rpartition("/")
    if folder.rpartition("/")[2] == "__pycache__":
        folder, name = folder.rpartition("/")[0], f"{name.partition('.')[0]}.pyc"
    return f"{folder}/{name[:-1]}" if folder else name[:-1]


def _is_in_head(group: list[Sighting]) -> bool:
    return any(sighting.place.in_head for sighting in group)


def _twin_notes(twins: int) -> tuple[str, ...]:
    if not twins:
        return ()
    return (
        f"not listed: {twins} {'finding' if twins == 1 else 'findings'} in .pyc files whose source holds the same credential",
    )


def _drop_allowed(group: list[Sighting]) -> list[Sighting]:
    """Without the spots that an inline comment allows; when that is so for all of today's, older commits follow."""
    today = [sighting for sighting in group if sighting.place.commit and sighting.place.in_head]
    if today and all(sighting.allow for sighting in today):
        return []
    return [sighting for sighting in group if not sighting.allow]


def _finding(group: list[Sighting], filters: Filters) -> Finding:
    """One finding from all spots of one credential at one path; its clearest spot says how sure it is."""
    clearest = min((s.detection for s in group), key=lambda d: (-d.confidence, len(d.decoded), d.decoded, d.note))
    rule, material = clearest.rule, clearest.material
    credential = filters.key.credential(rule.id, material)
    return Finding(
        rule=rule.id,
        description=rule.description,
        severity=rule.severity,
        confidence=clearest.confidence,
        fingerprint=filters.key.fingerprint(credential, filters.below + group[0].place.path),
        credential=credential,
        mask=mask(rule, material),
        places=tuple(sorted({s.place for s in group}, key=_place_order)),
        decoded=clearest.decoded,
        note=clearest.note,
        remedy=rule.remedy,
        tags=rule.tags,
    )


def _place_order(place: FindingPlace) -> tuple[str, str, int, int, int]:
    return (place.date, place.commit, place.line, place.column, place.end_line)


def _order(finding: Finding) -> tuple[int, str, int, int, str, str]:
    place = finding.first
    return (-finding.severity, place.path, place.line, place.column, finding.rule, finding.fingerprint)


def _key_notes(key: FingerprintKey) -> tuple[str, ...]:
    if not key.temporary:
        return ()
    return ("the fingerprint key could not be kept: fingerprints of this report fit no other report",)


def _apply_baseline(whole: ScanReport, baseline: "Baseline", filters: Filters) -> ScanReport:
    from orchestra_creds.scanner.baseline.file import ANYWHERE, judge  # a staged scan without a baseline pays no json

    verdicts = judge(baseline, whole.findings, filters.today, unread=filters.unread)
    notes = [
        f"the baseline's entry {entry.fingerprint[:12]} for {'any path' if entry.path == ANYWHERE else entry.path} "
        f"expired on {entry.expires}: its finding counts again"
        for entry in verdicts.expired
    ]
    return replace(whole, findings=verdicts.findings, accepted=verdicts.accepted, notes=(*whole.notes, *notes))
