"""Does the jobs of a plan, in several processes, and gathers what the objects hold.

Guarantees: what is gathered depends on the repository only, not on the number of processes; an object that could not be
read is asked of git again, for another copy may be whole, unless the plan is `unaided` or the object is too large, and
named if that fails too; a process that ended early is named with the objects it leaves unread. Sightings do not travel one by one: a credential's text crosses the private pipe
once, then only offsets and lines do.
"""

import marshal
import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from orchestra_creds.core.progress import NoProgress, Progress
from orchestra_creds.core.record import dataclass, field
from orchestra_creds.core.text import os_error_text
from orchestra_creds.errors import PreconditionError
from orchestra_creds.scanner.buffers import LFS_START, MAGIC_STARTS, SAMPLE, SPECIAL_STARTS, ZIP_END, ZIP_END_SIZE
from orchestra_creds.scanner.content.archives import ArchiveLimits
from orchestra_creds.scanner.content.explore import Explorer, ExploreResult
from orchestra_creds.scanner.content.formats import HEAD, ends_as_zip
from orchestra_creds.scanner.content.lfs import read_pointer
from orchestra_creds.scanner.content.locate import locate_all
from orchestra_creds.scanner.decoding.encoding import wide
from orchestra_creds.scanner.detection import Sighting
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.git.delta_scan import SCANNED, DeltaScanner, ScanTally, TextResult, scan_roots
from orchestra_creds.scanner.git.jobs import LOOSE, Job, JobList
from orchestra_creds.scanner.git.objects import KINDS, loose_path, read_loose
from orchestra_creds.scanner.git.pack import BLOB, DAMAGED, Pack
from orchestra_creds.scanner.git.watch import GitStalledError
from orchestra_creds.scanner.parallel import workers

_TAR_MAGIC = 257


class TextSpan(NamedTuple):
    """One detection in one object. `digest` names its `CredentialText`; `inner` is the way into an archive, "" outside of one."""

    digest: bytes
    start: int
    end: int
    line: int
    end_line: int
    column: int
    inner: str = ""


class ReportedSpan(NamedTuple):
    """A spot that is reported, with its place in the history."""

    path: bytes
    commit: str
    oid: bytes
    span: TextSpan
    author: str = ""
    date: str = ""
    in_head: bool = False


class CredentialText(NamedTuple):
    """A credential as it is written on a line: what all its spots share. `rule` is a position among the rules."""

    rule: int
    material: bytes
    confidence: int
    decoded: tuple[str, ...]
    note: str
    line: bytes
    match: bytes
    allow: str


@dataclass(slots=True)
class CollectionResult:
    """What the objects hold, by id.

    Attributes:
        kinds: The kinds of objects that are no blobs.
        pointers: Size in bytes of each large file that a pointer of Git LFS stands for, by the id of the file.
        unaided: Whether git could not be asked for objects.
    """

    spans: dict[bytes, list[TextSpan]] = field(default_factory=dict)
    kinds: dict[bytes, int] = field(default_factory=dict)
    texts: dict[bytes, CredentialText] = field(default_factory=dict)
    failed: dict[bytes, str] = field(default_factory=dict)
    pointers: dict[str, int] = field(default_factory=dict)
    skipped: list[SkippedItem] = field(default_factory=list)
    tally: ScanTally = field(default_factory=ScanTally)
    unaided: bool = False


@dataclass(frozen=True, slots=True)
class CollectOptions:
    """How a collection is done: processes at once, bytes of the largest object, how deep to look into archives."""

    jobs: int
    limit: int
    archives: ArchiveLimits


def collect(
    plan: JobList,
    engine: Engine,
    terms: CollectOptions,
    *,
    key: bytes | None = None,
    progress: Progress | None = None,
    found: Callable[[], None] = lambda: None,
    meanwhile: Callable[[], None] = lambda: None,
) -> CollectionResult:
    """Does all jobs of a plan. `key` makes the digests of texts; `found` is told when there is something.

    `meanwhile` is called once, when the first job is done.
    """
    key = key or os.urandom(16)
    collected = CollectionResult(skipped=list(plan.skipped))
    _run(plan, engine, terms, collected, key, progress or NoProgress(), found, meanwhile)
    if collected.failed:
        _ask_again(plan, engine, terms, collected, key, found)
    for spans in collected.spans.values():
        spans.sort()
    return collected


def _ask_again(
    plan: JobList,
    engine: Engine,
    terms: CollectOptions,
    collected: CollectionResult,
    key: bytes,
    found: Callable[[], None],
) -> None:
    """Ask git for the objects that could not be read, and name those that it cannot read either."""
    first = collected.failed
    if not plan.unaided:
        again = JobList(plan.repository, named=sorted(oid.hex() for oid in collected.failed))
        collected.failed = {}
        _run(
            again,
            engine,
            CollectOptions(1, terms.limit, terms.archives),
            collected,
            key,
            NoProgress(),
            found,
            lambda: None,
        )
    collected.skipped += (SkippedItem(f"object {oid.hex()}", first.get(oid, "")) for oid in collected.failed)


