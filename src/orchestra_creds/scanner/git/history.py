"""Scans a repository's objects: each once, wherever it lies, reachable or not.

Guarantees: every blob, commit message and tag message of the object database is looked at, those of the stash, of the
reflog and of nothing at all too; the findings, and the objects that hold each, are those of scanning every object whole;
what could not be read is named in `skipped`; nothing is fetched. The result depends on the repository only, not on the
number of processes or on what was seen before. Memory is bounded by the largest objects, not by the length of the history.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from orchestra_creds.core.material import Material
from orchestra_creds.core.progress import NoProgress, Progress
from orchestra_creds.core.record import dataclass
from orchestra_creds.errors import PreconditionError
from orchestra_creds.scanner import absence
from orchestra_creds.scanner.content.archives import ArchiveLimits
from orchestra_creds.scanner.content.explore import MEMBER_MARK, unpacked_name
from orchestra_creds.scanner.content.locate import sort_sightings
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.finding import FindingPlace, ScanStats, SkippedItem
from orchestra_creds.scanner.git import attribution, scan_cache, stored_spans
from orchestra_creds.scanner.git.collect import (
    CollectionResult,
    CollectOptions,
    CredentialText,
    ReportedSpan,
    TextSpan,
    collect,
)
from orchestra_creds.scanner.git.jobs import WIDTHS, JobList, plan_all, plan_since
from orchestra_creds.scanner.git.objects import ObjectDatabase
from orchestra_creds.scanner.git.pack import BLOB, COMMIT
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.git.scan_cache import ScanCache
from orchestra_creds.scanner.parallel import workers
from orchestra_creds.scanner.rule import Confidence, Rule

LIMIT = 256 << 20
"""Bytes of the largest object that is scanned when the operator sets no limit."""

COMMIT_PATH = "COMMIT_MSG"
TAG_PATH = "TAG_MSG"
UNREACHABLE = "<unreachable>"
"""Paths of what has none: the message of a commit or a tag, and a blob that no commit reaches."""

SHALLOW = SkippedItem(
    "history",
    "the clone is shallow, commits are missing; run `git fetch --unshallow` (in GitHub Actions: fetch-depth: 0)",
    absence.SHALLOW,
)
"""What a scan says about commits that were left out when the repository was cloned."""


@dataclass(frozen=True, slots=True)
class HistoryResult:
    """What a scan of the history saw.

    Attributes:
        pointers: Size in bytes of each large file that a pointer of Git LFS stands for, by the id of the file.
        unaided: Whether git must not be asked for an object of the repository: it would never answer, or take all memory.
    """

    sightings: tuple[Sighting, ...]
    skipped: tuple[SkippedItem, ...]
    stats: ScanStats
    pointers: Mapping[str, int]
    unaided: bool


def scan_history(
    repository: Repository,
    engine: Engine,
    *,
    since: str | None = None,
    jobs: int = 0,
    max_size: int = 0,
    archives: ArchiveLimits | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> HistoryResult:
    """Scans all objects, or those that HEAD reaches and `since` does not; `since` may also be `FROM..TO`, with TO instead of HEAD.

    jobs        processes; 0 asks for one per processor
    max_size    bytes of the largest object to scan; 0 means `LIMIT`; a larger one is named in `skipped`
    cache_dir   remembers what was seen; None looks at everything again
    meanwhile   called once, beside the processes

    Raises:
        PreconditionError: `since` names no commit, or git is missing.
    """
    began = time.monotonic()
    progress = progress or NoProgress()
    terms = CollectOptions(jobs or workers.processors(), max_size or LIMIT, archives or ArchiveLimits())
    try:
        if since is not None:
            result = _scan_since(repository, engine, since, terms, progress, meanwhile)
        else:
            result = _FullHistoryScan(repository, engine, terms, cache_dir, progress, meanwhile).scan()
    finally:
        progress.finish()
    collected, chosen, cached = result
    if not collected.tally.objects and not cached:
        repository.run("rev-parse", "--git-dir")  # empty, or nothing that git can read
    chosen.sort(
        key=lambda one: (one.date, one.commit, one.oid, one.span.start)
    )  # `sort_sightings` leaves these as they are
    skipped = set(collected.skipped)
    if repository.is_shallow and since is None:
        skipped.add(SHALLOW)
    return HistoryResult(
        tuple(sort_sightings([_sighting(one, collected.texts[one.span.digest], engine.rules) for one in chosen])),
        tuple(sorted(skipped, key=lambda one: (one.path, one.reason))),
        ScanStats(collected.tally.objects, collected.tally.size, cached, time.monotonic() - began),
        collected.pointers,
        collected.unaided,
    )


_Result = tuple[CollectionResult, list[ReportedSpan], int]


def _note_incomplete_walk(collected: CollectionResult, *, whole: bool) -> CollectionResult:
    """What was collected; places that git could not tell are part of what was not looked at."""
    if not whole:
        reason = "git could not walk all of it: some commits and paths of findings are unknown"
        collected.skipped.append(SkippedItem("history", reason))
    return collected


def _scan_since(
    repository: Repository,
    engine: Engine,
    since: str,
    terms: CollectOptions,
    progress: Progress,
    meanwhile: Callable[[], None],
) -> _Result:
    """What HEAD, or TO of `FROM..TO`, reaches and `since` does not: the content that a branch adds."""
    first, _, last = since.partition("..")
    start, end = repository.commit(first), repository.commit(last or "HEAD")
    for name, commit in ((first, start), (last, end)):
        if name and commit is None:
            raise PreconditionError(f"no commit is called {name!r} here", hint="name a commit, branch or tag")
    if repository.head() is None or end is None:
        return CollectionResult(), [], 0
    revisions = (end, f"^{start}")
    log = attribution.CommitLog(repository, *revisions)
    try:
        plan = plan_since(repository, revisions)
        cut = repository.shallow_commits()
        if repository.is_shallow and (not cut or not cut.isdisjoint(plan.named)):
            plan.skipped.append(SHALLOW)
        collected = collect(plan, engine, terms, progress=progress, meanwhile=meanwhile)
        chosen, whole = choose(repository, collected, log)
    finally:
        log.close()
    return _note_incomplete_walk(collected, whole=whole), chosen, 0


class _FullHistoryScan:
    """One scan of everything, with what an earlier one remembered."""

    def __init__(
        self,
        repository: Repository,
        engine: Engine,
        terms: CollectOptions,
        cache_dir: Path | None,
        progress: Progress,
        meanwhile: Callable[[], None],
    ) -> None:
        self._repository = repository
        self._engine = engine
        self._terms = terms
        self._folder = cache_dir
        self._progress = progress
        self._meanwhile = meanwhile
        self._key = os.urandom(16)

    def scan(self) -> _Result:
        """Looks at what is new, reads again what is to be reported."""
        database = ObjectDatabase.open(self._repository.common_dir / "objects")
        special = self._repository.special_files()
        if special:
            return self._scan_without_git(database, [SkippedItem(*one) for one in special])
        now, before, name = ScanCache(), ScanCache(), ""
        if self._folder is not None:
            now = ScanCache(
                packs=_pack_keys(database, WIDTHS[self._repository.object_format]),
                loose=sorted(database.loose),
                refs=scan_cache.refs_digest(self._repository.refs()),
            )
            name = scan_cache.file_name(
                self._repository.common_dir, self._engine.rules, self._terms.limit, self._terms.archives
            )
            before = scan_cache.load(self._folder, name) or ScanCache()
        if not (set(before.packs) <= set(now.packs) and set(before.loose) <= set(now.loose)):
            before = ScanCache()  # what is gone may have held what was found
        plan = self._plan(database, before, now)
        revived = CollectionResult() if plan.unaided else self._revive(before)
        if revived is None:
            before, revived = ScanCache(), CollectionResult()
            plan = self._plan(database, before, now)
        if plan.unaided:
            return self._scan_without_git(database, [])
        result, whole = self._scan_new_objects(plan, before, revived, now)
        collected, chosen, cached = result
        collected.pointers = before.pointers | collected.pointers
        if self._folder is not None and not collected.skipped:
            now.whole, now.objects = whole, cached + collected.tally.objects
            stored_spans.store(now, collected, chosen, self._engine.rules)
            scan_cache.store(self._folder, name, now)
        return result

    def _plan(self, database: ObjectDatabase, before: ScanCache, now: ScanCache) -> JobList:
        done = dict(zip(now.packs, database.indexes, strict=False))
        return plan_all(
            self._repository,
            database,
            without={done[key] for key in before.packs},
            known=frozenset(before.loose),
        )

    def _scan_without_git(self, database: ObjectDatabase, special: Iterable[SkippedItem]) -> _Result:
        """Look at everything without git, which would never come to an end: places in the history stay unknown."""
        plan = plan_all(self._repository, database, unaided=True)
        plan.skipped += special
        collected = collect(
            plan, self._engine, self._terms, key=self._key, progress=self._progress, meanwhile=self._meanwhile
        )
        collected.unaided = True
        chosen, whole = choose(self._repository, collected, None)
        return _note_incomplete_walk(collected, whole=whole), chosen, 0

    def _scan_new_objects(
        self, plan: JobList, before: ScanCache, revived: CollectionResult, now: ScanCache
    ) -> tuple[_Result, bool]:
        log = attribution.CommitLog(self._repository)
        try:
            collected = collect(
                plan,
                self._engine,
                self._terms,
                key=self._key,
                progress=self._progress,
                found=log.start,
                meanwhile=self._meanwhile,
            )
            if before.refs and before.refs == now.refs and not collected.spans:
                chosen, whole = stored_spans.restore_reported(before, revived), before.whole
                _merge(collected, revived)
            else:
                _merge(collected, revived)
                chosen, whole = choose(self._repository, collected, log)
        finally:
            log.close()
        return (_note_incomplete_walk(collected, whole=whole), chosen, before.objects), whole

    def _revive(self, before: ScanCache) -> CollectionResult | None:
        """What was found before, with its texts read again; None when the repository no longer says the same."""
        if not before.groups:
            return CollectionResult()
        oids = sorted({group.oid for group in before.groups})
        again = collect(JobList(self._repository, named=oids), self._engine, self._terms, key=self._key)
        return stored_spans.restore(before, again, self._engine.rules)


def _pack_keys(database: ObjectDatabase, width: int) -> list[str]:
    return [scan_cache.pack_key(index, width) for index in database.indexes]


def _merge(collected: CollectionResult, more: CollectionResult) -> None:
    collected.spans |= more.spans
    collected.kinds |= more.kinds
    collected.texts |= more.texts


class _SpanAppearance(NamedTuple):
    """A spot at a place; sorts by age, the newest commit last."""

    order: int
    oid: bytes
    commit: str
    span: TextSpan


def choose(
    repository: Repository, collected: CollectionResult, log: attribution.CommitLog | None
) -> tuple[list[ReportedSpan], bool]:
    """The first and the last place of each text at each path; False when git could not walk all of the history.

    Without a log git is not asked, and only the objects are known.
    """
    blobs = {oid.hex().encode() for oid in collected.spans if oid not in collected.kinds}
    origins, whole = log.origins(blobs) if log is not None else ({}, not blobs)
    places: dict[tuple[bytes, bytes, str], list[_SpanAppearance]] = {}
    for oid, spans in collected.spans.items():
        name = oid.hex()
        came = origins.get(name.encode(), [])
        if (kind := collected.kinds.get(oid, BLOB)) != BLOB:
            message = COMMIT_PATH if kind == COMMIT else TAG_PATH
            came = [attribution.BlobOrigin(0, name, message.encode())]
        for span in spans:
            for origin in came or [attribution.BlobOrigin(0, "", b"")]:
                group = places.setdefault((span.digest, origin.path, span.inner), [])
                group.append(_SpanAppearance(origin.order, oid, origin.commit, span))
    chosen: list[ReportedSpan] = []
    for (_, path, inner), spotted in places.items():
        spotted.sort()
        first, last = spotted[0], spotted[-1]
        shown = (path or f"{UNREACHABLE}/{first.oid.hex()}".encode()) + os.fsencode(inner)
        chosen += (ReportedSpan(shown, one.commit, one.oid, one.span) for one in ([first, last] if path else [first]))
    chosen = list(dict.fromkeys(chosen))
    return chosen if log is None else _add_authors(repository, collected, chosen, log), whole


def _add_authors(
    repository: Repository, collected: CollectionResult, chosen: list[ReportedSpan], log: attribution.CommitLog
) -> list[ReportedSpan]:
    """With the author and date of each commit, and whether the blob is still at its path in HEAD."""
    if not chosen:
        return []
    head = log.in_head(_file(one) for one in chosen if one.oid not in collected.kinds)
    texts = repository.texts(sorted({one.commit for one in chosen if one.commit}))
    signed = []
    for one in chosen:
        text = texts.get(one.commit, b"")
        person = attribution.commit_author(text)
        span = one.span
        if one.oid in collected.kinds:  # lines of a message count from its own first
            above = text.partition(b"\n\n")[0].count(b"\n") + 2
            span = span._replace(line=max(span.line - above, 1), end_line=max(span.end_line - above, 1))
        signed.append(one._replace(span=span, author=person.author, date=person.date, in_head=_file(one) in head))
    return signed


def _file(one: ReportedSpan) -> tuple[bytes, bytes]:
    """Id and path of the file, without the way into an archive."""
    return one.oid.hex().encode(), one.path[: len(one.path) - len(os.fsencode(one.span.inner))]


def _full_path(one: ReportedSpan) -> str:
    """The path with the way into an archive; what a compressed file holds is called after that file, which a blob is not."""
    path, inner = os.fsdecode(one.path), one.span.inner
    if inner != MEMBER_MARK and not inner.startswith(2 * MEMBER_MARK):
        return path
    file = path[: len(path) - len(inner)]
    return f"{file}{MEMBER_MARK}{unpacked_name(file)}{inner[1:]}"


def _sighting(one: ReportedSpan, text: CredentialText, rules: Sequence[Rule]) -> Sighting:
    span = one.span
    detection = Detection(
        rules[text.rule],
        span.start,
        span.end,
        span.start,
        span.end,
        Material(text.material),
        Confidence(text.confidence),
        tuple(text.decoded),
        text.note,
    )
    where = FindingPlace(
        _full_path(one), span.line, span.end_line, span.column, one.commit, one.author, one.date, one.in_head
    )
    return Sighting(detection, where, Material(text.line), Material(text.match), text.allow)
