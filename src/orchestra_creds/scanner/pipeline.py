"""The scan service: a request and rules go in, a report comes out.

    request -> sources -> blobs -> engine -> sightings -> assemble (gitleaks, allows, baseline) -> report

Guarantees: what was asked for and could not be looked at is in the report, which is then not complete; nothing is written
but the cache and a new fingerprint key, in the folders that the request names; no socket is opened; a configuration that
lies in the scanned tree may add rules and never relaxes any (docs/adr/0011-a-scanned-tree-cannot-relax-its-scan.md).

What only some scans need is imported where they need it; the engine while a tree is listed; what makes the report while
workers read.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestra_creds.core.record import dataclass, field, replace
from orchestra_creds.core.text import visible
from orchestra_creds.errors import ConfigError, NotFoundError, PreconditionError
from orchestra_creds.scanner.exclusions import Exclusions
from orchestra_creds.scanner.finding import ScanReport, ScanStats, SkippedItem
from orchestra_creds.scanner.git import staged_precheck
from orchestra_creds.scanner.git.repository import Repository
from orchestra_creds.scanner.gitleaks import setup as gitleaks_setup
from orchestra_creds.scanner.request import STDIN, ScanRequest, Source
from orchestra_creds.scanner.rule import Rule

TYPE_CHECKING = False  # typing's own costs 2 ms, for which the listing of a tree would wait
if TYPE_CHECKING:
    from orchestra_creds.core.progress import Progress
    from orchestra_creds.scanner.baseline.file import Baseline
    from orchestra_creds.scanner.content.archives import ArchiveLimits
    from orchestra_creds.scanner.detection import Sighting
    from orchestra_creds.scanner.engine.compiled_cache import CompiledRules
    from orchestra_creds.scanner.engine.engine import Engine
    from orchestra_creds.scanner.fingerprint import FingerprintKey
    from orchestra_creds.scanner.tree.inventory import Inventory

Rulebook = Callable[[], "tuple[Sequence[Rule], CompiledRules | None]"]
"""Loads the rules, and where they come from, if they were kept."""


@dataclass(slots=True)
class _SourceResult:
    """What one source yielded; `paths` are the files of a tree, for rules that look at names alone."""

    sightings: "list[Sighting]" = field(default_factory=list)
    skipped: list[SkippedItem] = field(default_factory=list)
    stats: ScanStats = field(default_factory=ScanStats)
    paths: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _SourceScan:
    """Where a scan looks: the root that paths are relative to, where that lies in its repository, and how to look at it."""

    root: Path
    repository: Repository | None
    source: str
    look: "Callable[[Engine, Progress], _SourceResult]"
    below: str = ""
    close: Callable[[], None] = lambda: None  # ends what was begun for `look`


def scan(
    request: ScanRequest,
    rulebook: Rulebook,
    *,
    progress: "Progress | None" = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> ScanReport:
    """Scan, and report. `meanwhile` is called once beside workers.

    Raises:
        NotFoundError: a path or a revision does not exist.
        PreconditionError: a repository was asked for, and there is none.
        ConfigError: a file of rules, allowlists or accepted findings is wrong, or its fingerprint key is missing.
    """
    began = time.perf_counter()

    def beside() -> None:
        from orchestra_creds.scanner.baseline import report as scan_report  # noqa: F401  makes the report

        meanwhile()

    plan = _plan(request, beside)
    try:
        return _run_scan(plan, request, rulebook, progress, began)
    finally:
        plan.close()


def _run_scan(
    plan: _SourceScan, request: ScanRequest, rulebook: Rulebook, progress: "Progress | None", began: float
) -> ScanReport:
    from orchestra_creds.core.progress import NoProgress

    progress = progress or NoProgress()
    rules, compiled = rulebook()
    setup = gitleaks_setup.setup(
        rules,
        root=plan.root,
        config=request.gitleaks_config,
        ignore=request.gitleaks_ignore,
        baseline=request.gitleaks_baseline,
        added=request.added_rules,
        look=request.use_gitleaks,
    )
    accepted, notes = _baseline(request, plan)
    # A long scan must not end with a missing key, and a short one that finds nothing asks for none (like git/staged_precheck.py).
    long = request.source in {Source.HISTORY, Source.SINCE}
    key = _key(request, plan, accepted) if accepted is not None or long else None
    try:
        looked = plan.look(_engine(request, rules, setup.rules, compiled, progress), progress)
    finally:
        progress.finish()
    sightings = looked.sightings
    if setup.policy is not None:
        sightings += setup.policy.detect_paths(looked.paths)
    from orchestra_creds.scanner.baseline import report as scan_report

    return scan_report.report(
        sightings,
        root=str(plan.root),
        source=plan.source,
        filters=scan_report.Filters(
            key=key or _key(request, plan, accepted, wanted=bool(sightings)),
            today=request.now.date(),
            baseline=accepted,
            gitleaks=setup.policy,
            min_severity=request.min_severity,
            below=plan.below,
            unread=None
            if request.source is Source.HISTORY and not request.exclude
            else _unread_check(plan, looked.paths),
        ),
        skipped=looked.skipped,
        stats=replace(looked.stats, seconds=time.perf_counter() - began),
        notes=(*setup.notes, *notes, *looked.notes),
    )


def _engine(
    request: ScanRequest,
    rules: Sequence[Rule],
    all_rules: tuple[Rule, ...],
    compiled: "CompiledRules | None",
    progress: "Progress",
) -> "Engine":
    """The engine of `all_rules`: those of the request, `rules`, and what files add to them."""
    from orchestra_creds.scanner.engine import compiled_cache
    from orchestra_creds.scanner.engine.engine import Engine, EngineKind
    from orchestra_creds.scanner.engine.prefilter import load_database

    ours = all_rules == tuple(rules)
    if compiled and ours and (database := load_database(compiled.database)) is not None:
        return Engine.from_database(all_rules, database, compiled.widest)
    cache = Path(request.cache_dir) if request.cache_dir else None
    engine = Engine.open(
        all_rules,
        kind=EngineKind(request.engine),
        cache=cache,
        compiling=lambda: progress.announce(f"compiling {len(all_rules)} rules, once for this machine"),
    )
    if ours and cache is not None and engine.kind is EngineKind.HYPERSCAN:
        compiled_cache.remember(str(cache), engine.dump, engine.widest, all_rules)
    return engine


def _plan(request: ScanRequest, meanwhile: Callable[[], None]) -> _SourceScan:
    if request.source is not Source.TREE:
        return _repository_plan(request, meanwhile)
    exclusions = Exclusions(request.exclude)
    paths = [path for path in request.paths if path != STDIN]
    with_stdin = len(paths) < len(request.paths)
    if not paths:
        here = Path.cwd()
        return _SourceScan(
            here, Repository.discover(here), "stdin", lambda engine, progress: _scan_stdin(request, engine, progress)
        )
    from orchestra_creds.scanner.tree.inventory import BackgroundInventory

    listing = BackgroundInventory(paths, all_files=request.all_files, exclusions=exclusions)
    root = Path(os.fsdecode(listing.root))

    def look(engine: "Engine", progress: "Progress") -> _SourceResult:
        from orchestra_creds.scanner.tree import tree_scan  # noqa: F401  for `_tree`, while the list is made

        if not listing.ready():
            engine.warm()  # a large tree: what its workers will need is loaded meanwhile
        looked = _scan_tree(request, engine, listing.inventory(), progress, meanwhile)
        if with_stdin:
            from orchestra_creds.core.progress import NoProgress

            _add(looked, _scan_stdin(request, engine, NoProgress()))
        return looked

    repository = Repository.discover(root)
    return _SourceScan(root, repository, "tree", look, _below(root, repository), listing.close)


def _below(root: Path, repository: Repository | None) -> str:
    """The scanned root as seen from the top of the working tree that holds it, with a slash at its end; "" for the top."""
    if repository is None or repository.work_tree is None:
        return ""
    within = os.path.relpath(os.path.realpath(root), os.path.realpath(repository.work_tree)).replace(os.sep, "/")
    return "" if within == "." or within.split("/")[0] == ".." else within + "/"


def _unread_check(plan: _SourceScan, paths: list[str]) -> Callable[[str], bool]:
    """Whether a path that a baseline names stands on the disk although this scan, of `paths`, did not look at it."""
    tops = [plan.root, *([plan.repository.work_tree] if plan.repository and plan.repository.work_tree else [])]
    seen: set[str] = set()

    def is_unread(path: str) -> bool:
        seen.update(visible(plan.below + one) for one in paths if not seen)
        names = (path, path.partition("!")[0])  # the file that an archive's member is in
        return not seen.intersection(names) and any(os.path.lexists(top / name) for top in tops for name in names)

    return is_unread


def _repository_plan(request: ScanRequest, meanwhile: Callable[[], None]) -> _SourceScan:
    option = f"--{request.source}"
    if len(request.paths) != 1 or request.paths[0] == STDIN:
        raise ConfigError(f"{option} takes one folder", hint="run one scan for each repository")
    path = request.paths[0]
    if not os.path.lexists(path):
        raise NotFoundError(f"no such file or folder: {visible(path)}", hint="check the path")
    repository = Repository.discover(path)
    if repository is None:
        from orchestra_creds.scanner.tree.inventory import common_root

        raise PreconditionError(
            f"not in a git repository: {visible(common_root([path]))}",
            hint=f"run {option} in a repository, or leave it out to scan the files as they are",
        )
    if request.source is Source.STAGED:
        return _SourceScan(
            repository.root, repository, "staged", lambda engine, _: _scan_staged(request, engine, repository)
        )
    if request.source is Source.SINCE and repository.commit(request.since) is None:
        raise NotFoundError(f"no such revision: {visible(request.since)}", hint="`git log --oneline` lists commits")
    return _SourceScan(
        repository.root,
        repository,
        str(request.source),
        lambda engine, progress: _scan_history(request, engine, repository, progress, meanwhile),
    )


def _baseline(request: ScanRequest, plan: _SourceScan) -> "tuple[Baseline | None, list[str]]":
    """The accepted findings: a named file, else the scanned root's own, else that of the repository around it."""
    if request.baseline is not None:
        return (_load_baseline(Path(request.baseline)), []) if request.baseline else (None, [])
    folders = [plan.root]
    if plan.repository is not None and plan.repository.work_tree is not None:
        folders.append(plan.repository.work_tree)
    for folder in folders:
        file = folder / staged_precheck.BASELINE_FILE
        if file.is_file() and not file.is_symlink():
            return _load_baseline(file), [f"accepted findings are those of {visible(str(file))}"]
    return None, []