def _run(
    plan: JobList,
    engine: Engine,
    terms: CollectOptions,
    collected: CollectionResult,
    key: bytes,
    progress: Progress,
    found: Callable[[], None],
    meanwhile: Callable[[], None],
) -> None:
    jobs = plan.jobs()
    waiting = set(range(len(jobs)))
    for answer in _answers(jobs, plan, engine, terms, key):
        if len(waiting) == len(jobs):  # not before the processes were forked: a listener may run threads
            progress.start(items=plan.objects, size=None)
            meanwhile()
        if isinstance(answer, workers.WorkerDeath):
            continue
        job, objects, size, texts, spans, *rest = marshal.loads(answer)  # noqa: S302  written by our own child
        waiting.discard(job)
        progress.advance(items=objects, size=size)
        collected.tally.objects += objects
        collected.tally.size += size
        if spans:
            progress.add_findings(len(texts))
            found()
        collected.texts |= {digest: CredentialText(*text) for digest, text in texts}
        collected.spans |= {oid: [TextSpan(*span) for span in some] for oid, some in spans}
        kinds, failed, pointers, skipped = rest
        collected.pointers |= dict(pointers)
        collected.kinds |= dict(kinds)
        collected.failed |= dict(failed)
        collected.skipped += (SkippedItem(*one) for one in skipped)
    if waiting:
        count = sum(len(jobs[job][1]) for job in waiting)
        collected.skipped.append(
            SkippedItem("objects", f"a scanning process ended early: {count:,} groups were not read")
        )


def _answers(
    jobs: Sequence[Job], plan: JobList, engine: Engine, terms: CollectOptions, key: bytes
) -> Iterator[bytes | workers.WorkerDeath]:
    if not jobs:
        return iter(())
    at_once = min(terms.jobs, len(jobs))
    tokens = workers.tokens(len(jobs), at_once, 1)
    serve = _serve(jobs, plan, DeltaScanner(engine, terms.limit), terms, key)
    if at_once <= 1:
        return _serve_inline(serve, tokens)
    if workers.can_fork():
        engine.warm()  # here once, and not in each child
        return workers.run_in_processes(serve, tokens, at_once)
    twins = (DeltaScanner(engine.twin(), terms.limit) for _ in range(at_once))
    return workers.run_in_threads([_serve(jobs, plan, scanner, terms, key) for scanner in twins], tokens)


def _serve(
    jobs: Sequence[Job], plan: JobList, scanner: DeltaScanner, terms: CollectOptions, key: bytes
) -> workers.Serve:
    def serve(tokens: Iterator[range], answer: workers.Answer) -> None:
        worker = _Worker(plan, scanner, terms, key)
        for token in tokens:
            for job in token:
                answer(worker.work(job, *jobs[job]))

    return serve


def _serve_inline(serve: workers.Serve, tokens: Sequence[range]) -> Iterator[bytes]:
    """The same in this process."""
    answers: list[bytes] = []
    for token in tokens:
        for job in token:
            serve(iter([range(job, job + 1)]), answers.append)
            yield from answers
            answers.clear()


