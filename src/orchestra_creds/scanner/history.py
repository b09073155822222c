"""Scans a repository's objects: each once, wherever it lies, reachable or not.

Guarantees: every blob, commit message and tag message of the object database is looked at, those of the stash, of the
reflog and of nothing at all too; the findings, and the objects that hold each, are those of scanning every object whole;
what could not be read is named in `skipped`; nothing is fetched. The result depends on the repository only, not on the
number of processes. Memory is bounded by the largest objects, not by the length of the history.
"""

import marshal
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from orchestra_creds.core.material import Material
from orchestra_creds.core.progress import NoProgress, Progress
from orchestra_creds.errors import PreconditionError
from orchestra_creds.scanner import attribution, workers
from orchestra_creds.scanner.chains import SCANNED, Scanner, Tally, scan_roots
from orchestra_creds.scanner.detection import Detection, Sighting
from orchestra_creds.scanner.engine import Engine
from orchestra_creds.scanner.finding import Place, ScanStats, Skipped
from orchestra_creds.scanner.git import Repository
from orchestra_creds.scanner.locate import locate_all, ordered
from orchestra_creds.scanner.pack import BLOB, BROKEN, COMMIT, DAMAGED, KINDS, Database, Pack, read_loose
from orchestra_creds.scanner.rule import Confidence

LIMIT = 256 << 20
"""Bytes of the largest object that is scanned when the operator sets no limit."""

JOB = 4 << 20
"""How much work one job is, in the unit of `Columns.weight`."""

LOOSE_JOB = 64
"""How many loose objects one job is."""

NAMED_JOB = 256
"""How many objects one job asks git for."""

WIDTHS = {"sha1": 20, "sha256": 32}
COMMIT_PATH = "COMMIT_MSG"
TAG_PATH = "TAG_MSG"
UNREACHABLE = "<unreachable>"
"""Paths of what has none: the message of a commit or a tag, and a blob that no commit reaches."""


class Spot(NamedTuple):
    """One detection in one object; `digest` names its `Text`."""

    digest: bytes
    start: int
    end: int
    line: int
    end_line: int
    column: int


class Text(NamedTuple):
    """A credential as it is written on a line: what all its spots share."""

    rule: int
    material: bytes
    confidence: int
    decoded: tuple[str, ...]
    note: str
    line: bytes
    match: bytes
    allow: str