def _load_baseline(file: Path) -> "Baseline":
    from orchestra_creds.scanner.baseline import file as baseline_file

    return baseline_file.load(file)


def _key(
    request: ScanRequest, plan: _SourceScan, accepted: "Baseline | None", *, wanted: bool = True
) -> "FingerprintKey":
    """The key of the fingerprints; where there is nothing to fingerprint (not `wanted`), any key will do."""
    from orchestra_creds.scanner.fingerprint import load_key, new_key

    if not wanted or (not request.state_dir and not request.environment):
        return new_key(temporary=wanted)
    place = plan.repository.common_dir if plan.repository is not None else plan.root
    name = accepted.key if accepted is not None else ""
    folder = Path(request.state_dir or os.devnull) / "keys"
    return load_key(folder, place, wanted=name, environment=request.environment)


def _limits(request: ScanRequest) -> "ArchiveLimits":
    from orchestra_creds.scanner.content.archives import ArchiveLimits

    return ArchiveLimits(depth=request.archive_depth)


def _scan_tree(
    request: ScanRequest,
    engine: "Engine",
    inventory: "Inventory",
    progress: "Progress",
    meanwhile: Callable[[], None] = lambda: None,
) -> _SourceResult:
    from orchestra_creds.scanner.tree.tree_scan import scan_tree

    progress.start(items=len(inventory.files), size=None)
    found = scan_tree(
        engine,
        inventory,
        jobs=request.jobs,
        limits=_limits(request),
        max_size=request.max_size,
        progress=progress,
        meanwhile=meanwhile,
    )
    return _SourceResult(
        found.sightings,
        inventory.skipped + found.skipped,
        ScanStats(blobs=found.blobs, bytes=found.size),
        [os.fsdecode(path) for path in inventory.files],
        inventory.notes,
    )


