"""Scans a repository's objects: each once, wherever it lies, reachable or not.

Guarantees: every blob, commit message and tag message of the object database is looked at, those of the stash, of the
reflog and of nothing at all too; the findings, and the objects that hold each, are those of scanning every object whole;
what could not be read is named in `skipped`; nothing is fetched. The result depends on the repository only, not on the
number of processes or on what was seen before. Memory is bounded by the largest objects, not by the length of the history.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from orchestra_creds.core.material import Material
from orchestra_creds.core.progress import NoProgress, Progress
from orchestra_creds.core.record import dataclass
from orchestra_creds.errors import PreconditionError
from orchestra_creds.scanner.content.archives import Limits
from orchestra_creds.scanner.content.explore import SEPARATOR, unpacked
from orchestra_creds.scanner.content.locate import ordered
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.finding import Place, ScanStats, Skipped
from orchestra_creds.scanner.git import attribution, scan_cache
from orchestra_creds.scanner.git.collect import Collected, Spot, Terms, Text, collect
from orchestra_creds.scanner.git.jobs import WIDTHS, Plan, plan_all, plan_since
from orchestra_creds.scanner.git.objects import Database
from orchestra_creds.scanner.git.pack import BLOB, COMMIT
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.git.scan_cache import Seen
from orchestra_creds.scanner.parallel import workers
from orchestra_creds.scanner.rule import Confidence, Rule

LIMIT = 256 << 20
"""Bytes of the largest object that is scanned when the operator sets no limit."""

COMMIT_PATH = "COMMIT_MSG"
TAG_PATH = "TAG_MSG"
UNREACHABLE = "<unreachable>"
"""Paths of what has none: the message of a commit or a tag, and a blob that no commit reaches."""

SHALLOW = Skipped(
    "history",
    "the clone is shallow, commits are missing; run `git fetch --unshallow` (in GitHub Actions: fetch-depth: 0)",
)
"""What a scan says about commits that were left out when the repository was cloned."""


@dataclass(frozen=True, slots=True)
class HistoryResult:
    """What a scan of the history saw."""

    sightings: tuple[Sighting, ...]
    skipped: tuple[Skipped, ...]
    stats: ScanStats


class Chosen(NamedTuple):
    """A spot that is reported, with its place in the history."""

    path: bytes
    commit: str
    oid: bytes
    spot: Spot
    author: str = ""
    date: str = ""
    in_head: bool = False


def scan_history(
    repository: Repository,
    engine: Engine,
    *,
    since: str | None = None,
    jobs: int = 0,
    max_size: int = 0,
    archives: Limits | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> HistoryResult:
    """Scans all objects, or those that HEAD reaches and `since` does not.

    jobs        processes; 0 asks for one per processor
    max_size    bytes of the largest object to scan; 0 means `LIMIT`; a larger one is named in `skipped`
    cache_dir   remembers what was seen; None looks at everything again
    meanwhile   called once, beside the processes

    Raises:
        PreconditionError: `since` names no commit, or git is missing.
    """
    began = time.monotonic()
    progress = progress or NoProgress()
    terms = Terms(jobs or workers.processors(), max_size or LIMIT, archives or Limits())
    try:
        if since is not None:
            result = _scan_since(repository, engine, since, terms, progress, meanwhile)
        else:
            result = _History(repository, engine, terms, cache_dir, progress, meanwhile).scan()
    finally:
        progress.done()
    collected, chosen, cached = result
    if not collected.tally.objects and not cached:
        repository.run("rev-parse", "--git-dir")  # empty, or nothing that git can read
    chosen.sort(key=lambda one: (one.date, one.commit, one.oid, one.spot.start))  # `ordered` leaves these as they are
    skipped = set(collected.skipped)
    if repository.is_shallow and since is None:
        skipped.add(SHALLOW)
    return HistoryResult(
        tuple(ordered([_sighting(one, collected.texts[one.spot.digest], engine.rules) for one in chosen])),
        tuple(sorted(skipped, key=lambda one: (one.path, one.reason))),
        ScanStats(collected.tally.objects, collected.tally.size, cached, time.monotonic() - began),
    )


_Result = tuple[Collected, list[Chosen], int]


def _walked(collected: Collected, *, whole: bool) -> Collected:
    """What was collected; places that git could not tell are part of what was not looked at."""
    if not whole:
        reason = "git could not walk all of it: some commits and paths of findings are unknown"
        collected.skipped.append(Skipped("history", reason))
    return collected


def _scan_since(
    repository: Repository,
    engine: Engine,
    since: str,
    terms: Terms,
    progress: Progress,
    meanwhile: Callable[[], None],
) -> _Result:
    """What HEAD reaches and `since` does not: the content that a branch adds."""
    start = repository.commit(since)
    if start is None:
        raise PreconditionError(f"no commit is called {since!r} here", hint="name a commit, branch or tag")
    revisions = ("HEAD", f"^{start}")
    if repository.head() is None:
        return Collected(), [], 0
    log = attribution.Log(repository, *revisions)
    try:
        plan = plan_since(repository, revisions)
        cut = repository.shallow_commits()
        if repository.is_shallow and (not cut or not cut.isdisjoint(plan.named)):
            plan.skipped.append(SHALLOW)
        collected = collect(plan, engine, terms, progress=progress, meanwhile=meanwhile)
        chosen, whole = choose(repository, collected, log)
    finally:
        log.close()
    return _walked(collected, whole=whole), chosen, 0


class _History:
    """One scan of everything, with what an earlier one remembered."""

    def __init__(
        self,
        repository: Repository,
        engine: Engine,
        terms: Terms,
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
        database = Database.open(self._repository.common_dir / "objects")
        special = self._repository.special_files()
        if special:
            return self._unaided(database, [Skipped(*one) for one in special])
        now, before, name = Seen(), Seen(), ""
        if self._folder is not None:
            now = Seen(
                packs=_pack_keys(database, WIDTHS[self._repository.object_format]),
                loose=[path.parent.name + path.name for path in database.loose],
                refs=scan_cache.refs_digest(self._repository.refs()),
            )
            name = scan_cache.file_name(
                self._repository.common_dir, self._engine.rules, self._terms.limit, self._terms.archives
            )
            before = scan_cache.load(self._folder, name) or Seen()
        if not (set(before.packs) <= set(now.packs) and set(before.loose) <= set(now.loose)):
            before = Seen()  # what is gone may have held what was found
        plan = self._plan(database, before, now)
        revived = Collected() if plan.unaided else self._revive(before)
        if revived is None:
            before, revived = Seen(), Collected()
            plan = self._plan(database, before, now)
        if plan.unaided:
            return self._unaided(database, [])
        result, whole = self._look(plan, before, revived, now)
        collected, chosen, cached = result
        if self._folder is not None and not collected.skipped:
            now.whole, now.objects = whole, cached + collected.tally.objects
            _remember(now, collected, chosen, self._engine.rules)
            scan_cache.store(self._folder, name, now)
        return result

    def _plan(self, database: Database, before: Seen, now: Seen) -> Plan:
        done = dict(zip(now.packs, database.indexes, strict=False))
        return plan_all(
            self._repository,
            database,
            without={done[key] for key in before.packs},
            known=frozenset(before.loose),
        )

    def _unaided(self, database: Database, special: Iterable[Skipped]) -> _Result:
        """Look at everything without git, which would never come to an end: places in the history stay unknown."""
        plan = plan_all(self._repository, database, unaided=True)
        plan.skipped += special
        collected = collect(
            plan, self._engine, self._terms, key=self._key, progress=self._progress, meanwhile=self._meanwhile
        )
        chosen, whole = choose(self._repository, collected, None)
        return _walked(collected, whole=whole), chosen, 0

    def _look(self, plan: Plan, before: Seen, revived: Collected, now: Seen) -> tuple[_Result, bool]:
        log = attribution.Log(self._repository)
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
            if before.refs and before.refs == now.refs and not collected.spots:
                chosen, whole = _chosen_before(before, revived), before.whole
                _merge(collected, revived)
            else:
                _merge(collected, revived)
                chosen, whole = choose(self._repository, collected, log)
        finally:
            log.close()
        return (_walked(collected, whole=whole), chosen, before.objects), whole

    def _revive(self, before: Seen) -> Collected | None:
        """What was found before, with its texts read again; None when the repository no longer says the same."""
        if not before.groups:
            return Collected()
        oids = sorted({oid for oid, *_ in before.groups})
        again = collect(Plan(self._repository, named=oids), self._engine, self._terms, key=self._key)
        rules = {rule.id: index for index, rule in enumerate(self._engine.rules)}
        digests = []
        for oid, rule, start, end, inner in before.groups:
            for spot in again.spots.get(bytes.fromhex(oid), ()):
                same = (spot.start, spot.end, spot.inner) == (start, end, inner)
                if same and again.texts[spot.digest].rule == rules.get(rule):
                    digests.append(spot.digest)
                    break
            else:
                return None
        revived = Collected(texts=again.texts)
        for oid, spots in before.spots.items():
            revived.spots[bytes.fromhex(oid)] = [Spot(digests[group], *rest) for group, *rest in spots]
        revived.kinds = {bytes.fromhex(oid): kind for oid, kind in before.kinds.items()}
        return revived


def _pack_keys(database: Database, width: int) -> list[str]:
    return [scan_cache.pack_key(index, width) for index in database.indexes]


def _merge(collected: Collected, more: Collected) -> None:
    collected.spots |= more.spots
    collected.kinds |= more.kinds
    collected.texts |= more.texts


def _remember(now: Seen, collected: Collected, chosen: Iterable[Chosen], rules: Sequence[Rule]) -> None:
    """Puts down where something was found, under numbers that say nothing about it."""
    numbers: dict[bytes, int] = {}

    def number(oid: bytes, spot: Spot) -> int:
        if spot.digest not in numbers:
            numbers[spot.digest] = len(numbers)
            rule = rules[collected.texts[spot.digest].rule].id
            now.groups.append([oid.hex(), rule, spot.start, spot.end, spot.inner])
        return numbers[spot.digest]

    for one in chosen:
        group = number(one.oid, one.spot)
        place = [one.path.decode("latin-1"), one.commit, one.author, one.date, one.in_head]
        now.chosen.append([group, one.oid.hex(), *place, *one.spot[1:]])
    for oid, spots in collected.spots.items():
        now.spots[oid.hex()] = [[number(oid, spot), *spot[1:]] for spot in spots]
    now.kinds = {oid.hex(): kind for oid, kind in collected.kinds.items()}


def _chosen_before(before: Seen, revived: Collected) -> list[Chosen]:
    digest_of = {}
    for oid, spots in before.spots.items():
        for stored, spot in zip(spots, revived.spots[bytes.fromhex(oid)], strict=True):
            digest_of[stored[0]] = spot.digest
    return [
        Chosen(path.encode("latin-1"), commit, bytes.fromhex(oid), Spot(digest_of[group], *spot), author, date, in_head)
        for group, oid, path, commit, author, date, in_head, *spot in before.chosen
    ]


class _Seen(NamedTuple):
    """A spot at a place; sorts by age, the newest commit last."""

    order: int
    oid: bytes
    commit: str
    spot: Spot


def choose(repository: Repository, collected: Collected, log: attribution.Log | None) -> tuple[list[Chosen], bool]:
    """The first and the last place of each text at each path; False when git could not walk all of the history.

    Without a log git is not asked, and only the objects are known.
    """
    blobs = {oid.hex().encode() for oid in collected.spots if oid not in collected.kinds}
    origins, whole = log.origins(blobs) if log is not None else ({}, not blobs)
    places: dict[tuple[bytes, bytes, str], list[_Seen]] = {}
    for oid, spots in collected.spots.items():
        name = oid.hex()
        came = origins.get(name.encode(), [])
        if (kind := collected.kinds.get(oid, BLOB)) != BLOB:
            message = COMMIT_PATH if kind == COMMIT else TAG_PATH
            came = [attribution.Origin(0, name, message.encode())]
        for spot in spots:
            for origin in came or [attribution.Origin(0, "", b"")]:
                group = places.setdefault((spot.digest, origin.path, spot.inner), [])
                group.append(_Seen(origin.order, oid, origin.commit, spot))
    chosen: list[Chosen] = []
    for (_, path, inner), spotted in places.items():
        spotted.sort()
        first, last = spotted[0], spotted[-1]
        shown = (path or f"{UNREACHABLE}/{first.oid.hex()}".encode()) + os.fsencode(inner)
        chosen += (Chosen(shown, one.commit, one.oid, one.spot) for one in ([first, last] if path else [first]))
    chosen = list(dict.fromkeys(chosen))
    return chosen if log is None else _signed(repository, collected, chosen, log), whole


def _signed(repository: Repository, collected: Collected, chosen: list[Chosen], log: attribution.Log) -> list[Chosen]:
    """With the author and date of each commit, and whether the blob is still at its path in HEAD."""
    if not chosen:
        return []
    head = log.in_head(_file(one) for one in chosen if one.oid not in collected.kinds)
    texts = repository.texts(sorted({one.commit for one in chosen if one.commit}))
    signed = []
    for one in chosen:
        text = texts.get(one.commit, b"")
        person = attribution.person(text)
        spot = one.spot
        if one.oid in collected.kinds:  # lines of a message count from its own first
            above = text.partition(b"\n\n")[0].count(b"\n") + 2
            spot = spot._replace(line=max(spot.line - above, 1), end_line=max(spot.end_line - above, 1))
        signed.append(one._replace(spot=spot, author=person.author, date=person.date, in_head=_file(one) in head))
    return signed


def _file(one: Chosen) -> tuple[bytes, bytes]:
    """Id and path of the file, without the way into an archive."""
    return one.oid.hex().encode(), one.path[: len(one.path) - len(os.fsencode(one.spot.inner))]


def _named(one: Chosen) -> str:
    """The path with the way into an archive; what a compressed file holds is called after that file, which a blob is not."""
    path, inner = os.fsdecode(one.path), one.spot.inner
    if inner != SEPARATOR and not inner.startswith(2 * SEPARATOR):
        return path
    file = path[: len(path) - len(inner)]
    return f"{file}{SEPARATOR}{unpacked(file)}{inner[1:]}"


def _sighting(one: Chosen, text: Text, rules: Sequence[Rule]) -> Sighting:
    spot = one.spot
    detection = Detection(
        rules[text.rule],
        spot.start,
        spot.end,
        spot.start,
        spot.end,
        Material(text.material),
        Confidence(text.confidence),
        tuple(text.decoded),
        text.note,
    )
    where = Place(_named(one), spot.line, spot.end_line, spot.column, one.commit, one.author, one.date, one.in_head)
    return Sighting(detection, where, Material(text.line), Material(text.match), text.allow)