@dataclass(slots=True)
class Collected:
    """What the objects hold: spots by object id, the texts they share, what could not be read."""

    spots: dict[bytes, list[Spot]] = field(default_factory=dict)
    kinds: dict[bytes, int] = field(default_factory=dict)
    texts: dict[bytes, Text] = field(default_factory=dict)
    failed: dict[bytes, str] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class HistoryResult:
    """What a scan of the history saw; `notes` say what limits its completeness without a failure."""

    sightings: tuple[Sighting, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    stats: ScanStats


def scan_history(
    repository: Repository,
    engine: Engine,
    *,
    since: str | None = None,
    jobs: int = 0,
    max_size: int = 0,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> HistoryResult:
    """Scans all objects, or those that HEAD reaches and `since` does not.

    jobs        processes; 0 asks for one per processor
    max_size    bytes of the largest object to scan; 0 means `LIMIT`; a larger one is named in `skipped`

    Raises:
        PreconditionError: `since` names no commit, or git is missing.
    """
    began = time.monotonic()
    jobs = jobs or os.cpu_count() or 1
    limit = max_size or LIMIT
    progress = progress or NoProgress()
    plan, revisions = _plan(repository, since)
    log = attribution.Log(repository, *revisions)
    try:
        collected = collect(plan, engine, jobs=jobs, limit=limit, progress=progress)
        sightings, whole = _attribute(repository, engine, collected, log)
    finally:
        log.close()
        progress.done()
    notes = []
    if repository.is_shallow:
        notes.append("the clone is shallow: what came before its first commits is not here")
    if not whole:
        notes.append("git could not walk all of the history: some commits and paths are unknown")
    return HistoryResult(
        tuple(sightings),
        tuple(sorted(collected.skipped, key=lambda one: (one.path, one.reason))),
        tuple(notes),
        ScanStats(collected.tally.objects, collected.tally.size, 0, time.monotonic() - began),
    )


# ---- what there is to do --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Plan:
    """All objects to look at. A job is a part of one of the three."""

    repository: Repository
    packs: list[Pack] = field(default_factory=list)
    roots: list[tuple[int, Sequence[int]]] = field(default_factory=list)
    loose: list[Path] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    objects: int = 0

    def jobs(self) -> list[tuple[int, Sequence[Any]]]:
        """(pack number, roots); (-1, loose files); (-2, ids to ask git for)."""
        return [
            *self.roots,
            *((-1, self.loose[at : at + LOOSE_JOB]) for at in range(0, len(self.loose), LOOSE_JOB)),
            *((-2, self.named[at : at + NAMED_JOB]) for at in range(0, len(self.named), NAMED_JOB)),
        ]


def _plan(repository: Repository, since: str | None) -> tuple[Plan, tuple[str, ...]]:
    if since is None:
        return plan_all(repository), ()
    start = repository.commit(since)
    if start is None:
        raise PreconditionError(f"no commit is called {since!r} here", hint="name a commit, branch or tag")
    if repository.head() is None:
        return Plan(repository), ("--no-walk=unsorted", start)
    revisions = ("HEAD", f"^{start}")
    out = repository.run("rev-list", "--objects", "--no-object-names", "--missing=print", *revisions, "--")
    oids = [oid.decode() for oid in out.split()]
    plan = Plan(repository, named=[oid for oid in oids if not oid.startswith("?")])
    plan.skipped += _missing(sum(oid.startswith("?") for oid in oids))
    plan.objects = len(plan.named)
    return plan, revisions


def plan_all(repository: Repository) -> Plan:
    """Every object of the database, those of alternates too, each at one of the places where it lies."""
    database = Database.open(repository.common_dir / "objects")
    plan = Plan(repository, loose=list(database.loose), objects=len(database.loose))
    width = WIDTHS[repository.object_format]
    for index in database.indexes:
        try:
            pack = Pack(index, width)
        except (ValueError, OSError) as error:
            plan.skipped.append(Skipped(f"objects/pack/{index.stem}.pack", str(error) or type(error).__name__))
            continue
        _plan_pack(plan, pack)
    if database.promised or _is_partial(repository):
        plan.skipped += _missing(_count_missing(repository))
    return plan


def _plan_pack(plan: Plan, pack: Pack) -> None:
    """Groups the roots of a pack into jobs of about the same work, large ones first so that none is left for the end."""
    number = len(plan.packs)
    known = plan.packs[:]
    plan.packs.append(pack)
    kind, parent, weight = pack.columns.kind, pack.columns.parent, pack.columns.weight
    kinds = bytes(kind)
    if BROKEN in kinds:
        plan.named += (pack.oid(number).hex() for number, one in enumerate(kinds) if one == BROKEN)
    roots = [root for root, (one, base) in enumerate(zip(kinds, parent, strict=True)) if base < 0 and one in SCANNED]
    jobs: list[list[int]] = []
    heavy: list[list[int]] = []
    work = JOB
    for root in roots:
        if known and _elsewhere(pack, root, known):
            continue
        if weight[root] >= JOB:
            heavy.append([root])
            continue
        if work >= JOB:
            jobs.append([])
            work = 0
        jobs[-1].append(root)
        work += weight[root]
    heavy.sort(key=lambda roots: (-weight[roots[0]], roots[0]))
    plan.roots += ((number, roots) for roots in heavy + jobs)
    plan.objects += sum(map(kinds.count, SCANNED))


def _elsewhere(pack: Pack, root: int, known: Iterable[Pack]) -> bool:
    """Whether all of a small tree is in a pack that is scanned anyhow."""
    if pack.columns.first[root] >= 0:
        return False
    oid = pack.oid(root)
    return any(other.find(oid) is not None for other in known)


def _is_partial(repository: Repository) -> bool:
    try:
        return b"partialclone" in (repository.common_dir / "config").read_bytes().lower()
    except OSError:
        return False


def _count_missing(repository: Repository) -> int:
    out = repository.run("rev-list", "--objects", "--all", "--reflog", "--no-object-names", "--missing=print", "--")
    return sum(line.startswith(b"?") for line in out.split(b"\n"))


def _missing(count: int) -> list[Skipped]:
    if not count:
        return []
    return [Skipped("objects", f"{count:,} objects of this partial clone are not here, and nothing is fetched")]


# ---- looking at it --------------------------------------------------------------------------------------------------


def collect(plan: Plan, engine: Engine, *, jobs: int, limit: int, progress: Progress) -> Collected:
    """Does all jobs of a plan, in `jobs` processes."""
    collected = Collected(skipped=list(plan.skipped))
    _run(plan, plan.jobs(), engine, collected, at_once=jobs, limit=limit, progress=progress)
    if collected.failed:  # another copy may be whole
        again = Plan(plan.repository, named=sorted(oid.hex() for oid in collected.failed))
        retried = Collected()
        _run(again, again.jobs(), engine, retried, at_once=1, limit=limit, progress=NoProgress())
        collected.spots |= retried.spots
        collected.kinds |= retried.kinds
        collected.texts |= retried.texts
        collected.skipped += retried.skipped
        for oid, reason in retried.failed.items():
            collected.skipped.append(Skipped(f"<object>/{oid.hex()}", collected.failed.get(oid) or reason))
    for oid in collected.spots:
        collected.spots[oid].sort()
    return collected


def _run(
    plan: Plan,
    jobs: list[tuple[int, Sequence[Any]]],
    engine: Engine,
    collected: Collected,
    *,
    at_once: int,
    limit: int,
    progress: Progress,
) -> None:
    key = os.urandom(16)
    scanner = Scanner(engine, limit)

    def serve(tokens: Iterator[range], answer: workers.Answer) -> None:
        worker = _Worker(plan, jobs, scanner, key)
        for token in tokens:
            for job in token:
                answer(worker.work(job))

    at_once = min(at_once, len(jobs))
    tokens = workers.tokens(len(jobs), at_once, 1)
    answers = workers.forked(serve, tokens, at_once) if at_once > 1 and workers.can_fork() else _here(serve, tokens)
    waiting = set(range(len(jobs)))
    for answer in answers:
        if len(waiting) == len(jobs):  # not before the processes were forked: a listener may run threads
            progress.start(items=plan.objects, size=None)
        if isinstance(answer, workers.Death):
            continue
        job, objects, size, texts, spots, failed, kinds = marshal.loads(answer)  # noqa: S302  from our own child
        waiting.discard(job)
        progress.advance(items=objects, size=size)
        progress.found(len(texts))
        collected.tally.objects += objects
        collected.tally.size += size
        collected.texts |= {digest: Text(*text) for digest, text in texts}
        collected.spots |= {oid: [Spot(*spot) for spot in found] for oid, found in spots}
        collected.kinds |= dict(kinds)
        collected.failed |= dict(failed)
    if waiting:
        count = sum(len(jobs[job][1]) for job in waiting)
        collected.skipped.append(
            Skipped("objects", f"a scanning process ended early: {count:,} groups of objects unread")
        )


def _here(serve: workers.Serve, tokens: list[range]) -> Iterator[bytes]:
    """The same in this process."""
    answers: list[bytes] = []
    for token in tokens:
        serve(iter([token]), answers.append)
        yield from answers
        answers.clear()


class _Worker:
    """Does jobs in one process."""

    def __init__(self, plan: Plan, jobs: list[tuple[int, Sequence[Any]]], scanner: Scanner, key: bytes) -> None:
        self._plan = plan
        self._jobs = jobs
        self._scanner = scanner
        self._index = {rule.id: index for index, rule in enumerate(scanner.engine.rules)}
        self._key = key
        self._sent: set[bytes] = set()
        self._tally = Tally()
        self._texts: list[tuple[bytes, Text]] = []
        self._spots: list[tuple[bytes, list[Spot]]] = []
        self._kinds: list[tuple[bytes, int]] = []
        self._failed: list[tuple[bytes, str]] = []

    def work(self, job: int) -> bytes:
        """Does one job; the answer, as `_run` reads it."""
        source, items = self._jobs[job]
        if source >= 0:
            self._pack(self._plan.packs[source], items)
        elif source == -1:
            self._loose(items)
        else:
            self._named(items)
        texts = [(digest, tuple(text)) for digest, text in self._texts]
        spots = [(oid, [tuple(spot) for spot in found]) for oid, found in self._spots]
        answer = marshal.dumps((job, self._tally.objects, self._tally.size, texts, spots, self._failed, self._kinds))
        self._tally = Tally()
        self._texts, self._spots, self._failed, self._kinds = [], [], [], []
        return answer

    def _pack(self, pack: Pack, roots: Sequence[int]) -> None:
        def hit(number: int, text: bytes, found: list[Detection]) -> None:
            self._hit(pack.oid(number), pack.columns.kind[number], text, found)

        def failed(number: int, reason: str) -> None:
            self._failed.append((pack.oid(number), reason))

        scan_roots(self._scanner, pack, roots, self._tally, hit, failed)

    def _loose(self, paths: Sequence[Path]) -> None:
        for path in paths:
            oid = bytes.fromhex(path.parent.name + path.name)
            try:
                kind, text = read_loose(path, self._scanner.limit)
            except OverflowError:
                self._failed.append((oid, f"larger than {self._scanner.limit:,} bytes"))
            except (*DAMAGED, OSError):
                self._failed.append((oid, "the object is damaged"))
            else:
                self._whole(oid, kind, text)

    def _named(self, oids: Sequence[str]) -> None:
        missing = dict.fromkeys(oids)
        try:
            for oid, kind, _, text in self._plan.repository.objects(oids, max_size=self._scanner.limit):
                del missing[oid]
                if text is None:
                    self._failed.append((bytes.fromhex(oid), f"larger than {self._scanner.limit:,} bytes"))
                else:
                    self._whole(bytes.fromhex(oid), KINDS[kind.encode()], text)
        except PreconditionError:  # git gave up: ask for what is left one by one
            if len(oids) > 1:
                for oid in missing:
                    self._named([oid])
                return
        self._failed += ((bytes.fromhex(oid), "the object is damaged or missing") for oid in missing)

    def _whole(self, oid: bytes, kind: int, text: bytes) -> None:
        if kind not in SCANNED:
            return
        self._tally.objects += 1
        self._tally.size += len(text)
        state = self._scanner.whole(text)
        if state.found:
            self._hit(oid, kind, text, list(state.found))

    def _hit(self, oid: bytes, kind: int, text: bytes, found: list[Detection]) -> None:
        spots = []
        for sighting in locate_all(text, self._scanner.engine.settle(found), ""):
            detection, place = sighting.detection, sighting.place
            shared = Text(
                self._index[detection.rule.id],
                detection.material.reveal(),
                int(detection.confidence),
                detection.decoded,
                detection.note,
                sighting.line.reveal(),
                sighting.match.reveal(),
                sighting.allow,
            )
            digest = blake2b(repr(shared).encode(), key=self._key, digest_size=16).digest()
            if digest not in self._sent:
                self._sent.add(digest)
                self._texts.append((digest, shared))
            spots.append(Spot(digest, detection.start, detection.end, place.line, place.end_line, place.column))
        self._spots.append((oid, spots))
        if kind != BLOB:
            self._kinds.append((oid, kind))


# ---- saying where it is ---------------------------------------------------------------------------------------------


class _Seen(NamedTuple):
    """A spot with its place; sorts by age, the newest commit last."""

    order: int
    oid: bytes
    commit: str
    spot: Spot


def _attribute(
    repository: Repository, engine: Engine, collected: Collected, log: attribution.Log
) -> tuple[list[Sighting], bool]:
    """The first and the last place of each text at each path, with commit, author and date."""
    blobs = {oid.hex().encode() for oid in collected.spots if oid not in collected.kinds}
    origins, whole = log.origins(blobs)
    by_text: dict[tuple[bytes, bytes], list[_Seen]] = {}
    for oid, spots in collected.spots.items():
        kind = collected.kinds.get(oid, BLOB)
        name = oid.hex()
        if kind != BLOB:
            path = (COMMIT_PATH if kind == COMMIT else TAG_PATH).encode()
            places = [attribution.Origin(0, name, path)]
        else:
            places = origins.get(name.encode(), [])
        for spot in spots:
            for place in places:
                by_text.setdefault((spot.digest, place.path), []).append(_Seen(place.order, oid, place.commit, spot))
            if not places:
                by_text.setdefault((spot.digest, b""), []).append(_Seen(0, oid, "", spot))
    chosen: list[tuple[bytes, _Seen]] = []
    for (_, path), seen in by_text.items():
        seen.sort()
        ends = [seen[0], seen[-1]] if path and seen[0].commit != seen[-1].commit else [seen[0]]
        chosen += ((path or f"{UNREACHABLE}/{ends[0].oid.hex()}".encode(), one) for one in ends)
    head = attribution.in_head(repository) if chosen else frozenset()
    people = attribution.persons(repository, sorted({one.commit for _, one in chosen if one.commit}))
    nobody = attribution.Person("", "")
    sightings = []
    for path, one in chosen:
        shared = collected.texts[one.spot.digest]
        who = people.get(one.commit, nobody)
        rule = engine.rules[shared.rule]
        detection = Detection(
            rule,
            one.spot.start,
            one.spot.end,
            one.spot.start,
            one.spot.end,
            Material(shared.material),
            Confidence(shared.confidence),
            tuple(shared.decoded),
            shared.note,
        )
        where = Place(
            os.fsdecode(path),
            one.spot.line,
            one.spot.end_line,
            one.spot.column,
            one.commit,
            who.author,
            who.date,
            (one.oid.hex().encode(), path) in head,
        )
        sightings.append(Sighting(detection, where, Material(shared.line), Material(shared.match), shared.allow))
    return ordered(sightings), whole
