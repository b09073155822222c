"""The large files that Git LFS keeps beside a history: those that are here are scanned, the others are named."""

import os
from collections.abc import Mapping
from pathlib import Path

from orchestra_creds.core.progress import NoProgress
from orchestra_creds.core.record import replace
from orchestra_creds.scanner.absence import LFS
from orchestra_creds.scanner.content.archives import ArchiveLimits
from orchestra_creds.scanner.content.lfs import object_path
from orchestra_creds.scanner.engine.engine import Engine
from orchestra_creds.scanner.finding import ScanStats, SkippedItem
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.opened_source import SourceResult
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.tree.inventory import Inventory
from orchestra_creds.scanner.tree.tree_scan import scan_tree

_OID_LENGTH = 64


def scan_lfs_objects(
    request: ScanRequest,
    repository: Repository,
    engine: Engine,
    limits: ArchiveLimits,
    pointers: Mapping[str, int],
    *,
    whole: bool,
) -> SourceResult:
    """Scan the objects of Git LFS that are here, and name those that are missing.

    `pointers` holds the size in bytes of each object that the history points to, by its id; with `whole`, objects that
    nothing points to are scanned, too.
    """
    result = SourceResult()
    stored = _stored_objects(repository.common_dir)
    missing = pointers.keys() - stored
    if missing:
        size = sum(pointers[oid] for oid in missing)
        reason = f"{len(missing):,} Git LFS objects ({size:,} bytes) are not here; run `git lfs fetch --all`"
        result.skipped.append(SkippedItem("lfs/objects", reason, LFS))
    chosen = stored if whole else stored & pointers.keys()
    if chosen:
        _scan_objects(request, repository, engine, limits, sorted(map(object_path, chosen)), result)
    return result


def _scan_objects(
    request: ScanRequest,
    repository: Repository,
    engine: Engine,
    limits: ArchiveLimits,
    paths: list[str],
    result: SourceResult,
) -> None:
    inventory = Inventory(os.fsencode(repository.common_dir), [os.fsencode(path) for path in paths])
    found = scan_tree(
        engine,
        inventory,
        jobs=request.jobs,
        limits=limits,
        max_size=request.max_size,
        progress=NoProgress(),
    )

    def report_path(path: str) -> str:
        return repository.relative(os.path.join(repository.common_dir, path))

    result.sightings += (
        replace(one, place=replace(one.place, path=report_path(one.place.path))) for one in found.sightings
    )
    result.skipped += (SkippedItem(report_path(one.path), one.reason, one.absence) for one in found.skipped)
    result.stats = ScanStats(blobs=found.blobs, bytes=found.size)


def _stored_objects(git_folder: Path) -> set[str]:
    """The ids of the objects in the store of Git LFS; its folders are named by the first digits of the ids."""
    found: set[str] = set()
    for top, folders, names in os.walk(git_folder / "lfs" / "objects"):
        folders[:] = [name for name in folders if len(name) == len("ab")]
        found.update(name for name in names if len(name) == _OID_LENGTH and not os.path.islink(os.path.join(top, name)))
    return found