def _scan_stdin(request: ScanRequest, engine: "Engine", progress: "Progress") -> _SourceResult:
    from orchestra_creds.scanner.content.explore import Explorer

    progress.start(items=None, size=None)
    explorer = Explorer(engine, limits=_limits(request), max_size=request.max_size)
    looked = _SourceResult()
    try:
        with open(0, "rb", buffering=0, closefd=False) as source:
            explorer.scan(_StdinStream(source.read), STDIN, passed=lambda count: progress.advance(size=count))
    except OSError as error:
        looked.skipped.append(SkippedItem(STDIN, f"cannot be read: {(error.strerror or 'unknown').lower()}"))
    found = explorer.gathered
    looked.sightings = found.sightings
    looked.skipped += found.skipped
    looked.stats = ScanStats(blobs=found.blobs, bytes=found.size)
    return looked


def _scan_staged(request: ScanRequest, engine: "Engine", repository: Repository) -> _SourceResult:
    """The content that the next commit would add, as it is in the index."""
    from orchestra_creds.scanner.content.explore import Explorer

    exclusions = Exclusions(request.exclude)
    explorer = Explorer(engine, limits=_limits(request), max_size=request.max_size)
    looked = _SourceResult()
    for staged in repository.staged_files(max_size=request.max_size or None):
        path = os.fsdecode(staged.path)
        if exclusions.match(staged.path):
            continue
        looked.paths.append(path)
        if staged.content is None:
            looked.skipped.append(SkippedItem(path, f"larger than {request.max_size:,} bytes"))
        else:
            explorer.scan_bytes(staged.content, path)
    found = explorer.gathered
    looked.sightings = found.sightings
    looked.skipped += found.skipped
    looked.stats = ScanStats(blobs=found.blobs, bytes=found.size)
    return looked


