"""The scan of a working tree: an inventory, shared out to workers, and what they report put together.

Guarantees: the result is in a stable order whatever the number of workers; files whose worker was killed, that were not
there any more, or could not be read, are named; a small tree is scanned in this process, where a fork costs more than it
gains.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator

from orchestra_creds.core.progress import Progress
from orchestra_creds.core.record import dataclass, replace
from orchestra_creds.scanner.content.archives import ArchiveLimits
from orchestra_creds.scanner.content.explore import Explorer, ExploreResult
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.parallel import workers
from orchestra_creds.scanner.parallel.wire import SightingCodec
from orchestra_creds.scanner.parallel.workers import Answer, WorkerDeath
from orchestra_creds.scanner.tree.batch_scan import TreeScan
from orchestra_creds.scanner.tree.inventory import Inventory, has_vanished_before

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
    jobs = min(jobs or workers.processors(), -(-len(inventory.files) // FEWEST_PER_WORKER)) or 1
    work = workers.tokens(len(inventory.files), jobs, FEWEST_PER_WORKER)
    task = _TreeWorker(inventory, Explorer(engine, limits=limits, max_size=max_size), SightingCodec(engine.rules))
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
    return looked.whole(inventory, began)


@dataclass(frozen=True, slots=True)
class _TreeWorker:
    """What one worker does."""

    inventory: Inventory
    explorer: Explorer
    wire: SightingCodec

    def twin(self) -> "_TreeWorker":
        explorer = Explorer(self.explorer.engine.twin(), limits=self.explorer.limits, max_size=self.explorer.max_size)
        return replace(self, explorer=explorer)

    def serve(self, tokens: Iterator[range], answer: Answer) -> None:
        def report_progress(files: int, size: int) -> None:
            answer(self.wire.dumps([], _PASSED, files, size))

        files, named = self.inventory.files, self.inventory.named
        scan = TreeScan(self.explorer, self.inventory.root, files, named=named, passed=report_progress)
        for gathered, whole in scan.run(tokens):
            skipped = [(item.path, item.reason, item.absence) for item in gathered.skipped]
            done = [(token.start, token.stop) for token in whole]
            absent, scan.absent = scan.absent, []
            answer(self.wire.dumps(gathered.sightings, _DONE, done, skipped, absent, gathered.blobs, gathered.size))


_PASSED, _DONE = 0, 1


class _ResultMerger:
    """Puts together what workers answer."""

    def __init__(self, wire: SightingCodec, work: list[range], progress: Progress) -> None:
        self._wire = wire
        self._progress = progress
        self._left = dict.fromkeys(work)
        self._absent: list[bytes] = []
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
        done, skipped, absent, blobs, size = rest
        for start, stop in done:
            del self._left[range(start, stop)]
        if sightings:
            self._progress.add_findings(len(sightings))
        self._looked.sightings += sightings
        self._looked.skipped += (SkippedItem(*item) for item in skipped)
        self._looked.blobs += blobs
        self._looked.size += size
        self._absent += absent

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