class _Worker:
    """Does jobs in one process."""

    def __init__(self, plan: JobList, scanner: DeltaScanner, terms: CollectOptions, key: bytes) -> None:
        self._plan = plan
        self._scanner = scanner
        self._explorer = Explorer(scanner.engine, limits=terms.archives)
        self._index = {rule.id: index for index, rule in enumerate(scanner.engine.rules)}
        self._key = key
        self._sent: set[bytes] = set()
        self._found = CollectionResult()

    def work(self, job: int, source: int, items: Sequence[Any]) -> bytes:
        """Does one job; the answer, as `_run` reads it."""
        if source >= 0:
            self._scan_pack(self._plan.packs[source], items)
        elif source == LOOSE:
            self._scan_loose(items)
        else:
            self._scan_by_id(items)
        found, self._found = self._found, CollectionResult()
        return marshal.dumps(
            (
                job,
                found.tally.objects,
                found.tally.size,
                [(digest, tuple(text)) for digest, text in found.texts.items()],
                [(oid, [tuple(span) for span in spans]) for oid, spans in found.spans.items()],
                list(found.kinds.items()),
                list(found.failed.items()),
                list(found.pointers.items()),
                [(one.path, one.reason) for one in found.skipped],
            )
        )

    def _scan_pack(self, pack: Pack, roots: Sequence[int]) -> None:
        def record_text(number: int, text: bytes, state: TextResult) -> None:
            if state.found or state.excess or _is_special(text, self._explorer):
                self._record_detections(pack.oid(number), pack.columns.kind[number], text, state)

        def record_failure(number: int, reason: str, ask: bool) -> None:  # noqa: FBT001  a callback
            if ask:
                self._found.failed[pack.oid(number)] = reason
            else:
                self._skip(pack.oid(number), reason)

        scan_roots(self._scanner, pack, roots, self._found.tally, record_text, record_failure)

    def _scan_loose(self, names: Sequence[str]) -> None:
        for name in names:
            oid = bytes.fromhex(name)
            try:
                kind, text = read_loose(loose_path(self._plan.folders[name], name), self._scanner.limit)
            except OverflowError:
                self._skip(oid, f"larger than {self._scanner.limit:,} bytes")
            except OSError as error:
                self._found.failed[oid] = os_error_text(error)
            except DAMAGED:
                self._found.failed[oid] = "the object is damaged"
            else:
                self._scan_whole(oid, kind, text)

    def _scan_by_id(self, oids: Sequence[str]) -> None:
        missing = dict.fromkeys(oids)
        try:
            for oid, kind, _, text in self._plan.repository.objects(oids, max_size=self._scanner.limit):
                del missing[oid]
                if text is None:
                    self._skip(bytes.fromhex(oid), f"larger than {self._scanner.limit:,} bytes")
                else:
                    self._scan_whole(bytes.fromhex(oid), KINDS[kind.encode()], text)
        except GitStalledError:
            pass  # it would stall again
        except PreconditionError:  # git gave up: ask for what is left one by one
            if len(oids) > 1:
                for oid in missing:
                    self._scan_by_id([oid])
                return
        self._found.failed |= dict.fromkeys(map(bytes.fromhex, missing), "the object is damaged or missing")

    def _scan_whole(self, oid: bytes, kind: int, text: bytes) -> None:
        if kind not in SCANNED:
            return
        self._found.tally.objects += 1
        self._found.tally.size += len(text)
        state = self._scanner.whole(text)
        if state.found or state.excess or _is_special(text, self._explorer):
            self._record_detections(oid, kind, text, state)

    def _record_pointer(self, text: bytes) -> None:
        if (pointer := read_pointer(text)) is not None:
            self._found.pointers[pointer.oid] = pointer.size

    def _skip(self, oid: bytes, reason: str) -> None:
        """Name an object that git is not asked for."""
        self._found.skipped.append(SkippedItem(f"object {oid.hex()}", reason))

    def _record_detections(self, oid: bytes, kind: int, text: bytes, state: TextResult) -> None:
        if kind == BLOB and _is_special(text, self._explorer):
            self._record_pointer(text)
            sightings = self._explore(oid, text)
        else:
            sightings = locate_all(text, self._scanner.engine.settle(state.found), "")
            if state.excess:
                self._found.skipped.append(SkippedItem(f"object {oid.hex()}", state.excess))
        if not sightings:
            return
        self._found.spans[oid] = [self._text_span(sighting) for sighting in sightings]
        if kind != BLOB:
            self._found.kinds[oid] = kind

    def _explore(self, oid: bytes, text: bytes) -> Sequence[Sighting]:
        """What an archive or a text of two bytes a character holds."""
        self._explorer.gathered = ExploreResult()
        self._explorer.scan_bytes(text, "")
        gathered = self._explorer.gathered
        self._found.skipped += (SkippedItem(f"object {oid.hex()}{one.path}", one.reason) for one in gathered.skipped)
        return gathered.sightings

    def _text_span(self, sighting: Sighting) -> TextSpan:
        detection, place = sighting.detection, sighting.place
        text = CredentialText(
            self._index[detection.rule.id],
            detection.material.reveal(),
            int(detection.confidence),
            detection.decoded,
            detection.note,
            sighting.line.reveal(),
            sighting.match.reveal(),
            sighting.allow,
        )
        digest = blake2b(repr(text).encode(), key=self._key, digest_size=16).digest()
        if digest not in self._sent:
            self._sent.add(digest)
            self._found.texts[digest] = text
        return TextSpan(digest, detection.start, detection.end, place.line, place.end_line, place.column, place.path)


def _has_many_zeros(text: bytes) -> bool:
    """As many as wide text and tar archives have at least."""
    return 8 * text.count(b"\0", 0, SAMPLE) >= min(len(text), SAMPLE)


def _is_special(text: bytes, explorer: Explorer) -> bool:
    """Whether this is an archive, wide text, or a pointer of Git LFS: it stands for more than its bytes show."""
    if not text or not (
        (text[0] in MAGIC_STARTS and text.startswith(SPECIAL_STARTS))
        or text.startswith(b"-l", 2)
        or (text.find(b"\0", 0, SAMPLE) >= 0 and _has_many_zeros(text))
        or text.startswith(ZIP_END, -ZIP_END_SIZE)
        or text.startswith(b"ustar", _TAR_MAGIC)
    ):
        return False
    head = text[:SAMPLE]
    return (
        bool(wide(head))
        or explorer.kind_of(head[:HEAD]) is not None
        or ends_as_zip(text[-ZIP_END_SIZE:])
        or head.startswith(LFS_START)
    )