def _scan_history(
    request: ScanRequest,
    engine: "Engine",
    repository: Repository,
    progress: "Progress",
    meanwhile: Callable[[], None],
) -> _SourceResult:
    from orchestra_creds.scanner.git.history import scan_history

    cache = Path(request.cache_dir) if request.cache_dir and request.use_cache else None
    since = request.since if request.source is Source.SINCE else None
    found = scan_history(
        repository,
        engine,
        since=since,
        jobs=request.jobs,
        max_size=request.max_size,
        archives=_limits(request),
        cache_dir=cache,
        progress=progress,
        meanwhile=meanwhile,
    )
    exclusions = Exclusions(request.exclude)
    sightings = [s for s in found.sightings if not exclusions.match(os.fsencode(s.place.path))]
    return _SourceResult(sightings, list(found.skipped), found.stats)


def _add(looked: _SourceResult, more: _SourceResult) -> None:
    looked.sightings += more.sightings
    looked.skipped += more.skipped
    looked.stats = replace(
        looked.stats,
        blobs=looked.stats.blobs + more.stats.blobs,
        bytes=looked.stats.bytes + more.stats.bytes,
    )


class _StdinStream:
    """Standard input as a stream; a terminal or pipe may hand out less than was asked for."""

    def __init__(self, read: Callable[[int], bytes | None]) -> None:
        self._read = read

    def read(self, size: int, /) -> bytes:
        return self._read(size) or b""
