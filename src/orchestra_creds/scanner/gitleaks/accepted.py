"""Findings that gitleaks users have accepted: `.gitleaksignore`, and a JSON report used as a baseline.

Both name a finding by file, rule and line, which goes stale when lines move. A report that was not redacted also holds
the value: then the value decides, and the line does not matter. `rekey` turns old entries into findings of a scan by us, for
our baseline. Rule ids that only gitleaks has match any of our built-in rules at that spot.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra_creds.core.material import Material
from orchestra_creds.core.text import visible
from orchestra_creds.errors import ConfigError
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.file_names import GITLEAKS_IGNORE
from orchestra_creds.scanner.finding import Finding, FindingPlace, ScanReport
from orchestra_creds.scanner.fingerprint import FingerprintKey
from orchestra_creds.scanner.gitleaks.rule_names import equals, means
from orchestra_creds.textfile import read_text


@dataclass(frozen=True, slots=True)
class GitleaksEntry:
    """One accepted finding. `commit` "" means any; `secret` is None when the entry does not hold the value."""

    path: str
    rule: str
    line: int
    commit: str = ""
    secret: Material | None = None

    def __str__(self) -> str:
        commit = f"{self.commit}:" if self.commit else ""
        return visible(f"{commit}{self.path}:{self.rule}:{self.line}")

    def at(self, place: FindingPlace) -> bool:
        """Whether the entry names this place."""
        return (place.path, place.line) == (self.path, self.line) and self.commit in {"", place.commit}

    def means(self, rule: str, own: frozenset[str]) -> bool:
        """Whether the entry is about this rule; `own` are the ids that a configuration defines, by which it may be told."""
        return means(self.rule, rule) or not (self.rule in own or rule in own or equals(self.rule))

    def accepts(self, sighting: Sighting, own: frozenset[str]) -> bool:
        """Whether a sighting is this finding: the same value in the same file, or the same spot where no value is known."""
        if self.secret is None:
            return self.at(sighting.place) and self.means(sighting.detection.rule.id, own)
        if sighting.place.path != self.path:
            return False
        secret = self.secret.reveal()
        return sighting.detection.material == self.secret or secret in sighting.match.reveal()


def load_ignore(path: Path) -> tuple[GitleaksEntry, ...]:
    """The entries of a `.gitleaksignore`, or of the one in the folder `path`.

    Raises:
        ConfigError: it cannot be read, or a line is no fingerprint.
    """
    file = path / GITLEAKS_IGNORE if path.is_dir() else path
    return parse_ignore(_read_file(file), str(file))


def parse_ignore(text: str, name: str = GITLEAKS_IGNORE) -> tuple[GitleaksEntry, ...]:
    r"""One entry a line, `file:rule:line` or `commit:file:rule:line`; `#` starts a comment, `\` in paths means `/`.

    Raises:
        ConfigError: a line is no fingerprint.
    """
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        head, _, start = entry.rpartition(":")
        head, _, rule = head.rpartition(":")
        if not head or not rule or not start.isdecimal():
            raise ConfigError(
                f"{name}, line {number}: not a gitleaks fingerprint",
                hint="write file:rule-id:line or commit:file:rule-id:line",
            )
        commit, colon, path = head.partition(":")
        if not colon or not (len(commit) in {40, 64} and commit.isalnum()):
            commit, path = "", head
        entries.append(GitleaksEntry(path.replace("\\", "/"), rule, int(start), commit.lower()))
    return tuple(entries)


def load_report(path: Path) -> tuple[GitleaksEntry, ...]:
    """The findings of a gitleaks JSON report.

    Raises:
        ConfigError: it cannot be read, or is no such report.
    """
    return parse_report(_read_file(path), str(path))


def parse_report(text: str, name: str) -> tuple[GitleaksEntry, ...]:
    """The findings of a gitleaks JSON report: an array of objects. A redacted value counts as unknown.

    Raises:
        ConfigError: it is no such report; the text is never quoted.
    """
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigError(f"{name}{line}: not JSON", hint="make it with `gitleaks … --report-format json`") from None
    if not isinstance(rows, list):
        raise ConfigError(f"{name} is not a gitleaks report", hint="a gitleaks JSON report is an array")
    return tuple(_legacy(row, f"{name}, finding {number}") for number, row in enumerate(rows, start=1))


def _read_file(path: Path) -> str:
    return read_text(path, hint="name a file that gitleaks wrote", errors="surrogateescape")


def _legacy(row: Any, where: str) -> GitleaksEntry:
    texts = ("File", "RuleID", "Commit", "Secret")
    good = isinstance(row, dict) and all(isinstance(row.get(key, ""), str) for key in texts)
    if not good or not row.get("File") or not isinstance(row.get("StartLine"), int):
        raise ConfigError(f"{where}: not a gitleaks finding", hint="it needs File, RuleID, StartLine and Secret")
    value = row.get("Secret", "")
    known = value.strip("*") and value != "REDACTED" and not value.endswith(("...", "***"))
    return GitleaksEntry(
        path=row["File"].replace("\\", "/").removeprefix("./"),
        rule=row.get("RuleID", ""),
        line=row["StartLine"],
        commit=row.get("Commit", "").lower(),
        secret=Material(value.encode("utf-8", "surrogatepass")) if known else None,
    )


@dataclass(frozen=True, slots=True)
class RekeyResult:
    """Findings that old entries stand for today, and the entries for which nothing was found."""

    findings: tuple[Finding, ...]
    lost: tuple[GitleaksEntry, ...]


def rekey(
    entries: Iterable[GitleaksEntry], report: ScanReport, key: FingerprintKey, *, own: frozenset[str] = frozenset()
) -> RekeyResult:
    """Find old entries among the findings of a scan, by value where it is known, else by file, line and commit.

    A value that left its file is taken where it stands now. The report must be made with `key`, and without a baseline.
    """
    by_rule: dict[str, list[Finding]] = {}
    for finding in report.findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    chosen: set[str] = set()
    lost = []
    for entry in entries:
        found = _by_value(entry, by_rule, key) or _by_place(entry, report.findings, own)
        chosen |= {finding.fingerprint for finding in found}
        if not found:
            lost.append(entry)
    return RekeyResult(tuple(f for f in report.findings if f.fingerprint in chosen), tuple(lost))


def _by_value(entry: GitleaksEntry, by_rule: Mapping[str, Sequence[Finding]], key: FingerprintKey) -> list[Finding]:
    if entry.secret is None:
        return []
    same = [
        finding
        for rule, findings in by_rule.items()
        for credential in [key.credential(rule, entry.secret)]
        for finding in findings
        if finding.credential == credential
    ]
    return [finding for finding in same if finding.first.path == entry.path] or same


def _by_place(entry: GitleaksEntry, findings: Sequence[Finding], own: frozenset[str]) -> list[Finding]:
    return [f for f in findings if entry.means(f.rule, own) and any(entry.at(place) for place in f.places)]
