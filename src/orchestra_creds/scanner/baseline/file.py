"""The findings that somebody has accepted, with a reason, a name, a date and, if wanted, an end.

The file `.orchestra-creds-baseline.json` is committed beside the code. It holds keyed fingerprints only, is sorted, and
has one line per finding; the list ends with `null`, so that no line changes when its neighbour does and even git's
`union` merge leaves a file that loads. An entry counts until its end is over; it follows its credential
to one other place when the file was moved; one for `*` counts at every path. Functions here take and return values; only `load` and `save` touch a file.
"""

import datetime as dt
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from orchestra_creds.core.text import os_error_text, visible
from orchestra_creds.errors import ConfigError, NotFoundError
from orchestra_creds.scanner.file_names import BASELINE_FILE
from orchestra_creds.scanner.finding import Finding
from orchestra_creds.textfile import read_text

SCHEMA = "orchestra-creds/baseline/1"
ANYWHERE = "*"
SHORTEST_PREFIX = 4
_HASH = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class BaselineEntry:
    """One accepted finding. `date` and `expires` are YYYY-MM-DD, the last day included; "" never expires.

    `path` is for people, with unprintable characters escaped: what counts is the fingerprint. `*` accepts the credential
    at every path; its fingerprint is then the credential itself.
    """

    fingerprint: str
    credential: str
    rule: str
    path: str
    reason: str
    author: str = ""
    date: str = ""
    expires: str = ""

    def is_expired(self, today: dt.date) -> bool:
        """Whether the last day of the entry is over."""
        return bool(self.expires) and self.expires < today.isoformat()


