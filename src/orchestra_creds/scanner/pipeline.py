"""The scan service: a request and rules go in, a report comes out.

    request -> source -> blobs -> engine -> sightings -> report (gitleaks, inline allows, baseline)

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

from orchestra_creds.core.record import replace
from orchestra_creds.core.text import visible
from orchestra_creds.errors import CredsError
from orchestra_creds.scanner.absence import split_accepted
from orchestra_creds.scanner.file_names import BASELINE_FILE, LARGEST_BASELINE
from orchestra_creds.scanner.finding import ScanReport, SkippedItem
from orchestra_creds.scanner.gitleaks import setup as gitleaks_setup
from orchestra_creds.scanner.opened_source import OpenedSource
from orchestra_creds.scanner.request import ScanRequest
from orchestra_creds.scanner.rule import Rule
from orchestra_creds.scanner.source import Source, source_of

TYPE_CHECKING = False  # typing's own costs 2 ms, for which the listing of a tree would wait
if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestra_creds.core.progress import Progress
    from orchestra_creds.scanner.baseline.file import Baseline
    from orchestra_creds.scanner.detection import Sighting
    from orchestra_creds.scanner.engine.compiled_cache import CompiledRules
    from orchestra_creds.scanner.engine.engine import Engine
    from orchestra_creds.scanner.fingerprint import FingerprintKey

_TIME = "%Y-%m-%dT%H:%M:%SZ"

Rulebook = Callable[[], "tuple[Sequence[Rule], CompiledRules | None]"]
"""Loads the rules, with the compiled ones that they come from if an earlier scan stored them."""


def scan(
    request: ScanRequest,
    rulebook: Rulebook,
    *,
    progress: "Progress | None" = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> ScanReport:
    """Scan and return the report. `meanwhile` is called once beside workers.

    Raises:
        NotFoundError: a path or a revision does not exist.
        PreconditionError: a repository was asked for, and there is none.
        ConfigError: a file of rules, allowlists or accepted findings is wrong, or its fingerprint key is missing.
    """
    began = time.perf_counter()
    source = source_of(request.source, request.paths)
    place = source.open(request)
    try:
        return _scan_source(source, place, request, rulebook, progress, meanwhile, began)
    finally:
        place.close()


def _scan_source(
    source: Source,
    place: OpenedSource,
    request: ScanRequest,
    rulebook: Rulebook,
    progress: "Progress | None",
    meanwhile: Callable[[], None],
    began: float,
) -> ScanReport:
    from orchestra_creds.core.progress import NoProgress

    progress = progress or NoProgress()
    rules, compiled = rulebook()
    setup = gitleaks_setup.setup(
        rules,
        root=place.root,
        config=request.gitleaks_config,
        ignore=request.gitleaks_ignore,
        baseline=request.gitleaks_baseline,
        added=request.added_rules,
        look=request.use_gitleaks,
    )
    accepted, key, notes, unused = _find_baseline(request, place)
    # A long scan must not end with a missing key, and a short one that finds nothing asks for none (like git/staged_precheck.py).
    if key is None and source.reads_history:
        key = _load_key(request, place, None)

    def prepare_report() -> None:
        from orchestra_creds.scanner.baseline import report as scan_report  # noqa: F401  loaded while workers read

        meanwhile()

    try:
        result = place.scan(_open_engine(request, rules, setup.rules, compiled, progress), progress, prepare_report)
    finally:
        progress.finish()
    sightings, result.sightings = result.sightings, []
    if setup.policy is not None:
        sightings += setup.policy.detect_paths(result.paths)
    from orchestra_creds.scanner.baseline import report as scan_report

    skipped, missing = split_accepted([*result.skipped, *setup.skipped, *unused], request.accept_missing)
    any_seen = bool(sightings)
    found = scan_report.report(
        _drain(sightings),
        root=str(place.root),
        source=source.name,
        filters=scan_report.Filters(
            key=key or _load_key(request, place, accepted, wanted=any_seen),
            today=request.now.date(),
            baseline=accepted,
            gitleaks=setup.policy,
            min_severity=request.min_severity,
            below=place.below,
            unread=None if result.covers_all else _unread_check(place, result.paths),
        ),
        skipped=skipped,
        stats=replace(result.stats, seconds=time.perf_counter() - began, began=request.now.strftime(_TIME)),
        notes=(*setup.notes, *notes, *result.notes, *missing),
    )
    if not request.name_revision or place.repository is None:
        return found
    return replace(found, revision=place.repository.head() or "")


def _drain(sightings: "list[Sighting]") -> "Iterator[Sighting]":
    """Yield all of a list, which forgets what it yields."""
    while sightings:
        yield sightings.pop()


def _open_engine(
    request: ScanRequest,
    rules: Sequence[Rule],
    all_rules: tuple[Rule, ...],
    compiled: "CompiledRules | None",
    progress: "Progress",
) -> "Engine":
    """Return the engine of `all_rules`: `rules`, and what files add to them."""
    from orchestra_creds.scanner.engine import compiled_cache
    from orchestra_creds.scanner.engine.engine import Engine, EngineKind
    from orchestra_creds.scanner.engine.prefilter import load_database

    ours = all_rules == tuple(rules)
    if compiled and ours and (database := load_database(compiled.database)) is not None:
        return Engine.from_database(all_rules, database, compiled.widest)
    cache = Path(request.cache_dir) if request.cache_dir else None

    def run_compiler(compile_rules: Callable[[], bytes]) -> bytes:
        """Compile in a child where that is safe: the library hears no signal while it compiles."""
        from orchestra_creds.scanner.parallel import workers

        progress.announce(f"compiling {len(all_rules)} rules, once for this machine")
        compiled = workers.ForkedCall(compile_rules).answer() if workers.can_fork() else None
        return compile_rules() if compiled is None else compiled  # a child that failed does not say why

    engine = Engine.open(
        all_rules,
        kind=EngineKind(request.engine),
        cache=cache,
        run_compiler=run_compiler,
    )
    if ours and cache is not None and engine.kind is EngineKind.HYPERSCAN:
        compiled_cache.remember(str(cache), engine.dump, engine.widest, all_rules)
    return engine


def _unread_check(place: OpenedSource, paths: list[str]) -> Callable[[str], bool]:
    """Return whether a path that a baseline names is on the disk although this scan, of `paths`, did not look at it."""
    tops = [place.root, *([place.repository.work_tree] if place.repository and place.repository.work_tree else [])]
    seen: set[str] = set()

    def is_unread(path: str) -> bool:
        seen.update(visible(place.below + one) for one in paths if not seen)
        names = (path, path.partition("!")[0])  # the file that an archive's member is in
        return not seen.intersection(names) and any(os.path.lexists(top / name) for top in tops for name in names)

    return is_unread


def _find_baseline(
    request: ScanRequest, place: OpenedSource
) -> "tuple[Baseline | None, FingerprintKey | None, list[str], list[SkippedItem]]":
    """Return the accepted findings and their key, notes, and a file that was found and cannot be used.

    They are those of a named file, else of the scanned root, else of the repository around it. A file that was found may
    be anybody's: one that is wrong hides nothing, stops nothing, and makes the scan incomplete.
    """
    if request.baseline is not None:
        if not request.baseline:
            return None, None, [], []
        accepted = _load_baseline(Path(request.baseline))
        return accepted, _load_key(request, place, accepted), [], []
    folders = [place.root]
    if place.repository is not None and place.repository.work_tree is not None:
        folders.append(place.repository.work_tree)
    for folder in folders:
        file = folder / BASELINE_FILE
        if file.is_file() and not file.is_symlink():
            try:
                accepted = _load_baseline(file, LARGEST_BASELINE)
                key = _load_key(request, place, accepted)
            except CredsError as error:
                reason = f"its accepted findings are reported: {error}" + (f" ({error.hint})" if error.hint else "")
                return None, None, [], [SkippedItem(os.path.relpath(file, place.root), reason)]
            return accepted, key, [f"accepted findings are those of {visible(str(file))}"], []
    return None, None, [], []


def _load_baseline(file: Path, most: int = 0) -> "Baseline":
    from orchestra_creds.scanner.baseline import file as baseline_file

    return baseline_file.load(file, most=most)


def _load_key(
    request: ScanRequest, place: OpenedSource, accepted: "Baseline | None", *, wanted: bool = True
) -> "FingerprintKey":
    """Return the key of the fingerprints; where there is nothing to fingerprint (not `wanted`), any key will do."""
    from orchestra_creds.scanner.fingerprint import load_key, new_key

    if not wanted or (not request.state_dir and not request.environment):
        return new_key(temporary=wanted)
    owner = place.repository.common_dir if place.repository is not None else place.root
    name = accepted.key if accepted is not None else ""
    folder = Path(request.state_dir or os.devnull) / "keys"
    return load_key(folder, owner, wanted=name, environment=request.environment)
