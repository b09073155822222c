"""The scan of a working tree: an inventory, shared out to workers, and what they report put together.

Guarantees: the result is in a stable order whatever the number of workers; files whose worker was killed, that were not
there any more, or could not be read, are named; a small tree is scanned in this process, where a fork costs more than it
gains.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping

from orchestra_creds.core.progress import Progress
from orchestra_creds.core.record import dataclass, replace
from orchestra_creds.core.text import os_error_text
from orchestra_creds.scanner.content.archives import ArchiveLimits
from orchestra_creds.scanner.content.explore import Explorer, ExploreResult
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.parallel import workers
from orchestra_creds.scanner.parallel.wire import SightingCodec
from orchestra_creds.scanner.parallel.workers import Answer, WorkerDeath
from orchestra_creds.scanner.safe_open import FileOpener
from orchestra_creds.scanner.tree.batch_scan import TreeScan
from orchestra_creds.scanner.tree.inventory import Inventory, has_vanished_before
from orchestra_creds.scanner.tree.large_files import FilePart, PartResult, PartScanner, merge_parts, plan_parts

FEWEST_PER_WORKER = 64
"""Files; with fewer, one process is faster."""

MOST_NAMED = 1000
"""Lost files that are named one by one; the rest is counted."""


def scan_tree(
    engine: Engine,
    inventory: Inventory,
    *,
    jobs: int,
    limits: ArchiveLimits,
    max_size: int,
    progress: Progress,
    meanwhile: Callable[[], None] = lambda: None,
) -> ExploreResult:
    """Look at every file of the inventory; `meanwhile` is called once, beside the workers when there are any."""
    began = time.time_ns()
    most = jobs or workers.processors()
    jobs = min(most, -(-len(inventory.files) // FEWEST_PER_WORKER)) or 1
    work = workers.tokens(len(inventory.files), jobs, FEWEST_PER_WORKER)
    explorer = Explorer(engine, limits=limits, max_size=max_size)
    task = _TreeWorker(inventory, explorer, SightingCodec(engine.rules), share=most > 1)
    looked = _ResultMerger(task.wire, work, progress)
    if jobs == 1:
        task.serve(iter(work), looked.take)
    elif workers.can_fork():
        engine.warm()  # here once, and not in each child
        answers = workers.run_in_processes(task.serve, work, jobs)
        first = next(answers, None)  # starts the workers
        meanwhile()
        for answer in itertools.chain(() if first is None else (first,), answers):
            looked.take(answer)
    else:
        for answer in workers.run_in_threads([task.twin().serve for _ in range(jobs)], work):
            looked.take(answer)
    whole = looked.whole(inventory, began)
    if looked.shared:
        _SharedFiles(engine, inventory, task.wire, progress).scan(sorted(looked.shared), most, whole)
    return whole


@dataclass(frozen=True, slots=True)
class _TreeWorker:
    """What one worker does."""

    inventory: Inventory
    explorer: Explorer
    wire: SightingCodec
    share: bool = False

    def twin(self) -> "_TreeWorker":
        explorer = Explorer(self.explorer.engine.twin(), limits=self.explorer.limits, max_size=self.explorer.max_size)
        return replace(self, explorer=explorer)

    def serve(self, tokens: Iterator[range], answer: Answer) -> None:
        def report_progress(files: int, size: int) -> None:
            answer(self.wire.dumps([], _PASSED, files, size))

        files, named = self.inventory.files, self.inventory.named
        scan = TreeScan(
            self.explorer, self.inventory.root, files, named=named, passed=report_progress, share=self.share
        )
        for gathered, whole in scan.run(tokens):
            skipped = [(item.path, item.reason, item.absence) for item in gathered.skipped]
            done = [(token.start, token.stop) for token in whole]
            absent, scan.absent = scan.absent, []
            shared, scan.shared = scan.shared, []
            counted = gathered.blobs, gathered.size
            answer(self.wire.dumps(gathered.sightings, _DONE, done, skipped, absent, shared, *counted))


_PASSED, _DONE = 0, 1


class _SharedFiles:
    """Scans large files, each by all workers."""

    def __init__(self, engine: Engine, inventory: Inventory, wire: SightingCodec, progress: Progress) -> None:
        self._engine = engine
        self._inventory = inventory
        self._wire = wire
        self._progress = progress

    def scan(self, paths: list[bytes], jobs: int, whole: ExploreResult) -> None:
        """Add to `whole` what the files hold."""
        parts = [part for path in paths for part in self._plan(path, whole)]
        results: dict[int, PartResult] = {}
        deaths: list[WorkerDeath] = []
        for answer in self._answers(parts, min(jobs, len(parts))):
            if isinstance(answer, WorkerDeath):
                deaths.append(answer)
                continue
            sightings, (kind, *rest) = self._wire.loads(answer)
            if kind == _PASSED:
                self._progress.advance(items=0, size=rest[0])
                continue
            number, reason, *more = rest
            if reason:
                whole.skipped.append(SkippedItem(os.fsdecode(parts[number].path), f"cannot be read: {reason}"))
            else:
                results[number] = PartResult(sightings, *more)
        for path in paths:
            self._merge(
                path, [number for number, part in enumerate(parts) if part.path == path], results, deaths, whole
            )

    def _plan(self, path: bytes, whole: ExploreResult) -> list[FilePart]:
        opener = FileOpener(self._inventory.root, self._inventory.named)
        try:
            fd = opener.open(path)
            try:
                return plan_parts(path, fd)
            finally:
                os.close(fd)
        except OSError as error:
            whole.skipped.append(SkippedItem(os.fsdecode(path), f"cannot be opened: {os_error_text(error)}"))
            return []
        finally:
            opener.close()

    def _answers(self, parts: list[FilePart], jobs: int) -> Iterator[bytes | WorkerDeath]:
        work = workers.tokens(len(parts), jobs, 1)

        def scanner(engine: Engine) -> PartScanner:
            opener = FileOpener(self._inventory.root, self._inventory.named)
            return PartScanner(engine, parts, opener, self._wire, passed=_PASSED, done=_DONE)

        if not parts:
            return iter(())
        if workers.can_fork():
            self._engine.warm()
            return workers.run_in_processes(scanner(self._engine).serve, work, jobs)
        return workers.run_in_threads([scanner(self._engine.twin()).serve for _ in range(jobs)], work)

    def _merge(
        self,
        path: bytes,
        numbers: list[int],
        results: Mapping[int, PartResult],
        deaths: list[WorkerDeath],
        whole: ExploreResult,
    ) -> None:
        """Add the parts of a file up to the first that nobody has read; of those behind it nobody knows the lines."""
        read = list(itertools.takewhile(results.__contains__, numbers))
        found = merge_parts(os.fsdecode(path), [results[number] for number in read], self._engine)
        if found.sightings:
            self._progress.add_findings(len(found.sightings))
        self._progress.advance(items=1, size=0)
        whole.sightings += found.sightings
        whole.skipped += found.skipped
        whole.blobs += found.blobs
        whole.size += found.size
        if len(read) < len(numbers) and deaths:
            reason = f"the process that read a part of it {_death_reason(deaths)}"
            whole.skipped.append(SkippedItem(os.fsdecode(path), reason))


class _ResultMerger:
    """Puts together what workers answer."""

    def __init__(self, wire: SightingCodec, work: list[range], progress: Progress) -> None:
        self._wire = wire
        self._progress = progress
        self._left = dict.fromkeys(work)
        self._absent: list[bytes] = []
        self.shared: list[bytes] = []
        self._deaths: list[WorkerDeath] = []
        self._looked = ExploreResult()

    def take(self, answer: bytes | WorkerDeath) -> None:
        if isinstance(answer, WorkerDeath):
            self._deaths.append(answer)
            return
        sightings, (kind, *rest) = self._wire.loads(answer)
        if kind == _PASSED:
            files, size = rest
            self._progress.advance(items=files, size=size)
            return
        done, skipped, absent, shared, blobs, size = rest
        for start, stop in done:
            del self._left[range(start, stop)]
        if sightings:
            self._progress.add_findings(len(sightings))
        self._looked.sightings += sightings
        self._looked.skipped += (SkippedItem(*item) for item in skipped)
        self._looked.blobs += blobs
        self._looked.size += size
        self._absent += absent
        self.shared += shared

    def whole(self, inventory: Inventory, began: int) -> ExploreResult:
        """All of it, with the files that nobody has looked at."""
        skipped = self._looked.skipped
        for path in self._absent:
            if path not in inventory.listed or not has_vanished_before(inventory.root, path, began):
                skipped.append(SkippedItem(os.fsdecode(path), "vanished while the tree was read"))
        lost = [inventory.files[position] for token in self._left for position in token]
        reason = "the process that read it " + _death_reason(self._deaths)
        skipped += (SkippedItem(os.fsdecode(path), reason) for path in lost[:MOST_NAMED])
        if len(lost) > MOST_NAMED:
            skipped.append(SkippedItem(".", f"{len(lost) - MOST_NAMED} more files: {reason}"))
        return self._looked


def _death_reason(deaths: list[WorkerDeath]) -> str:
    killed = next((death.signal for death in deaths if death.signal), 0)
    return f"was killed by signal {killed}" if killed else "failed"