@dataclass(frozen=True, slots=True)
class Baseline:
    """All accepted findings; `key` is the public name of the key that made the fingerprints."""

    key: str
    entries: tuple[BaselineEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """What a baseline says about findings: those that count, how many it hides, and its own entries that have ended."""

    findings: tuple[Finding, ...]
    accepted: int
    expired: tuple[BaselineEntry, ...]


class EntryState(StrEnum):
    """What an audit says about an entry."""

    CURRENT = "current"  # the finding is there, and accepted
    MOVED = "moved"  # the credential left this path and stands at another: accepted there
    EXPIRED = "expired"  # the end is over: the finding counts again
    VANISHED = "vanished"  # nothing like it was found: the entry can go


@dataclass(frozen=True, slots=True)
class AuditedEntry:
    """An entry, its state, and the finding that it stands for today."""

    entry: BaselineEntry
    state: EntryState
    finding: Finding | None = None


def judge(
    baseline: Baseline, findings: Sequence[Finding], today: dt.date, *, unread: Callable[[str], bool] | None = None
) -> BaselineResult:
    """Hide what is accepted today; name the entries whose end is over although their finding is still there.

    `unread` tells of an entry's path whether its file is there and was not looked at: then nobody knows that the credential
    has left it, and a copy elsewhere counts.
    """
    live = [entry for entry in baseline.entries if not entry.is_expired(today)]
    places = {entry.fingerprint for entry in live}
    anywhere = {entry.credential for entry in live if entry.path == ANYWHERE}
    heirs = {heir.fingerprint for heir in _find_heirs(live, findings, unread).values()}
    kept = tuple(f for f in findings if f.fingerprint not in places | heirs and f.credential not in anywhere)
    left = {f.fingerprint for f in kept} | {f.credential for f in kept}
    expired = tuple(entry for entry in baseline.entries if entry.is_expired(today) and entry.fingerprint in left)
    return BaselineResult(kept, len(findings) - len(kept), expired)


def _find_heirs(
    entries: Sequence[BaselineEntry], findings: Sequence[Finding], unread: Callable[[str], bool] | None = None
) -> dict[BaselineEntry, Finding]:
    """Return the finding that each entry follows to because its own path has lost the credential; each is taken once.

    One in HEAD comes first, then one in a file of the same name, then the first in the order given.
    """
    seen = {finding.fingerprint: finding.in_head for finding in findings}
    own = {entry.fingerprint for entry in entries}
    free: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.fingerprint not in own:
            free.setdefault(finding.credential, []).append(finding)
    heirs: dict[BaselineEntry, Finding] = {}
    for entry in entries:
        still_there = seen.get(entry.fingerprint)  # None: the scan has not seen the entry's own finding
        if entry.path == ANYWHERE or still_there:
            continue
        fitting = [one for one in free.get(entry.credential, ()) if one.in_head or still_there is None]
        if fitting and (still_there is False or unread is None or not unread(entry.path)):
            name = entry.path.rpartition("/")[2]
            heir = min(fitting, key=lambda one: (not one.in_head, one.first.path.rpartition("/")[2] != name))
            free[entry.credential].remove(heir)
            heirs[entry] = heir
    return heirs


def accept(
    baseline: Baseline,
    findings: Iterable[Finding],
    *,
    reason: str,
    author: str,
    today: dt.date,
    expires: dt.date | None = None,
    anywhere: bool = False,
) -> Baseline:
    """The baseline with these findings accepted; an entry for the same finding is replaced.

    Raises:
        ConfigError: no reason is given, or the end lies in the past.
    """
    if not reason.strip():
        raise ConfigError("accepting a finding needs a reason", hint="say why it is no risk: --reason 'revoked in May'")
    if expires is not None and expires < today:
        raise ConfigError(f"{expires.isoformat()} is in the past", hint="name a day to come")
    new = {
        fingerprint: BaselineEntry(
            fingerprint=fingerprint,
            credential=finding.credential,
            rule=finding.rule,
            path=ANYWHERE if anywhere else visible(finding.first.path),
            reason=visible(reason.strip()),
            author=visible(author),
            date=today.isoformat(),
            expires=expires.isoformat() if expires else "",
        )
        for finding in findings
        for fingerprint in [finding.credential if anywhere else finding.fingerprint]
    }
    kept = (entry for entry in baseline.entries if entry.fingerprint not in new)
    return Baseline(baseline.key, tuple(sorted([*kept, *new.values()])))


def choose(findings: Iterable[Finding], prefix: str) -> list[Finding]:
    """The findings whose fingerprint or credential starts with `prefix`: how `baseline add` names what it accepts.

    Raises:
        NotFoundError: there is none.
        ConfigError: the prefix is too short to mean one, or means several credentials.
    """
    _check_prefix(prefix)
    chosen = [f for f in findings if f.fingerprint.startswith(prefix) or f.credential.startswith(prefix)]
    if not chosen:
        raise NotFoundError(
            f"no finding starts with {visible(prefix)}", hint="`scan --format json` prints fingerprints"
        )
    if len({f.credential for f in chosen}) > 1:
        raise ConfigError(f"{visible(prefix)} means several credentials", hint="give more digits")
    return chosen


def remove(baseline: Baseline, prefix: str) -> tuple[Baseline, tuple[BaselineEntry, ...]]:
    """The baseline without the entries whose fingerprint or credential starts with `prefix`, and those entries.

    Raises:
        NotFoundError: there is none.
        ConfigError: the prefix is too short to mean one, or means several credentials.
    """
    _check_prefix(prefix)
    gone = tuple(e for e in baseline.entries if e.fingerprint.startswith(prefix) or e.credential.startswith(prefix))
    if not gone:
        raise NotFoundError(
            f"no accepted finding starts with {visible(prefix)}", hint="`scan baseline audit` lists all of them"
        )
    if len({entry.credential for entry in gone}) > 1:
        raise ConfigError(f"{visible(prefix)} means several credentials", hint="give more digits")
    return Baseline(baseline.key, tuple(entry for entry in baseline.entries if entry not in gone)), gone


def _check_prefix(prefix: str) -> None:
    if len(prefix) < SHORTEST_PREFIX:
        raise ConfigError(f"a fingerprint needs at least {SHORTEST_PREFIX} digits", hint="give more digits")


def audit(baseline: Baseline, findings: Sequence[Finding], today: dt.date) -> tuple[AuditedEntry, ...]:
    """The state of every entry, given all findings of a scan made without the baseline, in the order of the file."""
    places = {f.fingerprint: f for f in findings}
    elsewhere = {f.credential: f for f in reversed(findings)}
    heirs = _find_heirs(sorted(baseline.entries, key=lambda entry: entry.is_expired(today)), findings)

    def state(entry: BaselineEntry) -> AuditedEntry:
        if entry.path == ANYWHERE:
            finding = elsewhere.get(entry.credential)
        else:
            finding = heirs.get(entry, places.get(entry.fingerprint))
        if finding is None:
            return AuditedEntry(entry, EntryState.VANISHED)
        if entry.is_expired(today):
            return AuditedEntry(entry, EntryState.EXPIRED, finding)
        follows = finding.fingerprint != entry.fingerprint and entry.path != ANYWHERE
        return AuditedEntry(entry, EntryState.MOVED if follows else EntryState.CURRENT, finding)

    return tuple(state(entry) for entry in baseline.entries)


def drop_entries(baseline: Baseline, gone: Collection[BaselineEntry]) -> Baseline:
    """The baseline without these entries."""
    return Baseline(baseline.key, tuple(entry for entry in baseline.entries if entry not in gone))


def dumps(baseline: Baseline) -> str:
    """The file's text."""
    lines = [json.dumps(_as_json(entry), ensure_ascii=False) + ",\n" for entry in sorted(baseline.entries)]
    head = f'{{"schema": "{SCHEMA}",\n"key": {json.dumps(baseline.key)},\n"findings": [\n'
    return head + "".join(lines) + "null]}\n"


def _as_json(entry: BaselineEntry) -> dict[str, str]:
    values = {field.name: str(getattr(entry, field.name)) for field in fields(BaselineEntry)}
    return {name: value for name, value in values.items() if value or name in _REQUIRED}


_REQUIRED = ("fingerprint", "credential", "rule", "path", "reason")


def loads(text: str, name: str = BASELINE_FILE) -> Baseline:
    """The baseline in `text`; `name` is the file's name for errors, which never quote its content.

    Raises:
        ConfigError: it is not a baseline: where, and what to do.
    """
    if re.search(r"^(<<<<<<<|>>>>>>>) ", text, re.MULTILINE):
        raise ConfigError(
            f"{name} holds an unresolved merge", hint="keep the lines of both sides: one line is one finding"
        )
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ConfigError(f"{name}{line}: not JSON", hint="restore it from git, or `scan baseline create`") from None
    if not isinstance(body, dict) or body.get("schema") != SCHEMA:
        raise ConfigError(
            f"{name} is not a baseline of schema {SCHEMA}",
            hint="a report of gitleaks is read with `scan baseline import`",
        )
    key, findings = body.get("key"), body.get("findings")
    if not isinstance(key, str) or not re.fullmatch(r"[0-9a-f]{16}", key):
        raise ConfigError(f"{name}: `key` must name a fingerprint key: 16 hex digits", hint="restore it from git")
    if not isinstance(findings, list):
        raise ConfigError(f"{name}: `findings` must be a list", hint="restore it from git")
    entries: dict[str, BaselineEntry] = {}
    for number, item in enumerate(findings, start=1):
        if item is None:
            continue
        entry = _entry(item, f"{name}, finding {number}")
        other = entries.get(entry.fingerprint)
        entries[entry.fingerprint] = entry if other is None else _stricter(entry, other)
    return Baseline(key, tuple(sorted(entries.values())))


def _entry(item: Any, where: str) -> BaselineEntry:
    names = {field.name for field in fields(BaselineEntry)}
    if not isinstance(item, dict) or not all(isinstance(value, str) for value in item.values()):
        raise ConfigError(f"{where}: must be an object of strings", hint="restore it from git")
    if unknown := sorted(set(item) - names):
        raise ConfigError(
            f"{where}: unknown field {visible(unknown[0])!r}", hint=f"known are {', '.join(sorted(names))}"
        )
    if missing := [name for name in _REQUIRED if not item.get(name)]:
        raise ConfigError(f"{where}: {missing[0]!r} is missing", hint="restore it from git")
    for name in ("fingerprint", "credential"):
        if not _HASH.fullmatch(item[name]):
            raise ConfigError(f"{where}: {name!r} must be 32 hex digits", hint="restore it from git")
    if item.get("expires"):
        try:
            item["expires"] = dt.date.fromisoformat(item["expires"]).isoformat()
        except ValueError:
            raise ConfigError(f"{where}: 'expires' must be a day", hint="write YYYY-MM-DD") from None
    return BaselineEntry(**item)


def _stricter(one: BaselineEntry, other: BaselineEntry) -> BaselineEntry:
    """Of two entries for one finding, as a merge may leave them, the one that ends first."""
    return min(one, other, key=lambda entry: (entry.expires or "9999", entry))


def load(path: Path, *, most: int = 0) -> Baseline:
    """The baseline in a file; with `most`, one of at most so many bytes.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it cannot be read, is larger, or is not a baseline.
    """
    text = read_text(path, hint="`scan baseline create` makes one", most=most)
    return loads(text, str(path))


def save(path: Path, baseline: Baseline) -> None:
    """Write the file in one step: a reader sees the old text or the new one, also after a crash.

    Raises:
        ConfigError: it cannot be written; the old file is as it was.
    """
    aside = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        try:
            with aside.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(dumps(baseline))
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        reason = os_error_text(error)
        raise ConfigError(
            f"cannot write the baseline {path}: {reason}", hint="free the place, or name another"
        ) from None
