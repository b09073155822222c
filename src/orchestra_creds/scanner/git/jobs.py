"""Which objects of a repository there are to look at, and how the work is divided into jobs.

Guarantees: every object of the database is in one job, wherever it lies: packs, loose files, alternates. Packs are read
here; what cannot be read here, for a damaged or unknown pack, is asked of git by its id, unless git must not read this
repository (`JobList.unaided`). What is not there at all, as in a partial clone, is named and never fetched.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from itertools import compress
from pathlib import Path
from typing import Any

from orchestra_creds.core.record import dataclass, field
from orchestra_creds.errors import PreconditionError
from orchestra_creds.scanner.absence import PARTIAL
from orchestra_creds.scanner.finding import SkippedItem
from orchestra_creds.scanner.git import control_files
from orchestra_creds.scanner.git.delta_scan import SCANNED
from orchestra_creds.scanner.git.objects import ObjectDatabase
from orchestra_creds.scanner.git.pack import BROKEN, Pack
from orchestra_creds.scanner.git.repository import Repository

JOB = 1 << 20
"""How much work one job is, in the unit of `PackColumns.weight`."""

LOOSE_JOB = 64
"""How many loose objects one job is."""

NAMED_JOB = 256
"""How many objects one job asks git for."""

IDS_AT_ONCE = 1 << 16
"""How many ids of packs are in memory at a time, about."""

LOOSE, NAMED = -1, -2
_LARGEST_INDEX = 256 << 20  # bytes of an index that git reads for us
_IS_SCANNED = bytes(kind in SCANNED for kind in range(256))
WIDTHS = {"sha1": 20, "sha256": 32}

Job = tuple[int, Sequence[Any]]
"""(position of a pack, numbers of full objects), (LOOSE, ids) or (NAMED, ids)."""


@dataclass(slots=True)
class JobList:
    """What there is to do; `unaided` says that git must not be asked for objects: it would never answer, or take all memory.

    `folders` is the objects folder of each of the `loose` ones, by its id.
    """

    repository: Repository
    packs: list[Pack] = field(default_factory=list)
    roots: list[Job] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    folders: Mapping[str, str] = field(default_factory=dict)
    named: list[str] = field(default_factory=list)
    skipped: list[SkippedItem] = field(default_factory=list)
    objects: int = 0
    unaided: bool = False

    def jobs(self) -> list[Job]:
        """All of it in parts of about the same work, the largest first, so that none is left for the end."""
        return [
            *self.roots,
            *((LOOSE, self.loose[at : at + LOOSE_JOB]) for at in range(0, len(self.loose), LOOSE_JOB)),
            *((NAMED, self.named[at : at + NAMED_JOB]) for at in range(0, len(self.named), NAMED_JOB)),
        ]


def plan_since(repository: Repository, revisions: Sequence[str]) -> JobList:
    """The objects that the revisions reach."""
    out = repository.run("rev-list", "--objects", "--no-object-names", "--missing=print", *revisions, "--")
    oids = [oid.decode() for oid in out.split()]
    plan = JobList(repository, named=[oid for oid in oids if not oid.startswith("?")])
    plan.objects = len(plan.named)
    plan.skipped += _missing(len(oids) - len(plan.named))
    return plan


def plan_all(
    repository: Repository,
    database: ObjectDatabase,
    *,
    without: Collection[Path] = (),
    known: Collection[str] = (),
    unaided: bool = False,
) -> JobList:
    """Every object of the database but those of the packs `without` and the loose ones `known`.

    A pack with deltas in a cycle, or with one that is larger than any of git, makes the plan `unaided`, too.
    """
    loose = sorted(oid for oid in database.loose if oid not in known)
    plan = JobList(repository, loose=loose, folders=database.loose, unaided=unaided)
    plan.objects = len(plan.loose)
    plan.skipped += (SkippedItem(f"objects/{path.parent.name}/{path.name}", "not a file") for path in database.odd)
    width = WIDTHS[repository.object_format]
    for index in database.indexes:
        if index in without:
            continue
        try:
            pack = Pack(index, width)
        except (ValueError, OSError) as error:
            _plan_unread(plan, index, width, str(error) or type(error).__name__)
        else:
            _take_pack(plan, pack)
    for number, twice in enumerate(find_duplicates(plan.packs)):
        _plan_pack(plan, number, twice)
    if plan.unaided:
        plan.skipped += (
            SkippedItem(f"object {oid}", "damaged, and git was not asked for another copy") for oid in plan.named
        )
        plan.named.clear()
    elif database.promised or repository.is_partial:
        out = repository.run("rev-list", "--objects", "--all", "--reflog", "--missing=print", "--no-object-names", "--")
        plan.skipped += _missing(sum(line.startswith(b"?") for line in out.split(b"\n")))
    return plan


def _take_pack(plan: JobList, pack: Pack) -> None:
    """Take a pack into the plan, with what is to be said of it as a whole."""
    plan.packs.append(pack)
    if pack.has_large_delta():
        plan.unaided = True
        plan.skipped.append(
            SkippedItem(f"objects/pack/{pack.path.name}", "a delta in it is larger than any that git makes")
        )
    kinds = bytes(pack.columns.kind)
    if BROKEN in kinds:
        _plan_cycle(plan, pack)
        plan.named += (pack.oid(number).hex() for number, kind in enumerate(kinds) if kind == BROKEN)
    plan.objects += sum(map(kinds.count, SCANNED))


def _plan_pack(plan: JobList, number: int, twice: Collection[int]) -> None:
    """Divide the work of a pack; an object of `twice` on which no other is based is left to the earlier pack that has it."""
    pack = plan.packs[number]
    parent, weight, first = pack.columns.parent, pack.columns.weight, pack.columns.first
    kinds = bytes(pack.columns.kind)
    roots = [root for root in compress(range(len(kinds)), kinds.translate(_IS_SCANNED)) if parent[root] < 0]
    light: list[list[int]] = []
    heavy: list[list[int]] = []
    work = JOB
    for root in roots:
        if root in twice and first[root] < 0:
            continue
        if weight[root] >= JOB:
            heavy.append([root])
            continue
        if work >= JOB:
            light.append([])
            work = 0
        light[-1].append(root)
        work += weight[root]
    heavy.sort(key=lambda group: (-weight[group[0]], group[0]))
    plan.roots += ((number, group) for group in heavy + light)


def find_duplicates(packs: Sequence[Pack]) -> list[frozenset[int]]:
    """For each pack the numbers of the objects that an earlier one holds, too.

    The time is proportional to the objects, however many packs they lie in; the ids of one part of them are in memory at a time.
    """
    places: list[list[int]] = [[] for _ in packs]
    parts = min(256, sum(map(len, packs)) // IDS_AT_ONCE + 1) if len(packs) > 1 else 0
    for part in range(parts):
        seen: set[bytes] = set()
        for found, pack in zip(places, packs, strict=True):
            start, ids = pack.ids_between(256 * part // parts, 256 * (part + 1) // parts)
            if twice := seen.intersection(ids):
                found.extend(start + at for at, oid in enumerate(ids) if oid in twice)
            seen.update(ids)
    return [frozenset(map(pack.number_at, found)) for pack, found in zip(packs, places, strict=True)]


def _plan_cycle(plan: JobList, pack: Pack) -> None:
    """Keep git away from a pack in which it would never come to an end."""
    if pack.has_cycle():
        plan.unaided = True
        plan.skipped.append(
            SkippedItem(f"objects/pack/{pack.path.name}", "deltas in it are based on each other in a cycle")
        )


def _plan_unread(plan: JobList, index: Path, width: int, reason: str) -> None:
    """A pack that cannot be read here: git may know its format (an index of version 1)."""
    with suppress(ValueError, OSError):
        _plan_cycle(plan, Pack(index, width, check=False))
    if plan.unaided:
        plan.skipped.append(SkippedItem(f"objects/pack/{index.stem}.pack", reason))
        return
    try:
        out = plan.repository.run("show-index", stdin=control_files.read_regular(str(index), _LARGEST_INDEX))
    except (OSError, PreconditionError):
        plan.skipped.append(SkippedItem(f"objects/pack/{index.stem}.pack", reason))
        return
    oids = [line.split()[1].decode() for line in out.splitlines()]
    plan.named += oids
    plan.objects += len(oids)


def _missing(count: int) -> list[SkippedItem]:
    if not count:
        return []
    reason = f"{count:,} objects of this partial clone are not here, and nothing is fetched"
    return [SkippedItem("objects", reason, PARTIAL)]
